//! `zw check`: whether all nodes have the same tree.
//!
//! Trees are compared by digest at one zxid. While writes go on, the nodes are never at the same zxid when asked, so
//! they are compared at an earlier one whose digest they remember: a multiple of [`DIGEST_INTERVAL`].

use super::cluster::{NODE_TIMEOUT, ask, each, ensemble, members_of, unreachable};
use super::status::{digest_text, problems};
use super::{CliError, Context};
use crate::command_line::duration;
use clap::Args;
use serde_json::json;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use zw_core::ensemble::Ensemble;
use zw_core::ids::Zxid;
use zw_core::limits::DIGEST_INTERVAL;
use zw_core::wire::admin::DigestReply;
use zw_core::wire::client::{Answer, Operation};

/// Compare the trees of all nodes
///
/// Of all that are reached: those that are not are named on standard error, and are no failure.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// How long a node may take to catch up
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    wait: Duration,
}

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A member and its digest, or why there is none.
pub(super) struct Seen {
    address: String,
    digest: Result<DigestReply, String>,
}

impl Seen {
    /// The address and the reason of a member that was not reached.
    fn silent(&self) -> Option<(&str, &str)> {
        self.digest.as_ref().err().map(|reason| (self.address.as_str(), reason.as_str()))
    }
}

/// What one look at all nodes says.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// All that were reached have this digest at this zxid.
    Agree(Zxid, u64),
    /// Two have different digests at this zxid.
    Differ(Zxid),
    /// They are at different zxids; the least is given.
    Apart(Zxid),
    /// None was reached.
    Nobody,
}

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let ensemble = ensemble(context).await?;
    let ((verdict, seen), members) =
        tokio::join!(compare(&ensemble, options.wait), members_of(&ensemble, NODE_TIMEOUT));
    let silent: Vec<(&str, &str)> = seen.iter().filter_map(Seen::silent).collect();
    let reason = match &verdict {
        Verdict::Agree(..) => None,
        Verdict::Differ(zxid) => Some(format!("the nodes have different trees at {zxid}")),
        Verdict::Apart(zxid) => {
            Some(format!("a node has stayed behind at {zxid} for {:.1} s", options.wait.as_secs_f64()))
        }
        Verdict::Nobody => Some(format!("no node answers: {}", unreachable(&silent, seen.len()))),
    };
    let agreed = match verdict {
        Verdict::Agree(zxid, digest) => Some((zxid, digest)),
        _ => None,
    };
    context.print(
        || {
            json!({
                "agree": agreed.is_some(),
                "zxid": agreed.map(|(zxid, _)| zxid.0),
                "digest": agreed.map(|(_, digest)| digest_text(digest)),
                "unreachable": silent.iter().map(|(address, _)| address).collect::<Vec<_>>(),
                "nodes": seen.iter().map(seen_json).collect::<Vec<_>>(),
                "reason": reason,
            })
        },
        || text(agreed, &seen),
    )?;
    if !silent.is_empty() && verdict != Verdict::Nobody {
        context.note(&format!("{}: not compared", unreachable(&silent, seen.len())));
    }
    // Whoever has another list is not among the compared.
    problems(&members).into_iter().for_each(|problem| context.note(problem));
    match reason {
        None => Ok(()),
        Some(reason) => Err(CliError::Refused(reason)),
    }
}

/// Looks until the nodes agree or differ, or until the time is over.
async fn compare(ensemble: &Ensemble, wait: Duration) -> (Verdict, Vec<Seen>) {
    let deadline = Instant::now() + wait;
    loop {
        let seen = look(ensemble, Zxid::ZERO).await;
        let verdict = judge(&seen);
        let Verdict::Apart(least) = verdict else { return (verdict, seen) };
        if let Some(earlier) = remembered(least) {
            let reached: Vec<&str> =
                seen.iter().filter(|seen| seen.digest.is_ok()).map(|s| s.address.as_str()).collect();
            let before = look(ensemble, earlier).await;
            // Every node that was reached must remember it, else the comparison would leave one out.
            let whole = before.iter().all(|seen| seen.digest.is_ok() || !reached.contains(&seen.address.as_str()));
            let verdict = judge(&before);
            if matches!(verdict, Verdict::Differ(_)) || (whole && matches!(verdict, Verdict::Agree(..))) {
                return (verdict, before);
            }
        }
        if Instant::now() >= deadline {
            return (verdict, seen);
        }
        sleep(PAUSE).await;
    }
}

