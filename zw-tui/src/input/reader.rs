//! Turns the terminal library's events into the console's. Only presses and repeats of keys count.

use crate::key::{Code, Key};
use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

/// Something a person or the terminal did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(Key),
    /// Text that was pasted as one; never a key.
    Paste(String),
    /// The left button went down there.
    Click {
        /// Cells from the left.
        column: u16,
        /// Cells from the top.
        row: u16,
    },
    /// The wheel was turned there; negative is up.
    Wheel {
        /// Cells from the left.
        column: u16,
        /// Cells from the top.
        row: u16,
        /// Steps.
        steps: i32,
    },
    /// The terminal has another size.
    Resize(u16, u16),
    /// The terminal gained or lost the focus.
    Focus(bool),
}

/// What an event means; nothing for those that mean nothing here.
#[must_use]
pub fn translate(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) => translate_key(&key).map(Input::Key),
        Event::Paste(text) => Some(Input::Paste(text)),
        Event::Mouse(mouse) => translate_mouse(mouse),
        Event::Resize(width, height) => Some(Input::Resize(width, height)),
        Event::FocusGained => Some(Input::Focus(true)),
        Event::FocusLost => Some(Input::Focus(false)),
    }
}

fn translate_key(event: &KeyEvent) -> Option<Key> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    // Alt means nothing here; as a plain letter it could act.
    if event.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::HYPER | KeyModifiers::META) {
        return None;
    }
    let code = match event.code {
        KeyCode::Char(character) if ctrl => Code::Char(character.to_ascii_lowercase()),
        KeyCode::Char(character) => Code::Char(character),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::F(number) => Code::Function(number),
        _ => return None,
    };
    Some(Key { code, ctrl: ctrl && matches!(code, Code::Char(_)) })
}

fn translate_mouse(event: MouseEvent) -> Option<Input> {
    let (column, row) = (event.column, event.row);
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => Some(Input::Click { column, row }),
        MouseEventKind::ScrollUp => Some(Input::Wheel { column, row, steps: -1 }),
        MouseEventKind::ScrollDown => Some(Input::Wheel { column, row, steps: 1 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_and_alt_mean_nothing() {
        let press = KeyEvent::new(KeyCode::Char('K'), KeyModifiers::SHIFT);
        assert_eq!(translate(Event::Key(press)), Some(Input::Key(Key::char('K'))));
        let release = KeyEvent { kind: KeyEventKind::Release, ..press };
        assert_eq!(translate(Event::Key(release)), None);
        let repeat = KeyEvent { kind: KeyEventKind::Repeat, ..press };
        assert_eq!(translate(Event::Key(repeat)), Some(Input::Key(Key::char('K'))));
        assert_eq!(translate(Event::Key(KeyEvent::new(KeyCode::Char('K'), KeyModifiers::ALT))), None);
        let ctrl = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(translate(Event::Key(ctrl)), Some(Input::Key(Key::ctrl('c'))));
    }
}
