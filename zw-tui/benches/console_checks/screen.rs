//! The screen at any size, with a lot in it.

use crate::Measured;
use crate::harness::{Bench, millis, wait};
use crate::load::{Load, children, reads, write};
use crate::support::{Console, free_ports};
use bytes::Bytes;
use std::time::{Duration, Instant};
use zw_tui::model::tree::PAGE_ROWS;

const CHILDREN: usize = 300_000;
const PAGES_DOWN: u64 = 100;

pub(crate) fn sizes() -> Measured {
    let mut bench = Bench::serving(5, 3);
    let sizes =
        [(1, 1), (2, 2), (10, 3), (20, 5), (40, 12), (80, 24), (100, 30), (160, 45), (300, 100), (500, 200), (160, 45)];
    for (width, height) in sizes {
        bench.console.resize(width, height);
        std::thread::sleep(Duration::from_millis(100));
    }
    wait(|| bench.console.text().contains("quorum 5/5"));
    Measured::new(true, format!("{} sizes", sizes.len()))
}

pub(crate) fn resize_storm() -> Measured {
    let mut bench = Bench::settled(5, 3);
    bench.console.wait_for("registered 3/3");
    // Numbers go on meanwhile, and the first row has the time since the start: what must be the same is the frame around them.
    let frame = |text: &str| -> Vec<String> {
        let is_border = |character: char| "─│┌┐└┘├┤┬┴".contains(character);
        let row = |row: &str| -> String {
            let borders = row.chars().map(|character| if is_border(character) { character } else { ' ' });
            borders.collect::<String>().trim_end().to_owned()
        };
        text.lines().skip(1).map(row).collect()
    };
    let fresh = frame(&bench.console.text());
    for step in 0..200_u16 {
        // Any sizes do; the same ones in every run.
        bench.console.resize(1 + step * 37 % 240, 1 + step * 23 % 80);
        std::thread::sleep(Duration::from_millis(10));
    }
    let began = Instant::now();
    bench.console.resize(160, 45);
    wait(|| frame(&bench.console.text()) == fresh && bench.console.text().contains("? help"));
    let time = millis(began);
    Measured::new(time <= 150.0, format!("{time:.0} ms"))
}

/// How often these bytes were sent to the terminal while `run` ran with a console of its own.
fn sent(run: impl FnOnce(&mut Bench)) -> Vec<u8> {
    let base = free_ports(5);
    let console = Console::start_at(base, 5, 3);
    console.record();
    console.wait_for("quorum 5/5");
    let servers = (base..base + 5).map(|port| format!("127.0.0.1:{port}")).collect();
    let mut bench = Bench { console, servers };
    run(&mut bench);
    bench.console.recorded()
}

fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|window| *window == part).count()
}

