//! Collection, retention, webhooks, metrics, the cache of other registries, and the end.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::io::{Read, Write};

use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use testkit::registry::{Door, Wire};
use testkit::{DEADLINE, Registry, eventually, http, images, own_network};

use super::{Blob, OCI_INDEX, OCI_MANIFEST, Private, STORE, Store};

const COLLECTING: &str = "storage: {gc: {interval: 200ms, grace: 0s, untagged: true}}";

// covers: registry docker-registry behaviour garbage collection
#[test]
fn what_nothing_needs_goes_while_the_registry_serves() {
    // A push to a slow store must be faster than a collection without grace: there it is asked for.
    let registry = Private::with(if STORE == Store::Disk { COLLECTING } else { "{}" });
    let kept = registry.push_image("a", "one", "kept");
    let gone = registry.push_image("a", "two", "gone");
    registry.ask("DELETE", "/v2/a/manifests/two").expect(202);
    let keeps = |content: &str| {
        registry.stored().contains(&format!("blobs/{}", Blob::new(content).digest.replace(':', "/")))
    };
    if STORE == Store::Bucket {
        registry.command(&["gc", "--untagged", "--grace", "0s"]);
    }
    eventually(DEADLINE, || if keeps("gone") { Err("the blob is there") } else { Ok(()) });
    registry.get(&format!("/v2/a/manifests/{}", gone.digest)).expect(404);
    assert_eq!(registry.get("/v2/a/manifests/one").expect(200).body, kept.bytes);
    registry.get(&format!("/v2/a/blobs/{}", Blob::new("kept").digest)).expect(200);
    assert!(keeps("kept"));
}

/// An index holds its manifests, and a signature what it signs.
#[test]
fn collection_follows_indexes_and_referrers() {
    let registry = Private::start();
    let image = registry.push_image("a", "tmp", "layer");
    let pointer = json!({"mediaType": OCI_MANIFEST, "digest": image.digest, "size": image.bytes.len()});
    let index =
        Blob::new(json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [pointer]}).to_string());
    registry.put_manifest("a", "index", &index, OCI_INDEX).expect(201);
    let signature = Blob::manifest(&Blob::new("{}"), &[], json!({"subject": pointer}));
    registry.put_manifest("a", &signature.digest, &signature, OCI_MANIFEST).expect(201);
    registry.ask("DELETE", "/v2/a/manifests/tmp").expect(202);
    let collect = || registry.command(&["gc", "--untagged", "--grace", "0s"]);
    assert!(collect().contains("Removed 0 manifests"), "{}", collect());
    registry.get(&format!("/v2/a/manifests/{}", image.digest)).expect(200);
    registry.ask("DELETE", "/v2/a/manifests/index").expect(202);
    assert!(
        registry
            .command(&["gc", "--untagged", "--grace", "0s", "--dry-run"])
            .contains("Would remove 3 manifests")
    );
    assert!(collect().contains("Removed 3 manifests"));
    assert_eq!(registry.get("/v2/_catalog").expect(200).json(), json!({"repositories": []}));
}

/// Pushes of the same content while a collection with no grace at all is always under way: what was acknowledged is
/// served, and what a collection took meanwhile is an error that names it.
#[test]
fn no_push_is_lost_to_a_collection() {
    let registry = Private::with(COLLECTING);
    for round in 0..30 {
        let name = format!("r{}", round % 3);
        let (config, layer) = (Blob::new("{}"), Blob::new("the same"));
        let manifest = Blob::manifest(
            &config,
            std::slice::from_ref(&layer),
            json!({"annotations": {"n": round.to_string()}}),
        );
        // A client that is told what is missing sends it again.
        eventually(DEADLINE, || {
            registry.push_blob(&name, &config);
            registry.push_blob(&name, &layer);
            let reply = registry.put_manifest(&name, "t", &manifest, OCI_MANIFEST);
            match reply.status() {
                201 => Ok(()),
                400 if reply.text().contains("MANIFEST_BLOB_UNKNOWN") => Err(reply.text()),
                _ => panic!("{}", reply.text()),
            }
        });
        assert_eq!(registry.get(&format!("/v2/{name}/manifests/t")).expect(200).body, manifest.bytes);
        registry.get(&format!("/v2/{name}/blobs/{}", layer.digest)).expect(200);
    }
}