async fn look(ensemble: &Ensemble, at: Zxid) -> Vec<Seen> {
    each(ensemble, |_, address| async move {
        let digest = match ask(&address, Operation::DigestAt(at), NODE_TIMEOUT).await {
            Ok(Answer::Digest(digest)) => Ok(digest),
            Ok(Answer::Error(error)) => Err(error.message),
            Ok(other) => Err(format!("it answered with kind {} to a digest request", other.kind())),
            Err(reason) => Err(reason),
        };
        Seen { address, digest }
    })
    .await
}

fn judge(seen: &[Seen]) -> Verdict {
    let mut digests: Vec<&DigestReply> = seen.iter().filter_map(|seen| seen.digest.as_ref().ok()).collect();
    digests.sort_by_key(|digest| digest.zxid);
    let [first, .., last] = digests.as_slice() else {
        return digests.first().map_or(Verdict::Nobody, |only| Verdict::Agree(only.zxid, only.digest));
    };
    if let Some(pair) = digests.windows(2).find(|pair| pair[0].zxid == pair[1].zxid && pair[0].digest != pair[1].digest)
    {
        return Verdict::Differ(pair[0].zxid);
    }
    if first.zxid == last.zxid { Verdict::Agree(first.zxid, first.digest) } else { Verdict::Apart(first.zxid) }
}

/// The greatest zxid up to `zxid` whose digest the nodes remember, if its epoch has one.
fn remembered(zxid: Zxid) -> Option<Zxid> {
    let counter = zxid.counter() - zxid.counter() % DIGEST_INTERVAL;
    (counter > 0).then(|| Zxid::new(zxid.epoch(), counter))
}

fn seen_json(seen: &Seen) -> serde_json::Value {
    let digest = seen.digest.as_ref().ok();
    json!({
        "address": seen.address,
        "zxid": digest.map(|digest| digest.zxid.0),
        "digest": digest.map(|digest| digest_text(digest.digest)),
        "reason": seen.digest.as_ref().err(),
    })
}

fn text(agreed: Option<(Zxid, u64)>, seen: &[Seen]) -> String {
    let mut text = String::new();
    for seen in seen {
        let _ = match &seen.digest {
            Ok(digest) => {
                writeln!(text, "{:<22} {:>12}  {}", seen.address, digest.zxid.to_string(), digest_text(digest.digest))
            }
            Err(reason) => writeln!(text, "{:<22} {reason}", seen.address),
        };
    }
    if let Some((zxid, _)) = agreed {
        let reached = seen.iter().filter(|seen| seen.digest.is_ok()).count();
        let _ = writeln!(text, "{reached} of {} nodes agree at {zxid}", seen.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::Epoch;

    fn node(counter: u64, digest: u64) -> Seen {
        let zxid = Zxid::new(Epoch(1), counter);
        Seen { address: "a:1".into(), digest: Ok(DigestReply { zxid, digest, znodes: 0 }) }
    }

    fn silent() -> Seen {
        Seen { address: "b:1".into(), digest: Err("refused".into()) }
    }

    #[test]
    fn the_verdict_is_about_one_zxid() {
        let at = |counter| Zxid::new(Epoch(1), counter);
        assert_eq!(judge(&[node(5, 7), silent(), node(5, 7)]), Verdict::Agree(at(5), 7));
        assert_eq!(judge(&[node(5, 7), node(5, 8)]), Verdict::Differ(at(5)));
        assert_eq!(judge(&[node(5, 7), node(9, 8), node(9, 9)]), Verdict::Differ(at(9)));
        assert_eq!(judge(&[node(6, 7), node(5, 7)]), Verdict::Apart(at(5)));
        assert_eq!(judge(&[node(5, 7)]), Verdict::Agree(at(5), 7));
        assert_eq!(judge(&[silent()]), Verdict::Nobody);
    }

    #[test]
    fn the_earlier_zxid_is_a_multiple_that_nodes_remember() {
        assert_eq!(remembered(Zxid::new(Epoch(2), 2_100)), Some(Zxid::new(Epoch(2), 2_048)));
        assert_eq!(remembered(Zxid::new(Epoch(2), 1_024)), Some(Zxid::new(Epoch(2), 1_024)));
        assert_eq!(remembered(Zxid::new(Epoch(2), 1_023)), None);
    }
}
