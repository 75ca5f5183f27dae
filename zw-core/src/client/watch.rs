//! Watches as a client keeps them: who waits for which event, and what must be armed again on a new connection.
//!
//! Invariants:
//! - A watch counts from the zxid of the answer that armed it. Its events may come before that answer, so a watch is
//!   known from the sending of its request, and events that come early are kept until the answer tells whether they
//!   are its own.
//! - A one-shot watch fires at most once; a persistent one gives the events of a connection in zxid order.
//! - After a reconnect the server is asked for what happened since the last answer: a one-shot watch misses nothing. A
//!   persistent one may miss events while there is no connection, and is told so.

use super::error::ClientError;
use crate::ids::Zxid;
use crate::limits::{REARM_BYTES_MAX, WATCH_STREAM_EVENTS_MAX, WATCHES_PER_CONNECTION_MAX};
use crate::tree::command::{EventKind, TreeEvent};
use crate::wire::client::SetWatches;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot};

/// A one-shot watch, left by a read.
#[derive(Debug)]
pub struct Watch {
    fires: oneshot::Receiver<TreeEvent>,
    end: super::EndReason,
}

impl Watch {
    /// Waits for the first change since the read that left this watch.
    ///
    /// # Errors
    /// The session expired or the client was closed before.
    pub async fn fired(self) -> Result<TreeEvent, ClientError> {
        self.fires.await.map_err(|_| self.end.get())
    }
}

/// A persistent watch: every change at a znode, or at and below it.
#[derive(Debug)]
pub struct WatchStream {
    events: mpsc::Receiver<TreeEvent>,
    overflowed: Arc<AtomicBool>,
}

impl WatchStream {
    /// The next event, or `None` when the watch has ended: the session expired, the client was closed, or (see
    /// [`WatchStream::overflowed`]) this reader was too slow.
    ///
    /// After a reconnect comes one `ChildrenChanged` of the watched path itself: there may have been other events
    /// while there was no connection, so read again. (A recursive watch gives `ChildrenChanged` for nothing else.)
    pub async fn next(&mut self) -> Option<TreeEvent> {
        self.events.recv().await
    }

    /// Whether the watch ended because more than [`WATCH_STREAM_EVENTS_MAX`] events waited for the reader.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.overflowed.load(Ordering::Relaxed)
    }
}

/// What a one-shot watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Interest {
    Data,
    Exists,
    Children,
}

impl Interest {
    const ALL: [Interest; 3] = [Interest::Data, Interest::Exists, Interest::Children];

    fn wants(self, kind: EventKind) -> bool {
        match self {
            Interest::Data | Interest::Exists => kind != EventKind::ChildrenChanged,
            Interest::Children => matches!(kind, EventKind::ChildrenChanged | EventKind::Deleted),
        }
    }
}

/// Where a watch's events go.
#[derive(Debug)]
pub(super) enum Target {
    Once { interest: Interest, fires: oneshot::Sender<TreeEvent> },
    Stream { recursive: bool, events: mpsc::Sender<TreeEvent>, overflowed: Arc<AtomicBool> },
}

/// A watch whose request is not answered yet.
#[derive(Debug)]
pub(super) struct Registration {
    path: String,
    target: Target,
    early: Vec<TreeEvent>,
}

impl Registration {
    pub(super) fn once(path: &str, interest: Interest, end: super::EndReason) -> (Registration, Watch) {
        let (fires, fired) = oneshot::channel();
        let target = Target::Once { interest, fires };
        (Registration { path: path.to_owned(), target, early: Vec::new() }, Watch { fires: fired, end })
    }

    pub(super) fn stream(path: &str, recursive: bool) -> (Registration, WatchStream) {
        let (sender, events) = mpsc::channel(WATCH_STREAM_EVENTS_MAX);
        let overflowed = Arc::new(AtomicBool::new(false));
        let target = Target::Stream { recursive, events: sender, overflowed: Arc::clone(&overflowed) };
        (Registration { path: path.to_owned(), target, early: Vec::new() }, WatchStream { events, overflowed })
    }

