//! The digest of a tree: one number that differs, for all practical purposes, when two trees do.
//!
//! It is the wrapping sum of one hash per znode and per session, so a change costs the old hash off and the new one on,
//! and the order of changes does not matter. The hash is our own (multiply and fold, as wyhash does) because it must be
//! the same in every process and every version; it is no defence against someone who wants a collision.

use super::session::Session;
use super::znode::{Kind, Znode};

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const SEED: u64 = 0xd1b5_4a32_d192_ed03;

/// A hash under construction; cheap to pass by value.
#[derive(Clone, Copy)]
pub(super) struct Hasher(u64);

impl Hasher {
    pub(super) fn new() -> Hasher {
        Hasher(SEED)
    }

    /// Takes in a number.
    pub(super) fn word(self, word: u64) -> Hasher {
        let product = u128::from(self.0 ^ word) * u128::from(MULTIPLIER);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves are folded together")]
        let folded = (product as u64) ^ ((product >> 64) as u64);
        // The rotation and the addend keep a state of zero from swallowing what comes next.
        Hasher(folded.rotate_left(23).wrapping_add(SEED))
    }

    /// Takes in bytes with their length, so that neighbouring fields cannot shift into each other.
    pub(super) fn bytes(self, bytes: &[u8]) -> Hasher {
        let mut words = bytes.chunks_exact(8);
        let hasher = words.by_ref().fold(self.word(bytes.len() as u64), |hasher, word| {
            hasher.word(u64::from_le_bytes(word.try_into().expect("chunks of eight")))
        });
        let rest = words.remainder();
        if rest.is_empty() {
            return hasher;
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hasher.word(u64::from_le_bytes(last))
    }

    pub(super) fn finish(self) -> u64 {
        let hash = self.word(MULTIPLIER).0;
        hash ^ (hash >> 32)
    }
}

/// The hash of a znode under its key.
pub(super) fn of_znode(key: &[u8], znode: &Znode) -> u64 {
    let (kind, life) = match znode.kind {
        Kind::Persistent => (0, 0),
        Kind::Ephemeral(owner) => (1, owner.0),
        Kind::Container => (2, 0),
        Kind::Ttl(ttl_ms) => (3, ttl_ms),
    };
    Hasher::new()
        .bytes(key)
        .word(znode.data_hash)
        .word(znode.acl.hash)
        .word(pair(kind, znode.num_children))
        .word(life)
        .word(znode.czxid.0)
        .word(znode.mzxid.0)
        .word(znode.pzxid.0)
        .word(znode.ctime_ms)
        .word(znode.mtime_ms)
        .word(znode.created_children)
        .word(pair(znode.version.cast_unsigned(), znode.cversion.cast_unsigned()))
        .word(u64::from(znode.aversion.cast_unsigned()))
        .finish()
}

/// The hash of a session under its key.
pub(super) fn of_session(key: &[u8], session: &Session) -> u64 {
    Hasher::new().bytes(key).word(pair(session.timeout_ms, session.generation)).bytes(&session.secret).finish()
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_hash_is_the_same_for_ever() {
        // A change of these numbers would make nodes of two versions stop each other.
        assert_eq!(Hasher::new().finish(), 0xed71120e4b6b57c6);
        assert_eq!(Hasher::new().bytes(b"ZooWeeper").word(7).finish(), 0xae842a1e085714b0);
    }

    #[test]
    fn the_hash_of_a_session_is_the_same_for_ever() {
        let session = Session { timeout_ms: 5_000, generation: 3, secret: bytes::Bytes::from_static(b"secret") };
        assert_eq!(of_session(b"key", &session), 0xa351cfba414b542e);
        assert_eq!(pair(1, 2), 0x1_0000_0002);
    }

    #[test]
    fn near_inputs_are_far_apart() {
        let mut seen = BTreeSet::new();
        for number in 0..20_000u64 {
            assert!(seen.insert(Hasher::new().word(number).finish()));
            assert!(seen.insert(Hasher::new().bytes(&number.to_be_bytes()[4..]).finish()));
            assert!(seen.insert(Hasher::new().bytes(b"").word(number).bytes(b"").finish()));
        }
        let mut flips = 0;
        for bit in 0..64 {
            flips += (Hasher::new().word(0).finish() ^ Hasher::new().word(1 << bit).finish()).count_ones();
        }
        assert!((64 * 28..64 * 36).contains(&flips), "{flips} of 4096 bits flipped");
        assert_ne!(Hasher::new().bytes(b"a").bytes(b"").finish(), Hasher::new().bytes(b"").bytes(b"a").finish());
        assert_ne!(Hasher::new().bytes(b"a\0").finish(), Hasher::new().bytes(b"a").finish());
    }
}
