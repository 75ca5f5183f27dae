//! The same ensemble without a screen: what happens goes to stdout as lines. Headless, until a signal ends it; linear,
//! with a prompt that takes the commands of the command line. No cursor is moved and nothing is drawn twice, so that
//! screen readers, logs and the dumbest terminal can follow.

use crate::cluster::Cluster;
use crate::console::ERROR_CODE;
use crate::ending::Ending;
use crate::linear;
use crate::model::events::{Event, Source};
use crate::model::message::{Effect, Msg};
use crate::model::overlay::Overlay;
use crate::model::select::{clock, node_line, printable, process_words};
use crate::model::text::TextPage;
use crate::model::verdict::{Verdict, judge};
use crate::model::{Observed, State, scenario, select, update};
use crate::paths;
use crate::supervisor::{Order, Supervisor};
use crate::term::signals::{self, Signal};
use crate::term::{guard, panic};
use std::io::{self, BufRead, IsTerminal, Write};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, channel};

/// Commands that wait; who types more is read later.
const LINES_MAX: usize = 16;
/// Lines of a process's output that are printed.
const OUTPUT_LINES: usize = 20;
/// How much of a line that somebody else wrote is printed.
const LINE_BYTES_MAX: usize = 1_024;
/// How long commands that are piped in wait for a leader.
const READY_PATIENCE: Duration = Duration::from_secs(15);
/// How long each of them waits for the end of the one before.
const WORK_PATIENCE: Duration = Duration::from_secs(30);
const PROMPT: &str = "zw> ";

/// What carries the model's wishes out.
#[derive(Debug)]
pub struct Hands {
    /// The children.
    pub supervisor: Supervisor,
    /// The nodes.
    pub cluster: Cluster,
    /// How it ends.
    pub ending: Ending,
}

/// The lines of stdin. The channel closes at its end.
///
/// # Errors
/// No thread can be made.
pub fn read_lines() -> io::Result<Receiver<String>> {
    let (sender, lines) = channel(LINES_MAX);
    std::thread::Builder::new().name("stdin".into()).spawn(move || {
        // What is no text says nothing that a command could; the lines behind it still count.
        for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if sender.blocking_send(line.trim_end_matches('\r').to_owned()).is_err() {
                return;
            }
        }
    })?;
    Ok(lines)
}

/// Runs until a signal or a command asks to leave and all children are gone. Without `lines` it leaves by itself, as a
/// failure, if a child does not start.
///
/// # Errors
/// A task panicked.
pub async fn run(
    state: State,
    hands: Hands,
    mut messages: Receiver<Msg>,
    mut signals: Receiver<Signal>,
    mut lines: Option<Receiver<String>>,
) -> io::Result<()> {
    let began = Instant::now();
    let prompt = Prompt { is_wanted: lines.is_some() && io::stdin().is_terminal(), is_open: false };
    let is_linear = lines.is_some();
    let piped = (is_linear && !prompt.is_wanted).then_some(Piped { is_ready: false, until: READY_PATIENCE });
    let mut console = Plain { state, hands, is_linear, prompt, piped, verdict: None, question: Vec::new() };
    console.begin();
    while console.state.stopped.is_none() {
        let takes_lines = console.takes_lines(began.elapsed());
        let patience = console.piped.as_ref().filter(|_| !takes_lines).map(|piped| piped.until);
        let change_at = select::next_change(&console.state, began.elapsed()).into_iter().chain(patience).min();
        let timer = async {
            match change_at {
                Some(at) => tokio::time::sleep_until((began + at).into()).await,
                None => std::future::pending().await,
            }
        };
        let typed = async {
            match &mut lines {
                Some(lines) if takes_lines => lines.recv().await,
                _ => std::future::pending().await,
            }
        };
        let message = tokio::select! {
            biased;
            () = panic::notice() => return Err(io::Error::other("a task panicked")),
            Some(signal) = signals.recv() => match signal {
                Signal::Leave(_) => Some(Msg::Leave),
                Signal::Suspend if console.is_linear => {
                    signals::stop_self();
                    None
                }
                // Without a terminal there is nothing to give back.
                Signal::Suspend | Signal::Continue | Signal::Resize => None,
            },
            Some(message) = messages.recv() => Some(message),
            line = typed => match line {
                Some(line) => {
                    console.prompt.is_open = false;
                    Some(Msg::Line(line))
                }
                // Who pipes commands in is done; who leaves already is not to be hurried.
                None => {
                    lines = None;
                    console.state.leaving.is_none().then_some(Msg::Leave)
                }
            },
            () = timer => None,
        };
        console.take(began.elapsed(), message);
    }
    Ok(())
}

