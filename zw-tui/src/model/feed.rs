//! The use case from its producer's side: football events that are sent to a broker, and the brokers' pages.

use super::State;
use super::acts::say;
use super::events::{Event, Level, Source};
use super::jobs::{Of, Outcome};
use super::message::Effect;
use super::select::micros;
use super::verdict::judge;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Events of one feed: each has a minute of its own, and a match has no more.
pub const FEED_MAX: u32 = 200;

/// What is to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedPlan {
    /// How many events, one after the other.
    pub count: u32,
    /// The broker that it begins with, from 0; the others take over if that one fails.
    pub broker: usize,
    /// Ports of nodes that the broker is to write to, in turn; any if there are none.
    pub receivers: Vec<String>,
    /// Every so many events the producer dies before its answer, and another one sends its request again.
    pub dies_every: Option<u32>,
}

/// What a feed has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedReport {
    /// What the ids of its requests begin with.
    pub name: String,
    /// Events that were acknowledged.
    pub acknowledged: u32,
    /// Requests that were sent again.
    pub repeated: u32,
    /// The longest time without an acknowledged event.
    pub longest_gap: Duration,
    /// Since it began.
    pub took: Duration,
    /// Whether it is over; with why, if not all were acknowledged.
    pub is_over: bool,
    /// Why it gave up.
    pub failure: Option<String>,
    /// Why the newest request that failed did, as long as the feed goes on.
    pub trouble: Option<String>,
}

/// The newest feed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Feed {
    /// Counts the feeds from 1.
    pub run: u32,
    /// What is to be sent.
    pub plan: FeedPlan,
    /// What it has come to; none before its first report.
    pub report: Option<FeedReport>,
}

/// An event as a broker shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageEvent {
    /// Its place in the one order.
    pub zxid: u64,
    /// Its minute.
    pub minute: u32,
    /// Its request.
    pub request: String,
}

/// What a broker shows, or why nothing is known of that.
pub type Page = Result<Vec<PageEvent>, String>;

impl Feed {
    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.is_over)
    }
}

/// The ports of the nodes that `whom` means.
///
/// # Errors
/// There are none, or the word is no such.
pub fn receivers(state: &State, now: Duration, whom: &str) -> Result<Vec<String>, String> {
    let leader = judge(state, now).leader.map(|leader| usize::from(leader.0).saturating_sub(1));
    let ports = |is_meant: &dyn Fn(usize) -> bool| -> Vec<String> {
        let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
        let meant = state.nodes.iter().enumerate().filter(|(node, _)| is_meant(*node));
        meant.map(|(_, node)| port(&node.address)).collect()
    };
    match (whom, leader) {
        ("random", _) => Ok(ports(&|_| true)),
        ("leader" | "followers", None) => Err("nobody leads now".into()),
        ("leader", leader) => Ok(ports(&|node| Some(node) == leader)),
        ("followers", leader) => Ok(ports(&|node| Some(node) != leader)),
        (other, _) => Err(format!("{other:?} is neither leader nor followers nor random")),
    }
}

/// Begins a feed.
pub fn begin(state: &mut State, now: Duration, plan: FeedPlan) -> Vec<Effect> {
    if state.feed.as_ref().is_some_and(|feed| !feed.is_over()) {
        say(state, now, "events are being sent already".into(), true);
        return Vec::new();
    }
    let run = state.feed.as_ref().map_or(0, |feed| feed.run) + 1;
    let text = format!("feed {} events to b{}", plan.count, plan.broker + 1);
    let is_to = |whom: &&str| receivers(state, now, whom).is_ok_and(|ports| ports == plan.receivers);
    let to = ["leader", "followers", "random"].into_iter().find(is_to);
    let to = to.map_or_else(String::new, |whom| format!(" {whom}"));
    let dying = plan.dies_every.map_or("", |_| " dying");
    state.begin_job(now, format!(":feed {} b{}{to}{dying}", plan.count, plan.broker + 1), Of::Feed(run));
    note(state, now, Source::You, Level::Info, text);
    state.feed = Some(Feed { run, plan: plan.clone(), report: None });
    vec![Effect::Feed { run, plan }]
}

