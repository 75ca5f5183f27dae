//! What a broker says of itself, with its age; and whether the brokers show the same events in the same order.

use super::{Broker, State};
use crate::member::Member;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Between two questions for a broker's status.
pub const BROKER_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The same while the display is frozen.
pub const BROKER_POLL_INTERVAL_CALM: Duration = Duration::from_secs(2);
/// A broker's answer that is older than this is as good as none.
pub const BROKER_STALE_AFTER: Duration = Duration::from_secs(3);

/// A broker's answer about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStatus {
    /// Whether the ensemble answers it.
    pub in_touch: bool,
    /// The node that it follows the ensemble through, as `host:port`.
    pub node: Option<String>,
    /// Events that it shows.
    pub events: u64,
    /// The zxid of the last event that it knows.
    pub zxid: u64,
    /// A checksum of the newest events in their order: the same for all that know the same last event.
    pub checksum: String,
    /// 99th percentile of the time until an event was ordered, in microseconds; 0 if none was lately.
    pub order_p99_us: u64,
    /// The ports of the brokers that are registered in the ensemble.
    pub registered: Vec<String>,
}

/// The newest answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerSight {
    /// What it said.
    pub status: Option<BrokerStatus>,
    /// When it came in.
    pub heard: Option<Duration>,
}

impl Broker {
    /// The newest answer, if it is as good as now and of the process that runs.
    #[must_use]
    pub fn current(&self, now: Duration) -> Option<&BrokerStatus> {
        let is_fresh = self.sight.heard.is_some_and(|heard| now.saturating_sub(heard) < BROKER_STALE_AFTER);
        self.sight.status.as_ref().filter(|_| is_fresh && self.process.can_work())
    }
}

/// Whether a broker shows what the others show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As all that know the same last event.
    Same,
    /// Other events, or another order, than one that knows the same last event: a defect.
    Differs,
    /// No other broker is at the same event now.
    Alone,
    /// It does not answer.
    Unknown,
}

/// Holds a broker's events against those of the others.
#[must_use]
pub fn order(state: &State, broker: &Broker, now: Duration) -> Order {
    let Some(mine) = broker.current(now) else { return Order::Unknown };
    let others = state.brokers.iter().filter(|other| other.member != broker.member);
    let mut comparable =
        others.filter_map(|other| other.current(now)).filter(|other| other.zxid == mine.zxid).peekable();
    if comparable.peek().is_none() {
        Order::Alone
    } else if comparable.all(|other| other.checksum == mine.checksum) {
        Order::Same
    } else {
        Order::Differs
    }
}

/// How many of our brokers are registered in the ensemble, as one that is in touch with it knows; none if none is.
#[must_use]
pub fn registered(state: &State, now: Duration) -> Option<usize> {
    let in_touch = state.brokers.iter().filter(|broker| broker.current(now).is_some_and(|status| status.in_touch));
    let newest = in_touch.max_by_key(|broker| broker.sight.heard)?.current(now)?;
    let is_registered = |broker: &&Broker| {
        broker.address.rsplit(':').next().is_some_and(|port| newest.registered.iter().any(|other| other == port))
    };
    Some(state.brokers.iter().filter(is_registered).count())
}

/// The node through which a broker follows the ensemble.
#[must_use]
pub fn via(state: &State, status: &BrokerStatus) -> Option<Member> {
    let port = status.node.as_deref()?.rsplit(':').next()?;
    state.nodes.iter().find(|node| node.address.rsplit(':').next() == Some(port)).map(|node| node.member)
}

/// Takes an answer, or that there was none.
pub fn take(state: &mut State, now: Duration, index: usize, status: Option<BrokerStatus>) {
    let Some(broker) = state.brokers.get_mut(index) else { return };
    // An answer that was under way when the process ended speaks of nobody any more.
    let Some(status) = status.filter(|_| broker.process.pid().is_some()) else { return };
    let was_current = broker.current(now).is_some();
    if !was_current || broker.sight.status.as_ref() != Some(&status) {
        state.version += 1;
    }
    broker.sight = BrokerSight { status: Some(status), heard: Some(now) };
}

/// When the screen changes because a broker has been silent for too long.
pub fn next_changes(state: &State) -> impl Iterator<Item = Duration> {
    let working = state.brokers.iter().filter(|broker| broker.process.can_work());
    working.filter_map(|broker| Some(broker.sight.heard? + BROKER_STALE_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Observed;

    fn state(said: &[(u64, &str)]) -> State {
        let addresses = (0..said.len()).map(|index| format!("127.0.0.1:{}", 9090 + index)).collect();
        let mut state = State::new(vec!["127.0.0.1:8080".into(), "127.0.0.1:8081".into()], addresses);
        for (index, (zxid, checksum)) in said.iter().enumerate() {
            state.brokers[index].process.observed = Observed::Running(7);
            let status = BrokerStatus {
                in_touch: true,
                node: Some("localhost:8081".into()),
                zxid: *zxid,
                checksum: (*checksum).into(),
                registered: vec!["9090".into(), "9092".into()],
                ..BrokerStatus::default()
            };
            take(&mut state, Duration::from_secs(1), index, Some(status));
        }
        state
    }

    fn orders(state: &State, now: u64) -> Vec<Order> {
        state.brokers.iter().map(|broker| order(state, broker, Duration::from_secs(now))).collect()
    }

    #[test]
    fn brokers_at_one_event_must_agree() {
        assert_eq!(orders(&state(&[(5, "a"), (5, "a"), (7, "b")]), 1), [Order::Same, Order::Same, Order::Alone]);
        assert_eq!(orders(&state(&[(5, "a"), (5, "b")]), 1), [Order::Differs, Order::Differs]);
        assert_eq!(orders(&state(&[(5, "a"), (5, "b")]), 9), [Order::Unknown, Order::Unknown], "they are silent");
    }

    #[test]
    fn who_is_registered_is_known_from_one_that_is_in_touch() {
        let mut state = state(&[(1, ""), (1, ""), (1, "")]);
        let now = Duration::from_secs(2);
        assert_eq!(registered(&state, now), Some(2));
        assert_eq!(via(&state, state.brokers[0].current(now).unwrap()), Some(Member::Node(2)));
        for broker in &mut state.brokers {
            broker.sight.status.as_mut().unwrap().in_touch = false;
        }
        assert_eq!(registered(&state, now), None);
    }
}
