//! One container's server: it reads two sockets that lie in the container's network.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener, UdpSocket as StdSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::forward::{Forwarder, Transport, Unanswered, framed};
use crate::message::{Code, Data, Question, Received, addresses_in, kind, read};

/// Queries of one container that are with the resolvers.
const AT_ONCE: usize = 128;
/// TCP connections of one container, and how long one may say nothing.
const CONNECTIONS: usize = 64;
const IDLE: Duration = Duration::from_secs(5);
/// Longer queries than this are nobody's.
const LONGEST: usize = 4096;
/// After a failure that the next call may have too.
const PAUSE: Duration = Duration::from_millis(100);

/// What a container may know.
pub trait Names: Send + Sync + 'static {
    /// The addresses under a name (in lower case, without a last dot), or nothing if the name isn't ours. A name that is
    /// ours is never asked of anybody else.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>>;
    /// The name of an address, if that is ours.
    fn name_of(&self, ip: IpAddr) -> Option<String>;
    /// Who is asked for everything else. None: nobody may be.
    fn resolvers(&self) -> Option<Vec<SocketAddr>>;
    /// Whether that may be about this name.
    fn leave(&self, _name: Option<&str>) -> Leave {
        Leave::Given
    }
    /// What a name stands for, before the client hears of it, and for how long.
    fn learn(&self, _name: &str, _found: &[(IpAddr, Duration)]) {}
}

/// Whether others are asked about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    Given,
    /// And their answer is to be learnt.
    Watched,
    /// There is no such name here.
    Denied,
}

/// A server at work. It ends when this is dropped, and its sockets are closed when [`Server::stop`] returns.
#[derive(Debug)]
pub struct Server {
    task: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to answer what comes, or came, to these sockets: a UDP socket and a listening TCP socket.
    pub fn start(
        udp: OwnedFd,
        tcp: OwnedFd,
        names: Arc<dyn Names>,
        forwarder: Arc<Forwarder>,
    ) -> io::Result<Self> {
        let (udp, tcp) = (StdSocket::from(udp), StdListener::from(tcp));
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        let (udp, tcp) = (UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?);
        let desk = Arc::new(Desk { names, forwarder, permits: Arc::new(Semaphore::new(AT_ONCE)) });
        let task = tasks::spawn(async move {
            tokio::join!(datagrams(Arc::new(udp), &desk), connections(tcp, &desk));
        });
        Ok(Self { task: Some(task) })
    }

    /// Ends it, and waits until nothing of it is left.
    pub async fn stop(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Desk {
    names: Arc<dyn Names>,
    forwarder: Arc<Forwarder>,
    permits: Arc<Semaphore>,
}

enum Reply {
    Now(Vec<u8>),
    Later(Errand),
    Never,
}

/// A query on its way to the resolvers.
struct Errand {
    question: Question,
    resolvers: Vec<SocketAddr>,
    watched: bool,
    _permit: OwnedSemaphorePermit,
}

impl Desk {
    /// What can be said at once.
    fn reply(&self, query: &[u8], transport: Transport) -> Reply {
        let question = match read(query) {
            Received::Question(question) => question,
            Received::Wrong(answer) => return Reply::Now(answer),
            Received::Ignored => return Reply::Never,
        };
        if let Some(found) = self.own(&question) {
            return Reply::Now(question.answer(Code::Fine, &found, transport));
        }
        let leave = self.names.leave(question.name.as_deref());
        if leave == Leave::Denied {
            return Reply::Now(question.answer(Code::Unknown, &[], transport));
        }
        let Some(resolvers) = self.names.resolvers().filter(|resolvers| !resolvers.is_empty()) else {
            return Reply::Now(question.answer(Code::Failed, &[], transport));
        };
        match self.permits.clone().try_acquire_owned() {
            Ok(_permit) => {
                let watched = leave == Leave::Watched;
                Reply::Later(Errand { question, resolvers, watched, _permit })
            }
            Err(_) => Reply::Now(question.answer(Code::Refused, &[], transport)),
        }
    }

    fn own(&self, question: &Question) -> Option<Vec<Data>> {
        if !question.is_internet() {
            return None;
        }
        if question.kind == kind::PTR {
            let name = self.names.name_of(question.address()?)?;
            return Some(vec![Data::Ptr(name)]);
        }
        let addresses = self.names.addresses(question.name.as_deref()?)?;
        let wanted = addresses.into_iter().filter_map(|ip| match (ip, question.kind) {
            (IpAddr::V4(ip), kind::A | kind::ANY) => Some(Data::A(ip)),
            (IpAddr::V6(ip), kind::AAAA | kind::ANY) => Some(Data::Aaaa(ip)),
            _ => None,
        });
        Some(wanted.collect())
    }

    async fn forward(&self, query: &[u8], errand: Errand, transport: Transport) -> Vec<u8> {
        let Errand { question, resolvers, watched, _permit } = errand;
        let asked = self.forwarder.ask(query, &question, transport, &resolvers).await;
        if let (true, Ok(answer), Some(name)) = (watched, &asked, &question.name) {
            let (names, name, found) = (self.names.clone(), name.clone(), addresses_in(answer));
            // The kernel is told of it.
            let _ = tasks::blocking(move || names.learn(&name, &found)).await;
        }
        asked.unwrap_or_else(|why| {
            let code = match why {
                Unanswered::Busy => Code::Refused,
                Unanswered::Failed => Code::Failed,
            };
            question.answer(code, &[], transport)
        })
    }
}

async fn datagrams(socket: Arc<UdpSocket>, desk: &Arc<Desk>) {
    let mut buffer = vec![0; LONGEST];
    let mut under_way = JoinSet::new();
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            sleep(PAUSE).await;
            continue;
        };
        while under_way.try_join_next().is_some() {}
        // A client whose answer finds no room asks again.
        match desk.reply(&buffer[..length], Transport::Udp) {
            Reply::Now(answer) => drop(socket.try_send_to(&answer, client)),
            Reply::Never => {}
            Reply::Later(errand) => {
                let (socket, desk, query) = (socket.clone(), desk.clone(), buffer[..length].to_vec());
                under_way.spawn(async move {
                    let answer = desk.forward(&query, errand, Transport::Udp).await;
                    let _ = socket.try_send_to(&answer, client);
                });
            }
        }
    }
}

async fn connections(listener: TcpListener, desk: &Arc<Desk>) {
    let mut open = JoinSet::new();
    loop {
        if open.len() >= CONNECTIONS {
            open.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = desk.clone();
                open.spawn(async move { drop(converse(stream, &desk).await) });
            }
            Err(_) => sleep(PAUSE).await,
        }
        while open.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, desk: &Desk) -> io::Result<()> {
    loop {
        let query = timeout(IDLE, receive(&mut stream)).await??;
        let answer = match desk.reply(&query, Transport::Tcp) {
            Reply::Now(answer) => answer,
            Reply::Never => return Ok(()),
            Reply::Later(errand) => desk.forward(&query, errand, Transport::Tcp).await,
        };
        timeout(IDLE, stream.write_all(&framed(&answer)?)).await??;
    }
}

async fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a query that is too long"));
    }
    let mut query = vec![0; length];
    stream.read_exact(&mut query).await?;
    Ok(query)
}

#[cfg(test)]
mod tests;
