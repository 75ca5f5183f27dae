//! What must hold after every event, one file per property.
//!
//! The checkers look at true disks and at what crosses the boundary between the protocol and its runtime, never at
//! what a node believes of itself alone.
//!
//! | file | properties | rules |
//! |---|---|---|
//! | [`agreement`] | Agreement, TotalOrder, PrefixConsistency | one committed sequence; each node delivers it without a hole |
//! | [`integrity`] | Integrity, LocalPrimaryOrder | delivered once, only what was proposed, never what was refused |
//! | [`committed_on_quorum`] | CommittedOnQuorum | B3: on a quorum of true disks when first delivered |
//! | [`committed_immutable`] | CommittedImmutable | I8: no committed entry leaves a log |
//! | [`ack_implies_durable`] | AckImpliesDurable, promise before speech | I2, I9, E1, D2, D3 |
//! | [`leadership`] | Leadership1/2, PrimaryIntegrity | D5, D6: one leader per epoch, with all that is committed |
//! | [`log_matching`] | PrefixConsistency of logs | I3, I6, S1, S3: same zxid, same entry, same predecessor |
//! | [`monotonic`] | Monotonic{Promise, Commit, Applied} | I9, B4, S5 |
//! | [`digest_agreement`] | DigestAgreement, I1 | same zxid, same tree, same reply |
//! | [`sessions`] | ExpiredEarly, ExpiredByLeader, OneConnection | 2.8: expiry is the leader's opinion, made fact by the log |
//! | [`ephemerals`] | SessionOwnsEphemerals | I10: no ephemeral without its session |
//! | [`watches`] | WatchFires, WatchSpurious, WatchRearmed | 2.8: once, in order, before what it tells of is seen |
//! | [`locks`] | LockHolder, FencedWrite, FencingToken | a lock has one holder at a zxid |

pub mod ack_implies_durable;
pub mod agreement;
pub mod committed_immutable;
pub mod committed_on_quorum;
pub mod digest_agreement;
pub mod ephemerals;
pub mod integrity;
pub mod leadership;
pub mod locks;
pub mod log_matching;
pub mod monotonic;
pub mod sessions;
pub mod watches;

use std::fmt;
use zw_core::ids::Zxid;
use zw_core::log::Recovered;
use zw_core::log::record::Entry;

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name.
    pub property: &'static str,
    /// What was seen.
    pub detail: String,
}

/// What a check answers.
pub type Verdict = Result<(), Violation>;

impl Violation {
    /// The violation of `property` that `detail` describes.
    pub fn new(property: &'static str, detail: impl Into<String>) -> Violation {
        Violation { property, detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.detail)
    }
}

/// Fails with `property` and the text unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $property:expr, $($text:tt)+) => {
        if !$holds {
            return Err($crate::invariants::Violation::new($property, format!($($text)+)));
        }
    };
}
pub(crate) use ensure;

/// All checkers that remember something.
#[derive(Default)]
pub struct Invariants {
    /// The committed sequence.
    pub agreement: agreement::Agreement,
    /// What was proposed and refused.
    pub integrity: integrity::Integrity,
    /// Who led which epoch.
    pub leadership: leadership::Leadership,
    /// All entries that were ever written.
    pub log_matching: log_matching::LogMatching,
    /// Where each node stood.
    pub monotonic: monotonic::Monotonic,
    /// The trees' digests.
    pub digests: digest_agreement::DigestAgreement,
    /// Signs of life, and who acts for whom.
    pub sessions: sessions::Sessions,
    /// What each connection must hear.
    pub watches: watches::Watching,
    /// The queue for the lock.
    pub locks: locks::Locks,
}

/// Whether a log on disk holds the entry of `zxid`, or a snapshot that includes it.
#[must_use]
pub fn holds(log: &Recovered, zxid: Zxid) -> bool {
    zxid <= log.snapshot.zxid || find(&log.entries, zxid).is_some()
}

/// The entry of `zxid` among `entries`, which are in order.
#[must_use]
pub fn find(entries: &[Entry], zxid: Zxid) -> Option<&Entry> {
    entries.binary_search_by_key(&zxid, Entry::zxid).ok().map(|at| &entries[at])
}
