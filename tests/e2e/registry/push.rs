//! What is accepted: uploads in every form, and manifests when everything they need is there.

use serde_json::json;
use testkit::http::{Reply, Request};

use super::server::code;
use super::{Blob, EMPTY, OCI_INDEX, OCI_MANIFEST, Private};

fn patch(registry: &Private, place: &str, range: &str, bytes: &str) -> Reply {
    let mut request = Request::new("PATCH", place).header("Content-Type", "application/octet-stream");
    if !range.is_empty() {
        request = request.header("Content-Range", range);
    }
    registry.send(&request.body(bytes))
}

fn close(registry: &Private, place: &str, digest: &str, bytes: &str) -> Reply {
    registry.send(
        &Request::new("PUT", &format!("{place}?digest={digest}"))
            .header("Content-Length", &bytes.len().to_string())
            .body(bytes),
    )
}

// covers: registry endpoint push end-4a POST /v2/<name>/blobs/uploads/
// covers: registry endpoint push end-6 PUT <blob-push-location>?digest=<digest>
// covers: registry behaviour push monolithic POST then PUT
// covers: registry statement push POST then PUT
// covers: registry statement push Pushing blobs
// covers: registry header api Location Location
// covers: registry docker-registry header Docker-Upload-UUID
#[test]
fn one_piece_by_post_and_put() {
    let registry = Private::start();
    let blob = Blob::new("hello");
    let begun = registry.ask("POST", "/v2/a/b/blobs/uploads/").expect(202);
    let place = begun.header("location").unwrap();
    assert!(place.ends_with(begun.header("docker-upload-uuid").unwrap()));
    let closed = close(&registry, place, &blob.digest, "hello").expect(201);
    assert_eq!(closed.header("location"), Some(format!("/v2/a/b/blobs/{}", blob.digest).as_str()));
    assert_eq!(closed.header("docker-content-digest"), Some(blob.digest.as_str()));
    assert_eq!(registry.get(closed.header("location").unwrap()).expect(200).text(), "hello");
    // The session is over.
    assert_eq!(code(&close(&registry, place, &blob.digest, "").expect(404)), "BLOB_UPLOAD_UNKNOWN");
    let empty = registry.begin("a");
    close(&registry, &empty, EMPTY, "").expect(201);
}

// covers: registry endpoint push end-4b POST /v2/<name>/blobs/uploads/?digest=<digest>
// covers: registry behaviour push single POST
// covers: registry statement push Single POST
#[test]
fn one_piece_by_post_alone() {
    let registry = Private::start();
    let blob = Blob::new("hello");
    let post = |digest: &str| {
        registry.send(&Request::new("POST", &format!("/v2/a/blobs/uploads/?digest={digest}")).body("hello"))
    };
    assert_eq!(code(&post(EMPTY).expect(400)), "DIGEST_INVALID");
    assert_eq!(code(&post("sha256:totallywrong").expect(400)), "DIGEST_INVALID");
    let reply = post(&blob.digest).expect(201);
    assert_eq!(registry.get(reply.header("location").unwrap()).expect(200).text(), "hello");
}

// covers: registry endpoint push end-4c POST /v2/<name>/blobs/uploads/?digest-algorithm=<algorithm>
// covers: registry behaviour push other digest algorithms
#[test]
fn other_digests_than_sha256() {
    let registry = Private::start();
    let mut hasher = oci::Hasher::new(oci::Algorithm::Sha512);
    hasher.update(b"hello");
    let digest = hasher.finish().to_string();
    for query in ["?digest-algorithm=sha512", ""] {
        let begun = registry.ask("POST", &format!("/v2/a/blobs/uploads/{query}")).expect(202);
        let place = begun.header("location").unwrap();
        patch(&registry, place, "0-1", "he").expect(202);
        close(&registry, place, &digest, "llo").expect(201);
        assert_eq!(registry.get(&format!("/v2/a/blobs/{digest}")).expect(200).text(), "hello");
    }
    let refused = registry.ask("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5").expect(400);
    assert_eq!(code(&refused), "DIGEST_INVALID");
}

