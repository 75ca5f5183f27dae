//! What peers say to each other (protocol.md 2.4): NEWLEADER, UPTODATE, PROPOSE and COMMIT of ZooKeeper are gone as
//! messages. The epoch's marker, the watermark, the records and the watermark again take their place.

use super::effects::{Proposal, Rejection};
use crate::ids::{Epoch, NodeId, SessionId, Zxid};
use crate::log::record::Entry;
use crate::{kinds, numbered};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

kinds! {
    /// A message between two members. The number of a kind is for ever.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub enum Message {
        /// Where a node stands in the election, or outside it (rules E1 to E3).
        1 => Vote(Vote),
        /// Follower to leader: "I want to follow you" (D1).
        2 => Hello(Hello),
        /// Leader to follower: "promise me this epoch" (D2).
        3 => NewEpoch(NewEpoch),
        /// Follower to leader: "promised, and this is what I have" (D3, D4).
        4 => AckEpoch(AckEpoch),
        /// Leader to follower: "drop what you have after this" (S2).
        5 => Truncate(Truncate),
        /// Leader to follower: "you need a snapshot; fetch one" (S2).
        6 => SnapshotOffer(SnapshotOffer),
        /// Leader to follower: records and the watermark (S3, B4).
        7 => Append(Append),
        /// Follower to leader: "my log is yours up to here, and durable" (B2).
        8 => Ack(Ack),
        /// Leader to follower: "I am here" (B4, B7).
        9 => Heartbeat(Heartbeat),
        /// Follower to leader: "I heard you" (2.9).
        10 => HeartbeatAck(HeartbeatAck),
        /// Follower to leader: commands of its clients.
        11 => Forward(Forward),
        /// Leader to follower: forwarded commands or barriers were not taken.
        12 => ForwardReply(ForwardReply),
        /// Follower to leader: clients want barriers.
        13 => BarrierRequest(BarrierRequest),
        /// Leader to follower: where to wait for.
        14 => BarrierReply(BarrierReply),
        /// The sender leaves the relation, or refuses it.
        15 => Goodbye(Goodbye),
        /// Leader to follower: the digest after an entry.
        16 => Digest(Digest),
    }
}

/// A candidate: compared by epoch, then zxid, then id, as ZooKeeper does (rule E1). The zxid holds the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Candidate {
    /// The last durable zxid of the candidate.
    pub zxid: Zxid,
    /// The candidate.
    pub node: NodeId,
}

/// What the sender of a vote is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Looking for a leader: the candidate is its vote.
    Looking,
    /// Following the candidate.
    Following,
    /// Leading: it is the candidate itself.
    Leading,
}

/// See [`Message::Vote`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// The election's round at the sender.
    pub round: u64,
    /// Whom it votes for, follows, or itself.
    pub candidate: Candidate,
    /// What it is doing.
    pub standing: Standing,
}

/// See [`Message::Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hello {
    /// The lowest epoch that the sender still accepts.
    pub promised: Epoch,
    /// The only leader that it accepts in that epoch.
    pub to: NodeId,
}

/// See [`Message::NewEpoch`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NewEpoch {
    /// Above every epoch that a quorum has promised.
    pub epoch: Epoch,
}

/// The last counter of an epoch in a log (rule D4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EpochEnd(pub Zxid);

/// See [`Message::AckEpoch`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AckEpoch {
    /// The epoch promised.
    pub epoch: Epoch,
    /// The sender's last durable entry.
    pub last_zxid: Zxid,
    /// The last entry of each epoch in its log, ascending.
    pub epoch_ends: Vec<EpochEnd>,
}

/// See [`Message::Truncate`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Truncate {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The last entry that stands.
    pub after: Zxid,
}

/// See [`Message::SnapshotOffer`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotOffer {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The least zxid a snapshot must have to be of use.
    pub zxid: Zxid,
}

/// See [`Message::Append`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Append {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The entry before the first of these; accepted only if it is the receiver's last (S3).
    pub previous: Zxid,
    /// The leader's commit watermark.
    pub commit: Zxid,
    /// The entries, contiguous; none when only the watermark is news.
    #[serde(serialize_with = "write_entries", deserialize_with = "read_entries")]
    pub entries: Vec<Entry>,
}

/// See [`Message::Ack`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ack {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The last entry that is durable and equal to the leader's.
    pub zxid: Zxid,
}

/// See [`Message::Heartbeat`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// Echoed; a quorum's echo of a round proves leadership when the round was sent (2.9).
    pub round: u64,
    /// The leader's commit watermark.
    pub commit: Zxid,
}

/// See [`Message::HeartbeatAck`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeartbeatAck {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// The round heard.
    pub round: u64,
    /// Sessions that gave a sign of life at the sender since its last answer.
    pub touched: Vec<SessionId>,
}

/// See [`Message::Forward`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Forward {
    /// The commands, in order.
    pub proposals: Vec<Proposal>,
}

