//! Every verb of `zw` against real nodes: what it prints, its JSON, its exit codes.

#![allow(clippy::unwrap_used, reason = "a test ends at what is wrong")]

mod cluster;

use cluster::{Cluster, PATIENCE, free_ports, wait_for, write_file, zw, zw_command};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

#[test]
fn the_verbs_of_znodes() {
    let cluster = Cluster::start(1);
    assert_eq!(cluster.text(&["create", "/goals", "0-0"]), "/goals\n");
    assert_eq!(cluster.text(&["get", "/goals"]), "0-0", "a pipe gets the bytes and nothing else");
    assert!(cluster.text(&["get", "-s", "/goals"]).starts_with("0-0\n"), "a Stat begins a line");
    assert_eq!(cluster.json(&["set", "/goals", "1-0"])["stat"]["version"], 1);
    let got = cluster.json(&["get", "/goals"]);
    assert_eq!((&got["data"], &got["stat"]["data_length"]), (&json!("1-0"), &json!(3)));
    assert!(got["stat"]["mzxid"].as_u64() > got["stat"]["czxid"].as_u64());
    assert_eq!(cluster.text(&["create", "-s", "/goals/g-"]), "/goals/g-0000000000\n");
    assert_eq!(cluster.json(&["create", "-s", "/goals/g-", "x"])["path"], "/goals/g-0000000001");
    assert_eq!(cluster.text(&["create", "-p", "/a/b/c", ""]), "/a/b/c\n");
    assert_eq!(cluster.text(&["ls", "/goals"]), "g-0000000000\ng-0000000001\n");
    assert_eq!(cluster.json(&["ls", "/a"]), json!(["b"]));
    assert_eq!(cluster.text(&["ls", "-R", "/a"]), "/a/b\n/a/b/c\n");
    assert_eq!(cluster.json(&["stat", "/goals"])["num_children"], 2);
    assert!(cluster.text(&["stat", "/goals"]).contains("children         2\n"));
    assert!(cluster.json(&["sync"])["zxid"].as_u64().unwrap() > 0);
    assert_eq!(cluster.json(&["delete", "-r", "/a"])["deleted"], 3);
    assert_eq!(cluster.text(&["delete", "/goals/g-0000000000"]), "deleted\n");
    assert!(cluster.json(&["snapshot"])[0]["zxid"].as_u64().unwrap() > 0);
}

#[test]
fn exit_codes_and_reasons() {
    let cluster = Cluster::start(1);
    let refused = |arguments: &[&str], reason: &str| {
        let (code, error) = cluster.fails(arguments);
        assert!(code == 1 && error.contains(reason), "{arguments:?}: {code} {error}");
    };
    refused(&["get", "/none"], "/none");
    refused(&["stat", "/none"], "no such znode");
    refused(&["delete", "/none"], "/none");
    refused(&["delete", "-r", "/none"], "/none");
    refused(&["create", "/none/x"], "/none");
    refused(&["create", "no-slash"], "path");
    refused(&["get", "/a//b"], "has an empty name");
    refused(&["stat", "/a/"], "must not end with a slash");
    refused(&["ls", "/a/"], "must not end with a slash");
    refused(&["delete", "/a/"], "must not end with a slash");
    refused(&["create", "-p", "/parent//child"], "has an empty name");
    refused(&["stat", "/parent"], "no such znode");
    cluster.text(&["create", "/a", "0"]);
    cluster.text(&["create", "/a/b"]);
    refused(&["create", "/a"], "exists");
    refused(&["set", "/a", "1", "--version", "7"], "version");
    refused(&["delete", "/a"], "children");
    for usage in
        [&["frobnicate"][..], &["get"], &["set", "/a"], &["set", "/a", "x", "--version", "-2"], &["multi", "/no/file"]]
    {
        assert_eq!(cluster.fails(usage).0, 2, "{usage:?}");
    }
    let (code, error) = cluster.fails(&["--servers", "nonsense", "get", "/a"]);
    assert!(code == 2 && error.contains("nonsense"), "{error}");
    let nobody = format!("127.0.0.1:{}", free_ports(1)[0]);
    for verb in [&["get", "/a"][..], &["status"], &["metadata"], &["snapshot"], &["load"]] {
        let output = zw(&nobody, &[&["--timeout", "300ms"], verb].concat());
        let error = String::from_utf8(output.stderr).unwrap();
        let helps = error.contains(&nobody) && error.contains("--servers") && error.contains("ZW_SERVERS");
        assert!(output.status.code() == Some(1) && helps, "{verb:?}: {error}");
    }
}

