//! The football events: what a producer sends, what lies in the ensemble, what a reader gets.
//!
//! What a producer sends is checked field by field before anything is written; what lies in the ensemble is what this
//! module wrote.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zw_core::limits::BROKER_CLIENTS_MAX;

/// The body of `POST /addScore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddScore {
    pub(super) metadata: Metadata,
    pub(super) game_results: GameResults,
}

/// Where the event is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// Port of the node that the broker is to write to; any if it is missing.
    pub(super) receiver_ip: Option<String>,
    /// Ports of the brokers in the cluster, from this event on.
    pub(super) clients: String,
    /// The producer's name for this request: sent twice, it is done once. Made up if it is missing.
    pub(super) request_id: Option<String>,
}

/// The event itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
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
    pub(super) game_results: GameResults,
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
        let body: Value = serde_json::from_slice(body).map_err(|error| format!("wrong JSON: {error}"))?;
        let body = Fields::of(&body, "", &["metadata", "gameResults"])?;
        let metadata = Fields::of(body.value("metadata")?, "metadata.", &["ReceiverIp", "Clients", "RequestId"])?;
        let game = Fields::of(body.value("gameResults")?, "gameResults.", &["Minute", "Player", "Club", "Score"])?;
        let game = GameResults {
            minute: game.minute()?,
            player: game.name("Player", "Messi")?,
            club: game.name("Club", "FCB")?,
            score: checked_score(game.text("Score", "2-1")?)?,
        };
        let metadata = Metadata {
            receiver_ip: metadata.optional_text("ReceiverIp", "8081")?,
            clients: canonical_clients(&metadata.text("Clients", "9090,9091")?)?,
            request_id: metadata.optional_text("RequestId", "goal-17")?.map(checked_request_id).transpose()?,
        };
        Ok(AddScore { metadata, game_results: game })
    }
}

/// An object of a request whose fields are all known. Read by hand, so that what is wrong is told in the words of who
/// wrote it: the field's whole name, what it has, and an example of what it may have.
struct Fields<'a> {
    /// What the names of its fields begin with.
    prefix: &'static str,
    known: &'static [&'static str],
    fields: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn of(value: &'a Value, prefix: &'static str, known: &'static [&'static str]) -> Result<Fields<'a>, String> {
        let whole = Some(prefix.trim_end_matches('.')).filter(|name| !name.is_empty()).unwrap_or("the body");
        let names = known.join(", ");
        let Value::Object(fields) = value else {
            return Err(format!("wrong JSON: {whole} is {}; write an object with {names}", brief(value)));
        };
        match fields.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(format!("unknown field `{}` in {whole}; there are {names}", shortened(key))),
            None => Ok(Fields { prefix, known, fields }),
        }
    }

    fn value(&self, name: &str) -> Result<&'a Value, String> {
        let missing = || format!("missing field `{}{name}`; there must be {}", self.prefix, self.known.join(", "));
        self.fields.get(name).ok_or_else(missing)
    }

    fn text(&self, name: &str, example: &str) -> Result<String, String> {
        match self.value(name)? {
            Value::String(text) => Ok(text.clone()),
            other => Err(format!("{}{name} is {}; write a text, for example {example:?}", self.prefix, brief(other))),
        }
    }

    /// As [`Fields::text`], but it may be missing or null.
    fn optional_text(&self, name: &str, example: &str) -> Result<Option<String>, String> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.text(name, example).map(Some),
        }
    }

    fn minute(&self) -> Result<u32, String> {
        let minute = self.value("Minute")?;
        match minute.as_u64().and_then(|minute| u32::try_from(minute).ok()) {
            Some(minute) if minute <= MINUTE_MAX => Ok(minute),
            Some(minute) => Err(format!("gameResults.Minute is {minute}; a match has at most {MINUTE_MAX}")),
            None => Err(format!("gameResults.Minute is {}; write a number from 0 to {MINUTE_MAX}", brief(minute))),
        }
    }

    fn name(&self, field: &str, example: &str) -> Result<String, String> {
        let name = self.text(field, example)?;
        check_name(field, &name)?;
        Ok(name)
    }
}

/// A value as it stands in the request, or what it is if that would be long.
fn brief(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => shortened(&other.to_string()),
    }
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    if text.chars().count() <= CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(CHARS_MAX).chain("...".chars()).collect()
}

fn checked_request_id(id: String) -> Result<String, String> {
    let fits = (1..=REQUEST_ID_CHARS_MAX).contains(&id.len());
    if fits && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        Ok(id)
    } else {
        Err(format!("metadata.RequestId must be 1 to {REQUEST_ID_CHARS_MAX} of A-Z a-z 0-9 - _"))
    }
}

fn check_name(field: &str, name: &str) -> Result<(), String> {
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(format!("gameResults.{field} must be 1 to {NAME_CHARS_MAX} printable characters"));
    }
    Ok(())
}

fn checked_score(score: String) -> Result<String, String> {
    let is_goals = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    match score.split_once('-') {
        Some((home, away)) if is_goals(home) && is_goals(away) => Ok(score),
        _ => Err(format!("gameResults.Score is {:?}; write it as 2-1", shortened(&score))),
    }
}

/// The ports of a Clients list, in order and without blanks, so that equal lists are equal texts.
fn canonical_clients(text: &str) -> Result<String, String> {
    let wrong = |part: &str| {
        format!("metadata.Clients has {:?}; write ports with commas, for example 9090,9091", shortened(part))
    };
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
            ("\"Minute\":1,", "", "missing field `gameResults.Minute`"),
            ("\"Minute\":1", "\"Minute\":-1", "gameResults.Minute is -1; write a number"),
            ("\"Minute\":1", "\"Minute\":1.5", "gameResults.Minute is 1.5; write a number"),
            ("\"Minute\":1", "\"Minute\":\"1\"", "gameResults.Minute is \"1\"; write a number"),
            ("\"FCB\"", "7", "gameResults.Club is 7; write a text, for example \"FCB\""),
            ("\"8081\"", "8081", "metadata.ReceiverIp is 8081; write a text, for example \"8081\""),
            ("\"Clients\":\"9091, 9090\"", "\"ReceiverIP\":1", "unknown field `ReceiverIP` in metadata; there are Rec"),
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
    fn another_shape_is_told_the_right_one_and_nothing_of_our_source() {
        let metadata = r#"{"Clients":"9090"}"#;
        for (body, reason) in [
            ("[]", "the body is an array; write an object with metadata, gameResults"),
            ("7", "the body is 7; write an object"),
            ("{}", "missing field `metadata`; there must be metadata, gameResults"),
            (&format!(r#"[{metadata},[1,"Messi","FCB","2-1"]]"#), "the body is an array"),
            (&format!(r#"{{"metadata":{metadata},"gameResults":[1,"Messi","FCB","2-1"]}}"#), "gameResults is an array"),
            (&format!(r#"{{"metadata":{metadata},"gameResults":null}}"#), "gameResults is null"),
            (&format!("\"{}\"", "x".repeat(1_000)), "xxx...; write an object"),
        ] {
            let error = AddScore::parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{error:?} does not say {reason:?}");
            assert!(["struct", "AddScore", "u32", "line"].iter().all(|word| !error.contains(word)), "{error}");
            assert!(error.len() < 200, "{error}");
        }
    }

    #[test]
    fn a_list_has_whole_ports() {
        assert!(lists("9090,9091", "9091") && !lists("9090,9091", "909") && !lists("", "9090"));
    }
}
