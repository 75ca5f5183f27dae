//! Every view in its main states, at the size of each arrangement, in Unicode and in ASCII: what stands in a snapshot is
//! what a person sees. The views that have a test file of their own (flow, election, metrics, load, ...) are there in full
//! and here only in the states that are missing there.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod sample;

use bytes::Bytes;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use sample::script::{ASCII, SIZES, Script, UNICODE, newest};
use zw_core::ids::{Epoch, Zxid};
use zw_core::tree::command::Stat;
use zw_core::wire::admin::Status;
use zw_tui::key::Key;
use zw_tui::layout::arrange;
use zw_tui::member::Member;
use zw_tui::model::message::{Msg, WriteFailure};
use zw_tui::model::permission::Permission;
use zw_tui::model::{Pane, State};
use zw_tui::pane::draw;
use zw_tui::supervisor::{Asked, Change, Exit};
use zw_tui::theme::{Depth, Name, Role, Theme};

/// Which cells of the screen are the view.
#[derive(Clone, Copy)]
enum Part {
    /// All.
    Whole,
    /// Those of a pane, and the rows of keys and messages.
    Pane(Pane),
    /// What lies over the panes.
    Over,
}

/// A view in one state.
struct Case {
    state: &'static str,
    part: Part,
    script: Script,
}

fn case(state: &'static str, part: Part, script: Script) -> Case {
    Case { state, part, script }
}

/// The snapshot of a view: all its states at all sizes.
fn shown(cases: &[Case]) -> String {
    let mut text = String::new();
    for case in cases {
        for (words, theme) in [("Unicode", &UNICODE), ("ASCII", &ASCII)] {
            for (width, height) in SIZES {
                let screen = cut(case, theme, (width, height));
                text.push_str(&format!("== {}, {width}x{height}, {words}\n{screen}", case.state));
            }
        }
    }
    text
}

fn cut(case: &Case, theme: &Theme, size: (u16, u16)) -> String {
    let all = Rect::new(0, 0, size.0, size.1);
    // The small ones are always whole: what is left around a view matters there.
    let areas = match case.part {
        _ if size.1 < 20 => vec![all],
        Part::Whole => vec![all],
        Part::Pane(pane) => {
            let layout = arrange(all, &case.script.state);
            vec![layout.place(pane).unwrap().area, layout.prompt, layout.hints]
        }
        Part::Over => vec![over(&case.script, theme, all)],
    };
    let screen = case.script.screen(theme, size);
    let rows: Vec<&str> = screen.lines().collect();
    let mut text = String::new();
    for area in areas {
        for row in &rows[usize::from(area.y)..usize::from(area.bottom())] {
            let cells: String = row.chars().skip(area.x.into()).take(area.width.into()).collect();
            text.push_str(cells.trim_end());
            text.push('\n');
        }
    }
    text
}

/// The cells that the overlay changes.
fn over(script: &Script, theme: &Theme, all: Rect) -> Rect {
    let (with, mut without) = (script.buffer(theme, (all.width, all.height)), Buffer::empty(all));
    let state = State { overlay: None, ..script.state.clone() };
    draw(&state, theme, script.now, &mut without);
    let body = arrange(all, &script.state).body;
    let changed = without.diff(&with).into_iter().map(|(x, y, _)| (x, y));
    let changed: Vec<(u16, u16)> = changed.filter(|(x, y)| body.contains((*x, *y).into())).collect();
    let least = |of: fn(&(u16, u16)) -> u16| changed.iter().map(of).min().unwrap_or(0);
    let most = |of: fn(&(u16, u16)) -> u16| changed.iter().map(of).max().unwrap_or(0);
    let (left, top) = (least(|at| at.0), least(|at| at.1));
    Rect::new(left, top, most(|at| at.0) + 1 - left, most(|at| at.1) + 1 - top)
}

fn killed(asked: Asked) -> Change {
    Change::Exited { exit: Exit::Signal(9), asked, words: None }
}

fn healthy() -> Script {
    Script::healthy(5, 3)
}

fn with(mut script: Script, change: impl FnOnce(&mut Script)) -> Script {
    change(&mut script);
    script
}

/// n3 paused by us, n4 killed by somebody else, b3 killed by us.
fn degraded() -> Script {
    with(healthy(), |script| {
        script.keys("jjP").after(400).change(Member::Node(4), killed(Asked::Nothing));
        script.change(Member::Broker(3), killed(Asked::Kill)).serve().after(4_500).serve();
    })
}

