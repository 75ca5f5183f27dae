//! The verbs of a scenario: what each command line does to the stage. `main.rs` lists them.

use crate::expect;
use crate::stage::{Packet, Stage};
use crate::table;
use crate::witness;
use crate::words;
use bytes::Bytes;
use zw_core::ids::{NodeId, SessionId};
use zw_core::tree::command::{CloseSession, Command, CreateMode, Envelope, OpenSession};
use zw_core::zab::Limits;
use zw_core::zab::effects::{Input, Proposal, Role};
use zw_core::zab::message::Message;

/// The longest that `until` and `elect` wait.
const PATIENCE_MS: u64 = 5_000;

type Done = Result<(), String>;

/// Runs one command line. What happened is in the stage's `lines`.
pub(crate) fn run(stage: &mut Option<Stage>, line: &str) -> Done {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some((verb, rest)) = words.split_first() else { return Err("a command is wanted".into()) };
    if *verb == "nodes" {
        *stage = Some(set_up(rest)?);
        return stage.as_mut().map_or(Ok(()), Stage::settle);
    }
    let stage = stage.as_mut().ok_or("a scenario begins with: nodes N")?;
    match *verb {
        "expect" => return expect::run(stage, rest),
        "show" => table::show(stage),
        "tree" => show_tree(stage, node(rest)?)?,
        "mark" => {
            stage.sent.clear();
            stage.closed.clear();
        }
        "join" => pairs(rest)?.into_iter().for_each(|(a, b)| stage.join(a, b)),
        "cut" => pairs(rest)?.into_iter().for_each(|(a, b)| {
            stage.disconnect(a, b);
            stage.link(a, b).cut = true;
        }),
        "hold" => ways(rest)?.into_iter().for_each(|(from, to)| stage.wire(from, to).held = true),
        "release" => ways(rest)?.into_iter().for_each(|(from, to)| stage.wire(from, to).held = false),
        "deliver" => deliver(stage, rest)?,
        "inject" => inject(stage, rest)?,
        "slow-disk" | "fast-disk" => slow_disk(stage, rest, *verb == "slow-disk")?,
        "sync" => sync(stage, rest)?,
        "slow-fetch" => stage.node(node(rest)?)?.slow_fetch = true,
        "fetch" => fetch(stage, rest)?,
        "snapshot" => snapshot(stage, node(rest)?)?,
        "crash" => crash(stage, rest)?,
        "restart" => restart(stage, rest)?,
        "pause" => stage.node(node(rest)?)?.paused = true,
        "resume" => stage.node(node(rest)?)?.paused = false,
        "pass" => pass(stage, rest)?,
        "until" => until(stage, rest)?,
        "elect" => elect(stage, node(rest)?)?,
        "propose" | "barrier" | "session" | "create-ephemeral" | "close-session" => client(stage, verb, rest)?,
        other => return Err(format!("no such verb: {other}")),
    }
    stage.settle()
}

fn set_up(words: &[&str]) -> Result<Stage, String> {
    let mut limits = Limits::default();
    let size = number(words.first())?;
    let mut apart = false;
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        match *word {
            "apart" => apart = true,
            "counter-max" => limits.counter_max = number(rest.next())?,
            "window" => limits.window_records = number(rest.next())?,
            "retained-log" => limits.retained_log_bytes = number(rest.next())?,
            "pinned-log" => limits.pinned_log_bytes = number(rest.next())?,
            "commands" => limits.uncommitted_commands = number(rest.next())?,
            other => return Err(format!("no such property of a stage: {other}")),
        }
    }
    let mut stage = Stage::new(size, limits)?;
    stage.quiet = true;
    stage.settle()?;
    if !apart {
        let ids: Vec<NodeId> = stage.nodes.keys().copied().collect();
        ids.into_iter().for_each(|id| stage.connect_with_all(id));
        stage.settle()?;
    }
    stage.quiet = false;
    Ok(stage)
}

pub(crate) fn number<T: std::str::FromStr>(word: Option<&&str>) -> Result<T, String> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| format!("a number is wanted, not {word:?}"))
}

pub(crate) fn node(words: &[&str]) -> Result<NodeId, String> {
    number(words.first()).map(NodeId)
}

