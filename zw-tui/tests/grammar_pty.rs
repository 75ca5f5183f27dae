//! The grammar at the real keyboard, with real nodes: what is typed by accident changes nothing, bursts are whole, and
//! writes and deletions do what they say.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(dead_code, reason = "the support serves other tests too")]

mod support;

use std::time::{Duration, Instant};
use support::{Console, free_ports, living_with};
use zw_core::client::{Client, ClientOptions};

/// Far more than is ever needed: it only ends a test that has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// The digest of the selected node's tree, from its page.
fn digest(console: &mut Console) -> String {
    console.type_keys("1d");
    // The root, what the broker makes of itself and for its clients, and /x.
    console.wait_for("7 znodes");
    let text = console.text();
    let digest = text.split("digest ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    console.type_keys("d");
    console.wait_until_gone("digest ");
    digest
}

#[test]
fn nothing_in_lower_case_changes_anything_in_any_pane() {
    let mut console = Console::start(3, 1);
    console.wait_for("HEALTHY  quorum 3/3");
    console.wait_for("b1 ");
    console.type_keys(":write /x y\r");
    console.wait_for("made /x");
    // The broker has registered itself: from now on nobody writes.
    console.wait_for("1 ch v");
    console.wait_for("5 ch v");
    let mut pids = living_with(console.data());
    pids.sort_unstable();
    let before = digest(&mut console);
    for pane in '1'..='8' {
        // All but q, which leaves, and the keys that take a text, which come below.
        console.type_keys(&format!("{pane}abcdefghijklmnoprstuvwxyz"));
        console.type_keys(&format!("{pane} .,;'\"-=_+[]{{}}<>|\\@#$%^&*()~`"));
        console.type_keys(&format!("{pane}!"));
        console.wait_for(" Why ");
        // Not those that open something else in its place; the last two are one chord, so q is not a part of one.
        console.type_keys("abcfghijklmnprstuvwxyzq");
        console.wait_until_gone(" Why ");
        console.type_keys("?kill");
        console.wait_for("search: kill");
        console.type_keys("\x1b");
        console.wait_until_gone("search: ");
        console.type_keys(":kill n1");
        console.wait_for(":kill n1");
        console.type_keys("\x1b");
        console.wait_until_gone(":kill n1");
    }
    // Some of them led into the past.
    console.type_keys(".");
    assert_eq!(digest(&mut console), before);
    let mut now = living_with(console.data());
    now.sort_unstable();
    assert_eq!(now, pids);
    console.type_keys(":faults\r");
    console.wait_for("None yet.");
    console.type_keys("\x1b");
    console.wait_until_gone("None yet.");
    console.wait_for("HEALTHY  quorum 3/3");
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn bursts_of_keys_and_a_large_paste_are_whole() {
    let base = free_ports(1);
    let mut console = Console::start_at(base, 1, 0);
    console.wait_for("HEALTHY  quorum 1/1");
    console.type_keys(":write --sequence --count 600 /s x\r");
    console.wait_for("600 writes, the last: made /s0000000599");
    console.wait_for("600 ch");
    console.type_keys("4g");
    console.type_keys(&"j".repeat(500));
    console.wait_for("/s0000000499 ");
    console.type_keys("k");
    console.wait_for("/s0000000498 ");
    console.type_keys("/59\r");
    console.wait_for("/59  16 of ");
    console.type_keys("\x1b");
    console.wait_until_gone("/59  16 of ");
    let text: String = "K y D\nq P\n".chars().cycle().take(64 * 1_024).collect();
    console.type_keys("1Wbig\r");
    console.wait_for("value ");
    console.type_keys(&format!("\x1b[200~{text}\x1b[201~"));
    console.wait_for("q P");
    console.type_keys("\r");
    console.wait_for("made /big  v0");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let data = runtime.block_on(async {
        let client = Client::connect(ClientOptions::to([format!("127.0.0.1:{base}")])).await.unwrap();
        client.get("/big").await.unwrap().0
    });
    assert_eq!(data, text.into_bytes());
    console.type_keys("q");
    assert_eq!(console.exit_code(), 0);
}

#[test]
fn a_subtree_is_deleted_when_it_is_confirmed_and_ephemerals_go_with_the_console() {
    let mut console = Console::start(1, 0);
    console.wait_for("HEALTHY  quorum 1/1");
    console.type_keys(":write /q x\r");
    console.wait_for("made /q");
    console.type_keys(":write --sequence --count 12 /q/t x\r");
    console.wait_for("12 writes, the last");
    console.type_keys(":write /q/t0000000003/deep x\r");
    console.wait_for("made /q/t0000000003/deep");
    console.type_keys(":write -e /here x\r");
    console.wait_for("made /here");
    console.type_keys("4G");
    console.wait_for(" eph ");
    console.type_keys(":delete /q\r");
    console.wait_for("This deletes /q and the 13 znodes below it through n1.");
    // Early answers do nothing, so it is answered until it is taken.
    let end = Instant::now() + DEADLINE;
    while !console.text().contains("deleted /q, 14 znodes") {
        assert!(Instant::now() < end, "{}", console.text());
        console.type_keys("y");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The last y may wait for a second key.
    console.type_keys("\x03");
    assert_eq!(console.exit_code(), 0);
}
