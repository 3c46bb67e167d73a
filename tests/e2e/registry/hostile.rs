//! Strangers: names in every wrong shape, bodies without end, clients that stay, processes that die.

use std::io::Write;
use std::thread;

use serde_json::json;
use testkit::http::{self, Request};
use testkit::{DEADLINE, eventually};

use super::server::{code, rest};
use super::{Blob, EMPTY, OCI_MANIFEST, Private};

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
    assert_eq!(std::fs::read_dir(registry.scratch.join("root/repositories")).unwrap().count(), 0);
}

/// CVE-2017-11468.
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
    let partial = registry.scratch.join("root/blobs/partial");
    assert_eq!(std::fs::read_dir(partial).unwrap().count(), 0, "its bytes stayed");
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
    let partial = registry.scratch.join(&format!("root/blobs/partial/{}", place.rsplit('/').next().unwrap()));
    eventually(DEADLINE, || match std::fs::metadata(&partial).map(|meta| meta.len()) {
        Ok(5) => Ok(()),
        other => Err(format!("{other:?}")),
    });
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
    let partial = registry.scratch.join(&format!("root/blobs/partial/{}", place.rsplit('/').next().unwrap()));
    let mut stream = http::connect_tcp(registry.address).unwrap();
    stream
        .write_all(format!("PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234").as_bytes())
        .unwrap();
    eventually(DEADLINE, || match std::fs::metadata(&partial).map(|meta| meta.len()) {
        Ok(5) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    drop(stream);
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
    for round in 0..5 {
        let address = registry.address;
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
        let log = registry.scratch.join("root/repositories/k/_tags");
        eventually(DEADLINE, || match std::fs::read_dir(&log).map(Iterator::count) {
            Ok(count) if count >= (round + 1) * 4 => Ok(()),
            other => Err(format!("{other:?}")),
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
