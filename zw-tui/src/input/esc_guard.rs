//! Tells a pressed Esc from the first byte of a key whose bytes came in pieces.
//!
//! The terminal library takes an Esc byte without a follower as the Esc key and the rest of the sequence as letters. Here
//! an Esc waits a moment; if `[` or `O` follows in time, the rest is put together again. Esc is never guessed to be one
//! with another letter: that letter keeps its meaning.

use crate::key::{Code, Key};
use std::time::Duration;

/// How long an Esc waits on a local terminal.
pub const WAIT_LOCAL: Duration = Duration::from_millis(15);
/// How long an Esc waits over a network.
pub const WAIT_REMOTE: Duration = Duration::from_millis(50);
/// How long the next byte of a sequence that began may take; then the rest was lost.
const WAIT_INSIDE: Duration = Duration::from_millis(50);
/// Longest sequence that is put together; longer ones are none of ours and are dropped.
const SEQUENCE_MAX: usize = 16;

/// The guard. Times are since the start of the console.
#[derive(Clone, Debug)]
pub struct EscGuard {
    wait: Duration,
    /// What followed the Esc that waits, with the time at which the waiting ends.
    pending: Option<(String, Duration)>,
}

impl EscGuard {
    /// Nothing waits.
    #[must_use]
    pub fn new(is_remote: bool) -> EscGuard {
        EscGuard { wait: if is_remote { WAIT_REMOTE } else { WAIT_LOCAL }, pending: None }
    }

    /// When to call [`EscGuard::expire`].
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.pending.as_ref().map(|(_, end)| *end)
    }

    /// Takes a key as the terminal library sees it; gives the keys that are certain now.
    pub fn push(&mut self, key: Key, now: Duration) -> Vec<Key> {
        let mut certain = self.expire(now);
        let Some((mut tail, _)) = self.pending.take() else {
            if key == Key::plain(Code::Esc) {
                self.pending = Some((String::new(), now + self.wait));
            } else {
                certain.push(key);
            }
            return certain;
        };
        match (tail.is_empty(), key) {
            (true, Key { code: Code::Char('[' | 'O'), ctrl: false })
            | (false, Key { code: Code::Char(' '..='~'), ctrl: false }) => {
                if let Code::Char(character) = key.code {
                    tail.push(character);
                }
                if is_complete(&tail) {
                    certain.extend(decode(&tail));
                } else if tail.len() < SEQUENCE_MAX {
                    self.pending = Some((tail, now + WAIT_INSIDE));
                }
            }
            (true, _) => {
                certain.push(Key::plain(Code::Esc));
                certain.extend(self.push(key, now));
            }
            (false, _) => certain.extend(self.push(key, now)),
        }
        certain
    }

    /// Gives the Esc that nothing followed. A sequence that broke off is dropped.
    pub fn expire(&mut self, now: Duration) -> Vec<Key> {
        match &self.pending {
            Some((tail, end)) if *end <= now => {
                let was_esc = tail.is_empty();
                self.pending = None;
                if was_esc { vec![Key::plain(Code::Esc)] } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }
}

fn is_complete(tail: &str) -> bool {
    let mut bytes = tail.bytes();
    match bytes.next() {
        Some(b'O') => bytes.next().is_some(),
        _ => bytes.last().is_some_and(|last| matches!(last, b'@'..=b'~')),
    }
}

fn decode(tail: &str) -> Option<Key> {
    let code = match tail {
        "[A" | "OA" => Code::Up,
        "[B" | "OB" => Code::Down,
        "[C" | "OC" => Code::Right,
        "[D" | "OD" => Code::Left,
        "[H" | "OH" | "[1~" | "[7~" => Code::Home,
        "[F" | "OF" | "[4~" | "[8~" => Code::End,
        "[3~" => Code::Delete,
        "[5~" => Code::PageUp,
        "[6~" => Code::PageDown,
        "[Z" => Code::BackTab,
        "OP" | "[11~" => Code::Function(1),
        _ => return None,
    };
    Some(Key::plain(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ESC: Key = Key::plain(Code::Esc);

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Pushes the characters 5 ms apart.
    fn typed(guard: &mut EscGuard, keys: &[Key]) -> Vec<Key> {
        let times = (1..).map(|step| ms(step * 5));
        keys.iter().zip(times).flat_map(|(key, now)| guard.push(*key, now)).collect()
    }

    #[test]
    fn a_lone_esc_comes_after_its_wait() {
        let mut guard = EscGuard::new(false);
        assert_eq!(guard.push(ESC, ms(0)), []);
        assert_eq!(guard.deadline(), Some(WAIT_LOCAL));
        assert_eq!(guard.expire(ms(14)), []);
        assert_eq!(guard.expire(ms(15)), [ESC]);
        assert_eq!(guard.deadline(), None);
    }

    #[test]
    fn an_arrow_in_pieces_is_an_arrow() {
        let keys = [ESC, Key::char('['), Key::char('A'), Key::char('j')];
        assert_eq!(typed(&mut EscGuard::new(false), &keys), [Key::plain(Code::Up), Key::char('j')]);
        let keys = [ESC, Key::char('['), Key::char('6'), Key::char('~')];
        assert_eq!(typed(&mut EscGuard::new(false), &keys), [Key::plain(Code::PageDown)]);
        let keys = [ESC, Key::char('O'), Key::char('B')];
        assert_eq!(typed(&mut EscGuard::new(false), &keys), [Key::plain(Code::Down)]);
    }

    #[test]
    fn letters_never_come_out_of_an_unknown_sequence() {
        let unknown: Vec<Key> = [ESC].into_iter().chain("[<0;10;5K".chars().map(Key::char)).collect();
        assert_eq!(typed(&mut EscGuard::new(false), &unknown), []);
        let mut guard = EscGuard::new(false);
        assert_eq!(typed(&mut guard, &[ESC, Key::char('['), Key::char('1')]), []);
        assert_eq!(guard.expire(ms(1_000)), [], "a sequence that broke off is dropped");
    }

    #[test]
    fn other_keys_after_an_esc_keep_their_meaning() {
        let keys = [ESC, Key::char('j'), Key::plain(Code::Up)];
        assert_eq!(typed(&mut EscGuard::new(false), &keys), keys);
        assert_eq!(typed(&mut EscGuard::new(false), &[ESC, ESC]), [ESC]);
    }
}