pub(crate) fn nodes(words: &[&str]) -> Result<Vec<NodeId>, String> {
    words.iter().map(|word| node(&[word])).collect()
}

/// `1->2`.
pub(crate) fn way(word: &str) -> Result<(NodeId, NodeId), String> {
    let (from, to) = word.split_once("->").ok_or_else(|| format!("{word:?} is no way such as 1->2"))?;
    Ok((node(&[from])?, node(&[to])?))
}

fn ways(words: &[&str]) -> Result<Vec<(NodeId, NodeId)>, String> {
    words.iter().map(|word| way(word)).collect()
}

/// All pairs of the nodes named; with `from`, only those of the first with each other.
fn pairs(words: &[&str]) -> Result<Vec<(NodeId, NodeId)>, String> {
    let mut found = Vec::new();
    if let Some(at) = words.iter().position(|word| *word == "from") {
        for a in nodes(&words[..at])? {
            found.extend(nodes(&words[at + 1..])?.into_iter().map(|b| (a, b)));
        }
        return Ok(found);
    }
    let nodes = nodes(words)?;
    for (index, a) in nodes.iter().enumerate() {
        found.extend(nodes[index + 1..].iter().map(|b| (*a, *b)));
    }
    Ok(found)
}

/// `deliver 1->2`, `deliver 1->2 3`, or `deliver 1->2 Append`: all up to the next that begins so.
fn deliver(stage: &mut Stage, words: &[&str]) -> Done {
    let (from, to) = way(words.first().ok_or("which way?")?)?;
    let wanted = words[1..].join(" ");
    let by_kind = wanted.starts_with(char::is_alphabetic);
    let count: usize = if wanted.is_empty() || by_kind { 1 } else { number(words.get(1))? };
    let mut delivered = 0;
    while delivered < count {
        let packet = stage.wire(from, to).queue.front().map(|(_, _, packet)| packet.clone());
        let text = match packet.ok_or_else(|| format!("nothing more is on its way from {from} to {to}"))? {
            Packet::Message(message) => words::message(&message, &|payload| stage.label(payload)),
            Packet::End => "that the link is closed".into(),
        };
        stage.print(format!("{to} hears {text}"));
        stage.arrive(from, to)?;
        stage.settle()?;
        delivered += usize::from(!by_kind || text.starts_with(&wanted));
    }
    Ok(())
}

fn inject(stage: &mut Stage, words: &[&str]) -> Done {
    let (from, to) = way(words.first().ok_or("which way?")?)?;
    let link = stage.link(from, to).id.ok_or("they are not connected")?;
    let short = words.ends_with(&["cut", "short"]);
    let end = if short { words.len() - 2 } else { words.len() };
    let known = |zxid| stage.zab(from).ok()?.log_entries().find(|entry| entry.zxid() == zxid).cloned();
    let message = words::parse(&words[1..end], &known)?;
    if short {
        return cut_short(stage, from, to, &message);
    }
    stage.step(to, Input::Message { peer: from, link, message })
}

/// Every proper beginning of the message's frame is refused by the decoder. A runtime closes the link then.
fn cut_short(stage: &mut Stage, from: NodeId, to: NodeId, message: &Message) -> Done {
    let mut frame = Vec::new();
    message.encode_frame(&mut frame);
    for length in 0..frame.len() {
        if let Ok(read) = Message::decode_frame(&frame[..length]) {
            return Err(format!("{length} of {} bytes were taken for {read:?}", frame.len()));
        }
    }
    stage.print(format!("{to} can read none of the shorter frames and closes the link to {from}"));
    stage.disconnect(from, to);
    stage.closed.push((to, from));
    Ok(())
}

fn slow_disk(stage: &mut Stage, words: &[&str], slow: bool) -> Done {
    for id in nodes(words)? {
        stage.node(id)?.disk.slow = slow;
        if !slow {
            stage.sync(id, usize::MAX, true)?;
        }
    }
    Ok(())
}

