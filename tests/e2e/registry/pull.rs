//! What is served: manifests and blobs, whole, in part, or not again.

use serde_json::json;
use testkit::http::Request;

use super::server::code;
use super::{Blob, EMPTY, OCI_INDEX, OCI_MANIFEST, Private};

// covers: registry endpoint api end-1 GET /v2/
// covers: registry behaviour api support check
// covers: registry statement api Determining Support
// covers: registry header api Docker-Distribution-API-Version Docker-Distribution-API-Version
// covers: registry docker-registry header Docker-Distribution-Api-Version: registry/2.0
// covers: registry statement general Legacy Docker support HTTP headers
// covers: registry statement general Requirements
#[test]
fn it_is_a_registry() {
    let registry = Private::start();
    for path in ["/v2/", "/v2"] {
        let reply = registry.get(path).expect(200);
        assert_eq!(reply.header("docker-distribution-api-version"), Some("registry/2.0"));
        assert_eq!(reply.json(), json!({}));
    }
    assert_eq!(code(&registry.ask("POST", "/v2/").expect(405)), "UNSUPPORTED");
    registry.get("/v1/search").expect(404);
}

// covers: registry endpoint pull end-3 GET /v2/<name>/manifests/<tag-or-digest>
// covers: registry endpoint pull end-3 HEAD /v2/<name>/manifests/<tag-or-digest>
// covers: registry statement pull Pulling manifests
// covers: registry statement pull Checking if content exists in the registry
// covers: registry behaviour pull HEAD
// covers: registry behaviour push manifest byte-exact
// covers: registry header api Docker-Content-Digest Docker-Content-Digest
// covers: registry header api Content-Type Content-Type
// covers: registry header api Content-Length Content-Length
// covers: registry docker-registry header ETag
// covers: registry error-code api MANIFEST_UNKNOWN
#[test]
fn manifests_are_served_as_they_were_pushed() {
    let registry = Private::start();
    let manifest = registry.push_image("a/b", "one", "layer");
    for target in ["one", &manifest.digest] {
        let path = format!("/v2/a/b/manifests/{target}");
        let reply = registry.get(&path).expect(200);
        assert_eq!(reply.body, manifest.bytes);
        assert_eq!(reply.header("content-type"), Some(OCI_MANIFEST));
        assert_eq!(reply.header("docker-content-digest"), Some(manifest.digest.as_str()));
        let head = registry.ask("HEAD", &path).expect(200);
        assert_eq!(head.header("content-length"), Some(manifest.bytes.len().to_string().as_str()));
        assert_eq!(head.header("docker-content-digest"), Some(manifest.digest.as_str()));
        let etag = reply.header("etag").unwrap();
        let again = registry.send(&Request::new("GET", &path).header("If-None-Match", etag)).expect(304);
        assert!(again.body.is_empty());
    }
    for missing in ["two", ".INVALID_MANIFEST_NAME", EMPTY] {
        let reply = registry.get(&format!("/v2/a/b/manifests/{missing}")).expect(404);
        assert_eq!(code(&reply), "MANIFEST_UNKNOWN");
        registry.ask("HEAD", &format!("/v2/a/b/manifests/{missing}")).expect(404);
    }
}

// covers: registry behaviour pull content negotiation
// covers: registry header api Accept Accept
#[test]
fn a_client_gets_no_kind_of_manifest_that_it_did_not_ask_for() {
    let registry = Private::start();
    registry.push_image("a", "one", "layer");
    let get =
        |accept: &str| registry.send(&Request::new("GET", "/v2/a/manifests/one").header("Accept", accept));
    get(&format!("{OCI_INDEX}, {OCI_MANIFEST};q=0.5")).expect(200);
    get("*/*").expect(200);
    get(OCI_INDEX).expect(404);
}

// covers: registry endpoint pull end-2 GET /v2/<name>/blobs/<digest>
// covers: registry endpoint pull end-2 HEAD /v2/<name>/blobs/<digest>
// covers: registry statement pull Pulling blobs
// covers: registry statement pull Pull
// covers: registry error-code api BLOB_UNKNOWN
#[test]
fn blobs_are_served_from_the_repository_that_has_them() {
    let registry = Private::start();
    let blob = Blob::new(vec![7; 3 << 20]);
    registry.push_blob("a", &blob);
    let path = format!("/v2/a/blobs/{}", blob.digest);
    let reply = registry.get(&path).expect(200);
    assert!(reply.body == blob.bytes, "the bytes are others");
    assert_eq!(reply.header("docker-content-digest"), Some(blob.digest.as_str()));
    let head = registry.ask("HEAD", &path).expect(200);
    assert_eq!(head.header("content-length"), Some("3145728"));
    for missing in [format!("/v2/a/blobs/{EMPTY}"), format!("/v2/b/blobs/{}", blob.digest)] {
        assert_eq!(code(&registry.get(&missing).expect(404)), "BLOB_UNKNOWN");
        registry.ask("HEAD", &missing).expect(404);
    }
}

// covers: registry behaviour pull range requests
// covers: registry header api Range Range
#[test]
fn parts_of_blobs() {
    let registry = Private::start();
    let blob = Blob::new("0123456789");
    registry.push_blob("a", &blob);
    let part = |range: &str| {
        registry.send(&Request::new("GET", &format!("/v2/a/blobs/{}", blob.digest)).header("Range", range))
    };
    for (range, expected, said) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=8-", "89", "bytes 8-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
    ] {
        let reply = part(range).expect(206);
        assert_eq!(reply.text(), expected);
        assert_eq!(reply.header("content-range"), Some(said));
    }
    let beyond = part("bytes=10-").expect(416);
    assert_eq!(beyond.header("content-range"), Some("bytes */10"));
    for whole in ["bytes=0-1,3-4", "bytes=x", "lines=1-2"] {
        assert_eq!(part(whole).expect(200).text(), "0123456789");
    }
    let request = Request::new("GET", &format!("/v2/a/blobs/{}", blob.digest)).header("Range", "bytes=1-2");
    assert_eq!(registry.send(&request.header("If-Range", "\"other\"")).expect(200).text(), "0123456789");
}
