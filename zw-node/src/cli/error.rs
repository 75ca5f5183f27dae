//! How a verb ends when it does not succeed, and the exit code that tells a script which way.

use crate::command_line::{EXIT_USAGE, SERVERS_ADVICE, with_advice};
use clap::error::ErrorKind;
use serde_json::{Value, json};
use std::io;
use thiserror::Error;
use zw_core::client::ClientError;
use zw_core::wire::client::{ErrorCode, RequestError};

/// Done.
pub(super) const EXIT_DONE: u8 = 0;
/// Refused, not found, or not as it should be; nothing was changed.
pub(super) const EXIT_REFUSED: u8 = 1;
/// A write was sent and not answered: it may be done or never be.
pub(super) const EXIT_UNKNOWN: u8 = 4;

/// Why a verb did not succeed; the text is for a person.
#[derive(Debug, Error)]
pub(super) enum CliError {
    /// The ensemble refused, or something is not as it should be.
    #[error("{0}")]
    Refused(String),
    /// The arguments, or a file that they name, are wrong.
    #[error("{0}")]
    Usage(String),
    /// One of the operations of a multi was refused, so none was done.
    #[error("{reason}")]
    Multi {
        /// Where and why, for a person.
        reason: String,
        /// The line of the file, from 1.
        line: usize,
        /// The operation, as an array counts, from 0.
        index: usize,
    },
    /// A write's outcome is not known.
    #[error("{0}; it may be done or never be: read it before you try again")]
    Unknown(String),
    /// None of the servers answers; each is named with its reason.
    #[error("no server answers; tried {}; {SERVERS_ADVICE}", .0.join("; "))]
    NoServer(Vec<String>),
    /// What the client library says.
    #[error("{}", with_advice(.0))]
    Client(#[from] ClientError),
    /// Standard output or a file failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl CliError {
    /// A refusal in the words of a node, where it is this program that found the reason.
    pub(super) fn of_code(code: ErrorCode, message: String) -> CliError {
        CliError::Client(ClientError::Request(RequestError { code, message }))
    }

    /// The process's exit code.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            // The reader went away (`zw ls | head`): that is no failure.
            CliError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => EXIT_DONE,
            CliError::Refused(_) | CliError::Multi { .. } | CliError::NoServer(_) | CliError::Io(_) => EXIT_REFUSED,
            CliError::Usage(_) => EXIT_USAGE,
            CliError::Unknown(_) => EXIT_UNKNOWN,
            CliError::Client(error) if error.outcome_is_known() => EXIT_REFUSED,
            CliError::Client(_) => EXIT_UNKNOWN,
        }
    }

    /// Whether there is anything to tell a person.
    pub(super) fn is_silent(&self) -> bool {
        self.exit_code() == EXIT_DONE
    }

    /// A word for a script.
    fn kind(&self) -> String {
        match self {
            CliError::Client(error) => match error.code() {
                Some(code) => snake_case(&format!("{code:?}")),
                None => kind_of(error).to_owned(),
            },
            CliError::Refused(_) => "refused".to_owned(),
            CliError::Multi { .. } => snake_case(&format!("{:?}", ErrorCode::MultiFailed)),
            CliError::Usage(_) => "usage".to_owned(),
            CliError::Unknown(_) => snake_case(&format!("{:?}", ErrorCode::OutcomeUnknown)),
            CliError::NoServer(_) => "no_server".to_owned(),
            CliError::Io(_) => "io".to_owned(),
        }
    }

    /// The error as a JSON object.
    pub(super) fn json(&self) -> Value {
        let mut object = json!({ "error": self.to_string(), "kind": self.kind(), "exit_code": self.exit_code() });
        if let CliError::Multi { line, index, .. } = self {
            (object["line"], object["operation_index"]) = ((*line).into(), (*index).into());
        }
        object
    }
}

fn kind_of(error: &ClientError) -> &'static str {
    match error {
        ClientError::NotConnected { .. } => "no_server",
        ClientError::Timeout { .. } => "timeout",
        ClientError::Protocol(_) => "protocol",
        _ => "refused",
    }
}

/// `NoNode` as `no_node`.
fn snake_case(name: &str) -> String {
    let mut word = String::new();
    for (at, char) in name.char_indices() {
        if char.is_uppercase() && at > 0 {
            word.push('_');
        }
        word.extend(char.to_lowercase());
    }
    word
}

/// What clap says of wrong arguments, without the usage and the hint that it appends for a person.
pub(super) fn usage_text(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::MissingSubcommand {
        // clap would list the hidden verbs too.
        return "no verb is given; zw --help lists them".to_owned();
    }
    let text = error.to_string();
    let end = text.find("\n\nUsage:").or_else(|| text.find("\n\nFor more information")).unwrap_or(text.len());
    let words: Vec<&str> = text[..end].trim_start_matches("error: ").split_whitespace().collect();
    words.join(" ")
}

/// The code of a refusal by the ensemble, if it is one.
pub(super) fn code_of(error: &ClientError) -> Option<ErrorCode> {
    match error {
        ClientError::Request(error) => Some(error.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_refused_from_unknown() {
        assert_eq!(CliError::Refused(String::new()).exit_code(), EXIT_REFUSED);
        assert_eq!(CliError::Usage(String::new()).exit_code(), EXIT_USAGE);
        assert_eq!(CliError::Unknown(String::new()).exit_code(), EXIT_UNKNOWN);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = CliError::Io(io::ErrorKind::BrokenPipe.into());
        assert!(gone.is_silent());
        let full = CliError::Io(io::ErrorKind::StorageFull.into());
        assert_eq!((full.exit_code(), full.is_silent()), (EXIT_REFUSED, false));
    }

    #[test]
    fn a_script_gets_the_kind_in_a_word() {
        let missing = CliError::of_code(ErrorCode::NoNode, "no such znode: /a".into()).json();
        assert_eq!(missing, json!({ "error": "no such znode: /a", "kind": "no_node", "exit_code": 1 }));
        let unknown = CliError::from(ClientError::OutcomeUnknown("lost".into())).json();
        assert_eq!((&unknown["kind"], &unknown["exit_code"]), (&json!("outcome_unknown"), &json!(4)));
        let nobody = CliError::from(ClientError::NotConnected { tried: vec![("a:1".into(), "refused".into())] }).json();
        assert_eq!(nobody["kind"], "no_server");
        assert!(nobody["error"].as_str().unwrap().contains("--servers"), "{nobody}");
    }
}
