//! AckImpliesDurable (I2, rules B2, D2, D3, E1, I9): whatever a message testifies to is on the sender's true disk at
//! the moment the message leaves.

use super::{Verdict, ensure, holds};
use zw_core::ids::NodeId;
use zw_core::log::Recovered;
use zw_core::log::record::Promise;
use zw_core::zab::message::{Message, Standing};

const ACK: &str = "AckImpliesDurable";
const PROMISE: &str = "PromiseBeforeSpeech";

/// Checks a message that `from` sends to `to` against the sender's disk.
///
/// # Errors
/// The disk does not hold what the message claims.
pub fn check(from: NodeId, to: NodeId, message: &Message, disk: &Recovered) -> Verdict {
    let promise = disk.promise;
    match message {
        Message::Ack(ack) => {
            let last = disk.last_zxid();
            ensure!(holds(disk, ack.zxid), ACK, "node {from} acks {}, its disk ends at {last}", ack.zxid);
            ensure!(promise.epoch >= ack.epoch, PROMISE, "node {from} acks in {}, promised {promise:?}", ack.epoch);
        }
        Message::AckEpoch(ack) => {
            let last = disk.last_zxid();
            ensure!(holds(disk, ack.last_zxid), ACK, "node {from} reports {}, has {last}", ack.last_zxid);
            let spoken = Promise { epoch: ack.epoch, leader: to };
            ensure!(
                promise == spoken || promise.epoch > ack.epoch,
                PROMISE,
                "node {from} says it promised {spoken:?}, its disk says {promise:?}"
            );
        }
        Message::Hello(hello) => {
            let spoken = hello.promised;
            ensure!(promise.epoch >= spoken, PROMISE, "node {from} claims {spoken}, its disk says {promise:?}");
        }
        Message::NewEpoch(new) => leads(from, promise, new.epoch)?,
        Message::Append(append) => leads(from, promise, append.epoch)?,
        Message::Heartbeat(heartbeat) => leads(from, promise, heartbeat.epoch)?,
        Message::Truncate(truncate) => leads(from, promise, truncate.epoch)?,
        Message::Vote(vote) if vote.standing == Standing::Looking && vote.candidate.node == from => {
            let own = vote.candidate.zxid;
            ensure!(holds(disk, own), ACK, "node {from} votes with {own}, its disk ends at {}", disk.last_zxid());
        }
        _ => {}
    }
    Ok(())
}

fn leads(from: NodeId, promise: Promise, epoch: zw_core::ids::Epoch) -> Verdict {
    let own = Promise { epoch, leader: from };
    let held = promise == own || promise.epoch > epoch;
    ensure!(held, PROMISE, "node {from} speaks as leader of {epoch}, its disk says {promise:?}");
    Ok(())
}