    fn wants(&self, event: &TreeEvent) -> bool {
        match &self.target {
            Target::Once { interest, .. } => self.path == event.path && interest.wants(event.kind),
            Target::Stream { recursive: false, .. } => self.path == event.path,
            Target::Stream { recursive: true, .. } => {
                event.kind != EventKind::ChildrenChanged && is_at_or_below(&event.path, &self.path)
            }
        }
    }
}

fn is_at_or_below(path: &str, ancestor: &str) -> bool {
    ancestor == "/" || path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// All watches of a client.
#[derive(Debug, Default)]
pub(super) struct Watches {
    once: BTreeMap<(String, Interest), Vec<oneshot::Sender<TreeEvent>>>,
    streams: BTreeMap<(String, bool), Vec<Stream>>,
    /// By the number of the request.
    pending: BTreeMap<u32, Registration>,
    /// Senders in `once` and `streams`, the ones whose reader is gone included.
    count: usize,
}

#[derive(Debug)]
struct Stream {
    events: mpsc::Sender<TreeEvent>,
    overflowed: Arc<AtomicBool>,
}

impl Watches {
    /// The request `id`, which arms this watch, goes out.
    pub(super) fn begin(&mut self, id: u32, registration: Registration) {
        self.pending.insert(id, registration);
    }

    /// The request `id` was answered at `zxid`, where its znode existed or not. Gives the watch's path if the server
    /// should forget it again.
    pub(super) fn armed(&mut self, id: u32, zxid: Zxid, exists: bool) -> Option<String> {
        let Registration { path, target, early } = self.pending.remove(&id)?;
        let mut early = early.into_iter().filter(|event| event.zxid > zxid);
        match target {
            Target::Once { interest, fires } => match early.next() {
                // A watch that is not waited for any more needs no news.
                Some(event) => drop(fires.send(event)),
                None => {
                    // Once the znode exists both hear the same, but arming `Exists` again would report its creation.
                    let interest = if exists && interest == Interest::Exists { Interest::Data } else { interest };
                    self.count += 1;
                    self.once.entry((path, interest)).or_default().push(fires);
                }
            },
            Target::Stream { recursive, events, overflowed } => {
                let stream = Stream { events, overflowed };
                if !early.all(|event| stream.deliver(&event)) {
                    return self.unwatched(path);
                }
                self.count += 1;
                self.streams.entry((path, recursive)).or_default().push(stream);
            }
        }
        None
    }

    /// The request `id` failed, or must be sent again.
    pub(super) fn take_pending(&mut self, id: u32) -> Option<Registration> {
        let mut registration = self.pending.remove(&id)?;
        registration.early.clear();
        Some(registration)
    }

    /// Whether there is room for one more watch.
    pub(super) fn has_room(&mut self) -> bool {
        if self.count + self.pending.len() >= WATCHES_PER_CONNECTION_MAX {
            self.purge();
        }
        self.count + self.pending.len() < WATCHES_PER_CONNECTION_MAX
    }

    /// An event came. Gives the paths that nobody watches any more, though the server may think so.
    pub(super) fn fire(&mut self, event: &TreeEvent) -> Vec<String> {
        for registration in self.pending.values_mut().filter(|registration| registration.wants(event)) {
            if registration.early.len() < WATCH_STREAM_EVENTS_MAX {
                registration.early.push(event.clone());
            }
        }
        let mut key = (event.path.clone(), Interest::Data);
        for interest in Interest::ALL.into_iter().filter(|interest| interest.wants(event.kind)) {
            key.1 = interest;
            for fires in self.once.remove(&key).into_iter().flatten() {
                self.count -= 1;
                // A watch that is not waited for any more needs no news.
                let _ = fires.send(event.clone());
            }
        }
        let mut gone = Vec::new();
        self.fire_streams(&event.path, false, event, &mut gone);
        if event.kind != EventKind::ChildrenChanged && !self.streams.is_empty() {
            let mut at = event.path.as_str();
            loop {
                self.fire_streams(at, true, event, &mut gone);
                match at.rfind('/') {
                    _ if at == "/" => break,
                    Some(0) | None => at = "/",
                    Some(slash) => at = &at[..slash],
                }
            }
        }
        gone.into_iter().filter_map(|path| self.unwatched(path)).collect()
    }

    fn fire_streams(&mut self, path: &str, recursive: bool, event: &TreeEvent, gone: &mut Vec<String>) {
        let key = (path.to_owned(), recursive);
        let Some(streams) = self.streams.get_mut(&key) else { return };
        let before = streams.len();
        streams.retain(|stream| stream.deliver(event));
        self.count -= before - streams.len();
        if streams.is_empty() {
            self.streams.remove(&key);
            gone.push(key.0);
        }
    }

    /// The path, if no watch of any kind is left on it.
    fn unwatched(&self, path: String) -> Option<String> {
        let pending = self.pending.values().any(|registration| registration.path == path);
        let once = Interest::ALL.iter().any(|interest| self.once.contains_key(&(path.clone(), *interest)));
        let streams = [false, true].iter().any(|recursive| self.streams.contains_key(&(path.clone(), *recursive)));
        (!pending && !once && !streams).then_some(path)
    }

    /// Drops the watches that nobody waits for.
    fn purge(&mut self) {
        let mut count = 0;
        self.once.retain(|_, fires| {
            fires.retain(|fires| !fires.is_closed());
            count += fires.len();
            !fires.is_empty()
        });
        self.streams.retain(|_, streams| {
            streams.retain(|stream| !stream.events.is_closed());
            count += streams.len();
            !streams.is_empty()
        });
        self.count = count;
    }

    /// All watches are armed again, at `zxid`: tells the persistent ones that they may have missed something.
    pub(super) fn rearmed(&mut self, zxid: Zxid) {
        for ((path, _), streams) in &mut self.streams {
            let event = TreeEvent { kind: EventKind::ChildrenChanged, path: path.clone(), zxid };
            let before = streams.len();
            streams.retain(|stream| stream.deliver(&event));
            self.count -= before - streams.len();
        }
        self.streams.retain(|_, streams| !streams.is_empty());
    }

    /// What to ask a new connection for, in requests of bounded size. `seen`: up to where all events have come.
    pub(super) fn rearming(&mut self, seen: Zxid) -> Vec<SetWatches> {
        self.purge();
        let empty = || SetWatches {
            seen,
            data: Vec::new(),
            exists: Vec::new(),
            children: Vec::new(),
            persistent: Vec::new(),
            recursive: Vec::new(),
        };
        let mut requests = Vec::new();
        let mut request = empty();
        let mut bytes = 0;
        let once = self.once.keys().map(|(path, interest)| (path, Some(*interest), false));
        let streams = self.streams.keys().map(|(path, recursive)| (path, None, *recursive));
        for (path, interest, recursive) in once.chain(streams) {
            let list = match (interest, recursive) {
                (Some(Interest::Data), _) => &mut request.data,
                (Some(Interest::Exists), _) => &mut request.exists,
                (Some(Interest::Children), _) => &mut request.children,
                (None, false) => &mut request.persistent,
                (None, true) => &mut request.recursive,
            };
            list.push(path.clone());
            bytes += path.len() + 5;
            if bytes >= REARM_BYTES_MAX {
                requests.push(std::mem::replace(&mut request, empty()));
                bytes = 0;
            }
        }
        if bytes > 0 {
            requests.push(request);
        }
        requests
    }
}

impl Stream {
    /// Whether the stream goes on.
    fn deliver(&self, event: &TreeEvent) -> bool {
        match self.events.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.overflowed.store(true, Ordering::Relaxed);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::EndReason;
    use crate::ids::Epoch;

    fn zxid(counter: u64) -> Zxid {
        Zxid::new(Epoch(1), counter)
    }

    fn event(kind: EventKind, path: &str, counter: u64) -> TreeEvent {
        TreeEvent { kind, path: path.to_owned(), zxid: zxid(counter) }
    }

    fn once(watches: &mut Watches, id: u32, path: &str, interest: Interest) -> Watch {
        let (registration, watch) = Registration::once(path, interest, EndReason::default());
        watches.begin(id, registration);
        watch
    }

    fn fired(watch: &mut Watch) -> Option<TreeEvent> {
        watch.fires.try_recv().ok()
    }

    #[test]
    fn an_event_before_the_answer_counts_if_it_is_later_than_the_answer() {
        let mut watches = Watches::default();
        let mut old = once(&mut watches, 1, "/a", Interest::Data);
        let mut new = once(&mut watches, 2, "/a", Interest::Data);
        watches.fire(&event(EventKind::DataChanged, "/a", 5));
        watches.armed(1, zxid(4), true);
        watches.armed(2, zxid(5), true);
        assert_eq!(fired(&mut old), Some(event(EventKind::DataChanged, "/a", 5)));
        assert_eq!(fired(&mut new), None, "the read saw that change already");
        watches.fire(&event(EventKind::Deleted, "/a", 6));
        assert_eq!(fired(&mut new), Some(event(EventKind::Deleted, "/a", 6)));
        assert_eq!(watches.rearming(zxid(6)), vec![], "one-shot watches are gone once fired");
    }

    #[test]
    fn each_interest_hears_its_kinds() {
        use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};
        for (interest, kinds) in [
            (Interest::Data, &[Created, Deleted, DataChanged][..]),
            (Interest::Exists, &[Created, Deleted, DataChanged]),
            (Interest::Children, &[Deleted, ChildrenChanged]),
        ] {
            for kind in [Created, Deleted, DataChanged, ChildrenChanged] {
                let mut watches = Watches::default();
                let mut watch = once(&mut watches, 1, "/a", interest);
                watches.armed(1, zxid(1), false);
                watches.fire(&event(kind, "/b", 2));
                watches.fire(&event(kind, "/a", 3));
                assert_eq!(fired(&mut watch).is_some(), kinds.contains(&kind), "{interest:?} {kind:?}");
            }
        }
    }

    #[test]
    fn a_recursive_watch_hears_what_is_below_but_no_changes_of_children() {
        let mut watches = Watches::default();
        let mut streams: Vec<(WatchStream, usize)> = Vec::new();
        for (index, (path, expected)) in [("/", 3), ("/a", 2), ("/a/b", 1), ("/a/bc", 0)].into_iter().enumerate() {
            let (registration, stream) = Registration::stream(path, true);
            watches.begin(index as u32, registration);
            watches.armed(index as u32, zxid(1), true);
            streams.push((stream, expected));
        }
        watches.fire(&event(EventKind::Created, "/a/b", 2));
        watches.fire(&event(EventKind::ChildrenChanged, "/a", 2));
        watches.fire(&event(EventKind::DataChanged, "/a", 3));
        watches.fire(&event(EventKind::DataChanged, "/ab", 4));
        for (mut stream, expected) in streams {
            let got = std::iter::from_fn(|| stream.events.try_recv().ok()).count();
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_slow_reader_loses_its_stream_and_knows_why() {
        let mut watches = Watches::default();
        let (registration, stream) = Registration::stream("/a", false);
        watches.begin(1, registration);
        watches.armed(1, zxid(0), true);
        for counter in 1..=WATCH_STREAM_EVENTS_MAX as u64 {
            assert!(watches.fire(&event(EventKind::DataChanged, "/a", counter)).is_empty());
        }
        assert!(!stream.overflowed());
        let forget = watches.fire(&event(EventKind::DataChanged, "/a", 1 << 20));
        assert_eq!(forget, ["/a"], "the server need not send more");
        assert!(stream.overflowed());
        assert_eq!(watches.count, 0);
    }

    #[test]
    fn live_watches_are_armed_again_in_bounded_requests() {
        let mut watches = Watches::default();
        let mut kept = Vec::new();
        for id in 0..1_000_u32 {
            let path = format!("/{id:0>1000}");
            let watch = once(&mut watches, id, &path, if id % 2 == 0 { Interest::Data } else { Interest::Children });
            watches.armed(id, zxid(1), true);
            if id % 10 < 8 {
                kept.push(watch);
            }
        }
        let requests = watches.rearming(zxid(9));
        assert!(requests.len() > 2);
        let paths = |request: &SetWatches| request.data.len() + request.children.len();
        assert_eq!(requests.iter().map(paths).sum::<usize>(), kept.len(), "dropped watches are not armed");
        for request in &requests {
            let bytes: usize = request.data.iter().chain(&request.children).map(String::len).sum();
            assert!(bytes <= REARM_BYTES_MAX + 1001 && request.seen == zxid(9));
        }
    }
}
