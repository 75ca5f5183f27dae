//! `W`: the form of a write. It keeps its text until the write is acknowledged.

use super::State;
use super::acts::say;
use super::message::Effect;
use super::overlay::{Input, Overlay};
use super::permission::Need;
use super::write::{self, Mode, WriteOrder};
use crate::action::command::{Command, check_path};
use crate::action::perform;
use crate::key::{Code, Key};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Gives the value to the person's editor. No key of a line's own editing.
pub const EDITOR_KEY: Key = Key::ctrl('x');

/// The fields, in the order of the form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Field {
    /// Which znode.
    #[default]
    Path,
    /// Its data.
    Value,
    /// How.
    Mode,
    /// Through which node.
    Node,
    /// How often.
    Count,
}

impl Field {
    /// In the order of the form.
    pub const ALL: [Field; 5] = [Field::Path, Field::Value, Field::Mode, Field::Node, Field::Count];

    /// Its name in the form.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Field::Path => "path",
            Field::Value => "value",
            Field::Mode => "mode",
            Field::Node => "through",
            Field::Count => "count",
        }
    }
}

/// The form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Composer {
    /// The path.
    pub path: Input,
    /// The data; it may have several lines.
    pub value: Input,
    /// How it is written; none deletes.
    pub mode: Option<Mode>,
    /// Through which node, from 0.
    pub node: usize,
    /// How often.
    pub count: Input,
    /// The field that takes the keys.
    pub field: Field,
    /// Whether an answer is awaited.
    pub is_sent: bool,
    /// Why the last try failed.
    pub error: Option<String>,
    /// The znode and the version whose data the value was made from; none if it was made from nothing.
    #[serde(default)]
    pub read: Option<(String, i32)>,
    /// Whether the person's editor has the value.
    #[serde(default)]
    pub is_edited: bool,
}

impl Composer {
    /// For a znode, through a node.
    #[must_use]
    pub fn of(node: usize, path: &str) -> Composer {
        Composer {
            path: Input::with(path),
            mode: Some(Mode::Put),
            node,
            count: Input::with("1"),
            ..Composer::default()
        }
    }

    /// What would be written.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn order(&self) -> Result<WriteOrder, String> {
        let count = self.count.text().trim().parse().map_err(|_| "a count is a number".to_owned())?;
        let order = WriteOrder {
            node: self.node,
            path: self.path.text().to_owned(),
            data: Bytes::copy_from_slice(self.value.text().as_bytes()),
            mode: self.mode.unwrap_or_default(),
            count,
            file: None,
            version: self.version(),
        };
        order.check().map(|()| order)
    }

    /// The version that the znode must still have, so that nobody's write is lost; none if any will do.
    #[must_use]
    pub fn version(&self) -> Option<i32> {
        let (path, version) = self.read.as_ref().filter(|_| self.mode == Some(Mode::Set))?;
        (path == self.path.text()).then_some(*version)
    }

    /// What the chosen mode is called.
    #[must_use]
    pub fn mode_words(&self) -> &'static str {
        self.mode.map_or("delete", Mode::words)
    }

    /// What the chosen mode does.
    #[must_use]
    pub fn mode_sentence(&self) -> String {
        match self.version() {
            Some(version) => format!("sets the data only if it is still v{version}, as it was read"),
            None => self.mode.map_or("deletes the znode and all below it; asks first", Mode::sentence).to_owned(),
        }
    }

    fn step_field(&mut self, steps: usize) {
        let at = Field::ALL.iter().position(|field| *field == self.field).unwrap_or(0);
        self.field = Field::ALL[(at + steps) % Field::ALL.len()];
    }

    /// Chooses the next or previous mode or node.
    fn choose(&mut self, forward: bool, nodes: usize) {
        let step = |at: usize, count: usize| if forward { (at + 1) % count } else { (at + count - 1) % count };
        match self.field {
            Field::Mode => {
                let modes: Vec<Option<Mode>> = Mode::ALL.into_iter().map(Some).chain([None]).collect();
                let at = modes.iter().position(|mode| *mode == self.mode).unwrap_or(0);
                self.mode = modes[step(at, modes.len())];
            }
            Field::Node if nodes > 0 => self.node = step(self.node, nodes),
            _ => {}
        }
    }

    /// Pastes into the field that takes the keys; false if it is too long.
    pub fn paste(&mut self, text: &str) -> bool {
        // What a terminal sends for a line's end differs.
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        match self.field {
            _ if self.is_sent || self.is_edited => true,
            Field::Value => self.value.insert(&lines),
            Field::Path => self.path.insert(lines.replace('\n', " ").trim()),
            Field::Count => self.count.insert(lines.trim()),
            Field::Mode | Field::Node => true,
        }
    }
}

