//! Turns the bytes of a terminal into keys, pastes, clicks and turns of the wheel, however they are cut into pieces.
//!
//! Invariants:
//! - No byte of a sequence ever comes out as a letter: a letter could act. What is unknown or broken off is dropped.
//! - A paste is text, never keys. A string (the answer to a question that somebody asked the terminal) is neither.
//! - An Esc is the Esc key only if nothing follows it for a moment; Esc with a letter is Alt, which means nothing here.
//! - What is kept between two pieces is bounded.
//!
//! The sequences are those of xterm (ctlseqs: "PC-Style Function Keys", "Mouse Tracking", "Bracketed Paste Mode").

use crate::key::{Code, Key};
use std::time::Duration;

/// How long an Esc waits on a local terminal.
pub const WAIT_LOCAL: Duration = Duration::from_millis(15);
/// How long an Esc waits over a network.
pub const WAIT_REMOTE: Duration = Duration::from_millis(50);
/// How long the next byte of a sequence that began may take; then the rest was lost.
const WAIT_INSIDE: Duration = Duration::from_millis(50);
/// Longest sequence; longer ones are none of ours and are dropped.
const SEQUENCE_MAX: usize = 64;
/// Longest paste that is kept; more than any input line takes, so that a longer one is refused there.
const PASTE_BYTES_MAX: usize = 1 << 20;
const PASTE_END: &[u8] = b"\x1b[201~";

/// Something a person or the terminal did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(Key),
    /// Text that was pasted as one; never a key.
    Paste(String),
    /// The left button went down there.
    Click {
        /// Cells from the left.
        column: u16,
        /// Cells from the top.
        row: u16,
    },
    /// The right button went down there.
    RightClick {
        /// Cells from the left.
        column: u16,
        /// Cells from the top.
        row: u16,
    },
    /// The wheel was turned there; negative is up.
    Wheel {
        /// Cells from the left.
        column: u16,
        /// Cells from the top.
        row: u16,
        /// Steps.
        steps: i32,
    },
    /// The terminal gained or lost the focus.
    Focus(bool),
}

/// The decoder. Times are since the start of the console.
#[derive(Clone, Debug)]
pub struct Decoder {
    wait: Duration,
    /// The beginning of something, or the end of a paste so far that may be the beginning of its end.
    pending: Vec<u8>,
    /// When `pending` has waited long enough.
    deadline: Option<Duration>,
    paste: Option<Vec<u8>>,
    /// Whether a string goes on; nothing of it is kept.
    is_in_string: bool,
}

/// What the first bytes of the input are.
enum Step {
    /// So many bytes mean this, or nothing.
    Taken(usize, Option<Input>),
    /// More bytes are needed to tell; wait so long for them.
    Incomplete(Duration),
    /// So many bytes begin a paste.
    Paste(usize),
    /// So many bytes begin a string.
    String(usize),
}

impl Decoder {
    /// Nothing waits.
    #[must_use]
    pub fn new(is_remote: bool) -> Decoder {
        let wait = if is_remote { WAIT_REMOTE } else { WAIT_LOCAL };
        Decoder { wait, pending: Vec::new(), deadline: None, paste: None, is_in_string: false }
    }

    /// When to call [`Decoder::expire`].
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Takes bytes; gives what is certain now.
    pub fn push(&mut self, bytes: &[u8], now: Duration) -> Vec<Input> {
        let mut certain = self.expire(now);
        self.deadline = None;
        let mut input = std::mem::take(&mut self.pending);
        input.extend_from_slice(bytes);
        let mut rest = &input[..];
        while !rest.is_empty() {
            if self.paste.is_some() {
                let Some(after) = self.take_paste(rest, &mut certain) else { return certain };
                rest = after;
                continue;
            }
            if self.is_in_string {
                rest = self.skip_string(rest, now);
                continue;
            }
            match self.step(rest) {
                Step::Taken(length, meaning) => {
                    certain.extend(meaning);
                    rest = &rest[length..];
                }
                Step::Paste(length) => {
                    self.paste = Some(Vec::new());
                    rest = &rest[length..];
                }
                Step::String(length) => {
                    self.is_in_string = true;
                    self.deadline = Some(now + WAIT_INSIDE);
                    rest = &rest[length..];
                }
                Step::Incomplete(wait) => {
                    if rest.len() <= SEQUENCE_MAX {
                        self.pending = rest.to_vec();
                        self.deadline = Some(now + wait);
                    }
                    break;
                }
            }
        }
        certain
    }

