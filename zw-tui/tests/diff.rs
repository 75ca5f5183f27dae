//! Two real nodes compared: one that was cut off and fell behind, until it has caught up.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod support;

use support::Console;

#[test]
fn what_a_node_missed_is_shown_until_it_has_caught_up() {
    let mut console = Console::start(3, 0);
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":write n1 /shared both\r");
    console.wait_for("made /shared");
    // Each node has served by now, so it answers reads of what it has while it is alone. n1 never leads: of two votes
    // the one for the greater number wins.
    console.type_keys(":diff n1 n2\r");
    console.wait_for("The trees are equal");
    console.type_keys("\x1b");
    console.wait_until_gone("The trees are equal");
    console.type_keys(":cut n1 0\r");
    console.wait_for("cut n1");
    console.wait_for("quorum 2/3");
    console.type_keys(":write n2 /shared new\r");
    console.wait_for("set /shared  v1");
    console.type_keys(":write n2 /missed here\r");
    console.wait_for("made /missed");
    console.type_keys(":diff n1 n2\r");
    console.wait_for("2 znodes differ");
    let page = console.text();
    for shown in ["Diff of n1 and n2", "/shared", "both", "new", "/missed", "not there", "write on its way"] {
        assert!(page.contains(shown), "{shown} is missing:\n{page}");
    }
    console.type_keys("\x1b");
    console.wait_until_gone("2 znodes differ");
    console.type_keys("H");
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys(":diff n1 n2\r");
    console.wait_for("The trees are equal");
    console.type_keys("\x1b");
    console.wait_until_gone("The trees are equal");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
    console.assert_nothing_left();
}