// covers: registry endpoint push end-5 PATCH <blob-push-location>
// covers: registry endpoint push end-13 GET <blob-push-location>
// covers: registry behaviour push chunked upload
// covers: registry behaviour push upload status
// covers: registry statement push Pushing a blob in chunks
// covers: registry header api Content-Range Content-Range
// covers: registry error-code api SIZE_INVALID
// covers: registry error-code api BLOB_UPLOAD_INVALID
#[test]
fn pieces_come_in_order() {
    let registry = Private::start();
    let blob = Blob::new("0123456789");
    let place = registry.begin("a");
    assert_eq!(code(&patch(&registry, &place, "4-5", "45").expect(416)), "BLOB_UPLOAD_INVALID");
    let first = patch(&registry, &place, "0-3", "0123").expect(202);
    assert_eq!(first.header("range"), Some("0-3"));
    for wrong in ["0-3", "5-8", "3-6"] {
        let refused = patch(&registry, &place, wrong, "xxxx").expect(416);
        assert_eq!(refused.header("range"), Some("0-3"));
    }
    assert_eq!(code(&patch(&registry, &place, "nonsense", "4567").expect(400)), "BLOB_UPLOAD_INVALID");
    let status = registry.get(&place).expect(204);
    assert_eq!((status.header("range"), status.header("location")), (Some("0-3"), Some(place.as_str())));
    patch(&registry, &place, "4-7", "4567").expect(202);
    let out_of_order =
        Request::new("PUT", &format!("{place}?digest={}", blob.digest)).header("Content-Range", "9-9");
    registry.send(&out_of_order.body("9")).expect(416);
    let last = Request::new("PUT", &format!("{place}?digest={}", blob.digest)).header("Content-Range", "8-9");
    registry.send(&last.body("89")).expect(201);
    assert_eq!(registry.get(&format!("/v2/a/blobs/{}", blob.digest)).expect(200).text(), "0123456789");

    let place = registry.begin("a");
    assert_eq!(code(&patch(&registry, &place, "0-9", "012").expect(400)), "SIZE_INVALID");
}

/// docker sends all of a blob in one `PATCH` without saying how much it will be.
#[test]
fn a_stream_without_length() {
    let registry = Private::start();
    let place = registry.begin("a");
    let request = Request::new("PATCH", &place).header("Transfer-Encoding", "chunked");
    registry.send(&request.body("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")).expect(202);
    close(&registry, &place, &Blob::new("hello world").digest, "").expect(201);
}

// covers: registry behaviour push minimum chunk size
// covers: registry header api OCI-Chunk-Min-Length OCI-Chunk-Min-Length
#[test]
fn a_wished_size_of_chunks_is_announced() {
    let registry = Private::with("http: {chunkmin: 64k}");
    let begun = registry.ask("POST", "/v2/a/blobs/uploads/").expect(202);
    assert_eq!(begun.header("oci-chunk-min-length"), Some("65536"));
}

// covers: registry endpoint push end-14 DELETE <blob-push-location>
// covers: registry behaviour push cancel upload
// covers: registry statement push Cancel a blob upload
// covers: registry error-code api BLOB_UPLOAD_UNKNOWN
#[test]
fn an_upload_that_was_given_up_is_gone() {
    let registry = Private::start();
    let place = registry.begin("a");
    patch(&registry, &place, "", "hello").expect(202);
    registry.ask("DELETE", &place).expect(204);
    for method in ["GET", "DELETE", "PATCH"] {
        assert_eq!(registry.ask(method, &place).expect(404).status(), 404);
    }
    assert_eq!(registry.uploads(), 0);
    // A session belongs to its repository.
    let place = registry.begin("a").replace("/v2/a/", "/v2/b/");
    assert_eq!(code(&registry.get(&place).expect(404)), "BLOB_UPLOAD_UNKNOWN");
}

// covers: registry error-code api DIGEST_INVALID
#[test]
fn bytes_that_are_not_what_was_promised_are_nowhere() {
    let registry = Private::start();
    let promised = Blob::new("promised").digest;
    let place = registry.begin("a");
    patch(&registry, &place, "", "delivered").expect(202);
    assert_eq!(code(&close(&registry, &place, &promised, "").expect(400)), "DIGEST_INVALID");
    for blob in [&promised, &Blob::new("delivered").digest] {
        registry.get(&format!("/v2/a/blobs/{blob}")).expect(404);
    }
    assert_eq!(code(&close(&registry, &registry.begin("a"), "", "x").expect(400)), "DIGEST_INVALID");
}

