//! Paths are checked before anything is sent, as by ZooKeeper's own clients: a node looks a malformed path up like any
//! other and finds nothing there, which would tell a person that the znode is missing and not that the path is wrong.

use crate::tree::command::{Command, Create, CreateMode, TreeError};
use crate::tree::path::validate;
use crate::wire::client::Operation;

/// Whether every path in `operation` can be one.
///
/// # Errors
/// [`TreeError::InvalidPath`], of an operation in a multi within [`TreeError::Multi`].
pub(super) fn check(operation: &Operation) -> Result<(), TreeError> {
    match operation {
        Operation::Get(read) | Operation::Exists(read) | Operation::GetAcl(read) | Operation::SubtreeDigest(read) => {
            validate(&read.path)
        }
        Operation::Children(children) => validate(&children.path),
        Operation::AddWatch(watch) => validate(&watch.path),
        Operation::Write(command) => check_command(command),
        _ => Ok(()),
    }
}

fn check_command(command: &Command) -> Result<(), TreeError> {
    match command {
        Command::Create(create) if is_sequential(create) => validate(&format!("{}{:010}", create.path, 0)),
        Command::Create(create) => validate(&create.path),
        Command::Delete(delete) => validate(&delete.path),
        Command::SetData(set) => validate(&set.path),
        Command::SetAcl(set) => validate(&set.path),
        Command::Check(check) => validate(&check.path),
        Command::Multi(multi) => {
            let wrong = |(index, command)| {
                check_command(command).map_err(|cause| TreeError::Multi { index, cause: Box::new(cause) })
            };
            multi.operations.iter().enumerate().try_for_each(wrong)
        }
        _ => Ok(()),
    }
}

/// The number that the node appends belongs to the name: `/queue/` is a path for such a create, and for no other.
fn is_sequential(create: &Create) -> bool {
    matches!(
        create.mode,
        CreateMode::PersistentSequential | CreateMode::EphemeralSequential | CreateMode::PersistentSequentialTtl
    )
}
