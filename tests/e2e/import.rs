//! Tars that become images.

use serde_json::{Value, json};
use testkit::http::{Reply, Request};
use testkit::web::Answer;
use testkit::{Engine, Web, images};

fn import(engine: &Engine, query: &str, tar: &[u8]) -> Reply {
    let request = Request::new("POST", &format!("/images/create?{query}"));
    engine.request_unchecked(&request.header("Content-Type", "application/x-tar").body(tar))
}

fn inspect(engine: &Engine, name: &str) -> Value {
    engine.request_unchecked(&Request::new("GET", &format!("/images/{name}/json"))).expect(200).json()
}

fn statuses(reply: &Reply) -> Vec<String> {
    let text = reply.text();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| Some(message["status"].as_str()?.to_owned())).collect()
}

// covers: api POST /images/create ?fromSrc
// covers: api POST /images/create ?repo
// covers: api POST /images/create ?message
// covers: api POST /images/create ?changes
#[test]
fn a_tar_becomes_an_image_with_what_the_changes_say() {
    let engine = Engine::isolated();
    let name = engine.name("imported");
    let program = std::fs::read("/bin/busybox").unwrap();
    let tar = images::archive_of(&[("bin/busybox", &program), ("etc/motd", b"hello")]);
    let changes = [
        "CMD%20[%22/bin/busybox%22,%22cat%22,%22/etc/motd%22]",
        "ENV%20A=b%20C=$A",
        "LABEL%20x=y",
        "EXPOSE%2080%2053/udp",
        "WORKDIR%20/w",
        "VOLUME%20/v",
        "HEALTHCHECK%20--interval=1m%20CMD%20true",
        "ONBUILD%20RUN%20x",
    ];
    let changes: String = changes.iter().map(|change| format!("&changes={change}")).collect();
    let query = format!("fromSrc=-&repo={name}&tag=1&message=by%20hand{changes}");
    let reply = import(&engine, &query, &tar).expect(200);
    let image = inspect(&engine, &format!("{name}:1"));
    assert_eq!(statuses(&reply), [image["Id"].as_str().unwrap()]);
    assert_eq!(image["Comment"], "by hand");
    assert_eq!(image["RootFS"]["Layers"], json!([images::digest(&tar)]));
    let config = &image["Config"];
    assert_eq!(config["Env"], json!(["A=b", "C="]));
    assert_eq!(config["Labels"], json!({"x": "y"}));
    assert_eq!(config["ExposedPorts"], json!({"80/tcp": {}, "53/udp": {}}));
    assert_eq!(config["Healthcheck"], json!({"Test": ["CMD-SHELL", "true"], "Interval": 60_000_000_000_u64}));
    assert_eq!((&config["WorkingDir"], &config["Volumes"]), (&json!("/w"), &json!({"/v": {}})));
    import(
        &engine,
        &format!("fromSrc=-&repo={name}&tag=2&{}", &changes[1..changes.find("&changes=VOL").unwrap()]),
        &tar,
    )
    .expect(200);
    let output = engine.docker(["run", "--rm", "--network", "none", "-w", "/", &format!("{name}:2")]);
    assert_eq!(output.ok(), "hello");
}

// covers: api POST /images/create ?platform
#[test]
fn what_cannot_be_imported_is_told_in_dockerd_s_words() {
    let engine = Engine::isolated();
    let name = engine.name("wrong");
    let tar = images::archive_of(&[("a", b"b")]);
    for (query, status, words) in [
        ("changes=RUN%20x", 400, "RUN is not a valid change command"),
        ("changes=EXPOSE%20a", 400, "Invalid containerPort: a"),
        ("changes=", 400, "file with no instructions"),
        ("platform=windows/amd64", 400, "operating system is not supported"),
    ] {
        let reply = import(&engine, &format!("fromSrc=-&repo={name}&tag=1&{query}"), &tar).expect(status);
        assert_eq!(reply.message(), words, "{query}");
    }
    let digest = format!("fromSrc=-&repo={name}@sha256:{}", "a".repeat(64));
    assert_eq!(import(&engine, &digest, &tar).expect(400).message(), "cannot import digest reference");
    let other = import(&engine, &format!("fromSrc=-&repo={name}&tag=2&platform=linux/arm64"), &tar);
    other.expect(200);
    let image = inspect(&engine, &format!("{name}:2"));
    assert_eq!((&image["Os"], &image["Architecture"]), (&json!("linux"), &json!("arm64")));
    assert_eq!(image["Comment"], "Imported from -");
}

// covers: value event-action events import
#[test]
fn a_tar_comes_from_the_web() {
    let engine = Engine::isolated();
    let name = engine.name("web");
    let tar = images::archive_of(&[("a", b"from the web")]);
    let served = tar.clone();
    let web = Web::serve(move |asked| match asked.path.as_str() {
        "/a.tar" => Answer::new(200, served.clone()),
        "/moved" => Answer::new(302, "").header("Location", "/a.tar"),
        "/loop" => Answer::new(302, "").header("Location", "/loop"),
        _ => Answer::new(404, "nothing here"),
    });
    let address = web.address();
    let query = |path: &str, tag: &str| format!("fromSrc=http://{address}{path}&repo={name}&tag={tag}");
    for (path, tag) in [("/a.tar", "1"), ("/moved", "2")] {
        let said = statuses(&import(&engine, &query(path, tag), b"").expect(200));
        assert_eq!(said[0], format!("Downloading from http://{address}{path}"));
        let image = inspect(&engine, &format!("{name}:{tag}"));
        assert_eq!(said.last().unwrap(), image["Id"].as_str().unwrap());
        assert_eq!(image["RootFS"]["Layers"], json!([images::digest(&tar)]));
        assert_eq!(image["Comment"], format!("Imported from http://{address}{path}"));
    }
    let refused = import(&engine, &query("/none", "3"), b"").expect(404).message();
    assert!(
        refused.starts_with(&format!("failed to GET http://{address}/none with status 404")),
        "{refused}"
    );
    assert!(import(&engine, &query("/loop", "3"), b"").status() >= 400);
    assert!(import(&engine, &format!("fromSrc=ftp://{address}/x&repo={name}"), b"").status() >= 400);
}
