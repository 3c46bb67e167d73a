//! Mounts, lists and removals.

use serde_json::json;

use super::server::code;
use super::{Blob, EMPTY, OCI_INDEX, OCI_MANIFEST, Private, STORE, Store};

// covers: registry endpoint push end-11 POST /v2/<name>/blobs/uploads/?mount=<digest>&from=<other_name>
// covers: registry behaviour push cross-repository mount
// covers: registry behaviour push anonymous mount
// covers: registry statement push Mounting a blob from another repository
#[test]
fn a_blob_is_mounted_from_another_repository() {
    let registry = Private::start();
    let blob = Blob::new("shared");
    registry.push_blob("a", &blob);
    let mount = |name: &str, rest: &str| {
        registry.ask("POST", &format!("/v2/{name}/blobs/uploads/?mount={}{rest}", blob.digest))
    };
    let mounted = mount("b", "&from=a").expect(201);
    assert_eq!(mounted.header("location"), Some(format!("/v2/b/blobs/{}", blob.digest).as_str()));
    assert_eq!(registry.get(mounted.header("location").unwrap()).expect(200).text(), "shared");
    mount("c", "").expect(201);
    let begun = mount("d", "&from=nowhere").expect(202);
    assert!(begun.header("location").unwrap().contains("/blobs/uploads/"));
    registry.get(&format!("/v2/d/blobs/{}", blob.digest)).expect(404);
    let unknown = registry.ask("POST", &format!("/v2/d/blobs/uploads/?mount={EMPTY}")).expect(202);
    assert!(unknown.header("location").unwrap().contains("/blobs/uploads/"));
    // The same bytes are there once.
    let names = match STORE {
        Store::Disk => {
            use std::os::unix::fs::MetadataExt as _;
            let shared = registry.scratch.join(&format!("root/blobs/{}", blob.digest.replace(':', "/")));
            std::fs::metadata(shared).unwrap().nlink()
        }
        Store::Bucket => {
            let stored = registry.stored();
            assert_eq!(stored.iter().filter(|name| name.starts_with("data/")).count(), 1);
            stored.iter().filter(|name| name.contains(&blob.digest["sha256:".len()..])).count() as u64
        }
    };
    assert_eq!(names, 4);
}

// covers: registry endpoint discovery end-8a GET /v2/<name>/tags/list
// covers: registry endpoint discovery end-8b GET /v2/<name>/tags/list?n=<integer>&last=<tagname>
// covers: registry behaviour discovery tag list
// covers: registry behaviour discovery n=0
// covers: registry statement discovery Listing Tags
// covers: registry header api Link Link
// covers: registry error-code api NAME_UNKNOWN
#[test]
fn tags_page_by_page() {
    let registry = Private::start();
    assert_eq!(code(&registry.get("/v2/a/tags/list").expect(404)), "NAME_UNKNOWN");
    let manifest = registry.push_image("a", "t3", "layer");
    for tag in ["t1", "T2", "t2", "t4"] {
        registry.put_manifest("a", tag, &manifest, OCI_MANIFEST).expect(201);
    }
    assert_eq!(registry.tags("a"), json!(["T2", "t1", "t2", "t3", "t4"]));
    let first = registry.get("/v2/a/tags/list?n=2").expect(200);
    assert_eq!(first.json(), json!({"name": "a", "tags": ["T2", "t1"]}));
    assert_eq!(first.header("link"), Some("</v2/a/tags/list?last=t1&n=2>; rel=\"next\""));
    let last = registry.get("/v2/a/tags/list?last=t2&n=2").expect(200);
    assert_eq!((last.json()["tags"].clone(), last.header("link")), (json!(["t3", "t4"]), None));
    let none = registry.get("/v2/a/tags/list?n=0").expect(200);
    assert_eq!((none.json()["tags"].clone(), none.header("link")), (json!([]), None));
    assert_eq!(registry.get("/v2/a/tags/list?last=t3").expect(200).json()["tags"], json!(["t4"]));
    for wrong in ["-1", "x", "1.5"] {
        assert_eq!(
            code(&registry.get(&format!("/v2/a/tags/list?n={wrong}")).expect(400)),
            "PAGINATION_NUMBER_INVALID"
        );
    }
}

// covers: registry docker-registry catalog GET /v2/_catalog
// covers: registry config-key catalog catalog
// covers: registry config-key catalog catalog.maxentries
#[test]
fn repositories_page_by_page_and_no_number_is_too_large() {
    let registry = Private::with("catalog: {maxentries: 2}");
    for name in ["b/c", "a", "b-d"] {
        registry.push_image(name, "t", "layer");
    }
    for n in ["", "?n=9223372036854775807", "?n=99999999999999999999999"] {
        let page = registry.get(&format!("/v2/_catalog{n}")).expect(200);
        assert_eq!(page.json(), json!({"repositories": ["a", "b-d"]}));
        assert_eq!(page.header("link"), Some("</v2/_catalog?last=b-d&n=2>; rel=\"next\""));
    }
    let rest = registry.get("/v2/_catalog?last=b-d&n=2").expect(200);
    assert_eq!((rest.json(), rest.header("link")), (json!({"repositories": ["b/c"]}), None));
    registry.get("/v2/_catalog?n=-1").expect(400);
}