/// A key in the form.
pub(super) fn in_form(state: &mut State, now: Duration, key: Key, mut form: Box<Composer>) -> Vec<Effect> {
    let mut effects = Vec::new();
    match key {
        Key { code: Code::Tab, .. } => form.step_field(1),
        Key { code: Code::BackTab, .. } => form.step_field(Field::ALL.len() - 1),
        Key { code: Code::Down, .. } if form.field != Field::Value || !form.value.line_down() => form.step_field(1),
        Key { code: Code::Up, .. } if form.field != Field::Value || !form.value.line_up() => {
            form.step_field(Field::ALL.len() - 1);
        }
        Key { code: Code::Down | Code::Up, .. } => {}
        Key { code: Code::Enter, .. } if form.is_sent => {}
        Key { code: Code::Enter, .. } => match check_path(form.path.text()) {
            Err(reason) if form.order().is_err() => (form.error, form.field) = (Some(reason), Field::Path),
            _ if form.field == Field::Path && form.mode.is_some() => form.field = Field::Value,
            _ => effects = submit(state, now, &mut form),
        },
        _ if form.is_sent => {}
        EDITOR_KEY => effects = give_to_editor(state, &mut form),
        Key { code: Code::Char('j'), ctrl: true } if form.field == Field::Value => {
            form.value.insert("\n");
        }
        Key { code: Code::Left, .. } if matches!(form.field, Field::Mode | Field::Node) => {
            form.choose(false, state.nodes.len());
        }
        Key { code: Code::Right | Code::Char(' '), .. } if matches!(form.field, Field::Mode | Field::Node) => {
            form.choose(true, state.nodes.len());
        }
        // Who types a whole path after the one that stands there means no empty name.
        key if form.field == Field::Path && key == Key::char('/') && form.path.split().0.ends_with('/') => {}
        key => {
            match form.field {
                Field::Path => form.path.edit(key),
                Field::Value => form.value.edit(key),
                Field::Count => form.count.edit(key),
                Field::Mode | Field::Node => false,
            };
        }
    }
    state.overlay.get_or_insert(Overlay::Write(form));
    effects
}

/// The form's value goes to the editor; nothing else happens to it until that ends.
fn give_to_editor(state: &State, form: &mut Composer) -> Vec<Effect> {
    if let Err(reason) = state.time.check_now() {
        form.error = Some(reason);
        return Vec::new();
    }
    (form.is_edited, form.error, form.field) = (true, None, Field::Value);
    vec![Effect::Edit(form.value.text().to_owned())]
}

/// The path, the data and the version of the selected znode, if an editor can have it.
///
/// # Errors
/// Why it cannot, for a person.
pub(crate) fn editable(state: &State) -> Result<(String, &str, i32), String> {
    let path = state.tree.selected_znode().ok_or("no znode is selected")?;
    let value = state.tree.value.as_ref().filter(|value| value.path == path).ok_or("its data is not read yet")?;
    let (data, stat) = value.content.as_ref().map_err(|reason| format!("its data is not known: {reason}"))?;
    let text = std::str::from_utf8(data).map_err(|_| "its data is no text; :write PATH @FILE writes any file")?;
    Ok((path, text, stat.version))
}

/// The form for the selected znode with its data, and that in the editor.
pub(crate) fn edit_selected(state: &mut State, now: Duration) -> Vec<Effect> {
    let mut form = match editable(state) {
        // Set and not put: a znode that is deleted meanwhile is not made anew.
        Ok((path, text, version)) => Composer {
            value: Input::with(text),
            mode: Some(Mode::Set),
            read: Some((path.clone(), version)),
            ..Composer::of(state.tree.node, &path)
        },
        Err(reason) => {
            say(state, now, reason, true);
            return Vec::new();
        }
    };
    let effects = give_to_editor(state, &mut form);
    state.overlay = Some(Overlay::Write(Box::new(form)));
    effects
}

/// The editor ended: its text is in the form, and written by nobody but the person.
pub(super) fn on_edited(state: &mut State, result: Result<String, String>) {
    state.version += 1;
    let Some(Overlay::Write(form)) = state.overlay.as_mut().filter(|_| state.leaving.is_none()) else { return };
    if std::mem::take(&mut form.is_edited) {
        match result {
            Ok(text) => form.value = Input::with(&text),
            Err(reason) => form.error = Some(reason),
        }
    }
}

