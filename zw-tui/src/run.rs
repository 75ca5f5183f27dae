//! The console with a screen: one loop that drains everything, updates, and paints what changed.
//!
//! Invariants:
//! - The loop waits for nothing but its own queues and timers; every conversation is a task elsewhere.
//! - There is no interval. Between two messages the only timer is the next time at which the screen would look different
//!   (an age that ticks over, a message that goes); when nothing visible changes, no byte is written.
//! - While an editor has the terminal nothing is read or painted, and all the rest goes on.
//! - While the past is shown, what the tasks tell wakes it at most once a second: it is only recorded.

mod editing;

use crate::arrivals::Arrivals;
use crate::cluster::Cluster;
use crate::comeback::{self, Comeback};
use crate::ending::Ending;
use crate::input::decoder::{Decoder, Input};
use crate::input::reader::{self, Gate, Keys};
use crate::layout::{self, MenuHit};
use crate::limiter::Limiter;
use crate::meter::Meter;
use crate::model::Pane;
use crate::model::message::{Breakage, Effect, Msg};
use crate::model::overlay::Overlay;
use crate::model::session::{self, Session};
use crate::motion::{self, Motion};
use crate::pane;
use crate::paths::{self, Paths};
use crate::recording::Recorder;
use crate::supervisor::{Order, Supervisor};
use crate::term::clipboard::Clipboard;
use crate::term::editor::Editing;
use crate::term::screen::Screen;
use crate::term::signals::{self, Signal};
use crate::term::{guard, panic};
use crate::theme::Theme;
use ratatui::buffer::Buffer;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::Receiver;

/// Messages that are taken in before the next paint.
const DRAIN_MAX: usize = 512;
/// Longest time that is spent on them.
const DRAIN_TIME: Duration = Duration::from_millis(4);
/// The size when the terminal does not say; the first resize mends it.
const SIZE_UNKNOWN: (u16, u16) = (80, 24);

/// All that the loop holds.
pub struct Console {
    /// What is known and shown, and was.
    pub session: Session,
    /// How it looks.
    pub theme: Theme,
    /// What it acts on; none for a recording.
    pub world: Option<World>,
    /// What the tasks tell.
    pub arrivals: Arrivals,
    /// What the system tells.
    pub signals: Receiver<Signal>,
    /// Writes what happens to a file.
    pub recorder: Recorder,
    /// Where dumps of the screen go, and copied texts that are too long for a clipboard.
    pub paths: Paths,
    /// Whether the terminal is far away.
    pub is_remote: bool,
    /// What it goes on from, if it came back to an ensemble.
    pub comeback: Option<Comeback>,
}

/// The processes, and who ends them.
pub struct World {
    /// The children.
    pub supervisor: Supervisor,
    /// The nodes.
    pub cluster: Cluster,
    /// How it ends.
    pub ending: Ending,
}

/// What only the loop knows.
struct Loop {
    console: Console,
    clipboard: Clipboard,
    began: Instant,
    screen: Screen,
    limiter: Limiter,
    decoder: Decoder,
    /// Holds back whoever reads the keys.
    gate: Arc<Gate>,
    /// The editor that has the terminal.
    editing: Option<Editing>,
    /// How often an editor was called.
    editor_calls: u64,
    painted: session::Version,
    painted_at: Duration,
    /// When the screen changes by itself.
    change_at: Option<Duration>,
    is_dirty: bool,
    /// When the session was told something last: its time never goes back.
    told_at: Duration,
    panics_in_draw: bool,
    meter: Meter,
}

