//! What the command lines of the programs have in common: durations, addresses, exit codes, the log, advice.

use std::io::{self, IsTerminal};
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use zw_core::client::ClientError;
use zw_core::ensemble::{Address, EnsembleError};
use zw_core::limits::DURATION_FLAG_MAX;

/// Exit code for a command line that is wrong, as clap's own.
pub(crate) const EXIT_USAGE: u8 = 2;
/// What to do when no node answers.
pub(crate) const SERVERS_ADVICE: &str = "start a node there, or name others with --servers HOST:PORT,... or ZW_SERVERS";

/// Reads a duration.
///
/// # Errors
/// It is none, or longer than any that makes sense; the text gives an example.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= DURATION_FLAG_MAX => Ok(duration),
        Ok(_) => Err("longer than a year".to_owned()),
        Err(error) => Err(format!("{error}; write a number with its unit, for example 500ms, 5s or 2m")),
    }
}

/// Reads a duration that must not be zero.
///
/// # Errors
/// See [`duration`].
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("nothing is done in no time; write for example 500ms, 5s or 2m".to_owned()),
        timeout => Ok(timeout),
    }
}

/// Checks addresses of nodes, and writes them in the one way that can be connected to.
///
/// # Errors
/// The first that is none.
pub(crate) fn addresses(texts: &[String]) -> Result<Vec<String>, EnsembleError> {
    texts.iter().map(|text| text.parse::<Address>().map(|address| address.to_string())).collect()
}

/// What a client's error says, and what to do if no node could be reached at all.
pub(crate) fn with_advice(error: &ClientError) -> String {
    match error {
        ClientError::NotConnected { .. } => format!("{error}; {SERVERS_ADVICE}"),
        error => error.to_string(),
    }
}

/// Starts the log on stderr, unless the process logs already; coloured only for a terminal.
///
/// # Errors
/// `level` is no level; the text says what is wrong with it.
pub(crate) fn start_logging(level: &str) -> Result<(), String> {
    let filter = log_filter(level)?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        // Whoever read our stderr may be gone; that is no reason to panic.
        .log_internal_errors(false)
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

/// Reads a level, or levels by module as in `warn,zw_node=debug`. A bare word must be a level: the filter would take it
/// for the name of a module, and silence everything else.
fn log_filter(level: &str) -> Result<EnvFilter, String> {
    let is_level = |word: &str| !word.trim().is_empty() && word.trim().parse::<LevelFilter>().is_ok();
    match level.split(',').find(|word| !word.contains(['=', '[']) && !is_level(word)) {
        Some(word) => Err(format!("{word:?} is no level")),
        None => EnvFilter::try_new(level).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_duration_is_told_a_right_one() {
        assert_eq!(duration("1s 500ms"), Ok(Duration::from_millis(1_500)));
        for wrong in ["x", "", "5", "5parsecs", "-1s"] {
            assert!(duration(wrong).unwrap_err().contains("for example 500ms"), "{wrong:?}");
        }
        assert!(duration("10000000000y").is_err() && duration("10y").unwrap_err().contains("a year"));
        assert_eq!((duration("0s"), timeout("0s").is_err()), (Ok(Duration::ZERO), true));
    }

    #[test]
    fn a_log_level_is_one_of_the_words() {
        for level in ["error", "INFO", "off", "warn,zw_node=debug"] {
            assert!(log_filter(level).is_ok(), "{level}");
        }
        for wrong in ["loud", "", "info,loud", "a=b=c", "zw=loud"] {
            assert!(log_filter(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_lose_their_blanks() {
        let texts = ["a:1".to_owned(), " b:2".to_owned(), "[::1]:3".to_owned()];
        assert_eq!(addresses(&texts).unwrap(), ["a:1", "b:2", "[::1]:3"]);
        assert!(addresses(&["a".to_owned()]).is_err());
    }
}
