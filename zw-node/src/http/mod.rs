//! HTTP/1.1 on the one port, for people, scripts and monitoring: `/metadata`, `/status`, `/health`, `/metrics`.
//!
//! Read-only: a write goes through a session or a broker, which can say whether it happened.

mod metadata;
mod metrics;
mod prefixed;
mod status;

use crate::server::locks::lock;
use crate::server::node::Node;
use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prefixed::Prefixed;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use zw_core::limits::{HELLO_TIMEOUT, HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Answer = Response<Full<Bytes>>;

/// Speaks HTTP on a connection whose first bytes were read already.
pub(crate) async fn serve(node: Arc<Node>, socket: TcpStream, input: BytesMut) -> io::Result<()> {
    let Some(place) = node.clients.enter() else {
        return Err(io::Error::other("this node has as many clients as it may have"));
    };
    let service = hyper::service::service_fn(|request| {
        let answer = answer(&node, &request);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HELLO_TIMEOUT)
        // A longer head is answered with 431.
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .max_headers(HTTP_HEADERS_MAX)
        .serve_connection(TokioIo::new(Prefixed::new(input, socket)), service);
    let ended = tokio::select! {
        ended = connection => ended,
        () = node.stopping.cancelled() => Ok(()),
    };
    node.clients.leave(place.id);
    ended.map_err(|error| io::Error::other(format!("HTTP: {error}")))
}

fn answer(node: &Node, request: &Request<Incoming>) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let text = "only GET: write with `zw`, a client, or a broker's POST /addScore\n";
        let mut answer = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, text.to_owned());
        answer.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match request.uri().path() {
        "/metadata" => respond(StatusCode::OK, JSON, metadata::rows(node)),
        "/status" => respond(StatusCode::OK, JSON, status::json(&node.status())),
        "/health" => health(node),
        "/metrics" => respond(StatusCode::OK, OPEN_METRICS, metrics::text(node)),
        _ => {
            let text = "there is /metadata, /status, /health and /metrics\n".to_owned();
            respond(StatusCode::NOT_FOUND, TEXT, text)
        }
    }
}

/// 200 if this node takes writes, else 503: for load balancers.
fn health(node: &Node) -> Answer {
    let (serving, role) = {
        let view = lock(&node.view);
        (view.serving, crate::server::status::role_of(view.role).word())
    };
    let status = if serving { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    respond(status, JSON, serde_json::json!({ "serving": serving, "role": role }).to_string())
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    // A page of another origin may read this, as with the first ZooWeeper; nothing can be changed here.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, hyper::header::HeaderValue::from_static("*"));
    answer
}
