//! A person's own editor at a real terminal: it gets the value and the keys, only its success changes the value, and
//! whatever ends it or the console leaves a sane terminal and nothing behind.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(dead_code, reason = "the support serves other tests too")]

mod support;

use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use support::{Console, free_ports, living_with, wait_until};
use zw_core::client::{Client, ClientError, ClientOptions};

/// A console of one node, whose editor is a script that the test writes when it needs it.
struct Edited {
    console: Console,
    port: u16,
}

impl Edited {
    fn start() -> Edited {
        Edited::with("sh {data}/editor.sh 'two words'")
    }

    fn with(editor: &str) -> Edited {
        let port = free_ports(1);
        let ports = port.to_string();
        let flags = ["--nodes", "1", "--brokers", "0", "--base-port", &ports, "--broker-base-port", "60000"];
        let flags = [&flags[..], &["--data", "{data}", "--segment-bytes", "16777216"]].concat();
        let console = Console::start_as(&flags, &[("EDITOR", editor), ("VISUAL", "")]);
        console.wait_for("HEALTHY  quorum 1/1");
        Edited { console, port }
    }

    /// From now on the editor does this.
    fn script(&self, lines: &str) {
        std::fs::write(self.path("editor.sh"), lines.replace("{data}", self.console.data())).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.console.data()).join(name)
    }

    fn file(&self, name: &str) -> String {
        let path = self.path(name);
        wait_until(name, || std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with('\n')));
        std::fs::read_to_string(path).unwrap()
    }

    /// The value of a znode, if there is one.
    fn value(&self, path: &str) -> Option<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = format!("127.0.0.1:{}", self.port);
        runtime.block_on(async {
            let client = Client::connect(ClientOptions::to([address])).await.unwrap();
            match client.get(path).await {
                Ok((data, _)) => Some(String::from_utf8(data.to_vec()).unwrap()),
                Err(ClientError::Request(_)) => None,
                Err(other) => panic!("{other}"),
            }
        })
    }

    /// Somebody else sets a znode.
    fn set(&self, path: &str, value: &'static str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = format!("127.0.0.1:{}", self.port);
        runtime.block_on(async {
            let client = Client::connect(ClientOptions::to([address])).await.unwrap();
            client.set(path, value, -1).await.unwrap();
        });
    }

    /// A form for `path` with `value`, and the editor on it.
    fn edit(&mut self, path: &str, value: &str) {
        self.console.type_keys(&format!("1W{}\r{value}", &path[1..]));
        self.console.wait_for(value);
        self.console.type_keys("\x18");
    }

    fn is_lent(&self) {
        self.console.wait_for_modes(|modes| !modes.alternate_screen && !modes.mouse && !modes.paste && modes.canonical);
    }

    fn is_back(&self) {
        self.console.wait_for_modes(|modes| {
            modes.alternate_screen && modes.mouse && modes.paste && modes.cursor_hidden && !modes.canonical
        });
    }

    /// The directories of the editor's files that are left.
    fn left(&self) -> usize {
        let files = std::fs::read_dir(self.path("xdg/zw")).into_iter().flatten().flatten();
        files.filter(|file| file.file_name().to_string_lossy().starts_with("edit-")).count()
    }

    fn ends_with(&mut self, code: u32) {
        assert_eq!(self.console.exit_code(), code);
        self.console.assert_nothing_left();
        assert_eq!(self.left(), 0);
    }
}

fn is_gone(pid: &str) {
    let process = PathBuf::from("/proc").join(pid.trim());
    wait_until("the editor goes", || {
        // One that nobody waits for is dead all the same.
        std::fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "))
    });
}

#[test]
fn it_gets_the_value_and_the_keys_and_only_the_form_writes_what_it_made() {
    let mut edited = Edited::start();
    edited.script(
        "printf '%s|%s\\n' \"$1\" \"$(cat \"$2\")\" >{data}/got; stat -c %a \"$2\" \"${2%/*}\" >{data}/rights
         touch \"$2~\"; echo the-editor-is-here; read -r line; printf '%s\\n' \"$line\" >>\"$2\"",
    );
    edited.edit("/x", "first ");
    edited.console.wait_for("the-editor-is-here");
    edited.is_lent();
    assert_eq!(edited.file("got"), "two words|first \n");
    assert_eq!(edited.file("rights"), "600\n700\n");
    // Keys that would act in the console, and a signal that would end it, if it took them.
    edited.console.resize(100, 30);
    edited.console.type_keys("K q:quit\r");
    edited.console.wait_for("first K q:quit");
    edited.is_back();
    edited.console.wait_for("HEALTHY  quorum 1/1");
    assert_eq!(edited.value("/x"), None, "nothing is written before the form is sent");
    assert_eq!(edited.left(), 0);
    edited.console.type_keys("\r");
    edited.console.wait_for("made /x  v0");
    assert_eq!(edited.value("/x").unwrap(), "first K q:quit", "without the end of line that it was not given");
    // From the tree: the data is in the form at once.
    edited.script("sed -i s/first/second/ \"$2\"");
    edited.console.wait_for("1 ch v");
    edited.console.type_keys("4j");
    edited.console.wait_for("first K q:quit");
    edited.console.type_keys("E");
    edited.console.wait_for("second K q:quit");
    assert_eq!(edited.value("/x").unwrap(), "first K q:quit");
    edited.console.type_keys("\r");
    edited.console.wait_for("set /x  v1");
    assert_eq!(edited.value("/x").unwrap(), "second K q:quit");
    edited.console.type_keys("\x03");
    edited.ends_with(0);
}

