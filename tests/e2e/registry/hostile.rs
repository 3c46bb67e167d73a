//! Strangers: names in every wrong shape, bodies without end, clients that stay, processes that die.

use std::io::Write;
use std::thread;

use serde_json::json;
use testkit::http::{self, Request};
use testkit::{DEADLINE, Faults, eventually};

use super::server::{code, rest};
use super::{Blob, EMPTY, OCI_MANIFEST, Private, STORE, Store};

// covers: registry error-code api NAME_INVALID
#[test]
fn no_encoding_of_a_name_leaves_its_place() {
    let registry = Private::start();
    registry.scratch.write("root/secret", "secret");
    for name in [
        "..",
        "%2e%2e",
        "..%2f..",
        "a/../b",
        "a%2f..%2fb",
        "A",
        "a//b",
        "a%00b",
        "_blobs",
        "a/_manifests",
        "%252e%252e",
        "a%5cb",
        "%ff",
    ] {
        for path in [
            format!("/v2/{name}/tags/list"),
            format!("/v2/{name}/manifests/x"),
            format!("/v2/{name}/blobs/{EMPTY}"),
        ] {
            let reply = registry.get(&path);
            assert!(matches!(reply.status(), 400 | 404), "{path}: {}", reply.status());
            assert!(!reply.text().contains("secret"));
        }
        let reply = registry.ask("POST", &format!("/v2/{name}/blobs/uploads/"));
        assert!(matches!(reply.status(), 400 | 404), "{name}: {}", reply.status());
    }
    assert_eq!(code(&registry.ask("POST", "/v2/UPPER/blobs/uploads/").expect(400)), "NAME_INVALID");
    for digest in [
        "sha256:../../../secret",
        "sha256:%2e%2e%2f%2e%2e%2fsecret",
        "sha256:",
        "SHA256:aa",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        &"x".repeat(10_000),
    ] {
        for kind in ["blobs", "referrers"] {
            let reply = registry.get(&format!("/v2/a/{kind}/{digest}"));
            assert!(matches!(reply.status(), 400 | 404), "{digest}: {}", reply.status());
        }
    }
    for session in
        ["..", "%2e%2e%2fx", "00000000-0000-0000-0000-00000000000", "00000000-0000-4000-8000-000000000000"]
    {
        registry.get(&format!("/v2/a/blobs/uploads/{session}")).expect(404);
    }
    assert!(!registry.stored().iter().any(|name| name.starts_with("repositories/")));
}

