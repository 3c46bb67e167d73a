//! What isn't known here, asked of the resolvers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::message::{Question, code_of};

/// Queries under way for all containers together: each has a socket or two.
const AT_ONCE: usize = 256;
/// A resolver that is silent for so long gets company: the next is asked too, and the first answer counts.
const STEP: Duration = Duration::from_secs(1);
/// Before the client's own patience ends, which is five seconds nearly everywhere.
const PATIENCE: Duration = Duration::from_millis(4500);
/// For so long a resolver that was silent is asked last.
const GRUDGE: Duration = Duration::from_secs(10);
const MAX_SERVERS: usize = 6;
/// Each resolver is asked once more: a datagram may get lost.
const ROUNDS: usize = 2;
const MAX_SILENT: usize = 64;

/// How a query came, and so how it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// The way to resolvers, shared by all servers.
#[derive(Debug)]
pub struct Forwarder {
    permits: Semaphore,
    /// Resolvers that didn't answer, and when.
    silent: Mutex<HashMap<IpAddr, Instant>>,
}

impl Default for Forwarder {
    fn default() -> Self {
        Self { permits: Semaphore::new(AT_ONCE), silent: Mutex::default() }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Too much is under way.
    Busy,
    Failed,
}

impl Forwarder {
    /// The first answer that isn't a resolver's own failure; its failure if there is nothing better. The id is the
    /// client's again.
    pub(crate) async fn ask(
        &self,
        query: &[u8],
        question: &Question,
        transport: Transport,
        servers: &[SocketAddr],
    ) -> Result<Vec<u8>, Unanswered> {
        let _permit = self.permits.try_acquire().map_err(|_| Unanswered::Busy)?;
        let order = self.order(servers);
        let mut next = (0..ROUNDS).flat_map(|_| order.iter().copied());
        let until = Instant::now() + PATIENCE;
        let mut attempts = JoinSet::new();
        let mut waiting: Vec<SocketAddr> = Vec::new();
        let mut failure = Err(Unanswered::Failed);
        let mut more_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some(Ok((server, answer))) = attempts.join_next() => {
                    waiting.retain(|other| *other != server);
                    if let Ok(answer) = answer {
                        self.heard(server);
                        let answer: Vec<u8> = with_id(answer, query);
                        if !is_own_failure(&answer) {
                            return Ok(answer);
                        }
                        failure = Ok(answer);
                    }
                    more_at = Instant::now();
                }
                () = sleep_until(more_at.min(until)) => {
                    self.missed(&waiting);
                    match next.next() {
                        _ if Instant::now() >= until => return failure,
                        Some(server) => {
                            let (query, question) = (query.to_vec(), question.clone());
                            attempts.spawn(attempt(server, query, question, transport, until));
                            waiting.push(server);
                            more_at = Instant::now() + STEP;
                        }
                        None if attempts.is_empty() => return failure,
                        None => more_at = until,
                    }
                }
            }
        }
    }

    /// As they are given; those that were silent a moment ago last.
    fn order(&self, servers: &[SocketAddr]) -> Vec<SocketAddr> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_silent =
            |server: &SocketAddr| silent.get(&server.ip()).is_some_and(|at| at.elapsed() < GRUDGE);
        let mut order: Vec<SocketAddr> = servers.iter().take(MAX_SERVERS).copied().collect();
        order.sort_by_key(is_silent);
        order
    }

    fn heard(&self, server: SocketAddr) {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).remove(&server.ip());
    }

    fn missed(&self, servers: &[SocketAddr]) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        for server in servers {
            if silent.len() >= MAX_SILENT {
                silent.retain(|_, at| at.elapsed() < GRUDGE);
            }
            if silent.len() < MAX_SILENT {
                silent.insert(server.ip(), Instant::now());
            }
        }
    }
}

/// SERVFAIL and REFUSED are about the resolver, not about the name.
fn is_own_failure(answer: &[u8]) -> bool {
    matches!(code_of(answer), Some(2 | 5))
}

fn with_id(mut message: Vec<u8>, like: &[u8]) -> Vec<u8> {
    message[..2].copy_from_slice(&like[..2]);
    message
}

async fn attempt(
    server: SocketAddr,
    query: Vec<u8>,
    question: Question,
    transport: Transport,
    until: Instant,
) -> (SocketAddr, io::Result<Vec<u8>>) {
    let work = async {
        let id = random_id()?;
        let query = with_id(query, &id);
        match transport {
            Transport::Udp => by_datagram(server, &query, &question, id).await,
            Transport::Tcp => match by_stream(server, &query, &question, id).await {
                // There are resolvers that speak UDP alone.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    by_datagram(server, &query, &question, id).await
                }
                done => done,
            },
        }
    };
    let answer = timeout_at(until, work).await.unwrap_or_else(|late| Err(late.into()));
    (server, answer)
}

/// A socket for each query, at a port of the kernel's choice: an answer that was made up has to guess it, and the id.
async fn by_datagram(
    server: SocketAddr,
    query: &[u8],
    question: &Question,
    id: [u8; 2],
) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if question.is_answered_by(&buffer[..length], id) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn by_stream(
    server: SocketAddr,
    query: &[u8],
    question: &Question,
    id: [u8; 2],
) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&framed(query)?).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    match question.is_answered_by(&answer, id) {
        true => Ok(answer),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "an answer to another question")),
    }
}

/// A message as it goes over TCP.
pub(crate) fn framed(message: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    Ok([&length.to_be_bytes(), message].concat())
}

fn random_id() -> io::Result<[u8; 2]> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
    Ok(id)
}
