//! A console of three nodes and two brokers, in a script of messages, keys and clicks at times.

#![allow(dead_code, reason = "every test uses a part of it")]

use crate::sample;
use crate::sample::script::SIZES;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Duration;
use zw_core::ids::{Epoch, Zxid};
use zw_core::tree::command::Stat;
use zw_core::wire::client::ChildrenPage;
use zw_tui::key::{Code, Key};
use zw_tui::layout::{arrange, menu_hit};
use zw_tui::member::Member;
use zw_tui::model::State;
use zw_tui::model::message::{Effect, Msg};
use zw_tui::model::overlay::Overlay;
use zw_tui::model::text::TextPage;
use zw_tui::model::update::update;
use zw_tui::pane::draw;
use zw_tui::supervisor::{Change, Report};
use zw_tui::theme::Theme;

/// A console of three nodes and two brokers that run, in a script of messages at times.
pub(crate) struct Script {
    pub(crate) state: State,
    pub(crate) now: Duration,
    /// What the newest message wanted done.
    pub(crate) effects: Vec<Effect>,
}

impl Script {
    pub(crate) fn new() -> Script {
        let addresses = |base: u16, count: u16| (0..count).map(|i| format!("127.0.0.1:{}", base + i)).collect();
        let state = State::new(addresses(8080, 3), addresses(9090, 2));
        let mut script = Script { state, now: Duration::ZERO, effects: Vec::new() };
        let members: Vec<Member> = script.state.members().collect();
        for (member, pid) in members.into_iter().zip(41_201..) {
            script.change(member, Change::Spawned { pid }).change(member, Change::Listening);
        }
        script.status();
        script.after(1_000)
    }

    pub(crate) fn after(mut self, millis: u64) -> Script {
        self.wait(millis);
        self
    }

    pub(crate) fn wait(&mut self, millis: u64) -> &mut Script {
        self.now += Duration::from_millis(millis);
        self
    }

    pub(crate) fn tell(&mut self, message: Msg) -> &mut Script {
        self.effects = update(&mut self.state, self.now, message);
        self
    }

    pub(crate) fn change(&mut self, member: Member, change: Change) -> &mut Script {
        self.tell(Msg::Supervisor(Report { member: Some(member), change }))
    }

    /// All nodes answer: n2 leads.
    pub(crate) fn status(&mut self) {
        let zxid = Zxid::new(Epoch(7), 1_042);
        for node in 0..3 {
            let status = sample::status(u16::try_from(node).unwrap() + 1, 2, zxid);
            self.tell(Msg::Status { node, status: Box::new(status), round_trip: Duration::ZERO });
        }
    }

    pub(crate) fn key(&mut self, key: Key) -> &mut Script {
        self.tell(Msg::Key(key))
    }

    pub(crate) fn keys(&mut self, keys: &str) -> &mut Script {
        for key in keys.chars() {
            self.key(match key {
                '\r' => Key::plain(Code::Enter),
                '\x1b' => Key::plain(Code::Esc),
                '\t' => Key::plain(Code::Tab),
                key => Key::char(key),
            });
        }
        self
    }

    pub(crate) fn line(&mut self, line: &str) -> &mut Script {
        self.tell(Msg::Line(line.to_owned()))
    }

    /// The tree's pane with a few znodes, the cursor on /goals.
    pub(crate) fn tree(&mut self) -> &mut Script {
        self.key(Key::ctrl('r'));
        let names = ["brokers", "config", "goals", "zooweeper"];
        let page = ChildrenPage {
            names: names.map(str::to_owned).to_vec(),
            stats: vec![Stat::default(); names.len()],
            stat: Stat::default(),
            more: false,
        };
        self.tell(Msg::Children { node: 0, path: "/".into(), after: String::new(), result: Ok(page) });
        self.keys("4jjj")
    }

    pub(crate) fn toast(&self) -> String {
        self.state.toast.as_ref().map_or_else(String::new, |toast| toast.text.clone())
    }

    pub(crate) fn typed(&self) -> String {
        match &self.state.overlay {
            Some(Overlay::Command { input, .. }) => input.text().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn buffer(&self, theme: &Theme, width: u16, height: u16) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        draw(&self.state, theme, self.now, &mut buffer);
        buffer
    }

    pub(crate) fn screen(&self, theme: &Theme, width: u16, height: u16) -> String {
        let buffer = self.buffer(theme, width, height);
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    pub(crate) fn screens(&self, theme: &Theme) -> String {
        SIZES.map(|(width, height)| format!("{width}x{height}\n{}", self.screen(theme, width, height))).join("\n")
    }

    pub(crate) fn jobs(&self) -> Vec<String> {
        TextPage::Jobs.lines(&self.state, self.now).into_iter().map(|(line, _)| line).collect()
    }

    /// Presses a button on what is drawn there, as the console does.
    pub(crate) fn press(&mut self, is_right: bool, width: u16, height: u16, column: u16, row: u16) -> &mut Script {
        let layout = arrange(Rect::new(0, 0, width, height), &self.state);
        if let Some(Overlay::Menu(menu)) = &self.state.overlay
            && !is_right
        {
            let hit = menu_hit(layout.body, menu, column, row);
            return match hit {
                Some(item) => self.tell(Msg::MenuClick(item)),
                None => self,
            };
        }
        let hit = zw_tui::layout::hit(&layout, &self.state, self.now, column, row);
        let Some((pane, item)) = hit else { return self };
        let message = if is_right { Msg::RightClick(pane, item, (column, row)) } else { Msg::Click(pane, item) };
        self.tell(message)
    }
}
