//! The decoder of snapshots: takes the stream in any cuts, and gives the tree only if all of it holds.

use super::{
    BLOCK_HEADER_BYTES, END_BYTES, HEADER_BYTES, KIND_CONTAINER, KIND_EPHEMERAL, KIND_PERSISTENT, KIND_TTL, MAGIC,
    RECORD_SESSION, RECORD_ZNODE, SnapshotError, VERSION, malformed,
};
use crate::ids::{SessionId, Zxid};
use crate::limits::{
    ACL_ENTRIES_MAX, SESSION_SECRET_BYTES_MAX, SESSIONS_MAX, SNAPSHOT_BLOCK_BYTES_MAX, TTL_MS_MAX, ZNODE_DATA_BYTES_MAX,
};
use crate::tree::command::Acl;
use crate::tree::znode::{AclList, Kind, Znode, checked_acl};
use crate::tree::{Session, Tree, path, session};
use bytes::{Buf, Bytes};
use std::sync::Arc;

/// See the module.
pub struct Decoder {
    tree: Tree,
    state: State,
    /// What has come of the part that `state` waits for.
    buffer: Vec<u8>,
    bytes: u64,
    last_session: SessionId,
    last_key: Vec<u8>,
    acl: Option<Arc<AclList>>,
}

/// What comes next in the stream.
#[derive(Clone)]
enum State {
    Header,
    BlockHeader,
    Block { length: usize, crc: u32 },
    End,
    Complete,
    Failed(SnapshotError),
}

impl Decoder {
    /// Before the first byte.
    #[must_use]
    pub fn new() -> Decoder {
        Decoder {
            tree: Tree::empty(),
            state: State::Header,
            buffer: Vec::new(),
            bytes: 0,
            last_session: SessionId::NONE,
            last_key: Vec::new(),
            acl: None,
        }
    }

