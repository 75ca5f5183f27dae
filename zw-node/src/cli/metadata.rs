//! `zw metadata`: the rows of a node's `GET /metadata`, as the first ZooWeeper showed them.

use super::output::Table;
use super::{CliError, Context};
use clap::Args;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Show the metadata rows: ensemble, leader, and the brokers' Clients lists with their versions
#[derive(Debug, Args)]
pub(super) struct Options {}

const COLUMNS: [&str; 10] = [
    "NodeId",
    "NodePort",
    "Leader",
    "Servers",
    "Timestamp",
    "Version",
    "ParentId",
    "Clients",
    "SenderIp",
    "ReceiverIp",
];
/// Most that is read of an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

pub(super) async fn run(context: &mut Context, _: Options) -> Result<(), CliError> {
    let mut reasons = Vec::new();
    for server in &context.servers {
        let rows = match timeout(context.timeout, fetch(server)).await {
            Ok(Ok(rows)) => rows,
            Ok(Err(reason)) => {
                reasons.push(format!("{server}: {reason}"));
                continue;
            }
            Err(_) => {
                reasons.push(format!("{server}: no answer within {:?}", context.timeout));
                continue;
            }
        };
        return context.print(|| Value::Array(rows.clone()), || table(&rows));
    }
    Err(CliError::NoServer(reasons))
}

/// Gets and reads the rows. HTTP/1.0 keeps the answer plain: no chunks, and it ends with the connection.
async fn fetch(server: &str) -> Result<Vec<Value>, String> {
    let mut stream = TcpStream::connect(server).await.map_err(|error| error.to_string())?;
    let request = format!("GET /metadata HTTP/1.0\r\nHost: {server}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    rows(&answer)
}

fn rows(answer: &[u8]) -> Result<Vec<Value>, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer is not HTTP, or was cut off")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("{status}: {}", body.trim()));
    }
    serde_json::from_str(body).map_err(|error| format!("the answer is no JSON array: {error}"))
}

fn table(rows: &[Value]) -> String {
    let mut table = Table::new(COLUMNS.to_vec());
    for row in rows {
        let cell = |column: &&str| match row.get(*column) {
            Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => "-".to_owned(),
            Some(other) => other.to_string(),
        };
        table.push(COLUMNS.iter().map(cell).collect());
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_a_plain_answer_only() {
        let good = b"HTTP/1.0 200 OK\r\nx: y\r\n\r\n[{\"NodeId\":1,\"NodePort\":\"8080\",\"Leader\":\"\"}]";
        let read = rows(good).unwrap();
        assert_eq!(read.len(), 1);
        assert!(table(&read).lines().nth(1).unwrap().contains("8080"));
        assert!(rows(b"HTTP/1.0 503 Unavailable\r\n\r\nno quorum").unwrap_err().contains("no quorum"));
        assert!(rows(b"HTTP/1.0 200 OK\r\n\r\n[{").unwrap_err().contains("JSON"));
        assert!(rows(b"zw").is_err());
    }
}