impl Console {
    /// Runs until the console is left. The terminal is entered already.
    ///
    /// # Errors
    /// The terminal is gone.
    pub async fn run(self) -> io::Result<()> {
        let (width, height) = guard::size().unwrap_or(SIZE_UNKNOWN);
        let is_remote = self.is_remote;
        let Keys { mut typed, gate } = reader::start()?;
        let clipboard = Clipboard::of_process(self.paths.state.clone());
        let began = self.comeback.as_ref().map_or_else(Instant::now, |comeback| comeback.began);
        let mut main = Loop {
            clipboard,
            console: self,
            began,
            screen: Screen::new(width, height),
            limiter: Limiter::new(is_remote),
            decoder: Decoder::new(is_remote),
            gate,
            editing: None,
            editor_calls: 0,
            painted: (0, 0),
            painted_at: Duration::ZERO,
            change_at: None,
            is_dirty: true,
            told_at: Duration::ZERO,
            panics_in_draw: false,
            meter: Meter::start(),
        };
        main.console.session.set_size(width, height);
        let comeback = main.console.comeback.take();
        let is_back = comeback.is_some();
        if let Some(comeback) = comeback {
            main.told_at = main.console.session.tape().newest();
            comeback.messages(main.now()).into_iter().try_for_each(|(at, message)| main.tell(at, message))?;
        }
        main.paint_if_due()?;
        if let Some(world) = &main.console.world
            && !main.console.session.live().permission.is_attached
            && !is_back
        {
            for member in main.console.session.live().members() {
                world.supervisor.order(Order::Start(member));
            }
        }
        let outcome = main.serve(&mut typed).await;
        main.console.recorder.finish();
        outcome
    }
}

impl Loop {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    async fn serve(&mut self, typed: &mut Receiver<Vec<u8>>) -> io::Result<()> {
        while self.console.session.live().stopped.is_none() {
            let is_calm = self.console.session.is_calm();
            self.console.arrivals.set_calm(is_calm);
            if let Some(world) = &self.console.world {
                world.cluster.set_calm(is_calm);
            }
            self.wait(typed).await?;
            self.drain(typed)?;
            self.paint_if_due()?;
        }
        Ok(())
    }

