//! Reigns of leaders and the times between them, as the console saw them: how often, and how long nobody could write.
//!
//! What is seen is as fine as the questions for the status: a stall is known to within one of them.

use super::STALE_AFTER;
use super::history::{History, Measure};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zw_core::ids::Epoch;

/// Longer than this between two looks, nobody was looking: the console itself stood still.
const LOOK_AWAY: Duration = Duration::from_secs(STALE_AFTER.as_secs() * 2 + 1);

/// What was seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Reigns {
    /// Leaders that came after the first one.
    pub elections: u64,
    /// The newest time without a leader of a quorum.
    pub last_stall: Option<Duration>,
    /// Over time.
    pub history: History,
    epoch: Option<Epoch>,
    /// When the newest leader surely had a quorum last.
    led: Option<Duration>,
    looked: Option<Duration>,
    /// Since the leader was heard last, none was seen.
    is_without: bool,
}

impl Reigns {
    /// Takes in which epoch a leader with a quorum is seen at `now`, and when it surely had that quorum; if one is seen.
    pub fn look(&mut self, now: Duration, leader: Option<(Epoch, Duration)>) {
        let looked = self.looked.replace(now);
        if looked.is_some_and(|looked| now.saturating_sub(looked) > LOOK_AWAY) {
            self.led = None;
        }
        let Some((epoch, sure)) = leader else {
            self.is_without = true;
            return;
        };
        let is_new = self.epoch.is_some_and(|old| epoch > old);
        self.epoch = self.epoch.max(Some(epoch));
        self.elections += u64::from(is_new);
        let was_without = std::mem::take(&mut self.is_without) || is_new;
        // A leader that is only heard late led all the same.
        let stall = self.led.replace(sure).filter(|_| was_without).map(|led| now.saturating_sub(led));
        let millis = stall.map_or(0, |stall| u64::try_from(stall.as_millis()).unwrap_or(u64::MAX));
        self.history.put(now, Measure::Stall, millis);
        self.last_stall = stall.or(self.last_stall);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn leads(reigns: &mut Reigns, now: u64, epoch: u32) {
        reigns.look(at(now), Some((Epoch(epoch), at(now))));
    }

    #[test]
    fn a_new_epoch_is_an_election_and_the_time_before_it_a_stall() {
        let mut reigns = Reigns::default();
        reigns.look(at(100), None);
        [200, 450, 700].into_iter().for_each(|now| leads(&mut reigns, now, 6));
        assert_eq!((reigns.elections, reigns.last_stall), (0, None), "the first leader is no election that was seen");
        // It is not stale yet, but nobody has heard it since.
        reigns.look(at(900), Some((Epoch(6), at(700))));
        reigns.look(at(1_400), None);
        leads(&mut reigns, 1_500, 7);
        assert_eq!((reigns.elections, reigns.last_stall), (1, Some(at(800))));
        leads(&mut reigns, 1_600, 6);
        leads(&mut reigns, 1_700, 7);
        assert_eq!(reigns.elections, 1, "an old answer is no election");
    }

    #[test]
    fn a_quorum_that_comes_back_is_a_stall_and_no_election() {
        let mut reigns = Reigns::default();
        leads(&mut reigns, 0, 6);
        (1..=8).for_each(|look| reigns.look(at(look * 500), None));
        leads(&mut reigns, 4_200, 6);
        assert_eq!((reigns.elections, reigns.last_stall), (0, Some(at(4_200))));
    }

    #[test]
    fn a_leader_that_is_heard_late_led_all_the_same() {
        let mut reigns = Reigns::default();
        leads(&mut reigns, 0, 6);
        leads(&mut reigns, 1_400, 6);
        assert_eq!((reigns.elections, reigns.last_stall), (0, None));
    }

    #[test]
    fn while_the_console_stood_still_nothing_is_known() {
        let mut reigns = Reigns::default();
        leads(&mut reigns, 0, 6);
        reigns.look(at(60_000), None);
        leads(&mut reigns, 60_100, 7);
        assert_eq!((reigns.elections, reigns.last_stall), (1, None));
    }
}