/// Three of five are gone, the others look for a leader.
fn no_quorum() -> Script {
    with(healthy(), |script| {
        script.keys(":kill n3,n4,n5\r");
        for node in 3..=5 {
            script.change(Member::Node(node), killed(Asked::Kill));
        }
        script.after(1_500).serve_under(0, newest()).after(5_000).serve_under(0, newest());
    })
}

/// Nobody has answered for a while.
fn unseen() -> Script {
    with(healthy(), |script| {
        for node in 0..5 {
            script.tell(Msg::Silent { node, reason: "no answer within 400 ms".into() });
        }
        script.after(12_000);
    })
}

/// Somebody else's ensemble, of which nobody answers.
fn attached() -> Script {
    let permission = Permission { is_attached: true, writes: false, faults: false };
    let mut script = Script::new(0, 0);
    script.state = State::attached(vec!["10.0.0.1:8080".into(), "10.0.0.2:8080".into()], permission);
    script.after(700);
    for node in 0..2 {
        script.tell(Msg::Silent { node, reason: "Connection refused (os error 111)".into() });
    }
    script
}

macro_rules! views {
    ($($name:ident: [$($state:literal $part:expr, $script:expr;)*])*) => {
        $(
            #[test]
            fn $name() {
                insta::assert_snapshot!(shown(&[$(case($state, $part, $script)),*]));
            }
        )*
    };
}