/// See [`Message::ForwardReply`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForwardReply {
    /// The tags of what was not taken.
    pub tags: Vec<u64>,
    /// Why not.
    pub why: Rejection,
}

/// See [`Message::BarrierRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BarrierRequest {
    /// One for each barrier; given back.
    pub tags: Vec<u64>,
}

/// See [`Message::BarrierReply`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BarrierReply {
    /// The tags of the barriers that this round answers.
    pub tags: Vec<u64>,
    /// Where to wait for.
    pub zxid: Zxid,
}

/// See [`Message::Goodbye`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why.
    pub reason: Reason,
}

/// See [`Message::Digest`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest {
    /// The last entry applied.
    pub zxid: Zxid,
    /// The digest of the tree after it.
    pub digest: u64,
}

/// Why a relation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The leader gives up: its quorum is gone or it may not lead.
    Abdicated,
    /// The follower gives its leader up.
    Left,
}

numbered!(Standing { 0 => Looking, 1 => Following, 2 => Leading });
numbered!(Reason { 1 => Abdicated, 2 => Left });
numbered!(Rejection { 0 => NoQuorum, 1 => Overloaded, 2 => DiskFull });

/// Writes the entries' records one after the other, as one byte string.
fn write_entries<S: Serializer>(entries: &[Entry], serializer: S) -> Result<S::Ok, S::Error> {
    let mut records = BytesMut::with_capacity(entries.iter().map(|entry| entry.record().len()).sum());
    entries.iter().for_each(|entry| records.extend_from_slice(entry.record()));
    serializer.serialize_bytes(&records)
}

/// Reads records, checking each one's checksum; only entries are allowed.
fn read_entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    use crate::log::record::Record;
    let mut records = Bytes::deserialize(deserializer)?;
    let mut entries = Vec::new();
    while !records.is_empty() {
        match Record::decode(&mut records).map_err(serde::de::Error::custom)? {
            Record::Entry(entry) => entries.push(entry),
            other => return Err(serde::de::Error::custom(format!("{other:?} in an append"))),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back() {
        let zxid = Zxid::new(Epoch(3), 9);
        let candidate = Candidate { zxid, node: NodeId(2) };
        let proposal = Proposal { tag: 7, payload: Bytes::from_static(b"command") };
        let entries = vec![Entry::new(Zxid::marker(Epoch(3)), 5, b""), Entry::new(Zxid::new(Epoch(3), 1), 6, b"x")];
        let messages = [
            Message::Vote(Vote { round: 4, candidate, standing: Standing::Following }),
            Message::Hello(Hello { promised: Epoch(2), to: NodeId(1) }),
            Message::NewEpoch(NewEpoch { epoch: Epoch(3) }),
            Message::AckEpoch(AckEpoch { epoch: Epoch(3), last_zxid: zxid, epoch_ends: vec![EpochEnd(zxid)] }),
            Message::Truncate(Truncate { epoch: Epoch(3), after: zxid }),
            Message::SnapshotOffer(SnapshotOffer { epoch: Epoch(3), zxid }),
            Message::Append(Append { epoch: Epoch(3), previous: Zxid::ZERO, commit: zxid, entries }),
            Message::Ack(Ack { epoch: Epoch(3), zxid }),
            Message::Heartbeat(Heartbeat { epoch: Epoch(3), round: 8, commit: zxid }),
            Message::HeartbeatAck(HeartbeatAck { epoch: Epoch(3), round: 8, touched: vec![SessionId(1)] }),
            Message::Forward(Forward { proposals: vec![proposal] }),
            Message::ForwardReply(ForwardReply { tags: vec![7], why: Rejection::Overloaded }),
            Message::BarrierRequest(BarrierRequest { tags: vec![1, 2] }),
            Message::BarrierReply(BarrierReply { tags: vec![1, 2], zxid }),
            Message::Goodbye(Goodbye { reason: Reason::Abdicated }),
            Message::Digest(Digest { zxid, digest: 11 }),
        ];
        for (index, message) in messages.into_iter().enumerate() {
            let mut frame = Vec::new();
            message.encode_frame(&mut frame);
            assert_eq!(usize::from(frame[0]), index + 1, "kinds keep their numbers");
            assert_eq!(Message::decode_frame(&frame), Ok(message.clone()));
            for cut in 0..frame.len() {
                assert!(Message::decode_frame(&frame[..cut]).is_err(), "{message:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_damaged_record_is_refused() {
        let entries = vec![Entry::new(Zxid::new(Epoch(3), 1), 6, b"payload")];
        let append = Append { epoch: Epoch(3), previous: Zxid::ZERO, commit: Zxid::ZERO, entries };
        let mut frame = Vec::new();
        Message::Append(append).encode_frame(&mut frame);
        *frame.last_mut().unwrap() ^= 1;
        assert!(Message::decode_frame(&frame).is_err());
    }
}
