//! Ends a process with all that it started, however deep, by the system's list of processes.
//!
//! Invariants:
//! - Whoever is signalled was below the process when the list was read. What loses its parent stays below a process that
//!   adopts it ([`adopt`]), so that nothing gets away from that one.
//! - Nobody is waited for longer than [`PATIENCE`].

use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};
use std::io;
use std::time::{Duration, Instant};

/// How long the killed may take to be gone.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often that is looked at.
const PAUSE: Duration = Duration::from_millis(2);

/// From now on what loses its parent below this process is this process's own.
///
/// # Errors
/// The system does not do that.
pub(super) fn adopt() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Signals all below a process.
pub(super) fn signal_below(root: Pid, signal: Signal) {
    signal_all(&below(root, &living()), signal);
}

/// Kills all below a process, until nobody is left there.
pub(super) fn end_below(root: Pid) {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = below(root, &living());
        signal_all(&left, Signal::KILL);
        if left.is_empty() || Instant::now() >= end {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Kills all below a process that adopts, and then that one.
pub(super) fn end(root: Pid) {
    // It shall start nobody meanwhile.
    let _ = kill_process(root, Signal::STOP);
    end_below(root);
    let _ = kill_process(root, Signal::KILL);
    let end = Instant::now() + PATIENCE;
    while living().iter().any(|(pid, _)| *pid == root) && Instant::now() < end {
        std::thread::sleep(PAUSE);
    }
}

fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // It may have ended by itself.
        let _ = kill_process(*pid, signal);
    }
}

/// The processes that have not ended, each with its parent.
fn living() -> Vec<(Pid, Pid)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        Some((pid, parent(&std::fs::read_to_string(entry.path().join("stat")).ok()?)?))
    };
    entries.filter_map(of).collect()
}

/// The parent that a line of the system's list names; none of a process that has ended.
fn parent(stat: &str) -> Option<Pid> {
    // The name before it may be anything.
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    words.next().filter(|life| !matches!(*life, "Z" | "X"))?;
    Pid::from_raw(words.next()?.parse().ok()?)
}

fn below(root: Pid, living: &[(Pid, Pid)]) -> Vec<Pid> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(above) = found.get(at).copied() {
        let children = living.iter().filter(|(pid, parent)| *parent == above && !found.contains(pid));
        let children: Vec<Pid> = children.map(|(pid, _)| *pid).collect();
        found.extend(children);
        at += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    #[test]
    fn all_generations_are_found_and_nobody_else() {
        let living: Vec<(Pid, Pid)> =
            [(10, 1), (11, 10), (13, 12), (12, 10), (20, 1)].map(|(of, parent)| (pid(of), pid(parent))).to_vec();
        assert_eq!(below(pid(10), &living), [11, 12, 13].map(pid));
        assert_eq!(below(pid(20), &living), []);
    }

    #[test]
    fn a_line_of_the_list_names_the_parent_of_the_living() {
        assert_eq!(parent("12 (a) Z 3) S 7 12 12 0"), Some(pid(7)));
        assert_eq!(parent("12 (sh) Z 7 12 12 0"), None);
        assert_eq!((parent("1 (init) S 0 1"), parent("")), (None, None));
    }

    #[test]
    fn a_process_ends_with_what_it_started() {
        // It says who is deepest when all are there: what starts later has nobody here that adopts it.
        let script = "sh -c 'trap \"\" HUP TERM; sleep 1000 & echo $!; wait; :' & wait; :";
        let mut root = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(root.stdout.take().unwrap()), &mut line).unwrap();
        let deepest = pid(line.trim().parse().unwrap());
        end(pid(root.id().cast_signed()));
        assert!(living().iter().all(|(pid, _)| *pid != deepest));
        assert!(!root.wait().unwrap().success());
    }
}
