//! A znode's data in lines that can be shown: JSON indented, text as it is, anything else in hexadecimal.
//!
//! Invariant: however much there is and whatever it is, the lines are bounded, and nothing in them steers the terminal.

use super::select::printable;
use std::fmt::Write;

/// Bytes of one line of text that are shown.
const LINE_BYTES_MAX: usize = 4_096;
/// Lines at most.
const LINES_MAX: usize = 2_000;
/// Bytes in a line of hexadecimal.
const HEX_BYTES: usize = 16;
/// Longest JSON that is indented.
const JSON_BYTES_MAX: usize = 64 * 1_024;
/// Deeper levels are not indented any more.
const INDENT_MAX: usize = 16;

/// The lines of the first `most` bytes, and of how many bytes if there are more.
#[must_use]
pub fn lines(data: &[u8], most: usize) -> Vec<String> {
    let mut lines = if is_json(data) && data.len() <= most {
        indented(&String::from_utf8_lossy(data))
            .lines()
            .map(|line| printable(line.as_bytes(), LINE_BYTES_MAX))
            .collect()
    } else {
        let shown = &data[..data.len().min(most)];
        if is_text(shown) { text(shown) } else { shown.chunks(HEX_BYTES).enumerate().map(hex).collect() }
    };
    let is_cut = data.len() > most || lines.len() > LINES_MAX;
    lines.truncate(LINES_MAX);
    if is_cut {
        lines.push(format!("... cut: {} bytes in all", data.len()));
    }
    lines
}

fn text(data: &[u8]) -> Vec<String> {
    let mut lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    // A last line that is ended begins no other.
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines.into_iter().map(|line| printable(line, LINE_BYTES_MAX)).collect()
}

/// Whether most of it can be read.
fn is_text(data: &[u8]) -> bool {
    let odd = |chunk: std::str::Utf8Chunk<'_>| {
        let steering =
            chunk.valid().chars().filter(|character| character.is_control() && !"\n\t\r".contains(*character));
        steering.count() + chunk.invalid().len()
    };
    let odd: usize = data.utf8_chunks().map(odd).sum();
    !data.contains(&0) && odd * 8 <= data.len()
}

fn hex((row, bytes): (usize, &[u8])) -> String {
    let mut line = format!("{:06x} ", row * HEX_BYTES);
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(line, " {byte:02x}");
    }
    line.push_str(&"   ".repeat(HEX_BYTES - bytes.len()));
    let shown = bytes.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' });
    let shown: String = shown.collect();
    format!("{line}  {shown}")
}

fn is_json(data: &[u8]) -> bool {
    let begins = data.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'{' | b'['));
    begins && data.len() <= JSON_BYTES_MAX && serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
}

/// Valid JSON with a line for each member: only blanks between the tokens are changed.
fn indented(json: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut tokens = json.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth.min(INDENT_MAX)));
    };
    while let Some(token) = tokens.next() {
        if in_string {
            out.push(token);
            in_string = is_escaped || token != '"';
            is_escaped = !is_escaped && token == '\\';
            continue;
        }
        match token {
            '"' => {
                in_string = true;
                out.push('"');
            }
            '{' | '[' => {
                out.push(token);
                while tokens.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(end) = tokens.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(token);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            blank if blank.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_keeps_its_order_and_its_strings() {
        let json = br#"{"b":1,"a":[true,{}, [ ]],"s":"x\",{ y","e":"\u001b"}"#;
        let expected = [
            "{",
            "  \"b\": 1,",
            "  \"a\": [",
            "    true,",
            "    {},",
            "    []",
            "  ],",
            r#"  "s": "x\",{ y","#,
            r#"  "e": "\u001b""#,
            "}",
        ];
        assert_eq!(lines(json, 1_000), expected);
        assert_eq!(lines(b"{\"a\":1", 1_000), ["{\"a\":1"], "that is none");
    }

    #[test]
    fn text_is_in_lines_and_steers_nothing() {
        let text = "a\x1b[2Jb\ttail\ne\u{301} \u{5d0}\u{202e}x \u{65e5}\n".as_bytes();
        assert_eq!(lines(text, 1_000), ["a\\u{1b}[2Jb\\ttail", "e\u{301} \u{5d0}\\u{202e}x \u{65e5}"]);
        assert_eq!(lines(b"mostly text \xff here", 1_000), ["mostly text \\xff here"]);
        assert_eq!(lines(b"", 1_000), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_text_is_in_hexadecimal() {
        let lines = lines(b"\x00\x01PNG\xff0123456789ABCDEF", 1_000);
        assert_eq!(lines[0], "000000  00 01 50 4e 47 ff 30 31 32 33 34 35 36 37 38 39  ..PNG.0123456789");
        assert_eq!(lines[1], "000010  41 42 43 44 45 46                                ABCDEF");
    }

    #[test]
    fn a_large_value_is_cut_with_a_mark() {
        let many = lines(&vec![b'\n'; 1 << 20], 1 << 16);
        assert_eq!((many.len(), many[LINES_MAX].as_str()), (LINES_MAX + 1, "... cut: 1048576 bytes in all"));
        let long = lines(&vec![b'x'; 1 << 20], 1 << 16);
        assert_eq!(long.len(), 2);
        assert!(long[0].len() < LINE_BYTES_MAX + 40 && long[0].ends_with("65536 bytes"), "{}", long[0].len());
    }
}
