//! DigestAgreement (ours; I1): after the same entry every tree has the same digest and has given the same reply.

use super::{Verdict, ensure};
use std::collections::BTreeMap;
use zw_core::ids::Zxid;
use zw_core::tree::command::{Reply, TreeError};

/// The digest and the reply at every committed zxid.
#[derive(Default)]
pub struct DigestAgreement {
    known: BTreeMap<Zxid, (u64, Option<Result<Reply, TreeError>>)>,
}

impl DigestAgreement {
    /// A node has applied `zxid` (nothing replies to a marker).
    ///
    /// # Errors
    /// Another node came to another result.
    pub fn applied(
        &mut self,
        node: usize,
        zxid: Zxid,
        digest: u64,
        reply: Option<&Result<Reply, TreeError>>,
    ) -> Verdict {
        let (known, answered) = self.known.entry(zxid).or_insert_with(|| (digest, reply.cloned()));
        let name = node + 1;
        ensure!(*known == digest, "DigestAgreement", "node {name} at {zxid}: {digest:x}, elsewhere {known:x}");
        ensure!(
            answered.as_ref() == reply,
            "ReplyAgreement",
            "node {name} at {zxid}: {reply:?}, elsewhere {answered:?}"
        );
        Ok(())
    }

    /// A snapshot, or the protocol's own comparison, claims a digest.
    ///
    /// # Errors
    /// The tree has another one there.
    pub fn claims(&self, node: usize, zxid: Zxid, digest: u64) -> Verdict {
        let known = self.known.get(&zxid).map(|(known, _)| *known);
        let holds = known.is_none_or(|known| known == digest);
        ensure!(holds, "DigestAgreement", "node {} claims {digest:x} at {zxid}, others have {known:x?}", node + 1);
        Ok(())
    }

    /// The reply that every node gave at `zxid`.
    #[must_use]
    pub fn reply(&self, zxid: Zxid) -> Option<&Result<Reply, TreeError>> {
        self.known.get(&zxid).and_then(|(_, reply)| reply.as_ref())
    }

    /// The digest at `zxid`.
    #[must_use]
    pub fn digest(&self, zxid: Zxid) -> Option<u64> {
        self.known.get(&zxid).map(|(digest, _)| *digest)
    }
}
