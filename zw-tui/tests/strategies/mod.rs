//! Any messages that the world could send to the model.

use crate::{NODES, sample};
use bytes::Bytes;
use proptest::prelude::*;
use std::time::Duration;
use zw_core::ids::{Epoch, Zxid};
use zw_core::tree::command::Stat;
use zw_core::wire::admin::{NodeRole, Status};
use zw_core::wire::client::ChildrenPage;
use zw_tui::key::{Code, Key};
use zw_tui::member::Member;
use zw_tui::model::Pane;
use zw_tui::model::message::{DeleteFailure, Deleted, Msg, WriteFailure, Written};
use zw_tui::supervisor::{Asked, Change, Exit, Report};

pub(crate) fn key() -> impl Strategy<Value = Key> {
    let named = prop_oneof![
        Just(Code::Enter),
        Just(Code::Esc),
        Just(Code::Tab),
        Just(Code::BackTab),
        Just(Code::Backspace),
        Just(Code::Delete),
        Just(Code::Up),
        Just(Code::Down),
        Just(Code::Left),
        Just(Code::Right),
        Just(Code::Home),
        Just(Code::End),
        Just(Code::PageUp),
        Just(Code::PageDown),
        Just(Code::Function(1)),
    ];
    prop_oneof![
        3 => proptest::char::range(' ', '~').prop_map(Key::char),
        1 => any::<char>().prop_map(Key::char),
        1 => proptest::char::range('a', 'z').prop_map(Key::ctrl),
        2 => named.prop_map(Key::plain),
    ]
}

pub(crate) fn member() -> impl Strategy<Value = Member> {
    prop_oneof![(1..=6u8).prop_map(Member::Node), (1..=3u8).prop_map(Member::Broker)]
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (1..99_999u32).prop_map(|pid| Change::Spawned { pid }),
        Just(Change::Listening),
        Just(Change::Stopping),
        Just(Change::Paused),
        Just(Change::Resumed),
        Just(Change::GraceOver),
        (any::<i32>(), prop::option::of(".*")).prop_map(|(code, words)| Change::Exited {
            exit: Exit::Code(code),
            asked: Asked::Nothing,
            words
        }),
        Just(Change::Exited { exit: Exit::Signal(9), asked: Asked::Kill, words: None }),
        ".*".prop_map(Change::Failed),
        ".*".prop_map(Change::Refused),
    ]
}

prop_compose! {
    pub(crate) fn status()(
        node in 0..8u16, role in 0..5u8, leader in 0..7u16, epoch in 0..4u32, counter in 0..5_000u64,
        writes in 0..1_000u64, disk_full in any::<bool>(), faults in prop::collection::vec(".*", 0..2),
    ) -> Status {
        let roles =
            [NodeRole::Leader, NodeRole::Follower, NodeRole::Observer, NodeRole::Looking, NodeRole::Syncing];
        Status {
            role: roles[usize::from(role)], writes, reads: writes, disk_full, faults,
            ..sample::status(node + 1, leader, Zxid::new(Epoch(epoch), counter))
        }
    }
}

pub(crate) fn page() -> impl Strategy<Value = Result<ChildrenPage, String>> {
    let pages = (prop::collection::vec("[a-c]{1,3}", 0..20), any::<bool>(), any::<bool>());
    pages.prop_map(|(names, more, is_ok)| {
        let stat = Stat { num_children: names.len() as u32, ..Stat::default() };
        let page = ChildrenPage { stats: vec![stat; names.len() / 2], names, stat, more };
        if is_ok { Ok(page) } else { Err("no answer".into()) }
    })
}

pub(crate) fn path() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "(/[a-c]{1,3}){1,3}", ".*"]
}

pub(crate) fn message() -> impl Strategy<Value = Msg> {
    let node = 0..NODES + 2;
    let pane =
        prop_oneof![Just(Pane::Nodes), Just(Pane::Brokers), Just(Pane::Tree), Just(Pane::Events), Just(Pane::Timeline)];
    prop_oneof![
        12 => key().prop_map(Msg::Key),
        1 => ".*".prop_map(Msg::Paste),
        1 => (pane.clone(), prop::option::of(0..40usize)).prop_map(|(pane, item)| Msg::Click(pane, item)),
        1 => (pane, -3..3i32).prop_map(|(pane, steps)| Msg::Wheel(pane, steps)),
        3 => (member(), change()).prop_map(|(member, change)| Msg::Supervisor(Report { member: Some(member), change })),
        3 => (node.clone(), status()).prop_map(|(node, status)| Msg::Status {
            node, status: Box::new(status), round_trip: Duration::ZERO,
        }),
        1 => (node.clone(), ".*").prop_map(|(node, reason)| Msg::Silent { node, reason }),
        2 => (node.clone(), path(), path(), page())
            .prop_map(|(node, path, after, result)| Msg::Children { node, path, after, result }),
        1 => (node.clone(), path()).prop_map(|(node, path)| Msg::Value {
            node, path, result: Ok((Bytes::from_static(b"\xff\x00"), Stat::default())),
        }),
        1 => (node.clone(), path(), any::<bool>()).prop_map(|(node, path, is_ok)| {
            let took = Duration::ZERO;
            let written = Written { created: is_ok, version: 0, zxid: Zxid::ZERO, took, last: path.clone(), count: 1 };
            let failure = WriteFailure { reason: "no quorum".into(), may_be_done: is_ok, done: 0 };
            Msg::Written { node, path, result: if is_ok { Ok(written) } else { Err(failure) } }
        }),
        1 => (node.clone(), path(), 0..9_999u64, any::<bool>()).prop_map(|(node, path, count, is_ok)| Msg::Counted {
            node, path, result: if is_ok { Ok(count) } else { Err("no answer".into()) },
        }),
        1 => (node, path(), 0..9_999u64, any::<bool>()).prop_map(|(node, path, znodes, is_ok)| {
            let deleted = Deleted { znodes, zxid: Zxid::ZERO, took: Duration::ZERO };
            let failure = DeleteFailure { znodes, reason: "no quorum".into(), may_be_done: true };
            Msg::Deleted { node, path, result: if is_ok { Ok(deleted) } else { Err(failure) } }
        }),
        1 => (".*", any::<bool>()).prop_map(|(what, is_ok)| Msg::Copied {
            what, result: if is_ok { Ok("OSC 52".into()) } else { Err("too long".into()) },
        }),
        1 => ".*".prop_map(Msg::Note),
    ]
}
