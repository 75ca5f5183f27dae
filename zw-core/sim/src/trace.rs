//! What happened, as a running hash and, on demand, as text.
//!
//! Invariant: the hash covers every event and every effect, so two runs with equal hashes took the same path. It does
//! not depend on the machine, the thread or whether the text is wanted.

use std::hash::{Hash, Hasher};

/// The trace of one world.
pub struct Trace {
    hash: Mixer,
    lines: Option<Vec<String>>,
    print: bool,
}

#[derive(Clone, Copy)]
struct Mixer(u64);

impl Trace {
    /// A trace that keeps only its hash, prints each line, or keeps the lines.
    #[must_use]
    pub fn new(print: bool, keep: bool) -> Trace {
        Trace { hash: Mixer(0x5bd1_e995_9d1b_54a5), lines: keep.then(Vec::new), print }
    }

    /// Takes something into the hash.
    pub fn note(&mut self, what: &impl Hash) {
        what.hash(&mut self.hash);
    }

    /// Whether the text of lines is wanted at all.
    #[must_use]
    pub fn wants_lines(&self) -> bool {
        self.print || self.lines.is_some()
    }

    /// A line of text.
    pub fn line(&mut self, line: String) {
        if self.print {
            println!("{line}");
        }
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// The hash so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// The lines, if they were kept.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9fb2_1c65_1e98_df25);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}
