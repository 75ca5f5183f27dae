//! `zw delete`: removes a znode, with `-r` all below it first.
//!
//! A recursive delete is not one transaction: it goes from the leaves up, page by page, so that any number of znodes
//! can go; what others make meanwhile is removed too or makes it start over.

use super::error::code_of;
use super::{CliError, Context, version};
use clap::Args;
use serde_json::json;
use std::collections::VecDeque;
use zw_core::client::{Client, ClientError};
use zw_core::tree::command::{Command, Delete};
use zw_core::tree::path::ROOT;
use zw_core::wire::client::{Children, ErrorCode, Operation};

/// Remove a znode
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which znode
    path: String,
    /// All below it too
    #[arg(short, long, conflicts_with = "version")]
    recursive: bool,
    /// Also if it empties the whole tree, which `zw delete -r /` does
    #[arg(long, requires = "recursive")]
    yes: bool,
    /// Only if it has this version
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_parser = version)]
    version: i32,
}

/// Deletes that are under way at once.
const IN_FLIGHT: usize = 256;
/// Children asked for at once.
const PAGE: u32 = 1_000;

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    if options.recursive && options.path == ROOT && !options.yes {
        let reason =
            "this would delete every znode of the ensemble; if that is what you want, say so: zw delete -r / --yes";
        return Err(CliError::Usage(reason.into()));
    }
    let client = context.client(None).await?;
    let deleted = if options.recursive {
        recursive(&client, &options.path).await?
    } else {
        client.delete(&options.path, options.version).await.map_err(advise)?;
        1
    };
    context.print(
        || json!({ "path": options.path, "deleted": deleted }),
        || match deleted {
            1 => "deleted".to_owned(),
            n => format!("deleted {n} znodes"),
        },
    )
}

/// What this verb can do about a refusal.
fn advise(error: ClientError) -> CliError {
    match code_of(&error) {
        Some(code @ ErrorCode::NotEmpty) => CliError::of_code(code, format!("{error}, or all of it with -r")),
        _ => error.into(),
    }
}

/// Deletes `root` and all below it; gives how many znodes went.
pub(super) async fn recursive(client: &Client, root: &str) -> Result<u64, CliError> {
    let mut deleted = 0;
    let mut stack = vec![root.to_owned()];
    while let Some(path) = stack.last().cloned() {
        let page = Children { path: path.clone(), watch: false, after: String::new(), limit: PAGE, with_stat: true };
        let page = match client.children_page(page).await {
            Ok(page) => page,
            // Somebody else was faster; for the root itself that is an error.
            Err(error) if code_of(&error) == Some(ErrorCode::NoNode) && path != root => {
                stack.pop();
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if page.names.is_empty() && path == ROOT {
            break;
        }
        if page.names.is_empty() {
            stack.pop();
            match client.delete(&path, -1).await {
                Ok(()) => deleted += 1,
                Err(error) if code_of(&error) == Some(ErrorCode::NoNode) => {}
                Err(error) if code_of(&error) == Some(ErrorCode::NotEmpty) => stack.push(path),
                Err(error) => return Err(error.into()),
            }
            continue;
        }
        let mut leaves = Vec::new();
        for (name, stat) in page.names.iter().zip(&page.stats) {
            let child = child_path(&path, name);
            if stat.num_children == 0 { leaves.push(child) } else { stack.push(child) }
        }
        deleted += delete_all(client, leaves).await?;
    }
    Ok(deleted)
}

/// Deletes `paths` with many requests under way; gives how many went. Those that are gone or have children meanwhile
/// are left to the next round.
pub(super) async fn delete_all(client: &Client, paths: Vec<String>) -> Result<u64, CliError> {
    let mut under_way = VecDeque::new();
    let mut deleted = 0;
    let mut paths = paths.into_iter();
    loop {
        while under_way.len() < IN_FLIGHT {
            let Some(path) = paths.next() else { break };
            under_way.push_back(client.send(Operation::Write(Command::Delete(Delete { path, version: -1 }))));
        }
        let Some(next) = under_way.pop_front() else { return Ok(deleted) };
        deleted += went(next.await)?;
    }
}

fn went<T>(answer: Result<T, ClientError>) -> Result<u64, CliError> {
    match answer {
        Ok(_) => Ok(1),
        Err(error) if matches!(code_of(&error), Some(ErrorCode::NoNode | ErrorCode::NotEmpty)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// The path of `name` under `parent`.
pub(super) fn child_path(parent: &str, name: &str) -> String {
    if parent == ROOT { format!("/{name}") } else { format!("{parent}/{name}") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_root_has_no_double_slash() {
        assert_eq!(super::child_path("/", "a"), "/a");
        assert_eq!(super::child_path("/a", "b"), "/a/b");
    }
}