// covers: registry endpoint discovery end-12a GET /v2/<name>/referrers/<digest>
// covers: registry endpoint discovery end-12b GET /v2/<name>/referrers/<digest>?artifactType=<artifactType>
// covers: registry behaviour discovery referrers
// covers: registry behaviour discovery referrers filter
// covers: registry behaviour discovery referrers paging
// covers: registry behaviour push subject
// covers: registry behaviour push subject before target
// covers: registry statement discovery Listing Referrers
// covers: registry statement push Pushing Manifests with Subject
// covers: registry header api OCI-Subject OCI-Subject
// covers: registry header api OCI-Filters-Applied OCI-Filters-Applied
#[test]
fn referrers_are_known_before_their_subject() {
    let registry = Private::start();
    let (config, layer) = (Blob::new("{}"), Blob::new("layer"));
    registry.push_blob("a", &config);
    registry.push_blob("a", &layer);
    let subject = Blob::manifest(&config, &[layer], json!({}));
    let pointer = json!({"mediaType": OCI_MANIFEST, "digest": subject.digest, "size": subject.bytes.len()});
    let none = registry.get(&format!("/v2/a/referrers/{}", subject.digest)).expect(200);
    assert_eq!(none.json(), json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}));
    assert_eq!(none.header("content-type"), Some(OCI_INDEX));

    let typed = Blob::manifest(
        &config,
        &[],
        json!({"subject": pointer, "artifactType": "application/x-sig", "annotations": {"k": "v"}}),
    );
    let untyped = Blob::manifest(&config, &[], json!({"subject": pointer}));
    let index = Blob::new(
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": pointer}).to_string(),
    );
    for (blob, kind) in [(&typed, OCI_MANIFEST), (&untyped, OCI_MANIFEST), (&index, OCI_INDEX)] {
        let pushed = registry.put_manifest("a", &blob.digest, blob, kind).expect(201);
        assert_eq!(pushed.header("oci-subject"), Some(subject.digest.as_str()));
    }
    let all = registry.get(&format!("/v2/a/referrers/{}", subject.digest)).expect(200).json();
    let find = |digest: &str| {
        all["manifests"].as_array().unwrap().iter().find(|one| one["digest"] == digest).unwrap().clone()
    };
    assert_eq!(
        find(&typed.digest),
        json!({"mediaType": OCI_MANIFEST, "digest": typed.digest, "size": typed.bytes.len(), "artifactType": "application/x-sig", "annotations": {"k": "v"}})
    );
    assert_eq!(find(&untyped.digest)["artifactType"], "application/vnd.oci.image.config.v1+json");
    assert_eq!(find(&index.digest).get("artifactType"), None);

    let filtered = registry
        .get(&format!("/v2/a/referrers/{}?artifactType=application/x-sig", subject.digest))
        .expect(200);
    assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
    assert_eq!(filtered.json()["manifests"].as_array().unwrap().len(), 1);

    let (mut path, mut seen) = (format!("/v2/a/referrers/{}?n=1", subject.digest), Vec::new());
    loop {
        let page = registry.get(&path).expect(200);
        seen.extend(
            page.json()["manifests"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["digest"].as_str().unwrap().to_owned()),
        );
        match page.header("link") {
            Some(link) => path = link.split(['<', '>']).nth(1).unwrap().to_owned(),
            None => break,
        }
    }
    seen.sort();
    let mut expected = vec![typed.digest.clone(), untyped.digest, index.digest];
    expected.sort();
    assert_eq!(seen, expected);

    registry.ask("DELETE", &format!("/v2/a/manifests/{}", typed.digest)).expect(202);
    let rest = registry.get(&format!("/v2/a/referrers/{}", subject.digest)).expect(200).json();
    assert_eq!(rest["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(code(&registry.get("/v2/a/referrers/sha256:x").expect(400)), "DIGEST_INVALID");
    registry.get(&format!("/v2/never-seen/referrers/{EMPTY}")).expect(200);
}

/// A client that doesn't know of the list keeps one of its own under a tag; the list has the same.
// covers: registry behaviour discovery referrers tag schema
// covers: registry statement compatibility Referrers Tag Schema
// covers: registry statement compatibility Unavailable Referrers API
// covers: registry statement compatibility Backwards Compatibility
// covers: registry statement upgrade Enabling the Referrers API
// refuses: registry client-behaviour pull/push referrers discovery because no command of docker's asks what refers to an image
#[test]
fn clients_that_keep_a_list_under_a_tag() {
    let registry = Private::start();
    let subject = registry.push_image("a", "one", "layer");
    let pointer = json!({"mediaType": OCI_MANIFEST, "digest": subject.digest, "size": subject.bytes.len()});
    let signature = Blob::manifest(&Blob::new("{}"), &[], json!({"subject": pointer}));
    registry.put_manifest("a", &signature.digest, &signature, OCI_MANIFEST).expect(201);
    let entry = json!({"mediaType": OCI_MANIFEST, "digest": signature.digest, "size": signature.bytes.len()});
    let list =
        Blob::new(json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).to_string());
    let tag = subject.digest.replace(':', "-");
    registry.put_manifest("a", &tag, &list, OCI_INDEX).expect(201);
    assert_eq!(registry.get(&format!("/v2/a/manifests/{tag}")).expect(200).body, list.bytes);
    let ours = registry.get(&format!("/v2/a/referrers/{}", subject.digest)).expect(200).json();
    assert_eq!(ours["manifests"][0]["digest"], signature.digest.as_str());
}