// covers: registry endpoint push end-7a PUT /v2/<name>/manifests/<tag-or-digest>
// covers: registry behaviour push push by digest
// covers: registry statement push Pushing Manifests
// covers: registry statement push Push
// covers: registry error-code api MANIFEST_BLOB_UNKNOWN
// covers: registry error-code api MANIFEST_INVALID
// covers: registry docker-registry behaviour manifest validation
// covers: registry behaviour api error body
// covers: registry statement api Error Codes
// covers: registry statement general Legacy Docker support error codes
#[test]
fn a_manifest_needs_what_it_names() {
    let registry = Private::start();
    let (config, layer) = (Blob::new("{}"), Blob::new("layer"));
    let manifest = Blob::manifest(&config, std::slice::from_ref(&layer), json!({}));
    let put = |target: &str, blob: &Blob, kind: &str| registry.put_manifest("a", target, blob, kind);
    let refused = put("one", &manifest, OCI_MANIFEST).expect(400);
    assert_eq!(code(&refused), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(refused.json()["errors"][0]["detail"]["digest"], config.digest.as_str());
    registry.push_blob("a", &config);
    registry.push_blob("a", &layer);
    let pushed = put("one", &manifest, OCI_MANIFEST).expect(201);
    assert_eq!(pushed.header("docker-content-digest"), Some(manifest.digest.as_str()));
    assert_eq!(pushed.header("location"), Some(format!("/v2/a/manifests/{}", manifest.digest).as_str()));
    put(&manifest.digest, &manifest, OCI_MANIFEST).expect(201);
    assert_eq!(code(&put(EMPTY, &manifest, OCI_MANIFEST).expect(400)), "DIGEST_INVALID");
    assert_eq!(
        code(&put("sha256:totallywrong", &Blob::new("blablabla"), OCI_MANIFEST).expect(400)),
        "DIGEST_INVALID"
    );
    for (document, kind) in [("blablabla", OCI_MANIFEST), ("{}", OCI_MANIFEST), ("[]", OCI_INDEX)] {
        assert_eq!(code(&put("two", &Blob::new(document), kind).expect(400)), "MANIFEST_INVALID");
    }
    assert_eq!(code(&put("one", &manifest, OCI_INDEX).expect(400)), "MANIFEST_INVALID");
    assert_eq!(code(&put(".wrong", &manifest, OCI_MANIFEST).expect(400)), "TAG_INVALID");
    let index = Blob::new(
        json!({"schemaVersion": 2, "manifests": [{"mediaType": OCI_MANIFEST, "digest": EMPTY, "size": 0}]})
            .to_string(),
    );
    assert_eq!(code(&put("two", &index, OCI_INDEX).expect(400)), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(registry.tags("a"), json!(["one"]));
}

// covers: registry docker-registry media-type application/vnd.docker.distribution.manifest.v2+json
// covers: registry docker-registry media-type application/vnd.docker.distribution.manifest.list.v2+json
// covers: registry docker-registry media-type application/vnd.docker.container.image.v1+json
// covers: registry docker-registry media-type application/vnd.docker.image.rootfs.diff.tar.gzip
// covers: registry docker-registry media-type application/vnd.docker.image.rootfs.foreign.diff.tar.gzip
// covers: registry docker-registry media-type application/vnd.docker.plugin.v1+json
// covers: registry docker-registry media-type application/vnd.oci.image.manifest.v1+json
// covers: registry docker-registry media-type application/vnd.oci.image.index.v1+json
// covers: registry docker-registry media-type application/vnd.oci.image.config.v1+json
// covers: registry docker-registry media-type application/vnd.oci.image.layer.v1.tar(+gzip|+zstd)
// covers: registry docker-registry media-type application/vnd.oci.empty.v1+json
// covers: registry docker-registry media-type application/vnd.in-toto+json
#[test]
fn dockers_kinds_and_ocis() {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    let registry = Private::start();
    let (config, layer) = (Blob::new("{}"), Blob::new("layer"));
    registry.push_blob("a", &config);
    registry.push_blob("a", &layer);
    let pointer =
        |kind: &str, blob: &Blob| json!({"mediaType": kind, "digest": blob.digest, "size": blob.bytes.len()});
    let image = |kind: &str, config_type: &str, layer_type: &str| {
        let document = json!({"schemaVersion": 2, "mediaType": kind, "config": pointer(config_type, &config), "layers": [pointer(layer_type, &layer)]});
        Blob::new(document.to_string())
    };
    let cases = [
        (DOCKER, "docker.container.image.v1+json", "docker.image.rootfs.diff.tar.gzip"),
        (DOCKER, "docker.plugin.v1+json", "docker.image.rootfs.diff.tar.gzip"),
        (OCI_MANIFEST, "oci.image.config.v1+json", "oci.image.layer.v1.tar"),
        (OCI_MANIFEST, "oci.image.config.v1+json", "oci.image.layer.v1.tar+gzip"),
        (OCI_MANIFEST, "oci.image.config.v1+json", "oci.image.layer.v1.tar+zstd"),
        (OCI_MANIFEST, "oci.empty.v1+json", "in-toto+json"),
    ];
    for (kind, config, layer) in cases {
        let blob = image(
            kind,
            &format!("application/vnd.{config}"),
            &format!(
                "application/{}",
                if layer == "in-toto+json" { "vnd.in-toto+json".into() } else { format!("vnd.{layer}") }
            ),
        );
        registry.put_manifest("a", "t", &blob, kind).expect(201);
        let got = registry.get("/v2/a/manifests/t").expect(200);
        assert_eq!((got.header("content-type"), &got.body), (Some(kind), &blob.bytes));
        let (list_kind, tag) = if kind == DOCKER { (LIST, "list") } else { (OCI_INDEX, "index") };
        let list = Blob::new(
            json!({"schemaVersion": 2, "mediaType": list_kind, "manifests": [pointer(kind, &blob)]})
                .to_string(),
        );
        registry.put_manifest("a", tag, &list, list_kind).expect(201);
        assert_eq!(registry.get(&format!("/v2/a/manifests/{tag}")).expect(200).body, list.bytes);
    }
    // A foreign layer's bytes are at its addresses, not here.
    let foreign = json!({"schemaVersion": 2, "mediaType": DOCKER, "config": pointer("application/vnd.docker.container.image.v1+json", &config),
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": EMPTY, "size": 5, "urls": ["https://example.org/x"]}]});
    registry.put_manifest("a", "foreign", &Blob::new(foreign.to_string()), DOCKER).expect(201);
}

#[test]
fn schema_1_is_refused_by_name() {
    let registry = Private::start();
    let kind = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let refused = registry.put_manifest("a", "one", &Blob::new(r#"{"schemaVersion":1}"#), kind).expect(400);
    assert!(refused.text().contains("schema 1"), "{}", refused.text());
}

// covers: registry endpoint push end-7b PUT /v2/<name>/manifests/<digest>?tag=1&tag=2&tag=3
// covers: registry behaviour push tags on push by digest
// covers: registry header api OCI-Tag OCI-Tag
#[test]
fn tags_go_with_a_push_by_digest() {
    let registry = Private::start();
    let manifest = registry.push_image("a", "one", "layer");
    let target = format!("{}?tag=two&tag=three", manifest.digest);
    let pushed = registry.put_manifest("a", &target, &manifest, OCI_MANIFEST).expect(201);
    let said: Vec<_> = pushed
        .head
        .headers
        .iter()
        .filter(|(name, _)| name == "oci-tag")
        .map(|(_, tag)| tag.as_str())
        .collect();
    assert_eq!(said, ["two", "three"]);
    assert_eq!(registry.tags("a"), json!(["one", "three", "two"]));
    let wrong = format!("{}?tag=..", manifest.digest);
    registry.put_manifest("a", &wrong, &manifest, OCI_MANIFEST).expect(400);
}
