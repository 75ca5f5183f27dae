//! An independent, naive model of the tree: maps and clones, written from ZooKeeper's documented behaviour and not
//! from the product's code. The history oracle replays the committed sequence through it.

use bytes::Bytes;
use std::collections::BTreeMap;
use zw_core::ids::Zxid;
use zw_core::tree::command::{Command, Create, CreateMode, Reply, Stat, TreeError};

/// A znode of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelZnode {
    /// Its data.
    pub data: Bytes,
    /// How often the data was changed.
    pub version: i32,
    cversion: i32,
    /// The entry that made it.
    pub czxid: Zxid,
    /// The entry that last changed its data.
    pub mzxid: Zxid,
    pzxid: Zxid,
}

type Znodes = BTreeMap<String, ModelZnode>;

/// The tree, and what each znode was at every zxid.
pub struct Model {
    znodes: Znodes,
    past: BTreeMap<String, Vec<(Zxid, Option<ModelZnode>)>>,
}

impl Default for Model {
    fn default() -> Model {
        Model { znodes: BTreeMap::from([("/".to_owned(), ModelZnode::default())]), past: BTreeMap::new() }
    }
}

impl Model {
    /// Applies the command committed at `zxid`, and compares the reply of the real tree.
    ///
    /// # Errors
    /// A text that says how the reply is wrong.
    pub fn apply(&mut self, zxid: Zxid, command: &Command, reply: &Result<Reply, TreeError>) -> Result<(), String> {
        let paths = touched(command, reply.as_ref().ok());
        let before: Vec<_> = paths.iter().map(|path| self.znodes.get(path).cloned()).collect();
        let saved = matches!(command, Command::Multi(_)).then(|| self.znodes.clone());
        let expected = apply_to(&mut self.znodes, zxid, command, reply.as_ref().ok());
        match (expected, reply) {
            (Ok(()), Ok(_)) => {}
            (Err(Refusal::Wrong(text)), _) => return Err(format!("{command:?} at {zxid}: {text}")),
            (Err(Refusal::Error(kind)), Err(error)) if kind == kind_of(error) => {
                // Only a multi can have changed something before it failed.
                self.znodes = saved.unwrap_or_else(|| std::mem::take(&mut self.znodes));
                return Ok(());
            }
            (expected, reply) => return Err(format!("{command:?} at {zxid}: {reply:?}, expected {expected:?}")),
        }
        for (path, before) in paths.into_iter().zip(before) {
            let after = self.znodes.get(&path).cloned();
            if after != before {
                self.past.entry(path).or_default().push((zxid, after));
            }
        }
        Ok(())
    }

    /// What the znode was after the entry `zxid`.
    #[must_use]
    pub fn at(&self, zxid: Zxid, path: &str) -> Option<&ModelZnode> {
        let past = self.past.get(path)?;
        let at = past.partition_point(|(changed, _)| *changed <= zxid);
        past[..at].last().and_then(|(_, znode)| znode.as_ref())
    }
}

/// Why the model does not do a command.
#[derive(Debug)]
enum Refusal {
    /// The tree must refuse it too, with an error of this kind.
    Error(&'static str),
    /// The tree's reply is wrong.
    Wrong(String),
}

fn kind_of(error: &TreeError) -> &'static str {
    match error {
        TreeError::NoNode(_) => "no node",
        TreeError::NodeExists(_) => "node exists",
        TreeError::BadVersion { .. } => "bad version",
        TreeError::NotEmpty(_) => "not empty",
        TreeError::Multi { cause, .. } => kind_of(cause),
        _ => "other",
    }
}

fn apply_to(znodes: &mut Znodes, zxid: Zxid, command: &Command, reply: Option<&Reply>) -> Result<(), Refusal> {
    match command {
        Command::Create(create) => apply_create(znodes, zxid, create, reply),
        Command::SetData(set) => {
            let znode = versioned(znodes, &set.path, set.version)?;
            znode.data = set.data.clone();
            znode.version += 1;
            znode.mzxid = zxid;
            match reply {
                Some(Reply::Stat(stat)) => compare(znodes, &set.path, stat),
                Some(other) => Err(Refusal::Wrong(format!("{other:?} to a set"))),
                None => Ok(()),
            }
        }
        Command::Delete(delete) => {
            versioned(znodes, &delete.path, delete.version)?;
            if children(znodes, &delete.path) > 0 {
                return Err(Refusal::Error("not empty"));
            }
            znodes.remove(&delete.path);
            changed_children(znodes, &delete.path, zxid);
            Ok(())
        }
        Command::Check(check) => versioned(znodes, &check.path, check.version).map(|_| ()),
        Command::Multi(multi) => {
            let replies = match reply {
                Some(Reply::Multi(replies)) if replies.len() == multi.operations.len() => Some(replies),
                Some(other) => return Err(Refusal::Wrong(format!("{other:?} to a multi"))),
                None => None,
            };
            // A stat within a multi may show later operations of it, so only the outcomes are compared.
            for (index, operation) in multi.operations.iter().enumerate() {
                let created = replies.map(|replies| &replies[index]).filter(|r| matches!(r, Reply::Created(_)));
                apply_to(znodes, zxid, operation, created)?;
            }
            Ok(())
        }
        other => Err(Refusal::Wrong(format!("the simulator never sends {other:?}"))),
    }
}

