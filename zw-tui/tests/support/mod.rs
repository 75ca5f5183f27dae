//! A console in a pseudo terminal, with a terminal emulator that reads its screen.

#![allow(dead_code, reason = "every test and benchmark uses a part of it")]

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Far more than is ever needed: it only ends a test that has failed.
const DEADLINE: Duration = Duration::from_secs(60);
const SIZE: (u16, u16) = (160, 45);

/// A running console.
pub(crate) struct Console {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    screen: Arc<Mutex<vt100::Parser>>,
    received: Arc<AtomicUsize>,
    /// What came since somebody wanted to have it.
    recording: Arc<Mutex<Option<Vec<u8>>>>,
    /// Bytes that begin a sequence for the terminal.
    escapes: Arc<AtomicUsize>,
    reader: Option<JoinHandle<()>>,
    hangs_up: Arc<AtomicBool>,
    directory: tempfile::TempDir,
}

/// What the terminal was told to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modes {
    pub(crate) alternate_screen: bool,
    pub(crate) mouse: bool,
    pub(crate) paste: bool,
    pub(crate) cursor_hidden: bool,
    /// The line discipline of a shell: lines, echo and signals.
    pub(crate) canonical: bool,
}

impl Console {
    pub(crate) fn start(nodes: u8, brokers: u8) -> Console {
        Console::start_at(free_ports(u16::from(nodes)), nodes, brokers)
    }

    pub(crate) fn start_at(base: u16, nodes: u8, brokers: u8) -> Console {
        Console::start_with(base, nodes, brokers, &[])
    }

    /// With more flags.
    pub(crate) fn start_with(base: u16, nodes: u8, brokers: u8, flags: &[&str]) -> Console {
        let directory = tempfile::tempdir().unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_zw-tui"));
        command.args(arguments(base, nodes, brokers, &directory));
        command.args(flags);
        Console::spawn(command, directory, &[])
    }

    /// With these arguments and no ensemble of the harness's choice; `{data}`, here and in the environment, stands for the test's directory.
    pub(crate) fn start_as(arguments: &[&str], environment: &[(&str, &str)]) -> Console {
        let directory = tempfile::tempdir().unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_zw-tui"));
        let data = directory.path().to_str().unwrap();
        command.args(arguments.iter().map(|argument| argument.replace("{data}", data)));
        Console::spawn(command, directory, environment)
    }

    /// Shows a recording.
    pub(crate) fn replay(file: &std::path::Path) -> Console {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_zw-tui"));
        command.args(["replay".as_ref(), file.as_os_str()]);
        Console::spawn(command, tempfile::tempdir().unwrap(), &[])
    }

    /// Below a shell that ran `prefix`.
    pub(crate) fn start_in_shell(prefix: &str, nodes: u8, brokers: u8) -> Console {
        let directory = tempfile::tempdir().unwrap();
        let arguments = arguments(free_ports(u16::from(nodes)), nodes, brokers, &directory).join(" ");
        let mut command = CommandBuilder::new("sh");
        command.args(["-c", &format!("{prefix}{} {arguments}; :", env!("CARGO_BIN_EXE_zw-tui"))]);
        Console::spawn(command, directory, &[])
    }

    /// In a mount namespace of its own, with small disks under the data of n1 and under `logs`, where its own log is; none
    /// if the system does not permit that.
    pub(crate) fn start_on_small_disks(nodes: u8) -> Option<Console> {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().to_str().unwrap();
        let namespace = ["--map-root-user", "--mount"];
        let is_permitted = std::process::Command::new("unshare").args(namespace).arg("true").output();
        if !is_permitted.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mounts = format!(
            "mkdir -p {data}/n1 {data}/logs && mount -t tmpfs -o size=96m,mode=700 small {data}/n1 && \
             mount -t tmpfs -o size=1m,mode=700 small {data}/logs && exec \"$@\" --log {data}/logs/console.log"
        );
        let mut command = CommandBuilder::new("unshare");
        command.args(namespace);
        command.args(["sh", "-c", &mounts, "sh", env!("CARGO_BIN_EXE_zw-tui")]);
        command.args(arguments(free_ports(u16::from(nodes)), nodes, 0, &directory));
        Some(Console::spawn(command, directory, &[]))
    }

