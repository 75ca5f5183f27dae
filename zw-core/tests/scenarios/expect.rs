//! The expectations of a scenario: real assertions, which no rewriting of the printed results touches.

use crate::stage::Stage;
use crate::verbs::{node, way};
use crate::witness;
use crate::words;
use zw_core::ids::{NodeId, Zxid};
use zw_core::zab::effects::Role;
use zw_core::zab::message::Message;

type Met = Result<(), String>;

/// Checks `expect WORDS`.
pub(crate) fn run(stage: &Stage, words: &[&str]) -> Met {
    match words {
        ["leader", id] => same("the leaders are", words::list(stage.leaders()), (*id).to_owned()),
        ["no", "leader"] => same("the leaders are", words::list(stage.leaders()), "nothing".into()),
        ["role", id, "=", role] => same("it", role_of(stage, node(&[id])?)?, (*role).to_owned()),
        ["epoch", id, "=", epoch] => same("it is", stage.zab(node(&[id])?)?.epoch().to_string(), (*epoch).to_owned()),
        ["promise", id, "=", epoch, "to", leader] => {
            let promise = stage.nodes.get(&node(&[id])?).ok_or("no such node")?.disk.durable.promise;
            same("on disk is", format!("{} to {}", promise.epoch, promise.leader), format!("{epoch} to {leader}"))
        }
        ["log", id, "=", zxids @ ..] => {
            same("it is", words::zxids(stage.zab(node(&[id])?)?.log_entries()), words::list(zxids))
        }
        ["disk", id, "=", zxids @ ..] => {
            let node = stage.nodes.get(&node(&[id])?).ok_or("no such node")?;
            same("it is", words::zxids(&node.disk.durable.entries), words::list(zxids))
        }
        ["snapshot", id, "=", zxid] => {
            let node = stage.nodes.get(&node(&[id])?).ok_or("no such node")?;
            same("it is", node.disk.durable.snapshot.zxid.to_string(), (*zxid).to_owned())
        }
        ["committed", id, "=", zxid] => {
            same("it is", stage.zab(node(&[id])?)?.committed().to_string(), (*zxid).to_owned())
        }
        ["delivered", id, "=", zxids @ ..] => {
            let applied = &stage.nodes.get(&node(&[id])?).ok_or("no such node")?.state.applied;
            same("it is", words::zxids(applied), words::list(zxids))
        }
        ["tree", id, "=", paths @ ..] => {
            let tree = &stage.nodes.get(&node(&[id])?).ok_or("no such node")?.state.tree;
            let found = witness::paths(tree, "/").into_iter().map(|(path, _)| path);
            same("it is", words::list(found), words::list(paths))
        }
        ["serving", ids @ ..] => ids.iter().try_for_each(|id| serves(stage, id, true)),
        ["not", "serving", ids @ ..] => ids.iter().try_for_each(|id| serves(stage, id, false)),
        _ => talk(stage, words),
    }
}

/// What was said, closed, refused or answered.
fn talk(stage: &Stage, words: &[&str]) -> Met {
    match words {
        ["no", "ack", "from", id, "above", zxid] => no_ack(stage, node(&[id])?, zxid),
        ["sent", wanted, text @ ..] => match find(stage, wanted, text)? {
            Some(_) => Ok(()),
            None => Err(format!("it was not sent; {}", all_sent(stage, wanted)?)),
        },
        ["not", "sent", wanted, text @ ..] => match find(stage, wanted, text)? {
            Some(sent) => Err(format!("it was sent: {sent}")),
            None => Ok(()),
        },
        ["closed", wanted] => {
            let met = stage.closed.contains(&way(wanted)?);
            if met { Ok(()) } else { Err("the link was not closed".into()) }
        }
        ["not", "closed", wanted] => {
            let met = !stage.closed.contains(&way(wanted)?);
            if met { Ok(()) } else { Err("the link was closed".into()) }
        }
        ["refused", name, why @ ..] => {
            let refusal = stage.answers.refused.get(*name).map(|why| format!("{why:?}")).unwrap_or_default();
            let met = !refusal.is_empty() && (why.is_empty() || why == [refusal.as_str()]);
            if met { Ok(()) } else { Err(format!("it was not refused so: {refusal:?}")) }
        }
        ["not", "refused", name] => {
            let refusal = stage.answers.refused.get(*name);
            refusal.map_or(Ok(()), |why| Err(format!("it was refused: {why:?}")))
        }
        ["barrier", name, "=", zxid] => {
            let answer = stage.answers.barriers.get(*name).map(Zxid::to_string);
            same("the answer is", answer.unwrap_or("nothing".into()), (*zxid).to_owned())
        }
        ["barrier", name, "waits"] => {
            let answered = stage.answers.barriers.contains_key(*name) || stage.answers.refused.contains_key(*name);
            if answered { Err("it does not wait any more".into()) } else { Ok(()) }
        }
        _ => Err("no such expectation".into()),
    }
}

fn same(what: &str, found: String, wanted: String) -> Met {
    if found == wanted { Ok(()) } else { Err(format!("{what} {found}")) }
}

fn role_of(stage: &Stage, id: NodeId) -> Result<String, String> {
    let role = match stage.zab(id)?.role() {
        Role::Looking => "looking",
        Role::Discovering => "elected",
        Role::Leading => "leading",
        Role::Syncing => "joining",
        Role::Following => "following",
    };
    Ok(role.into())
}

fn serves(stage: &Stage, id: &str, wanted: bool) -> Met {
    let serves = stage.zab(node(&[id])?)?.is_serving();
    let not = if serves { "" } else { "not " };
    if serves == wanted { Ok(()) } else { Err(format!("{id} is {not}serving")) }
}

fn no_ack(stage: &Stage, id: NodeId, zxid: &str) -> Met {
    let limit: Zxid = zxid.parse().map_err(|_| format!("{zxid:?} is no zxid"))?;
    let above = |message: &Message| matches!(message, Message::Ack(ack) if ack.zxid > limit);
    match stage.sent.iter().find(|(from, _, message, _)| *from == id && above(message)) {
        Some((_, _, _, text)) => Err(format!("it sent {text}")),
        None => Ok(()),
    }
}

/// The first message on that way whose words begin so.
fn find(stage: &Stage, wanted: &str, text: &[&str]) -> Result<Option<String>, String> {
    let (from, to) = way(wanted)?;
    // A slip of the pen would make every "not sent" true.
    if !text.first().is_some_and(|kind| words::KINDS.contains(kind)) {
        return Err(format!("{text:?} does not begin with a kind of message"));
    }
    let begins = text.join(" ");
    let mut sent = stage.sent.iter().filter(|(a, b, ..)| (*a, *b) == (from, to));
    Ok(sent.find(|(_, _, _, words)| format!("{words} ").starts_with(&begins)).map(|(_, _, _, words)| words.clone()))
}

fn all_sent(stage: &Stage, wanted: &str) -> Result<String, String> {
    let (from, to) = way(wanted)?;
    let sent = stage.sent.iter().filter(|(a, b, ..)| (*a, *b) == (from, to)).map(|(.., words)| words.clone());
    let sent: Vec<String> = sent.collect();
    Ok(format!("all that was sent: {}", sent.join("; ")))
}