views! {
    dashboard: [
        "healthy" Part::Whole, with(healthy(), |script| { script.goals().keys("1"); });
        "degraded" Part::Whole, degraded();
        "no quorum" Part::Whole, no_quorum();
        "nobody answers" Part::Whole, unseen();
        "attached, nobody answers" Part::Whole, attached();
    ]
    nodes: [
        "sorted and marked" Part::Pane(Pane::Nodes), with(degraded(), |script| { script.keys("sr jj "); });
        "fifteen" Part::Pane(Pane::Nodes), with(Script::healthy(15, 0), |script| { script.keys("G"); });
    ]
    node_page: [
        "leader" Part::Over, with(healthy(), |script| { script.keys("Gd"); });
        "down" Part::Over, with(degraded(), |script| { script.keys("jd"); });
        "no answer" Part::Over, with(unseen(), |script| { script.keys("d"); });
        "not started" Part::Over, with(Script::new(3, 0), |script| { script.keys("d"); });
    ]
    brokers: [
        "one is down" Part::Pane(Pane::Brokers), with(degraded(), |script| { script.keys("2jj"); });
        "starting" Part::Pane(Pane::Brokers), with(Script::new(5, 3), |script| { script.keys("2"); });
    ]
    broker_page: [
        "up" Part::Over, with(healthy(), |script| { script.keys("2d"); });
        "down" Part::Over, with(degraded(), |script| { script.keys("2jjd"); });
    ]
    flow: [
        "no node answers" Part::Pane(Pane::Flow), with(unseen(), |script| { script.keys("3"); });
    ]
    election: [
        "none is known" Part::Pane(Pane::Nodes), with(healthy(), |script| { script.keys("e"); });
    ]
    tree: [
        "reading" Part::Pane(Pane::Tree), with(healthy(), |script| { script.keys("4"); });
        "a value" Part::Pane(Pane::Tree), with(healthy(), |script| { script.goals(); });
        "a filter" Part::Pane(Pane::Tree), with(healthy(), |script| { script.goals().keys("/go\r"); });
        "a filter without a match" Part::Pane(Pane::Tree), with(healthy(), |script| { script.goals().keys("/zz\r"); });
        "no answer" Part::Pane(Pane::Tree), with(healthy(), |script| {
            script.keys("4").tell(Msg::Key(Key::ctrl('r')));
            let (path, result) = ("/".into(), Err("no answer within 5 s".into()));
            script.tell(Msg::Children { node: 0, path, after: String::new(), result });
        });
        "the node is down" Part::Pane(Pane::Tree), with(degraded(), |script| { script.keys("1j4"); });
    ]
    znode_page: [
        "a text" Part::Over, with(healthy(), |script| { script.goals().keys("d"); });
        "bytes" Part::Over, with(healthy(), |script| {
            script.goals();
            let stat = Stat { data_length: 40, mzxid: newest(), ..Stat::default() };
            let result = Ok((Bytes::from((0..40_u8).map(|byte| byte.wrapping_mul(37)).collect::<Vec<_>>()), stat));
            script.tell(Msg::Value { node: 0, path: "/goals".into(), result }).keys("d");
        });
        "not read yet" Part::Over, with(healthy(), |script| { script.goals().keys("jd"); });
    ]
    diff: [
        "asked" Part::Over, with(healthy(), |script| { script.keys("="); });
    ]
    metrics: [
        "nothing measured yet" Part::Pane(Pane::Metrics), with(Script::new(5, 3), |script| { script.keys("5"); });
        "no quorum" Part::Pane(Pane::Metrics), with(no_quorum(), |script| { script.keys("5"); });
    ]
    replication: [
        "nothing known yet" Part::Pane(Pane::Replication), with(Script::new(5, 3), |script| { script.keys("6"); });
        "degraded" Part::Pane(Pane::Replication), with(degraded(), |script| { script.keys("6"); });
        "no quorum" Part::Pane(Pane::Replication), with(no_quorum(), |script| { script.keys("6"); });
    ]
    events: [
        "none" Part::Pane(Pane::Events), with(Script::new(3, 0), |script| { script.keys("7"); });
        "scrolled up" Part::Pane(Pane::Events), with(degraded(), |script| {
            script.keys("7kkk");
            (0..20).for_each(|number| { script.tell(Msg::Note(format!("event number {number}"))); });
        });
        "a filter" Part::Pane(Pane::Events), with(degraded(), |script| { script.keys("7/n4\r"); });
        "a filter without a match" Part::Pane(Pane::Events), with(degraded(), |script| { script.keys("7/zz\r"); });
    ]
    timeline: [
        "nothing yet" Part::Pane(Pane::Timeline), with(Script::new(3, 0), |script| { script.keys("8+"); });
        "degraded" Part::Pane(Pane::Timeline), with(degraded(), |script| { script.keys("8+"); });
    ]
    output: [
        "asked" Part::Over, with(healthy(), |script| { script.keys("o"); });
        "nothing printed" Part::Over, with(healthy(), |script| {
            script.keys("o").tell(Msg::Output { member: Member::Node(1), lines: Vec::new(), total: 0 });
        });
    ]
    faults: [
        "none" Part::Over, with(healthy(), |script| { script.keys(":faults\r"); });
    ]
    why: [
        "healthy" Part::Over, with(healthy(), |script| { script.keys("!"); });
        "no quorum" Part::Over, with(no_quorum(), |script| { script.keys("!"); });
        "nobody answers" Part::Over, with(attached(), |script| { script.keys("!"); });
    ]
    load: [
        "none yet" Part::Over, with(healthy(), |script| { script.keys("b"); });
    ]
    scenarios: [
        "of one node" Part::Over, with(Script::healthy(1, 0), |script| { script.keys("X"); });
        "none ran" Part::Over, with(healthy(), |script| { script.keys("x"); });
    ]
    sessions: [
        "asked" Part::Over, with(healthy(), |script| { script.keys(":sessions\r"); });
        "none" Part::Over, with(healthy(), |script| {
            script.keys(":sessions\r").tell(Msg::Sessions { node: 0, result: Ok(Vec::new()) });
        });
    ]
    help: [
        "a search" Part::Over, with(healthy(), |script| { script.keys("?tree"); });
        "a search without a match" Part::Over, with(healthy(), |script| { script.keys("?zzzz"); });
        "attached" Part::Over, with(attached(), |script| { script.keys("?kill"); });
    ]
    info: [
        "attached" Part::Over, with(attached(), |script| { script.keys(":info\r"); });
    ]
    composer: [
        "fresh" Part::Over, with(healthy(), |script| { script.goals().keys("W"); });
        "refused by nobody's answer" Part::Over, with(no_quorum(), |script| {
            script.keys("Wgoals\rthe value\r");
            let failure = WriteFailure { reason: "no quorum within 5 s".into(), may_be_done: true, done: 0 };
            script.tell(Msg::Written { node: 0, path: "/goals".into(), result: Err(failure) });
        });
    ]
    deletion: [
        "counting" Part::Over, with(healthy(), |script| { script.goals().keys("D"); });
        "asks" Part::Over, with(healthy(), |script| {
            script.goals().keys("D").tell(Msg::Counted { node: 0, path: "/goals".into(), result: Ok(2) });
        });
        "wants the name" Part::Over, with(healthy(), |script| {
            script.goals().keys("D").tell(Msg::Counted { node: 0, path: "/goals".into(), result: Ok(4_211) });
        });
        "cannot be counted" Part::Over, with(healthy(), |script| {
            let result = Err("no such znode: /goals".into());
            script.goals().keys("D").tell(Msg::Counted { node: 0, path: "/goals".into(), result });
        });
    ]
    command_line: [
        "typing" Part::Whole, with(Script::healthy(3, 1), |script| { script.keys(":kill n"); });
        "refused" Part::Whole, with(Script::healthy(3, 1), |script| { script.keys(":kil n1\r"); });
        "a chord" Part::Whole, with(Script::healthy(3, 1), |script| { script.keys("y").after(400); });
    ]
}

