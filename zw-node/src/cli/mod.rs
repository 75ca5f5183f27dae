//! The command line `zw`: one file a verb.
//!
//! - Results go to standard output, as aligned text or with `--json` as JSON. Reasons and notes go to standard error,
//!   with `--json` as one JSON object a line: `{"error":...,"kind":...,"exit_code":...}` and `{"note":...}`.
//! - Exit codes: 0 done; 1 refused, not found, or not as it should be; 2 usage; 4 a write's outcome is not known.
//! - Any node of the ensemble will do: the verbs fail over, and those that look at every node learn the list from the
//!   first that answers.

mod bench_limits;
mod check;
mod cluster;
mod create;
mod delete;
mod error;
mod get;
mod kill_leader;
mod load;
mod ls;
mod metadata;
mod multi;
mod output;
mod script;
mod set;
mod snapshot;
mod stat;
mod status;
mod sync;
mod watch;

use crate::command_line::{EXIT_USAGE, addresses, timeout};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use error::CliError;
use std::io::{BufWriter, Read, Stdout, Write};
use std::process::ExitCode;
use std::time::Duration;
use zw_core::client::{Client, ClientOptions};
use zw_core::limits::ZNODE_DATA_BYTES_MAX;

/// Talks to a ZooWeeper ensemble
#[derive(Debug, Parser)]
#[command(name = "zw", version, after_help = HELP_END, arg_required_else_help = false)]
pub struct CliOptions {
    /// Nodes to try, in this order
    #[arg(long, env = "ZW_SERVERS", value_name = "HOST:PORT,...", default_value = "127.0.0.1:8080", global = true)]
    #[arg(value_delimiter = ',')]
    servers: Vec<String>,
    /// Print JSON instead of text, errors too
    #[arg(long, global = true)]
    json: bool,
    /// Longest wait for an answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = timeout, global = true)]
    timeout: Duration,
    #[command(subcommand)]
    verb: Verb,
}

const HELP_END: &str = "\
Exit codes: 0 done; 1 refused or not found, with the reason on standard error; 2 usage; 4 a write's outcome is not known
(it may be done or never be).

With --json an error is an object on standard error: {\"error\": TEXT, \"kind\": WORD, \"exit_code\": NUMBER}. Kinds are
usage, no_server, no_node, node_exists, bad_version, not_empty, invalid_path, no_quorum, outcome_unknown, refused, ...";

#[derive(Debug, Subcommand)]
enum Verb {
    Create(create::Options),
    Get(get::Options),
    Set(set::Options),
    Delete(delete::Options),
    Ls(ls::Options),
    Stat(stat::Options),
    Watch(watch::Options),
    Multi(multi::Options),
    Sync(sync::Options),
    Status(status::Options),
    Check(check::Options),
    Metadata(metadata::Options),
    KillLeader(kill_leader::Options),
    Load(load::Options),
    Snapshot(snapshot::Options),
    #[command(hide = true)]
    BenchLimits(bench_limits::Options),
}

/// What every verb gets.
struct Context {
    servers: Vec<String>,
    json: bool,
    timeout: Duration,
    out: BufWriter<Stdout>,
}

impl Context {
    /// A client that fails over between the servers.
    async fn client(&self, session_timeout: Option<Duration>) -> Result<Client, CliError> {
        let options = ClientOptions {
            servers: self.servers.clone(),
            session_timeout,
            request_timeout: self.timeout,
            ..ClientOptions::default()
        };
        Ok(Client::connect(options).await?)
    }

    /// Prints a JSON value, or a line of text.
    fn print(
        &mut self,
        json: impl FnOnce() -> serde_json::Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        if self.json {
            output::line_json(&mut self.out, &json())?;
        } else {
            writeln!(self.out, "{}", text().trim_end_matches('\n'))?;
        }
        Ok(self.out.flush()?)
    }

    /// Says something beside the result, on standard error.
    fn note(&self, text: &str) {
        output::note(self.json, text);
    }
}

/// The program `zw`: reads its arguments, runs the verb, prints why if it did not succeed, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let error = match CliOptions::try_parse() {
        Ok(options) => return run(options),
        Err(error) => error,
    };
    let json = std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json");
    if json && error.use_stderr() {
        return failed(&CliError::Usage(error::usage_text(&error)), json);
    }
    if error.kind() == ErrorKind::MissingSubcommand {
        // clap would list the hidden verbs too.
        eprint!("{}", CliOptions::command().render_help());
    } else {
        // Nobody may be reading it.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE))
}

