//! Which keys do what here: the keys of the table, changed by the person's file. Dispatch, hints, help and manual all
//! ask it.
//!
//! Invariants:
//! - No key has two meanings in one place.
//! - Only upper-case letters act, whatever the file says: a stray word typed into the console stays harmless.

use super::table::{ACTIONS, Action, Class, Id, Scope};
use crate::key::{Code, Key};
use crate::model::Pane;
use serde::{Deserialize, Serialize};

/// The keys of every action, in the order of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keymap {
    keys: Vec<Vec<Key>>,
}

/// What the file wants for one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The action.
    pub id: Id,
    /// Its keys; none disables it.
    pub keys: Vec<Key>,
    /// The line of the file.
    pub line: usize,
}

impl Default for Keymap {
    fn default() -> Keymap {
        Keymap { keys: ACTIONS.iter().map(|action| action.keys.to_vec()).collect() }
    }
}

impl Keymap {
    /// The table's keys with these wishes, as far as they can be granted; and why not, by line.
    #[must_use]
    pub fn new(wishes: &[Wish]) -> (Keymap, Vec<(usize, String)>) {
        let mut keymap = Keymap::default();
        let mut refused = Vec::new();
        let mut granted: Vec<(usize, &Wish)> = Vec::new();
        for wish in wishes {
            let Some(index) = ACTIONS.iter().position(|action| action.id == wish.id) else { continue };
            match unsafe_wish(&ACTIONS[index], wish) {
                Some(reason) => refused.push((wish.line, reason)),
                None => {
                    keymap.keys[index].clone_from(&wish.keys);
                    granted.push((index, wish));
                }
            }
        }
        // Each turn takes a wish back, so it ends.
        while let Some((key, one, other)) = keymap.clash() {
            let Some(place) = granted.iter().rposition(|(index, _)| *index == one || *index == other) else { break };
            let (index, wish) = granted.remove(place);
            keymap.keys[index] = ACTIONS[index].keys.to_vec();
            let (one, other, keeper) = (name(&ACTIONS[one]), name(&ACTIONS[other]), name(&ACTIONS[index]));
            let kept = keymap.words(wish.id);
            refused.push((wish.line, format!("{one} and {other} both want the key {key}; {keeper} keeps {kept}")));
        }
        refused.sort();
        (keymap, refused)
    }

    /// A key with two meanings in one place, and whose.
    fn clash(&self) -> Option<(Key, usize, usize)> {
        let pairs = (0..ACTIONS.len()).flat_map(|one| (one + 1..ACTIONS.len()).map(move |other| (one, other)));
        pairs.filter(|(one, other)| ACTIONS[*one].scope == ACTIONS[*other].scope).find_map(|(one, other)| {
            let key = self.keys[one].iter().find(|key| self.keys[other].contains(key))?;
            Some((*key, one, other))
        })
    }

    /// The action of a key in a pane.
    #[must_use]
    pub fn lookup(&self, key: Key, focus: Pane) -> Option<&'static Action> {
        let in_scope = |scope: Scope| {
            let mut actions = ACTIONS.iter().zip(&self.keys);
            actions.find(|(action, keys)| action.scope == scope && keys.contains(&key)).map(|(action, _)| action)
        };
        in_scope(Scope::In(focus)).or_else(|| in_scope(Scope::Everywhere))
    }

    /// The keys of an action; none if it has none, or they were taken from it.
    #[must_use]
    pub fn keys(&self, id: Id) -> &[Key] {
        ACTIONS.iter().position(|action| action.id == id).map_or(&[], |index| &self.keys[index])
    }

    /// The keys of an action as a person types them, the first of two before the second.
    #[must_use]
    pub fn names(&self, action: &Action) -> Vec<String> {
        let first = match action.scope {
            Scope::After(first) => {
                self.keys(Id::Chord(first)).first().map_or_else(|| first.to_string(), Key::to_string)
            }
            Scope::Everywhere | Scope::In(_) => String::new(),
        };
        self.keys(action.id).iter().map(|key| format!("{first}{key}")).collect()
    }

    /// The keys of an action, for a person.
    #[must_use]
    pub fn words(&self, id: Id) -> String {
        let names: Vec<String> = self.keys(id).iter().map(ToString::to_string).collect();
        if names.is_empty() { "no key".to_owned() } else { names.join(" ") }
    }
}

