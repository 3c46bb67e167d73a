//! What images may take of this host.

use serde_json::json;
use testkit::http::{Reply, Request};
use testkit::{Engine, images};

fn call(engine: &Engine, method: &str, path: &str) -> Reply {
    engine.request_unchecked(&Request::new(method, path))
}

/// An image with one file of a megabyte.
fn import(engine: &Engine, name: &str) -> Reply {
    let tar = images::archive_of(&[("a", name.repeat(1 << 20).as_bytes())]);
    let request =
        Request::new("POST", &format!("/images/create?fromSrc=-&repo={name}&tag=1&changes=CMD%20x"));
    engine.request_unchecked(&request.header("Content-Type", "application/x-tar").body(tar))
}

fn names(engine: &Engine) -> Vec<String> {
    let list = call(engine, "GET", "/images/json").json();
    let names = list
        .as_array()
        .expect("the test made it so")
        .iter()
        .map(|image| image["RepoTags"][0].as_str().expect("the test made it so")[..1].to_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

// covers: daemon flag --storage-opt
#[test]
fn the_image_that_was_used_longest_ago_makes_room() {
    let engine = Engine::planned(|plan, _| plan.arg("--storage-opt=image-limit=3500k"));
    for name in ["a", "b", "c"] {
        import(&engine, name).expect(200);
    }
    assert_eq!(names(&engine), ["a", "b", "c"]);
    // `a` came first, and a container is made of it; `b` was used longest ago.
    let body = json!({"Image": "a:1", "HostConfig": {"NetworkMode": "none"}});
    engine.request_unchecked(&Request::new("POST", "/containers/create?name=user").json(&body)).expect(201);
    import(&engine, "d").expect(200);
    assert_eq!(names(&engine), ["a", "c", "d"]);
    // What a container uses stays, and so does what has just come, even if it is too large alone.
    import(&engine, "e").expect(200);
    import(&engine, "f").expect(200);
    assert_eq!(names(&engine), ["a", "e", "f"]);
    call(&engine, "DELETE", "/containers/user").expect(204);
    import(&engine, "g").expect(200);
    assert_eq!(names(&engine), ["e", "f", "g"], "nobody uses the oldest any more");
}

/// Also for what is built, and where the limit came with a later engine.
#[test]
fn builds_make_room_and_so_does_a_new_limit() {
    let limit = |size: &str| json!({ "storage-opts": [format!("image-limit={size}")] });
    let mut engine = Engine::planned(|plan, scratch| plan.config(scratch, &limit("2500k")));
    let context = engine.scratch().join("context");
    std::fs::create_dir(&context).expect("a context");
    let build = |engine: &Engine, name: &str| {
        std::fs::write(context.join("a"), name.repeat(1 << 20)).expect("a file");
        std::fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY a /\n").expect("a file");
        engine.ketch(["build", "-q", "-t", &format!("{name}:1"), &context.display().to_string()]).ok();
    };
    for name in ["a", "b", "c"] {
        build(&engine, name);
    }
    assert_eq!(names(&engine), ["b", "c"]);
    engine.scratch().write("daemon.json", limit("1500k").to_string());
    engine.crash_and_restart();
    assert_eq!(names(&engine), ["c"]);
}

// covers: daemon config-key storage-opts
#[test]
fn a_layer_may_unpack_to_so_much_and_no_more() {
    let engine = Engine::planned(|plan, scratch| {
        plan.config(scratch, &json!({"storage-opts": ["layer-size=512k", "layer-entries=10"]}))
    });
    let refused = import(&engine, "a").expect(413).message();
    assert!(refused.contains("the layer has more than 524288 bytes of content"), "{refused}");
    let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let request = Request::new("POST", "/images/create?fromSrc=-&repo=many")
        .header("Content-Type", "application/x-tar");
    let refused = engine.request_unchecked(&request.body(images::archive_of(&many))).expect(413).message();
    assert!(refused.contains("the layer has more than 10 entries"), "{refused}");
    assert_eq!(call(&engine, "GET", "/images/json").json(), json!([]));
}
