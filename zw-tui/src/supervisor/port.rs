//! Whether a port is free on the loopback, and who has it if not.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// A program may call itself anything.
const NAME_CHARS_MAX: usize = 40;

/// Says for a person why `port` cannot be had, or nothing if it can.
#[must_use]
pub fn why_taken(port: u16) -> Option<String> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => None,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Some(match owner_of_port(port) {
            Some((pid, name)) => format!("port {port} is taken by {name} (pid {pid})"),
            None => format!("port {port} is taken by another program"),
        }),
        Err(error) => Some(format!("cannot listen on port {port}: {error}")),
    }
}

/// The process that listens on `port` of this machine, as far as this user may see it.
#[must_use]
pub fn owner_of_port(port: u16) -> Option<(u32, String)> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = std::fs::read_to_string(table).ok()?;
        listening_inode(&table, port)
    })?;
    let socket = format!("socket:[{inode}]");
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let has_it = std::fs::read_dir(process.path().join("fd"))
            .ok()?
            .flatten()
            .any(|fd| std::fs::read_link(fd.path()).is_ok_and(|target| target == Path::new(&socket)));
        has_it.then(|| (pid, name_of(&process.path())))
    })
}

/// By what it was called as: the kernel's own name for a console's child is that of the link it was started from.
fn name_of(process: &Path) -> String {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    let called = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = match Path::new(&*String::from_utf8_lossy(called)).file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => std::fs::read_to_string(process.join("comm")).unwrap_or_default(),
    };
    name.chars().filter(|character| !character.is_control()).take(NAME_CHARS_MAX).collect()
}

/// The inode of the socket that listens on `port` in a table of `/proc/net`.
fn listening_inode(table: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
        let (_, local_port) = local.rsplit_once(':')?;
        let is_it = state == LISTEN && u16::from_str_radix(local_port, 16) == Ok(port);
        is_it.then(|| inode.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_owner() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let reason = why_taken(port).unwrap();
        assert!(reason.contains(&port.to_string()), "{reason}");
        assert!(reason.contains(&format!("pid {}", std::process::id())), "{reason}");
        drop(listener);
        assert_eq!(why_taken(port), None);
    }
}
