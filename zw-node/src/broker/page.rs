//! The broker's small page: the timeline, the brokers, the data.

use super::event::Ordered;
use super::view::View;
use std::fmt::Write as _;

/// Events shown on the page; `/data` has all.
const SHOWN_MAX: usize = 500;

/// The page of the broker at `port`.
pub(super) fn html(view: &View, port: &str) -> String {
    let events: Vec<&Ordered> = view.of(port).collect();
    let mut timeline = events.clone();
    // Stable: events of one minute stay in the order in which they were ordered.
    timeline.sort_by_key(|ordered| ordered.event.game_results.minute);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Broker {port}</title>\n\
         <h1>Ordered List of Football Goals Timeline</h1>\n<p>Broker {port}; alive: {}; {} events{}</p>\n<ul>\n",
        escape(&view.brokers.join(", ")),
        events.len(),
        if view.in_touch { "" } else { "; <strong>no contact with the ensemble, this may be old</strong>" },
    );
    for ordered in timeline.iter().take(SHOWN_MAX) {
        let game = &ordered.event.game_results;
        let _ = writeln!(
            page,
            "<li>{} mins - {} ({}) - Score: {}</li>",
            game.minute,
            escape(&game.player),
            escape(&game.club),
            escape(&game.score)
        );
    }
    let data = serde_json::to_string_pretty(&events[..events.len().min(SHOWN_MAX)]).unwrap_or_default();
    let _ = writeln!(page, "</ul>\n<h2>Data:</h2>\n<pre>{}</pre>\n</html>", escape(&data));
    page
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeline_is_by_minute_and_nothing_is_markup() {
        let mut view = View::new("h".into());
        for (number, minute, player) in [(1, 90, "Late"), (2, 5, "<b>"), (3, 5, "Second")] {
            let text = format!(
                r#"{{"Name":"e{number:010}","Zxid":{number},"Minute":{minute},"Player":"{player}","Club":"C","Score":"1-0",
                "SenderIp":"9090","ReceiverIp":"8080","Clients":"9090","Timestamp":"","RequestId":"r"}}"#
            );
            view.push(serde_json::from_str(&text).unwrap());
        }
        let page = html(&view, "9090");
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing in {page}"));
        assert!(
            at("5 mins - &lt;b&gt; (C) - Score: 1-0") < at("5 mins - Second")
                && at("5 mins - Second") < at("90 mins - Late")
        );
        assert!(!page.contains("<b>"));
        assert!(!html(&view, "9091").contains("Late"));
    }
}
