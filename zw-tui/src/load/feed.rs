//! A producer of football events, and a reader of the brokers' pages: a little HTTP, one connection for each request.
//!
//! A request that has no good answer is sent again, with its id, to the next broker: it is done once whatever happens.

use crate::model::feed::{FeedPlan, FeedReport, Page, PageEvent};
use crate::model::message::Msg;
use serde::Deserialize;
use serde_json::json;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, timeout};

/// How long a broker may take for an answer: it waits for a leader itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before a request is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long one event is tried.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two reports.
const REPORT_PAUSE: Duration = Duration::from_millis(250);
/// The longest page that is read.
const PAGE_BYTES_MAX: u64 = 16 << 20;
const PLAYERS: [(&str, &str); 4] = [("Messi", "FCB"), ("Ronaldo", "RMA"), ("Pele", "MU"), ("Maradona", "FCB")];

/// Sends the events of a plan, one after the other.
pub async fn run(run: u32, plan: FeedPlan, brokers: Vec<String>, messages: Sender<Msg>) {
    let name = format!("zw-tui-{:016x}-", RandomState::new().hash_one(run));
    let began = Instant::now();
    let (mut last, mut told) = (began, began);
    let mut report = FeedReport {
        name,
        acknowledged: 0,
        repeated: 0,
        longest_gap: Duration::ZERO,
        took: Duration::ZERO,
        is_over: false,
        failure: None,
        trouble: None,
    };
    let mut broker = plan.broker;
    for number in 1..=plan.count {
        let receiver = plan.receivers.get(number as usize % plan.receivers.len().max(1)).map(String::as_str);
        let mut body = body(&brokers, &report.name, number, receiver);
        if plan.dies_every.is_some_and(|every| number % every == 0) {
            // This producer dies with its request under way; the next one cannot know what became of it.
            let _ = send(&brokers[broker % brokers.len()], "POST /addScore", &body).await;
            report.repeated += 1;
        }
        let sent = Instant::now();
        let failure = loop {
            match post(&brokers[broker % brokers.len()], &body).await {
                Ok(()) => break None,
                Err(reason) if sent.elapsed() >= PATIENCE => break Some(reason),
                Err(reason) => {
                    broker += 1;
                    report.repeated += 1;
                    report.trouble = Some(reason);
                    // The node that it was to go through may be what is gone.
                    body = self::body(&brokers, &report.name, number, None);
                    sleep(RETRY_PAUSE).await;
                }
            }
        };
        let now = Instant::now();
        if failure.is_none() {
            report.acknowledged += 1;
            report.longest_gap = report.longest_gap.max(now - last);
            last = now;
        }
        report.took = began.elapsed();
        report.is_over = number == plan.count || failure.is_some();
        report.failure = failure;
        report.trouble = report.trouble.filter(|_| !report.is_over);
        if report.is_over || now - told >= REPORT_PAUSE {
            told = now;
            let message = Msg::Feed { run, report: Box::new(report.clone()) };
            if messages.send(message).await.is_err() || report.is_over {
                return;
            }
        }
    }
}

fn body(brokers: &[String], name: &str, number: u32, receiver: Option<&str>) -> String {
    let port = |address: &String| address.rsplit(':').next().unwrap_or_default().to_owned();
    let clients: Vec<String> = brokers.iter().map(port).collect();
    let (player, club) = PLAYERS[number as usize % PLAYERS.len()];
    json!({
        "metadata": { "ReceiverIp": receiver, "Clients": clients.join(","), "RequestId": format!("{name}{number}") },
        "gameResults": { "Minute": number, "Player": player, "Club": club, "Score": format!("{}-0", number / 50) },
    })
    .to_string()
}

async fn post(broker: &str, body: &str) -> Result<(), String> {
    let answered = async {
        let socket = send(broker, "POST /addScore", body).await?;
        receive(socket).await
    };
    match timeout(ANSWER_TIMEOUT, answered).await {
        Ok(Ok((200, _))) => Ok(()),
        Ok(Ok((status, answer))) => Err(format!("{status}: {}", answer.chars().take(200).collect::<String>())),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".into()),
    }
}

/// Reads the pages of all brokers.
pub async fn pages(brokers: Vec<(String, String)>, messages: Sender<Msg>) {
    let mut pages = Vec::new();
    for (name, address) in brokers {
        pages.push((name, page(&address).await));
    }
    // Nobody waits for them if the console ends.
    let _ = messages.send(Msg::Pages(pages)).await;
}

async fn page(broker: &str) -> Page {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Shown {
        zxid: u64,
        minute: u32,
        request_id: String,
    }
    let answered = async {
        let socket = send(broker, "GET /data", "").await?;
        receive(socket).await
    };
    let answer = match timeout(ANSWER_TIMEOUT, answered).await {
        Ok(Ok((200, answer))) => answer,
        Ok(Ok((status, _))) => return Err(format!("status {status}")),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("no answer in time".into()),
    };
    let shown: Vec<Shown> = serde_json::from_str(&answer).map_err(|error| format!("no page: {error}"))?;
    let event = |event: Shown| PageEvent { zxid: event.zxid, minute: event.minute, request: event.request_id };
    Ok(shown.into_iter().map(event).collect())
}

async fn send(broker: &str, what: &str, body: &str) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(broker).await?;
    let length = body.len();
    let request = format!(
        "{what} HTTP/1.1\r\nHost: {broker}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).await?;
    Ok(socket)
}

/// The status and the body. The broker sends each answer whole, with its length, and closes.
async fn receive(socket: TcpStream) -> io::Result<(u16, String)> {
    let mut answer = String::new();
    socket.take(PAGE_BYTES_MAX).read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}