/// E18.
#[test]
fn an_editor_that_is_killed_or_fails_leaves_the_screen_intact_and_the_value_unchanged() {
    let mut edited = Edited::start();
    // It leaves the terminal as badly as it can.
    edited.script(
        "echo lost >>\"$2\"; stty raw -echo; printf '\\033[?1049h\\033[?1003h\\033[3;5r\\033[?6h\\033[4h garbage'
         echo $$ >{data}/pid; exec sleep 1000",
    );
    edited.edit("/x", "kept value");
    let pid = edited.file("pid");
    edited.console.record();
    kill_process(Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    edited.console.wait_for("ended by signal 9; the value is unchanged");
    edited.is_back();
    let text = edited.console.text();
    assert!(text.contains("kept value") && !text.contains("garbage") && !text.contains("lost"), "{text}");
    assert!(text.contains("HEALTHY  quorum 1/1") && text.contains("Events"), "{text}");
    // Whatever an emulator makes of them, the modes are undone.
    let bytes = String::from_utf8_lossy(&edited.console.recorded()).into_owned();
    for undone in ["\x1b[?1003l", "\x1b[r", "\x1b[?6l", "\x1b[4l"] {
        assert!(bytes.contains(undone), "{undone:?}");
    }
    edited.script("echo lost >>\"$2\"; exit 3");
    edited.console.type_keys("\x18");
    edited.console.wait_for("ended with exit 3; the value is unchanged");
    // It means the editor, not the console.
    edited.script("echo lost >>\"$2\"; echo interrupt-me; exec sleep 1000");
    edited.console.type_keys("\x18");
    edited.console.wait_for("interrupt-me");
    edited.console.type_keys("\x03");
    edited.console.wait_for("ended by signal 2; the value is unchanged");
    edited.is_back();
    edited.script("printf '\\377' >\"$2\"");
    edited.console.type_keys("\x18");
    edited.console.wait_for("no UTF-8 text");
    assert_eq!(edited.left(), 0);
    edited.console.type_keys("\r");
    edited.console.wait_for("made /x  v0");
    assert_eq!(edited.value("/x").unwrap(), "kept value");
    edited.console.type_keys("q");
    edited.ends_with(0);
}

/// What starts an editor often waits for it.
const WRAPPED: &str = "sh {data}/inner.sh; :";

impl Edited {
    /// Behind a wrapper, an editor that has to be killed; gives its pid.
    fn edit_stubbornly(&mut self, then: &str) -> String {
        self.script(WRAPPED);
        let inner =
            format!("trap '' HUP TERM INT; echo $$ >{{data}}/pid; {then}").replace("{data}", self.console.data());
        std::fs::write(self.path("inner.sh"), inner).unwrap();
        self.edit("/x", "value");
        self.file("pid")
    }
}

#[test]
fn whatever_ends_the_console_ends_its_editor_too() {
    let raw = "stty raw -echo; sleep 1000; :";
    let mut edited = Edited::start();
    let pid = edited.edit_stubbornly(raw);
    kill_process(edited.console.pid(), Signal::TERM).unwrap();
    edited.ends_with(128 + 15);
    is_gone(&pid);

    let mut edited = Edited::start();
    // What reads the terminal here lets go of it when something comes.
    let pid = edited.edit_stubbornly("while :; do echo tick; sleep 0.1; done");
    edited.console.hang_up();
    assert_eq!(edited.console.exit_code(), 129);
    is_gone(&pid);
    assert_eq!((edited.left(), living_with(edited.console.data())), (0, Vec::new()));

    let mut edited = Edited::start();
    let pid = edited.edit_stubbornly(raw);
    kill_process(edited.console.pid(), Signal::KILL).unwrap();
    edited.console.exit_code();
    is_gone(&pid);
}

#[test]
fn what_was_read_is_not_written_over_somebody_else() {
    let mut edited = Edited::start();
    edited.script("echo editor-has-it; read -r line; printf '%s' \"$line\" >\"$2\"");
    edited.console.type_keys("1Wx\rmine\r");
    edited.console.wait_for("made /x  v0");
    edited.console.wait_for("1 ch v");
    edited.console.type_keys("4j");
    edited.console.wait_for("mine");
    edited.console.type_keys("E");
    edited.console.wait_for("editor-has-it");
    edited.set("/x", "theirs");
    edited.console.type_keys("edited\r");
    edited.console.wait_for("only if it is still v0");
    edited.console.wait_for("--version 0");
    edited.console.type_keys("\r");
    edited.console.wait_for("it is not v0 any more");
    edited.console.wait_for("your text is kept here");
    assert_eq!(edited.value("/x").unwrap(), "theirs");
    assert!(edited.console.text().contains("edited"), "{}", edited.console.text());
}

#[test]
fn a_missing_editor_is_said_in_the_form_and_the_terminal_stays() {
    let mut edited = Edited::with("no-such-editor --wait");
    edited.console.type_keys("1Wx\rvalue");
    edited.console.wait_for("value");
    // What was typed ahead for the editor neither changes the form nor sends it.
    edited.console.type_keys("\x18ahead\r");
    edited.console.wait_for("there is no program \"no-such-editor\": set EDITOR");
    edited.is_back();
    assert!(!edited.console.text().contains("ahead"), "{}", edited.console.text());
    edited.console.type_keys("\x1b");
    edited.console.wait_until_gone("no-such-editor");
    assert_eq!(edited.value("/x"), None);
    edited.console.type_keys("q");
    edited.ends_with(0);
}