    /// Gives the Esc that nothing followed. A sequence that broke off is dropped.
    pub fn expire(&mut self, now: Duration) -> Vec<Input> {
        if self.deadline.is_none_or(|end| end > now) {
            return Vec::new();
        }
        self.deadline = None;
        let was_esc = self.pending == [0x1b] && !self.is_in_string;
        self.is_in_string = false;
        self.pending.clear();
        if was_esc { vec![Input::Key(Key::plain(Code::Esc))] } else { Vec::new() }
    }

    /// Takes the text of a paste; gives what follows its end, or nothing if it has not ended.
    fn take_paste<'a>(&mut self, bytes: &'a [u8], certain: &mut Vec<Input>) -> Option<&'a [u8]> {
        let end = bytes.windows(PASTE_END.len()).position(|window| window == PASTE_END);
        // The last bytes may be the beginning of the end.
        let text = end.unwrap_or_else(|| bytes.len().saturating_sub(PASTE_END.len() - 1));
        let paste = self.paste.get_or_insert_default();
        paste.extend(&bytes[..text.min(PASTE_BYTES_MAX.saturating_sub(paste.len()))]);
        let Some(end) = end else {
            self.pending = bytes[text..].to_vec();
            return None;
        };
        let paste = self.paste.take().unwrap_or_default();
        certain.push(Input::Paste(String::from_utf8_lossy(&paste).into_owned()));
        Some(&bytes[end + PASTE_END.len()..])
    }

    /// Drops what belongs to a string; gives what follows its end, or nothing if it has not ended.
    fn skip_string<'a>(&mut self, bytes: &'a [u8], now: Duration) -> &'a [u8] {
        let end = bytes.iter().position(|byte| matches!(byte, 0x07 | 0x18 | 0x1a | 0x1b));
        match end.map(|end| &bytes[end..]) {
            None | Some([] | [0x1b]) => {
                // The last byte may be the beginning of the end.
                self.pending = end.map(|end| bytes[end..].to_vec()).unwrap_or_default();
                self.deadline = Some(now + WAIT_INSIDE);
                &[]
            }
            Some(rest) => {
                self.is_in_string = false;
                self.deadline = None;
                match rest {
                    [0x1b, b'\\', rest @ ..] => rest,
                    // Any other sequence breaks it off.
                    [0x1b, ..] => rest,
                    _ => &rest[1..],
                }
            }
        }
    }

    fn step(&self, bytes: &[u8]) -> Step {
        let key = |code| Step::Taken(1, Some(Input::Key(Key::plain(code))));
        let ctrl = |character: u8| Step::Taken(1, Some(Input::Key(Key::ctrl(char::from(character)))));
        match bytes[0] {
            0x1b => self.escape(bytes),
            b'\r' => key(Code::Enter),
            b'\t' => key(Code::Tab),
            0x7f => key(Code::Backspace),
            0x00 => ctrl(b' '),
            byte @ 0x01..=0x1a => ctrl(byte - 1 + b'a'),
            byte @ 0x1c..=0x1f => ctrl(byte - 0x1c + b'4'),
            _ => character(bytes),
        }
    }

    fn escape(&self, bytes: &[u8]) -> Step {
        match bytes.get(1) {
            None => Step::Incomplete(self.wait),
            Some(0x1b) => Step::Taken(1, Some(Input::Key(Key::plain(Code::Esc)))),
            Some(b'[') => control_sequence(bytes),
            // OSC, DCS, SOS, PM and APC.
            Some(b']' | b'P' | b'X' | b'^' | b'_') => Step::String(2),
            Some(b'O') => match bytes.get(2) {
                None => Step::Incomplete(WAIT_INSIDE),
                Some(last) => Step::Taken(3, function_key(*last).map(Input::Key)),
            },
            Some(_) => match character(&bytes[1..]) {
                Step::Taken(length, _) => Step::Taken(1 + length, None),
                other => other,
            },
        }
    }
}

