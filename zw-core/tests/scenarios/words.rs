//! Messages as words: what the stage prints for one, and the same words read back for `inject`.
//!
//! Grammar: the kind, then keywords with their values; commas, and a colon at a word's end, are only for the eye.

use bytes::Bytes;
use std::collections::BTreeMap;
use zw_core::ids::{Epoch, NodeId, Zxid};
use zw_core::log::record::{Entry, Record};
use zw_core::tree::Tree;
use zw_core::tree::command::{Acl, Command, Create, CreateMode, Envelope};
use zw_core::tree::snapshot::{self, Decoder};
use zw_core::zab::effects::Proposal;
use zw_core::zab::message::{
    Ack, AckEpoch, Append, Candidate, EpochEnd, Goodbye, Heartbeat, HeartbeatAck, Hello, Message, NewEpoch, Reason,
    SnapshotOffer, Standing, Truncate, Vote,
};

/// The kinds of messages, as they are printed.
pub(crate) const KINDS: [&str; 16] = [
    "Vote",
    "Hello",
    "NewEpoch",
    "AckEpoch",
    "Truncate",
    "SnapshotOffer",
    "Append",
    "Ack",
    "Heartbeat",
    "HeartbeatAck",
    "Forward",
    "ForwardReply",
    "BarrierRequest",
    "BarrierReply",
    "Goodbye",
    "Digest",
];

/// A list with spaces; "nothing" if it is empty.
pub(crate) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "nothing".into() } else { items.join(" ") }
}

/// The zxids of entries.
pub(crate) fn zxids<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> String {
    list(entries.into_iter().map(Entry::zxid))
}

/// A record of the log.
pub(crate) fn record(record: &Record) -> String {
    match record {
        Record::Promise(promise) => format!("[promise {} to {}]", promise.epoch, promise.leader),
        Record::Entry(entry) => entry.zxid().to_string(),
        Record::Truncate { after } => format!("[truncate after {after}]"),
        Record::Snapshot(snapshot) => format!("[snapshot {}]", snapshot.zxid),
    }
}

/// A message; `command` names what a payload holds.
pub(crate) fn message(message: &Message, command: &dyn Fn(&Bytes) -> String) -> String {
    match message {
        Message::Vote(vote) => {
            let Candidate { zxid, node } = vote.candidate;
            let standing = match vote.standing {
                Standing::Looking => "for",
                Standing::Following => "following",
                Standing::Leading => "leading",
            };
            format!("Vote {standing} {node} at {zxid}, round {}", vote.round)
        }
        Message::Hello(hello) => format!("Hello promised {} to {}", hello.promised, hello.to),
        Message::NewEpoch(new) => format!("NewEpoch {}", new.epoch),
        Message::AckEpoch(ack) => {
            let ends = list(ack.epoch_ends.iter().map(|end| end.0));
            format!("AckEpoch {}, last {}, ends {ends}", ack.epoch, ack.last_zxid)
        }
        Message::Truncate(truncate) => format!("Truncate after {}, epoch {}", truncate.after, truncate.epoch),
        Message::SnapshotOffer(offer) => format!("SnapshotOffer at {}, epoch {}", offer.zxid, offer.epoch),
        Message::Append(append) => {
            let Append { epoch, previous, commit, entries } = append;
            format!("Append after {previous}: {}, commit {commit}, epoch {epoch}", zxids(entries))
        }
        Message::Ack(ack) => format!("Ack {}, epoch {}", ack.zxid, ack.epoch),
        Message::Heartbeat(heartbeat) => {
            format!("Heartbeat round {}, commit {}, epoch {}", heartbeat.round, heartbeat.commit, heartbeat.epoch)
        }
        Message::HeartbeatAck(ack) => format!("HeartbeatAck round {}, epoch {}", ack.round, ack.epoch),
        Message::Forward(forward) => {
            format!("Forward {}", list(forward.proposals.iter().map(|proposal: &Proposal| command(&proposal.payload))))
        }
        Message::ForwardReply(reply) => format!("ForwardReply {:?}", reply.why),
        Message::BarrierRequest(_) => "BarrierRequest".into(),
        Message::BarrierReply(reply) => format!("BarrierReply at {}", reply.zxid),
        Message::Goodbye(goodbye) => format!("Goodbye {:?}", goodbye.reason),
        Message::Digest(digest) => format!("Digest at {}", digest.zxid),
    }
}

/// The words of a message, sorted by the keyword before them.
struct Words<'a> {
    by_keyword: BTreeMap<&'a str, Vec<&'a str>>,
}

const KEYWORDS: [&str; 12] =
    ["after", "at", "commit", "ends", "epoch", "following", "for", "last", "leading", "promised", "round", "to"];

