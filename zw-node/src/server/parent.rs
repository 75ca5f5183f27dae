//! Ending with the process that started this one, so that no node outlives its console (`--die-with-parent`).
//!
//! Two lines of defence: the kernel kills this process when its parent dies (Linux), even while it is stopped; and the
//! end of stdin, which the parent holds open, says the same elsewhere.

use std::io::{self, Read};
use std::sync::OnceLock;
use tokio_util::sync::CancellationToken;

static GONE: OnceLock<CancellationToken> = OnceLock::new();

/// Has this process end with its parent.
pub(super) fn die_with_parent() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        let parent = getppid();
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died between its fork and this call; then nobody will send the signal.
        if getppid() != parent {
            std::process::exit(0);
        }
    }
    let gone = GONE.get_or_init(CancellationToken::new).clone();
    std::thread::Builder::new().name("parent".into()).spawn(move || {
        let mut ignored = [0; 256];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut ignored) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        gone.cancel();
    })?;
    Ok(())
}

/// Returns when the parent is gone.
pub(super) async fn gone() {
    match GONE.get() {
        Some(gone) => gone.cancelled().await,
        None => std::future::pending().await,
    }
}
