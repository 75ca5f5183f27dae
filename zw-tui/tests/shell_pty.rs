//! The real program around the panes: attached to an ensemble that it did not start, with a file of settings, with lines
//! instead of a screen, on odd terminals; and its small subcommands.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::{Console, free_ports, living_with, wait_until};

/// Runs it to its end, without a terminal.
fn run(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_zw-tui"))
        .args(arguments)
        .env("XDG_CONFIG_HOME", directory)
        .env("XDG_STATE_HOME", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn attached_it_shows_who_lives_changes_nothing_and_leaves_it_running() {
    let base = free_ports(3);
    let mut owner = Console::start_at(base, 3, 0);
    owner.wait_for("HEALTHY  quorum 3/3");
    owner.type_keys(":kill n1,n3\r");
    owner.wait_for("NO QUORUM");
    let all = format!("127.0.0.1:{},127.0.0.1:{base},127.0.0.1:{}", base + 2, base + 1);
    let mut attached = Console::start_as(&["attach", &all], &[]);
    attached.wait_for("attached, 3 nodes");
    attached.wait_for("read-only");
    attached.wait_for("no answer: Connection refused");
    attached.wait_for("LOOKING");
    for (keys, reason) in [("K", "did not start the processes"), ("W", "--allow-writes"), ("C", "--allow-faults")] {
        attached.type_keys(keys);
        attached.wait_for(reason);
    }
    owner.type_keys("UU");
    owner.wait_for("HEALTHY  quorum 3/3");
    attached.wait_for("HEALTHY  quorum 3/3");
    // It reads what the nodes trace: who was elected, and the way of a write.
    attached.type_keys("e");
    attached.wait_for("Rule: the highest epoch");
    attached.type_keys("e3");
    owner.type_keys(":write n2 /seen x\r");
    attached.wait_for("create /seen");
    attached.wait_for("quorum 2 of 3");
    attached.type_keys("q");
    assert_eq!(attached.exit_code(), 0);
    attached.assert_nothing_left();
    attached.wait_for("the ensemble runs on; come back with zw-tui attach 127.0.0.1");
    assert_eq!(living_with(owner.data()).len(), 5, "the owner, its keeper and its nodes");
    owner.type_keys("q");
    assert_eq!(owner.exit_code(), 0);
}

#[test]
fn attached_and_allowed_it_writes_after_a_question_to_whichever_member_it_was_told() {
    let base = free_ports(3);
    let mut owner = Console::start_at(base, 3, 0);
    owner.wait_for("HEALTHY  quorum 3/3");
    let mut attached = Console::start_as(&["attach", &format!("127.0.0.1:{}", base + 2), "--allow-writes"], &[]);
    // The others are known by the one.
    attached.wait_for("HEALTHY  quorum 3/3");
    attached.wait_for("WRITES ALLOWED");
    attached.type_keys(":write n1 /from-afar x\r");
    attached.wait_for("y does it");
    attached.wait_for(&format!("through n1 at 127.0.0.1:{base}"));
    attached.type_keys("\r");
    // An early Enter counts as nothing, a late one as no.
    wait_until("the answer no", || {
        attached.type_keys("\r");
        attached.text().contains("not done")
    });
    attached.type_keys(":write n1 /from-afar x\r");
    attached.wait_for("y does it");
    wait_until("the answer yes", || {
        attached.type_keys("y");
        !attached.text().contains("y does it")
    });
    attached.wait_for("made /from-afar");
    // A y too many waits for a second key.
    attached.type_keys("\x03");
    assert_eq!(attached.exit_code(), 0);
    owner.type_keys("q");
    assert_eq!(owner.exit_code(), 0);
}

#[test]
fn lines_take_commands_and_move_no_cursor() {
    let base = free_ports(1).to_string();
    let arguments = ["--linear", "--nodes", "1", "--brokers", "0", "--base-port", &base, "--data", "{data}"];
    let mut console = Console::start_as(&arguments, &[("TERM", "dumb")]);
    console.wait_for("HEALTHY  quorum 1/1");
    console.type_keys("write /a x\r");
    console.wait_for("made /a");
    console.type_keys("kil n1\r");
    console.wait_for("did you mean kill?");
    for (line, said) in [
        ("flow", "the flow of messages is shown on a screen only; events"),
        ("metrics", "shown on a screen only; nodes has"),
        ("at 0:01", "the past is kept by the console with a screen only"),
        ("zoom", "that is about a screen, and here is none"),
        ("edit", "an editor needs a screen"),
        ("describe n1", "n1:"),
        ("log n1", "INFO serving leader=1"),
        ("help", "Members are named: kill n3"),
    ] {
        console.type_keys(&format!("{line}\r"));
        console.wait_for(said);
    }
    console.type_keys("kill n1\r");
    console.wait_for("kill n1  (revive starts it again, so does undo)");
    console.wait_for("exit 137 (you)");
    console.type_keys("why\r");
    console.wait_for("n1 is down (exit 137): revive starts it again");
    console.type_keys("quit\r");
    assert_eq!(console.exit_code(), 0);
    console.assert_nothing_left();
    console.wait_for("1 process stopped");
    assert_eq!(console.escapes(), 0, "{}", console.text());
}

#[test]
fn lines_that_are_piped_in_are_carried_out_and_their_end_is_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let base = free_ports(1).to_string();
    let arguments = ["--linear", "--nodes", "1", "--brokers", "0", "--base-port", &base, "--data", data];
    // Before there is a leader nothing could be written; each line waits for the one before, and the end for all.
    let lines = "info\nnodes\nwrite --count 50 /a first\nwrite /b x\ndelete /b\ny\nset /a last\n";
    let output = run(directory.path(), &arguments, lines);
    assert_eq!(output.status.code(), Some(0));
    let text = words(&output.stdout);
    for done in ["50 writes, the last: set /a", "made /b", "Delete /b", "set /a  v50"] {
        assert!(text.contains(done), "{done} is missing in {text}");
    }
    assert!(text.contains("The console:") && text.contains(data) && text.contains("n1  "), "{text}");
    assert!(!text.contains('\x1b') && !text.contains("zw> "), "{text}");
    assert_eq!(living_with(data), Vec::<i32>::new());
}

#[test]
fn a_file_of_settings_counts_and_what_is_wrong_in_it_is_told_on_the_screen() {
    let settings = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(settings.path(), "them = \"dark\"\nmouse = false\n[keys]\nkill = \"A\"\n").unwrap();
    let (base, settings) = (free_ports(1).to_string(), settings.path().to_str().unwrap());
    let arguments = ["--nodes", "1", "--brokers", "0", "--base-port", &base, "--data", "{data}", "--config", settings];
    let mut console = Console::start_as(&arguments, &[]);
    console.wait_for("HEALTHY  quorum 1/1");
    console.wait_for("line 1: there is no setting");
    console.wait_for("mouse off");
    assert!(!console.modes().mouse);
    console.wait_for("A kill");
    console.type_keys("KA");
    console.wait_for("exit 137 (you)");
    console.type_keys(":info\r");
    console.wait_for("keys         kill A");
    console.type_keys("qq");
    assert_eq!(console.exit_code(), 0);
    console.assert_nothing_left();
}

#[test]
fn without_colour_nothing_has_one_and_the_screen_can_be_kept() {
    let base = free_ports(1).to_string();
    let arguments = ["--nodes", "1", "--brokers", "0", "--base-port", &base, "--data", "{data}", "--read-only"];
    let mut console = Console::start_as(&arguments, &[("NO_COLOR", "1")]);
    console.wait_for("HEALTHY  quorum 1/1");
    console.wait_for("read-only");
    assert!(!console.has_color());
    console.type_keys("K");
    console.wait_for("start without --read-only");
    // The themes with colours of their own know it too.
    console.type_keys(":theme dark\r");
    console.wait_for("theme dark");
    assert!(!console.has_color());
    console.type_keys("\x13");
    console.wait_for("the screen is in ");
    let folder = Path::new(console.data()).join("xdg/zw");
    let kept = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(kept).unwrap();
    assert!(text.contains("ZooWeeper") && text.contains("HEALTHY") && !text.contains('\x1b'), "{text}");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn a_theme_is_changed_while_it_runs() {
    let base = free_ports(1).to_string();
    let arguments = ["--nodes", "1", "--brokers", "0", "--base-port", &base, "--data", "{data}", "--theme", "mono"];
    let mut console = Console::start_as(&arguments, &[]);
    console.wait_for("HEALTHY  quorum 1/1");
    assert!(!console.has_color());
    console.type_keys(":theme hi\t\r");
    console.wait_for("theme high-contrast");
    wait_until("a colour", || console.has_color());
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn terminals_without_a_screen_are_told_what_to_do_and_poor_ones_are_served() {
    let mut dumb = Console::start_as(&["--data", "{data}"], &[("TERM", "dumb")]);
    assert_eq!(dumb.exit_code(), 2);
    dumb.wait_for("TERM is dumb");
    dumb.wait_for("--linear");
    assert_eq!(dumb.escapes(), 0);
    for term in ["vt100", "linux"] {
        let base = free_ports(1).to_string();
        let arguments = ["--nodes", "1", "--brokers", "0", "--base-port", &base, "--data", "{data}"];
        let mut console = Console::start_as(&arguments, &[("TERM", term)]);
        console.wait_for("HEALTHY  quorum 1/1");
        assert!(console.text().is_ascii(), "{term}: {}", console.text());
        assert_eq!(console.has_color(), term == "linux");
        console.type_keys("q");
        assert_eq!(console.exit_code(), 0);
    }
}

#[test]
fn the_small_subcommands_print_paths_and_mistakes() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| run(directory.path(), arguments, "");
    let path = directory.path().join("zw/tui.toml");
    let shown = path.to_str().unwrap();

    let output = run(&["config", "path"]);
    assert_eq!((output.status.code(), words(&output.stdout)), (Some(0), format!("{shown}\n")));
    assert_eq!(run(&["config", "check"]).status.code(), Some(0), "without a file all is by default");
    assert_eq!(run(&["config", "init"]).status.code(), Some(0));
    assert_eq!(run(&["config", "check"]).status.code(), Some(0));
    std::fs::write(&path, "[keys]\nkill = \"W\"\nstop = \"Z\"\n").unwrap();
    let output = run(&["config", "init"]);
    assert!(output.status.code() == Some(1) && words(&output.stderr).contains("stays as it is"));
    let output = run(&["config", "check"]);
    let expected = format!("zw-tui: {shown}, line 2: kill and write both want the key W; kill keeps K\n");
    assert_eq!((output.status.code(), words(&output.stderr)), (Some(1), expected));

    let keys = words(&run(&["keys"]).stdout);
    assert!(keys.lines().any(|line| line.starts_with("Z ") && line.contains(":stop")), "{keys}");
    let manual = words(&run(&["keys", "--markdown"]).stdout);
    assert!(manual.contains("| `T` | `:stop` |"), "the manual is of the keys without a file: {manual}");

    let info = words(&run(&["info", "--theme", "dark"]).stdout);
    for part in [shown, "version", "theme        dark", "keys         stop Z", "terminal", "zw/tui.log", "line 2: kill"]
    {
        assert!(info.contains(part), "{part} is missing in {info}");
    }
    let help = run(&["--help"]);
    assert!(help.status.success() && !help.stdout.contains(&0x1b));
    for (arguments, code) in [
        (&["--config", "/nonexistent"][..], 1),
        (&["attach"], 2),
        (&["attach", "nowhere"], 2),
        (&["attach", "a:1", "--nodes", "3"], 2),
        (&["attach", "127.0.0.1:1"], 2),
        (&["--theme", "drak"], 2),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", words(&output.stderr));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}
