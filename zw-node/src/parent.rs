//! Ending with the process that started this one, so that no process outlives the console.

use std::io::{self, Read};

/// From now on this process is killed when its parent ends, or when its standard input ends.
///
/// # Errors
/// The system refuses, or the parent has ended already.
pub fn die_with_parent() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let parent = rustix::process::getppid();
        // SIGKILL, not SIGTERM: a stopped process must die too.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have ended before the signal was asked for.
        if rustix::process::getppid() != parent || parent.is_none() {
            return Err(io::Error::other("the process that started this one has ended already"));
        }
    }
    std::thread::Builder::new().name("parent".into()).spawn(|| {
        let mut byte = [0; 64];
        while !matches!(io::stdin().lock().read(&mut byte), Ok(0) | Err(_)) {}
        std::process::exit(0);
    })?;
    Ok(())
}
