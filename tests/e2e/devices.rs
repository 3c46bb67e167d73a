//! Which devices a container can use.

use serde_json::{Value, json};
use testkit::Engine;

/// What a script says in a container without options, and how it ends.
fn run(engine: &Engine, script: &str) -> (String, i64) {
    let (tag, name) = (engine.busybox(), engine.name("c"));
    let config = json!({"Image": tag, "Cmd": ["sh", "-c", script], "HostConfig": {"NetworkMode": "none"}});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    let ended = engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200).json();
    let text = crate::containers::logs(engine, &name);
    engine.delete(&format!("/containers/{name}")).expect(204);
    (text, ended["StatusCode"].as_i64().unwrap_or(-1))
}

#[test]
fn a_device_of_the_host_can_be_named_but_not_opened() {
    let engine = Engine::isolated();
    // The first memory disk, and FUSE.
    for node in ["b 1 0", "c 10 229"] {
        let (text, code) =
            run(&engine, &format!("mknod /tmp/d {node} && dd if=/tmp/d bs=1 count=1 of=/dev/null"));
        assert!(text.contains("Operation not permitted") && code == 1, "{node}: {code} {text}");
    }
}

#[test]
fn the_devices_of_every_container_work() {
    let engine = Engine::isolated();
    let script = "head -c 8 /dev/zero | wc -c; head -c 8 /dev/urandom >/dev/null && head -c 8 /dev/random | wc -c; \
                  echo x >/dev/full; cat /dev/null && test -c /dev/tty && test -c /dev/ptmx && echo all";
    let (text, code) = run(&engine, script);
    assert!(text.contains("No space left on device") && code == 0, "{code} {text}");
    assert_eq!(
        text.lines().filter(|line| !line.contains("left on device")).collect::<Vec<_>>(),
        ["8", "8", "all"]
    );
}
