//! The whole console over time: the present, the tape of how it came about, and the moment that is shown.
//!
//! Invariants:
//! - Every message that changes the present is on the tape, so the past can be made again from it.
//! - What is shown of the past is a state of its own. Keys change how it is looked at, and nothing else: their effects on
//!   the world are left out, whatever they are, except those that concern the terminal or time itself.
//! - While the past is shown nothing on it changes by itself.

use super::acts::say;
use super::message::{Effect, Msg, Recording, TapeOrder};
use super::select::{self, clock, seconds};
use super::tape::{Tape, TapeError};
use super::time::{RecordOrder, Seen, TimeView, Travel, View};
use super::{State, update};
use std::time::Duration;

/// The largest recording.
const RECORDING_BYTES_MAX: u64 = 1 << 30;

/// The console over time.
#[derive(Debug)]
pub struct Session {
    live: State,
    tape: Tape,
    past: Option<Past>,
    /// Bytes that were given to the file.
    recorded: Option<u64>,
    /// Rises with each move through time.
    moves: u64,
    is_replay: bool,
}

#[derive(Debug)]
struct Past {
    at: Duration,
    state: State,
    seen: Seen,
}

/// What changes when the screen may look different.
pub type Version = (u64, u64);

impl Session {
    /// Begins.
    #[must_use]
    pub fn new(live: State) -> Session {
        Session { live, tape: Tape::default(), past: None, recorded: None, moves: 0, is_replay: false }
    }

    /// Opens a recording at its end.
    ///
    /// # Errors
    /// It cannot be played.
    pub fn replay(tape: Tape) -> Result<Session, TapeError> {
        let at = tape.newest();
        let live = tape.state_at(at)?;
        let mut session = Session { tape, is_replay: true, ..Session::new(live.clone()) };
        session.past = Some(Past { at, state: live, seen: Seen::Replay });
        session.look_around(at);
        // What was being typed at the end would take the keys.
        if let Some(past) = &mut session.past {
            View::of(&past.state).apply(&mut past.state);
        }
        Ok(session)
    }

    /// Goes on from the end of a tape, which led to `live`.
    #[must_use]
    pub fn resume(live: State, tape: Tape) -> Session {
        let tape = tape.go_on(&live);
        Session { tape, ..Session::new(live) }
    }

    /// The present, whatever is shown.
    #[must_use]
    pub fn live(&self) -> &State {
        &self.live
    }

    /// What the panes show.
    #[must_use]
    pub fn shown(&self) -> &State {
        self.past.as_ref().map_or(&self.live, |past| &past.state)
    }

    /// The time that the panes show.
    #[must_use]
    pub fn shown_at(&self, now: Duration) -> Duration {
        self.past.as_ref().map_or(now, |past| past.at)
    }

    /// Says something that stays until a key.
    pub fn note(&mut self, words: String) {
        let at = self.shown_at(Duration::ZERO);
        let shown = self.past.as_mut().map_or(&mut self.live, |past| &mut past.state);
        say(shown, at, words, false);
    }

    /// Notes how large the screen is, whatever time it shows: that is no fact of the ensemble.
    pub fn set_size(&mut self, width: u16, height: u16) {
        self.live.about.size = Some((width, height));
        if let Some(past) = &mut self.past {
            past.state.about.size = self.live.about.size;
        }
        self.moves += 1;
    }

    /// What is kept of the past.
    #[must_use]
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Another one means that the screen may look different.
    #[must_use]
    pub fn version(&self) -> Version {
        (self.moves, self.shown().version)
    }