fn apply_create(znodes: &mut Znodes, zxid: Zxid, create: &Create, reply: Option<&Reply>) -> Result<(), Refusal> {
    if !znodes.contains_key(parent(&create.path)) {
        return Err(Refusal::Error("no node"));
    }
    let path = match (create.mode, reply) {
        (CreateMode::Persistent, _) => create.path.clone(),
        (_, Some(Reply::Created(created))) => numbered_path(znodes, &create.path, &created.path)?,
        // In a multi that fails nobody learns the number, and nothing of it stays.
        (_, None) => format!("{}unknown-{}", create.path, znodes.len()),
        (_, other) => return Err(Refusal::Wrong(format!("{other:?} to a sequential create"))),
    };
    if znodes.contains_key(&path) {
        return Err(Refusal::Error("node exists"));
    }
    changed_children(znodes, &path, zxid);
    let data = create.data.clone();
    let znode = ModelZnode { data, version: 0, cversion: 0, czxid: zxid, mzxid: zxid, pzxid: zxid };
    znodes.insert(path.clone(), znode);
    match reply {
        Some(Reply::Created(created)) if created.path == path => compare(znodes, &path, &created.stat),
        Some(other) => Err(Refusal::Wrong(format!("{other:?} to a create of {path}"))),
        None => Ok(()),
    }
}

/// The path that the tree chose: the wish and ten digits, greater than every sibling of the same wish.
fn numbered_path(znodes: &Znodes, wish: &str, chosen: &str) -> Result<String, Refusal> {
    let digits = chosen.strip_prefix(wish).filter(|d| d.len() == 10 && d.bytes().all(|b| b.is_ascii_digit()));
    let Some(digits) = digits else { return Err(Refusal::Wrong(format!("{chosen} for the sequential {wish}"))) };
    let siblings = znodes.range(wish.to_owned()..).map_while(|(path, _)| path.strip_prefix(wish));
    match siblings.filter(|rest| rest.len() == 10).max() {
        Some(greatest) if greatest >= digits => Err(Refusal::Wrong(format!("{chosen} though {wish}{greatest} exists"))),
        _ => Ok(chosen.to_owned()),
    }
}

fn compare(znodes: &Znodes, path: &str, stat: &Stat) -> Result<(), Refusal> {
    let znode = &znodes[path];
    let length = u32::try_from(znode.data.len()).expect("small");
    let expected =
        (znode.czxid, znode.mzxid, znode.pzxid, znode.version, znode.cversion, length, children(znodes, path));
    let found = (stat.czxid, stat.mzxid, stat.pzxid, stat.version, stat.cversion, stat.data_length, stat.num_children);
    if expected == found {
        Ok(())
    } else {
        Err(Refusal::Wrong(format!("stat of {path} {found:?}, expected {expected:?}")))
    }
}

fn versioned<'a>(znodes: &'a mut Znodes, path: &str, version: i32) -> Result<&'a mut ModelZnode, Refusal> {
    let znode = znodes.get_mut(path).ok_or(Refusal::Error("no node"))?;
    if version == -1 || version == znode.version { Ok(znode) } else { Err(Refusal::Error("bad version")) }
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

fn children(znodes: &Znodes, path: &str) -> u32 {
    let count = znodes.keys().filter(|other| other.len() > 1 && parent(other) == path).count();
    u32::try_from(count).expect("small")
}

fn changed_children(znodes: &mut Znodes, path: &str, zxid: Zxid) {
    if let Some(parent) = znodes.get_mut(parent(path)) {
        parent.cversion += 1;
        parent.pzxid = zxid;
    }
}

/// The paths whose znodes a command may change.
fn touched(command: &Command, reply: Option<&Reply>) -> Vec<String> {
    match (command, reply) {
        (Command::Create(create), Some(Reply::Created(created))) => {
            vec![created.path.clone(), parent(&create.path).to_owned()]
        }
        (Command::SetData(set), _) => vec![set.path.clone()],
        (Command::Delete(delete), _) => vec![delete.path.clone(), parent(&delete.path).to_owned()],
        (Command::Multi(multi), Some(Reply::Multi(replies))) => multi
            .operations
            .iter()
            .zip(replies)
            .flat_map(|(operation, reply)| touched(operation, Some(reply)))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::ids::Epoch;
    use zw_core::tree::command::{Delete, SetData};

    fn zxid(counter: u64) -> Zxid {
        Zxid::new(Epoch(1), counter)
    }

    fn set(version: i32) -> Command {
        Command::SetData(SetData { path: "/a".into(), data: Bytes::from_static(b"x"), version })
    }

    #[test]
    fn wrong_replies_are_noticed() {
        let mut model = Model::default();
        let missing: Result<Reply, TreeError> = Err(TreeError::NoNode("/a".into()));
        assert_eq!(model.apply(zxid(1), &set(-1), &missing), Ok(()));
        assert!(model.apply(zxid(2), &set(-1), &Ok(Reply::Stat(Stat::default()))).is_err());
        let delete = Command::Delete(Delete { path: "/a".into(), version: -1 });
        assert!(model.apply(zxid(3), &delete, &Err(TreeError::NotEmpty("/a".into()))).is_err());
        assert_eq!(model.at(zxid(3), "/a"), None);
    }
}