/// S141, CVE-2017-11468.
#[test]
fn a_manifest_without_end_is_refused_early() {
    let registry = Private::start();
    let mut stream = http::connect_tcp(registry.address).unwrap();
    stream
        .write_all(b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10737418240\r\n\r\n{")
        .unwrap();
    let reply = http::read_head(stream, "PUT").unwrap().finish().unwrap().expect(413);
    assert_eq!(code(&reply), "MANIFEST_INVALID");
    let mut stream = http::connect_tcp(registry.address).unwrap();
    stream
        .write_all(b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let piece = format!("10000\r\n{}\r\n", "[".repeat(65536));
    let sent = (0..1600).take_while(|_| stream.write_all(piece.as_bytes()).is_ok()).count();
    assert!(sent < 1600, "100 MB were taken");
    let nested = format!("{{\"schemaVersion\":2,\"x\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(
        code(&registry.put_manifest("a", "x", &Blob::new(nested), OCI_MANIFEST).expect(400)),
        "MANIFEST_INVALID"
    );
}

#[test]
fn an_upload_has_a_limit() {
    let registry = Private::with("storage: {maxblob: 100000}");
    let place = registry.begin("a");
    let reply = registry.send(&Request::new("PATCH", &place).body(vec![0; 300_000])).expect(413);
    assert_eq!(code(&reply), "SIZE_INVALID");
    assert_eq!(registry.uploads(), 0, "its bytes stayed");
}

/// Two requests of one upload at once: one of them goes on.
#[test]
fn an_upload_is_one_request_at_a_time() {
    let registry = Private::start();
    let blob = Blob::new("0123456789");
    let place = registry.begin("a");
    let mut first = http::connect_tcp(registry.address).unwrap();
    first
        .write_all(format!("PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234").as_bytes())
        .unwrap();
    registry.await_received(5);
    let second = registry.send(&Request::new("PATCH", &place).body("xxxxx")).expect(409);
    assert_eq!(code(&second), "BLOB_UPLOAD_INVALID");
    first.write_all(b"56789").unwrap();
    http::read_head(first, "PATCH").unwrap().finish().unwrap().expect(202);
    registry
        .send(&Request::new("PUT", &format!("{place}?digest={}", blob.digest)).header("Content-Length", "0"))
        .expect(201);
}

/// A client that goes in the middle finds what it had sent.
#[test]
fn an_interrupted_upload_goes_on_where_it_ended() {
    let mut registry = Private::start();
    let blob = Blob::new("0123456789");
    let place = registry.begin("a");
    let mut stream = http::connect_tcp(registry.address).unwrap();
    stream
        .write_all(format!("PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234").as_bytes())
        .unwrap();
    registry.await_received(5);
    drop(stream);
    if STORE == Store::Bucket {
        // What fills no part is written down when the request is seen to end.
        eventually(DEADLINE, || match registry.get(&place) {
            status if status.header("range") == Some("0-4") => Ok(()),
            other => Err(other.text()),
        });
    }
    registry.kill();
    registry.run();
    let status = registry.get(&place).expect(204);
    assert_eq!(status.header("range"), Some("0-4"));
    let next = Request::new("PATCH", &place).header("Content-Range", "5-9").body("56789");
    registry.send(&next).expect(202);
    registry.kill();
    registry.run();
    registry
        .send(&Request::new("PUT", &format!("{place}?digest={}", blob.digest)).header("Content-Length", "0"))
        .expect(201);
    assert_eq!(registry.get(&format!("/v2/a/blobs/{}", blob.digest)).expect(200).text(), "0123456789");
}

/// `kill -9` at any moment of many pushes: what was acknowledged is there, and what is there is whole.
#[test]
fn nothing_acknowledged_is_lost_to_a_kill() {
    let mut registry = Private::start();
    // As often as the disk's, the store's would take an hour: a request of its server costs as much as a push to the disk.
    let rounds = Faults::of(if STORE == Store::Disk { 200 } else { 20 }).count;
    for round in 0..usize::try_from(rounds).unwrap() {
        let address = registry.address;
        let tags = |registry: &Private| {
            registry.stored().iter().filter(|name| name.starts_with("repositories/k/_tags/")).count()
        };
        let before = tags(&registry);
        let pushing = thread::spawn(move || {
            let mut acknowledged = Vec::new();
            let send = |request: Request| {
                http::open_on(http::connect_tcp(address).ok()?, &request).ok()?.finish().ok()
            };
            let mut push = |number: usize| {
                let blob = Blob::new(format!("{round} {number}").repeat(10_000));
                for one in [Blob::new("{}"), blob.clone()] {
                    let path = format!("/v2/k/blobs/uploads/?digest={}", one.digest);
                    send(Request::new("POST", &path).body(one.bytes))
                        .filter(|reply| reply.status() == 201)?;
                }
                let manifest = Blob::manifest(&Blob::new("{}"), &[blob], json!({}));
                let put = Request::new("PUT", &format!("/v2/k/manifests/r{round}-{number}"));
                let put = put.header("Content-Type", OCI_MANIFEST).body(manifest.bytes.clone());
                send(put).filter(|reply| reply.status() == 201)?;
                acknowledged.push((format!("r{round}-{number}"), manifest));
                Some(())
            };
            let _ = (0..10_000).map_while(&mut push).count();
            acknowledged
        });
        eventually(DEADLINE, || {
            let new = tags(&registry) - before;
            if new >= 4 { Ok(()) } else { Err(new) }
        });
        registry.kill();
        let acknowledged = pushing.join().unwrap();
        assert!(!acknowledged.is_empty());
        registry.run();
        for (tag, manifest) in acknowledged {
            assert_eq!(registry.get(&format!("/v2/k/manifests/{tag}")).expect(200).body, manifest.bytes);
        }
        for tag in registry.tags("k").as_array().unwrap() {
            let manifest =
                registry.get(&format!("/v2/k/manifests/{}", tag.as_str().unwrap())).expect(200).json();
            let digest = manifest["layers"][0]["digest"].as_str().unwrap();
            let blob = registry.get(&format!("/v2/k/blobs/{digest}")).expect(200);
            assert_eq!(Blob::new(blob.body).digest, digest);
        }
    }
}

/// More clients that say nothing than there is room for: whoever has something to say is heard.
#[test]
fn silent_clients_make_room() {
    let registry = Private::with("http: {maxconnections: 50}");
    let silent: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = http::connect_tcp(registry.address).unwrap();
            let _ = stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost:");
            stream
        })
        .collect();
    registry.get("/v2/").expect(200);
    drop(silent);
}

/// Five thousand clients in the middle of a request: a head, a body, an answer that nobody reads.
#[test]
fn thousands_of_slow_clients_hold_nobody_up() {
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: Some(20_000), maximum: Some(20_000) },
    )
    .unwrap();
    let registry = Private::start();
    let large = Blob::new(vec![7; 4 << 20]);
    registry.push_blob("a", &large);
    let manifest = registry.push_image("a", "one", "layer");
    let place = registry.begin("slow");
    let heads = [
        "GET /v2/a/manifests/one HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(),
        format!("PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegun"),
        format!("GET /v2/a/blobs/{} HTTP/1.1\r\nHost: x\r\n\r\n", large.digest),
        "PUT /v2/a/manifests/two HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{".to_owned(),
    ];
    let count = if STORE == Store::Disk { 5000 } else { 500 };
    let slow: Vec<_> = (0..count)
        .map(|number| {
            let mut stream = http::connect_tcp(registry.address).unwrap();
            let _ = stream.write_all(heads[number % heads.len()].as_bytes());
            stream
        })
        .collect();
    assert_eq!(registry.get("/v2/a/manifests/one").expect(200).body, manifest.bytes);
    let second = registry.push_image("b", "one", "another layer");
    assert_eq!(registry.get("/v2/b/manifests/one").expect(200).body, second.bytes);
    let memory = registry.memory();
    println!("{count} slow clients: {} MiB", memory >> 20);
    assert!(memory < (100 << 20) + count as u64 * (64 << 10), "{memory} bytes for {count} clients");
    drop(slow);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// CVE-2023-44487, CVE-2023-45288: streams that are opened and reset without end, a head that never ends.