impl<'a> Words<'a> {
    fn new(words: &[&'a str]) -> Words<'a> {
        let mut by_keyword: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut keyword = "";
        for word in words {
            let word = word.trim_end_matches([',', ':']);
            if KEYWORDS.contains(&word) {
                keyword = word;
                by_keyword.entry(keyword).or_default();
            } else if word != "nothing" {
                by_keyword.entry(keyword).or_default().push(word);
            }
        }
        Words { by_keyword }
    }

    fn all<T: std::str::FromStr>(&self, keyword: &str) -> Result<Vec<T>, String> {
        let words = self.by_keyword.get(keyword).map(Vec::as_slice).unwrap_or_default();
        words.iter().map(|word| word.parse().map_err(|_| format!("{keyword} {word:?} makes no sense"))).collect()
    }

    fn one<T: std::str::FromStr>(&self, keyword: &str) -> Result<T, String> {
        let mut all = self.all(keyword)?;
        if all.len() == 1 { Ok(all.remove(0)) } else { Err(format!("{keyword:?} needs one value")) }
    }

    fn epoch(&self, keyword: &str) -> Result<Epoch, String> {
        self.one(keyword).map(Epoch)
    }
}

/// Reads a message in the words of [`message`]. Entries that `known` does not have are made up.
pub(crate) fn parse(words: &[&str], known: &dyn Fn(Zxid) -> Option<Entry>) -> Result<Message, String> {
    let Some((kind, rest)) = words.split_first() else { return Err("which message?".into()) };
    let words = Words::new(rest);
    let message = match *kind {
        "Vote" => Message::Vote(vote(&words)?),
        "Hello" => Message::Hello(Hello { promised: words.epoch("promised")?, to: NodeId(words.one("to")?) }),
        "NewEpoch" => Message::NewEpoch(NewEpoch { epoch: words.epoch("")? }),
        "AckEpoch" => Message::AckEpoch(AckEpoch {
            epoch: words.epoch("")?,
            last_zxid: words.one("last")?,
            epoch_ends: words.all("ends")?.into_iter().map(EpochEnd).collect(),
        }),
        "Truncate" => Message::Truncate(Truncate { epoch: words.epoch("epoch")?, after: words.one("after")? }),
        "SnapshotOffer" => {
            Message::SnapshotOffer(SnapshotOffer { epoch: words.epoch("epoch")?, zxid: words.one("at")? })
        }
        "Append" => {
            let zxids: Vec<Zxid> = words.all("after")?;
            let (previous, entries) = zxids.split_first().ok_or("after what?")?;
            let entries = entries.iter().map(|zxid| known(*zxid).unwrap_or_else(|| strange_entry(*zxid))).collect();
            let (epoch, commit) = (words.epoch("epoch")?, words.one("commit")?);
            Message::Append(Append { epoch, previous: *previous, commit, entries })
        }
        "Ack" => Message::Ack(Ack { epoch: words.epoch("epoch")?, zxid: words.one("")? }),
        "Heartbeat" => Message::Heartbeat(Heartbeat {
            epoch: words.epoch("epoch")?,
            round: words.one("round")?,
            commit: words.one("commit")?,
        }),
        "HeartbeatAck" => Message::HeartbeatAck(HeartbeatAck {
            epoch: words.epoch("epoch")?,
            round: words.one("round")?,
            touched: Vec::new(),
        }),
        "Goodbye" => Message::Goodbye(Goodbye {
            reason: if rest.first() == Some(&"Left") { Reason::Left } else { Reason::Abdicated },
        }),
        other => return Err(format!("{other:?} cannot be injected")),
    };
    Ok(message)
}

fn vote(words: &Words) -> Result<Vote, String> {
    let standings = [("for", Standing::Looking), ("following", Standing::Following), ("leading", Standing::Leading)];
    let Some((keyword, standing)) = standings.into_iter().find(|(keyword, _)| words.by_keyword.contains_key(keyword))
    else {
        return Err("a vote is \"for\" a node, \"following\" it or \"leading\"".into());
    };
    let candidate = Candidate { zxid: words.one("at")?, node: NodeId(words.one(keyword)?) };
    Ok(Vote { round: words.one("round")?, candidate, standing })
}

/// An entry that no leader made.
fn strange_entry(zxid: Zxid) -> Entry {
    if zxid.counter() == 0 {
        return Entry::new(zxid, 0, b"");
    }
    let command = create("/strange", CreateMode::Persistent);
    let envelope = Envelope { origin: NodeId(0), tag: 0, session: Default::default(), generation: 0, command };
    Entry::new(zxid, 0, &envelope.encode())
}

/// A command that makes a znode.
pub(crate) fn create(path: &str, mode: CreateMode) -> Command {
    Command::Create(Create { path: path.into(), data: Bytes::new(), acl: Acl::open(), mode, ttl_ms: 0 })
}

/// A tree in the format of snapshots.
pub(crate) fn snapshot_bytes(tree: &Tree) -> Vec<u8> {
    snapshot::encode(tree.clone()).flatten().collect()
}

/// The tree that a snapshot holds, if it is whole.
pub(crate) fn read_snapshot(bytes: &[u8]) -> Result<Tree, String> {
    let mut decoder = Decoder::new();
    decoder.push(bytes).map_err(|error| error.to_string())?;
    decoder.finish().map_err(|error| error.to_string())
}