    /// Whether nothing that is told changes the screen, and nobody waits for what becomes of it: a scenario would.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        let is_busy = self.live.scenarios.is_running() || self.live.leaving.is_some();
        self.past.is_some() && !self.is_replay && !is_busy
    }

    /// When the screen changes though nothing happens; while the past is shown only the present's faults are waited for, which
    /// end in their time whatever is looked at.
    #[must_use]
    pub fn next_change(&self, now: Duration) -> Option<Duration> {
        match &self.past {
            None => select::next_change(&self.live, now),
            Some(_) if self.is_replay => None,
            Some(_) => self.live.faults.active().iter().filter_map(|lease| lease.until).min(),
        }
    }

    /// Whether something has had its time, and a tick should say so: the tape must know when it went.
    #[must_use]
    pub fn is_due(&self, now: Duration) -> bool {
        !self.is_replay && update::is_due(&self.live, now)
    }

    /// Takes a message in. What is left to do for the world outside is given back.
    pub fn update(&mut self, now: Duration, message: Msg) -> Vec<Effect> {
        let now = exact(now);
        if self.is_replay && matches!(message, Msg::Leave) {
            self.live.stopped = Some(0);
            return Vec::new();
        }
        match message {
            Msg::Leave => {
                let mut effects = self.go_live(now);
                effects.extend(self.tell(now, Msg::Leave));
                effects
            }
            message if message.is_input() && self.past.is_some() => self.look(now, message),
            // The answer to what was asked for in the past is told where it was asked.
            message @ (Msg::Copied { .. } | Msg::Exported(_) | Msg::Dumped(_)) if self.past.is_some() => {
                if let Some(past) = &mut self.past {
                    update::update(&mut past.state, past.at, message.clone());
                }
                if self.is_replay { Vec::new() } else { self.tell(now, message) }
            }
            // All that there is was recorded long ago, by another clock.
            _ if self.is_replay => Vec::new(),
            message => self.tell(now, message),
        }
    }

    /// Tells the present, and the tape.
    fn tell(&mut self, now: Duration, message: Msg) -> Vec<Effect> {
        let now = exact(now);
        let added = self.tape.record(&self.live, now, &message);
        let mut effects = Vec::new();
        if let Some(recorded) = &mut self.recorded {
            *recorded += added.len() as u64;
            effects.push(Effect::Tape(TapeOrder::Append(added.to_vec())));
        }
        if let Msg::Recording(Recording::Ended { .. } | Recording::Failed(_)) = &message {
            self.recorded = None;
            effects.clear();
        }
        let wanted = update::update(&mut self.live, now, message);
        effects.extend(self.carry_out(now, wanted));
        if self.recorded.is_some_and(|bytes| bytes > RECORDING_BYTES_MAX) {
            say(&mut self.live, now, "the recording is 1 GiB long and ends here".into(), false);
            effects.extend(self.record(now, RecordOrder::Off));
        }
        self.live.time =
            TimeView { oldest: self.tape.oldest().unwrap_or_default(), recorded: self.recorded, ..TimeView::default() };
        effects
    }

    /// A key, click or paste while the past is shown.
    fn look(&mut self, now: Duration, message: Msg) -> Vec<Effect> {
        let Some(past) = &mut self.past else { return Vec::new() };
        // Its clock stands still: a message that passes stays until the next key.
        past.state.toast = None;
        let effects = update::update(&mut past.state, past.at, message);
        if past.state.leaving.is_some() {
            return self.update(now, Msg::Leave);
        }
        let concerns_us = |effect: &Effect| {
            matches!(
                effect,
                Effect::Travel(_)
                    | Effect::Record(_)
                    | Effect::SetMouse(_)
                    | Effect::SetTheme(_)
                    | Effect::Dump
                    | Effect::Export { .. }
                    | Effect::Copy { .. }
                    | Effect::Repaint
                    | Effect::Suspend
                    | Effect::Break(_)
            )
        };
        let effects = effects.into_iter().filter(concerns_us).collect();
        let effects = self.carry_out(now, effects);
        self.look_around(now);
        effects
    }

    /// Carries out what concerns time, and gives the rest back.
    fn carry_out(&mut self, now: Duration, effects: Vec<Effect>) -> Vec<Effect> {
        let mut left = Vec::new();
        for effect in effects {
            match effect {
                Effect::Travel(travel) => left.extend(self.travel(now, travel)),
                Effect::Record(order) => left.extend(self.record(now, order)),
                effect => left.push(effect),
            }
        }
        left
    }

    fn travel(&mut self, now: Duration, travel: Travel) -> Vec<Effect> {
        let newest = if self.is_replay { self.tape.newest() } else { now };
        let here = self.shown_at(newest);
        let marks = &self.live.marks;
        let target = match travel {
            Travel::Freeze if self.past.is_none() => {
                self.freeze(now);
                return Vec::new();
            }
            Travel::Freeze | Travel::Now if self.is_replay => newest,
            Travel::Freeze | Travel::Now => return self.go_live(now),
            Travel::To(at) => at,
            Travel::Ago(time) => newest.saturating_sub(time),
            Travel::Back(time) => here.saturating_sub(time),
            Travel::On(time) => here.saturating_add(time),
            Travel::PreviousMark => match marks.before(here) {
                Some(at) => at,
                None => return self.tell_off("there is no mark before this"),
            },
            Travel::NextMark => marks.after(here).unwrap_or(newest),
        };
        if target >= newest && !self.is_replay {
            return self.go_live(now);
        }
        self.go_to(target.min(newest), travel)
    }

    /// The display stands still from now on.
    fn freeze(&mut self, now: Duration) {
        self.past = Some(Past { at: now, state: self.live.clone(), seen: Seen::Frozen });
        self.moves += 1;
        self.look_around(now);
    }

    fn go_to(&mut self, target: Duration, travel: Travel) -> Vec<Effect> {
        let oldest = self.tape.oldest().unwrap_or_default();
        let at = target.max(oldest);
        let mut state = match self.tape.state_at(at) {
            Ok(state) => state,
            Err(error) => return self.tell_off(&format!("the past cannot be shown: {error}")),
        };
        let former = self.shown();
        state.tree.look_at(&former.tree);
        state.has_test_hooks = former.has_test_hooks;
        state.about.size = former.about.size;
        (state.toast, state.leaving, state.stopped) = (None, None, None);
        let view = View::of(former);
        let seen = if self.is_replay { Seen::Replay } else { Seen::Past };
        state.time.seen = seen;
        view.apply(&mut state);
        if target < oldest {
            let words = format!("what was before {} is not kept any more", clock(oldest));
            say(&mut state, at, words, true);
        } else if matches!(travel, Travel::To(_)) && !self.is_replay && self.past.is_none() {
            say(
                &mut state,
                at,
                "{ } go to marks, Left and Right step in the timeline, . goes back to now".into(),
                true,
            );
        }
        self.past = Some(Past { at, state, seen });
        self.moves += 1;
        self.look_around(at);
        Vec::new()
    }

    /// Back to the present, which is looked at as the past was.
    fn go_live(&mut self, now: Duration) -> Vec<Effect> {
        let Some(past) = self.past.take_if(|_| !self.is_replay) else { return Vec::new() };
        self.moves += 1;
        self.tell(now, Msg::View(Box::new(View::of(&past.state))))
    }

    /// Says something to whoever looks.
    fn tell_off(&mut self, words: &str) -> Vec<Effect> {
        let at = self.past.as_ref().map_or(self.tape.newest(), |past| past.at);
        let shown = self.past.as_mut().map_or(&mut self.live, |past| &mut past.state);
        say(shown, at, words.to_owned(), true);
        Vec::new()
    }

    /// Says to the past what lies between it and the present; and which marks there are, also of later times.
    fn look_around(&mut self, now: Duration) {
        let newest = if self.is_replay { self.tape.newest() } else { now.max(self.tape.newest()) };
        let (oldest, recorded) = (self.tape.oldest().unwrap_or_default(), self.recorded);
        let Some(past) = &mut self.past else { return };
        let events_since = self.live.events.total().saturating_sub(past.state.events.total());
        past.state.time = TimeView { seen: past.seen, oldest, newest, events_since, recorded };
        past.state.marks = self.live.marks.clone();
    }

    fn record(&mut self, now: Duration, order: RecordOrder) -> Vec<Effect> {
        let order = match order {
            RecordOrder::Toggle if self.recorded.is_some() => RecordOrder::Off,
            RecordOrder::Toggle => RecordOrder::On(None),
            order => order,
        };
        match (order, self.recorded) {
            _ if self.is_replay => self.tell_off("this is a recording already"),
            (RecordOrder::On(_), Some(_)) => self.tell_off("a recording is being written; record off ends it"),
            (RecordOrder::On(file), None) => {
                // From the oldest that is kept: what one wants to show has mostly happened already.
                let bytes = self.tape.to_bytes();
                self.recorded = Some(bytes.len() as u64);
                vec![Effect::Tape(TapeOrder::Begin { file, bytes })]
            }
            (_, Some(_)) => vec![Effect::Tape(TapeOrder::End)],
            (_, None) => {
                let kept = self.tape.oldest().map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest));
                let words = format!("nothing is recorded; record on writes the last {} and goes on", seconds(kept));
                self.tell_off(&words)
            }
        }
    }
}

/// As exact as the tape is.
fn exact(now: Duration) -> Duration {
    Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}
