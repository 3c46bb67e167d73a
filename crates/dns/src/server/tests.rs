use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::message::tests::{query, question};

struct Known {
    resolvers: Option<Vec<SocketAddr>>,
}

impl Names for Known {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        (name == "web").then(|| vec![Ipv4Addr::new(10, 0, 0, 2).into()])
    }

    fn name_of(&self, ip: IpAddr) -> Option<String> {
        (ip == Ipv4Addr::new(10, 0, 0, 2)).then(|| "web.net".to_owned())
    }

    fn resolvers(&self) -> Option<Vec<SocketAddr>> {
        self.resolvers.clone()
    }
}

/// A server, and a client's socket that is connected to it.
async fn serve(resolvers: Option<Vec<SocketAddr>>) -> (Server, UdpSocket, SocketAddr) {
    let (udp, tcp) = (StdSocket::bind("127.0.0.1:0").unwrap(), StdListener::bind("127.0.0.1:0").unwrap());
    let (at, tcp_at) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let server =
        Server::start(udp.into(), tcp.into(), Arc::new(Known { resolvers }), Arc::default()).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(at).await.unwrap();
    (server, client, tcp_at)
}

async fn ask(client: &UdpSocket, query: &[u8]) -> Vec<u8> {
    client.send(query).await.unwrap();
    let mut answer = vec![0; 65535];
    let length = timeout(Duration::from_secs(20), client.recv(&mut answer)).await.unwrap().unwrap();
    answer.truncate(length);
    answer
}

async fn ask_by_tcp(at: SocketAddr, query: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(&framed(query).unwrap()).await.unwrap();
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

/// A resolver that makes its answer of each query, by UDP.
async fn resolver(answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (at, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            count.fetch_add(1, Ordering::Relaxed);
            for bytes in answer(&buffer[..length]) {
                let _ = socket.send_to(&bytes, client).await;
            }
        }
    });
    (at, asked)
}

/// With the flags and the end of an answer.
fn answered(query: &[u8], flags: [u8; 2], rest: &[u8]) -> Vec<u8> {
    [&query[..2], &flags, &query[4..], rest].concat()
}

fn code(answer: &[u8]) -> u8 {
    answer[3] & 15
}

#[tokio::test]
async fn s139_its_own_names_are_answered_and_asked_of_nobody() {
    let (at, asked) = resolver(|query| vec![answered(query, [0x81, 0x83], &[])]).await;
    let (server, client, tcp) = serve(Some(vec![at])).await;
    let answer = ask(&client, &query("WEB", kind::A, None)).await;
    assert_eq!((code(&answer), answer[7]), (0, 1));
    assert_eq!(
        ask_by_tcp(tcp, &query("web", kind::A, None)).await,
        ask(&client, &query("web", kind::A, None)).await
    );
    for other in [kind::AAAA, 15, 16] {
        let answer = ask(&client, &query("web", other, Some(1232))).await;
        assert_eq!((code(&answer), answer[7]), (0, 0), "{other}");
    }
    let reverse = ask(&client, &query("2.0.0.10.in-addr.arpa", kind::PTR, None)).await;
    assert!(reverse.ends_with(b"\x03web\x03net\0"));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    server.stop().await;
}

#[tokio::test]
async fn answers_and_errors_pass_as_they_are() {
    let (at, _) = resolver(|query| {
        let code = query[13] - b'0';
        vec![answered(query, [0x87, 0xa0 | code], b"whatever else it says")]
    })
    .await;
    let (_server, client, _) = serve(Some(vec![at])).await;
    for wanted in [0, 2, 3, 5, 9] {
        let query = query(&wanted.to_string(), 65, Some(1232));
        assert_eq!(
            ask(&client, &query).await,
            answered(&query, [0x87, 0xa0 | wanted], b"whatever else it says")
        );
    }
}