    /// Takes the next bytes of the stream, however it is cut.
    ///
    /// # Errors
    /// The bytes cannot be part of a snapshot. Every later call answers the same.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), SnapshotError> {
        loop {
            let needed = match &self.state {
                State::Header => HEADER_BYTES,
                // A length of zero begins the end, not a block.
                State::BlockHeader if self.buffer.len() < 4 => 4,
                State::BlockHeader => BLOCK_HEADER_BYTES,
                State::Block { length, .. } => *length,
                State::End => 4 + END_BYTES,
                State::Complete if bytes.is_empty() => return Ok(()),
                State::Complete => return self.fail(SnapshotError::Trailing),
                State::Failed(error) => return Err(error.clone()),
            };
            let (taken, rest) = bytes.split_at(bytes.len().min(needed - self.buffer.len()));
            self.buffer.extend_from_slice(taken);
            self.bytes += taken.len() as u64;
            bytes = rest;
            if self.buffer.len() < needed {
                return Ok(());
            }
            if let Err(error) = self.part() {
                return self.fail(error);
            }
        }
    }

    /// The tree.
    ///
    /// # Errors
    /// The stream did not come to its end, or was wrong before.
    pub fn finish(self) -> Result<Tree, SnapshotError> {
        match self.state {
            State::Complete => Ok(self.tree),
            State::Failed(error) => Err(error),
            _ => Err(SnapshotError::Truncated(self.bytes)),
        }
    }

    fn fail(&mut self, error: SnapshotError) -> Result<(), SnapshotError> {
        self.state = State::Failed(error.clone());
        self.buffer = Vec::new();
        self.tree = Tree::empty();
        Err(error)
    }

    /// Reads the part that is complete in the buffer.
    fn part(&mut self) -> Result<(), SnapshotError> {
        match self.state {
            State::Header => {
                self.header()?;
                self.state = State::BlockHeader;
            }
            State::BlockHeader => {
                let mut buffer = self.buffer.as_slice();
                let length = buffer.get_u32();
                if length as usize > SNAPSHOT_BLOCK_BYTES_MAX {
                    return Err(SnapshotError::BlockLength(length));
                }
                if length == 0 {
                    self.state = State::End;
                    return Ok(());
                }
                if buffer.len() < 4 {
                    return Ok(());
                }
                self.state = State::Block { length: length as usize, crc: buffer.get_u32() };
            }
            State::Block { crc, .. } => {
                if crc32fast::hash(&self.buffer) != crc {
                    return Err(SnapshotError::Checksum);
                }
                let body = std::mem::take(&mut self.buffer);
                self.block(&body)?;
                self.buffer = body;
                self.state = State::BlockHeader;
            }
            State::End => {
                self.end()?;
                self.state = State::Complete;
            }
            State::Complete | State::Failed(_) => {}
        }
        self.buffer.clear();
        Ok(())
    }

    fn header(&mut self) -> Result<(), SnapshotError> {
        let mut buffer = self.buffer.as_slice();
        if !buffer.starts_with(&MAGIC) {
            return Err(SnapshotError::Magic);
        }
        buffer.advance(MAGIC.len());
        let version = buffer.get_u16();
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        self.tree.applied = Zxid(buffer.get_u64());
        self.tree.time_ms = buffer.get_u64();
        if buffer.get_u32() != crc32fast::hash(&self.buffer[..HEADER_BYTES - 4]) {
            return Err(SnapshotError::Checksum);
        }
        Ok(())
    }

    fn end(&self) -> Result<(), SnapshotError> {
        let mut buffer = &self.buffer[4..];
        let (sessions, znodes, expected) = (buffer.get_u64(), buffer.get_u64(), buffer.get_u64());
        if buffer.get_u32() != crc32fast::hash(&self.buffer[4..END_BYTES]) {
            return Err(SnapshotError::Checksum);
        }
        if (sessions, znodes) != (self.tree.sessions.len() as u64, self.tree.znodes()) {
            let found = (self.tree.sessions.len(), self.tree.znodes());
            return Err(malformed(format!(
                "it has {found:?} sessions and znodes, its end says {:?}",
                (sessions, znodes)
            )));
        }
        self.check_families()?;
        let (applied, found) = (self.tree.applied, self.tree.digest);
        if found == expected { Ok(()) } else { Err(SnapshotError::Digest { applied, expected, found }) }
    }

    /// Every znode but the root has a parent, which is not ephemeral and counts its children right. The children of a
    /// znode are neighbours, so each parent is looked up once.
    fn check_families(&self) -> Result<(), SnapshotError> {
        let znodes = &self.tree.znodes;
        if znodes.get(&path::key(path::ROOT)).is_none() {
            return Err(malformed("it has no root"));
        }
        let parent_of = |key: &[u8]| key.iter().position(|byte| *byte == 0).expect("every key has a zero byte");
        let mut counted = 0;
        let mut keys = znodes.iter().map(|(key, _)| key).skip(1).peekable();
        while let Some(first) = keys.next() {
            let prefix = &first[..=parent_of(first)];
            let mut count = 1;
            while keys.next_if(|key| key.starts_with(prefix)).is_some() {
                count += 1;
            }
            let child = path::of_key(first);
            let parent = znodes.get(&path::key(path::parent(&child)));
            if parent.is_none_or(|parent| parent.num_children != count || parent.owner().is_some()) {
                return Err(malformed(format!("the parent of {child:?} is missing or does not count its children")));
            }
            counted += u64::from(count);
        }
        let claimed: u64 = znodes.iter().map(|(_, znode)| u64::from(znode.num_children)).sum();
        if counted == claimed { Ok(()) } else { Err(malformed("a znode counts children that are not there")) }
    }

    fn block(&mut self, body: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader(body);
        while !reader.0.is_empty() {
            match reader.u8()? {
                RECORD_SESSION => self.session(&mut reader)?,
                RECORD_ZNODE => self.znode(&mut reader)?,
                other => return Err(malformed(format!("a record of unknown kind {other}"))),
            }
        }
        Ok(())
    }

    fn session(&mut self, reader: &mut Reader<'_>) -> Result<(), SnapshotError> {
        let id = SessionId(reader.u64()?);
        let (timeout_ms, generation) = (reader.u32()?, reader.u32()?);
        let length = reader.u8()?;
        let secret = Bytes::copy_from_slice(reader.bytes(usize::from(length))?);
        if id <= self.last_session || id.0 > self.tree.applied.0 || self.tree.znodes() > 0 {
            return Err(malformed(format!("session {id} is out of place")));
        }
        if secret.is_empty() || secret.len() > SESSION_SECRET_BYTES_MAX || self.tree.sessions.len() == SESSIONS_MAX {
            return Err(malformed(format!("session {id} is outside the limits")));
        }
        self.tree.put_session(id, Some(Session { timeout_ms, generation, secret }));
        self.last_session = id;
        Ok(())
    }

    fn znode(&mut self, reader: &mut Reader<'_>) -> Result<(), SnapshotError> {
        let path = reader.short_text()?;
        path::validate(path).map_err(|error| malformed(error.to_string()))?;
        let length = reader.u32()? as usize;
        if length > ZNODE_DATA_BYTES_MAX {
            return Err(malformed(format!("{path} has {length} bytes of data")));
        }
        let data = Bytes::copy_from_slice(reader.bytes(length)?);
        let acl = self.acl(reader)?;
        let kind = kind(reader.u8()?, reader.u64()?)?;
        let mut znode = Znode::new(kind, data, acl, Zxid::ZERO, 0);
        znode.czxid = Zxid(reader.u64()?);
        znode.mzxid = Zxid(reader.u64()?);
        znode.pzxid = Zxid(reader.u64()?);
        znode.ctime_ms = reader.u64()?;
        znode.mtime_ms = reader.u64()?;
        znode.created_children = reader.u64()?;
        znode.num_children = reader.u32()?;
        znode.version = reader.u32()?.cast_signed();
        znode.cversion = reader.u32()?.cast_signed();
        znode.aversion = reader.u32()?.cast_signed();

        let key = path::key(path);
        if key <= self.last_key || (path != path::ROOT && self.tree.znodes() == 0) {
            return Err(malformed(format!("{path:?} is out of place")));
        }
        if znode.owner().is_some_and(|owner| self.tree.sessions.get(&session::key(owner)).is_none()) {
            return Err(malformed(format!("{path:?} belongs to a session that does not exist")));
        }
        let last_zxid = znode.czxid.max(znode.mzxid).max(znode.pzxid);
        if u64::from(znode.num_children) > znode.created_children || last_zxid > self.tree.applied {
            return Err(malformed(format!("the Stat of {path:?} is impossible")));
        }
        self.tree.put_znode(&key, Some(Arc::new(znode)));
        self.last_key = key;
        Ok(())
    }

    fn acl(&mut self, reader: &mut Reader<'_>) -> Result<Arc<AclList>, SnapshotError> {
        let count = usize::from(reader.u8()?);
        if count == 0 {
            return self.acl.clone().ok_or_else(|| malformed("the first znode has no access control list"));
        }
        if count > ACL_ENTRIES_MAX {
            return Err(malformed(format!("an access control list of {count} entries")));
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let permissions = u32::from(reader.u8()?);
            let (scheme, id) = (reader.short_text()?.to_owned(), reader.short_text()?.to_owned());
            entries.push(Acl { permissions, scheme, id });
        }
        let checked = checked_acl(&entries).map_err(|error| malformed(error.to_string()))?;
        if checked != entries {
            return Err(malformed("an access control list repeats an entry"));
        }
        let acl = self.tree.acls.share(checked);
        self.acl = Some(Arc::clone(&acl));
        Ok(acl)
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

fn kind(kind: u8, life: u64) -> Result<Kind, SnapshotError> {
    match (kind, life) {
        (KIND_PERSISTENT, 0) => Ok(Kind::Persistent),
        (KIND_EPHEMERAL, 1..) => Ok(Kind::Ephemeral(SessionId(life))),
        (KIND_CONTAINER, 0) => Ok(Kind::Container),
        (KIND_TTL, 1..=TTL_MS_MAX) => Ok(Kind::Ttl(life)),
        _ => Err(malformed(format!("a znode of unknown kind {kind} with {life}"))),
    }
}

/// Takes fields off a block's body.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], SnapshotError> {
        let (bytes, rest) =
            self.0.split_at_checked(length).ok_or_else(|| malformed("a record ends outside its block"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, SnapshotError> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.bytes(4).map(|mut bytes| bytes.get_u32())
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.bytes(8).map(|mut bytes| bytes.get_u64())
    }

    fn short_text(&mut self) -> Result<&'a str, SnapshotError> {
        let length = self.bytes(2)?.get_u16();
        std::str::from_utf8(self.bytes(usize::from(length))?).map_err(|_| malformed("a text that is not UTF-8"))
    }
}
