//! Coming back to an ensemble that a console detached from: its history, its clock, and what happened meanwhile.
//!
//! Invariant: what cannot be had of the past is said and left out; it never keeps anybody from coming back.

use crate::clock::monotonic_ns;
use crate::launch::Launch;
use crate::member::Member;
use crate::model::State;
use crate::model::message::Msg;
use crate::model::tape::Tape;
use crate::options::{CommandLine, Options};
use crate::recording;
use crate::supervisor::keeper::{Clocks, Kept, history_path};
use clap::Parser;
use std::time::{Duration, Instant};

/// What a console goes on from.
#[derive(Debug)]
pub struct Comeback {
    /// When the first console began: all times are since then, also of those that come later.
    pub began: Instant,
    kept: Kept,
    /// What the person should know of how it came back.
    notes: Vec<String>,
}

/// The times of a console that began then and leaves now.
#[must_use]
pub fn clocks(began: Instant) -> Clocks {
    let left_ns = monotonic_ns();
    let since = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    Clocks { began_ns: left_ns.saturating_sub(since), left_ns }
}

impl Comeback {
    /// From what was kept, for a console with these flags.
    #[must_use]
    pub fn new(kept: Kept, options: &Options) -> Comeback {
        let since = Duration::from_nanos(monotonic_ns().saturating_sub(kept.clocks.began_ns));
        let began = Instant::now().checked_sub(since).unwrap_or_else(Instant::now);
        let notes = flags_in_vain(options, &kept.launch);
        Comeback { began, kept, notes }
    }

    /// The state at which the last console left, and how it came about. A new one if that is not known.
    pub fn history(&mut self) -> (State, Tape) {
        let Launch { data, nodes, brokers, .. } = &self.kept.launch;
        let path = history_path(&data.path);
        match recording::read_and_play(&path) {
            Ok((tape, state, _)) if (state.nodes.len(), state.brokers.len()) == (nodes.len(), brokers.len()) => {
                (state, tape)
            }
            other => {
                let why = other.err().map_or_else(|| "it is of another ensemble".to_owned(), |error| error.to_string());
                self.notes.push(format!("what was before is not known: {why}"));
                (State::new(nodes.clone(), brokers.clone()), Tape::default())
            }
        }
    }

    /// The ensemble is this console's: the history is in memory now, and on the disk would soon be an old one.
    pub fn remove_history(&self) {
        let _ = std::fs::remove_file(history_path(&self.kept.launch.data.path));
    }

    /// When the last console left, in the monotonic clock: what the nodes told until then is known.
    #[must_use]
    pub fn left_ns(&self) -> u64 {
        self.kept.clocks.left_ns
    }

    /// What happened meanwhile, each with its time, and at last that the console is back.
    #[must_use]
    pub fn messages(self, now: Duration) -> Vec<(Duration, Msg)> {
        let Kept { clocks, reports, lost, children, .. } = self.kept;
        let at = |ns: u64| Duration::from_nanos(ns.saturating_sub(clocks.began_ns));
        let meanwhile = reports.into_iter().map(|stamped| (at(stamped.at_ns), Msg::Supervisor(stamped.report)));
        let away = now.saturating_sub(at(clocks.left_ns));
        let back = Msg::CameBack { away, lost, children: children.into_iter().collect() };
        let notes = self.notes.into_iter().map(|note| (now, Msg::Note(note)));
        meanwhile.chain([(now, back)]).chain(notes).collect()
    }
}