#[test]
fn retention_keeps_the_last_tags() {
    let registry = Private::with("retention: [{repositories: ['ci/**'], keep: 2, protect: ['v*']}]");
    for name in ["ci/a", "b"] {
        for tag in ["v1", "t1", "t2", "t3"] {
            registry.push_image(name, tag, tag);
        }
    }
    let said = registry.command(&["gc"]);
    assert!(said.contains("ci/a:t1"), "{said}");
    assert_eq!(registry.tags("ci/a"), json!(["t2", "t3", "v1"]));
    assert_eq!(registry.tags("b"), json!(["t1", "t2", "t3", "v1"]));
}

// covers: registry docker-registry behaviour upload purging
// covers: registry config-key storage storage.maintenance
// covers: registry config-key storage storage.maintenance.uploadpurging
// covers: registry config-key storage storage.maintenance.uploadpurging.enabled
// covers: registry config-key storage storage.maintenance.uploadpurging.age
// covers: registry config-key storage storage.maintenance.uploadpurging.interval
#[test]
fn abandoned_uploads_are_purged() {
    let registry =
        Private::with("storage: {maintenance: {uploadpurging: {enabled: true, age: 1ms, interval: 100ms}}}");
    let place = registry.begin("a");
    eventually(DEADLINE, || match registry.get(&place).status() {
        404 => Ok(()),
        status => Err(status),
    });
    eventually(DEADLINE, || match registry.uploads() {
        0 => Ok(()),
        count => Err(count),
    });
}

/// Heads and bodies of requests.
type Received = Arc<Mutex<Vec<(String, Value)>>>;

/// A server that keeps what it is sent. The first answers are refusals.
fn endpoint(refusals: usize) -> (String, Received) {
    let listener = testkit::own_network::listen();
    let address = listener.local_addr().unwrap();
    let got = Arc::new(Mutex::new(Vec::new()));
    let seen = got.clone();
    thread::spawn(move || {
        own_network::enter();
        let mut left = refusals;
        for mut stream in listener.incoming().flatten() {
            let mut bytes = Vec::new();
            let mut buffer = [0; 65536];
            let (head, body) = loop {
                let count = stream.read(&mut buffer).unwrap_or(0);
                bytes.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head
                        .to_lowercase()
                        .split("content-length: ")
                        .nth(1)
                        .and_then(|rest| rest.lines().next()?.trim().parse().ok());
                    if body.len() >= length.unwrap_or(0) {
                        break (head.to_owned(), body.to_owned());
                    }
                }
                assert!(count > 0, "a request without end");
            };
            let status = if left > 0 { "500 No" } else { "200 OK" };
            left = left.saturating_sub(1);
            if status.starts_with("200") {
                seen.lock().unwrap().push((head, serde_json::from_str(&body).unwrap()));
            }
            let _ = stream.write_all(
                format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
            );
        }
    });
    (format!("http://{address}/hook"), got)
}

// covers: registry docker-registry behaviour notifications
// covers: registry config-key notifications notifications
// covers: registry config-key notifications notifications.endpoints
// covers: registry config-key notifications notifications.endpoints[].name
// covers: registry config-key notifications notifications.endpoints[].url
// covers: registry config-key notifications notifications.endpoints[].headers
// covers: registry config-key notifications notifications.endpoints[].ignore
// covers: registry config-key notifications notifications.endpoints[].ignore.mediatypes
// covers: registry config-key notifications notifications.endpoints[].ignore.actions
// covers: registry config-key notifications notifications.endpoints[].threshold
// covers: registry config-key notifications notifications.endpoints[].backoff
#[test]
fn webhooks_hear_of_pushes_and_deletions() {
    let (url, got) = endpoint(2);
    let registry = Private::with(&format!(
        "notifications: {{endpoints: [{{name: e, url: '{url}', headers: {{X-Secret: [s3]}}, threshold: 1, backoff: 10ms, \
         ignore: {{mediatypes: [application/octet-stream], actions: [pull]}}}}]}}"
    ));
    let manifest = registry.push_image("a", "one", "layer");
    registry.get("/v2/a/manifests/one").expect(200);
    registry.ask("DELETE", "/v2/a/manifests/one").expect(202);
    let events = eventually(DEADLINE, || {
        let all: Vec<Value> = got
            .lock()
            .unwrap()
            .iter()
            .flat_map(|(_, body)| body["events"].as_array().unwrap().clone())
            .collect();
        if all.len() >= 2 { Ok(all) } else { Err(all) }
    });
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["action"], "push");
    let target = &events[0]["target"];
    assert_eq!(
        (&target["repository"], &target["tag"], &target["digest"]),
        (&json!("a"), &json!("one"), &json!(manifest.digest))
    );
    assert_eq!((&target["mediaType"], &target["size"]), (&json!(OCI_MANIFEST), &json!(manifest.bytes.len())));
    assert_eq!((&events[1]["action"], &events[1]["target"]["tag"]), (&json!("delete"), &json!("one")));
    assert!(got.lock().unwrap()[0].0.to_lowercase().contains("x-secret: s3"));
}

