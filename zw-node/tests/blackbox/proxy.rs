//! A proxy in every directed link: what node `i` sends when it dials node `j` goes through a port of its own.
//!
//! Fault model, for the bytes from one node to another, on every connection between the two, whoever dialled:
//! - *hold*: nothing arrives, not even the news that the other end is gone; later all of it does, in order. What is
//!   held is bounded, so the sender's socket fills up as with a network that drops everything.
//! - *delay* and *slow*: bytes arrive later, in order.
//! - *refuse*: connections that are dialled in this direction are reset at once.
//! - *cut*: the connections that stand are reset, with what is under way on them.
//!
//! Not modelled, because TCP hides it: loss, repetition and reordering on one connection.

use crate::verdict::{Failure, harness};
use bytes::{Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

const CHUNK_BYTES: usize = 16 << 10;
/// Chunks that are held for one direction of a connection, beside what the sockets' buffers hold.
const CHUNKS_MAX: usize = 64;

/// What happens to bytes, and to dialled connections, from one node to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) hold: bool,
    pub(crate) refuse: bool,
    pub(crate) delay: Duration,
    /// 0 for as fast as it goes.
    pub(crate) bytes_per_s: u64,
}

#[derive(Clone)]
struct Rules {
    size: usize,
    rules: Vec<Rule>,
    /// How often the connections between two nodes were cut; the same both ways.
    cuts: Vec<u64>,
}

/// The network between the nodes.
pub(crate) struct Network {
    rules: watch::Sender<Rules>,
    /// `ports[i][j]` is where node `i` dials node `j`.
    ports: Vec<Vec<u16>>,
}

impl Rules {
    fn at(&self, from: usize, to: usize) -> Rule {
        self.rules[from * self.size + to]
    }

    fn cuts(&self, from: usize, to: usize) -> u64 {
        self.cuts[from * self.size + to]
    }
}

impl Network {
    /// Begins to listen for every pair of `addresses`.
    pub(crate) async fn start(addresses: &[String]) -> Result<Network, Failure> {
        let size = addresses.len();
        let all = Rules { size, rules: vec![Rule::default(); size * size], cuts: vec![0; size * size] };
        let rules = watch::Sender::new(all);
        let mut ports = vec![vec![0; size]; size];
        for (from, row) in ports.iter_mut().enumerate() {
            for (to, port) in row.iter_mut().enumerate().filter(|(to, _)| *to != from) {
                let listener = TcpListener::bind("127.0.0.1:0").await.map_err(harness("a proxy's port"))?;
                *port = listener.local_addr().map_err(harness("a proxy's port"))?.port();
                tokio::spawn(accept(listener, (from, to), addresses[to].clone(), rules.subscribe()));
            }
        }
        Ok(Network { rules, ports })
    }

    /// Where `from` dials `to`.
    pub(crate) fn port(&self, from: usize, to: usize) -> u16 {
        self.ports[from][to]
    }

    /// Sets the rule of one direction.
    pub(crate) fn set(&self, from: usize, to: usize, rule: Rule) {
        self.rules.send_modify(|rules| rules.rules[from * rules.size + to] = rule);
    }

    /// Resets all connections between two nodes.
    pub(crate) fn cut(&self, one: usize, other: usize) {
        self.rules.send_modify(|rules| {
            rules.cuts[one * rules.size + other] += 1;
            rules.cuts[other * rules.size + one] += 1;
        });
    }

    /// Ends all rules.
    pub(crate) fn heal(&self) {
        self.rules.send_modify(|rules| rules.rules.fill(Rule::default()));
    }

    /// Whether bytes pass between two nodes, both ways, at a useful speed.
    pub(crate) fn connects(&self, one: usize, other: usize) -> bool {
        let rules = self.rules.borrow();
        [rules.at(one, other), rules.at(other, one)].iter().all(|rule| *rule == Rule::default())
    }
}

async fn accept(listener: TcpListener, link: (usize, usize), target: String, rules: watch::Receiver<Rules>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => drop(tokio::spawn(relay(socket, link, target.clone(), rules.clone()))),
            // Out of descriptors, perhaps: not a reason to end.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn relay(mut dialled: TcpStream, (from, to): (usize, usize), target: String, rules: watch::Receiver<Rules>) {
    let (refuse, cuts) = (rules.borrow().at(from, to).refuse, rules.borrow().cuts(from, to));
    let reached = if refuse { Err(io::ErrorKind::ConnectionRefused.into()) } else { TcpStream::connect(&target).await };
    let Ok(mut reached) = reached else { return reset(dialled) };
    let _ = dialled.set_nodelay(true).and_then(|()| reached.set_nodelay(true));
    let ended = {
        let ((read_near, write_near), (read_far, write_far)) = (dialled.split(), reached.split());
        let there = pump(read_near, write_far, (from, to), rules.clone());
        let back = pump(read_far, write_near, (to, from), rules.clone());
        let mut watched = rules.clone();
        tokio::select! {
            ended = async { tokio::try_join!(there, back) } => ended.is_ok(),
            _ = watched.wait_for(|rules| rules.cuts(from, to) > cuts) => false,
        }
    };
    if !ended {
        reset(dialled);
        reset(reached);
    }
}

