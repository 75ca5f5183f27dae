//! Time with the real program: a frozen display is silent, and a recording shows what was there.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(dead_code, reason = "the support serves other tests too")]

mod support;

use std::time::Duration;
use support::Console;

#[test]
fn a_frozen_display_writes_nothing_whatever_happens() {
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.wait_for_silence(Duration::from_millis(1_500));
    console.type_keys("p");
    console.wait_for("FROZEN");
    console.wait_for_silence(Duration::from_millis(500));
    let before = console.received();
    // A node dies, another console would have a lot to say.
    let pid = support::living_with(&format!("{}/n1", console.data()))[0];
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
    console.wait_for_silence(Duration::from_secs(3));
    assert_eq!(console.received(), before, "bytes were written to a frozen display");
    console.type_keys("K");
    console.wait_for("the display is frozen; . goes back to now");
    console.type_keys(".");
    console.wait_for("exit 137 (not you)");
    console.wait_for("quorum 2/3");
    console.type_keys("{");
    console.wait_for("PAST");
    console.type_keys("8");
    console.type_keys("\x1b[D");
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys("q");
    console.wait_for("DEGRADED  quorum 2/3");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
    console.assert_nothing_left();
}

#[test]
fn a_recording_is_replayed_without_any_process() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("session.zwrec");
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":write /recorded the-value\r");
    console.wait_for("made /recorded");
    console.type_keys(&format!(":record on {}\r", file.display()));
    console.wait_for("records to");
    console.wait_for("rec ");
    console.type_keys(":kill leader\r");
    console.wait_for("exit 137 (you)");
    console.wait_for("quorum 2/3  leader n2");
    console.type_keys(":record off\r");
    console.wait_for("zw-tui replay shows it");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);

    let mut replay = Console::replay(&file);
    replay.wait_for("REPLAY");
    replay.wait_for("quorum 2/3  leader n2");
    // What was before the command is there too.
    replay.wait_for("made /recorded");
    replay.wait_for("recorded");
    assert_eq!(support::living_with(directory.path().to_str().unwrap()).len(), 1, "only the console");
    replay.type_keys("{{{{{{{{");
    replay.wait_for("there is no mark before this");
    replay.type_keys(":at 00:00.0\r");
    replay.wait_for("starting");
    replay.wait_for("quorum 0/3");
    replay.type_keys("K");
    replay.wait_for("this is a recording: nothing runs");
    replay.type_keys("qq");
    assert_eq!(replay.exit_code(), 0);
    replay.wait_for_modes(|modes| !modes.alternate_screen && modes.canonical);

    // Half of it is a recording too; something else is none.
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 5]).unwrap();
    let mut replay = Console::replay(&file);
    replay.wait_for("the recording breaks off: its last");
    replay.type_keys("\x03");
    assert_eq!(replay.exit_code(), 0);
    std::fs::write(&file, "{}").unwrap();
    let mut replay = Console::replay(&file);
    replay.wait_for("is no recording; the command :record on makes one");
    assert_eq!(replay.exit_code(), 1);
}
