//! `system/df`.

use testkit::Engine;
use testkit::http::Request;
use testkit::recording::versions;

// covers: api GET /system/df
#[test]
fn df_has_the_recorded_shape_and_counts_an_image() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    for version in versions() {
        let usage = engine.get(&format!("/v{version}/system/df")).expect(200).json();
        let images = usage["Images"].as_array().unwrap();
        let image = images.iter().find(|image| {
            image["RepoTags"].as_array().is_some_and(|tags| tags.contains(&tag.as_str().into()))
        });
        assert!(image.is_some_and(|image| image["Size"].as_u64() > Some(100_000)), "{usage}");
        assert!(usage["LayersSize"].as_u64() > Some(100_000), "{usage}");
    }
}

// covers: api GET /system/df ?type
#[test]
fn df_can_be_asked_for_some_kinds_only() {
    let engine = Engine::isolated();
    engine.busybox();
    let usage = engine
        .request_unchecked(&Request::new("GET", "/v1.44/system/df?type=image&type=volume"))
        .expect(200)
        .json();
    assert!(usage["Images"].as_array().is_some_and(|images| !images.is_empty()), "{usage}");
    assert!(usage["Containers"].is_null(), "{usage}");
}
