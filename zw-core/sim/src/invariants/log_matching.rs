//! Logs match (I3, I6, rules S1, S3): wherever two logs hold an entry of the same zxid, it is the same entry after the
//! same predecessor. By induction their whole prefixes are equal, so a marker implies its leader's initial history.

use super::{Verdict, Violation, ensure};
use std::collections::BTreeMap;
use zw_core::ids::Zxid;
use zw_core::log::record::Entry;

/// Every entry that was ever written anywhere, with its predecessor.
#[derive(Default)]
pub struct LogMatching {
    written: BTreeMap<Zxid, (Entry, Zxid)>,
}

impl LogMatching {
    /// A node writes `entry` after `previous`.
    ///
    /// # Errors
    /// Another node wrote another entry there, or the same one after another.
    pub fn writes(&mut self, node: usize, previous: Zxid, entry: &Entry) -> Verdict {
        let zxid = entry.zxid();
        let (known, after) = self.written.entry(zxid).or_insert_with(|| (entry.clone(), previous));
        ensure!(
            known == entry,
            "LogMatching",
            "node {} writes another entry as {zxid} than was written before",
            node + 1
        );
        ensure!(
            *after == previous,
            "LogMatching",
            "node {} writes {zxid} after {previous}; elsewhere it follows {after}",
            node + 1
        );
        Ok(())
    }

    /// The log's own refusal of a record, as a violation.
    #[must_use]
    pub fn hole(node: usize, error: &str) -> Violation {
        Violation::new("LogContiguity", format!("node {}: {error}", node + 1))
    }
}
