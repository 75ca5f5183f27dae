//! Where the brokers' znodes lie.
//!
//! | znode | what |
//! |---|---|
//! | `/brokers/<port>` | ephemeral: a broker that is alive |
//! | `/clients/<sender>` | the newest Clients list of a sender; its version counts the changes |
//! | `/clients/<sender>/v<number>` | each version of it |
//! | `/events/e<number>` | sequential: an event; the order of the names is the order of the zxids |
//! | `/requests/<id>` | made in one transaction with the event: a request is done once |

/// Parent of the brokers that are alive.
pub(super) const BROKERS: &str = "/brokers";
/// Parent of the senders.
pub(super) const CLIENTS: &str = "/clients";
/// Parent of the events; its data names this history.
pub(super) const EVENTS: &str = "/events";
/// Parent of the requests that are done.
pub(super) const REQUESTS: &str = "/requests";
/// What a sequential event's path begins with.
pub(super) const EVENT_PREFIX: &str = "/events/e";

/// What an event's name begins with; its number follows.
pub(super) const EVENT_NAME: &str = "e";

/// Whether the ensemble may have given this name to an event, when it has made `made` names at most.
pub(super) fn is_event_name(name: &str, made: i32) -> bool {
    let number = name.strip_prefix(EVENT_NAME).filter(|number| number.len() == 10);
    let number = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    number.and_then(|number| number.parse::<i32>().ok()).is_some_and(|number| number <= made)
}

/// A broker that is alive.
pub(super) fn broker(port: &str) -> String {
    format!("{BROKERS}/{port}")
}

/// The newest list of a sender.
pub(super) fn sender(port: &str) -> String {
    format!("{CLIENTS}/{port}")
}

/// A version of a sender's list.
pub(super) fn sender_version(port: &str, version: i32) -> String {
    format!("{CLIENTS}/{port}/v{version:010}")
}

/// An event by its name.
pub(super) fn event(name: &str) -> String {
    format!("{EVENTS}/{name}")
}

/// A request that is done.
pub(super) fn request(id: &str) -> String {
    format!("{REQUESTS}/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_ensemble_are_events() {
        assert!(is_event_name("e0000000007", 7) && is_event_name("e0000000000", 0));
        for wrong in ["", "e", "e7", "x0000000001", "e000000000a", "e00000000001", "e0000000008", "e9999999999", "zzz"]
        {
            assert!(!is_event_name(wrong, 7), "{wrong}");
        }
    }
}
