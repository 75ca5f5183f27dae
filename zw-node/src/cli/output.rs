//! What the verbs print: aligned columns, Stats, data that may not be text, and JSON.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use zw_core::tree::command::{Stat, TreeEvent};

/// Columns aligned by their widest cell, numbers to the right.
pub(super) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(super) fn new(header: Vec<&'static str>) -> Table {
        Table { header, rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it has not as many cells as there are headings.
    pub(super) fn push(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.header.len(), "a row has a cell for each heading");
        self.rows.push(row);
    }

    /// The table as text.
    pub(super) fn render(&self) -> String {
        let columns = self.header.len();
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.header[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let right: Vec<bool> = (0..columns).map(|column| self.rows.iter().all(|row| is_number(&row[column]))).collect();
        let mut text = String::new();
        let header: Vec<String> = self.header.iter().map(ToString::to_string).collect();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.chars().count());
                let (left, after) = if right[column] { (gap.as_str(), "") } else { ("", gap.as_str()) };
                let _ = write!(line, "{left}{cell}{after}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn is_number(cell: &str) -> bool {
    let plain = cell.trim_end_matches(" MiB").trim_end_matches(" s");
    cell == "-" || (!plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit() || b":.".contains(&byte)))
}

/// A Stat as JSON: ZooKeeper's names, zxids as decimal numbers.
pub(super) fn stat_json(stat: &Stat) -> Value {
    json!({
        "czxid": stat.czxid.0, "mzxid": stat.mzxid.0, "pzxid": stat.pzxid.0,
        "ctime_ms": stat.ctime_ms, "mtime_ms": stat.mtime_ms,
        "version": stat.version, "cversion": stat.cversion, "aversion": stat.aversion,
        "ephemeral_owner": stat.ephemeral_owner.0,
        "data_length": stat.data_length, "num_children": stat.num_children,
    })
}

/// A Stat as aligned lines.
pub(super) fn stat_text(stat: &Stat) -> String {
    let lines = [
        ("czxid", stat.czxid.to_string()),
        ("mzxid", stat.mzxid.to_string()),
        ("pzxid", stat.pzxid.to_string()),
        ("ctime", time_text(stat.ctime_ms)),
        ("mtime", time_text(stat.mtime_ms)),
        ("version", stat.version.to_string()),
        ("cversion", stat.cversion.to_string()),
        ("aversion", stat.aversion.to_string()),
        ("ephemeral owner", stat.ephemeral_owner.to_string()),
        ("data length", stat.data_length.to_string()),
        ("children", stat.num_children.to_string()),
    ];
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<16} {value}");
        text
    })
}

/// Milliseconds since 1970 as a UTC time.
pub(super) fn time_text(ms: u64) -> String {
    // Beyond the year 9999 the formatter would panic; no honest clock says so.
    let capped = std::time::Duration::from_millis(ms.min(253_402_300_799_000));
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + capped).to_string()
}

/// Data for a JSON object: as text if it is UTF-8, else in hexadecimal, so that nothing is lost.
pub(super) fn data_json(data: &[u8]) -> (&'static str, String) {
    match std::str::from_utf8(data) {
        Ok(text) => ("data", text.to_owned()),
        Err(_) => ("data_hex", data.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))),
    }
}

/// A watch event as JSON.
pub(super) fn event_json(event: &TreeEvent) -> Value {
    json!({ "event": event_word(event), "path": event.path, "zxid": event.zxid.0 })
}

/// What happened, in a word.
pub(super) fn event_word(event: &TreeEvent) -> &'static str {
    use zw_core::tree::command::EventKind;
    match event.kind {
        EventKind::Created => "created",
        EventKind::Deleted => "deleted",
        EventKind::DataChanged => "changed",
        EventKind::ChildrenChanged => "children",
    }
}

/// Bytes as MiB with one decimal.
pub(super) fn mib(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mib = bytes as f64 / f64::from(1 << 20);
    format!("{mib:.1} MiB")
}

/// Says something on standard error: a JSON value on a line, or a line of text with the program's name before it.
pub(super) fn tell(json: bool, value: impl FnOnce() -> Value, text: impl FnOnce() -> String) {
    let line = if json { value().to_string() } else { format!("zw: {}", text()) };
    // Nobody may be reading it.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says something beside a result.
pub(super) fn note(json: bool, text: &str) {
    tell(json, || json!({ "note": text }), || text.to_owned());
}

/// Prints one JSON value on a line.
///
/// # Errors
/// The output failed.
pub(super) fn line_json(out: &mut impl Write, value: &Value) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_numbers_stand_to_the_right() {
        let mut table = Table::new(vec!["address", "zxid"]);
        table.push(vec!["a:8080".into(), "1:9".into()]);
        table.push(vec!["longer:8081".into(), "1:1042".into()]);
        assert_eq!(table.render(), "address        zxid\na:8080          1:9\nlonger:8081  1:1042\n");
    }

    #[test]
    fn data_that_is_not_text_is_shown_in_hexadecimal() {
        assert_eq!(data_json("gôl".as_bytes()), ("data", "gôl".into()));
        assert_eq!(data_json(&[0xff, 0x0a]), ("data_hex", "ff0a".into()));
    }

    #[test]
    fn a_wild_time_is_capped() {
        assert_eq!(time_text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time_text(u64::MAX), "9999-12-31T23:59:59.000Z");
    }

    #[test]
    fn zxids_are_decimal_numbers_in_json() {
        let stat = Stat { czxid: zw_core::ids::Zxid((1 << 40) + 7), ..Stat::default() };
        assert_eq!(stat_json(&stat)["czxid"], (1u64 << 40) + 7);
    }
}
