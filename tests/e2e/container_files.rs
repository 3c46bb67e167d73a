//! What a container changed, all that it has, and images of it.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::time::SystemTime;

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, eventually};

const SETUP: &str = "echo hi >/new; rm /bin/wc; mkdir /d; echo f >/d/f; ln /d/f /d/g; ln -s d /dl; chmod 700 /tmp; touch /d/ready";

fn container(engine: &Engine) -> String {
    let (tag, name) = (engine.busybox(), engine.name("c"));
    let config = json!({
        "Image": tag, "Cmd": ["sh", "-c", format!("{SETUP}; sleep 1000")], "Env": ["A=b"], "Labels": {"l": "1"},
        "HostConfig": {"NetworkMode": "none", "Init": false},
    });
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    let ready = format!("/containers/{name}/archive?path=/d/ready");
    eventually(DEADLINE, || match engine.request_unchecked(&Request::new("HEAD", &ready)).status() {
        200 => Ok(()),
        status => Err(format!("{status}")),
    });
    name
}

fn stop(engine: &Engine, name: &str) {
    engine.post(&format!("/containers/{name}/kill"), &Value::Null).expect(204);
    engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
}

// covers: cli docker diff
// covers: cli docker container diff
// covers: api GET /containers/{id}/changes
#[test]
fn diff_lists_what_changed() {
    let engine = Engine::isolated();
    let name = container(&engine);
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let expected =
        ["A /d", "A /d/f", "A /d/g", "A /d/ready", "A /dl", "A /new", "C /bin", "C /tmp", "D /bin/wc"];
    for turn in 0..2 {
        assert_eq!(sorted(engine.docker(["diff", &name]).ok()), expected);
        assert_eq!(sorted(engine.ketch(["container", "diff", &name]).ok()), expected);
        if turn == 0 {
            stop(&engine, &name);
        }
    }
    let missing = engine.request_unchecked(&Request::new("GET", "/containers/nosuch/changes")).expect(404);
    assert_eq!(missing.message(), "No such container: nosuch");
    assert_eq!(engine.ketch(["diff", ""]).stderr, "invalid container name or ID: value is empty\n");
}

fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| entry.path().unwrap().display().to_string()).collect()
}

// covers: cli docker export
// covers: cli docker export --output
// covers: cli docker container export
// covers: cli docker container export --output
// covers: api GET /containers/{id}/export
#[test]
fn an_export_is_the_whole_root_without_what_is_mounted() {
    let engine = Engine::isolated();
    let name = container(&engine);
    let file = engine.scratch().path().join("export.tar");
    let path = file.to_str().unwrap().to_owned();
    for turn in 0..2 {
        for by_ketch in [true, false] {
            let output = match by_ketch {
                true => engine.ketch(["export", "-o", &path, &name]),
                false => engine.docker(["container", "export", "--output", &path, &name]),
            };
            output.ok();
            let names = names(&std::fs::read(&file).unwrap());
            let has = |name: &str| names.iter().any(|n| n == name);
            assert!(has("new") && has("d/") && has("bin/busybox") && !has("bin/wc"), "{names:?}");
            let mounted = names.iter().filter(|n| n.starts_with("proc/") || n.starts_with("sys/"));
            assert!(mounted.count() <= 2, "{names:?}");
        }
        if turn == 0 {
            stop(&engine, &name);
        }
    }
    let refused = engine.ketch(["export", "-o", "/nodir/x", &name]).assert_code(1);
    assert_eq!(
        refused.stderr,
        "failed to export container: invalid output path: stat /nodir: no such file or directory\n"
    );
}

fn inspect(engine: &Engine, image: &str) -> Value {
    engine.request_unchecked(&Request::new("GET", &format!("/images/{image}/json"))).expect(200).json()
}

// covers: cli docker commit
// covers: cli docker commit --author
// covers: cli docker commit --change
// covers: cli docker commit --message
// covers: cli docker container commit
// covers: cli docker container commit --author
// covers: cli docker container commit --change
// covers: cli docker container commit --message
// covers: api POST /commit
// covers: api POST /commit ?container
// covers: api POST /commit ?repo
// covers: api POST /commit ?tag
// covers: api POST /commit ?author
// covers: api POST /commit ?comment
// covers: api POST /commit ?changes
#[test]
fn a_commit_is_an_image_of_the_container() {
    let engine = Engine::isolated();
    let (name, image) = (container(&engine), engine.name("committed"));
    let layers = |image: &Value| image["RootFS"]["Layers"].as_array().unwrap().clone();
    let base = inspect(&engine, &engine.busybox());
    for by_ketch in [true, false] {
        let tag = format!("{image}:{by_ketch}");
        let arguments = [
            "commit",
            "-a",
            "me <m@x>",
            "-m",
            "msg",
            "-c",
            "ENV X=1",
            "--change",
            "CMD [\"cat\",\"/d/g\",\"/new\"]",
            &name,
            &tag,
        ];
        let output = if by_ketch { engine.ketch(arguments) } else { engine.docker(arguments) };
        let made = inspect(&engine, &tag);
        assert_eq!(output.ok().trim(), made["Id"].as_str().unwrap());
        assert_eq!((&made["Author"], &made["Comment"]), (&json!("me <m@x>"), &json!("msg")));
        assert_eq!(made["Config"]["Cmd"], json!(["cat", "/d/g", "/new"]));
        assert_eq!(made["Config"]["Labels"]["l"], "1");
        let env = made["Config"]["Env"].as_array().unwrap();
        assert!(env.contains(&json!("A=b")) && env.contains(&json!("X=1")), "{env:?}");
        assert_eq!(layers(&made)[..layers(&base).len()], layers(&base)[..]);
        assert_eq!(layers(&made).len(), layers(&base).len() + 1);
        let history =
            engine.request_unchecked(&Request::new("GET", &format!("/images/{tag}/history"))).json();
        assert!(history[0]["CreatedBy"].as_str().unwrap().starts_with("sh -c echo hi >/new"), "{history}");
        assert_eq!(history[0]["Comment"], "msg");
        let ran = engine.docker(["run", "--rm", "--network", "none", &tag]);
        assert_eq!(ran.ok(), "f\nhi");
        let gone = engine.docker(["run", "--rm", "--network", "none", &tag, "ls", "/bin/wc"]);
        assert_eq!(gone.code, 1);
    }
    for by_ketch in [true, false] {
        engine.docker(["rmi", "-f", &format!("{image}:{by_ketch}")]).ok();
    }
}

