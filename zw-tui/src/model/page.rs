//! The page of one child: all that is known of it, in lines.

use super::broker::{Order, order, via};
use super::events::{Level, Source};
use super::select::{clock, node_face, percentile, printable, process_words, seconds, short};
use super::sight::Freshness;
use super::tree::Value;
use super::{Broker, Desired, Node, Observed, Pane, Process, State, value};
use crate::member::Member;
use std::time::Duration;
use zw_core::wire::admin::{PeerStatus, Status};

/// Bytes of a value that the page shows.
const VALUE_BYTES_MAX: usize = 64 * 1_024;
/// Events of the child that the page ends with.
const EVENTS_SHOWN: usize = 12;

/// A line of a page, and how much attention it deserves.
pub type Line = (String, Level);

fn plain(text: impl Into<String>) -> Line {
    (text.into(), Level::Info)
}

/// What the page is about, for its title.
#[must_use]
pub fn title(state: &State) -> String {
    match state.selected() {
        _ if state.focus() == Pane::Tree => printable(state.tree.selected().as_bytes(), 120),
        Some(member) => member.to_string(),
        None => String::new(),
    }
}

/// The page of the selected znode in the tree's pane, else of the selected child.
#[must_use]
pub fn lines(state: &State, now: Duration) -> Vec<Line> {
    if state.focus() == Pane::Tree {
        return of_znode(state);
    }
    let Some(member) = state.selected() else { return vec![plain("nothing is selected")] };
    let mut lines = match member {
        Member::Node(_) => state.nodes.get(member.index()).map(|node| of_node(state, node, now)),
        Member::Broker(_) => state.brokers.get(member.index()).map(|broker| of_broker(state, broker, now)),
    }
    .unwrap_or_default();
    lines.push(plain(""));
    lines.push(plain("Its latest events:"));
    let about = state.events.iter().rev().filter(|event| {
        event.source == Source::Member(member) || event.text.split([' ', ',']).any(|word| word == member.to_string())
    });
    let mut events: Vec<Line> = about
        .take(EVENTS_SHOWN)
        .map(|event| {
            let text = printable(event.text.as_bytes(), 512);
            (format!("  {}  {:<4} {text}", clock(event.at), event.source.to_string()), event.level)
        })
        .collect();
    events.reverse();
    lines.append(&mut events);
    lines
}

fn of_znode(state: &State) -> Vec<Line> {
    let path = state.tree.selected();
    let (data, stat) = match &state.tree.value {
        Some(Value { path: read, content: Ok(content) }) if *read == path => content,
        Some(Value { path: read, content: Err(reason) }) if *read == path => {
            return vec![(printable(reason.as_bytes(), 1_024), Level::Warning)];
        }
        _ => return vec![plain("reading")],
    };
    let owner = match stat.ephemeral_owner.0 {
        0 => "none, it stays until it is deleted".to_owned(),
        _ => format!("session {}, it goes with it", stat.ephemeral_owner),
    };
    let mut lines = vec![
        plain(format!("data      {} bytes  version {}  zxid {}", stat.data_length, stat.version, stat.mzxid)),
        plain(format!("made      zxid {}", stat.czxid)),
        plain(format!("children  {}  changed {} times, zxid {}", stat.num_children, stat.cversion, stat.pzxid)),
        plain(format!("owner     {owner}")),
        plain(""),
    ];
    if data.is_empty() {
        lines.push(plain("It holds no data."));
    }
    lines.extend(value::lines(data, VALUE_BYTES_MAX).into_iter().map(plain));
    lines
}

fn of_process(state: &State, member: Member, address: &str, process: &Process, now: Duration) -> Vec<Line> {
    let wanted = match process.desired {
        Desired::Up => "up",
        Desired::Down => "down",
        Desired::Paused => "paused",
    };
    let (seen, level) = match process_words(state, member, now) {
        Some((words, is_bad)) => (words, if is_bad { Level::Warning } else { Level::Info }),
        None => ("runs".into(), Level::Info),
    };
    let since = clock(process.desired_since);
    if process.observed == Observed::Foreign {
        return vec![plain(format!("address   {address}  (not started by this console)"))];
    }
    let pid = process.pid().map_or_else(String::new, |pid| format!("  pid {pid}"));
    let starts = if process.starts > 1 { format!("  started {} times", process.starts) } else { String::new() };
    vec![
        plain(format!("address   {address}{pid}{starts}")),
        (format!("process   wanted {wanted} since {since}, seen: {}", printable(seen.as_bytes(), 1_024)), level),
    ]
}

