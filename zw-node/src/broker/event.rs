//! The football events: what a producer sends, what lies in the ensemble, what a reader gets.
//!
//! What a producer sends is checked field by field before anything is written; what lies in the ensemble is what this
//! module wrote.

use serde::{Deserialize, Serialize};
use zw_core::limits::BROKER_CLIENTS_MAX;

/// The body of `POST /addScore`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddScore {
    pub(super) metadata: Metadata,
    #[serde(rename = "gameResults")]
    pub(super) game_results: GameResults,
}

/// Where the event is to go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Metadata {
    /// Port of the node that the broker is to write to; any if it is missing.
    #[serde(default)]
    pub(super) receiver_ip: Option<String>,
    /// Ports of the brokers in the cluster, from this event on.
    pub(super) clients: String,
    /// The producer's name for this request: sent twice, it is done once. Made up if it is missing.
    #[serde(default)]
    pub(super) request_id: Option<String>,
}

/// The event itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct GameResults {
    pub(super) minute: u32,
    pub(super) player: String,
    pub(super) club: String,
    pub(super) score: String,
}

/// An event as it lies in the ensemble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Event {
    #[serde(flatten)]
    pub(super) game_results: GameResultsStored,
    /// Port of the broker that took it.
    pub(super) sender_ip: String,
    /// Port of the node that the broker wrote to.
    pub(super) receiver_ip: String,
    /// The brokers that it was sent to.
    pub(super) clients: String,
    /// When the broker took it.
    pub(super) timestamp: String,
    pub(super) request_id: String,
}

/// [`GameResults`] within an [`Event`]: serde cannot flatten what denies unknown fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GameResultsStored {
    pub(super) minute: u32,
    pub(super) player: String,
    pub(super) club: String,
    pub(super) score: String,
}

/// An event with its place in the one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Ordered {
    /// The znode's name; names rise with the zxid.
    pub(super) name: String,
    /// The entry that ordered it.
    pub(super) zxid: u64,
    #[serde(flatten)]
    pub(super) event: Event,
}

/// A version of a sender's Clients list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ClientsRow {
    pub(super) sender_ip: String,
    pub(super) receiver_ip: String,
    pub(super) clients: String,
    pub(super) version: i32,
    pub(super) timestamp: String,
}

/// Greatest minute of a match: extra time and stoppage included.
const MINUTE_MAX: u32 = 200;
/// Longest name of a player or club.
const NAME_CHARS_MAX: usize = 100;
/// Longest request id.
const REQUEST_ID_CHARS_MAX: usize = 64;

impl AddScore {
    /// Reads and checks a request's body; the error says what is wrong with it.
    pub(super) fn parse(body: &[u8]) -> Result<AddScore, String> {
        let mut request: AddScore = serde_json::from_slice(body).map_err(|error| format!("wrong JSON: {error}"))?;
        let game = &request.game_results;
        if game.minute > MINUTE_MAX {
            return Err(format!("gameResults.Minute is {}; a match has at most {MINUTE_MAX}", game.minute));
        }
        check_name("Player", &game.player)?;
        check_name("Club", &game.club)?;
        check_score(&game.score)?;
        request.metadata.clients = canonical_clients(&request.metadata.clients)?;
        if let Some(id) = &request.metadata.request_id {
            let fits = (1..=REQUEST_ID_CHARS_MAX).contains(&id.len());
            if !fits || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                let reason = "metadata.RequestId must be 1 to 64 of A-Z a-z 0-9 - _";
                return Err(reason.to_owned());
            }
        }
        Ok(request)
    }
}

impl From<GameResults> for GameResultsStored {
    fn from(game: GameResults) -> GameResultsStored {
        GameResultsStored { minute: game.minute, player: game.player, club: game.club, score: game.score }
    }
}

fn check_name(field: &str, name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(format!("gameResults.{field} must be 1 to {NAME_CHARS_MAX} printable characters"));
    }
    Ok(())
}

fn check_score(score: &str) -> Result<(), String> {
    let is_goals = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    match score.split_once('-') {
        Some((home, away)) if is_goals(home) && is_goals(away) => Ok(()),
        _ => Err(format!("gameResults.Score is {score:?}; write it as 2-1")),
    }
}

/// The ports of a Clients list, in order and without blanks, so that equal lists are equal texts.
fn canonical_clients(text: &str) -> Result<String, String> {
    let wrong = |part: &str| format!("metadata.Clients has {part:?}; write ports with commas, for example 9090,9091");
    let mut ports = Vec::new();
    for part in text.split(',').map(str::trim) {
        let port: u16 = part.parse().map_err(|_| wrong(part))?;
        if port == 0 || ports.contains(&port) {
            return Err(wrong(part));
        }
        ports.push(port);
    }
    if ports.len() > BROKER_CLIENTS_MAX {
        return Err(format!("metadata.Clients has {} brokers; at most {BROKER_CLIENTS_MAX} are possible", ports.len()));
    }
    ports.sort_unstable();
    Ok(ports.iter().map(u16::to_string).collect::<Vec<_>>().join(","))
}

/// Whether `port` is in a Clients list.
pub(super) fn lists(clients: &str, port: &str) -> bool {
    clients.split(',').any(|client| client == port)
}

/// Now, as the first ZooWeeper wrote it: ISO 8601 with milliseconds.
pub(super) fn timestamp() -> String {
    humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::broker) const GOOD: &str = r#"{"metadata":{"ReceiverIp":"8081","Clients":"9091, 9090"},
        "gameResults":{"Minute":1,"Player":"Messi","Club":"FCB","Score":"2-1"}}"#;

    #[test]
    fn the_readme_request_is_taken() {
        let request = AddScore::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(request.metadata.clients, "9090,9091", "in order, without blanks");
        assert_eq!(request.metadata.receiver_ip.as_deref(), Some("8081"));
        assert_eq!((request.game_results.minute, request.game_results.score.as_str()), (1, "2-1"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, reason) in [
            ("\"Minute\":1,", "", "missing field `Minute`"),
            ("\"Minute\":1", "\"Minute\":-1", "invalid value"),
            ("\"Minute\":1", "\"Minute\":\"1\"", "invalid type"),
            ("\"Minute\":1", "\"Minute\":201", "at most 200"),
            ("\"Minute\":1", "\"Minutes\":1", "unknown field `Minutes`"),
            ("\"Score\":\"2-1\"", "\"Score\":\"two\"", "write it as 2-1"),
            ("Messi", " ", "gameResults.Player"),
            ("FCB", "a\\u0007", "gameResults.Club"),
            ("9091, 9090", "9091,", "metadata.Clients has \"\""),
            ("9091, 9090", "9091,9091", "metadata.Clients has \"9091\""),
            ("9091, 9090", "99999", "metadata.Clients has \"99999\""),
            ("\"Clients\"", "\"RequestId\":\"a/b\",\"Clients\"", "metadata.RequestId"),
            ("}}", "}", "wrong JSON"),
        ] {
            let body = GOOD.replace(from, to);
            assert_ne!(body, GOOD, "the case {from} changes nothing");
            let error = AddScore::parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{error:?} does not say {reason:?}");
        }
        assert!(AddScore::parse(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn a_list_has_whole_ports() {
        assert!(lists("9090,9091", "9091") && !lists("9090,9091", "909") && !lists("", "9090"));
    }
}