#[test]
fn errors_are_json_for_who_asks_for_json() {
    let cluster = Cluster::start(1);
    for (arguments, kind, code) in [
        (&["get", "/none"][..], "no_node", 1),
        (&["stat", "/none"], "no_node", 1),
        (&["get", "/none/"], "invalid_path", 1),
        (&["set", "/", "x", "--version", "7"], "bad_version", 1),
        (&["delete", "-r", "/"], "usage", 2),
        (&["frobnicate"], "usage", 2),
        (&["get"], "usage", 2),
        (&["--timeout", "x", "sync"], "usage", 2),
        (&["--servers", "nonsense", "sync"], "usage", 2),
    ] {
        let (exit, error) = cluster.fails(&[arguments, &["--json"]].concat());
        let error: Value = serde_json::from_str(&error).unwrap_or_else(|_| panic!("{arguments:?}: {error}"));
        assert_eq!((exit, &error["kind"], &error["exit_code"]), (code, &json!(kind), &json!(code)), "{error}");
        assert!(error["error"].as_str().is_some_and(|text| !text.is_empty() && !text.contains('\n')), "{error}");
    }
}

#[test]
fn the_whole_tree_goes_only_on_demand() {
    let cluster = Cluster::start(1);
    cluster.text(&["create", "-p", "/a/b"]);
    let (code, error) = cluster.fails(&["delete", "-r", "/"]);
    assert!(code == 2 && error.contains("--yes"), "{error}");
    assert_eq!(cluster.text(&["ls"]), "a\n");
    assert_eq!(cluster.text(&["delete", "-r", "/", "--yes"]), "deleted 2 znodes\n");
    assert_eq!(cluster.text(&["ls"]), "");
}

#[test]
fn programs_tell_wrong_flags_from_what_the_machine_refuses() {
    let port = free_ports(1)[0].to_string();
    let run = |program: &str, flags: &[&str]| {
        let output = Command::new(program).args(["--port", &port]).args(flags).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let dir = tempfile::tempdir().unwrap();
    let file = write_file(dir.path(), "file", "");
    let (node, broker) = (env!("CARGO_BIN_EXE_zw-node"), env!("CARGO_BIN_EXE_zw-broker"));
    for (program, flags, code, help) in [
        (node, ["--ensemble", "nonsense"], 2, "HOST:PORT"),
        (node, ["--ensemble", "a:1"], 2, "--ensemble"),
        (node, ["--log-level", "a=b=c"], 2, "info"),
        (node, ["--log-level", "loud"], 2, "use error, warn, info, debug or trace"),
        (node, ["--advertise", "127.0.0.1:1"], 2, "leave --port out"),
        (node, ["--heartbeat", "x"], 2, "for example 500ms"),
        (node, ["--data", &file], 1, "--data"),
        (broker, ["--servers", "nonsense"], 2, "HOST:PORT"),
        (broker, ["--log-level", "a=b=c"], 2, "info"),
        (broker, ["--log-level", "loud"], 2, "use error, warn, info, debug or trace"),
        (broker, ["--data", &file], 1, "--data"),
    ] {
        let (exit, error) = run(program, &flags);
        assert!(exit == code && error.contains(help), "{flags:?}: {exit} {error}");
        assert!(!error.contains('\u{1b}'), "no colours outside a terminal: {error:?}");
    }
}

#[test]
fn load_without_a_quorum_says_so_and_ends() {
    let mut cluster = Cluster::start(3);
    cluster.kill_node(0);
    cluster.kill_node(1);
    let begin = Instant::now();
    let output = cluster.zw(&["load", "--secs", "0.5", "--json"]);
    assert!(begin.elapsed() < PATIENCE / 2, "a short run waits a short time: {:?}", begin.elapsed());
    assert_eq!(output.status.code(), Some(1));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["ops"], &result["lost"]), (&json!(0), &Value::Null), "{result}");
    let told: Vec<Value> = output
        .stderr
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let [note, error] = told.as_slice() else { panic!("{told:?}") };
    let gone = format!("127.0.0.1:{}", cluster.ports[0]);
    for text in [&note["note"], &error["error"], &result["reason"]] {
        let text = text.as_str().unwrap();
        assert!(text.contains("no leader") && text.contains("2 of 3 members unreachable"), "{text}");
        assert!(text.contains(&gone), "{text}");
    }
}

