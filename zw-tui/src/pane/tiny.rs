//! What is shown when almost nothing fits: the verdict first.

use super::canvas::{Canvas, Text};
use super::head::word_role;
use crate::layout::{Tier, tier};
use crate::model::State;
use crate::model::permission::Need;
use crate::model::select::{broker_face, node_face, or_dash};
use crate::model::verdict::Verdict;
use crate::theme::Role;
use ratatui::layout::Rect;
use std::time::Duration;

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, verdict: &Verdict, now: Duration, area: Rect) {
    let leader = verdict.leader.map_or_else(|| "-".to_owned(), |leader| leader.to_string());
    let quorum = match verdict.members {
        0 => "q?".to_owned(),
        members => format!("q{}/{members}", verdict.serving),
    };
    let mut word = Text::of(verdict.word.text(), word_role(verdict.word));
    if state.time.is_past() {
        word.add(" PAST", Role::Selected);
    }
    let mut lines = Vec::new();
    if tier(area.width, area.height) == Tier::Dot && area.height < 2 {
        lines.push(word.with(format!(" {quorum} L{leader} {}!", verdict.reasons.len()), Role::Text));
    } else {
        lines.push(word.with(format!(" {quorum}"), Role::Text));
        let (epoch, committed) = (or_dash(verdict.epoch), or_dash(verdict.committed));
        lines.push(Text::of(format!("e{epoch} L=n{leader} {committed}"), Role::Text));
    }
    let mut glyphs = Glyphs { lines: Vec::new(), width: usize::from(area.width) };
    for node in &state.nodes {
        let face = node_face(state, node, now);
        glyphs.add(&node.member.to_string(), canvas.theme.glyph(face), Role::Face(face));
    }
    glyphs.lines.push(Text::new());
    for broker in &state.brokers {
        let face = broker_face(&broker.process);
        glyphs.add(&broker.member.to_string(), canvas.theme.glyph(face), Role::Face(face));
    }
    lines.extend(glyphs.lines.into_iter().filter(|line| line.width() > 0));
    let acts = if state.permission.check(Need::Processes).is_ok() { "K P R " } else { "" };
    lines.push(Text::of(format!("? : {acts}q"), Role::Dim));
    for (row, line) in (0..area.height).zip(&lines) {
        canvas.line(area, row, line);
    }
}

/// Names with their glyphs, as many in a line as fit.
struct Glyphs {
    lines: Vec<Text>,
    width: usize,
}

impl Glyphs {
    fn add(&mut self, name: &str, glyph: &str, role: Role) {
        let needed = name.len() + 2;
        if self.lines.last().is_none_or(|line| line.width() + needed > self.width + 1) {
            self.lines.push(Text::new());
        }
        if let Some(line) = self.lines.last_mut() {
            line.add(name, Role::Text);
            line.add(glyph, role);
            line.add(" ", Role::Text);
        }
    }
}