    /// Waits for the next thing and takes it in.
    async fn wait(&mut self, typed: &mut Receiver<Vec<u8>>) -> io::Result<()> {
        let wake_at = self.wake_at();
        let timer = async {
            match wake_at {
                Some(at) => tokio::time::sleep_until((self.began + at).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = panic::notice() => Err(io::Error::other("a task panicked")),
            Some(signal) = self.console.signals.recv() => self.on_signal(signal),
            status = editing::ended(&mut self.editing) => self.on_edited(status),
            bytes = typed.recv() => self.on_bytes(&bytes.ok_or(io::ErrorKind::UnexpectedEof)?),
            () = self.console.arrivals.wait() => Ok(()),
            () = timer => Ok(()),
        }
    }

    fn wake_at(&self) -> Option<Duration> {
        let is_due = self.editing.is_none() && (self.is_dirty || self.console.session.version() != self.painted);
        let paint = if is_due { Some(self.limiter.allowed_at()) } else { self.change_at };
        paint.into_iter().chain(self.decoder.deadline()).min()
    }

    /// Takes in what waits already, so that a burst costs one paint.
    fn drain(&mut self, typed: &mut Receiver<Vec<u8>>) -> io::Result<()> {
        let end = Instant::now() + DRAIN_TIME;
        for _ in 0..DRAIN_MAX {
            if let Ok(bytes) = typed.try_recv() {
                self.on_bytes(&bytes)?;
            } else if !self.take_arrival()? {
                break;
            }
            if Instant::now() >= end {
                break;
            }
        }
        let now = self.now();
        let inputs = self.decoder.expire(now);
        inputs.into_iter().try_for_each(|input| self.on_input(input))
    }

    /// Takes in the oldest message that waits; whether there was one.
    fn take_arrival(&mut self) -> io::Result<bool> {
        let Some((at, message)) = self.console.arrivals.take() else { return Ok(false) };
        let came = at.into_std().saturating_duration_since(self.began);
        self.tell(came, message)?;
        Ok(true)
    }

    fn on_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        // What was held back came before it.
        while self.console.session.is_calm() && self.take_arrival()? {}
        let now = self.now();
        // What was typed behind the key that calls the editor was meant for that, which cannot have it any more.
        let was_called = self.editor_calls;
        for input in self.decoder.push(bytes, now) {
            if self.editing.is_some() || self.editor_calls != was_called {
                break;
            }
            self.on_input(input)?;
        }
        Ok(())
    }

    fn on_input(&mut self, input: Input) -> io::Result<()> {
        match input {
            Input::Key(key) => {
                self.limiter.hurry();
                self.on_message(Msg::Key(key))?;
            }
            Input::Paste(text) => self.on_message(Msg::Paste(text))?,
            Input::Click { column, row } => {
                match self.menu_hit(column, row) {
                    Some(MenuHit::Line(item)) => return self.on_message(Msg::MenuClick(Some(item))),
                    Some(MenuHit::Beside) => return self.on_message(Msg::MenuClick(None)),
                    Some(MenuHit::Frame) => return Ok(()),
                    None => {}
                }
                if let Some((pane, item)) = self.hit(column, row) {
                    self.on_message(Msg::Click(pane, item))?;
                }
            }
            // On a menu it means nothing; beside it, another menu.
            Input::RightClick { column, row } => {
                let is_beside = matches!(self.menu_hit(column, row), None | Some(MenuHit::Beside));
                if let Some((pane, item)) = self.hit(column, row).filter(|_| is_beside) {
                    self.on_message(Msg::RightClick(pane, item, (column, row)))?;
                }
            }
            Input::Wheel { column, row, steps } => {
                if let Some((pane, _)) = self.hit(column, row) {
                    self.on_message(Msg::Wheel(pane, steps))?;
                }
            }
            Input::Focus(is_focused) => {
                self.limiter.set_focused(is_focused);
                self.is_dirty |= is_focused;
            }
        }
        Ok(())
    }

    /// What a cell means to a menu; none if there is no menu.
    fn menu_hit(&self, column: u16, row: u16) -> Option<MenuHit> {
        let state = self.console.session.shown();
        let Some(Overlay::Menu(menu)) = &state.overlay else { return None };
        let body = layout::arrange(self.screen.area(), state).body;
        Some(layout::menu_hit(body, menu, column, row))
    }

    fn hit(&self, column: u16, row: u16) -> Option<(crate::model::Pane, Option<usize>)> {
        let state = self.console.session.shown();
        let at = self.console.session.shown_at(self.now());
        layout::hit(&layout::arrange(self.screen.area(), state), state, at, column, row)
    }

    fn on_message(&mut self, message: Msg) -> io::Result<()> {
        self.tell(self.now(), message)
    }

    /// Tells the session what happened at a time.
    fn tell(&mut self, at: Duration, message: Msg) -> io::Result<()> {
        self.told_at = self.told_at.max(at);
        for effect in self.console.session.update(self.told_at, message) {
            self.perform(effect)?;
        }
        if let Some(world) = &self.console.world
            && self.console.session.live().leaving.is_some()
        {
            world.ending.begin(0);
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Supervise(order) => {
                if let Some(world) = &self.console.world {
                    world.supervisor.order(order);
                }
            }
            Effect::Tape(order) => self.console.recorder.perform(order),
            // The session has done them.
            Effect::Travel(_) | Effect::Record(_) => {}
            Effect::SetMouse(on) => guard::set_mouse(on)?,
            Effect::SetTheme(name) => {
                self.console.theme.name = name;
                self.is_dirty = true;
            }
            Effect::Dump => {
                let result = self.dump();
                self.on_message(Msg::Dumped(result))?;
            }
            Effect::Export { file, text } => {
                let result = paths::write_new(&file, &text);
                self.on_message(Msg::Exported(result))?;
            }
            Effect::Repaint => {
                self.screen.invalidate();
                self.is_dirty = true;
            }
            Effect::Edit(text) => self.begin_editing(text)?,
            // An editor that stopped itself and us comes back by itself.
            Effect::Suspend if self.editing.is_some() => signals::stop_self(),
            Effect::Detach => self.detach(),
            Effect::Suspend => {
                guard::restore_all();
                signals::stop_self();
                self.come_back()?;
            }
            Effect::Output { member, known } => {
                let world = self.console.world.as_ref();
                if let Some((lines, total)) = world.and_then(|world| world.supervisor.printed(member, known)) {
                    self.on_message(Msg::Output { member, lines, total })?;
                }
            }
            Effect::Copy { what, text } => {
                let result = self.clipboard.copy(&text);
                self.on_message(Msg::Copied { what, result })?;
            }
            Effect::Break(breakage) => self.break_on_purpose(breakage),
            Effect::Children { .. }
            | Effect::Value { .. }
            | Effect::Exists { .. }
            | Effect::Write(_)
            | Effect::Count { .. }
            | Effect::Delete { .. }
            | Effect::Load { .. }
            | Effect::StopLoad
            | Effect::Feed { .. }
            | Effect::Pages { .. }
            | Effect::Faults { .. }
            | Effect::Diff { .. }
            | Effect::Sessions { .. }
            | Effect::Dial { .. }
            | Effect::Redial { .. } => {
                if let Some(world) = &mut self.console.world {
                    world.cluster.perform(effect);
                }
            }
        }
        Ok(())
    }

    /// Keeps the history for whoever comes back, and asks the keeper to let go.
    fn detach(&self) {
        if let Some(world) = &self.console.world {
            // What the nodes tell while that is written is not in it.
            let clocks = comeback::clocks(self.began);
            world.ending.keep_history(self.console.session.tape());
            world.supervisor.detach(clocks);
        }
    }

    /// Writes the screen to a file; gives its path.
    fn dump(&self) -> Result<String, String> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let directory = &self.console.paths.state;
        let written = paths::write_numbered(directory, &format!("screen-{seconds}"), &self.screen.text());
        written
            .map(|path| path.display().to_string())
            .map_err(|error| format!("cannot write the screen to {}: {error}", directory.display()))
    }