/// What an action is called in the file: as on the command line.
#[must_use]
pub fn name(action: &Action) -> &'static str {
    if action.command.is_empty() { "command" } else { action.command }
}

/// Why a wish is not granted, if it would make the console dangerous or a trap.
fn unsafe_wish(action: &Action, wish: &Wish) -> Option<String> {
    let name = name(action);
    let is_letter = |key: &Key| matches!(key.code, Code::Char('A'..='Z')) && !key.ctrl;
    let kept = || Keymap::default().words(action.id);
    match action.class {
        Class::Fault | Class::Data => {
            wish.keys.iter().find(|key| !is_letter(key)).map(|key| {
                format!("{name} acts, so its key must be an upper-case letter, not {key}; it keeps {}", kept())
            })
        }
        Class::Look => wish.keys.iter().find(|key| is_letter(key) && !action.keys.contains(key)).map(|key| {
            format!("{name} only looks, and {key} is upper case, which is for what acts; it keeps {}", kept())
        }),
        Class::Leave if action.id == Id::Leave && wish.keys.is_empty() => {
            Some(format!("{name} is the way out and cannot be disabled; it keeps {}", kept()))
        }
        Class::Leave => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(id: Id, keys: &[&str], line: usize) -> Wish {
        Wish { id, keys: keys.iter().map(|key| key.parse().unwrap()).collect(), line }
    }

    fn refused(wishes: &[Wish]) -> Vec<(usize, String)> {
        Keymap::new(wishes).1
    }

    #[test]
    fn without_a_wish_it_is_the_table() {
        let (keymap, refused) = Keymap::new(&[]);
        assert_eq!((keymap.clone(), refused), (Keymap::default(), Vec::new()));
        for action in ACTIONS {
            let focus = match action.scope {
                Scope::In(pane) => pane,
                // Enter and f mean something of their own in the events.
                Scope::Everywhere => Pane::Timeline,
                Scope::After(_) => continue,
            };
            for key in action.keys {
                assert!(keymap.lookup(*key, focus).is_some_and(|found| found.id == action.id), "{key}");
            }
        }
    }

    #[test]
    fn an_action_gets_other_keys_and_gives_its_own_free() {
        let (keymap, refused) = Keymap::new(&[wish(Id::Kill, &["A"], 3), wish(Id::Mouse, &[], 4)]);
        assert!(refused.is_empty(), "{refused:?}");
        let found = |key: char| keymap.lookup(Key::char(key), Pane::Nodes).map(|action| action.id);
        assert_eq!((found('A'), found('K'), found('m')), (Some(Id::Kill), None, None));
        assert_eq!((keymap.words(Id::Kill).as_str(), keymap.words(Id::Mouse).as_str()), ("A", "no key"));
    }

    #[test]
    fn two_may_swap_their_keys() {
        let wishes = [wish(Id::Kill, &["T"], 1), wish(Id::Stop, &["K"], 2)];
        assert!(refused(&wishes).is_empty());
    }

    #[test]
    fn a_clash_names_both_and_the_line_and_is_not_granted() {
        let (keymap, refused) = Keymap::new(&[wish(Id::Kill, &["W"], 7)]);
        assert_eq!(refused, [(7, "kill and write both want the key W; kill keeps K".to_owned())]);
        assert_eq!(keymap, Keymap::default());
        // The one that was taken back may clash in turn.
        let (keymap, refused) = Keymap::new(&[wish(Id::Kill, &["W"], 1), wish(Id::Stop, &["K"], 2)]);
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert_eq!(keymap, Keymap::default());
    }

    #[test]
    fn no_file_makes_a_lower_case_key_act_or_closes_the_way_out() {
        for (id, keys) in [
            (Id::Kill, &["k"][..]),
            (Id::Write, &["Enter"]),
            (Id::Pause, &["Ctrl-x"]),
            (Id::Why, &["K"]),
            (Id::Leave, &[]),
        ] {
            let (keymap, refused) = Keymap::new(&[wish(id, keys, 1)]);
            assert_eq!((keymap, refused.len()), (Keymap::default(), 1), "{id:?} {keys:?}");
        }
        assert!(refused(&[wish(Id::Last, &["G", "F9"], 1)]).is_empty(), "G looks, as in vim");
    }
}
