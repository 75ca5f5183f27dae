//! What the tasks tell the screen's loop, on its way there: stamped with its time, and held back while the display is frozen.
//!
//! ```text
//! tasks ── bounded channel ── a task on the workers: stamps ──> a bounded queue ── the loop takes it when it wakes
//! ```
//!
//! Invariants:
//! - Nothing is lost and nothing changes its place. Where the queue is full the tasks wait, as they do for a full channel.
//! - Each message has the time at which it came, however late it is taken: what is recorded of the past is as exact as ever.
//! - While nobody waits for them, messages wake the loop at most once in [`CALM_INTERVAL`], or when the queue is half full.
//!   The loop may take them at any time, and does so before each key.

use crate::model::message::Msg;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};

/// Messages that wait to be taken.
const QUEUE_MAX: usize = 1_024;
/// A message waits so long at most while nobody waits for it.
pub const CALM_INTERVAL: Duration = Duration::from_secs(1);

/// The loop's end of the way.
#[derive(Debug)]
pub struct Arrivals {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// The loop may have something to take.
    news: Notify,
    /// The queue has room again.
    room: Notify,
}

/// What waits to be taken, and when the loop is to be woken for it.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Instant, Msg)>,
    is_calm: bool,
}

impl Queue {
    /// When the loop is to wake; at once is any time that has passed. None if there is nothing to wake for.
    fn wake_at(&self) -> Option<Instant> {
        let (oldest, _) = self.waiting.front()?;
        let may_wait = self.is_calm && self.waiting.len() < QUEUE_MAX / 2;
        Some(if may_wait { *oldest + CALM_INTERVAL } else { *oldest })
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= QUEUE_MAX
    }
}

impl Arrivals {
    /// Begins to take from a channel, on these workers.
    #[must_use]
    pub fn start(workers: &Handle, messages: Receiver<Msg>) -> Arrivals {
        let shared = Arc::new(Shared::default());
        workers.spawn(relay(messages, Arc::clone(&shared)));
        Arrivals { shared }
    }

    /// Whether messages may wait from now on.
    pub fn set_calm(&self, is_calm: bool) {
        let was_calm = std::mem::replace(&mut self.shared.queue().is_calm, is_calm);
        if was_calm != is_calm {
            // What waits already goes by the former rule.
            self.shared.news.notify_one();
        }
    }

    /// Waits until there is something that should be taken now. Nothing is lost if the wait is given up.
    pub async fn wait(&self) {
        if self.shared.queue().wake_at().is_some_and(|at| at <= Instant::now()) {
            return;
        }
        loop {
            self.shared.news.notified().await;
            if !self.shared.queue().waiting.is_empty() {
                return;
            }
        }
    }