/// A minute of looking around, with something going on.
fn use_it(bench: &mut Bench, time: Duration) {
    let _load = Load::start(&bench.servers, 100);
    let end = Instant::now() + time;
    for keys in
        ["j", "4", "j", "l", "7", "k", "?", "\x1b", "1", "d", "\x1b", "!", "\x1b", "3", "5", "6", "8"].iter().cycle()
    {
        if Instant::now() > end {
            break;
        }
        bench.console.type_keys(keys);
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn synchronized() -> Measured {
    let bytes = sent(|bench| use_it(bench, Duration::from_secs(10)));
    let (begins, ends) = (count(&bytes, b"\x1b[?2026h"), count(&bytes, b"\x1b[?2026l"));
    Measured::new(begins > 20 && begins == ends, format!("{begins} begins, {ends} ends"))
}

pub(crate) fn no_clear() -> Measured {
    let bytes = sent(|bench| {
        bench.console.recorded();
        use_it(bench, Duration::from_secs(60));
    });
    let clears = count(&bytes, b"\x1b[2J");
    Measured::new(clears == 0, format!("{clears} clears in {} bytes", bytes.len()))
}

pub(crate) fn many_children() -> Measured {
    let mut bench = Bench::serving(3, 0);
    children(&bench.servers, "/many", CHILDREN);
    bench.console.type_keys("4\x12");
    bench.console.wait_for("300k ch");
    bench.console.type_keys("gj");
    bench.console.wait_for(" /many ");
    let before = reads(&bench.servers);
    let first = bench.millis_until("l", |text| text.contains("c0000003"));
    let mut worst = 0.0_f64;
    bench.console.type_keys("j");
    for _ in 0..PAGES_DOWN {
        std::thread::sleep(Duration::from_millis(5));
        worst = worst.max(bench.millis_to_paint("\x1b[6~"));
    }
    std::thread::sleep(Duration::from_secs(1));
    let asked = reads(&bench.servers) - before;
    // Every key may read the value of its znode; the rest are pages. A page down is less than a screen.
    let pages = PAGES_DOWN * 45 / u64::from(PAGE_ROWS) + 2;
    let end = bench.millis_to_paint("G");
    for key in ["/", "c", "0", "0", "9"] {
        std::thread::sleep(Duration::from_millis(50));
        worst = worst.max(bench.millis_to_paint(key));
    }
    let holds = first <= 200.0 && worst <= 40.0 && end <= 40.0 && asked <= PAGES_DOWN + 2 + pages;
    let words = format!(
        "first page {first:.0} ms, G {end:.0} ms, worst of {PAGES_DOWN} pages down and a filter {worst:.0} ms, \
         {asked} reads for {PAGES_DOWN} keys and at most {pages} pages"
    );
    Measured::new(holds, words)
}

pub(crate) fn large() -> Measured {
    let mut bench = Bench::serving(3, 0);
    write(&bench.servers, "/large", Bytes::from(vec![b'x'; 1_000_000]));
    bench.console.type_keys("4\x12");
    bench.console.wait_for("large");
    bench.console.type_keys("g");
    let time = bench.millis_until("j", |text| text.contains("1000000 B"));
    let value = bench.millis_to_paint("k");
    let (line, is_marked) = long_line();
    Measured::new(
        time <= 200.0 && value <= 40.0 && line <= 40.0 && is_marked,
        format!(
            "value read and shown after {time:.0} ms, a key after {value:.0} ms; beside the line a key after {line:.0} ms, \
             the cut is {}",
            if is_marked { "marked" } else { "not marked" }
        ),
    )
}

/// The slowest of some keys beside a line of 90000 characters that a node printed, and whether it is seen to be cut.
fn long_line() -> (f64, bool) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("zw-node");
    let real = env!("CARGO_BIN_EXE_zw-tui");
    let script = format!(
        "#!/bin/sh\nhead -c 90000 /dev/zero | tr '\\0' y >&2\necho >&2\necho the end of it >&2\nexec {real} node \"$@\"\n"
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let flags = ["--node-bin", program.to_str().unwrap()];
    let mut bench = Bench { console: Console::start_with(free_ports(1), 1, 0, &flags), servers: Vec::new() };
    bench.console.wait_for("quorum 1/1");
    bench.console.type_keys("o");
    bench.console.wait_for("yyyy");
    let mut worst = 0.0_f64;
    for key in ["k", "j", "k", "j", "k", "j"] {
        std::thread::sleep(Duration::from_millis(300));
        worst = worst.max(bench.millis_to_paint(key));
    }
    let is_marked = bench.console.text().lines().any(|line| line.contains("yyyy") && line.contains('\u{2026}'));
    (worst, is_marked)
}

pub(crate) fn many_members() -> Measured {
    let mut bench = Bench::serving(9, 9);
    let mut missing = Vec::new();
    for (width, height) in [(160, 45), (80, 24)] {
        bench.console.resize(width, height);
        std::thread::sleep(Duration::from_millis(500));
        let text = bench.console.text();
        let members = (1..=9).flat_map(|number| [format!("n{number}"), format!("b{number}")]);
        missing.extend(
            members.filter(|member| !text.contains(member.as_str())).map(|m| format!("{m} at {width}x{height}")),
        );
    }
    Measured::new(missing.is_empty(), format!("missing: {missing:?}"))
}
