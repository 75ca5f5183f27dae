//! How clients behave in a world.

use crate::clock::{Micros, SECOND};
use crate::prng::Prng;

/// Requests and their pace.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Mean time between two requests of a client.
    pub think_mean: Micros,
    /// Most requests of a client at once.
    pub pipelining: usize,
    /// Of a thousand requests, how many are plain reads.
    pub read_per_mille: u64,
    /// Of a thousand requests, how many are reads behind a barrier.
    pub barrier_per_mille: u64,
    /// When a client gives up on a request.
    pub timeout: Micros,
    /// How many paths the clients use.
    pub paths: u64,
}

/// Sessions, watches and locks.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Of a thousand clients, how many use sessions.
    pub share_per_mille: u64,
    /// Of a thousand of these, how many do nothing but take a lock and give it back.
    pub lock_per_mille: u64,
    /// Of a thousand reads, how many leave a watch.
    pub watch_per_mille: u64,
    /// Of a thousand creates, how many are of the rarer kinds.
    pub rare_per_mille: u64,
    /// Most watches in one request that arms them again.
    pub rearm_batch: usize,
    /// Mean time until a client falls silent, closes its session or changes its node at a whim.
    pub whim_mean: Micros,
}

impl SessionOptions {
    /// Those of a world. They have a stream of their own, so that the rest of the world does not depend on them.
    #[must_use]
    pub fn of(mut prng: Prng) -> SessionOptions {
        SessionOptions {
            share_per_mille: prng.pick(&[0, 500, 800, 1_000]),
            lock_per_mille: prng.pick(&[0, 0, 0, 500, 1_000]),
            watch_per_mille: prng.pick(&[0, 100, 300, 800]),
            rare_per_mille: prng.pick(&[0, 200, 600]),
            rearm_batch: prng.pick(&[1, 3, 1_000]),
            whim_mean: prng.pick(&[2, 5, 30]) * SECOND,
        }
    }
}