/// `sync 2`, `sync 2 1 record`, `sync 2 2 records`, each with `unreported` at the end or not.
fn sync(stage: &mut Stage, words: &[&str]) -> Done {
    let id = node(words)?;
    let report = !words.contains(&"unreported");
    let count = if words.iter().any(|word| word.starts_with("record")) { number(words.get(1))? } else { usize::MAX };
    stage.sync(id, count, report)
}

/// `fetch 2`, or `fetch 2 cut anywhere`: each beginning of the stream in turn.
fn fetch(stage: &mut Stage, words: &[&str]) -> Done {
    let id = node(words)?;
    if words.get(1..) != Some(&["cut", "anywhere"]) {
        return stage.fetch(id, None);
    }
    let Some((_, peer, _)) = stage.node(id)?.fetching else { return Err(format!("{id} fetches nothing")) };
    let whole = words::snapshot_bytes(&stage.node(peer)?.state.tree);
    for length in 0..whole.len() {
        if words::read_snapshot(&whole[..length]).is_ok() {
            return Err(format!("{length} of {} bytes were taken for a snapshot", whole.len()));
        }
    }
    stage.print(format!("{id} can use none of the shorter streams"));
    stage.fetch(id, Some(whole.len() - 1))
}

fn snapshot(stage: &mut Stage, id: NodeId) -> Done {
    let node = stage.node(id)?;
    let snapshot = node.disk.put_file(node.state.clone());
    stage.print(format!("{id} has the file of snapshot {} on disk", snapshot.zxid));
    stage.queue_input(id, Input::SnapshotTaken { snapshot });
    Ok(())
}

fn crash(stage: &mut Stage, words: &[&str]) -> Done {
    for id in nodes(words)? {
        let others: Vec<NodeId> = stage.nodes.keys().copied().filter(|other| *other != id).collect();
        others.into_iter().for_each(|other| stage.disconnect(id, other));
        stage.node(id)?.crash();
    }
    Ok(())
}

fn restart(stage: &mut Stage, words: &[&str]) -> Done {
    for id in nodes(words)? {
        if stage.zab(id).is_ok() {
            return Err(format!("{id} runs"));
        }
        let log = words::zxids(&stage.nodes[&id].disk.durable.entries);
        stage.print(format!("{id} finds {log}"));
        stage.start(id)?;
        stage.connect_with_all(id);
        stage.settle()?;
    }
    Ok(())
}

fn milliseconds(words: &[&str]) -> Result<u64, String> {
    let word = words.first().ok_or("how long?")?;
    let (digits, scale) = match (word.strip_suffix("ms"), word.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (_, Some(digits)) => (digits, 1_000),
        _ => return Err(format!("{word:?} is no time such as 500ms or 2s")),
    };
    number(Some(&digits)).map(|number: u64| number * scale)
}

fn pass(stage: &mut Stage, words: &[&str]) -> Done {
    let duration = milliseconds(words)?;
    stage.terse = true;
    for _ in 0..duration {
        stage.pass_millisecond()?;
    }
    stage.terse = false;
    Ok(())
}

fn wait(stage: &mut Stage, what: &str, done: impl Fn(&Stage) -> bool) -> Done {
    stage.terse = true;
    stage.settle()?;
    for _ in 0..PATIENCE_MS {
        if done(stage) {
            stage.terse = false;
            return Ok(());
        }
        stage.pass_millisecond()?;
    }
    table::show(stage);
    Err(format!("not within {PATIENCE_MS} ms: {what}"))
}

/// `until 2 leads`, `until 2 looks`, `until 1 follows 2`, `until 2 is elected`.
fn until(stage: &mut Stage, words: &[&str]) -> Done {
    let id = node(words)?;
    let leader = words.get(2).filter(|word| **word != "elected").map(|word| node(&[word])).transpose()?;
    let role = match words.get(1) {
        Some(&"leads") => Role::Leading,
        Some(&"follows") => Role::Following,
        Some(&"looks") => Role::Looking,
        Some(&"joins") => Role::Syncing,
        Some(&"is") => Role::Discovering,
        _ => return Err("until a node leads, follows, joins or looks".into()),
    };
    wait(stage, &words.join(" "), |stage| {
        stage.zab(id).is_ok_and(|zab| zab.role() == role && (leader.is_none() || zab.leader() == leader))
    })
}

