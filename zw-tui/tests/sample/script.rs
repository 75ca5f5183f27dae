//! A console without a terminal: it is told messages at times, and shows its screen as text.

use super::status;
use bytes::Bytes;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::Duration;
use zw_core::ids::{Epoch, SessionId, Zxid};
use zw_core::tree::command::Stat;
use zw_core::wire::admin::{PeerStatus, Status};
use zw_core::wire::client::ChildrenPage;
use zw_tui::key::{Code, Key};
use zw_tui::layout::{arrange, hit, menu_hit};
use zw_tui::member::Member;
use zw_tui::model::State;
use zw_tui::model::broker::BrokerStatus;
use zw_tui::model::message::{Effect, Msg};
use zw_tui::model::overlay::Overlay;
use zw_tui::model::text::TextPage;
use zw_tui::model::update::update;
use zw_tui::pane::draw;
use zw_tui::supervisor::{Change, Report};
use zw_tui::theme::Theme;

pub(crate) const ASCII: Theme = Theme::basic(false, true);
pub(crate) const UNICODE: Theme = Theme::basic(true, false);
/// One of each way to arrange the panes, from all of them down to a few glyphs.
pub(crate) const SIZES: [(u16, u16); 4] = [(160, 45), (80, 24), (40, 12), (20, 5)];

/// Where the ensembles of these tests are in their history.
pub(crate) fn newest() -> Zxid {
    Zxid::new(Epoch(7), 1_042)
}

/// The console.
pub(crate) struct Script {
    pub(crate) state: State,
    pub(crate) now: Duration,
    /// What the newest messages wanted done.
    pub(crate) effects: Vec<Effect>,
}

impl Script {
    /// Of children that are not started.
    pub(crate) fn new(nodes: u16, brokers: u16) -> Script {
        let addresses = |base: u16, count: u16| (0..count).map(|i| format!("127.0.0.1:{}", base + i)).collect();
        let state = State::new(addresses(8080, nodes), addresses(9090, brokers));
        Script { state, now: Duration::ZERO, effects: Vec::new() }
    }

    /// Of children that run and have said nothing yet.
    pub(crate) fn running(nodes: u16, brokers: u16) -> Script {
        let mut script = Script::new(nodes, brokers);
        script.started();
        script
    }

    /// Of an ensemble that serves; its last node leads.
    pub(crate) fn healthy(nodes: u16, brokers: u16) -> Script {
        let mut script = Script::running(nodes, brokers);
        script.after(900).serve().after(250).serve();
        script
    }

    /// Of three nodes and two brokers that serve; n2 leads.
    pub(crate) fn small() -> Script {
        let mut script = Script::running(3, 2);
        script.serve_under(2, newest()).after(1_000);
        script
    }