#[test]
fn load_on_a_target_that_is_silent_names_it_and_leaves_nothing() {
    let cluster = Cluster::start(1);
    let nobody = format!("127.0.0.1:{}", free_ports(1)[0]);
    let begin = Instant::now();
    let (code, error) = cluster.fails(&["load", "--target", &nobody, "--secs", "60"]);
    assert!(begin.elapsed() < PATIENCE / 2, "it need not run for its whole time: {:?}", begin.elapsed());
    assert!(code == 1 && error.contains(&format!("the target {nobody} does not answer")), "{code} {error}");
    assert_eq!(cluster.text(&["ls", "-R", "/"]), "");
    // One that takes connections, and not a word more.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let (code, error) = cluster.fails(&["load", "--target", &address, "--secs", "60"]);
    assert!(code == 1 && error.contains(&address), "{code} {error}");
    assert_eq!(cluster.text(&["ls", "-R", "/"]), "");
}

#[test]
fn a_session_without_a_quorum_is_refused_with_the_quorums_reason() {
    let mut cluster = Cluster::start(3);
    cluster.kill_node(0);
    cluster.kill_node(1);
    let begin = Instant::now();
    let (code, error) = cluster.fails(&["create", "-e", "/a", "--json", "--timeout", "60s"]);
    assert!(begin.elapsed() < PATIENCE / 2, "it need not wait for its own timeout: {:?}", begin.elapsed());
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!((code, &error["kind"]), (1, &json!("no_quorum")), "{error}");
    assert!(error["error"].as_str().unwrap().contains("no leader with a quorum"), "{error}");
}

#[test]
fn a_multi_is_done_whole_or_names_the_line() {
    let cluster = Cluster::start(1);
    let file =
        write_file(cluster.dir.path(), "good", "# two\ncreate /m \"a b\"\ncreate /m/x\nset /m c 0\ncheck /m 1\n");
    assert_eq!(cluster.text(&["multi", &file]), "4 operations done\n");
    assert_eq!(cluster.text(&["get", "/m"]), "c");
    let file = write_file(cluster.dir.path(), "late", "create /n\n\ndelete /m/x\ncheck /m 9\n");
    let (code, error) = cluster.fails(&["multi", &file]);
    assert!(code == 1 && error.contains("line 4: ") && !error.contains("operation"), "{error}");
    let (code, error) = cluster.fails(&["multi", &file, "--json"]);
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!((code, &error["line"], &error["operation_index"]), (1, &json!(4), &json!(2)), "{error}");
    assert_eq!(error["kind"], "multi_failed");
    assert_eq!(cluster.fails(&["stat", "/n"]).0, 1, "nothing of it was done");
    let file = write_file(cluster.dir.path(), "wrong", "create /n\nfrobnicate /m\n");
    let (code, error) = cluster.fails(&["multi", &file]);
    assert!(code == 2 && error.contains("line 2"), "{error}");
}