/// Shown while a command can be typed; what happens meanwhile begins on a line of its own.
struct Prompt {
    is_wanted: bool,
    is_open: bool,
}

/// Commands that nobody types: they come all at once, and each waits until it can be carried out.
struct Piped {
    /// Whether somebody led, or it was waited for that for long enough.
    is_ready: bool,
    /// How long the next one waits at most.
    until: Duration,
}

struct Plain {
    state: State,
    hands: Hands,
    is_linear: bool,
    prompt: Prompt,
    /// None if somebody types.
    piped: Option<Piped>,
    /// The newest verdict that was printed.
    verdict: Option<String>,
    /// The question that is open, as it was printed.
    question: Vec<String>,
}

impl Plain {
    fn begin(&self) {
        if !self.state.permission.is_attached {
            for member in self.state.members() {
                self.hands.supervisor.order(Order::Start(member));
            }
        }
    }

    /// Whether the next command can be taken: one that is piped in comes when its time has come.
    fn takes_lines(&mut self, now: Duration) -> bool {
        let Some(piped) = self.piped.as_mut().filter(|_| self.state.leaving.is_none()) else { return true };
        let is_late = now >= piped.until;
        if !piped.is_ready {
            piped.is_ready = is_late || judge(&self.state, now).leader.is_some();
            let is_ready = piped.is_ready;
            if is_late {
                let patience = READY_PATIENCE.as_secs();
                self.print(&format!("nobody leads after {patience} s; commands are carried out all the same"));
            }
            return is_ready;
        }
        let is_awaited = match &self.state.overlay {
            Some(Overlay::Text { page, .. }) => self.is_awaited(*page),
            Some(Overlay::Output(printed)) => printed.lines.is_none(),
            Some(Overlay::Question(asked)) => asked.waits.is_some() && asked.words.is_empty(),
            _ => false,
        };
        is_late || !(is_awaited || self.state.jobs.is_busy())
    }

    fn take(&mut self, now: Duration, message: Option<Msg>) {
        if let (Some(Msg::Line(_)), Some(piped)) = (&message, &mut self.piped) {
            piped.until = now + WORK_PATIENCE;
        }
        match message {
            Some(Msg::Line(line)) if line.trim().is_empty() && self.state.overlay.is_none() => {}
            Some(Msg::Line(line)) if self.shows(line.trim().trim_start_matches(':'), now) => {}
            Some(message) => self.apply(now, message),
            None => self.apply(now, Msg::Tick),
        }
        if !self.is_linear
            && let Some(reason) = why_not_started(&self.state)
        {
            self.hands.ending.begin(ERROR_CODE);
            guard::say(&format!("zw-tui: {reason}"));
            self.apply(now, Msg::Leave);
        }
        if self.state.leaving.is_none() {
            self.print_verdict(now);
            self.open_prompt();
        }
    }

    fn apply(&mut self, now: Duration, message: Msg) {
        let shown = self.state.events.total();
        let effects = update::update(&mut self.state, now, message);
        self.print_events(shown);
        for effect in effects {
            self.perform(now, effect);
        }
        if self.state.leaving.is_some() {
            self.hands.ending.begin(0);
        }
        if self.is_linear {
            self.answer(now);
        }
    }