fn of_broker(state: &State, broker: &Broker, now: Duration) -> Vec<Line> {
    let mut lines = of_process(state, broker.member, &broker.address, &broker.process, now);
    let Some(status) = &broker.sight.status else {
        lines.push(plain("It has not answered yet."));
        return lines;
    };
    match broker.sight.heard {
        Some(heard) if broker.current(now).is_none() => {
            lines.push((format!("What it said {} ago:", seconds(now.saturating_sub(heard))), Level::Warning));
        }
        _ => lines.push(plain("")),
    }
    match (status.in_touch, via(state, status)) {
        (true, Some(node)) => lines.push(plain(format!("ensemble  followed through {node}"))),
        (true, None) => lines.push(plain("ensemble  followed")),
        (false, _) => lines.push(("ensemble  no node answers: it shows its own file".to_owned(), Level::Warning)),
    }
    let zxid = zw_core::ids::Zxid(status.zxid);
    let checksum = printable(status.checksum.as_bytes(), 40);
    lines.push(plain(format!("events    {}  last {zxid}  checksum of the newest {checksum}", status.events)));
    lines.push(match order(state, broker, now) {
        Order::Same => plain("order     as every broker that knows the same last event"),
        Order::Differs => ("order     DIFFERS from a broker that knows the same last event".to_owned(), Level::Bad),
        Order::Alone => plain("order     no other broker knows the same last event now"),
        Order::Unknown => plain("order     not known now"),
    });
    lines.push(plain(format!("p99       until an event is ordered: {}", percentile(status.order_p99_us))));
    lines
}

fn of_node(state: &State, node: &Node, now: Duration) -> Vec<Line> {
    let mut lines = of_process(state, node.member, &node.address, &node.process, now);
    if let Some(words) = state.faults.words_of(node.member.index(), now) {
        lines.push((format!("faults    {words}"), Level::Warning));
    }
    let Some(status) = node.sight.status.as_deref() else {
        let why = node.sight.silence.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        lines.push(plain(format!("It has not answered yet{why}")));
        return lines;
    };
    match node.sight.freshness(now) {
        Freshness::Stale(age) => lines.push((format!("What it said {} ago:", seconds(age)), Level::Warning)),
        _ if !node.process.lives() => lines.push((String::from("What it said last:"), Level::Warning)),
        _ => lines.push(plain("")),
    }
    let leader = if status.leader.0 == 0 { "none".to_owned() } else { format!("n{}", status.leader) };
    let word = node_face(state, node, now).word();
    lines.push(plain(format!("role      {word}  epoch {}  leader {leader}", status.epoch)));
    lines.extend(of_status(status).into_iter().map(plain));
    if node.process.observed == Observed::Foreign {
        lines.push(plain(format!("process   pid {} on its host", status.pid)));
    }
    if let Some((writes, reads)) = node.sight.rates() {
        lines.push(plain(format!("rates     {} writes/s applied, {} reads/s answered", short(writes), short(reads))));
    }
    lines.push(plain(""));
    lines.push(plain("The other members, as it sees them:"));
    lines.extend(status.peers.iter().map(of_peer));
    lines
}

fn of_status(status: &Status) -> Vec<String> {
    vec![
        format!("log       last {}  committed {}", status.last_zxid, status.committed_zxid),
        format!("tree      applied {}  {} znodes  digest {:016x}", status.applied_zxid, status.znodes, status.digest),
        format!(
            "clients   {} connections  {} watches  {} requests wait  ({} sessions in the ensemble)",
            status.connections, status.watches, status.queue, status.sessions
        ),
        format!(
            "p99       fdatasync: {}  a client's write: {}",
            percentile(status.fsync_p99_us),
            percentile(status.write_p99_us)
        ),
        format!("memory    {} MiB  version {}", status.rss_bytes >> 20, status.build),
    ]
}

fn of_peer(peer: &PeerStatus) -> Line {
    let link = if peer.connected { "linked" } else { "no link" };
    let acked = match peer.acked_zxid.0 {
        0 => String::new(),
        _ => format!("  acknowledged {}", peer.acked_zxid),
    };
    let problem = if peer.problem.is_empty() { String::new() } else { format!("  {}", peer.problem) };
    let level = if peer.connected && problem.is_empty() { Level::Info } else { Level::Warning };
    (printable(format!("  n{}  {link:<8}{acked}{problem}", peer.node).as_bytes(), 1_024), level)
}
