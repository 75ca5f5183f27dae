//! Known defects, built in on demand: the simulator proves itself by finding each of them again.
//!
//! Every one sits where effects and inputs cross between the protocol and its runtime, or in the simulator's copy of a
//! client, so the product stays clean.
//! The numbers are those of the ZooKeeper issues in protocol.md 2.6.

use zw_core::ids::SessionId;
use zw_core::log::record::Entry;
use zw_core::tree::command::{Check, Command, Delete, Done, Envelope, Multi, Reply, SessionReply};
use zw_core::tree::{Applied, Tree};

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
    /// The last two records of a batch are written in the wrong order (4643).
    SwapRecords,
    /// Names in a directory are taken for durable without a sync of it.
    LoseDirectoryFsync,
    /// A write that failed is reported as durable.
    IgnoreDiskError,
    /// Damage is taken for a torn tail, wherever it is.
    CutDamage,
    /// Some records of a synchronisation are lost, and the follower does not notice by the predecessor of those that
    /// come after them (4925).
    IgnorePrevious,
    /// A node votes before everything that it wrote is on disk (4712).
    SkipDrain,
    /// A leader answers a barrier without the echo of a quorum.
    BarrierWithoutEcho,
    /// A session ends on one node, but its last ephemeral stays there (2355).
    SkipEphemeral,
    /// A watch's event is sent after the answers that show its change.
    LateEvent,
    /// Now and then a watch fires and nobody hears of it.
    DropEvent,
    /// Each watch fires twice.
    RepeatEvent,
    /// A client takes the first of its watches to be armed again for all of them.
    HastyRearm,
    /// A leader takes no notice of signs of life.
    ExpireEarly,
    /// Followers do not tell the leader of signs of life.
    LoseTouches,
    /// A leader that was deposed goes on to end sessions by its own clock.
    ExpireDeposed,
    /// A session is attached, but its generation does not rise.
    KeepGeneration,
    /// Nothing is wrong, and the check fails all the same: proves that a failure is noticed.
    Canary,
}

/// Every sabotage with its name.
pub const SABOTAGES: [(&str, Sabotage); 34] = [
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
    ("swap-records", Sabotage::SwapRecords),
    ("lose-directory-fsync", Sabotage::LoseDirectoryFsync),
    ("ignore-disk-error", Sabotage::IgnoreDiskError),
    ("cut-damage", Sabotage::CutDamage),
    ("ignore-previous", Sabotage::IgnorePrevious),
    ("skip-drain", Sabotage::SkipDrain),
    ("barrier-without-echo", Sabotage::BarrierWithoutEcho),
    ("skip-ephemeral", Sabotage::SkipEphemeral),
    ("late-event", Sabotage::LateEvent),
    ("drop-event", Sabotage::DropEvent),
    ("repeat-event", Sabotage::RepeatEvent),
    ("hasty-rearm", Sabotage::HastyRearm),
    ("expire-early", Sabotage::ExpireEarly),
    ("lose-touches", Sabotage::LoseTouches),
    ("expire-deposed", Sabotage::ExpireDeposed),
    ("keep-generation", Sabotage::KeepGeneration),
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
        matches!(
            self,
            Sabotage::SkipPromise
                | Sabotage::DropTruncate
                | Sabotage::ForgetRecord
                | Sabotage::SwapRecords
                | Sabotage::CutDamage
        )
    }
}

/// Applies an entry with the defects that a sabotage builds in.
pub(crate) fn apply_entry(
    sabotage: Option<Sabotage>,
    node: usize,
    tree: &mut Tree,
    entry: &Entry,
) -> Option<(Envelope, Applied)> {
    match (sabotage, entry.is_marker()) {
        (Some(Sabotage::SkipEphemeral), false) if node == 0 => skip_ephemeral(tree, entry),
        (Some(Sabotage::KeepGeneration), false) => keep_generation(tree, entry),
        _ => tree.apply_entry(entry),
    }
}

/// A session ends, but its last ephemeral stays.
fn skip_ephemeral(tree: &mut Tree, entry: &Entry) -> Option<(Envelope, Applied)> {
    let envelope = Envelope::decode(&entry.payload()).expect("an entry of this world");
    let Command::CloseSession(close) = &envelope.command else { return tree.apply_entry(entry) };
    let mut paths = tree.ephemerals(close.session);
    if paths.pop().is_none() {
        return tree.apply_entry(entry);
    }
    let delete = |path| Command::Delete(Delete { path, version: -1 });
    let deletes = Command::Multi(Multi { operations: paths.into_iter().map(delete).collect() });
    let altered = Envelope { session: SessionId::NONE, command: deletes, ..envelope.clone() };
    let events = tree.apply(entry.zxid(), entry.time_ms(), &altered).events;
    Some((envelope, Applied { reply: Ok(Reply::Done(Done)), events }))
}

/// A session is attached without its generation rising, on every node.
fn keep_generation(tree: &mut Tree, entry: &Entry) -> Option<(Envelope, Applied)> {
    let envelope = Envelope::decode(&entry.payload()).expect("an entry of this world");
    let Command::AttachSession(attach) = &envelope.command else { return tree.apply_entry(entry) };
    let Some(session) = tree.session(attach.session).cloned() else { return tree.apply_entry(entry) };
    let nothing = Command::Check(Check { path: "/".into(), version: -1 });
    let altered = Envelope { session: SessionId::NONE, command: nothing, ..envelope.clone() };
    tree.apply(entry.zxid(), entry.time_ms(), &altered);
    let granted =
        SessionReply { session: attach.session, timeout_ms: session.timeout_ms, generation: session.generation };
    Some((envelope, Applied { reply: Ok(Reply::Session(granted)), events: Vec::new() }))
}
