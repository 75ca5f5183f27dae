//! What commands do to the model's znodes.

use super::{End, Model, ModelZnode, Outcome, parent};
use std::sync::Arc;
use zw_core::ids::{SessionId, Zxid};
use zw_core::tree::command::{
    Command, Create, CreateMode, Created, Delete, Done, Envelope, EventKind, Multi, Reap, Reply, SetAcl, SetData, Stat,
    TreeError,
};

fn invalid<T>(text: &str) -> Result<T, TreeError> {
    Err(TreeError::Invalid(text.to_owned()))
}

fn check_version(path: &str, expected: i32, actual: i32) -> Result<(), TreeError> {
    let path = path.to_owned();
    let fits = expected == -1 || expected == actual;
    if fits { Ok(()) } else { Err(TreeError::BadVersion { path, expected, actual }) }
}

impl Model {
    pub(super) fn command(&mut self, zxid: Zxid, envelope: &Envelope) -> Outcome {
        if let Some(outcome) = self.session_command(zxid, envelope)? {
            return Ok(outcome);
        }
        match &envelope.command {
            Command::Multi(multi) => self.multi(zxid, envelope.session, multi),
            Command::Reap(reap) => self.reap(zxid, reap),
            other => self.operation(zxid, envelope.session, other),
        }
    }

    fn multi(&mut self, zxid: Zxid, session: SessionId, multi: &Multi) -> Outcome {
        let mut replies = Vec::new();
        for (index, operation) in multi.operations.iter().enumerate() {
            let reply = self.operation(zxid, session, operation);
            replies.push(reply.map_err(|cause| TreeError::Multi { index, cause: Box::new(cause) })?);
        }
        Ok(Reply::Multi(replies))
    }

    fn operation(&mut self, zxid: Zxid, session: SessionId, command: &Command) -> Outcome {
        match command {
            Command::Create(create) => self.create(zxid, session, create),
            Command::Delete(delete) => self.delete(zxid, delete),
            Command::SetData(set) => self.set_data(zxid, set),
            Command::SetAcl(set) => self.set_acl(set),
            Command::Check(check) => {
                check_version(&check.path, check.version, self.stat(&check.path)?.version)?;
                Ok(Reply::Done(Done))
            }
            other => invalid(&format!("the simulator never sends {other:?} here")),
        }
    }

    fn create(&mut self, zxid: Zxid, session: SessionId, create: &Create) -> Outcome {
        let end = match create.mode {
            CreateMode::Persistent | CreateMode::PersistentSequential => End::Nothing,
            CreateMode::Ephemeral | CreateMode::EphemeralSequential if session == SessionId::NONE => {
                return invalid("an ephemeral needs a session");
            }
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => End::Session,
            CreateMode::Container => End::LastChild,
            CreateMode::PersistentTtl | CreateMode::PersistentSequentialTtl => End::SilenceMs(create.ttl_ms),
        };
        let above = parent(&create.path);
        let Some(holder) = self.znodes.get(above) else { return Err(TreeError::NoNode(above.to_owned())) };
        let numbered = matches!(
            create.mode,
            CreateMode::PersistentSequential | CreateMode::EphemeralSequential | CreateMode::PersistentSequentialTtl
        );
        let number = if numbered { format!("{:010}", holder.children_ever) } else { String::new() };
        let path = format!("{}{number}", create.path);
        if self.znodes.contains_key(&path) {
            return Err(TreeError::NodeExists(path));
        }
        if holder.end == End::Session {
            return Err(TreeError::EphemeralParent(above.to_owned()));
        }
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime_ms: self.time_ms,
            mtime_ms: self.time_ms,
            ephemeral_owner: if end == End::Session { session } else { SessionId::NONE },
            data_length: u32::try_from(create.data.len()).expect("small"),
            ..Stat::default()
        };
        let acl = Arc::new(create.acl.clone());
        self.remember(&path);
        self.znodes.insert(path.clone(), ModelZnode { data: create.data.clone(), stat, acl, children_ever: 0, end });
        self.event(EventKind::Created, &path, zxid);
        self.child(&path, zxid, 1);
        Ok(Reply::Created(Created { path, stat }))
    }

    fn delete(&mut self, zxid: Zxid, delete: &Delete) -> Outcome {
        let stat = self.stat(&delete.path)?;
        check_version(&delete.path, delete.version, stat.version)?;
        if stat.num_children > 0 {
            return Err(TreeError::NotEmpty(delete.path.clone()));
        }
        self.remove(&delete.path, zxid);
        Ok(Reply::Done(Done))
    }

    fn set_data(&mut self, zxid: Zxid, set: &SetData) -> Outcome {
        check_version(&set.path, set.version, self.stat(&set.path)?.version)?;
        let time_ms = self.time_ms;
        let znode = self.change(&set.path);
        znode.data = set.data.clone();
        znode.stat.data_length = u32::try_from(set.data.len()).expect("small");
        znode.stat.version += 1;
        znode.stat.mzxid = zxid;
        znode.stat.mtime_ms = time_ms;
        let stat = znode.stat;
        self.event(EventKind::DataChanged, &set.path, zxid);
        Ok(Reply::Stat(stat))
    }

    fn set_acl(&mut self, set: &SetAcl) -> Outcome {
        check_version(&set.path, set.version, self.stat(&set.path)?.aversion)?;
        let znode = self.change(&set.path);
        znode.acl = Arc::new(set.acl.clone());
        znode.stat.aversion += 1;
        Ok(Reply::Stat(znode.stat))
    }

    /// Removes a container that lost its last child, or a TTL znode that was silent for longer than its TTL.
    fn reap(&mut self, zxid: Zxid, reap: &Reap) -> Outcome {
        let stat = self.stat(&reap.path)?;
        if stat.num_children > 0 {
            return Err(TreeError::NotEmpty(reap.path.clone()));
        }
        let znode = &self.znodes[&reap.path];
        let due = match znode.end {
            End::LastChild => znode.children_ever > 0,
            End::SilenceMs(ttl_ms) => self.time_ms > stat.mtime_ms + ttl_ms,
            End::Nothing | End::Session => false,
        };
        if !due {
            return invalid("its time is not over");
        }
        self.remove(&reap.path, zxid);
        Ok(Reply::Done(Done))
    }

    fn stat(&self, path: &str) -> Result<Stat, TreeError> {
        self.znodes.get(path).map(|znode| znode.stat).ok_or_else(|| TreeError::NoNode(path.to_owned()))
    }

    fn change(&mut self, path: &str) -> &mut ModelZnode {
        self.remember(path);
        self.znodes.get_mut(path).expect("it was looked up")
    }

    pub(super) fn remove(&mut self, path: &str, zxid: Zxid) {
        self.remember(path);
        self.znodes.remove(path);
        self.event(EventKind::Deleted, path, zxid);
        self.child(path, zxid, -1);
    }

    /// The parent counts a child that came or went.
    fn child(&mut self, path: &str, zxid: Zxid, more: i32) {
        let above = parent(path);
        let holder = self.change(above);
        holder.stat.cversion += 1;
        holder.stat.pzxid = zxid;
        holder.stat.num_children = holder.stat.num_children.checked_add_signed(more).expect("children are counted");
        holder.children_ever += u64::from(more > 0);
        self.event(EventKind::ChildrenChanged, above, zxid);
    }
}