    fn break_on_purpose(&mut self, breakage: Breakage) {
        match breakage {
            Breakage::PanicUi => panic!("the loop panics on purpose"),
            Breakage::PanicTask => {
                tokio::spawn(async { panic!("a task panics on purpose") });
            }
            Breakage::PanicDraw => {
                self.panics_in_draw = true;
                self.is_dirty = true;
            }
            Breakage::PanicRestore => guard::panic_in_restore(),
            Breakage::Hang(time) => std::thread::sleep(time),
        }
    }

    fn on_signal(&mut self, signal: Signal) -> io::Result<()> {
        match signal {
            Signal::Leave(_) if self.console.session.live().leaving.is_some() => Ok(()),
            Signal::Leave(_) => {
                self.editing.iter().for_each(Editing::hang_up);
                self.on_message(Msg::Leave)
            }
            Signal::Suspend => self.perform(Effect::Suspend),
            Signal::Continue if self.editing.is_some() => Ok(()),
            Signal::Continue => self.come_back(),
            Signal::Resize => {
                if let Some((width, height)) = guard::size() {
                    self.screen.resize(width, height);
                    self.console.session.set_size(width, height);
                    self.is_dirty = true;
                }
                Ok(())
            }
        }
    }

    /// After a stop the terminal may be in any state and of any size.
    fn come_back(&mut self) -> io::Result<()> {
        guard::enter(self.console.session.shown().mouse)?;
        let (width, height) = guard::size().unwrap_or(SIZE_UNKNOWN);
        self.screen = Screen::new(width, height);
        self.console.session.set_size(width, height);
        self.is_dirty = true;
        Ok(())
    }

    fn paint_if_due(&mut self) -> io::Result<()> {
        let now = self.now();
        if self.console.session.is_due(now) {
            self.on_message(Msg::Tick)?;
        }
        if self.change_at.is_some_and(|at| at <= now) {
            self.is_dirty = true;
        }
        let session = &self.console.session;
        let layout = layout::arrange(self.screen.area(), session.shown());
        let is_flow_visible = layout.place(Pane::Flow).is_some();
        let stands = session.shown().time.is_past() || !is_flow_visible;
        let frame = motion::next_frame(session.shown(), self.painted_at, now, self.console.is_remote)
            .filter(|_| !stands && self.editing.is_none());
        self.change_at = session.next_change(now).into_iter().chain(frame).min();
        let is_due = self.is_dirty || session.version() != self.painted;
        if !is_due || self.editing.is_some() || self.limiter.allowed_at() > now {
            return Ok(());
        }
        let mut buffer = Buffer::empty(self.screen.area());
        assert!(!self.panics_in_draw, "the paint panics on purpose");
        let began = Instant::now();
        pane::draw(session.shown(), &self.console.theme, session.shown_at(now), &mut buffer);
        self.painted = session.version();
        self.painted_at = now;
        self.is_dirty = false;
        if let Some(world) = &self.console.world {
            let marks_fires = layout.place(Pane::Tree).is_some() && session.shown().flow.motion != Motion::Off;
            world.cluster.want_messages(is_flow_visible || marks_fires);
        }
        let frame = self.screen.frame(buffer)?;
        if !frame.is_empty() {
            let drawn = Instant::now();
            guard::write_frame(&frame)?;
            self.limiter.painted(now, drawn.elapsed());
        }
        if let Some(cost) = self.meter.take(frame.len(), began.elapsed()) {
            self.on_message(Msg::Cost(cost))?;
        }
        Ok(())
    }
}
