//! What can be copied of what is under the cursor.

use super::message::Effect;
use super::overlay::Overlay;
use super::page;
use super::select::{clock, printable};
use super::write::quoted;
use super::{Pane, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use zw_core::tree::command::Stat;

/// What of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Yank {
    /// Its name.
    Name,
    /// What it holds.
    Value,
    /// Where it is.
    Path,
    /// The entry that last changed it.
    Zxid,
    /// All of it.
    Json,
    /// The line of `zw` that shows it.
    Line,
}

/// Copies it, or says why not.
///
/// # Errors
/// Why there is nothing to copy.
pub fn yank(state: &State, now: Duration, what: Yank) -> Result<Vec<Effect>, String> {
    let (what, text) = match (&state.overlay, state.focus()) {
        (Some(Overlay::Text { page, .. }), _) => {
            let lines: Vec<String> = page.lines(state, now).into_iter().map(|(line, _)| line).collect();
            ("the text".to_owned(), lines.join("\n"))
        }
        (Some(Overlay::Output(printed)), _) => {
            let lines = printed.lines.as_deref().ok_or("the output is not known yet")?;
            (format!("the output of {}", printed.member), lines.join("\n"))
        }
        (_, Pane::Tree) => of_znode(state, what)?,
        (_, Pane::Events) => of_event(state, what)?,
        _ => of_member(state, now, what)?,
    };
    Ok(vec![Effect::Copy { what, text }])
}

fn of_znode(state: &State, what: Yank) -> Result<(String, String), String> {
    let path = state.tree.selected_znode().ok_or("no znode is selected")?;
    let address = state.nodes.get(state.tree.node).map_or("", |node| node.address.as_str());
    let shown = printable(path.as_bytes(), 60);
    let content = || match &state.tree.value {
        Some(value) if value.path == path => value.content.clone(),
        _ => Err("its value is not read yet".to_owned()),
    };
    Ok(match what {
        Yank::Name => ("the name".into(), super::tree::name_of(&path).to_owned()),
        Yank::Path => ("the path".into(), path),
        Yank::Line => ("the command".into(), format!("zw get {} --servers {address}", quoted(&path))),
        Yank::Value => (format!("the value of {shown}"), text_or_hex(&content()?.0)),
        Yank::Zxid => (format!("the zxid of {shown}"), content()?.1.mzxid.to_string()),
        Yank::Json => {
            let (data, stat) = content()?;
            (format!("the JSON of {shown}"), of_stat(&path, &stat, &text_or_hex(&data)))
        }
    })
}

/// A text as it is; anything else as hexadecimal digits.
fn text_or_hex(data: &[u8]) -> String {
    match std::str::from_utf8(data) {
        Ok(text) => text.to_owned(),
        Err(_) => data.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn of_stat(path: &str, stat: &Stat, data: &str) -> String {
    let json = json!({
        "path": path,
        "data": data,
        "version": stat.version,
        "czxid": stat.czxid.to_string(),
        "mzxid": stat.mzxid.to_string(),
        "children": stat.num_children,
        "ephemeral_owner": stat.ephemeral_owner.0,
    });
    json.to_string()
}

fn of_event(state: &State, what: Yank) -> Result<(String, String), String> {
    let event = state.events.selected().ok_or("there is no event")?;
    let (at, source) = (clock(event.at), event.source.to_string());
    Ok(match what {
        Yank::Value => ("the event".into(), format!("{at} {source} {}", event.text)),
        Yank::Name => ("the name".into(), event.member().map_or(source, |member| member.to_string())),
        Yank::Json => ("the JSON".into(), json!({ "at": at, "source": source, "text": event.text }).to_string()),
        Yank::Path | Yank::Zxid | Yank::Line => return Err("an event has none; v copies it, j as JSON".into()),
    })
}

fn of_member(state: &State, now: Duration, what: Yank) -> Result<(String, String), String> {
    let member = state.selected().ok_or("nothing is selected")?;
    let node = state.nodes.get(member.index()).filter(|_| member.is_node());
    let address = match (node, state.brokers.get(member.index())) {
        (Some(node), _) => &node.address,
        (None, Some(broker)) => &broker.address,
        (None, None) => return Err("nothing is selected".into()),
    };
    let status = || -> Result<_, String> {
        let node = node.ok_or("a broker has none")?;
        node.sight.status.as_deref().ok_or_else(|| format!("{member} has not answered yet"))
    };
    Ok(match what {
        Yank::Name => ("the name".into(), member.to_string()),
        Yank::Path => (format!("the address of {member}"), address.clone()),
        Yank::Line if node.is_some() => ("the command".into(), format!("zw status --servers {address}")),
        Yank::Line => return Err("no command of zw shows a broker".into()),
        Yank::Zxid => (format!("the zxid of {member}"), status()?.applied_zxid.to_string()),
        Yank::Json => {
            let json = serde_json::to_string(status()?).map_err(|error| error.to_string())?;
            (format!("the status of {member}"), json)
        }
        Yank::Value => {
            let lines: Vec<String> = page::lines(state, now).into_iter().map(|(line, _)| line).collect();
            (format!("the page of {member}"), lines.join("\n"))
        }
    })
}