/// What was asked for by flags and is otherwise, for the ensemble runs already.
fn flags_in_vain(options: &Options, launch: &Launch) -> Vec<String> {
    // What stands on no command line was not asked for.
    let default = CommandLine::parse_from(["zw-tui"]).options;
    let port = |is_node: bool| {
        let plan = launch.plans.iter().find(|plan| matches!(plan.member, Member::Node(_)) == is_node);
        plan.map(|plan| usize::from(plan.port))
    };
    // What does not exist contradicts nothing.
    let numbers = [
        ("nodes", options.nodes.into(), default.nodes.into(), Some(launch.nodes.len())),
        ("brokers", options.brokers.into(), default.brokers.into(), Some(launch.brokers.len())),
        ("base-port", options.base_port.into(), default.base_port.into(), port(true)),
        ("broker-base-port", options.broker_base_port.into(), default.broker_base_port.into(), port(false)),
    ];
    let vain = |(flag, asked, default, is): (&str, usize, usize, Option<usize>)| {
        let is = is.filter(|is| asked != default && asked != *is)?;
        Some(format!("the ensemble runs already, with --{flag} {is}: --{flag} {asked} does nothing"))
    };
    let mut notes: Vec<String> = numbers.into_iter().filter_map(vain).collect();
    let otherwise = |flag: &str| format!("the ensemble runs already, and otherwise: --{flag} does nothing");
    let node = launch.plans.iter().find(|plan| matches!(plan.member, Member::Node(_)));
    if let (Some(asked), Some(node)) = (&options.node_bin, node)
        && *asked != node.program
    {
        notes.push(otherwise(&format!("node-bin {}", asked.display())));
    }
    if let (Some(asked), Some(node)) = (options.segment_bytes, node)
        && !node.arguments.windows(2).any(|pair| pair[0] == "--segment-bytes" && *pair[1] == *asked.to_string())
    {
        notes.push(otherwise(&format!("segment-bytes {asked}")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::DataDirectory;
    use crate::supervisor::keeper::{Stamped, Standing};
    use crate::supervisor::{Change, Report};
    use std::collections::BTreeMap;

    fn kept(clocks: Clocks) -> Kept {
        let options = CommandLine::parse_from(["zw-tui", "--nodes", "3", "--brokers", "0"]).options;
        let launch = Launch::new(&options, DataDirectory { path: "/nowhere".into(), is_temporary: false });
        Kept { launch, clocks, reports: Vec::new(), lost: 0, children: BTreeMap::new() }
    }

    fn options(line: &str) -> Options {
        CommandLine::parse_from(line.split(' ')).options
    }

    #[test]
    fn the_clock_goes_on_and_what_happened_meanwhile_has_its_time() {
        let began = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        let clocks = clocks(began);
        let mut kept = kept(clocks);
        let n2 = Member::Node(2);
        let report = Report { member: Some(n2), change: Change::Listening };
        kept.reports = vec![Stamped { at_ns: clocks.left_ns + 5_000_000_000, report }];
        kept.children.insert(n2, Standing::Runs { pid: 7, listens: true });
        let mut comeback = Comeback::new(kept, &options("zw-tui --data /nowhere"));
        assert!(comeback.began.duration_since(began) < Duration::from_secs(1));
        let (state, tape) = comeback.history();
        assert_eq!((state.nodes.len(), tape.oldest()), (3, None));
        let messages = comeback.messages(Duration::from_secs(80));
        let [(then, Msg::Supervisor(_)), (_, Msg::CameBack { away, .. }), (_, Msg::Note(note))] = messages.as_slice()
        else {
            panic!("{messages:?}");
        };
        assert_eq!((then.as_secs(), away.as_secs_f64().round()), (65, 20.0));
        assert!(note.contains("what was before is not known"), "{note}");
    }

    #[test]
    fn flags_that_do_nothing_are_told() {
        let notes = |line: &str| Comeback::new(kept(Clocks::default()), &options(line)).notes;
        assert_eq!(notes("zw-tui --data /nowhere"), [""; 0]);
        assert_eq!(notes("zw-tui --nodes 3"), [""; 0]);
        let [note] = notes("zw-tui --nodes 7").try_into().unwrap();
        assert_eq!(note, "the ensemble runs already, with --nodes 3: --nodes 7 does nothing");
        let [note] = notes("zw-tui --base-port 7000 --broker-base-port 7100").try_into().unwrap();
        assert_eq!(note, "the ensemble runs already, with --base-port 8080: --base-port 7000 does nothing");
        let [program, bytes] = notes("zw-tui --node-bin /x --segment-bytes 7").try_into().unwrap();
        assert_eq!(program, "the ensemble runs already, and otherwise: --node-bin /x does nothing");
        assert_eq!(bytes, "the ensemble runs already, and otherwise: --segment-bytes 7 does nothing");
        let same = options("zw-tui --nodes 1 --brokers 1 --base-port 7000 --node-bin /x --segment-bytes 7");
        let data = DataDirectory { path: "/nowhere".into(), is_temporary: false };
        assert_eq!(flags_in_vain(&same, &Launch::new(&same, data)), [""; 0]);
    }
}