/// Time and messages until `id` leads and all that run and are not cut from it follow; told in one line.
fn elect(stage: &mut Stage, id: NodeId) -> Done {
    let followers = |stage: &Stage| -> Vec<NodeId> {
        let linked = |other: &NodeId| {
            if *other == id {
                return false;
            }
            let pair = (id.min(*other), id.max(*other));
            stage.links.get(&pair).is_none_or(|link| !link.cut)
        };
        stage.nodes.keys().copied().filter(|other| linked(other) && stage.nodes[other].is_awake()).collect()
    };
    stage.quiet = true;
    let elected = wait(stage, &format!("{id} leads"), |stage| {
        let follows = |other: &NodeId| {
            stage.zab(*other).is_ok_and(|zab| zab.role() == Role::Following && zab.leader() == Some(id))
        };
        stage.zab(id).is_ok_and(|zab| zab.role() == Role::Leading) && followers(stage).iter().all(follows)
    });
    stage.quiet = false;
    if elected.is_err() {
        table::show(stage);
        return elected;
    }
    let followers = words::list(followers(stage));
    let epoch = stage.zab(id)?.epoch();
    stage.print(format!("{id} leads epoch {epoch}, followed by {followers}"));
    Ok(())
}

/// What clients ask of a node.
fn client(stage: &mut Stage, verb: &str, words: &[&str]) -> Done {
    let id = node(words)?;
    let name = *words.get(1).ok_or("what?")?;
    if verb == "barrier" {
        let tag = new_tag(stage, name.to_owned());
        stage.witness.asks_barrier(tag);
        stage.queue_input(id, Input::ReadBarrier { tag });
        return Ok(());
    }
    let mut proposals = Vec::new();
    match verb {
        "propose" => {
            for name in &words[1..] {
                let command = words::create(&format!("/{name}"), CreateMode::Persistent);
                proposals.push(proposal(stage, id, (*name).to_owned(), SessionId::NONE, command));
            }
        }
        "session" => {
            let open = OpenSession { timeout_ms: 5_000, secret: Bytes::from_static(b"secret") };
            let command = Command::OpenSession(open);
            proposals.push(proposal(stage, id, format!("session-{name}"), SessionId::NONE, command));
        }
        "create-ephemeral" => {
            let session = session(stage, name)?;
            let path = words.get(2).ok_or("which path?")?;
            let command = words::create(path, CreateMode::Ephemeral);
            proposals.push(proposal(stage, id, format!("ephemeral-{path}"), session, command));
        }
        _ => {
            let session = session(stage, name)?;
            let command = Command::CloseSession(CloseSession { session, expired: false, generation: 1 });
            proposals.push(proposal(stage, id, format!("close-{name}"), session, command));
        }
    }
    stage.queue_input(id, Input::Propose { proposals });
    Ok(())
}

fn new_tag(stage: &mut Stage, name: String) -> u64 {
    stage.next_tag += 1;
    stage.names.insert(stage.next_tag, name);
    stage.next_tag
}

fn session(stage: &Stage, name: &str) -> Result<SessionId, String> {
    stage.sessions.get(name).copied().ok_or_else(|| format!("no session {name} was opened"))
}

fn proposal(stage: &mut Stage, origin: NodeId, name: String, session: SessionId, command: Command) -> Proposal {
    let tag = new_tag(stage, name);
    let generation = u32::from(session != SessionId::NONE);
    Proposal { tag, payload: Envelope { origin, tag, session, generation, command }.encode() }
}

fn show_tree(stage: &mut Stage, id: NodeId) -> Done {
    let state = &stage.nodes.get(&id).ok_or("no such node")?.state;
    let owner = |session: SessionId| {
        let name = stage.sessions.iter().find(|(_, id)| **id == session).map(|(name, _)| name.as_str());
        name.map(|name| format!(" (of {name})")).unwrap_or_default()
    };
    let paths = witness::paths(&state.tree, "/");
    let paths: Vec<String> = paths.into_iter().map(|(path, session)| format!("{path}{}", owner(session))).collect();
    let line = format!("{id} at {}: {}", state.last(), words::list(paths));
    stage.print(line);
    Ok(())
}
