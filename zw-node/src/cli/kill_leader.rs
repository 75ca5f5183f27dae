//! `zw kill-leader`: SIGKILL, or SIGSTOP with `--pause`, to the leader's process, to see what the ensemble makes of it.
//!
//! Only on this machine: the leader must listen on loopback, and the process that it names must be one of ours.

use super::{CliError, Context, cluster};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use zw_core::ensemble::Address;

/// Kill the leader's process (SIGKILL), on this machine only
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Stop it (SIGSTOP) instead; `kill -CONT PID` lets it go on
    #[arg(long)]
    pause: bool,
}

pub(super) async fn run(context: &mut Context, options: Options) -> Result<(), CliError> {
    let members = cluster::members(context).await?;
    let Some((member, status)) = cluster::leader(&members) else {
        return Err(CliError::Refused("there is no leader now; try again when one is elected".into()));
    };
    if !member.address.parse::<Address>().is_ok_and(|address| address.is_loopback()) {
        let reason = format!("the leader {} is not on this machine; end process {} there", member.address, status.pid);
        return Err(CliError::Refused(reason));
    }
    check_program(status.pid).map_err(CliError::Refused)?;
    let pid = i32::try_from(status.pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| CliError::Refused(format!("{} is no process id", status.pid)))?;
    let signal = if options.pause { Signal::STOP } else { Signal::KILL };
    kill_process(pid, signal).map_err(|error| CliError::Refused(format!("process {}: {error}", status.pid)))?;
    let done = if options.pause { "paused" } else { "killed" };
    context.print(
        || json!({ "done": done, "address": member.address, "id": member.id.0, "epoch": status.epoch.0, "pid": status.pid }),
        || format!("{done} the leader {} (id {}, epoch {}, pid {})", member.address, member.id, status.epoch, status.pid),
    )
}

/// A node says its own pid; before a signal goes there, the process must look like a node of ours.
fn check_program(pid: u32) -> Result<(), String> {
    let Ok(command) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        // No /proc on this system: the loopback address has to do.
        return if std::path::Path::new("/proc/self").exists() { Err(format!("no process {pid}")) } else { Ok(()) };
    };
    let program = command.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if name.starts_with(b"zw") || name.starts_with(b"zooweeper") {
        Ok(())
    } else {
        Err(format!("process {pid} is {:?}, not a node of ours; it is left alone", String::from_utf8_lossy(name)))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_that_is_no_node_is_left_alone() {
        let parent = std::os::unix::process::parent_id();
        if std::path::Path::new("/proc/self").exists() {
            assert!(super::check_program(parent).is_err(), "a test runner or shell is no node");
            assert!(super::check_program(u32::MAX).is_err());
        }
    }
}
