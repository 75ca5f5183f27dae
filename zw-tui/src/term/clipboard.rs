//! The person's clipboard, through the terminal (OSC 52): it works over ssh, and needs no helper that could hang.
//!
//! Whether the terminal takes it cannot be known: it answers nothing. So the person is told which way it went.

use super::guard;
use crate::paths;
use std::io;
use std::path::PathBuf;

/// The longest text that terminals take: 100,000 characters of base64, less what stands around them.
const TEXT_BYTES_MAX: usize = 74_000;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// How things are copied.
#[derive(Clone, Debug)]
pub struct Clipboard {
    /// Whether tmux is between us and the terminal.
    pub in_tmux: bool,
    /// Where the file of a text that is too long goes.
    pub directory: PathBuf,
}

impl Clipboard {
    /// Of this process, with this directory for what is too long.
    #[must_use]
    pub fn of_process(directory: PathBuf) -> Clipboard {
        Clipboard { in_tmux: std::env::var_os("TMUX").is_some(), directory }
    }

    /// Copies a text; gives the way it went, for a person.
    ///
    /// # Errors
    /// The terminal is gone, or the file cannot be written; for a person.
    pub fn copy(&self, text: &str) -> Result<String, String> {
        if text.len() > TEXT_BYTES_MAX {
            return self
                .write_file(text)
                .map_err(|error| format!("cannot write {}: {error}", self.directory.display()));
        }
        guard::write_frame(&sequence(text, self.in_tmux)).map_err(|error| error.to_string())?;
        let through = if self.in_tmux { " through tmux" } else { "" };
        Ok(format!("{} bytes to the terminal's clipboard (OSC 52{through})", text.len()))
    }

    fn write_file(&self, text: &str) -> io::Result<String> {
        let path = paths::write_numbered(&self.directory, &format!("copied-{}", std::process::id()), text)?;
        Ok(format!("{} bytes are too many for a clipboard: they are in {}", text.len(), path.display()))
    }
}

/// What sets the clipboard. To tmux it is said twice: once for tmux itself (`set-clipboard on`), and once passed through
/// to the terminal around it (`allow-passthrough on`).
fn sequence(text: &str, in_tmux: bool) -> Vec<u8> {
    let set = format!("\x1b]52;c;{}\x07", base64(text.as_bytes()));
    if !in_tmux {
        return set.into_bytes();
    }
    let passed = set.replace('\x1b', "\x1b\x1b");
    format!("{set}\x1bPtmux;{passed}\x1b\\").into_bytes()
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            let character = ALPHABET.get(value as usize).copied().unwrap_or(b'=');
            text.push(if digit <= chunk.len() { char::from(character) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let known =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (text, encoded) in known {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn tmux_is_told_and_passes_it_on() {
        assert_eq!(sequence("foo", false), b"\x1b]52;c;Zm9v\x07");
        assert_eq!(sequence("foo", true), b"\x1b]52;c;Zm9v\x07\x1bPtmux;\x1b\x1b]52;c;Zm9v\x07\x1b\\");
    }

    #[test]
    fn what_is_too_long_becomes_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut clipboard = Clipboard { in_tmux: false, directory: directory.path().to_owned() };
        let text = "x".repeat(TEXT_BYTES_MAX + 1);
        let words = clipboard.copy(&text).unwrap();
        let path = directory.path().join(format!("copied-{}-1.txt", std::process::id()));
        assert!(words.ends_with(&path.display().to_string()), "{words}");
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        // No terminal was entered, so nothing is written, and that is no error.
        assert!(clipboard.copy("short").unwrap().contains("5 bytes"));
        std::fs::write(directory.path().join("file"), "").unwrap();
        clipboard.directory = directory.path().join("file");
        assert!(clipboard.copy(&text).unwrap_err().contains("cannot write"));
    }
}
