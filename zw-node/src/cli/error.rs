//! How a verb ends when it does not succeed, and the exit code that tells a script which way.

use std::io;
use thiserror::Error;
use zw_core::client::ClientError;
use zw_core::wire::client::ErrorCode;

/// Done.
pub(super) const EXIT_DONE: u8 = 0;
/// Refused, not found, or not as it should be; nothing was changed.
pub(super) const EXIT_REFUSED: u8 = 1;
/// The command line is wrong.
pub(super) const EXIT_USAGE: u8 = 2;
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
    /// A write's outcome is not known.
    #[error("{0}; it may be done or never be: read it before you try again")]
    Unknown(String),
    /// What the client library says.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Standard output or a file failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl CliError {
    /// The process's exit code.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            // The reader went away (`zw ls | head`): that is no failure.
            CliError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => EXIT_DONE,
            CliError::Refused(_) | CliError::Io(_) => EXIT_REFUSED,
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
}