#[test]
fn data_comes_from_standard_input_and_binary_is_kept() {
    let cluster = Cluster::start(1);
    let mut child = zw_command(&cluster.servers, &["create", "/bin", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"\x00\xff\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(cluster.zw(&["get", "/bin"]).stdout, b"\x00\xff\n");
    assert_eq!(cluster.json(&["get", "/bin"])["data_hex"], "00ff0a");
}

#[test]
fn a_watch_prints_changes_and_an_ephemeral_goes_with_its_session() {
    let cluster = Cluster::start(1);
    let mut watch = zw_command(&cluster.servers, &["watch", "-R", "/w", "-n", "4", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    BufReader::new(watch.stderr.as_mut().unwrap()).read_line(&mut told).unwrap();
    assert!(told.contains("watching /w"), "{told}");
    cluster.text(&["create", "/w"]);
    cluster.text(&["create", "-e", "/w/alive", "--hold", "50ms"]);
    cluster.text(&["set", "/w", "x"]);
    let output = watch.wait_with_output().unwrap();
    let events: Vec<Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let told: Vec<(&str, &str)> =
        events.iter().map(|event| (event["event"].as_str().unwrap(), event["path"].as_str().unwrap())).collect();
    assert_eq!(told, [("created", "/w"), ("created", "/w/alive"), ("deleted", "/w/alive"), ("changed", "/w")]);
    assert!(events.windows(2).all(|pair| pair[0]["zxid"].as_u64() < pair[1]["zxid"].as_u64()), "{events:?}");
}

#[test]
fn many_children_are_listed_in_pages() {
    let cluster = Cluster::start(1);
    let many = 25_000;
    let load =
        cluster.json(&["load", "--create", "--keep", "--clients", "1", "--inflight", "256", "--writes", "25000"]);
    assert_eq!((&load["writes"], &load["lost"]), (&json!(many), &json!(0)), "{load}");
    let run = cluster.json(&["ls", "/zw-load"])[0].as_str().unwrap().to_owned();
    let listed = cluster.text(&["ls", &format!("/zw-load/{run}/c0")]);
    assert_eq!(listed.lines().count(), many);
    assert!(listed.lines().is_sorted());
    assert_eq!(cluster.text(&["ls", "-R", "/zw-load"]).lines().count(), many + 2);
    assert_eq!(cluster.json(&["delete", "-r", "/zw-load"])["deleted"], many + 3);
}

#[test]
fn status_check_and_kill_leader_see_every_node() {
    let mut cluster = Cluster::start(3);
    let status = cluster.status();
    for field in [
        "address",
        "id",
        "role",
        "epoch",
        "last_zxid",
        "committed_zxid",
        "leader",
        "sessions",
        "watches",
        "znodes",
        "rss_bytes",
        "uptime_ms",
        "digest",
    ] {
        assert!(status.iter().all(|node| !node[field].is_null()), "{field}: {status:?}");
    }
    assert_eq!(status.iter().map(|node| node["id"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    cluster.text(&["create", "/x"]);
    let check = cluster.json(&["check"]);
    assert_eq!((&check["agree"], check["nodes"].as_array().unwrap().len()), (&json!(true), 3));

    let killed = cluster.json(&["kill-leader"]);
    let address = killed["address"].as_str().unwrap();
    let index = cluster.node_of_port(address.rsplit(':').next().unwrap().parse().unwrap());
    cluster.kill_node(index);
    cluster.wait_until_whole();
    let status = cluster.status();
    assert_eq!((&status[index]["role"], &status[index]["epoch"]), (&json!("unreachable"), &Value::Null));
    assert!(cluster.text(&["status"]).contains("unreachable"));
    let check = cluster.zw(&["check", "--json"]);
    let told = String::from_utf8(check.stderr).unwrap();
    assert!(told.contains("1 of 3 members unreachable") && told.contains(address), "{told}");
    let check: Value = serde_json::from_slice(&check.stdout).unwrap();
    let expected = (&json!(true), &json!([address]));
    assert_eq!((&check["agree"], &check["unreachable"]), expected, "of the nodes that were reached");
    cluster.start_node(index);
    cluster.wait_until_whole();
    let check = cluster.json(&["check"]);
    assert!(check["nodes"].as_array().unwrap().iter().all(|node| node["zxid"] == check["zxid"]), "{check}");
    let rows = cluster.json(&["metadata"]);
    assert_eq!((&rows[0]["NodeId"], &rows[0]["ParentId"]), (&json!(1), &json!(0)));
}

#[test]
fn load_measures_and_loses_nothing_when_the_leader_is_killed() {
    let mut cluster = Cluster::start(3);
    let load = cluster.json(&["load", "--clients", "4", "--inflight", "4", "--writes", "2000", "--read-percent", "50"]);
    for field in
        ["ops", "errors", "unknown", "lost", "ops_per_s", "p50_ms", "p95_ms", "p99_ms", "max_ms", "longest_gap_ms"]
    {
        assert!(load[field].is_number(), "{field}: {load}");
    }
    assert_eq!((&load["ops"], &load["lost"]), (&json!(2000), &json!(0)));
    assert!(load["reads"].as_u64() > Some(0) && load["writes"].as_u64() > Some(0), "{load}");
    for target in ["leader", "followers", "random", cluster.servers.split(',').next().unwrap()] {
        let load = cluster.json(&["load", "--clients", "2", "--writes", "100", "--target", target]);
        assert_eq!((&load["ops"], &load["lost"]), (&json!(100), &json!(0)), "{target}");
    }

    let running =
        zw_command(&cluster.servers, &["load", "--json", "--clients", "3", "--inflight", "4", "--secs", "600"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    for _ in 0..2 {
        let before = cluster.status()[0]["committed_zxid"].as_u64();
        wait_for("writes go on", || cluster.status()[0]["committed_zxid"].as_u64() > before);
        let killed = cluster.json(&["kill-leader"]);
        let port = killed["address"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        let index = cluster.node_of_port(port);
        cluster.kill_node(index);
        cluster.wait_until_whole();
        cluster.start_node(index);
        cluster.wait_until_whole();
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = running.wait_with_output().unwrap();
    let load: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &load["lost"]), (Some(0), &json!(0)), "{load}");
    assert!(load["reconnects"].as_u64() > Some(0), "{load}");
    assert_eq!(cluster.json(&["check"])["agree"], true);
}