// covers: registry docker-registry behaviour health and metrics
// covers: registry config-key http http.debug
// covers: registry config-key http http.debug.addr
// covers: registry config-key log log.accesslog
#[test]
fn metrics_health_and_the_access_log() {
    let registry = Private::start();
    registry.push_image("a", "one", "layer");
    let metrics = registry.metrics();
    assert!(
        metrics.contains("registry_http_requests_total{handler=\"manifest\",method=\"PUT\",code=\"2xx\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("registry_received_bytes_total 7"), "{metrics}");
    registry.get("/healthz").expect(200);
    registry.get("/metrics").expect(404);
    eventually(DEADLINE, || {
        let log = registry.log();
        if log.contains("path=/v2/a/manifests/one status=201") { Ok(()) } else { Err(log) }
    });
}

/// `SIGTERM` in the middle of an upload.
#[test]
fn an_upload_ends_before_the_registry_does() {
    let mut registry = Private::start();
    let blob = Blob::new("first half, second half");
    let place = registry.begin("a");
    let mut stream = http::connect_tcp(registry.address).unwrap();
    let head = format!(
        "PUT {place}?digest={} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\nfirst half",
        blob.digest,
        blob.bytes.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The request is under way when its bytes are on the disk.
    registry.await_received(10);
    rustix::process::kill_process(registry.pid(), rustix::process::Signal::TERM).unwrap();
    eventually(DEADLINE, || match registry.log().contains("ending") {
        true => Ok(()),
        false => Err("it has not heard"),
    });
    stream.write_all(b", second half").unwrap();
    let reply = http::read_head(stream, "PUT").unwrap().finish().unwrap();
    assert_eq!(reply.status(), 201, "{}", reply.text());
    assert_eq!(registry.wait(), Some(0));
    registry.run();
    assert_eq!(registry.get(&format!("/v2/a/blobs/{}", blob.digest)).expect(200).body, blob.bytes);
}

// covers: registry docker-registry behaviour pull-through cache
// covers: registry behaviour proxy ns parameter
// covers: registry statement proxy Registry Proxying
// covers: registry header api OCI-Namespace OCI-Namespace
#[test]
fn another_registry_is_kept_and_served_when_it_is_away() {
    let mut upstream = Private::start();
    let first = upstream.push_image("team/app", "one", "layer");
    let host = upstream.address;
    let cache = Private::with(&format!("proxies: [{{prefix: far, remoteurl: 'http://{host}', ttl: 0s}}]"));
    let layer = format!("/v2/far/team/app/blobs/{}", Blob::new("layer").digest);
    assert_eq!(cache.get("/v2/far/team/app/manifests/one").expect(200).body, first.bytes);
    assert_eq!(cache.get(&layer).expect(200).text(), "layer");
    assert_eq!(cache.get("/v2/far/team/app/tags/list").expect(200).json()["tags"], json!(["one"]));
    let named = cache.get(&format!("/v2/team/app/manifests/one?ns={host}")).expect(200);
    assert_eq!(named.header("oci-namespace"), Some(host.to_string().as_str()));
    cache.get("/v2/far/team/app/manifests/none").expect(404);
    cache.get("/v2/team/app/manifests/one").expect(404);
    // A tag that moves there moves here.
    let second = upstream.push_image("team/app", "one", "another");
    assert_eq!(cache.get("/v2/far/team/app/manifests/one").expect(200).body, second.bytes);
    cache.ask("POST", "/v2/far/team/app/blobs/uploads/").expect(405);
    upstream.kill();
    let stale = cache.get("/v2/far/team/app/manifests/one").expect(200);
    assert_eq!(stale.body, second.bytes);
    assert!(stale.header("warning").unwrap().starts_with("299 - "));
    cache.get(&format!("/v2/far/team/app/manifests/{}", first.digest)).expect(200);
    assert_eq!(cache.get(&layer).expect(200).text(), "layer");
    cache.get(&format!("/v2/far/team/app/blobs/{}", Blob::new("another").digest)).expect(502);
    upstream.run();
}

// covers: registry client-behaviour pull/push certs.d
#[test]
fn a_kept_registry_is_believed_by_the_certificate_that_its_host_was_given() {
    // Of a loopback address nobody asks for a certificate.
    own_network::enter();
    let upstream = Registry::at(own_network::ADDRESS, Door::Open, Wire::Tls);
    upstream.receive("a:1", &images::busybox("x:1").unwrap());
    let host = upstream.address();
    let config = format!("proxies: [{{prefix: far, remoteurl: 'https://{host}', ttl: 0s}}]");
    let cache = Private::believing(&config, host, &upstream.certificate());
    cache.get("/v2/far/a/manifests/1").expect(200);
    // Another server isn't believed because of it, nor is this one by a registry that wasn't told.
    let suspicious = Private::with(&config);
    suspicious.get("/v2/far/a/manifests/1").expect(502);
    eventually(DEADLINE, || {
        let log = suspicious.log();
        log.contains("certificate").then_some(()).ok_or(log)
    });
    let elsewhere = Private::believing(&config, "127.0.0.1:1", &upstream.certificate());
    elsewhere.get("/v2/far/a/manifests/1").expect(502);
}

// covers: registry config-key proxy proxy
// covers: registry config-key proxy proxy.remoteurl
#[test]
fn a_cache_has_a_limit() {
    let upstream = Private::start();
    for tag in ["one", "two", "three"] {
        upstream.push_image("a", tag, &tag.repeat(1000));
    }
    let cache = Private::with(&format!("proxy: {{remoteurl: 'http://{}', maxsize: 6000}}", upstream.address));
    let blobs = || cache.stored().iter().filter(|name| name.starts_with("repositories/a/_blobs/")).count();
    for tag in ["one", "two", "three"] {
        cache.get(&format!("/v2/a/manifests/{tag}")).expect(200);
        let digest = Blob::new(tag.repeat(1000)).digest;
        assert_eq!(cache.get(&format!("/v2/a/blobs/{digest}")).expect(200).text(), tag.repeat(1000));
    }
    assert_eq!(blobs(), 1, "3000, 3000 and 5000 bytes don't fit together");
    let digest = Blob::new("one".repeat(1000)).digest;
    cache.get(&format!("/v2/a/blobs/{digest}")).expect(200);
}

#[test]
fn repositories_move_as_layouts() {
    let from = Private::start();
    let manifest = from.push_image("a/b", "one", "layer");
    from.push_image("a/b", "two", "other");
    let layout = from.scratch.join("layout");
    assert!(from.command(&["export", "a/b", layout.to_str().unwrap()]).contains("2 manifests and 3 blobs"));
    let to = Private::start();
    assert!(to.command(&["import", layout.to_str().unwrap(), "c"]).contains("2 manifests and 3 blobs"));
    assert_eq!(to.tags("c"), json!(["one", "two"]));
    assert_eq!(to.get("/v2/c/manifests/one").expect(200).body, manifest.bytes);
    assert_eq!(to.command(&["ls", "--quiet"]), "c\n");
    assert_eq!(to.command(&["tags", "--quiet", "c"]), "one\ntwo\n");
    to.command(&["rm", "c:one"]);
    assert_eq!(to.tags("c"), json!(["two"]));
    assert!(to.command(&["du"]).contains("On disk: 12B"));
    to.command(&["rm", "c"]);
    to.get("/v2/c/tags/list").expect(404);
}