#[test]
fn s084_http2_exhausts_nobody() {
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    const CONTINUATION: u8 = 9;
    let registry = Private::start();
    let open = || {
        let mut stream = http::connect_tcp(registry.address).unwrap();
        let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat();
        stream.write_all(&hello).unwrap();
        stream
    };
    // GET http://x/v2/
    let head = [0x82, 0x86, 0x04, 4, b'/', b'v', b'2', b'/', 0x01, 1, b'x'];
    let before = registry.memory();
    let mut stream = open();
    let reset = |number: u32| {
        let stream = number * 2 + 1;
        [frame(HEADERS, 5, stream, &head), frame(RESET, 0, stream, &8u32.to_be_bytes())].concat()
    };
    let taken = (0..1_000_000).map_while(|number| stream.write_all(&reset(number)).ok()).count();
    assert!(taken < 1_000_000, "it took as many streams as were opened and reset");
    let mut stream = open();
    stream.write_all(&frame(HEADERS, 0, 1, &head)).unwrap();
    let more = frame(
        CONTINUATION,
        0,
        1,
        &[&[0x00, 3, b'a', b'b', b'c', 0x7f, 0x80, 0x7e][..], &[b'x'; 16_000]].concat(),
    );
    let taken = (0..100_000).map_while(|_| stream.write_all(&more).ok()).count();
    assert!(taken < 100_000, "it took a head of {taken} frames");
    let grown = registry.memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for two clients");
    registry.get("/v2/").expect(200);
}

#[test]
fn a_refused_body_is_not_the_next_request() {
    let registry = Private::start();
    let mut stream = http::connect_tcp(registry.address).unwrap();
    let smuggled = "DELETE /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\n\r\n";
    let head =
        format!("PUT /v2/A/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", smuggled.len());
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(smuggled.as_bytes());
    let answers = rest(&mut stream);
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
}

#[test]
fn a_full_disk_is_told_and_what_was_there_stays() {
    let registry = Private::with_room(8 << 20);
    let manifest = registry.push_image("a", "one", "layer");
    for _ in 0..3 {
        let place = registry.begin("a");
        let reply = registry.send(&Request::new("PATCH", &place).body(vec![1; 20 << 20])).expect(507);
        assert!(reply.text().contains("storage is full"), "{}", reply.text());
    }
    assert_eq!(registry.get("/v2/a/manifests/one").expect(200).body, manifest.bytes);
    // What didn't fit is away, and what fits gets in.
    registry.push_image("a", "two", &"x".repeat(4 << 20));
    assert_eq!(registry.tags("a"), json!(["one", "two"]));
}