    /// The oldest message that was not taken, and when it came.
    #[must_use]
    pub fn take(&self) -> Option<(Instant, Msg)> {
        let mut queue = self.shared.queue();
        if queue.is_full() {
            self.shared.room.notify_one();
        }
        queue.waiting.pop_front()
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends with the tasks that tell something.
async fn relay(mut messages: Receiver<Msg>, shared: Arc<Shared>) {
    loop {
        let (wake_at, is_full) = {
            let queue = shared.queue();
            (queue.wake_at(), queue.is_full())
        };
        let later = wake_at.filter(|at| *at > Instant::now());
        if wake_at.is_some() && later.is_none() {
            shared.news.notify_one();
        }
        tokio::select! {
            () = sleep_until(later.unwrap_or_else(Instant::now)), if later.is_some() => {}
            () = shared.room.notified(), if is_full => {}
            message = messages.recv(), if !is_full => match message {
                Some(message) => shared.queue().waiting.push_back((Instant::now(), message)),
                // Nothing will come that could wake the loop for what waits still.
                None => return shared.news.notify_one(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{Sender, channel};

    fn begin() -> (Sender<Msg>, Arrivals) {
        let (sender, messages) = channel(4);
        (sender, Arrivals::start(&Handle::current(), messages))
    }

    fn all(arrivals: &Arrivals) -> Vec<(Instant, String)> {
        let text = |message| match message {
            Msg::Note(text) => text,
            other => panic!("{other:?} is none of ours"),
        };
        std::iter::from_fn(|| arrivals.take()).map(|(at, message)| (at, text(message))).collect()
    }

    async fn tell(sender: &Sender<Msg>, number: usize) {
        sender.send(Msg::Note(number.to_string())).await.unwrap();
    }

    fn are_in_order(taken: &[(Instant, String)]) -> bool {
        taken.is_sorted_by_key(|(at, _)| *at)
            && taken.iter().enumerate().all(|(number, (_, text))| *text == number.to_string())
    }

    /// An hour of messages, one each 25 ms, as the relay handles them: the loop wakes once a second, and each message is
    /// taken once, in its order, with its time.
    #[test]
    fn while_nobody_waits_the_loop_wakes_once_a_second_and_nothing_is_lost() {
        let began = Instant::now();
        let mut queue = Queue { is_calm: true, ..Queue::default() };
        let (mut taken, mut wakes) = (Vec::new(), 0_u32);
        for number in 0..144_000_u32 {
            let now = began + Duration::from_millis(25) * number;
            if queue.wake_at().is_some_and(|at| at <= now) {
                wakes += 1;
                taken.extend(queue.waiting.drain(..).map(|(at, _)| at));
            }
            queue.waiting.push_back((now, Msg::Tick));
        }
        taken.extend(queue.waiting.drain(..).map(|(at, _)| at));
        assert!((3_500..=3_600).contains(&wakes), "{wakes}");
        assert!(taken.into_iter().eq((0..144_000).map(|number| began + Duration::from_millis(25) * number)));
        assert_eq!(queue.wake_at(), None, "nothing is waited for when nothing comes");
    }

    #[test]
    fn it_wakes_at_once_when_somebody_waits_or_when_there_is_too_much() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.waiting.push_back((now, Msg::Tick));
        assert_eq!(queue.wake_at(), Some(now));
        queue.is_calm = true;
        assert_eq!(queue.wake_at(), Some(now + CALM_INTERVAL));
        queue.waiting.extend((0..QUEUE_MAX / 2).map(|_| (now, Msg::Tick)));
        assert_eq!(queue.wake_at(), Some(now));
    }

    #[tokio::test]
    async fn what_was_held_back_is_there_before_its_time_and_calm_ends_at_once() {
        let (sender, arrivals) = begin();
        arrivals.set_calm(true);
        let mut taken = Vec::new();
        tell(&sender, 0).await;
        // A key looks by itself.
        while taken.is_empty() {
            tokio::task::yield_now().await;
            taken.extend(all(&arrivals));
        }
        tell(&sender, 1).await;
        arrivals.set_calm(false);
        arrivals.wait().await;
        taken.extend(all(&arrivals));
        assert!(are_in_order(&taken) && taken.len() == 2 && taken[1].0.elapsed() < CALM_INTERVAL);
    }

    #[tokio::test]
    async fn a_flood_wakes_the_loop_and_what_does_not_fit_waits_with_its_task() {
        const FLOOD: usize = 3 * QUEUE_MAX;
        let (sender, arrivals) = begin();
        arrivals.set_calm(true);
        let flood = tokio::spawn(async move {
            for number in 0..FLOOD {
                tell(&sender, number).await;
            }
        });
        while !arrivals.shared.queue().is_full() {
            tokio::task::yield_now().await;
        }
        assert!(!flood.is_finished());
        let mut taken = Vec::new();
        while taken.len() < FLOOD {
            arrivals.wait().await;
            assert!(arrivals.shared.queue().waiting.len() <= QUEUE_MAX);
            taken.extend(all(&arrivals));
        }
        assert!(are_in_order(&taken));
        flood.await.unwrap();
    }
}
