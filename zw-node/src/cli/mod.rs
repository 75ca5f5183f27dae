//! The command line `zw`: one file a verb.
//!
//! - Results go to standard output, as aligned text or with `--json` as JSON; reasons go to standard error.
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

use clap::{Parser, Subcommand};
use error::CliError;
use std::io::{BufWriter, Read, Stdout, Write};
use std::process::ExitCode;
use std::time::Duration;
use zw_core::client::{Client, ClientOptions};
use zw_core::limits::ZNODE_DATA_BYTES_MAX;

/// Talks to a ZooWeeper ensemble
#[derive(Debug, Parser)]
#[command(name = "zw", version, after_help = EXIT_CODES)]
pub struct CliOptions {
    /// Nodes to try, in this order
    #[arg(long, env = "ZW_SERVERS", value_name = "HOST:PORT,...", default_value = "127.0.0.1:8080", global = true)]
    #[arg(value_delimiter = ',')]
    servers: Vec<String>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Longest wait for an answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration, global = true)]
    timeout: Duration,
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 refused or not found, with the reason on standard error; 2 usage; \
                          4 a write's outcome is not known (it may be done or never be).";

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
}

/// Runs the verb, prints why if it did not succeed, and gives the exit code.
#[must_use]
pub fn run(options: CliOptions) -> ExitCode {
    let mut context = Context {
        servers: options.servers,
        json: options.json,
        timeout: options.timeout,
        out: BufWriter::new(std::io::stdout()),
    };
    let done = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(dispatch(&mut context, options.verb)),
        Err(error) => Err(CliError::Io(error)),
    };
    let done = done.and_then(|()| Ok(context.out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_silent() {
                eprintln!("zw: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

async fn dispatch(context: &mut Context, verb: Verb) -> Result<(), CliError> {
    for server in &context.servers {
        if let Err(error) = server.parse::<zw_core::ensemble::Address>() {
            return Err(CliError::Usage(format!("--servers: {error}")));
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        CliOptions::command().debug_assert();
    }

    #[test]
    fn servers_come_as_a_list_before_or_after_the_verb() {
        let options = CliOptions::try_parse_from(["zw", "get", "/a", "--servers", "a:1,b:2", "--json"]).unwrap();
        assert_eq!((options.servers, options.json), (vec!["a:1".to_owned(), "b:2".to_owned()], true));
        let options = CliOptions::try_parse_from(["zw", "--servers", "c:3", "status"]).unwrap();
        assert_eq!(options.servers, ["c:3"]);
    }
}