    fn spawn(mut command: CommandBuilder, directory: tempfile::TempDir, environment: &[(&str, &str)]) -> Console {
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        // What the person who runs the tests has set for themselves is none of their business.
        command.env("XDG_CONFIG_HOME", directory.path().join("xdg"));
        command.env("XDG_STATE_HOME", directory.path().join("xdg"));
        command.env("ZW_TEST_HOOKS", "1");
        let data = directory.path().to_str().unwrap();
        environment.iter().for_each(|(name, value)| command.env(name, value.replace("{data}", data)));
        // The message of a panic is to be read on the screen.
        command.env("RUST_BACKTRACE", "0");
        let size = PtySize { cols: SIZE.0, rows: SIZE.1, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(SIZE.1), cells(SIZE.0), 0)));
        let received = Arc::new(AtomicUsize::new(0));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let hangs_up = Arc::new(AtomicBool::new(false));
        let escapes = Arc::new(AtomicUsize::new(0));
        let (shown, counted, ends) = (Arc::clone(&screen), Arc::clone(&received), Arc::clone(&hangs_up));
        let recording = Arc::new(Mutex::new(None::<Vec<u8>>));
        let recorded = Arc::clone(&recording);
        let escaped = Arc::clone(&escapes);
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
                if let Some(recorded) = recorded.lock().unwrap().as_mut() {
                    recorded.extend_from_slice(&bytes[..count]);
                }
                let begun = bytes[..count].iter().filter(|byte| **byte == 0x1b).count();
                escaped.fetch_add(begun, Ordering::SeqCst);
                counted.fetch_add(count, Ordering::SeqCst);
                if ends.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        let writer = pair.master.take_writer().unwrap();
        let (master, writer, reader) = (Some(pair.master), Some(writer), Some(reader));
        Console { child, master, writer, screen, received, recording, escapes, reader, hangs_up, directory }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.process_id().unwrap().cast_signed()).unwrap()
    }

    /// The data directory: in the command line of the console and of each of its children.
    pub(crate) fn data(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    pub(crate) fn resize(&mut self, width: u16, height: u16) {
        let size = PtySize { cols: width, rows: height, pixel_width: 0, pixel_height: 0 };
        self.screen.lock().unwrap().screen_mut().set_size(cells(height), cells(width));
        self.master.as_ref().unwrap().resize(size).unwrap();
    }

    /// How many sequences for the terminal came.
    pub(crate) fn escapes(&self) -> usize {
        self.escapes.load(Ordering::SeqCst)
    }

    /// Whether a cell of the screen has a colour.
    pub(crate) fn has_color(&self) -> bool {
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        let (rows, columns) = screen.size();
        let places = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
        let mut cells = places.filter_map(|(row, column)| screen.cell(row, column));
        cells.any(|cell| cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default)
    }

    pub(crate) fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    pub(crate) fn wait_for(&self, text: &str) {
        wait_with(|| self.text().contains(text), || format!("{text:?} did not appear on\n{}", self.text()));
    }

    pub(crate) fn wait_until_gone(&self, text: &str) {
        wait_with(|| !self.text().contains(text), || format!("{text:?} stayed on\n{}", self.text()));
    }

    /// Keeps what the terminal gets from now on.
    pub(crate) fn record(&self) {
        self.recording.lock().unwrap().get_or_insert_default();
    }

    /// What it got since [`Console::record`] or the last call of this.
    pub(crate) fn recorded(&self) -> Vec<u8> {
        self.recording.lock().unwrap().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Bytes that the terminal got so far.
    pub(crate) fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }

    /// Waits for a time in which not a byte comes.
    pub(crate) fn wait_for_silence(&self, time: Duration) {
        let (mut seen, mut since) = (0, Instant::now());
        let is_silent = || {
            let now = self.received.load(Ordering::SeqCst);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            since.elapsed() >= time
        };
        wait_with(is_silent, || format!("bytes keep coming for\n{}", self.text()));
    }

    pub(crate) fn modes(&self) -> Modes {
        let parser = self.screen.lock().unwrap();
        let screen = parser.screen();
        let flags = self.master.as_ref().and_then(|master| master.get_termios()).map(|termios| termios.local_flags);
        let flags = format!("{flags:?}");
        Modes {
            alternate_screen: screen.alternate_screen(),
            mouse: screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None,
            paste: screen.bracketed_paste(),
            cursor_hidden: screen.hide_cursor(),
            canonical: ["ICANON", "ECHO", "ISIG"].iter().all(|flag| flags.contains(flag)),
        }
    }

    pub(crate) fn wait_for_modes(&self, is_it: impl Fn(Modes) -> bool) {
        wait_with(|| is_it(self.modes()), || format!("{:?}", self.modes()));
    }

    /// Waits for the end of the program.
    pub(crate) fn exit_code(&mut self) -> u32 {
        let mut status = None;
        let child = &mut self.child;
        wait_with(
            || {
                status = child.try_wait().unwrap();
                status.is_some()
            },
            || "it does not end".to_owned(),
        );
        status.unwrap().exit_code()
    }

    /// After its end: no process, and the terminal as a shell wants it.
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(living_with(self.data()), Vec::<i32>::new());
        self.wait_for_modes(|modes| {
            !modes.alternate_screen && !modes.mouse && !modes.paste && !modes.cursor_hidden && modes.canonical
        });
    }

    /// Closes the terminal under it.
    pub(crate) fn hang_up(&mut self) {
        // The reader has the terminal open too: it is made to read once more, and then lets go.
        self.hangs_up.store(true, Ordering::SeqCst);
        self.resize(100, 30);
        self.reader.take().unwrap().join().unwrap();
        self.writer = None;
        self.master = None;
    }
}

