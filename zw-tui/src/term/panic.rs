//! Panics: the terminal is restored before a word is printed, and the console leaves with code 101.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// The exit code of a panic.
pub const PANIC_CODE: u8 = 101;

static HAPPENED: AtomicBool = AtomicBool::new(false);
static NOTICE: Notify = Notify::const_new();

/// Installs the reports of color-eyre behind our restore.
///
/// # Errors
/// Hooks were installed before.
pub fn install() -> color_eyre::Result<()> {
    let (panic_hook, eyre_hook) = color_eyre::config::HookBuilder::default().into_hooks();
    eyre_hook.install()?;
    let report = panic_hook.into_panic_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Before the report, and before anything that could panic again.
        super::guard::restore_all();
        tracing::error!(panic = %info, "panic");
        report(info);
        HAPPENED.store(true, Ordering::SeqCst);
        NOTICE.notify_one();
    }));
    Ok(())
}

/// Whether any thread panicked.
#[must_use]
pub fn happened() -> bool {
    HAPPENED.load(Ordering::SeqCst)
}

/// Waits until a thread panics.
pub async fn notice() {
    while !happened() {
        NOTICE.notified().await;
    }
}
