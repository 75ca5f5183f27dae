//! Ports for the nodes of a test.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// So many ports that nobody has, ascending: the order of the list is then the order of the ids. Below those that the
/// system gives to outgoing connections, which keep theirs from a listener for a minute after their end.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = 10_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 20;
    let mut ports = Vec::new();
    while ports.len() < count {
        let port = start + TAKEN.fetch_add(1, Ordering::SeqCst) % 2_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports.push(port);
        }
    }
    ports.sort_unstable();
    ports
}
