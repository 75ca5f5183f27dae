//! `zw status`: every node of the ensemble, one line each.

use super::cluster::{self, Member};
use super::output::{Table, line_json, mib};
use super::{CliError, Context};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use zw_core::wire::admin::PeerStatus;

/// Show every node: role, epoch, zxids, sessions, memory
#[derive(Debug, Args)]
pub(super) struct Options {}

pub(super) async fn run(context: &mut Context, _: Options) -> Result<(), CliError> {
    let members = cluster::members(context).await?;
    if context.json {
        line_json(&mut context.out, &Value::Array(members.iter().map(member_json).collect()))?;
        return Ok(());
    }
    let mut table = Table::new(vec![
        "address",
        "id",
        "role",
        "epoch",
        "last zxid",
        "committed",
        "leader",
        "sessions",
        "watches",
        "znodes",
        "memory",
        "up",
        "digest",
    ]);
    for member in &members {
        table.push(row(member));
    }
    context.out.write_all(table.render().as_bytes())?;
    for problem in problems(&members) {
        writeln!(context.out, "{problem}")?;
    }
    for member in &members {
        match &member.status {
            Err(reason) => writeln!(context.out, "{}: {reason}", member.address)?,
            Ok(status) if status.disk_full => writeln!(context.out, "{}: its disk is full", member.address)?,
            Ok(_) => {}
        }
    }
    Ok(())
}

/// What the members have against others, each once: both sides of a quarrel say the same.
pub(super) fn problems(members: &[Member]) -> BTreeSet<&str> {
    let peers = members.iter().filter_map(|member| member.status.as_ref().ok()).flat_map(|status| &status.peers);
    peers.map(|peer| peer.problem.as_str()).filter(|problem| !problem.is_empty()).collect()
}

fn row(member: &Member) -> Vec<String> {
    let mut row = vec![member.address.clone(), member.id.to_string(), member.role_word().to_owned()];
    match &member.status {
        Ok(status) => row.extend([
            status.epoch.to_string(),
            status.last_zxid.to_string(),
            status.committed_zxid.to_string(),
            if status.leader.0 == 0 { "-".to_owned() } else { status.leader.to_string() },
            status.sessions.to_string(),
            status.watches.to_string(),
            status.znodes.to_string(),
            mib(status.rss_bytes),
            format!("{} s", status.uptime_ms / 1_000),
            digest_text(status.digest),
        ]),
        Err(_) => row.extend((0..10).map(|_| "-".to_owned())),
    }
    row
}

/// What a node said; of an unreachable one all but address, id and role is null.
fn member_json(member: &Member) -> Value {
    let status = member.status.as_ref().ok();
    json!({
        "address": member.address,
        "id": member.id.0,
        "role": member.role_word(),
        "epoch": status.map(|status| status.epoch.0),
        "last_zxid": status.map(|status| status.last_zxid.0),
        "committed_zxid": status.map(|status| status.committed_zxid.0),
        "leader": status.map(|status| status.leader.0),
        "sessions": status.map(|status| status.sessions),
        "watches": status.map(|status| status.watches),
        "znodes": status.map(|status| status.znodes),
        "rss_bytes": status.map(|status| status.rss_bytes),
        "uptime_ms": status.map(|status| status.uptime_ms),
        "digest": status.map(|status| digest_text(status.digest)),
        "applied_zxid": status.map(|status| status.applied_zxid.0),
        "pid": status.map(|status| status.pid),
        "peers": status.map(|status| status.peers.iter().map(peer_json).collect::<Vec<_>>()),
        "reason": member.status.as_ref().err(),
    })
}

/// Another member as this one sees it.
fn peer_json(peer: &PeerStatus) -> Value {
    json!({
        "id": peer.node.0,
        "connected": peer.connected,
        "problem": Some(&peer.problem).filter(|problem| !problem.is_empty()),
    })
}

/// A digest as 16 hexadecimal digits: it may exceed what a JSON reader keeps exactly.
pub(super) fn digest_text(digest: u64) -> String {
    format!("{digest:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::NodeId;

    #[test]
    fn an_unreachable_node_still_has_its_line_and_all_fields() {
        let member = Member { id: NodeId(2), address: "127.0.0.1:8081".into(), status: Err("refused".into()) };
        let value = member_json(&member);
        assert_eq!((&value["role"], &value["id"]), (&json!("unreachable"), &json!(2)));
        for field in ["epoch", "last_zxid", "committed_zxid", "leader", "sessions", "watches", "znodes", "rss_bytes"] {
            assert_eq!(value.get(field), Some(&Value::Null), "{field}");
        }
        assert_eq!(row(&member).len(), 13);
    }
}