/// A character of UTF-8.
fn character(bytes: &[u8]) -> Step {
    let length = match bytes[0] {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Step::Taken(1, None),
    };
    let Some(whole) = bytes.get(..length) else { return Step::Incomplete(WAIT_INSIDE) };
    match std::str::from_utf8(whole).ok().and_then(|text| text.chars().next()) {
        Some(character) if !character.is_control() => Step::Taken(length, Some(Input::Key(Key::char(character)))),
        Some(_) => Step::Taken(length, None),
        None => Step::Taken(1, None),
    }
}

/// `ESC [`, parameters, and a last byte.
fn control_sequence(bytes: &[u8]) -> Step {
    // The Linux console's function keys have a second bracket.
    if bytes.get(2) == Some(&b'[') {
        return match bytes.get(3) {
            None => Step::Incomplete(WAIT_INSIDE),
            Some(last @ b'A'..=b'E') => Step::Taken(4, Some(Input::Key(Key::plain(Code::Function(last - b'A' + 1))))),
            Some(_) => Step::Taken(4, None),
        };
    }
    let Some(length) = bytes[2..].iter().position(|byte| !(0x20..=0x3f).contains(byte)) else {
        return Step::Incomplete(WAIT_INSIDE);
    };
    let last = bytes[2 + length];
    // A byte that has no place in a sequence ends it, and stands for itself.
    if !(0x40..=0x7e).contains(&last) {
        return Step::Taken(2 + length, None);
    }
    let whole = 2 + length + 1;
    let Ok(parameters) = std::str::from_utf8(&bytes[2..2 + length]) else { return Step::Taken(whole, None) };
    if (parameters, last) == ("200", b'~') {
        return Step::Paste(whole);
    }
    Step::Taken(whole, meaning(parameters, last))
}

fn meaning(parameters: &str, last: u8) -> Option<Input> {
    if let Some(mouse) = parameters.strip_prefix('<') {
        return mouse_event(mouse, last);
    }
    let mut numbers = parameters.split(';').map(str::parse::<u16>);
    let (first, modifiers) = (numbers.next(), numbers.next());
    // Alt and beyond mean nothing; Shift and Ctrl on these keys mean nothing more.
    if matches!(modifiers, Some(Ok(modifiers)) if modifiers.saturating_sub(1) & !0b101 != 0) {
        return None;
    }
    let code = match (last, first) {
        (b'I', _) => return Some(Input::Focus(true)),
        (b'O', _) => return Some(Input::Focus(false)),
        (b'Z', _) => Code::BackTab,
        (b'~', Some(Ok(number))) => match number {
            1 | 7 => Code::Home,
            4 | 8 => Code::End,
            3 => Code::Delete,
            5 => Code::PageUp,
            6 => Code::PageDown,
            11..=15 => Code::Function(u8::try_from(number - 10).ok()?),
            17..=21 => Code::Function(u8::try_from(number - 11).ok()?),
            23 | 24 => Code::Function(u8::try_from(number - 12).ok()?),
            _ => return None,
        },
        (last, _) => return function_key(last).map(Input::Key),
    };
    Some(Input::Key(Key::plain(code)))
}

/// The keys that one letter names.
fn function_key(letter: u8) -> Option<Key> {
    Some(Key::plain(match letter {
        b'A' => Code::Up,
        b'B' => Code::Down,
        b'C' => Code::Right,
        b'D' => Code::Left,
        b'H' => Code::Home,
        b'F' => Code::End,
        b'P'..=b'T' => Code::Function(letter - b'P' + 1),
        b'M' => Code::Enter,
        _ => return None,
    }))
}

