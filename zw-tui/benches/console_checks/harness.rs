//! What the checks share: starting, waiting finely, times and percentiles.

use crate::support::{Console, free_ports};
use std::time::{Duration, Instant};

/// A check that waits longer has failed.
const DEADLINE: Duration = Duration::from_secs(30);
/// Fine enough for what is measured in milliseconds, and nothing beside it.
const POLL: Duration = Duration::from_micros(300);
/// Ticks of the processor accounting in a second (`getconf CLK_TCK`; the same on every Linux).
const TICKS: f64 = 100.0;

/// A console with its nodes, and their addresses.
pub(crate) struct Bench {
    pub(crate) console: Console,
    pub(crate) servers: Vec<String>,
}

impl Bench {
    /// Started, with a quorum.
    pub(crate) fn serving(nodes: u8, brokers: u8) -> Bench {
        let base = free_ports(u16::from(nodes));
        let console = Console::start_at(base, nodes, brokers);
        console.wait_for(&format!("quorum {nodes}/{nodes}"));
        let servers = (base..base + u16::from(nodes)).map(|port| format!("127.0.0.1:{port}")).collect();
        Bench { console, servers }
    }

    /// After its start-up messages have gone.
    pub(crate) fn settled(nodes: u8, brokers: u8) -> Bench {
        let bench = Bench::serving(nodes, brokers);
        std::thread::sleep(Duration::from_secs(5));
        bench
    }

    /// Seconds of processor time that the console has used.
    pub(crate) fn processor(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.console.pid().as_raw_nonzero())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS
    }

    /// Resident MB of the console.
    pub(crate) fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.console.pid().as_raw_nonzero())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_000.0
    }

    /// How often the screen's thread has gone to sleep of its own will, and so was woken.
    pub(crate) fn wakes(&self) -> u64 {
        let pid = self.console.pid().as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The number on the screen before some words, or behind them if `is_behind`; as exact as it is shown.
    pub(crate) fn shown(&self, words: &str, is_behind: bool) -> Option<f64> {
        let text = self.console.text();
        let (before, after) = text.split_once(words)?;
        let number =
            if is_behind { after.split_whitespace().next()? } else { before.split_whitespace().next_back()? };
        let (digits, factor) = match number.chars().next_back()? {
            'k' => (&number[..number.len() - 1], 1e3),
            'M' => (&number[..number.len() - 1], 1e6),
            _ => (number, 1.0),
        };
        Some(digits.parse::<f64>().ok()? * factor)
    }

    /// Share of a core, in percent, and bytes a second over a time.
    pub(crate) fn cost_over(&self, time: Duration) -> (f64, f64) {
        let (processor, bytes, began) = (self.processor(), self.console.received(), Instant::now());
        std::thread::sleep(time);
        let seconds = began.elapsed().as_secs_f64();
        let bytes = (self.console.received() - bytes) as f64;
        ((self.processor() - processor) / seconds * 100.0, bytes / seconds)
    }

    /// Milliseconds from keys to what they show.
    pub(crate) fn millis_until(&mut self, keys: &str, shown: impl Fn(&str) -> bool) -> f64 {
        let began = Instant::now();
        self.console.type_keys(keys);
        wait(|| shown(&self.console.text()));
        millis(began)
    }

    /// Milliseconds from a key to the bytes that answer it.
    pub(crate) fn millis_to_paint(&mut self, key: &str) -> f64 {
        let before = self.console.received();
        let began = Instant::now();
        self.console.type_keys(key);
        wait(|| self.console.received() > before);
        millis(began)
    }
}

pub(crate) fn wait(condition: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "what was waited for did not come");
        std::thread::sleep(POLL);
    }
}

pub(crate) fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

/// The value below which so many percent of the others are.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent).div_ceil(100).max(1) - 1]
}