/// Takes a report.
pub(super) fn on_report(state: &mut State, now: Duration, run: u32, report: FeedReport) {
    let Some(feed) = state.feed.as_mut().filter(|feed| feed.run == run) else { return };
    let count = feed.plan.count;
    let words = report.is_over.then(|| {
        let took = micros(u64::try_from(report.took.as_micros()).unwrap_or(u64::MAX));
        match &report.failure {
            None => (Level::Info, format!("{} of {count} events acknowledged in {took}", report.acknowledged)),
            Some(why) => (Level::Bad, format!("{} of {count} events acknowledged: {why}", report.acknowledged)),
        }
    });
    feed.report = Some(report);
    state.version += 1;
    if let Some((level, words)) = words {
        let outcome = if level == Level::Info { Outcome::Done(words.clone()) } else { Outcome::Refused(words.clone()) };
        state.end_job(now, &Of::Feed(run), outcome);
        note(state, now, Source::Console, level, words);
    }
}

fn note(state: &mut State, at: Duration, source: Source, level: Level, text: String) {
    state.events.push(Event::new(at, source, level, text));
    state.version += 1;
}

/// Whether all pages show the same, and the events of this feed in the order of their minutes, each once.
///
/// # Errors
/// What is wrong, and whether that may pass: a broker may be behind.
pub fn compare(pages: &[(String, Page)], feed: &FeedReport) -> Result<u64, (String, bool)> {
    let mut first: Option<(&str, &[PageEvent])> = None;
    for (broker, page) in pages {
        let page = page.as_deref().map_err(|reason| (format!("{broker} shows no page: {reason}"), true))?;
        let mine: Vec<&PageEvent> = page.iter().filter(|event| event.request.starts_with(&feed.name)).collect();
        if let Some(pair) = mine.windows(2).find(|pair| pair[0].minute >= pair[1].minute) {
            let text = format!("{broker} shows minute {} before minute {}", pair[0].minute, pair[1].minute);
            return Err((text, false));
        }
        if let Some(pair) = page.windows(2).find(|pair| pair[0].zxid >= pair[1].zxid) {
            return Err((format!("{broker} shows {} before {}", pair[0].zxid, pair[1].zxid), false));
        }
        let count = u32::try_from(mine.len()).unwrap_or(u32::MAX);
        if count != feed.acknowledged {
            let text = format!("{broker} shows {count} of the {} acknowledged events", feed.acknowledged);
            return Err((text, count < feed.acknowledged));
        }
        match first {
            Some((other, events)) if events != page => {
                return Err((format!("{other} and {broker} show different pages"), events.len() != page.len()));
            }
            _ => first = Some((broker, page)),
        }
    }
    let shown = first.map_or(0, |(_, page)| page.len()) * pages.len();
    Ok(u64::try_from(shown).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(acknowledged: u32) -> FeedReport {
        FeedReport {
            name: "f-".into(),
            acknowledged,
            repeated: 0,
            longest_gap: Duration::ZERO,
            took: Duration::ZERO,
            is_over: true,
            failure: None,
            trouble: None,
        }
    }

    fn page(minutes: &[u32]) -> Page {
        let event = |(zxid, minute): (u64, &u32)| PageEvent { zxid, minute: *minute, request: format!("f-{minute}") };
        Ok((1..).zip(minutes).map(event).collect())
    }

    #[test]
    fn pages_must_be_equal_ordered_and_whole() {
        let pages = |one: Page, other: Page| [("b1".to_owned(), one), ("b2".to_owned(), other)];
        assert_eq!(compare(&pages(page(&[1, 2, 3]), page(&[1, 2, 3])), &feed(3)), Ok(6));
        let wrong = |one: &[u32], other: &[u32]| compare(&pages(page(one), page(other)), &feed(3)).unwrap_err();
        assert_eq!(wrong(&[1, 3, 2], &[1, 2, 3]), ("b1 shows minute 3 before minute 2".into(), false));
        assert_eq!(wrong(&[1, 2, 3], &[1, 2]), ("b2 shows 2 of the 3 acknowledged events".into(), true));
        assert_eq!(wrong(&[1, 2, 3, 4], &[1, 2]), ("b1 shows 4 of the 3 acknowledged events".into(), false));
        assert_eq!(wrong(&[1, 2, 3], &[1, 2, 4]), ("b1 and b2 show different pages".into(), false));
        let silent = compare(&pages(page(&[1, 2, 3]), Err("refused".into())), &feed(3)).unwrap_err();
        assert_eq!(silent, ("b2 shows no page: refused".into(), true));
    }
}