/// Which attributes, as a word.
fn words(style: Style) -> String {
    let color = |color: Option<Color>| color.map_or_else(|| "-".to_owned(), |color| format!("{color:?}"));
    let modifiers = [
        (Modifier::BOLD, "bold"),
        (Modifier::DIM, "dim"),
        (Modifier::UNDERLINED, "underlined"),
        (Modifier::REVERSED, "reversed"),
    ];
    let set = modifiers.iter().filter(|(modifier, _)| style.add_modifier.contains(*modifier)).map(|(_, word)| *word);
    let set: Vec<&str> = set.collect();
    format!("{:<22} {}", color(style.fg), set.join(" "))
}

#[test]
fn the_roles_and_what_they_look_like() {
    let mut text = String::from("glyph, in Unicode and in ASCII, and word of each face\n");
    for role in Role::ALL {
        if let Role::Face(face) = role {
            text.push_str(&format!("  {} {} {}\n", UNICODE.glyph(face), ASCII.glyph(face), face.word()));
        }
    }
    for (name, depth) in Name::ALL.into_iter().flat_map(|name| [(name, Depth::Sixteen), (name, Depth::True)]) {
        // These two do not look at the terminal's colours.
        if matches!(name, Name::Auto | Name::Mono) && depth == Depth::True {
            continue;
        }
        let theme = Theme { name, depth, ..UNICODE };
        let base = theme.base();
        text.push_str(&format!("{name}, {}: text {:?} on {:?}\n", depth.words(), base.fg, base.bg));
        for role in Role::ALL {
            let role_name = format!("{role:?}");
            text.push_str(format!("  {role_name:<16} {}", words(theme.style(role))).trim_end());
            text.push('\n');
        }
    }
    insta::assert_snapshot!(text);
}

/// The face of a member is told by its glyph and its word alone: a grey copy of the screen says as much.
#[test]
fn who_is_what_is_told_without_colour() {
    let mut script = degraded();
    let looking = Status { role: zw_core::wire::admin::NodeRole::Looking, ..sample::status(1, 0, newest()) };
    script.says(looking);
    script
        .says(Status { role: zw_core::wire::admin::NodeRole::Syncing, ..sample::status(2, 5, Zxid::new(Epoch(7), 9)) });
    for theme in [&UNICODE, &ASCII] {
        let screen = script.screen(theme, (160, 45));
        let row = |name: &str| {
            let is_it = |row: &&str| row.chars().skip(3).take(3).collect::<String>() == format!("{name} ");
            screen.lines().find(is_it).unwrap().to_owned()
        };
        let expected = [("n1", "LOOKING"), ("n2", "SYNCING"), ("n3", "PAUSED"), ("n4", "DOWN"), ("n5", "LEADER")];
        let glyphs: Vec<char> = expected
            .iter()
            .map(|(name, word)| {
                let row = row(name);
                let before = row.split(word).next().unwrap_or_else(|| panic!("{name} is no {word}: {row}"));
                assert_ne!(before.len(), row.len(), "{name} is no {word}: {row}");
                before.trim_end().chars().last().unwrap()
            })
            .collect();
        let mut different = glyphs.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), glyphs.len(), "{glyphs:?}");
        // On the smallest screen the glyph stands alone.
        let tiny = script.screen(theme, (20, 5));
        for ((name, _), glyph) in expected.iter().zip(&glyphs) {
            assert!(tiny.contains(&format!("{name}{glyph}")), "{name}{glyph} is missing in\n{tiny}");
        }
    }
}