impl Drop for Console {
    /// A test that failed leaves nothing either: the children die with the console.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            for pid in living_with(self.directory.path().to_str().unwrap()) {
                let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
            }
            // It may have another one's directory.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn arguments(base: u16, nodes: u8, brokers: u8, directory: &tempfile::TempDir) -> Vec<String> {
    let brokers_base = if brokers > 0 { free_ports(u16::from(brokers)) } else { base + 100 };
    let data = directory.path().to_str().unwrap();
    let flags = [
        ("--nodes", nodes.to_string()),
        ("--brokers", brokers.to_string()),
        ("--base-port", base.to_string()),
        ("--broker-base-port", brokers_base.to_string()),
        ("--data", data.to_owned()),
        // Small: the tests start many nodes.
        ("--segment-bytes", (16 << 20).to_string()),
    ];
    flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

/// The pids of living processes with this text in their command line. A zombie has none.
pub(crate) fn living_with(text: &str) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let is_it = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(text.len()).any(|part| part == text.as_bytes())
    };
    pids.filter(is_it).collect()
}

/// The first of so many ports in a row that nobody has. Below those that the system gives to outgoing connections.
pub(crate) fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 15_000 + u16::try_from(std::process::id() % 1_500).unwrap() * 10;
    loop {
        let base = start + NEXT.fetch_add(count, Ordering::SeqCst) % 2_000;
        if (base..base + count).all(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
    }
}

pub(crate) fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_with(condition, || format!("{what} did not come true"));
}

fn wait_with(mut condition: impl FnMut() -> bool, explain: impl FnOnce() -> String) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "{}", explain());
        std::thread::sleep(Duration::from_millis(10));
    }
}
