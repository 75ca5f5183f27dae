//! The person's file of settings.
//!
//! Invariant: a wrong file never keeps the console from starting. What is wrong in it is told with its line and what to
//! write instead, and the rest counts; of a file that is no TOML nothing counts.

use crate::action::keymap::{Keymap, Wish, name};
use crate::action::table::ACTIONS;
use crate::key::Key;
use crate::motion::Motion;
use crate::nearest::nearest;
use crate::term::capabilities::ColorChoice;
use crate::theme;
use clap::ValueEnum;
use std::fmt;
use std::io;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 256 * 1_024;
/// What can be set, beside the keys.
const NAMES: [&str; 7] = ["theme", "color", "ascii", "motion", "mouse", "log", "keys"];
const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// The word that takes an action's keys away.
const NO_KEY: &str = "nop";

/// What the file sets; none of what it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `theme`.
    pub theme: Option<theme::Name>,
    /// `color`.
    pub color: Option<ColorChoice>,
    /// `ascii`.
    pub ascii: Option<bool>,
    /// `motion`.
    pub motion: Option<Motion>,
    /// `mouse`.
    pub mouse: Option<bool>,
    /// `log`: from which level on lines go to the log.
    pub log: Option<String>,
    /// `[keys]`.
    pub keymap: Keymap,
}

/// Something wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The line, from 1; none for the file as a whole.
    pub line: Option<usize>,
    /// What, and what to write instead.
    pub words: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.words),
            None => f.write_str(&self.words),
        }
    }
}

impl Config {
    /// Reads a file; one that is not there sets nothing.
    #[must_use]
    pub fn read(path: &Path) -> (Config, Vec<Complaint>) {
        let complain = |words: String| (Config::default(), vec![Complaint { line: None, words }]);
        match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Config::default(), Vec::new()),
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                return complain(format!("more than {} KiB: nothing of it counts", FILE_BYTES_MAX >> 10));
            }
            _ => {}
        }
        match std::fs::read_to_string(path) {
            Ok(text) => Config::parse(&text),
            Err(error) => complain(format!("cannot be read, so nothing of it counts: {error}")),
        }
    }

    /// Understands a file, as far as it can be.
    #[must_use]
    pub fn parse(text: &str) -> (Config, Vec<Complaint>) {
        let mut reader = Reader { text, config: Config::default(), complaints: Vec::new() };
        match DeTable::parse(text) {
            Ok(table) => reader.table(table.get_ref()),
            Err(error) => {
                let line = error.span().map(|span| line_of(text, span.start));
                let reason = error.message().trim().replace('\n', ", ");
                let words = format!("{reason}; nothing of the file counts until that is mended");
                reader.complaints.push(Complaint { line, words });
            }
        }
        reader.complaints.sort_by_key(|complaint| complaint.line);
        (reader.config, reader.complaints)
    }

    /// A file that sets nothing and says what could be set.
    #[must_use]
    pub fn template() -> String {
        use std::fmt::Write;
        let mut text = String::from(
            "# Settings of the console of ZooWeeper. What begins with # counts not; the values are the defaults.\n\
             # Flags come before the environment, that before this file. `zw-tui config check` finds mistakes.\n\n\
             # auto, dark, light, mono, high-contrast, deuteranopia, tritanopia\n# theme = \"auto\"\n\n\
             # auto, always, never\n# color = \"auto\"\n\n\
             # Draw with ASCII only.\n# ascii = false\n\n\
             # full, reduced, off\n# motion = \"full\"\n\n\
             # Whether the mouse is the console's from the start.\n# mouse = true\n\n\
             # From which level on lines go to the log: error, warn, info, debug, trace\n# log = \"info\"\n\n\
             # A key, several as [\"K\", \"A\"], or \"nop\" for none. What acts takes upper-case letters only.\n[keys]\n",
        );
        for action in ACTIONS {
            let keys: Vec<String> = action.keys.iter().map(|key| format!("\"{key}\"")).collect();
            let keys = match &keys[..] {
                [] => format!("\"{NO_KEY}\""),
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            };
            // Writing to a text does not fail.
            let name = name(action);
            // A name of two words is quoted.
            let name = if name.contains(' ') { format!("\"{name}\"") } else { name.to_owned() };
            let _ = writeln!(text, "# {name} = {keys}  # {}", action.sentence);
        }
        text
    }
}

