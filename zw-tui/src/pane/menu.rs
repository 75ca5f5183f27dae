//! The menu of what can be done with what is selected.

use super::canvas::{Canvas, Text, fit};
use crate::action::keymap;
use crate::action::table::{Class, enabled};
use crate::layout::{menu_area, menu_lines};
use crate::model::State;
use crate::model::menu::Menu;
use crate::theme::Role;
use ratatui::layout::Rect;

/// Columns of a key, and of a word.
const KEY_WIDTH: usize = 6;
const WORD_WIDTH: usize = 11;

pub(super) fn draw(canvas: &mut Canvas<'_>, state: &State, menu: &Menu, body: Rect) {
    let area = menu_area(body, menu);
    canvas.clear(area);
    let title = Text::of(format!(" {} ", menu.title(state)), Role::Focus);
    canvas.frame(area, true, &title, &Text::of(" Enter or a click runs  Esc closes ", Role::Dim));
    let (list, first) = menu_lines(body, menu);
    for (row, (index, action)) in (0..list.height).zip(menu.actions().enumerate().skip(first)) {
        let able = enabled(action.id, state);
        let (key_role, role) = if able.is_ok() { (Role::Key, Role::Text) } else { (Role::Dim, Role::Dim) };
        let word = if action.hint.is_empty() { keymap::name(action) } else { action.hint };
        let strong = match action.class {
            Class::Fault | Class::Data if able.is_ok() => Role::Strong,
            _ => role,
        };
        let key = state.keymap.names(action).into_iter().next().unwrap_or_default();
        let mut text = Text::of(if index == menu.cursor { "> " } else { "  " }, Role::Strong)
            .with(fit(&key, KEY_WIDTH, canvas.theme), key_role)
            .with(fit(word, WORD_WIDTH, canvas.theme), strong);
        let words = able.map_or_else(|reason| format!("[{reason}]"), |()| action.sentence.to_owned());
        let room = usize::from(list.width).saturating_sub(text.width());
        text.add(fit(&words, room, canvas.theme).trim_end(), role);
        canvas.line(list, row, &text);
        if index == menu.cursor {
            canvas.mark(list, row, Role::Selected);
        }
    }
}
