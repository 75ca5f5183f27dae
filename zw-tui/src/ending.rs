//! The end of the console, from whichever thread: terminal back, children stopped, temporary data removed, exit.

use crate::launch::DataDirectory;
use crate::model::tape::Tape;
use crate::recording;
use crate::supervisor::{Order, STOP_ALL_DEADLINE, Supervisor, keeper};
use crate::term::guard;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// After the deadline of the ordered stop: how long the screen may take to notice that all is over.
const WATCHDOG_GRACE: Duration = Duration::from_secs(1);
/// How long children may take to vanish after SIGKILL.
const KILL_DEADLINE: Duration = Duration::from_secs(1);

/// What is left when the console has gone.
#[derive(Clone, Debug)]
pub enum Place {
    /// The data of the ensemble that it started.
    Data(DataDirectory),
    /// An ensemble that it only looked at, at these addresses.
    Elsewhere(String),
}

/// Shared by all who may have to end the console.
#[derive(Clone, Debug)]
pub struct Ending {
    supervisor: Supervisor,
    place: Place,
    code: Arc<AtomicU8>,
    has_watchdog: Arc<AtomicBool>,
    /// Why the history of a console that leaves could not be kept.
    lost: Arc<OnceLock<String>>,
}

impl Ending {
    /// For these children, and what they leave.
    #[must_use]
    pub fn new(supervisor: Supervisor, place: Place) -> Ending {
        Ending { supervisor, place, code: Arc::default(), has_watchdog: Arc::default(), lost: Arc::default() }
    }

    /// The exit code so far.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code.load(Ordering::SeqCst)
    }

    /// Leaving has begun, for this reason; the first that is not 0 counts. From now on the process ends in bounded time
    /// even if the screen hangs.
    pub fn begin(&self, code: u8) {
        let _ = self.code.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
        if self.has_watchdog.swap(true, Ordering::SeqCst) {
            return;
        }
        let ending = self.clone();
        let watchdog = std::thread::Builder::new().name("exit-watchdog".into()).spawn(move || {
            std::thread::sleep(STOP_ALL_DEADLINE + WATCHDOG_GRACE);
            tracing::error!("the console did not end in time");
            ending.end_now(Order::KillAll, KILL_DEADLINE);
        });
        if let Err(error) = watchdog {
            tracing::error!(%error, "no watchdog for the exit");
        }
    }

    /// The terminal is gone: nobody watches any more.
    pub fn hung_up(&self) {
        self.begin(129);
        self.end_now(Order::StopAll { last: None }, STOP_ALL_DEADLINE);
    }

    /// Ends here, without the screen.
    fn end_now(&self, order: Order, deadline: Duration) -> ! {
        guard::restore_all();
        self.supervisor.order(order);
        let _ = self.supervisor.wait_stopped(deadline);
        self.clean_up();
        std::process::exit(i32::from(self.code()));
    }

    /// Keeps the history of a console that leaves where one that comes back finds it. Should that fail, the console leaves
    /// all the same, and says so at its end.
    pub fn keep_history(&self, tape: &Tape) {
        let Place::Data(data) = &self.place else { return };
        let path = keeper::history_path(&data.path);
        if let Err(error) = recording::keep(&path, tape) {
            tracing::error!(path = %path.display(), %error, "the history is not kept");
            let _ = self.lost.set(format!("{}: {error}", path.display()));
        }
    }

    fn clean_up(&self) {
        if self.supervisor.detached().is_some() {
            return;
        }
        if let Place::Data(data) = &self.place {
            data.clean_up();
        }
    }

    /// The end of the main thread: stops what still runs, cleans up, says one line.
    #[must_use]
    pub fn finish(&self, children: usize) -> u8 {
        guard::restore_all();
        self.begin(0);
        self.supervisor.order(Order::StopAll { last: None });
        let all_stopped = self.supervisor.wait_stopped(STOP_ALL_DEADLINE);
        self.clean_up();
        if let (Some((keeper, living)), Place::Data(data)) = (self.supervisor.detached(), &self.place) {
            guard::say(&words_of_detached(data, living, keeper));
            if let Some(reason) = self.lost.get() {
                guard::say(&format!("  what happened until now is not kept: cannot write {reason}"));
            }
            return self.code();
        }
        let stopped = if all_stopped { "stopped" } else { "left to the kernel" };
        let data = match &self.place {
            Place::Data(data) => data,
            Place::Elsewhere(addresses) => {
                guard::say(&format!("zw-tui: the ensemble runs on; come back with zw-tui attach {addresses}"));
                return self.code();
            }
        };
        let path = data.path.display();
        let place = if data.is_temporary {
            "the temporary data is removed (keep it with --data DIR)".to_owned()
        } else {
            format!("data and logs are in {path}; come back with --data {path}")
        };
        let plural = if children == 1 { "" } else { "es" };
        guard::say(&format!("zw-tui: {children} process{plural} {stopped}; {place}"));
        self.code()
    }
}

/// What runs on, how to come back, and how to end it.
fn words_of_detached(data: &DataDirectory, children: usize, keeper: u32) -> String {
    let path = data.path.display();
    let (plural, verb) = if children == 1 { ("", "runs") } else { ("es", "run") };
    let temporary = if data.is_temporary { ", and removes the temporary data" } else { "" };
    format!(
        "zw-tui: {children} process{plural} {verb} on\n  come back:  zw-tui --data {path}\n  \
         end them:   kill {keeper}   (stops them in order{temporary})"
    )
}