fn run(options: CliOptions) -> ExitCode {
    let json = options.json;
    let servers = match addresses(&options.servers) {
        Ok(servers) => servers,
        Err(error) => return failed(&CliError::Usage(format!("--servers (or ZW_SERVERS): {error}")), json),
    };
    let mut context = Context { servers, json, timeout: options.timeout, out: BufWriter::new(std::io::stdout()) };
    let done = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(dispatch(&mut context, options.verb)),
        Err(error) => Err(CliError::Io(error)),
    };
    let done = done.and_then(|()| Ok(context.out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, json),
    }
}

fn failed(error: &CliError, json: bool) -> ExitCode {
    if !error.is_silent() {
        output::tell(json, || error.json(), || error.to_string());
    }
    ExitCode::from(error.exit_code())
}

async fn dispatch(context: &mut Context, verb: Verb) -> Result<(), CliError> {
    match verb {
        Verb::Create(options) => create::run(context, options).await,
        Verb::Get(options) => get::run(context, options).await,
        Verb::Set(options) => set::run(context, options).await,
        Verb::Delete(options) => delete::run(context, options).await,
        Verb::Ls(options) => ls::run(context, options).await,
        Verb::Stat(options) => stat::run(context, options).await,
        Verb::Watch(options) => watch::run(context, options).await,
        Verb::Multi(options) => multi::run(context, options).await,
        Verb::Sync(options) => sync::run(context, options).await,
        Verb::Status(options) => status::run(context, options).await,
        Verb::Check(options) => check::run(context, options).await,
        Verb::Metadata(options) => metadata::run(context, options).await,
        Verb::KillLeader(options) => kill_leader::run(context, options).await,
        Verb::Load(options) => load::run(context, options).await,
        Verb::Snapshot(options) => snapshot::run(context, options).await,
        Verb::BenchLimits(options) => bench_limits::run(context, options).await,
    }
}

/// The data of an argument: itself, or for `-` what standard input has, within a znode's limit.
fn data_argument(argument: &str) -> Result<Vec<u8>, CliError> {
    if argument != "-" {
        return Ok(argument.as_bytes().to_vec());
    }
    let mut data = Vec::new();
    std::io::stdin().lock().take(ZNODE_DATA_BYTES_MAX as u64 + 1).read_to_end(&mut data)?;
    if data.len() > ZNODE_DATA_BYTES_MAX {
        let reason = format!("standard input has more than {ZNODE_DATA_BYTES_MAX} bytes, the most that a znode holds");
        return Err(CliError::Usage(reason));
    }
    Ok(data)
}

/// The version that a znode must have; -1 is any.
fn version(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(version) if version >= -1 => Ok(version),
        _ => Err("not a version; write a number from 0, or -1 for any".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CliOptions::command().debug_assert();
    }

    #[test]
    fn without_a_verb_there_is_help_and_no_hidden_verb() {
        for words in [&["zw"][..], &["zw", "--json"], &["zw", "--servers", "a:1"]] {
            let error = CliOptions::try_parse_from(words).unwrap_err();
            assert_eq!(
                (error.kind(), error.exit_code()),
                (ErrorKind::MissingSubcommand, EXIT_USAGE.into()),
                "{words:?}"
            );
            assert!(error::usage_text(&error).contains("zw --help"));
        }
        assert!(!CliOptions::command().render_help().to_string().contains("bench-limits"));
    }

    #[test]
    fn servers_come_as_a_list_before_or_after_the_verb() {
        let options = CliOptions::try_parse_from(["zw", "get", "/a", "--servers", "a:1,b:2", "--json"]).unwrap();
        assert_eq!((options.servers, options.json), (vec!["a:1".to_owned(), "b:2".to_owned()], true));
        let options = CliOptions::try_parse_from(["zw", "--servers", "c:3", "status"]).unwrap();
        assert_eq!(options.servers, ["c:3"]);
    }
}