/// Takes the file's values, one by one.
struct Reader<'t> {
    text: &'t str,
    config: Config,
    complaints: Vec<Complaint>,
}

type Value<'t> = Spanned<DeValue<'t>>;

impl Reader<'_> {
    fn complain(&mut self, at: usize, words: String) {
        self.complaints.push(Complaint { line: Some(line_of(self.text, at)), words });
    }

    fn table(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "theme" => self.config.theme = self.choice(value, "theme", theme::Name::value_variants()),
                "color" => self.config.color = self.choice(value, "color", ColorChoice::value_variants()),
                "motion" => self.config.motion = self.choice(value, "motion", Motion::value_variants()),
                "ascii" => self.config.ascii = self.truth(value, "ascii"),
                "mouse" => self.config.mouse = self.truth(value, "mouse"),
                "log" => self.config.log = self.word(value, "log", &LOG_LEVELS),
                "keys" => match value.get_ref().as_table() {
                    Some(keys) => self.keys(keys),
                    None => {
                        self.complain(value.span().start, "keys is a table: write [keys] and the keys below".into())
                    }
                },
                unknown => self.unknown(key.span().start, unknown, NAMES),
            }
        }
    }

    fn unknown<'k>(&mut self, at: usize, unknown: &str, known: impl IntoIterator<Item = &'k str>) {
        let unknown: String = unknown.chars().take(40).collect();
        let words = match nearest(&unknown, known) {
            Some(near) => format!("there is no setting {unknown}; did you mean {near}?"),
            None => format!("there is no setting {unknown}; zw-tui config init writes a file with all"),
        };
        self.complain(at, words);
    }

    fn truth(&mut self, value: &Value<'_>, name: &str) -> Option<bool> {
        let truth = value.get_ref().as_bool();
        if truth.is_none() {
            self.complain(value.span().start, format!("{name} is true or false, without quotes"));
        }
        truth
    }

    fn word(&mut self, value: &Value<'_>, name: &str, known: &[&str]) -> Option<String> {
        let word = value.get_ref().as_str();
        if let Some(word) = word.filter(|word| known.contains(word)) {
            return Some(word.to_owned());
        }
        let near = word.and_then(|word| nearest(word, known.iter().copied()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        self.complain(value.span().start, format!("{name} is one of \"{}\"{hint}", known.join("\", \"")));
        None
    }

    fn choice<T: ValueEnum>(&mut self, value: &Value<'_>, name: &str, all: &[T]) -> Option<T> {
        let known: Vec<String> =
            all.iter().filter_map(|one| Some(one.to_possible_value()?.get_name().to_owned())).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let word = self.word(value, name, &known)?;
        T::from_str(&word, false).ok()
    }

    fn keys(&mut self, table: &DeTable<'_>) {
        let mut wishes = Vec::new();
        for (key, value) in table {
            let Some(action) = ACTIONS.iter().find(|action| name(action) == key.get_ref().as_ref()) else {
                self.unknown(key.span().start, key.get_ref(), ACTIONS.iter().map(name));
                continue;
            };
            let line = line_of(self.text, key.span().start);
            match wished(value.get_ref()) {
                Ok(keys) => wishes.push(Wish { id: action.id, keys, line }),
                Err(reason) => self.complain(value.span().start, format!("{}: {reason}", name(action))),
            }
        }
        let (keymap, refused) = Keymap::new(&wishes);
        self.config.keymap = keymap;
        let refused = refused.into_iter().map(|(line, words)| Complaint { line: Some(line), words });
        self.complaints.extend(refused);
    }
}

/// A key, several, or none.
fn wished(value: &DeValue<'_>) -> Result<Vec<Key>, String> {
    let one = |text: &str| text.parse::<Key>().map_err(|error| error.to_string());
    let not_text = || "a key is written as text: \"K\", or [\"K\", \"A\"], or \"nop\" for none".to_owned();
    match value {
        DeValue::String(text) if text.as_ref() == NO_KEY => Ok(Vec::new()),
        DeValue::String(text) => Ok(vec![one(text)?]),
        DeValue::Array(list) => {
            let texts = list.iter().map(|key| key.get_ref().as_str().ok_or_else(not_text));
            texts.map(|text| one(text?)).collect()
        }
        _ => Err(not_text()),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::table::Id;

    fn complaints(text: &str) -> Vec<String> {
        Config::parse(text).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_set_counts() {
        let text = "theme = \"high-contrast\"\ncolor = \"always\"\nascii = true\nmotion = \"off\"\nmouse = false\n\
                    log = \"debug\"\n[keys]\nkill = [\"A\", \"K\"]\nmouse = \"nop\"\ncommand = \";\"\n";
        let (config, complaints) = Config::parse(text);
        assert!(complaints.is_empty(), "{complaints:?}");
        assert_eq!(config.theme, Some(theme::Name::HighContrast));
        assert_eq!((config.color, config.motion), (Some(ColorChoice::Always), Some(Motion::Off)));
        assert_eq!((config.ascii, config.mouse, config.log.as_deref()), (Some(true), Some(false), Some("debug")));
        let words = [Id::Kill, Id::Mouse, Id::Command].map(|id| config.keymap.words(id));
        assert_eq!(words, ["A K", "no key", ";"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_the_rest_counts() {
        let text = "them = \"dark\"\ntheme = \"drak\"\nmouse = \"no\"\nmotion = \"off\"\n\n[keys]\nkil = \"A\"\nkill = 7\n\
                    pause = \"Hyper-P\"\nstop = \"t\"\nwrite = \"R\"\nlog = \"K\"\n";
        let (config, _) = Config::parse(text);
        assert_eq!((config.motion, config.theme, config.mouse), (Some(Motion::Off), None, None));
        assert_eq!(config.keymap, Keymap::default());
        let complaints = complaints(text);
        for (line, words) in [
            (1, "there is no setting them; did you mean theme?"),
            (2, "did you mean \"dark\"?"),
            (3, "mouse is true or false, without quotes"),
            (7, "there is no setting kil; did you mean kill?"),
            (8, "kill: a key is written as text"),
            (9, "pause: \"Hyper-P\" names no key"),
            (10, "stop acts, so its key must be an upper-case letter, not t; it keeps T"),
            (11, "revive and write both want the key R; write keeps W"),
            (12, "there is no setting log"),
        ] {
            let start = format!("line {line}: ");
            let found = complaints.iter().any(|told| told.starts_with(&start) && told.contains(words));
            assert!(found, "{line} {words}: {complaints:#?}");
        }
        assert_eq!(complaints.len(), 9, "{complaints:#?}");
    }

    #[test]
    fn of_a_broken_file_nothing_counts_and_the_line_is_told() {
        for (text, line) in [("theme = dark\n", 1), ("mouse = true\n[keys\n", 2), ("ascii = true\nascii = false\n", 2)]
        {
            let (config, complaints) = Config::parse(text);
            assert_eq!(config, Config::default(), "{text}");
            assert_eq!(complaints.len(), 1, "{complaints:?}");
            assert_eq!(complaints[0].line, Some(line), "{complaints:?}");
            assert!(complaints[0].words.contains("nothing of the file counts"), "{complaints:?}");
        }
    }

    #[test]
    fn the_file_that_is_written_for_a_person_is_right_and_so_is_all_that_it_offers() {
        let template = Config::template();
        assert_eq!(Config::parse(&template), (Config::default(), Vec::new()));
        let offered = |line: &str| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).map(str::to_owned);
        let all: Vec<String> = template.lines().map(|line| offered(line).unwrap_or_else(|| line.to_owned())).collect();
        let (config, complaints) = Config::parse(&all.join("\n"));
        assert!(complaints.is_empty(), "{complaints:?}");
        assert_eq!(config.keymap, Keymap::default());
        assert_eq!((config.theme, config.mouse), (Some(theme::Name::Auto), Some(true)));
    }
}
