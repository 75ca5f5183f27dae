//! `zw multi FILE`: the operations of a file as one transaction.

use super::error::code_of;
use super::script::{self, Line};
use super::{CliError, Context, output};
use clap::Args;
use serde_json::{Value, json};
use std::io::Read;
use zw_core::client::ClientError;
use zw_core::limits::COMMAND_BYTES_MAX;
use zw_core::tree::command::{Command, Reply};
use zw_core::wire::client::ErrorCode;

/// Do the operations of a file, all or none
///
/// One operation a line: create PATH [DATA], set PATH DATA [VERSION], delete PATH [VERSION], check PATH VERSION.
/// Data with blanks stands in double quotes. Lines that begin with # are skipped.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The file; - reads standard input
    file: String,
}

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let name = if options.file == "-" { "standard input" } else { &options.file };
    let text = read(&options.file, name)?;
    let lines = script::parse(&text).map_err(|error| CliError::Usage(format!("{name}: {error}")))?;
    let client = context.client(None).await?;
    let commands = lines.iter().map(|line| line.command.clone()).collect();
    let replies = client.multi(commands).await.map_err(|error| explain(error, name, &lines))?;
    context.print(
        || Value::Array(replies.iter().zip(&lines).map(|(reply, line)| reply_json(reply, &line.command)).collect()),
        || match replies.len() {
            1 => "1 operation done".to_owned(),
            n => format!("{n} operations done"),
        },
    )
}

fn read(file: &str, name: &str) -> Result<String, CliError> {
    let limit = COMMAND_BYTES_MAX as u64 + 1;
    let mut text = String::new();
    let done = match file {
        "-" => std::io::stdin().lock().take(limit).read_to_string(&mut text),
        path => std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text)),
    };
    done.map_err(|error| CliError::Usage(format!("{name}: {error}")))?;
    if text.len() > COMMAND_BYTES_MAX {
        return Err(CliError::Usage(format!(
            "{name}: larger than {COMMAND_BYTES_MAX} bytes, the most of one transaction"
        )));
    }
    Ok(text)
}

/// Names the line of the operation that failed: a person counts those, with the comments and blanks between them.
fn explain(error: ClientError, file: &str, lines: &[Line]) -> CliError {
    if code_of(&error) != Some(ErrorCode::MultiFailed) {
        return error.into();
    }
    let message = error.to_string();
    let failed = failed_operation(&message).and_then(|(index, cause)| Some((index, cause, lines.get(index)?)));
    match failed {
        Some((index, cause, line)) => {
            let reason = format!("{file}: line {}: {cause}; nothing was changed", line.number);
            CliError::Multi { reason, line: line.number, index }
        }
        None => CliError::of_code(ErrorCode::MultiFailed, message),
    }
}

/// The index and the cause in the text of [`zw_core::tree::command::TreeError::Multi`].
fn failed_operation(message: &str) -> Option<(usize, &str)> {
    let (_, after) = message.split_once("operation ")?;
    let (index, after) = after.split_once(' ')?;
    let (_, cause) = after.split_once(": ")?;
    Some((index.parse().ok()?, cause))
}

fn reply_json(reply: &Reply, command: &Command) -> Value {
    match reply {
        Reply::Created(created) => {
            json!({ "done": "create", "path": created.path, "stat": output::stat_json(&created.stat) })
        }
        Reply::Stat(stat) => json!({ "done": "set", "path": path_of(command), "stat": output::stat_json(stat) }),
        _ => {
            let done = if matches!(command, Command::Check(_)) { "check" } else { "delete" };
            json!({ "done": done, "path": path_of(command) })
        }
    }
}

fn path_of(command: &Command) -> &str {
    match command {
        Command::Create(create) => &create.path,
        Command::SetData(set) => &set.path,
        Command::Delete(delete) => &delete.path,
        Command::Check(check) => &check.path,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zw_core::tree::command::TreeError;

    #[test]
    fn the_failed_operation_is_found_in_the_message() {
        let error = TreeError::Multi { index: 12, cause: Box::new(TreeError::NoNode("/a".into())) };
        assert_eq!(failed_operation(&error.to_string()), Some((12, "no such znode: /a")));
        assert_eq!(failed_operation("something else"), None);
    }
}
