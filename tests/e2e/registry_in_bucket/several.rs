//! What only a store that several processes serve has: uploads that wander, parts, addresses that are lent.

use serde_json::json;
use testkit::http::{self, Reply, Request};
use testkit::{DEADLINE, eventually};

use super::{Blob, OCI_MANIFEST, Private};

/// More than a part, and no multiple of one.
fn large(seed: u8) -> Blob {
    let bytes: Vec<u8> =
        (0..12_345_678u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed).collect();
    Blob::new(bytes)
}

fn patch(registry: &Private, place: &str, at: usize, bytes: &[u8]) -> Reply {
    let range = format!("{at}-{}", at + bytes.len() - 1);
    registry.send(&Request::new("PATCH", place).header("Content-Range", &range).body(bytes))
}

fn close(registry: &Private, place: &str, blob: &Blob) -> Reply {
    let request = Request::new("PUT", &format!("{place}?digest={}", blob.digest));
    registry.send(&request.header("Content-Length", "0"))
}

fn count(registry: &Private, prefix: &str) -> usize {
    registry.stored().iter().filter(|name| name.starts_with(prefix)).count()
}

#[test]
fn an_upload_goes_on_at_another_process() {
    let first = Private::start();
    let mut second = first.beside();
    let blob = large(0);
    let place = first.begin("a");
    // Whatever does not fill a part waits in the store as well.
    let cuts = [0, 1, 3_000_000, 3_000_001, 9_000_000, blob.bytes.len()];
    for (number, pair) in cuts.windows(2).enumerate() {
        let at = if number % 2 == 0 { &first } else { &second };
        let other = if number % 2 == 0 { &second } else { &first };
        patch(at, &place, pair[0], &blob.bytes[pair[0]..pair[1]]).expect(202);
        let status = other.get(&place).expect(204);
        assert_eq!(status.header("range"), Some(format!("0-{}", pair[1] - 1).as_str()));
        patch(other, &place, pair[0] + 7, b"out of order").expect(416);
    }
    second.kill();
    close(&first, &place, &blob).expect(201);
    second.run();
    let path = format!("/v2/a/blobs/{}", blob.digest);
    assert!(second.get(&path).expect(200).body == blob.bytes, "the bytes are others");
    let part = second.send(&Request::new("GET", &path).header("Range", "bytes=5242870-5242889")).expect(206);
    assert_eq!(part.body, blob.bytes[5_242_870..5_242_890]);
    assert_eq!((first.uploads(), count(&first, "data/")), (0, 1));
    first.ask("DELETE", &path).expect(202);
    second.get(&path).expect(404);
}

#[test]
fn a_killed_process_leaves_an_upload_that_goes_on() {
    let mut registry = Private::start();
    let blob = large(1);
    let place = registry.begin("a");
    let mut stream = http::connect_tcp(registry.address).unwrap();
    let head = format!("PATCH {place} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", blob.bytes.len());
    let half = &blob.bytes[..6_000_000];
    std::io::Write::write_all(&mut stream, &[head.as_bytes(), half].concat()).unwrap();
    // What is beyond the first part has no document yet.
    registry.await_received(6_000_000 - (5 << 20));
    registry.kill();
    registry.run();
    let status = registry.get(&place).expect(204);
    assert_eq!(status.header("range"), Some("0-5242879"));
    patch(&registry, &place, 5 << 20, &blob.bytes[5 << 20..]).expect(202);
    close(&registry, &place, &blob).expect(201);
    assert_eq!((registry.uploads(), count(&registry, "data/")), (0, 1));
}

#[test]
fn an_upload_in_parts_is_given_up_or_wrong_and_nothing_stays() {
    let registry = Private::start();
    let blob = large(2);
    let place = registry.begin("a");
    patch(&registry, &place, 0, &blob.bytes).expect(202);
    assert_eq!(count(&registry, "parts of "), 1);
    registry.ask("DELETE", &place).expect(204);
    assert_eq!((registry.uploads(), count(&registry, "data/")), (0, 0));
    let place = registry.begin("a");
    patch(&registry, &place, 0, &blob.bytes).expect(202);
    close(&registry, &place, &Blob::new("another")).expect(400);
    assert_eq!((registry.uploads(), count(&registry, "data/")), (0, 0));
    // Nobody said before that it would be another kind of digest.
    let mut hasher = oci::Hasher::new(oci::Algorithm::Sha512);
    hasher.update(&blob.bytes);
    let other = Blob { digest: hasher.finish().to_string(), bytes: blob.bytes.clone() };
    let place = registry.begin("a");
    patch(&registry, &place, 0, &blob.bytes).expect(202);
    close(&registry, &place, &other).expect(201);
    assert!(registry.get(&format!("/v2/a/blobs/{}", other.digest)).expect(200).body == blob.bytes);
    assert_eq!((registry.uploads(), count(&registry, "data/")), (0, 1));
}

