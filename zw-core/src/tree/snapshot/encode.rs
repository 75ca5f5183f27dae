//! The encoder of snapshots: an iterator over pieces of the stream.

use super::{
    HEADER_BYTES, KIND_CONTAINER, KIND_EPHEMERAL, KIND_PERSISTENT, KIND_TTL, MAGIC, RECORD_SESSION, RECORD_ZNODE,
    VERSION,
};
use crate::ids::SessionId;
use crate::limits::{SNAPSHOT_BLOCK_BYTES_MAX, SNAPSHOT_CHUNK_BYTES};
use crate::tree::command::Acl;
use crate::tree::znode::{AclList, Kind, Znode};
use crate::tree::{Session, Tree, path, session};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;

/// The stream of a tree, in pieces of at most [`SNAPSHOT_CHUNK_BYTES`].
#[must_use]
pub fn encode(tree: Tree) -> Encoder {
    Encoder { tree, next: Next::Header, acl: None, pending: Bytes::new() }
}

/// See [`encode`].
pub struct Encoder {
    tree: Tree,
    next: Next,
    /// The list of the last znode written, which the next one mostly has too.
    acl: Option<Arc<AclList>>,
    /// Encoded and not given out yet: a large znode's block is more than one piece.
    pending: Bytes,
}

/// What is to be encoded next. Keys are those after which to go on.
enum Next {
    Header,
    Sessions(Vec<u8>),
    Znodes(Vec<u8>),
    Nothing,
}

impl Iterator for Encoder {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.pending.is_empty() {
            self.pending = self.more();
        }
        let piece = self.pending.split_to(self.pending.len().min(SNAPSHOT_CHUNK_BYTES));
        (!piece.is_empty()).then_some(piece)
    }
}

impl Encoder {
    /// The header, the next block, or the end; empty after that.
    fn more(&mut self) -> Bytes {
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Header => {
                self.next = Next::Sessions(Vec::new());
                self.header()
            }
            Next::Sessions(after) => {
                let mut body = BytesMut::new();
                let mut last = None;
                let sessions = self.tree.sessions.range_from(&after).skip_while(|(key, _)| **key == *after);
                for (key, session) in sessions {
                    put_session(&mut body, session::of_key(key), session);
                    last = Some(key.to_vec());
                    if body.len() >= SNAPSHOT_CHUNK_BYTES / 2 {
                        break;
                    }
                }
                let Some(last) = last else {
                    self.next = Next::Znodes(Vec::new());
                    return self.more();
                };
                self.next = Next::Sessions(last);
                block(&body)
            }
            Next::Znodes(after) => {
                let mut body = BytesMut::new();
                let mut last = None;
                let znodes = self.tree.znodes.range_from(&after).skip_while(|(key, _)| **key == *after);
                for (key, znode) in znodes {
                    let same_acl = self.acl.as_ref().is_some_and(|acl| *acl.entries == *znode.acl.entries);
                    put_znode(&mut body, key, znode, if same_acl { &[] } else { &znode.acl.entries });
                    self.acl = Some(Arc::clone(&znode.acl));
                    last = Some(key.to_vec());
                    if body.len() >= SNAPSHOT_CHUNK_BYTES / 2 {
                        break;
                    }
                }
                let Some(last) = last else { return self.end() };
                self.next = Next::Znodes(last);
                block(&body)
            }
            Next::Nothing => Bytes::new(),
        }
    }

    fn header(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_BYTES);
        out.put_slice(&MAGIC);
        out.put_u16(VERSION);
        out.put_u64(self.tree.applied.0);
        out.put_u64(self.tree.time_ms);
        out.put_u32(crc32fast::hash(&out));
        out.freeze()
    }

    fn end(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u32(0);
        out.put_u64(self.tree.sessions.len() as u64);
        out.put_u64(self.tree.znodes.len() as u64);
        out.put_u64(self.tree.digest);
        out.put_u32(crc32fast::hash(&out[4..]));
        out.freeze()
    }
}

fn block(body: &[u8]) -> Bytes {
    assert!(body.len() <= SNAPSHOT_BLOCK_BYTES_MAX, "a block of {} bytes", body.len());
    let mut out = BytesMut::with_capacity(super::BLOCK_HEADER_BYTES + body.len());
    out.put_u32(u32::try_from(body.len()).expect("a block is a few MiB at most"));
    out.put_u32(crc32fast::hash(body));
    out.put_slice(body);
    out.freeze()
}

fn put_session(out: &mut BytesMut, id: SessionId, session: &Session) {
    out.put_u8(RECORD_SESSION);
    out.put_u64(id.0);
    out.put_u32(session.timeout_ms);
    out.put_u32(session.generation);
    out.put_u8(u8::try_from(session.secret.len()).expect("apply checked the secret"));
    out.put_slice(&session.secret);
}

fn put_znode(out: &mut BytesMut, key: &[u8], znode: &Znode, acl: &[Acl]) {
    out.put_u8(RECORD_ZNODE);
    put_short(out, path::of_key(key).as_bytes());
    out.put_u32(u32::try_from(znode.data.len()).expect("apply checked the data"));
    out.put_slice(&znode.data);
    out.put_u8(u8::try_from(acl.len()).expect("apply checked the list"));
    for entry in acl {
        out.put_u8(u8::try_from(entry.permissions).expect("apply checked the permissions"));
        put_short(out, entry.scheme.as_bytes());
        put_short(out, entry.id.as_bytes());
    }
    let (kind, life) = match znode.kind {
        Kind::Persistent => (KIND_PERSISTENT, 0),
        Kind::Ephemeral(owner) => (KIND_EPHEMERAL, owner.0),
        Kind::Container => (KIND_CONTAINER, 0),
        Kind::Ttl(ttl_ms) => (KIND_TTL, ttl_ms),
    };
    out.put_u8(kind);
    out.put_u64(life);
    out.put_u64(znode.czxid.0);
    out.put_u64(znode.mzxid.0);
    out.put_u64(znode.pzxid.0);
    out.put_u64(znode.ctime_ms);
    out.put_u64(znode.mtime_ms);
    out.put_u64(znode.created_children);
    out.put_u32(znode.num_children);
    out.put_i32(znode.version);
    out.put_i32(znode.cversion);
    out.put_i32(znode.aversion);
}

fn put_short(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u16(u16::try_from(bytes.len()).expect("paths and ACL entries are a few KiB at most"));
    out.put_slice(bytes);
}