/// `button;column;row`, as mode 1006 tells it.
fn mouse_event(parameters: &str, last: u8) -> Option<Input> {
    const MOTION: u16 = 32;
    const WHEEL: u16 = 64;
    let numbers: Vec<u16> = parameters.split(';').filter_map(|number| number.parse().ok()).collect();
    let [button, column, row] = numbers[..] else { return None };
    let (column, row) = (column.checked_sub(1)?, row.checked_sub(1)?);
    match button & (MOTION | WHEEL | 3) {
        0 if last == b'M' => Some(Input::Click { column, row }),
        2 if last == b'M' => Some(Input::RightClick { column, row }),
        WHEEL => Some(Input::Wheel { column, row, steps: -1 }),
        button if button == WHEEL + 1 => Some(Input::Wheel { column, row, steps: 1 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ESC: Input = Input::Key(Key::plain(Code::Esc));

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn key(character: char) -> Input {
        Input::Key(Key::char(character))
    }

    fn plain(code: Code) -> Input {
        Input::Key(Key::plain(code))
    }

    fn at_once(bytes: &str) -> Vec<Input> {
        Decoder::new(false).push(bytes.as_bytes(), ms(0))
    }

    /// The bytes 5 ms apart.
    fn in_pieces(bytes: &str) -> Vec<Input> {
        let mut decoder = Decoder::new(false);
        let times = (1..).map(|step| ms(step * 5));
        bytes.bytes().zip(times).flat_map(|(byte, now)| decoder.push(&[byte], now)).collect()
    }

    #[test]
    fn a_lone_esc_comes_after_its_wait() {
        let mut decoder = Decoder::new(false);
        assert_eq!(decoder.push(b"\x1b", ms(0)), []);
        assert_eq!(decoder.deadline(), Some(WAIT_LOCAL));
        assert_eq!(decoder.expire(ms(14)), []);
        assert_eq!(decoder.expire(ms(15)), [ESC]);
        assert_eq!(decoder.deadline(), None);
        // What comes later is on its own.
        assert_eq!(decoder.push(b"\x1b", ms(20)), []);
        assert_eq!(decoder.push(b"[A", ms(60)), [ESC, key('['), key('A')]);
    }

    #[test]
    fn keys_are_the_same_at_once_and_in_pieces() {
        for (bytes, inputs) in [
            ("\x1b[Aj", vec![plain(Code::Up), key('j')]),
            ("\x1bOB", vec![plain(Code::Down)]),
            ("\x1b[1;5C", vec![plain(Code::Right)]),
            ("\x1b[6~\x1b[5~", vec![plain(Code::PageDown), plain(Code::PageUp)]),
            (
                "\x1b[Z\t\r\x7f",
                vec![plain(Code::BackTab), plain(Code::Tab), plain(Code::Enter), plain(Code::Backspace)],
            ),
            (
                "\x1bOP\x1b[11~\x1b[[A\x1b[24~",
                vec![
                    plain(Code::Function(1)),
                    plain(Code::Function(1)),
                    plain(Code::Function(1)),
                    plain(Code::Function(12)),
                ],
            ),
            ("\x03\x04é日", vec![Input::Key(Key::ctrl('c')), Input::Key(Key::ctrl('d')), key('é'), key('日')]),
            ("\x1b[I\x1b[O", vec![Input::Focus(true), Input::Focus(false)]),
            ("\x1b[<0;5;7M\x1b[<0;5;7m", vec![Input::Click { column: 4, row: 6 }]),
            ("\x1b[<2;5;7M\x1b[<2;5;7m", vec![Input::RightClick { column: 4, row: 6 }]),
            (
                "\x1b[<65;1;1M\x1b[<64;1;1M",
                vec![Input::Wheel { column: 0, row: 0, steps: 1 }, Input::Wheel { column: 0, row: 0, steps: -1 }],
            ),
            ("\x1b[200~K\nq\x1b[A\x1b[201~j", vec![Input::Paste("K\nq\x1b[A".into()), key('j')]),
        ] {
            assert_eq!(at_once(bytes), inputs, "{bytes:?} at once");
            assert_eq!(in_pieces(bytes), inputs, "{bytes:?} in pieces");
        }
    }

    #[test]
    fn alt_and_unknown_sequences_mean_nothing() {
        for bytes in ["\x1bK", "\x1bé", "\x1b[1;3A", "\x1b[<0;10;5K", "\x1b[?1;2c", "\x1b[999~", "\x1b[<35;1;1M"] {
            assert_eq!(at_once(bytes), [], "{bytes:?}");
        }
        let mut decoder = Decoder::new(false);
        assert_eq!(decoder.push(b"\x1b[1", ms(0)), []);
        assert_eq!(decoder.expire(ms(1_000)), [], "a sequence that broke off is dropped");
        assert_eq!(at_once("\x1b\x1b[A"), [ESC, plain(Code::Up)]);
        assert_eq!(at_once("\x1b[1\rj"), [plain(Code::Enter), key('j')]);
    }

    #[test]
    fn a_string_is_dropped_until_it_ends_or_breaks_off() {
        for bytes in ["\x1b]11;rgb:1616/K\x1b\\", "\x1b]52;c;S0tL\x07", "\x1bP>|tmux 3.3a\x1b\\", "\x1b_KKK\x18"] {
            assert_eq!((at_once(bytes), in_pieces(bytes)), (vec![], vec![]), "{bytes:?}");
            let more = format!("{bytes}j");
            assert_eq!((at_once(&more), in_pieces(&more)), (vec![key('j')], vec![key('j')]), "{bytes:?}");
        }
        assert_eq!(at_once("\x1b]11;rgb\x1b[Aj"), [plain(Code::Up), key('j')], "another sequence breaks it off");
        let mut decoder = Decoder::new(false);
        assert_eq!(decoder.push("\x1b]11;".repeat(100).as_bytes(), ms(0)), []);
        assert_eq!(decoder.push(b"rgb\x1b", ms(40)), []);
        assert_eq!(decoder.expire(ms(90)), [], "the Esc in it is no key");
        assert_eq!(decoder.push(b"j", ms(91)), [key('j')], "its end never came, and is not waited for");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut decoder = Decoder::new(false);
        decoder.push(b"\x1b[", ms(0));
        for _ in 0..1_000 {
            decoder.push(&[b'1'; 100], ms(1));
            assert!(decoder.pending.len() <= SEQUENCE_MAX);
        }
        let mut decoder = Decoder::new(false);
        decoder.push(b"\x1b[200~", ms(0));
        for _ in 0..40 {
            decoder.push(&[b'K'; 65_536], ms(1));
        }
        let inputs = decoder.push(b"\x1b[201~", ms(2));
        assert!(matches!(&inputs[..], [Input::Paste(text)] if text.len() == PASTE_BYTES_MAX));
    }

    proptest! {
        /// Wherever the bytes are cut, they mean the same, if the pieces come soon enough.
        #[test]
        fn cuts_change_nothing(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("j"), Just("K"), Just("\x1b[A"), Just("\x1b[<65;10;10M"), Just("\x1bOP"), Just("日"), Just("\r"),
                    Just("\x1b]11;rgb:16/18/1d\x1b\\"), Just("\x1bP>|K\x1b\\"), Just("\x1b]0;R\x07"),
                    Just("\x1b[200~Kill\x1b[201~"), Just("\x1b[3~"), Just("\x1b[1;5D"),
                ],
                1..40,
            ),
            cuts in proptest::collection::vec(0_usize..400, 0..20),
        ) {
            let bytes = parts.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut decoder = Decoder::new(false);
            let pieces = cuts.windows(2).flat_map(|cut| decoder.push(&bytes[cut[0]..cut[1]], ms(1))).collect::<Vec<_>>();
            prop_assert_eq!(pieces, Decoder::new(false).push(&bytes, ms(1)));
        }

        /// Bytes of any kind neither fail nor act: only keys that were sent as such come out.
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = Decoder::new(false);
            let inputs = decoder.push(&bytes, ms(0));
            prop_assert!(inputs.len() <= bytes.len());
            decoder.expire(ms(1_000));
            prop_assert_eq!(decoder.deadline(), None);
        }
    }
}