    fn perform(&mut self, now: Duration, effect: Effect) {
        match effect {
            Effect::Supervise(order) => self.hands.supervisor.order(order),
            Effect::Output { member, known } => {
                if let Some((lines, total)) = self.hands.supervisor.printed(member, known) {
                    self.apply(now, Msg::Output { member, lines, total });
                }
            }
            Effect::Export { file, text } => {
                let result = paths::write_new(&file, &text);
                self.apply(now, Msg::Exported(result));
            }
            Effect::Copy { what, .. } => {
                let result = Err("there is no screen, and with it no clipboard".to_owned());
                self.apply(now, Msg::Copied { what, result });
            }
            // Their commands have been answered already.
            Effect::Edit(_) | Effect::Dump | Effect::Travel(_) | Effect::Record(_) => {}
            Effect::Suspend => signals::stop_self(),
            Effect::SetMouse(_) | Effect::SetTheme(_) | Effect::Repaint | Effect::Break(_) | Effect::Detach => {}
            Effect::Dial { .. } => self.hands.cluster.perform(effect),
            // Nobody looks at the tree, so nobody needs it read.
            effect if self.is_linear => self.hands.cluster.perform(effect),
            _ => {}
        }
    }

    /// What a command brought up that a screen would show over the panes.
    fn answer(&mut self, now: Duration) {
        let toast = self.state.toast.take().map(|toast| toast.text);
        let is_said = |text: &String| self.state.events.iter().next_back().is_some_and(|event| event.text == *text);
        if let Some(text) = toast.filter(|text| !is_said(text)) {
            let text = linear::without_keys(&text);
            self.print(&printable(text.as_bytes(), LINE_BYTES_MAX));
        }
        match self.state.overlay.take() {
            // Printed once it is there.
            Some(overlay @ Overlay::Text { page, .. }) if self.is_awaited(page) => {
                self.state.overlay = Some(overlay);
                return;
            }
            Some(Overlay::Text { page, .. }) => self.print_page(page, now),
            Some(Overlay::Help { .. }) => linear::help().lines().for_each(|line| self.print(line)),
            Some(Overlay::Output(printed)) => match &printed.lines {
                Some(lines) => {
                    let first = lines.len().saturating_sub(OUTPUT_LINES);
                    lines[first..].iter().for_each(|line| self.print(&printable(line.as_bytes(), LINE_BYTES_MAX)));
                }
                None => self.state.overlay = Some(Overlay::Output(printed)),
            },
            Some(Overlay::Question(question)) => {
                let lines = [question.title.clone()].into_iter().chain(question.words.iter().cloned());
                self.ask(lines, &question.line_keys());
                self.state.overlay = Some(Overlay::Question(question));
                return;
            }
            Some(Overlay::Command { input, .. }) if !input.text().is_empty() => {
                let example = format!("complete the command, for example {}", input.text());
                self.print(&example);
            }
            Some(Overlay::Scenarios { .. }) => {
                let listed = scenario::list_lines(&self.state).into_iter();
                let lines: Vec<String> = listed.map(|(name, what, _)| format!("scenario {name}  {what}")).collect();
                lines.iter().for_each(|line| self.print(line));
            }
            Some(Overlay::Command { .. } | Overlay::Write(_) | Overlay::Menu(_) | Overlay::Election { .. }) | None => {}
        }
        self.question.clear();
    }

    /// Whether a page is still being asked for.
    fn is_awaited(&self, page: TextPage) -> bool {
        match page {
            TextPage::Diff => self.state.diff.as_ref().is_some_and(|view| view.report.end.is_none()),
            TextPage::Sessions => {
                self.state.sessions.as_ref().is_some_and(|view| view.heard.is_none() && view.error.is_none())
            }
            _ => false,
        }
    }

    /// A question stays open until it is answered; it is printed when it says something new.
    fn ask(&mut self, words: impl Iterator<Item = String>, answer: &str) {
        let question: Vec<String> = words.chain([answer.to_owned()]).collect();
        if question != self.question {
            question.iter().for_each(|line| self.print(&printable(line.as_bytes(), LINE_BYTES_MAX)));
            self.question = question;
        }
    }