// covers: registry behaviour pull redirects
// covers: registry config-key storage storage.redirect
// covers: registry config-key storage storage.redirect.disable
#[test]
fn clients_are_sent_to_the_store() {
    let registry = Private::with("storage: {redirect: {disable: false}}");
    let blob = Blob::new("0123456789");
    registry.push_blob("a", &blob);
    let path = format!("/v2/a/blobs/{}", blob.digest);
    let reply = registry.get(&path).expect(307);
    assert_eq!(reply.header("docker-content-digest"), Some(blob.digest.as_str()));
    let place = reply.header("location").unwrap();
    let store = registry.bucket.as_ref().unwrap().address();
    let target = place.strip_prefix(&format!("http://{store}")).unwrap().to_owned();
    let ask = |target: &str, range: &str| {
        let stream = http::connect_tcp(store.parse().unwrap()).unwrap();
        let request = Request::new("GET", target).header("Host", store).header("Range", range);
        http::open_on(stream, &request).unwrap().finish().unwrap()
    };
    assert_eq!(ask(&target, "bytes=2-4").expect(206).text(), "234");
    // It is lent for this object alone.
    ask(&target.replace("/data/", "/data/x"), "bytes=0-").expect(403);
    ask(target.split('?').next().unwrap(), "bytes=0-").expect(403);
    assert_eq!(registry.ask("HEAD", &path).expect(200).header("content-length"), Some("10"));
}

/// Pushes of the same content at two processes while a third collects without any grace, some times.
#[test]
fn no_push_is_lost_to_another_process_that_collects() {
    let first = Private::start();
    let second = first.beside();
    let push = |registry: &Private, seed: usize| {
        for round in 0..8 {
            let name = format!("r{}", round % 2);
            let (config, layer) = (Blob::new("{}"), Blob::new("the same"));
            let more = json!({"annotations": {"n": format!("{seed} {round}")}});
            let manifest = Blob::manifest(&config, std::slice::from_ref(&layer), more);
            eventually(DEADLINE, || {
                for blob in [&config, &layer] {
                    let path = format!("/v2/{name}/blobs/uploads/?digest={}", blob.digest);
                    let reply = registry.send(&Request::new("POST", &path).body(blob.bytes.clone()));
                    assert!(matches!(reply.status(), 201), "{}", reply.text());
                }
                let reply =
                    registry.put_manifest(&name, &format!("t{seed}-{round}"), &manifest, OCI_MANIFEST);
                match reply.status() {
                    201 => Ok(()),
                    400 if reply.text().contains("MANIFEST_BLOB_UNKNOWN") => Err(reply.text()),
                    _ => panic!("{}", reply.text()),
                }
            });
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| push(&first, 1));
        scope.spawn(|| push(&second, 2));
        (0..4).for_each(|_| drop(first.command(&["gc", "--untagged", "--grace", "0s"])));
    });
    for name in ["r0", "r1"] {
        for tag in first.tags(name).as_array().unwrap() {
            let path = format!("/v2/{name}/manifests/{}", tag.as_str().unwrap());
            let manifest = second.get(&path).expect(200).json();
            for blob in [&manifest["config"], &manifest["layers"][0]] {
                let path = format!("/v2/{name}/blobs/{}", blob["digest"].as_str().unwrap());
                first.get(&path).expect(200);
            }
        }
        assert_eq!(first.tags(name).as_array().unwrap().len(), 8);
    }
}

#[test]
fn keys_that_are_wrong_are_told() {
    let mut registry = Private::start();
    registry.push_image("a", "one", "layer");
    assert!(registry.command(&["ls"]).contains("a "));
    registry.kill();
    registry.reconfigure("health: {storagedriver: {interval: 100ms, threshold: 1}}");
    registry.get("/v2/a/manifests/one").expect(200);
    registry.kill();
    // The store goes away, too.
    let bucket = registry.bucket.take().unwrap();
    let section = bucket.section().replace("the-secret", "another");
    registry.reconfigure(&format!(
        "health: {{storagedriver: {{interval: 100ms, threshold: 1}}}}\nstorage: {{s3: {section}}}"
    ));
    registry.get("/v2/a/manifests/one").expect(500);
    eventually(DEADLINE, || match registry.get("/healthz").status() {
        503 => Ok(()),
        status => Err(status),
    });
    assert!(registry.log().contains("SignatureDoesNotMatch"), "{}", registry.log());
}