    pub(crate) fn after(&mut self, millis: u64) -> &mut Script {
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

    /// Types; `effects` has what all of the keys wanted.
    pub(crate) fn keys(&mut self, keys: &str) -> &mut Script {
        let mut effects = Vec::new();
        for key in keys.chars() {
            let key = match key {
                '\r' => Key::plain(Code::Enter),
                '\x1b' => Key::plain(Code::Esc),
                '\t' => Key::plain(Code::Tab),
                key => Key::char(key),
            };
            effects.append(&mut self.tell(Msg::Key(key)).effects);
        }
        self.effects = effects;
        self
    }

    pub(crate) fn key(&mut self, key: Key) -> &mut Script {
        self.tell(Msg::Key(key))
    }

    /// What a console without a screen is told.
    pub(crate) fn line(&mut self, line: &str) -> &mut Script {
        self.tell(Msg::Line(line.to_owned()))
    }

    /// Types a command and Enter; `effects` has what it wanted.
    pub(crate) fn command(&mut self, line: &str) -> &mut Script {
        self.keys(&format!(":{line}\r"))
    }

    /// Presses a button on what is drawn there, as the console does.
    pub(crate) fn press(&mut self, is_right: bool, (width, height): (u16, u16), column: u16, row: u16) -> &mut Script {
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
        let Some((pane, item)) = hit(&layout, &self.state, self.now, column, row) else { return self };
        self.tell(if is_right { Msg::RightClick(pane, item, (column, row)) } else { Msg::Click(pane, item) })
    }

    /// All processes run and listen.
    pub(crate) fn started(&mut self) -> &mut Script {
        let members: Vec<Member> = self.state.members().collect();
        for (member, pid) in members.into_iter().zip(41_201..) {
            self.change(member, Change::Spawned { pid }).change(member, Change::Listening);
        }
        self
    }

    pub(crate) fn says(&mut self, status: Status) -> &mut Script {
        let (node, status) = (usize::from(status.node.0) - 1, Box::new(status));
        self.tell(Msg::Status { node, status, round_trip: Duration::from_millis(1) })
    }

    /// Every node and broker that can work answers; the last node leads.
    pub(crate) fn serve(&mut self) -> &mut Script {
        let leader = u16::try_from(self.state.nodes.len()).unwrap();
        self.serve_under(leader, newest())
    }

    pub(crate) fn serve_under(&mut self, leader: u16, last: Zxid) -> &mut Script {
        let able: Vec<bool> = self.state.nodes.iter().map(|node| node.process.can_work()).collect();
        let peer = |other: u16| PeerStatus {
            node: zw_core::ids::NodeId(other),
            connected: able[usize::from(other) - 1],
            heard_ms_ago: 80,
            acked_zxid: Zxid::ZERO,
            problem: String::new(),
        };
        for node in (1..).zip(&able).filter_map(|(node, is_able)| is_able.then_some(node)) {
            let peers = (1..=u16::try_from(able.len()).unwrap()).filter(|other| *other != node).map(peer).collect();
            self.says(Status { peers, reads: 200, digest: 1, ..status(node, leader, last) });
        }
        for broker in 0..self.state.brokers.len() {
            let works = self.state.brokers[broker].process.can_work();
            let status = BrokerStatus {
                in_touch: true,
                node: Some(format!("127.0.0.1:{}", 8079 + leader)),
                events: 412,
                zxid: last.0,
                checksum: "5eed".into(),
                order_p99_us: 8_040,
                registered: (0..self.state.brokers.len()).map(|broker| (9090 + broker).to_string()).collect(),
            };
            self.tell(Msg::Broker { broker, status: works.then_some(status) });
        }
        self
    }

    /// A page of children, each with so many of its own.
    pub(crate) fn children(&mut self, path: &str, children: &[(&str, u32)]) -> &mut Script {
        let stat = |children| Stat { num_children: children, version: 2, data_length: 5, ..Stat::default() };
        let mut page = ChildrenPage {
            names: children.iter().map(|(name, _)| (*name).to_owned()).collect(),
            stats: children.iter().map(|(_, count)| stat(*count)).collect(),
            stat: stat(u32::try_from(children.len()).unwrap()),
            more: false,
        };
        if let Some(last) = page.stats.last_mut().filter(|stat| path != "/" && stat.num_children == 0) {
            last.ephemeral_owner = SessionId(7);
        }
        self.tell(Msg::Children { node: 0, path: path.into(), after: String::new(), result: Ok(page) })
    }

    /// The tree's pane with a few znodes, the cursor on /goals.
    pub(crate) fn tree(&mut self) -> &mut Script {
        self.key(Key::ctrl('r'));
        self.children("/", &[("brokers", 3), ("config", 0), ("goals", 2), ("zooweeper", 0)]).keys("4gjjj")
    }

    /// The same with /goals unfolded and its value.
    pub(crate) fn goals(&mut self) -> &mut Script {
        self.tree().keys("l").children("/goals", &[("0000000005", 0), ("0000000006", 0)]);
        self.value("/goals", b"{\"Minute\":58,\"Player\":\"Son\",\"Club\":\"TOT\"}\x1b[2J")
    }

    pub(crate) fn value(&mut self, path: &str, data: &'static [u8]) -> &mut Script {
        let length = u32::try_from(data.len()).unwrap();
        let stat = Stat { version: 3, data_length: length, mzxid: Zxid::new(Epoch(7), 1_041), ..Stat::default() };
        self.tell(Msg::Value { node: 0, path: path.into(), result: Ok((Bytes::from_static(data), stat)) })
    }

    pub(crate) fn toast(&self) -> &str {
        self.state.toast.as_ref().map_or("", |toast| toast.text.as_str())
    }

    /// What is typed in the command line.
    pub(crate) fn typed(&self) -> &str {
        match &self.state.overlay {
            Some(Overlay::Command { input, .. }) => input.text(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn jobs(&self) -> Vec<String> {
        TextPage::Jobs.lines(&self.state, self.now).into_iter().map(|(line, _)| line).collect()
    }

    pub(crate) fn buffer(&self, theme: &Theme, (width, height): (u16, u16)) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        draw(&self.state, theme, self.now, &mut buffer);
        buffer
    }

    /// The screen as text, as a terminal shows it: a wide character is there once.
    pub(crate) fn screen(&self, theme: &Theme, size: (u16, u16)) -> String {
        let buffer = self.buffer(theme, size);
        let mut text = String::new();
        for row in buffer.content().chunks(usize::from(size.0)) {
            let mut line = String::new();
            let mut hidden = 0;
            for cell in row {
                if hidden == 0 {
                    line.push_str(cell.symbol());
                    hidden = unicode_width::UnicodeWidthStr::width(cell.symbol()).max(1);
                }
                hidden -= 1;
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// The screens of all sizes.
    pub(crate) fn screens(&self, theme: &Theme) -> String {
        SIZES.map(|size| format!("{}x{}\n{}\n", size.0, size.1, self.screen(theme, size))).concat()
    }
}