#[test]
fn a_commit_has_a_layer_of_what_changed_and_of_nothing_else() {
    let engine = Engine::isolated();
    let base = engine.busybox();
    let committed = |name: &str, script: &str| {
        let name = engine.name(name);
        engine.docker(["run", "--name", &name, "--network", "none", &base, "sh", "-c", script]).ok();
        let image = engine.docker(["commit", &name]).ok().trim().to_owned();
        engine.docker(["rm", &name]).ok();
        let layers = inspect(&engine, &image)["RootFS"]["Layers"].as_array().unwrap().clone();
        let history = engine.request_unchecked(&Request::new("GET", &format!("/images/{image}/history")));
        engine.docker(["rmi", &image]).ok();
        (layers, history.json())
    };
    let below = inspect(&engine, &base)["RootFS"]["Layers"].as_array().unwrap().clone();
    let (layers, history) = committed("idle", "true");
    assert_eq!(layers, below, "nothing changed");
    assert_eq!((history.as_array().unwrap().len(), &history[0]["Size"]), (2, &json!(0)));
    // Made twice, in another order and at another time: the same bytes.
    let at = "touch -d '2020-01-01 00:00:00' /a /b";
    let (first, _) = committed("first", &format!("echo x >/a; echo y >/b; {at}"));
    let (second, _) = committed("second", &format!("echo y >/b; echo x >/a; echo z >/c; rm /c; {at}"));
    assert_eq!(first.len(), below.len() + 1);
    assert_eq!(first, second);
}

// covers: cli docker commit --pause
// covers: cli docker commit --no-pause
// covers: cli docker container commit --pause
// covers: cli docker container commit --no-pause
// covers: api POST /commit ?pause
#[test]
fn a_container_stands_still_while_it_is_committed_unless_told_otherwise() {
    let engine = Engine::isolated();
    let (name, image) = (container(&engine), engine.name("paused"));
    engine.ketch(["commit", &name, &image]).ok();
    engine.ketch(["commit", "--pause=false", &name, &image]).ok();
    engine.ketch(["container", "commit", "--no-pause", &name, &image]).ok();
    engine.docker(["exec", &name, "true"]).ok();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
    let filter = format!("container={name}");
    let arguments =
        ["events", "--since", "0", "--until", &until, "--filter", &filter, "--format", "{{.Action}}"];
    let text = engine.docker(arguments).ok();
    let actions: Vec<&str> = text.lines().collect();
    let count = |wanted: &str| actions.iter().filter(|action| **action == wanted).count();
    assert_eq!((count("pause"), count("unpause"), count("commit")), (1, 1, 3), "{actions:?}");
    engine.docker(["rmi", "-f", &image]).ok();
}

#[test]
fn a_body_is_the_configuration_and_what_is_wrong_is_told() {
    let engine = Engine::isolated();
    let (name, image) = (container(&engine), engine.name("body"));
    let commit = |query: &str, body: &Value| {
        engine.request_unchecked(&Request::new("POST", &format!("/commit?{query}")).json(body))
    };
    let body = json!({"Env": ["Q=1"], "Labels": {"m": "2"}, "Cmd": ["zz"]});
    commit(&format!("container={name}&repo={image}&tag=2&pause=0"), &body).expect(201);
    let config = inspect(&engine, &format!("{image}:2"))["Config"].clone();
    assert_eq!(config["Cmd"], json!(["zz"]));
    assert_eq!(config["Env"][0], "Q=1");
    assert_eq!(config["Labels"]["m"], "2");
    engine.docker(["rmi", "-f", &format!("{image}:2")]).ok();
    for (query, status, said) in [
        (
            format!("container={name}&repo=UPPER"),
            400,
            "invalid reference format: repository name (library/UPPER) must be lowercase",
        ),
        ("container=nosuch".into(), 404, "No such container: nosuch"),
        (String::new(), 400, "invalid name or ID supplied: \"\""),
        (format!("container={name}&changes=RUN%20x"), 400, "RUN is not a valid change command"),
    ] {
        assert_eq!(commit(&query, &Value::Null).expect(status).message(), said, "{query}");
    }
}

/// A layer that we packed is one to everybody: saved, loaded again, and the same image.
#[test]
fn a_committed_image_is_saved_and_loaded_again() {
    let engine = Engine::isolated();
    let (name, image) = (container(&engine), engine.name("moved"));
    let id = engine.ketch(["commit", &name, &image]).ok();
    let file = engine.scratch().path().join("moved.tar");
    engine.docker(["save", "-o", file.to_str().unwrap(), &image]).ok();
    engine.docker(["rmi", "-f", &image]).ok();
    engine.docker(["load", "-i", file.to_str().unwrap()]).ok();
    assert_eq!(inspect(&engine, &image)["Id"], id.trim());
    assert_eq!(engine.docker(["run", "--rm", "--network", "none", &image, "cat", "/d/g"]).ok(), "f");
    engine.docker(["rmi", "-f", &image]).ok();
}