#[tokio::test]
async fn the_next_resolver_is_asked_when_one_fails_is_silent_or_is_not_there() {
    let (failing, _) = resolver(|query| vec![answered(query, [0x81, 0x82], &[])]).await;
    let (silent, silent_asked) = resolver(|_| vec![]).await;
    let (good, _) = resolver(|query| vec![answered(query, [0x81, 0x83], &[])]).await;
    let nobody = StdSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for first in [failing, nobody, silent] {
        let (_server, client, _) = serve(Some(vec![first, good])).await;
        assert_eq!(code(&ask(&client, &query("x", kind::A, None)).await), 3);
        assert_eq!(code(&ask(&client, &query("y", kind::A, None)).await), 3);
    }
    assert!(silent_asked.load(Ordering::Relaxed) >= 1);
    let (_server, client, _) = serve(Some(vec![nobody])).await;
    assert_eq!(code(&ask(&client, &query("x", kind::A, None)).await), 2);
}

#[tokio::test]
async fn made_up_answers_are_not_believed() {
    let (at, _) = resolver(|query| {
        let mut other_id = answered(query, [0x81, 0x80], b"made up");
        other_id[1] ^= 1;
        let mut other_question = answered(query, [0x81, 0x80], b"made up");
        other_question[13] ^= 1;
        vec![other_id, other_question, query.to_vec(), vec![0; 5], answered(query, [0x81, 0x83], &[])]
    })
    .await;
    let (_server, client, _) = serve(Some(vec![at])).await;
    assert_eq!(code(&ask(&client, &query("x", kind::A, None)).await), 3);
}

#[tokio::test]
async fn what_comes_by_tcp_is_asked_by_tcp_and_by_udp_where_there_is_no_other_way() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(at).await.unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let query = receive(&mut stream).await.unwrap();
        let long = answered(&query, [0x81, 0x80], &[7; 60_000]);
        stream.write_all(&framed(&long).unwrap()).await.unwrap();
    });
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        socket.send_to(&answered(&buffer[..length], [0x83, 0x80], &[]), client).await.unwrap();
    });
    let (_server, client, tcp) = serve(Some(vec![at])).await;
    let cut = ask(&client, &query("long", 16, None)).await;
    assert_eq!(cut[2] & 2, 2, "the client hears that it was cut");
    assert!(ask_by_tcp(tcp, &query("long", 16, None)).await.len() > 60_000);
    let (udp_alone, _) = resolver(|query| vec![answered(query, [0x81, 0x83], &[])]).await;
    let (_server, _, tcp) = serve(Some(vec![udp_alone])).await;
    assert_eq!(code(&ask_by_tcp(tcp, &query("x", kind::A, None)).await), 3);
}

#[tokio::test]
async fn nothing_is_forwarded_from_where_nothing_may_go_out() {
    let (_server, client, _) = serve(None).await;
    assert_eq!(code(&ask(&client, &query("example.test", kind::A, None)).await), 2);
    assert_eq!(code(&ask(&client, &query("web", kind::A, None)).await), 0);
}

#[tokio::test]
async fn s138_a_flood_towards_a_silent_resolver_and_idle_connections_leave_room_for_own_names() {
    let (silent, _) = resolver(|_| vec![]).await;
    let (_server, client, tcp) = serve(Some(vec![silent])).await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS * 2 {
        idle.push(TcpStream::connect(tcp).await.unwrap());
    }
    let mut refused = 0;
    let mut answer = [0; 4096];
    for number in 0..AT_ONCE * 2 {
        client.send(&query(&format!("n{number}"), kind::A, None)).await.unwrap();
        tokio::task::yield_now().await;
        while let Ok(length) = client.try_recv(&mut answer) {
            refused += usize::from(code(&answer[..length]) == 5);
        }
    }
    let wanted = question("web", kind::A, None);
    client.send(&query("web", kind::A, None)).await.unwrap();
    loop {
        let length = timeout(Duration::from_secs(20), client.recv(&mut answer)).await.unwrap().unwrap();
        if wanted.is_answered_by(&answer[..length], [0xab, 0xcd]) {
            break;
        }
        refused += usize::from(code(&answer[..length]) == 5);
    }
    assert!(refused > 0, "what is too much is refused");
}
