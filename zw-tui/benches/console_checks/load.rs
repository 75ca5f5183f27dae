//! Writes at a steady rate, from a thread of its own.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use zw_core::client::{Client, ClientOptions, Connection};
use zw_core::tree::command::{Acl, Command, Create, CreateMode};

const STEP: Duration = Duration::from_millis(10);
/// Znodes that are written in turn.
const KEYS: u64 = 64;
/// Creates of one transaction.
const BATCH: usize = 500;

/// A load; it ends when it is dropped.
pub(crate) struct Load {
    ends: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(servers: &[String], writes_per_second: u64) -> Load {
        let (ends, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, counted, servers) = (Arc::clone(&ends), Arc::clone(&written), servers.to_vec());
        let thread = std::thread::spawn(move || {
            runtime().block_on(async {
                let client = Client::connect(ClientOptions::to(servers)).await.unwrap();
                let _ = client.create("/load", "", CreateMode::Persistent).await;
                for key in 0..KEYS {
                    let _ = client.create(&format!("/load/{key}"), "", CreateMode::Persistent).await;
                }
                let (mut at, mut key) = (Instant::now(), 0);
                while !until.load(Ordering::SeqCst) {
                    for _ in 0..writes_per_second / 100 {
                        key = (key + 1) % KEYS;
                        let (client, counted) = (client.clone(), Arc::clone(&counted));
                        tokio::spawn(async move {
                            if client.set(&format!("/load/{key}"), vec![b'x'; 100], -1).await.is_ok() {
                                counted.fetch_add(1, Ordering::SeqCst);
                            }
                        });
                    }
                    at += STEP;
                    sleep_until(at).await;
                }
            });
        });
        Load { ends, written, thread: Some(thread) }
    }

    /// Acknowledged writes so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Makes one znode with this data.
pub(crate) fn write(servers: &[String], path: &str, data: Bytes) {
    runtime().block_on(async {
        let client = Client::connect(ClientOptions::to(servers.to_vec())).await.unwrap();
        client.create(path, data, CreateMode::Persistent).await.unwrap();
    });
}

/// Reads that the nodes have answered.
pub(crate) fn reads(servers: &[String]) -> u64 {
    runtime().block_on(async {
        let mut reads = 0;
        for server in servers {
            let mut connection = Connection::open(server, Duration::from_secs(5)).await.unwrap();
            reads += connection.status().await.unwrap().reads;
        }
        reads
    })
}

/// Makes `count` children below a new znode.
pub(crate) fn children(servers: &[String], parent: &str, count: usize) {
    runtime().block_on(async {
        let client = Client::connect(ClientOptions::to(servers.to_vec())).await.unwrap();
        client.create(parent, "", CreateMode::Persistent).await.unwrap();
        for first in (0..count).step_by(BATCH) {
            let create = |child: usize| {
                Command::Create(Create {
                    path: format!("{parent}/c{child:07}"),
                    data: Bytes::new(),
                    acl: Acl::open(),
                    mode: CreateMode::Persistent,
                    ttl_ms: 0,
                })
            };
            client.multi((first..count.min(first + BATCH)).map(create).collect()).await.unwrap();
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