    /// The views that can be told in lines; false for what is another command.
    fn shows(&mut self, line: &str, now: Duration) -> bool {
        if self.state.overlay.is_some() {
            return false;
        }
        let lines: Vec<String> = match line {
            "nodes" => {
                let verdict = judge(&self.state, now);
                let row = |node| {
                    let line = node_line(&self.state, node, &verdict, now);
                    let word = line.face.word();
                    format!("{}  {word}  {}  lag {}  {}", node.member, line.zxid, line.lag, line.state)
                };
                self.state.nodes.iter().map(row).collect()
            }
            "brokers" if !self.state.brokers.is_empty() => {
                let words = |member| {
                    process_words(&self.state, member, now).map_or_else(|| "runs".to_owned(), |(words, _)| words)
                };
                let brokers = self.state.brokers.iter();
                brokers.map(|broker| format!("{}  {}", broker.member, words(broker.member))).collect()
            }
            "tree" => self.state.tree.window(0, self.state.tree.count()).map(|row| row.path).collect(),
            "events" => self.state.events.iter().map(of_event).collect(),
            line => match linear::instead(line, &self.state, now) {
                Some(words) => vec![words.to_owned()],
                None => return false,
            },
        };
        lines.iter().for_each(|line| self.print(&printable(line.as_bytes(), LINE_BYTES_MAX)));
        true
    }

    fn print_page(&mut self, page: TextPage, now: Duration) {
        self.print(&format!("{}:", page.title(&self.state, now)));
        for (line, _) in page.lines(&self.state, now) {
            let line = linear::of_page(page, &self.state, line);
            self.print(&format!("  {}", printable(line.as_bytes(), LINE_BYTES_MAX)));
        }
    }

    fn print_events(&mut self, shown: u64) {
        let new = usize::try_from(self.state.events.total() - shown).unwrap_or(usize::MAX);
        let known = self.state.events.iter().len().saturating_sub(new);
        let lines: Vec<String> = self.state.events.iter().skip(known).map(of_event).collect();
        lines.iter().for_each(|line| self.print(line));
    }

    fn print_verdict(&mut self, now: Duration) {
        let verdict = judge(&self.state, now);
        let leader = verdict.leader.map_or_else(|| "none".to_owned(), |leader| format!("n{leader}"));
        let Verdict { word, serving, members, epoch, .. } = verdict;
        let line =
            format!("{}  quorum {serving}/{members}  leader {leader}  epoch {}", word.text(), select::or_dash(epoch));
        if self.verdict.as_ref() != Some(&line) {
            self.print(&format!("{} zw  {line}", clock(now)));
            self.verdict = Some(line);
        }
    }

    /// A reader that went away is no reason to leave the ensemble.
    fn print(&mut self, line: &str) {
        let mut stdout = io::stdout().lock();
        let start = if std::mem::take(&mut self.prompt.is_open) { "\n" } else { "" };
        let _ = writeln!(stdout, "{start}{line}");
        let _ = stdout.flush();
    }

    fn open_prompt(&mut self) {
        if self.prompt.is_wanted && !self.prompt.is_open {
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(PROMPT.as_bytes());
            let _ = stdout.flush();
            self.prompt.is_open = true;
        }
    }
}

fn of_event(event: &Event) -> String {
    // What others said stays as it is.
    let text = if event.source == Source::You { &linear::without_keys(&event.text) } else { &event.text };
    let text = printable(text.as_bytes(), LINE_BYTES_MAX);
    format!("{} {:<4}{text}", clock(event.at), event.source.to_string())
}

/// Nobody is at the keys to mend a child that ended before it ever listened, and an ensemble without it is not what was
/// asked for.
pub(crate) fn why_not_started(state: &State) -> Option<String> {
    if state.leaving.is_some() {
        return None;
    }
    state.members().find_map(|member| {
        let process = state.process(member).filter(|process| !process.has_listened)?;
        let reason = match (process.failure(), &process.observed) {
            (Some(failure), _) => failure.words(member),
            (None, Observed::Exited(exit, _)) => format!("{member} ended before it listened ({exit})"),
            _ => return None,
        };
        Some(format!("{reason}. The others are stopped too"))
    })
}

/// A reader that went away is no reason to leave the ensemble.
pub(crate) fn print_line(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}
