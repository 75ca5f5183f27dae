//! Known defects, built in on demand: the simulator proves itself by finding each of them again.
//!
//! Every one sits where effects and inputs cross between the protocol and its runtime, so the product stays clean.
//! The numbers are those of the ZooKeeper issues in protocol.md 2.6.

/// A defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sabotage {
    /// `Durable` is reported when records are handed over, not when they are on disk (3023, 3911, 4646).
    EarlyDurable,
    /// Promises are not written (1291).
    SkipPromise,
    /// Truncations are not written.
    DropTruncate,
    /// A power loss takes one durable record more than it should.
    ForgetRecord,
    /// A follower acknowledges what it has received, not what it has.
    AckReceived,
    /// A leader tells a watermark that no quorum has acknowledged.
    EarlyCommit,
    /// A follower reports an older end of its log than it has, so that rule D5 has no effect.
    UnderstateLog,
    /// Entries reach the tree when they are written, not when they are committed (2845).
    ApplyUncommitted,
    /// A write is answered when it is written, not when it is applied.
    AnswerEarly,
    /// A barrier is answered by the node alone (1675).
    LocalBarrier,
    /// A barrier read does not wait until its zxid is applied.
    ImpatientBarrier,
    /// A session's reads do not wait for what the session has seen.
    ForgetSeen,
    /// Tags start anew with each process, so that old entries answer new requests.
    ReuseTags,
    /// A refused write is proposed nevertheless.
    RefuseAndPropose,
    /// A received snapshot is recorded but its file is lost at the next power loss.
    LoseSnapshotFile,
    /// One node's tree skips every hundredth entry.
    SkipApply,
    /// The process writes with the promise of its last life undone: restart forgets who it promised.
    ForgetPromise,
    /// Nothing is wrong, and the check fails all the same: proves that a failure is noticed.
    Canary,
}

/// Every sabotage with its name.
pub const SABOTAGES: [(&str, Sabotage); 18] = [
    ("early-durable", Sabotage::EarlyDurable),
    ("skip-promise", Sabotage::SkipPromise),
    ("drop-truncate", Sabotage::DropTruncate),
    ("forget-record", Sabotage::ForgetRecord),
    ("ack-received", Sabotage::AckReceived),
    ("early-commit", Sabotage::EarlyCommit),
    ("understate-log", Sabotage::UnderstateLog),
    ("apply-uncommitted", Sabotage::ApplyUncommitted),
    ("answer-early", Sabotage::AnswerEarly),
    ("local-barrier", Sabotage::LocalBarrier),
    ("impatient-barrier", Sabotage::ImpatientBarrier),
    ("forget-seen", Sabotage::ForgetSeen),
    ("reuse-tags", Sabotage::ReuseTags),
    ("refuse-and-propose", Sabotage::RefuseAndPropose),
    ("lose-snapshot-file", Sabotage::LoseSnapshotFile),
    ("skip-apply", Sabotage::SkipApply),
    ("forget-promise", Sabotage::ForgetPromise),
    ("canary", Sabotage::Canary),
];

impl Sabotage {
    /// The sabotage of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Sabotage> {
        SABOTAGES.iter().find(|(known, _)| *known == name).map(|(_, sabotage)| *sabotage)
    }

    /// Whether the disk's log itself becomes wrong, which the next start would report by itself.
    #[must_use]
    pub fn damages_log(self) -> bool {
        matches!(self, Sabotage::SkipPromise | Sabotage::DropTruncate | Sabotage::ForgetRecord)
    }
}
