//! `GET /metadata`: the rows that the first ZooWeeper had in its table, made from the tree.
//!
//! Row 1 is this node itself; the others are the versions that brokers wrote under `/clients`, in the order of the
//! entries that made them. A znode that holds something else is left out.

use crate::server::locks::{lock, read};
use crate::server::node::Node;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use zw_core::ids::Zxid;
use zw_core::tree::Tree;

/// Where brokers write their versions: `/clients/PORT/vNUMBER`.
const CLIENTS: &str = "/clients";
/// Most rows in an answer; older versions are left out.
const ROWS_MAX: usize = 10_000;

/// A version row as a broker wrote it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    sender_ip: String,
    receiver_ip: String,
    clients: String,
    version: u64,
    timestamp: String,
}

/// All rows as a JSON array.
pub(super) fn rows(node: &Node) -> String {
    let config = &node.config;
    let leader = lock(&node.view).leader.and_then(|id| config.ensemble.address(id)).map(|it| it.port().to_string());
    let servers: Vec<String> = config
        .ensemble
        .ids()
        .filter_map(|id| config.ensemble.address(id))
        .map(|address| address.port().to_string())
        .collect();
    let mut rows = vec![json!({
        "NodeId": 1,
        "NodePort": config.address.port().to_string(),
        "Leader": leader.unwrap_or_default(),
        "Servers": servers.join(","),
        "Timestamp": "0001-01-01T00:00:00Z",
        "Version": 0,
        "ParentId": 0,
        "Clients": "",
        "SenderIp": "",
        "ReceiverIp": "",
    })];
    // A clone, so that a long list does not keep the writer waiting.
    let tree = read(&node.tree).clone();
    rows.extend(version_rows(versions(&tree)));
    format!("{}\n", Value::Array(rows))
}

/// The versions in the tree by the zxid of their creation, with the znode of their sender and their name.
fn versions(tree: &Tree) -> BTreeMap<(Zxid, String), Version> {
    let mut versions = BTreeMap::new();
    for sender in children(tree, CLIENTS) {
        let parent = format!("{CLIENTS}/{sender}");
        for name in children(tree, &parent).into_iter().filter(|name| name.starts_with('v')) {
            let Ok((data, stat)) = tree.get(&format!("{parent}/{name}")) else { continue };
            if let Ok(version) = serde_json::from_slice::<Version>(&data) {
                versions.insert((stat.czxid, parent.clone() + &name), version);
            }
            if versions.len() > ROWS_MAX {
                versions.pop_first();
            }
        }
    }
    versions
}

fn version_rows(versions: BTreeMap<(Zxid, String), Version>) -> Vec<Value> {
    let mut first_rows: BTreeMap<String, usize> = BTreeMap::new();
    let row = |(index, version): (usize, Version)| {
        let id = index + 2;
        let first = if version.version == 0 {
            first_rows.insert(version.sender_ip.clone(), id);
            1
        } else {
            first_rows.get(&version.sender_ip).copied().unwrap_or(1)
        };
        json!({
            "NodeId": id,
            "NodePort": "",
            "Leader": "",
            "Servers": "",
            "Timestamp": version.timestamp,
            "Version": version.version,
            "ParentId": first,
            "Clients": version.clients,
            "SenderIp": version.sender_ip,
            "ReceiverIp": version.receiver_ip,
        })
    };
    versions.into_values().enumerate().map(row).collect()
}

/// All children's names, page by page.
fn children(tree: &Tree, path: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    loop {
        let after = names.last().cloned().unwrap_or_default();
        let Ok(mut page) = tree.children(path, &after, 0, false) else { return names };
        names.append(&mut page.names);
        if !page.more {
            return names;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::{Epoch, NodeId, SessionId};
    use zw_core::tree::command::{Acl, Command, Create, CreateMode, Envelope};

    #[test]
    fn versions_become_rows_in_the_order_of_their_entries() {
        let mut tree = Tree::new();
        let mut counter = 0;
        let mut create = |path: &str, data: &str| {
            counter += 1;
            let create = Create {
                path: path.into(),
                data: data.to_owned().into(),
                acl: Acl::open(),
                mode: CreateMode::Persistent,
                ttl_ms: 0,
            };
            let (origin, session) = (NodeId(1), SessionId::NONE);
            let envelope = Envelope { origin, tag: 0, session, generation: 0, command: Command::Create(create) };
            tree.apply(Zxid::new(Epoch(1), counter), 0, &envelope).reply.unwrap();
        };
        let version = |sender: &str, version: u64, clients: &str| {
            json!({"SenderIp": sender, "ReceiverIp": "8080", "Clients": clients, "Version": version,
                "Timestamp": "2026-11-20T12:00:00.000Z"})
            .to_string()
        };
        create("/clients", "");
        create("/clients/9091", "");
        create("/clients/9090", "");
        create("/clients/9091/v0000000000", &version("9091", 0, "9091"));
        create("/clients/9090/v0000000000", &version("9090", 0, "9090,9091"));
        create("/clients/9090/other", "by hand");
        create("/clients/9090/v0000000001", &version("9090", 1, "9090"));
        create("/clients/9090/v0000000002", "no JSON");
        let rows = version_rows(versions(&tree));
        let seen: Vec<(u64, u64, u64, &str)> = rows
            .iter()
            .map(|row| {
                let number = |key: &str| row[key].as_u64().unwrap();
                (number("NodeId"), number("ParentId"), number("Version"), row["SenderIp"].as_str().unwrap())
            })
            .collect();
        assert_eq!(seen, [(2, 1, 0, "9091"), (3, 1, 0, "9090"), (4, 3, 1, "9090")]);
        assert!(version_rows(versions(&Tree::new())).is_empty());
    }
}
