//! Asks one broker for its status over HTTP, again and again.

use super::{Pace, READ_TIMEOUT};
use crate::model::broker::{BROKER_POLL_INTERVAL, BROKER_POLL_INTERVAL_CALM, BrokerStatus};
use crate::model::message::Msg;
use serde_json::Value;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

/// A status with very many senders; a longer answer is none.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Ends when the console does.
pub(super) async fn poll(broker: usize, address: String, mut pace: Pace, messages: Sender<Msg>) {
    loop {
        let answer = timeout(READ_TIMEOUT, ask(&address)).await;
        let status = answer.ok().and_then(Result::ok).and_then(|answer| parse(&answer));
        if messages.send(Msg::Broker { broker, status }).await.is_err() {
            return;
        }
        pace.wait(BROKER_POLL_INTERVAL, BROKER_POLL_INTERVAL_CALM).await;
    }
}

/// One request on one connection, which the broker closes after its answer.
async fn ask(address: &str) -> io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(format!("GET /status HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    socket.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Understands an answer. What an older broker does not tell is left unknown.
fn parse(answer: &[u8]) -> Option<BrokerStatus> {
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = (&answer[..head_end], &answer[head_end + 4..]);
    if head.split(|byte| *byte == b' ').nth(1) != Some(b"200") {
        return None;
    }
    let said: Value = serde_json::from_slice(body).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(BrokerStatus {
        in_touch: said["InTouch"].as_bool()?,
        node: text(&said["Node"]),
        events: said["Events"].as_u64()?,
        zxid: said["Zxid"].as_u64()?,
        checksum: text(&said["Checked"]["Checksum"]).unwrap_or_default(),
        order_p99_us: said["OrderP99Us"].as_u64().unwrap_or(0),
        registered: said["Brokers"].as_array()?.iter().filter_map(text).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_understood_and_nonsense_is_none() {
        let body = r#"{"Port":"9090","Brokers":["9090"],"Clients":{},"Events":7,"Zxid":9,"InTouch":true,
            "Node":"127.0.0.1:8081","OrderP99Us":1900,"Checked":{"Events":7,"Checksum":"00c0ffee"}}"#;
        let status = parse(format!("HTTP/1.0 200 OK\r\ncontent-type: x\r\n\r\n{body}").as_bytes()).unwrap();
        assert_eq!((status.events, status.zxid, status.order_p99_us, status.in_touch), (7, 9, 1_900, true));
        assert_eq!((status.node.as_deref(), status.checksum.as_str()), (Some("127.0.0.1:8081"), "00c0ffee"));
        assert_eq!(status.registered, ["9090"]);
        for wrong in ["", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 503 no\r\n\r\n{}", "HTTP/1.0 200 OK\r\n\r\n[1]"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