/// Sends what the form says; a deletion asks in the form's place.
fn submit(state: &mut State, now: Duration, form: &mut Composer) -> Vec<Effect> {
    let refused = perform::check_writable(state, now, form.node).map_err(|refusal| refusal.words);
    let order = match refused.and_then(|()| form.order()) {
        Ok(order) => order,
        Err(reason) => {
            form.error = Some(reason);
            return Vec::new();
        }
    };
    if form.mode.is_none() {
        let command = Command::Delete { node: order.node, path: order.path, below: None };
        return perform::carry_out(state, now, command);
    }
    if state.permission.asks(Need::Writes) {
        perform::ask(state, now, Command::Write(order), Some(Box::new(form.clone())));
        return Vec::new();
    }
    (form.is_sent, form.error) = (true, None);
    write::send(state, now, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_make_an_order() {
        let mut form = Composer::of(1, "/queue/");
        form.mode = Some(Mode::Sequence);
        form.count = Input::with(" 12 ");
        form.value = Input::with("a\nb");
        let order = form.order().unwrap();
        assert_eq!((order.node, order.count, order.mode, &order.data[..]), (1, 12, Mode::Sequence, &b"a\nb"[..]));
        form.count = Input::with("many");
        assert_eq!(form.order(), Err("a count is a number".into()));
    }

    #[test]
    fn all_modes_and_nodes_are_reached_in_both_directions() {
        let mut form = Composer { field: Field::Mode, ..Composer::of(0, "/") };
        let mut seen = Vec::new();
        for _ in 0..Mode::ALL.len() + 1 {
            seen.push(form.mode_words());
            form.choose(true, 3);
        }
        assert_eq!(form.mode, Some(Mode::Put), "around");
        assert!(seen.contains(&"delete") && seen.contains(&"ephemeral sequence"));
        form.choose(false, 3);
        assert_eq!(form.mode, None);
        form.field = Field::Node;
        form.choose(false, 3);
        assert_eq!(form.node, 2);
    }

    #[test]
    fn what_was_read_is_set_only_in_its_version() {
        let read = Some(("/a".to_owned(), 4));
        let mut form = Composer { mode: Some(Mode::Set), read, ..Composer::of(0, "/a") };
        assert_eq!(form.order().unwrap().version, Some(4));
        assert_eq!(form.mode_sentence(), "sets the data only if it is still v4, as it was read");
        // Who wants another mode or another znode says so.
        form.path = Input::with("/b");
        assert_eq!(form.order().unwrap().version, None);
        (form.path, form.mode) = (Input::with("/a"), Some(Mode::Put));
        assert_eq!(form.order().unwrap().version, None);
    }

    #[test]
    fn a_paste_stays_what_it_was() {
        let mut form = Composer { field: Field::Value, ..Composer::of(0, "/") };
        assert!(form.paste("K\r\nq\r\x1b[2J"));
        assert_eq!(form.value.text(), "K\nq\n\x1b[2J");
        form.field = Field::Path;
        assert!(form.paste("goals\n"));
        assert_eq!(form.path.text(), "/goals");
    }

    #[test]
    fn what_the_editor_has_takes_no_keys_and_only_its_success_changes_it() {
        let now = Duration::from_secs(1);
        let mut state = State::new(vec!["h:1".into()], Vec::new());
        let form = Composer { value: Input::with("old"), ..Composer::of(0, "/a") };
        assert_eq!(in_form(&mut state, now, EDITOR_KEY, Box::new(form)), [Effect::Edit("old".into())]);
        let held = |state: &State| match &state.overlay {
            Some(Overlay::Write(form)) => form.clone(),
            other => panic!("{other:?}"),
        };
        let form = held(&state);
        assert!(form.is_edited && form.field == Field::Value);
        for key in [Key::char('x'), Key::plain(Code::Enter), Key::plain(Code::Esc), EDITOR_KEY] {
            assert_eq!(super::super::update::update(&mut state, now, super::super::message::Msg::Key(key)), []);
            assert_eq!(held(&state), form, "{key}: it was typed before the editor had the keys");
        }
        for (result, value, error) in
            [(Ok("new".to_owned()), "new", None), (Err("it failed".to_owned()), "old", Some("it failed".to_owned()))]
        {
            state.overlay = Some(Overlay::Write(form.clone()));
            on_edited(&mut state, result);
            let form = held(&state);
            assert_eq!((form.is_edited, form.value.text(), form.error), (false, value, error));
        }
        // A form that no editor has is left alone, and in the past no editor is started.
        on_edited(&mut state, Ok("late".into()));
        assert_eq!(held(&state).value.text(), "old");
        state.time.seen = super::super::time::Seen::Frozen;
        assert_eq!(in_form(&mut state, now, EDITOR_KEY, form), []);
    }
}
