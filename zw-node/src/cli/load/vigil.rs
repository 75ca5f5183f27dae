//! Watching over a run that may not get on: says within a second or so that it waits, and why, and when to give up.
//!
//! The reason comes from the members themselves: a node without a quorum refuses a write only after some seconds, and
//! one that hangs says nothing at all.

use super::target::Targets;
use crate::cli::cluster::{self, Member};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How often to look whether anything was answered.
const LOOK: Duration = Duration::from_millis(100);
/// After which time without an answer to say so.
const TELL_AFTER: Duration = Duration::from_millis(700);

/// Waits until `progress` has stood still for `limit`; gives the reason. Says it with `tell` as soon as it takes longer
/// than it should, once each time.
pub(super) async fn stuck(
    targets: &Targets,
    progress: impl Fn() -> u64,
    tell: impl Fn(&str),
    limit: Duration,
) -> String {
    let mut seen = progress();
    let mut since = Instant::now();
    let mut told = false;
    loop {
        sleep(LOOK).await;
        if progress() != seen {
            (seen, since, told) = (progress(), Instant::now(), false);
        } else if since.elapsed() >= limit {
            return why(targets).await;
        } else if !told && since.elapsed() >= TELL_AFTER {
            let reason = why(targets).await;
            if progress() == seen {
                tell(&reason);
                told = true;
            }
        }
    }
}

/// Why nothing is answered, as far as the members tell.
pub(super) async fn why(targets: &Targets) -> String {
    match targets.silent_target().await {
        // The members may be as well as can be.
        Some(reason) => reason,
        None => reason(&targets.members().await),
    }
}

fn reason(members: &[Member]) -> String {
    let silent: Vec<(&str, &str)> = members
        .iter()
        .filter_map(|member| member.status.as_ref().err().map(|why| (member.address.as_str(), why.as_str())))
        .collect();
    let leader = cluster::leader(members);
    let mut reasons = Vec::new();
    match leader {
        None => reasons.push("there is no leader".to_owned()),
        Some((leader, status)) if status.disk_full => {
            reasons.push(format!("the disk of the leader {} is full", leader.address));
        }
        Some((leader, _)) if silent.is_empty() => {
            reasons.push(format!("the leader {} does not answer", leader.address))
        }
        Some(_) => {}
    }
    if !silent.is_empty() {
        reasons.push(cluster::unreachable(&silent, members.len()));
    }
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::NodeId;

    #[test]
    fn the_reason_names_who_is_missing() {
        let silent = |id: u16| Member {
            id: NodeId(id),
            address: format!("127.0.0.1:808{id}"),
            status: Err("connection refused".into()),
        };
        assert_eq!(
            reason(&[silent(1), silent(2)]),
            "there is no leader; 2 of 2 members unreachable: 127.0.0.1:8081 (connection refused), 127.0.0.1:8082 \
             (connection refused)"
        );
        assert_eq!(reason(&[]), "there is no leader");
    }
}
