//! What a broker knows: the events in order, and who is in the cluster.
//!
//! An event belongs to a broker if the broker is in the list that the event was sent with, or in the newest list of
//! the event's sender. So the brokers in the newest list always show the same events, one that is taken out keeps
//! what it had and gets nothing new, and one that is put back gets all of it.

use super::event::{ClientsRow, Ordered, lists};
use std::collections::{BTreeMap, VecDeque};

/// The events that the ensemble keeps, and the lists.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Names the history that the events belong to; empty before the first look.
    pub(super) history: String,
    events: VecDeque<Ordered>,
    /// The newest list of each sender.
    pub(super) newest: BTreeMap<String, ClientsRow>,
    /// Ports of the brokers that are alive.
    pub(super) brokers: Vec<String>,
    /// Whether the last look at the ensemble succeeded.
    pub(super) in_touch: bool,
    /// The node that was looked through last, as `host:port`; empty before the first look.
    pub(super) node: String,
}

/// Events that the check of the order covers.
const CHECKED_EVENTS_MAX: usize = 1_000;

impl View {
    /// The view of a history, without its events.
    pub(super) fn new(history: String) -> View {
        View { history, ..View::default() }
    }

    /// The name of the last event, or empty.
    pub(super) fn last_name(&self) -> &str {
        self.events.back().map_or("", |last| last.name.as_str())
    }

    /// The zxid of the last event, or 0.
    pub(super) fn last_zxid(&self) -> u64 {
        self.events.back().map_or(0, |last| last.zxid)
    }

    /// Adds the next event.
    ///
    /// # Panics
    /// If it does not come after the last one: then the order would differ between brokers.
    pub(super) fn push(&mut self, event: Ordered) {
        assert!(event.name.as_str() > self.last_name(), "{} comes after {}", event.name, self.last_name());
        assert!(event.zxid >= self.last_zxid(), "the zxids rise with the names");
        self.events.push_back(event);
    }

    /// Drops the events before `name`: the ensemble does not keep them any more.
    pub(super) fn drop_before(&mut self, name: &str) {
        while self.events.front().is_some_and(|first| first.name.as_str() < name) {
            self.events.pop_front();
        }
    }

    /// Drops all events: the ensemble keeps none.
    pub(super) fn drop_all(&mut self) {
        self.events.clear();
    }

    /// The newest events in a number: how many, and a checksum of their names, places and requests. Brokers whose last
    /// zxid is the same must have the same one.
    pub(super) fn newest_checksum(&self) -> (usize, u32) {
        let mut hasher = crc32fast::Hasher::new();
        let skipped = self.events.len().saturating_sub(CHECKED_EVENTS_MAX);
        for ordered in self.events.iter().skip(skipped) {
            hasher.update(ordered.name.as_bytes());
            hasher.update(&ordered.zxid.to_be_bytes());
            hasher.update(ordered.event.request_id.as_bytes());
            hasher.update(&[0]);
        }
        (self.events.len() - skipped, hasher.finalize())
    }

    /// All events, whoever they belong to.
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = &Ordered> {
        self.events.iter()
    }

    /// The events that belong to the broker at `port`, in order.
    pub(super) fn of(&self, port: &str) -> impl Iterator<Item = &Ordered> {
        self.events.iter().filter(move |ordered| {
            let event = &ordered.event;
            lists(&event.clients, port)
                || self.newest.get(&event.sender_ip).is_some_and(|row| lists(&row.clients, port))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::event::{Event, GameResults};

    fn ordered(number: u64, sender: &str, clients: &str) -> Ordered {
        let game = GameResults { minute: 1, player: "Pele".into(), club: "MU".into(), score: "1-0".into() };
        let event = Event {
            game_results: game,
            sender_ip: sender.into(),
            receiver_ip: "8080".into(),
            clients: clients.into(),
            timestamp: String::new(),
            request_id: number.to_string(),
        };
        Ordered { name: format!("e{number:010}"), zxid: number, event }
    }

    fn numbers(view: &View, port: &str) -> Vec<u64> {
        view.of(port).map(|ordered| ordered.zxid).collect()
    }

    fn list(view: &mut View, sender: &str, clients: &str) {
        let row = ClientsRow {
            sender_ip: sender.into(),
            receiver_ip: "8080".into(),
            clients: clients.into(),
            version: 0,
            timestamp: String::new(),
        };
        view.newest.insert(sender.into(), row);
    }

    #[test]
    fn the_newest_list_of_the_sender_decides() {
        let mut view = View::default();
        view.push(ordered(1, "9090", "9090,9091"));
        list(&mut view, "9090", "9090");
        view.push(ordered(2, "9090", "9090"));
        view.push(ordered(3, "9091", "9090,9091"));
        assert_eq!(numbers(&view, "9090"), [1, 2, 3]);
        assert_eq!(numbers(&view, "9091"), [1, 3], "taken out: keeps what it had, gets nothing new from 9090");
        list(&mut view, "9090", "9090,9091");
        assert_eq!(numbers(&view, "9091"), [1, 2, 3], "put back: gets all");
        assert_eq!(numbers(&view, "9092"), [0; 0]);
    }

    #[test]
    fn dropped_events_are_gone_and_the_last_stays_known() {
        let mut view = View::default();
        for number in 1..=5 {
            view.push(ordered(number, "9090", "9090"));
        }
        view.drop_before("e0000000004");
        assert_eq!(numbers(&view, "9090"), [4, 5]);
        assert_eq!((view.last_name(), view.last_zxid()), ("e0000000005", 5));
    }

    #[test]
    fn the_checksum_tells_orders_apart() {
        let view = |numbers: &[u64]| {
            let mut view = View::default();
            numbers.iter().for_each(|number| view.push(ordered(*number, "9090", "9090")));
            view.newest_checksum()
        };
        assert_eq!(view(&[1, 2, 3]), view(&[1, 2, 3]));
        assert_ne!(view(&[1, 2, 4]), view(&[1, 3, 4]));
        let many: Vec<u64> = (1..=1_500).collect();
        assert_eq!((view(&many).0, view(&many)), (1_000, view(&many[400..])), "only the newest count");
    }

    #[test]
    #[should_panic(expected = "comes after")]
    fn an_event_out_of_order_is_a_defect() {
        let mut view = View::default();
        view.push(ordered(2, "9090", "9090"));
        view.push(ordered(1, "9090", "9090"));
    }
}