// covers: registry endpoint management end-9 DELETE /v2/<name>/manifests/<tag-or-digest>
// covers: registry endpoint management end-10 DELETE /v2/<name>/blobs/<digest>
// covers: registry behaviour management delete tag
// covers: registry behaviour management delete manifest
// covers: registry behaviour management delete blob
// covers: registry statement management Content Management
// covers: registry statement management Deleting tags
// covers: registry statement management Deleting Manifests
// covers: registry statement management Deleting Blobs
#[test]
fn removals() {
    let registry = Private::start();
    let manifest = registry.push_image("a", "one", "layer");
    registry.put_manifest("a", "two", &manifest, OCI_MANIFEST).expect(201);
    registry.put_manifest("a", "three", &manifest, OCI_MANIFEST).expect(201);
    registry.ask("DELETE", "/v2/a/manifests/one").expect(202);
    registry.ask("DELETE", "/v2/a/manifests/one").expect(404);
    registry.get(&format!("/v2/a/manifests/{}", manifest.digest)).expect(200);
    assert_eq!(registry.tags("a"), json!(["three", "two"]));
    registry.ask("DELETE", &format!("/v2/a/manifests/{}", manifest.digest)).expect(202);
    registry.get("/v2/a/manifests/two").expect(404);
    registry.get(&format!("/v2/a/manifests/{}", manifest.digest)).expect(404);
    assert_eq!(registry.tags("a"), json!([]));
    assert_eq!(
        code(&registry.ask("DELETE", &format!("/v2/a/manifests/{EMPTY}")).expect(404)),
        "MANIFEST_UNKNOWN"
    );
    assert_eq!(code(&registry.ask("DELETE", "/v2/nowhere/manifests/x").expect(404)), "NAME_UNKNOWN");
    let blob = format!("/v2/a/blobs/{}", Blob::new("layer").digest);
    registry.ask("DELETE", &blob).expect(202);
    registry.get(&blob).expect(404);
    assert_eq!(code(&registry.ask("DELETE", &blob).expect(404)), "BLOB_UNKNOWN");
}

// covers: registry endpoint extensions ext GET /v2/_oci/ext/discover
// covers: registry endpoint extensions ext GET /v2/<name>/_oci/ext/discover
// covers: registry behaviour extensions extension discovery
#[test]
fn extensions_are_told() {
    let registry = Private::start();
    for path in ["/v2/_oci/ext/discover", "/v2/a/b/_oci/ext/discover"] {
        let told = registry.get(path).expect(200).json();
        assert_eq!(told["extensions"][0]["name"], "_oci");
    }
}

// covers: registry behaviour api warnings
// covers: registry statement api Warnings
// covers: registry header api Warning Warning
#[test]
fn users_of_a_repository_are_warned() {
    let registry = Private::with("warnings: [{repositories: ['old/**'], text: 'moved to \"new\"'}]");
    let warned = registry.get("/v2/old/a/tags/list");
    assert_eq!(warned.header("warning"), Some("299 - \"moved to \\\"new\\\"\""));
    assert_eq!(registry.get("/v2/new/tags/list").header("warning"), None);
}

// covers: registry config-key http http.host
// covers: registry config-key http http.headers
// covers: registry config-key http http.headers.X-Content-Type-Options
// covers: registry config-key tags tags
// covers: registry config-key tags tags.maxtags
// covers: registry config-key log log.formatter
// covers: registry config-key log log.accesslog.disabled
// covers: registry statement api API
#[test]
fn answers_are_as_configured() {
    let registry = Private::with(
        "http: {host: 'https://reg.example/', headers: {X-Content-Type-Options: [nosniff], X-Here: [a, b]}}\ntags: {maxtags: 1}",
    );
    let begun = registry.ask("POST", "/v2/a/blobs/uploads/").expect(202);
    assert!(begun.header("location").unwrap().starts_with("https://reg.example/v2/a/blobs/uploads/"));
    let here: Vec<_> = begun.head.headers.iter().filter(|(name, _)| name == "x-here").collect();
    assert_eq!(here.len(), 2);
    registry.push_image("a", "one", "layer");
    registry.push_image("a", "two", "layer");
    let page = registry.get("/v2/a/tags/list?n=5").expect(200);
    assert_eq!(page.header("link"), Some("<https://reg.example/v2/a/tags/list?last=one&n=1>; rel=\"next\""));
    let silent = Private::with("log: {level: info, formatter: json, accesslog: {disabled: true}}");
    silent.get("/v2/").expect(200);
    assert!(!silent.log().contains("\"path\""), "{}", silent.log());
}
