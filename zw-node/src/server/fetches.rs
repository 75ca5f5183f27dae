//! The core's side of fetching snapshots: one fetch at a time.
//!
//! Invariants:
//! - A fetch begins only after the one before it has ended and what came of that was dealt with: two never write the
//!   same file, and a node never occupies two of its leader's places for transfers.
//! - A fetch that is no longer wanted is told to end at once; it still says that it has ended.

use super::locks::lock;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use zw_core::ids::{NodeId, Zxid};
use zw_core::zab::effects::FetchId;

/// What is to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) fetch: FetchId,
    pub(crate) peer: NodeId,
    /// The least zxid that helps.
    pub(crate) zxid: Zxid,
}

/// The fetch under way and the next.
#[derive(Default)]
pub(super) struct Fetches {
    running: Option<(FetchId, Arc<GivenUp>)>,
    next: Option<Wish>,
}

impl Fetches {
    /// Only this is wanted from now on.
    pub(super) fn want(&mut self, wish: Wish) {
        self.next = Some(wish);
        if let Some((_, given_up)) = &self.running {
            given_up.give_up();
        }
    }

    /// The fetch has ended, however it did.
    pub(super) fn ended(&mut self, fetch: FetchId) {
        let running = self.running.take().map(|(running, _)| running);
        assert_eq!(running, Some(fetch), "fetches come one after the other, and end once");
    }

    /// What to begin now, if anything.
    pub(super) fn begin(&mut self) -> Option<(Wish, Arc<GivenUp>)> {
        if self.running.is_some() {
            return None;
        }
        let wish = self.next.take()?;
        let given_up = Arc::new(GivenUp::default());
        self.running = Some((wish.fetch, given_up.clone()));
        Some((wish, given_up))
    }
}

/// Whether a fetch is not wanted any more.
#[derive(Default)]
pub(crate) struct GivenUp {
    is_given_up: AtomicBool,
    /// Where it waits: closed, so that it does not wait any longer.
    socket: Mutex<Option<TcpStream>>,
}

impl GivenUp {
    fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        if let Some(socket) = &*lock(&self.socket) {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Whether it is so.
    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Acquire)
    }

    /// The fetch goes on on this socket; false if it should not.
    pub(crate) fn goes_on(&self, socket: TcpStream) -> bool {
        let mut place = lock(&self.socket);
        *place = Some(socket);
        !self.is_given_up()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn wish(number: u64) -> Wish {
        Wish { fetch: FetchId(number), peer: NodeId(3), zxid: Zxid::ZERO }
    }

    #[test]
    fn a_fetch_begins_when_the_one_before_has_ended_and_only_the_latest_does() {
        let mut fetches = Fetches::default();
        assert!(fetches.begin().is_none());
        fetches.want(wish(1));
        let (first, given_up) = fetches.begin().unwrap();
        assert_eq!(first, wish(1));
        assert!(!given_up.is_given_up() && fetches.begin().is_none());
        fetches.want(wish(2));
        fetches.want(wish(3));
        assert!(given_up.is_given_up() && fetches.begin().is_none());
        fetches.ended(FetchId(1));
        let (next, given_up) = fetches.begin().unwrap();
        assert_eq!(next, wish(3));
        assert!(!given_up.is_given_up());
        fetches.ended(FetchId(3));
        assert!(fetches.begin().is_none());
    }

    #[test]
    fn a_fetch_that_waits_for_its_peer_ends_when_it_is_given_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let given_up = Arc::new(GivenUp::default());
        assert!(given_up.goes_on(socket.try_clone().unwrap()));
        let waiting = std::thread::spawn(move || socket.read(&mut [0; 1]));
        given_up.give_up();
        assert_eq!(waiting.join().unwrap().unwrap(), 0);
        assert!(!given_up.goes_on(TcpStream::connect(listener.local_addr().unwrap()).unwrap()));
    }
}
