//! The broker's HTTP interface, with hyper: `POST /addScore`, `GET /data`, `GET /status`, `GET /`.
//!
//! - Bodies, connections and waits are bounded. What is wrong with a request is said in JSON.
//! - The status says what became of an event: 200 ordered and durable, 4xx not taken, 503 certainly not ordered, 504
//!   not known.

use super::event::AddScore;
use super::order::{OrderError, Orderer, Place, random_request_id};
use super::{Shared, page};
use crate::server::metrics::Latency;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use zw_core::limits::{
    BROKER_CONNECTIONS_MAX, BROKER_REQUEST_BYTES_MAX, HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, SHUTDOWN_DEADLINE,
};

/// Longest wait for a request's head, and for its body.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait until this broker itself shows an event that is ordered.
const SHOW_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a connection could not be accepted, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the requests need.
pub(super) struct Service {
    pub(super) port: String,
    pub(super) shared: Arc<Shared>,
    pub(super) orderer: Orderer,
    /// How long it took of late until an event was ordered.
    pub(super) latency: Latency,
    pub(super) began: Instant,
}

type Answer = Response<Full<Bytes>>;

/// Serves until `stop`, then lets the requests that are under way end.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(BROKER_CONNECTIONS_MAX));
    let tracker = TaskTracker::new();
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        match accepted {
            Ok((socket, _)) => {
                let (service, stop) = (Arc::clone(&service), stop.clone());
                tracker.spawn(async move {
                    connection(socket, service, stop).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    tracker.close();
    if timeout(SHUTDOWN_DEADLINE, tracker.wait()).await.is_err() {
        tracing::warn!("requests were still under way at the end");
    }
    service.orderer.close().await;
}

async fn connection(socket: TcpStream, service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    // Answers are written whole; waiting for more would only add delay.
    let _ = socket.set_nodelay(true);
    let handler = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(answer(&service, request).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        // A longer head is answered with 431.
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .max_headers(HTTP_HEADERS_MAX)
        .serve_connection(TokioIo::new(socket), handler);
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = stop.changed() => serving.as_mut().graceful_shutdown(),
    }
    // An error here is the reader's: there is nobody left to tell.
    let _ = serving.await;
}

async fn answer(service: &Service, request: Request<Incoming>) -> Answer {
    let allowed = match request.uri().path() {
        "/addScore" => Method::POST,
        "/" | "/data" | "/status" => Method::GET,
        path => {
            let reason = format!("there is no {path}; there are POST /addScore, GET /data, GET /status and GET /");
            return error(StatusCode::NOT_FOUND, &reason);
        }
    };
    if *request.method() != allowed {
        let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, &format!("use {allowed}"));
        answer.headers_mut().insert(ALLOW, HeaderValue::from_str(allowed.as_str()).expect("a method is plain text"));
        return answer;
    }
    match request.uri().path() {
        "/addScore" => add_score(service, request.into_body()).await,
        "/data" => json_answer(StatusCode::OK, data(service)),
        "/status" => json_answer(StatusCode::OK, status(service).to_string()),
        _ => {
            let view = service.shared.view.read().expect("no holder of the view panics");
            typed(StatusCode::OK, "text/html; charset=utf-8", page::html(&view, &service.port))
        }
    }
}

async fn add_score(service: &Service, body: Incoming) -> Answer {
    let body = match timeout(READ_TIMEOUT, Limited::new(body, BROKER_REQUEST_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(reason)) if reason.is::<http_body_util::LengthLimitError>() => {
            let reason = format!("the body is larger than {BROKER_REQUEST_BYTES_MAX} bytes");
            return error(StatusCode::PAYLOAD_TOO_LARGE, &reason);
        }
        Ok(Err(reason)) => return error(StatusCode::BAD_REQUEST, &format!("the body could not be read: {reason}")),
        Err(_) => return error(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    let request = match AddScore::parse(&body) {
        Ok(request) => request,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    let id = match &request.metadata.request_id {
        Some(id) => id.clone(),
        None => match random_request_id() {
            Ok(id) => id,
            Err(reason) => return order_error(&reason, ""),
        },
    };
    let asked = Instant::now();
    match service.orderer.order(&request, &id).await {
        Ok(place) => {
            service.latency.record(asked.elapsed(), service.began.elapsed());
            ordered(service, place, &id).await
        }
        Err(reason) => order_error(&reason, &id),
    }
}

/// Waits, but not for long, until this broker shows the event too: then its producer reads what it wrote.
async fn ordered(service: &Service, place: Place, id: &str) -> Answer {
    let mut reached = service.shared.reached.subscribe();
    let shown = timeout(SHOW_TIMEOUT, reached.wait_for(|reached| *reached >= place.zxid.0)).await;
    let body = json!({
        "Result": "OK", "Zxid": place.zxid.0, "RequestId": id, "Repeated": place.repeated,
        "Shown": matches!(shown, Ok(Ok(_))),
    });
    json_answer(StatusCode::OK, body.to_string())
}

fn order_error(reason: &OrderError, id: &str) -> Answer {
    let (status, outcome) = match reason {
        OrderError::Invalid(_) => (StatusCode::BAD_REQUEST, "not done"),
        OrderError::NotDone(_) => (StatusCode::SERVICE_UNAVAILABLE, "not done"),
        OrderError::Unknown(_) => (StatusCode::GATEWAY_TIMEOUT, "unknown"),
    };
    let body = json!({ "Error": reason.to_string(), "Outcome": outcome, "RequestId": id });
    json_answer(status, body.to_string())
}

/// The events of this broker, in order.
fn data(service: &Service) -> String {
    let view = service.shared.view.read().expect("no holder of the view panics");
    let events: Vec<_> = view.of(&service.port).collect();
    serde_json::to_string(&events).expect("encoding strings and numbers cannot fail")
}

fn status(service: &Service) -> Value {
    let view = service.shared.view.read().expect("no holder of the view panics");
    let clients: serde_json::Map<String, Value> = view
        .newest
        .iter()
        .map(|(sender, row)| (sender.clone(), json!({ "Clients": row.clients, "Version": row.version })))
        .collect();
    let (checked, checksum) = view.newest_checksum();
    json!({
        "Node": Some(&view.node).filter(|node| view.in_touch && !node.is_empty()),
        "OrderP99Us": service.latency.p99_us(service.began.elapsed()),
        "Checked": { "Events": checked, "Checksum": format!("{checksum:08x}") },
        "Port": service.port, "Brokers": view.brokers, "Clients": clients,
        "Events": view.of(&service.port).count(), "Zxid": view.last_zxid(), "InTouch": view.in_touch,
    })
}

fn error(status: StatusCode, reason: &str) -> Answer {
    json_answer(status, json!({ "Error": reason, "Outcome": "not done" }).to_string())
}

fn json_answer(status: StatusCode, body: String) -> Answer {
    typed(status, "application/json", body)
}

fn typed(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}
