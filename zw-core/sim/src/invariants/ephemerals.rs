//! SessionOwnsEphemerals (I10; ZooKeeper issue 2355): an ephemeral znode exists only while its session does.
//!
//! Looked at in every node's true tree: at each end of a session, which the log tells; and, once in a while and at the
//! end, at every znode there is.

use super::{Verdict, ensure};
use std::collections::BTreeSet;
use zw_core::ids::SessionId;
use zw_core::tree::Tree;

const OWNS: &str = "SessionOwnsEphemerals";

/// A node has applied the end of `session`.
///
/// # Errors
/// The session is still there, or something of it.
pub fn ended(node: usize, tree: &Tree, session: SessionId) -> Verdict {
    let (zxid, left) = (tree.applied(), tree.ephemerals(session));
    ensure!(left.is_empty(), OWNS, "node {} at {zxid}: session {session} has ended, but has {left:?}", node + 1);
    ensure!(tree.session(session).is_none(), OWNS, "node {} at {zxid}: session {session} outlives its end", node + 1);
    Ok(())
}

/// Looks at every znode of a tree.
///
/// # Errors
/// One belongs to a session that does not exist.
pub fn check(node: usize, tree: &Tree) -> Verdict {
    let sessions: BTreeSet<SessionId> = tree.sessions().map(|(id, _)| id).collect();
    let mut waiting = vec!["/".to_owned()];
    while let Some(path) = waiting.pop() {
        let mut after = String::new();
        loop {
            let page = tree.children(&path, &after, 0, true).expect("a znode that was just listed");
            for (name, stat) in page.names.iter().zip(&page.stats) {
                let child = format!("{}/{name}", path.trim_end_matches('/'));
                let (owner, zxid) = (stat.ephemeral_owner, tree.applied());
                let owned = owner == SessionId::NONE || sessions.contains(&owner);
                ensure!(owned, OWNS, "node {} at {zxid}: {child} belongs to {owner}, which does not exist", node + 1);
                if stat.num_children > 0 {
                    waiting.push(child);
                }
            }
            match page.names.last() {
                Some(last) if page.more => after.clone_from(last),
                _ => break,
            }
        }
    }
    Ok(())
}
