//! Small disks that can be filled up, without privileges: a memory file system for each node, in a mount namespace that
//! a helper process holds. Where the system does not permit that, the caller goes without.
//!
//! Fault model: no space (ENOSPC) for anything new, while another file takes all of it; space again when that is gone.
//! The disks live as long as this does, whatever happens to the nodes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Size of each disk: some segments, and little enough to be filled at once.
const DISK_MIB: usize = 48;

/// One small disk for each node.
pub(crate) struct SmallDisks {
    holder: Child,
    directory: PathBuf,
}

impl SmallDisks {
    /// Mounts `count` disks below `directory`, for whoever enters the namespace; or says why that is impossible.
    pub(crate) fn mount(directory: &Path, count: usize) -> Result<SmallDisks, String> {
        let script = r#"set -e
            for number in $(seq 1 "$2"); do
                mkdir -p "$1/disk-$number"
                mount -t tmpfs -o size="$3"m,mode=700 zooweeper "$1/disk-$number"
            done
            echo ready
            exec cat"#;
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command.arg(directory).args([count.to_string(), DISK_MIB.to_string()]);
        let mut holder = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut line = String::new();
        let said = holder.stdout.as_mut().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let disks = SmallDisks { holder, directory: directory.to_owned() };
        match (said, line.as_str()) {
            (Some(Ok(_)), "ready\n") if disks.ballast(0).parent().is_some_and(Path::is_dir) => Ok(disks),
            _ => Err("this system gives no mount namespace to an ordinary user".to_owned()),
        }
    }

    /// Runs `program` where the disks are mounted; it keeps the process number of the command.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--preserve-credentials", "--user", "--mount", "--target", &self.holder.id().to_string()]);
        command.arg(program);
        command
    }

    /// Where such a program finds the data of a node.
    pub(crate) fn inside(&self, index: usize) -> PathBuf {
        self.directory.join(format!("disk-{}", index + 1)).join("data")
    }

    /// Where everybody else finds it.
    pub(crate) fn outside(&self, index: usize) -> PathBuf {
        let inside = self.inside(index);
        let inside = inside.strip_prefix("/").unwrap_or(&inside);
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside)
    }

    fn ballast(&self, index: usize) -> PathBuf {
        self.outside(index).with_file_name("ballast")
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self, index: usize) {
        if let Ok(mut file) = File::create(self.ballast(index)) {
            while file.write_all(&[0; 4_096]).is_ok() {}
        }
    }

    /// Gives it back.
    pub(crate) fn free(&self, index: usize) {
        let _ = std::fs::remove_file(self.ballast(index));
    }
}

impl Drop for SmallDisks {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