/// Closes so that the other end sees a reset.
fn reset(socket: TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
    drop(socket);
}

/// What travels in one direction.
enum Piece {
    Bytes(Bytes),
    End,
    Reset,
}

/// Carries one direction of a connection until it ends; an error means a reset.
async fn pump(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    (from, to): (usize, usize),
    mut rules: watch::Receiver<Rules>,
) -> io::Result<()> {
    let (queue, mut queued) = mpsc::channel::<(Instant, Piece)>(CHUNKS_MAX);
    let read = async move {
        loop {
            let mut bytes = BytesMut::with_capacity(CHUNK_BYTES);
            let piece = match reader.read_buf(&mut bytes).await {
                Ok(0) => Piece::End,
                Ok(_) => Piece::Bytes(bytes.freeze()),
                Err(_) => Piece::Reset,
            };
            let is_last = !matches!(piece, Piece::Bytes(_));
            if queue.send((Instant::now(), piece)).await.is_err() || is_last {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((came, piece)) = queued.recv().await {
            let rule = rules.borrow().at(from, to);
            sleep_until(came + rule.delay).await;
            let _ = rules.wait_for(|rules| !rules.at(from, to).hold).await;
            match piece {
                Piece::Bytes(bytes) => {
                    let rate = rules.borrow().at(from, to).bytes_per_s;
                    if let Some(ms) = (bytes.len() as u64 * 1_000).checked_div(rate) {
                        sleep(Duration::from_millis(ms)).await;
                    }
                    if let Err(error) = writer.write_all(&bytes).await {
                        // The news of it comes from the other end, and is held like all that comes from there.
                        let _ = rules.wait_for(|rules| !rules.at(to, from).hold).await;
                        return Err(error);
                    }
                }
                Piece::End => return writer.shutdown().await,
                Piece::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
        Ok(())
    };
    tokio::try_join!(read, write).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn read(socket: &mut TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        timeout(PATIENCE, socket.read_exact(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    #[tokio::test]
    async fn each_direction_of_a_link_has_its_faults() {
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = ["127.0.0.1:1".to_owned(), far.local_addr().unwrap().to_string()];
        let network = Network::start(&addresses).await.unwrap();
        let dial = || TcpStream::connect(("127.0.0.1", network.port(0, 1)));
        let mut near = dial().await.unwrap();
        let (mut reached, _) = far.accept().await.unwrap();
        near.write_all(b"a").await.unwrap();
        assert_eq!(read(&mut reached, 1).await, b"a");

        network.set(0, 1, Rule { hold: true, ..Rule::default() });
        assert!(!network.connects(0, 1) && !network.connects(1, 0));
        near.write_all(b"bc").await.unwrap();
        // The other direction is open: what comes back by it was sent after the bytes that are held.
        reached.write_all(b"x").await.unwrap();
        assert_eq!(read(&mut near, 1).await, b"x");
        assert!(reached.try_read(&mut [0; 9]).is_err(), "nothing came through");
        network.heal();
        assert_eq!(read(&mut reached, 2).await, b"bc");

        network.set(0, 1, Rule { delay: Duration::from_millis(30), bytes_per_s: 1_000, ..Rule::default() });
        let since = Instant::now();
        near.write_all(&[7; 100]).await.unwrap();
        read(&mut reached, 100).await;
        assert!(since.elapsed() >= Duration::from_millis(100), "late and slow");
        network.heal();

        network.cut(1, 0);
        let ended = timeout(PATIENCE, near.read_u8()).await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        network.set(0, 1, Rule { refuse: true, ..Rule::default() });
        let mut near = dial().await.unwrap();
        assert!(timeout(PATIENCE, near.read_u8()).await.unwrap().is_err(), "refused");
        let (mut orphan, _) = (reached, ());
        assert!(timeout(PATIENCE, orphan.read_u8()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_held_direction_hides_that_the_other_end_is_gone() {
        let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = ["127.0.0.1:1".to_owned(), far.local_addr().unwrap().to_string()];
        let network = Network::start(&addresses).await.unwrap();
        let mut near = TcpStream::connect(("127.0.0.1", network.port(0, 1))).await.unwrap();
        let (mut reached, _) = far.accept().await.unwrap();
        network.set(1, 0, Rule { hold: true, ..Rule::default() });
        reached.write_all(b"last").await.unwrap();
        drop(reached);
        near.write_all(b"anybody?").await.unwrap();
        let silence = timeout(Duration::from_millis(50), near.read_u8()).await;
        assert!(silence.is_err(), "neither bytes nor the end came through");
        network.heal();
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, near.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest, b"last");
    }
}
