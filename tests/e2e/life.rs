//! What happens to a container between its start and its removal: paused, restarted, renamed, pruned.

use std::process::Command;

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, command, eventually};

/// A container without network that runs `script`; started.
pub(crate) fn runs(engine: &Engine, name: &str, script: &str, host: &Value) -> String {
    let name = created(engine, name, script, host);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    name
}

pub(crate) fn created(engine: &Engine, name: &str, script: &str, host: &Value) -> String {
    let (tag, name) = (engine.busybox(), engine.name(name));
    let mut host = host.clone();
    host["NetworkMode"] = json!("none");
    let config = json!({"Image": tag, "Cmd": ["sh", "-c", script], "HostConfig": host});
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    name
}

pub(crate) fn both(engine: &Engine) -> [Command; 2] {
    [engine.ketch_command(), engine.docker_command()]
}

pub(crate) fn inspected(engine: &Engine, name: &str) -> Value {
    engine.request_unchecked(&Request::new("GET", &format!("/containers/{name}/json"))).expect(200).json()
}

pub(crate) fn state(engine: &Engine, name: &str) -> Value {
    inspected(engine, name)["State"].clone()
}

pub(crate) fn now() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}

/// What was told of a container since then.
pub(crate) fn events(engine: &Engine, since: &str, name: &str) -> Vec<Value> {
    let filters = format!("filters=%7B%22container%22%3A%5B%22{name}%22%5D%7D");
    let path = format!("/events?since={since}&until={}&{filters}", now());
    let reply = engine.request_unchecked(&Request::new("GET", &path)).expect(200);
    serde_json::Deserializer::from_slice(&reply.body).into_iter().map(Result::unwrap).collect()
}

pub(crate) fn actions(engine: &Engine, since: &str, name: &str) -> Vec<String> {
    let told = events(engine, since, name);
    // dockerd's networks tell of their containers too.
    let own = told.iter().filter(|event| event["Type"] == "container");
    own.map(|event| event["Action"].as_str().unwrap_or_default().to_owned()).collect()
}

pub(crate) fn post(engine: &Engine, path: &str) -> testkit::http::Reply {
    engine.request_unchecked(&Request::new("POST", path).json(&Value::Null))
}

fn status(engine: &Engine, name: &str) -> String {
    let filter = format!("name=^/{name}$");
    command::run(engine.ketch_command().args([
        "ps",
        "-a",
        "--filter",
        &filter,
        "--format",
        "{{.State}} {{.Status}}",
    ]))
    .ok()
}

// covers: cli docker pause
// covers: cli docker unpause
// covers: cli docker container pause
// covers: cli docker container unpause
// covers: api POST /containers/{id}/pause
// covers: api POST /containers/{id}/unpause
// covers: value event-action events pause
// covers: value event-action events unpause
#[test]
fn a_paused_container_does_nothing_until_it_is_let_go_on() {
    let engine = Engine::isolated();
    let name = runs(&engine, "c", "while true; do echo x; usleep 1000; done", &json!({}));
    let size = || {
        let path = format!("/containers/{name}/logs?stdout=1");
        engine.request_unchecked(&Request::new("GET", &path)).expect(200).body.len()
    };
    for (pair, mut client) in
        [["pause", "unpause"], ["container pause", "container unpause"]].iter().zip(both(&engine))
    {
        let since = now();
        let mut again = engine.ketch_command();
        assert_eq!(command::run(client.args(pair[0].split(' ')).arg(&name)).ok(), name);
        let paused = state(&engine, &name);
        let flags = ["Running", "Paused", "Restarting"].map(|key| paused[key].as_bool().unwrap_or_default());
        assert_eq!((flags, &paused["Status"]), ([true, true, false], &json!("paused")));
        assert!(paused["Pid"].as_i64().is_some_and(|pid| pid > 0), "{paused}");
        let told = status(&engine, &name);
        assert!(told.starts_with("paused Up ") && told.ends_with(" (Paused)"), "{told}");
        // What it wrote before lies in pipes; after that, nothing comes.
        eventually(DEADLINE, || {
            let sizes = [(); 20].map(|()| size());
            if sizes.iter().all(|s| *s == sizes[0]) { Ok(()) } else { Err(format!("{sizes:?}")) }
        });
        let before = size();
        assert_eq!(command::run(again.args(pair[1].split(' ')).arg(&name)).ok(), name);
        eventually(DEADLINE, || if size() > before { Ok(()) } else { Err(before) });
        assert_eq!(actions(&engine, &since, &name), ["pause", "unpause"]);
    }
}

#[test]
fn what_a_paused_container_can_not_do_is_refused_in_dockerds_words() {
    let engine = Engine::isolated();
    let name = runs(&engine, "c", "sleep 1000", &json!({}));
    let id = inspected(&engine, &name)["Id"].as_str().unwrap_or_default().to_owned();
    let refused = |path: &str, status: u16, message: &str| {
        let reply = post(&engine, path);
        assert_eq!((reply.status(), reply.message().as_str()), (status, message), "{path}");
    };
    refused(&format!("/containers/{name}/unpause"), 500, &format!("Container {id} is not paused"));
    post(&engine, &format!("/containers/{name}/pause")).expect(204);
    refused(&format!("/containers/{name}/pause"), 409, &format!("Container {id} is already paused"));
    let exec = Request::new("POST", &format!("/containers/{name}/exec")).json(&json!({"Cmd": ["true"]}));
    let reply = engine.request_unchecked(&exec);
    let words = format!("Container {name} is paused, unpause the container before exec");
    assert_eq!((reply.status(), reply.message()), (409, words));
    for mut client in both(&engine) {
        let attached = command::run(client.args(["attach", &name])).assert_code(1);
        assert!(attached.stderr.contains("cannot attach to a paused container"), "{attached:?}");
    }
    let reply = engine.request_unchecked(&Request::new("DELETE", &format!("/containers/{name}")));
    let words = format!("cannot remove container \"{name}\": container is paused and must be unpaused first");
    assert_eq!((reply.status(), reply.message()), (409, words));
    refused(
        &format!("/containers/{name}/start"),
        409,
        "cannot start a paused container, try unpause instead",
    );
    post(&engine, &format!("/containers/{name}/kill")).expect(204);
    post(&engine, &format!("/containers/{name}/wait")).expect(200);
    let message = format!("container {id} is not running");
    refused(&format!("/containers/{name}/pause"), 409, &message);
    refused("/containers/nosuch/pause", 404, "No such container: nosuch");
    refused("/containers/nosuch/unpause", 404, "No such container: nosuch");
}

#[test]
fn a_paused_container_can_be_stopped_killed_and_removed() {
    let engine = Engine::isolated();
    let script = "trap 'exit 5' TERM; echo ready; while true; do usleep 1000; done";
    let name = runs(&engine, "c", script, &json!({}));
    let log = || crate::containers::logs(&engine, &name);
    eventually(DEADLINE, || if log() == "ready\n" { Ok(()) } else { Err(log()) });
    let pause = || post(&engine, &format!("/containers/{name}/pause")).expect(204);
    let since = now();
    pause();
    post(&engine, &format!("/containers/{name}/stop")).expect(204);
    assert_eq!(state(&engine, &name)["ExitCode"], 5);
    eventually(DEADLINE, || {
        let mut told = actions(&engine, &since, &name);
        told.sort();
        if told == ["die", "kill", "pause", "stop", "unpause"] { Ok(()) } else { Err(told) }
    });
    post(&engine, &format!("/containers/{name}/start")).expect(204);
    pause();
    post(&engine, &format!("/containers/{name}/kill")).expect(204);
    let ended = post(&engine, &format!("/containers/{name}/wait")).expect(200).json();
    assert_eq!(ended["StatusCode"], 137);
    post(&engine, &format!("/containers/{name}/start")).expect(204);
    pause();
    assert_eq!(engine.docker(["rm", "--force", "--volumes", &name]).ok(), name);
}

#[test]
fn a_container_stays_paused_without_its_engine() {
    let mut engine = Engine::ours();
    let name = runs(&engine, "c", "sleep 1000", &json!({}));
    post(&engine, &format!("/containers/{name}/pause")).expect(204);
    engine.crash_and_restart();
    assert_eq!(state(&engine, &name)["Status"], "paused");
    post(&engine, &format!("/containers/{name}/unpause")).expect(204);
    assert_eq!(engine.ketch(["exec", &name, "echo", "awake"]).ok(), "awake");
}

// covers: cli docker restart
// covers: cli docker restart --signal
// covers: cli docker restart --time
// covers: cli docker restart --timeout
// covers: cli docker container restart
// covers: cli docker container restart --signal
// covers: cli docker container restart --time
// covers: cli docker container restart --timeout
// covers: api POST /containers/{id}/restart
// covers: api POST /containers/{id}/restart ?signal
// covers: api POST /containers/{id}/restart ?t
// covers: value event-action events restart
// covers: value event-action events stop
#[test]
fn restart_ends_it_and_starts_it_again() {
    let engine = Engine::isolated();
    let script = "trap 'echo interrupted; exit' INT; echo begun; while true; do usleep 1000; done";
    let name = runs(&engine, "c", script, &json!({}));
    let begun = |times| {
        eventually(DEADLINE, || {
            let log = crate::containers::logs(&engine, &name);
            if log.matches("begun").count() == times { Ok(()) } else { Err(log) }
        });
    };
    begun(1);
    for (round, (words, mut client)) in [
        ("restart --signal INT --timeout 60", engine.ketch_command()),
        ("container restart -s SIGINT --time 60", engine.docker_command()),
        ("restart -t 0", engine.ketch_command()),
        ("container restart -s INT -t 60", engine.ketch_command()),
    ]
    .into_iter()
    .enumerate()
    {
        let (before, since) = (state(&engine, &name), now());
        let told = command::run(client.args(words.split(' ')).arg(&name)).ok();
        // A word about `--time`, which is deprecated, may come first.
        assert_eq!(told.lines().last(), Some(name.as_str()), "{told}");
        let after = state(&engine, &name);
        assert_eq!(after["Status"], "running");
        assert_ne!((&before["Pid"], &before["StartedAt"]), (&after["Pid"], &after["StartedAt"]));
        begun(round + 2);
        eventually(DEADLINE, || {
            let mut told = actions(&engine, &since, &name);
            told.sort();
            told.dedup();
            if told == ["die", "kill", "restart", "start", "stop"] { Ok(()) } else { Err(told) }
        });
    }
    assert_eq!(crate::containers::logs(&engine, &name).matches("interrupted").count(), 3);
    post(&engine, &format!("/containers/{name}/kill")).expect(204);
    post(&engine, &format!("/containers/{name}/wait")).expect(200);
    // One that rests is started.
    post(&engine, &format!("/containers/{name}/restart")).expect(204);
    assert_eq!(state(&engine, &name)["Status"], "running");
    for mut client in both(&engine) {
        let refused = command::run(client.args(["restart", "nosuch-container"])).assert_code(1);
        assert!(refused.stderr.contains("No such container: nosuch-container"), "{refused:?}");
    }
}

#[test]
fn restart_does_not_remove_what_is_removed_at_its_end() {
    let engine = Engine::isolated();
    let name = runs(&engine, "c", "sleep 1000", &json!({"AutoRemove": true}));
    post(&engine, &format!("/containers/{name}/restart?t=0")).expect(204);
    assert_eq!(state(&engine, &name)["Status"], "running");
    post(&engine, &format!("/containers/{name}/stop?t=0")).expect(204);
    eventually(DEADLINE, || {
        match engine.request_unchecked(&Request::new("GET", &format!("/containers/{name}/json"))).status() {
            404 => Ok(()),
            other => Err(other),
        }
    });
}

// covers: cli docker rename
// covers: cli docker container rename
// covers: api POST /containers/{id}/rename
// covers: api POST /containers/{id}/rename ?name
// covers: value event-action events rename
#[test]
fn rename_gives_another_name_and_frees_the_old_one() {
    let engine = Engine::isolated();
    let (first, second, third) = (engine.name("one"), engine.name("two"), engine.name("three"));
    created(&engine, "one", "true", &json!({}));
    let since = now();
    assert_eq!(engine.ketch(["rename", &first, &second]).ok(), "");
    assert_eq!(engine.docker(["container", "rename", &second, &format!("/{third}")]).ok(), "");
    assert_eq!(inspected(&engine, &third)["Name"], format!("/{third}"));
    let told: Vec<Value> =
        events(&engine, &since, &third).into_iter().chain(events(&engine, &since, &second)).collect();
    let old = |event: &Value| event["Actor"]["Attributes"]["oldName"].as_str().unwrap_or_default().to_owned();
    assert_eq!(told.iter().map(old).collect::<Vec<_>>(), [format!("/{second}"), format!("/{first}")]);
    let other = created(&engine, "one", "true", &json!({}));
    let holder = inspected(&engine, &other)["Id"].as_str().unwrap_or_default().to_owned();
    let refused = |query: &str, status: u16, message: &str| {
        let reply = post(&engine, &format!("/containers/{third}/rename{query}"));
        assert_eq!((reply.status(), reply.message().as_str()), (status, message), "{query}");
    };
    refused("", 400, "Neither old nor new names may be empty");
    refused("?name=", 400, "Neither old nor new names may be empty");
    refused(&format!("?name={third}"), 400, "Renaming a container with the same name as its current name");
    refused(
        "?name=a%20b",
        400,
        "Error when allocating new name: Invalid container name (/a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    );
    refused(
        &format!("?name={other}"),
        409,
        &format!(
            "Error when allocating new name: Conflict. The container name \"/{other}\" is already in use by container \
             \"{holder}\". You have to remove (or rename) that container to be able to reuse that name."
        ),
    );
    let told: Vec<_> = both(&engine)
        .into_iter()
        .map(|mut client| command::run(client.args(["rename", "nosuch", "other"])).assert_code(1).stderr)
        .collect();
    assert_eq!(told[0], told[1]);
}

#[test]
fn a_new_name_survives_the_engine() {
    let mut engine = Engine::ours();
    let (old, new) = (created(&engine, "old", "true", &json!({})), engine.name("new"));
    engine.ketch(["rename", &old, &new]).ok();
    engine.crash_and_restart();
    assert_eq!(inspected(&engine, &new)["Name"], format!("/{new}"));
    created(&engine, "old", "true", &json!({}));
}

// covers: cli docker port
// covers: cli docker container port
#[test]
fn a_container_without_ports_publishes_none() {
    let engine = Engine::isolated();
    let name = created(&engine, "c", "true", &json!({}));
    for arguments in [
        &["port", &name][..],
        &["container", "port", &name, "80"],
        &["port", &name, "80/udp"],
        &["port", &name, "x"],
        &["port", "nosuch-container"],
    ] {
        let [ours, theirs] = both(&engine).map(|mut client| command::run(client.args(arguments)));
        assert_eq!((&ours.stdout, &ours.stderr, ours.code), (&theirs.stdout, &theirs.stderr, theirs.code));
    }
}

// covers: cli docker container prune
// covers: cli docker container prune --filter
// covers: cli docker container prune --force
// covers: api POST /containers/prune
// covers: api POST /containers/prune ?filters
// covers: value filter docker container prune until
// covers: value filter docker container prune label
#[test]
fn prune_removes_what_rests_and_the_filters_admit() {
    let engine = Engine::isolated();
    let tag = engine.busybox();
    // On a shared engine nothing but this test's own may go.
    let label = engine.name("label");
    let make = |name: &str, cmd: Value| {
        let name = engine.name(name);
        let config = json!({"Image": tag, "Cmd": cmd, "Labels": {&label: "yes"}, "HostConfig": {"NetworkMode": "none"}});
        engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
        name
    };
    let (created, running, ended) = (
        make("created", json!(["true"])),
        make("running", json!(["sleep", "1000"])),
        make("ended", json!(["sh", "-c", "dd if=/dev/zero of=/big bs=1024 count=64"])),
    );
    for name in [&running, &ended] {
        engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    }
    engine.post(&format!("/containers/{ended}/wait"), &Value::Null).expect(200);
    let filter = format!("label={label}");
    let prune = |mut client: Command, more: &str| {
        command::run(client.args(["container", "prune", "--force", "--filter", &filter, "--filter", more]))
    };
    for client in both(&engine) {
        assert_eq!(prune(client, "until=24h").ok(), "Total reclaimed space: 0B");
    }
    for mut client in both(&engine) {
        let output = command::run(client.args(["container", "prune", "--filter", &filter]));
        assert!(output.stdout.starts_with("WARNING! This will remove all stopped containers."), "{output:?}");
    }
    assert_eq!(state(&engine, &ended)["Status"], "exited");
    let id = |name: &str| inspected(&engine, name)["Id"].as_str().unwrap_or_default().to_owned();
    let (first, second) = (id(&ended), id(&created));
    let told = prune(engine.ketch_command(), &format!("label={label}=yes")).ok();
    assert!(
        told.starts_with("Deleted Containers:\n") && told.contains(&first) && told.contains(&second),
        "{told}"
    );
    assert!(told.contains("Total reclaimed space: 6"), "{told}");
    assert_eq!(state(&engine, &running)["Status"], "running");
    assert_eq!(prune(engine.docker_command(), &format!("label!={label}")).ok(), "Total reclaimed space: 0B");
    for (filters, message) in [
        ("{\"nosuch\":[\"x\"]}", "invalid filter 'nosuch'"),
        ("{\"until\":[\"xx\"]}", "failed to parse value as time or duration: \"xx\""),
        ("{\"until\":[\"1h\",\"2h\"]}", "more than one until filter specified"),
    ] {
        let encoded: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let reply = post(&engine, &format!("/containers/prune?filters={encoded}"));
        assert_eq!((reply.status(), reply.message().as_str()), (400, message));
    }
}

// covers: cli docker top
// covers: cli docker container top
// covers: api GET /containers/{id}/top
// covers: api GET /containers/{id}/top ?ps_args
// covers: value event-action events top
#[test]
fn top_shows_the_containers_processes_alone() {
    let engine = Engine::isolated();
    let name = runs(&engine, "c", "sleep 1001 & sleep 1002; true", &json!({}));
    let since = now();
    for (words, mut client) in [("top", engine.ketch_command()), ("container top", engine.docker_command())] {
        let mut told = String::new();
        eventually(DEADLINE, || {
            let mut again = if words == "top" { engine.ketch_command() } else { engine.docker_command() };
            told = command::run(again.args(words.split(' ')).arg(&name)).ok();
            // Until its `execve` a child has its parent's arguments.
            let all =
                ["sleep 1001", "sleep 1002"].iter().all(|end| told.lines().any(|line| line.ends_with(end)));
            if told.lines().count() == 4 && all { Ok(()) } else { Err(told.clone()) }
        });
        let head: Vec<&str> = told.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(head, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
        let short = command::run(client.args(words.split(' ')).args([&name, "-o", "pid,comm"])).ok();
        assert!(short.lines().next().is_some_and(|head| head == "PID                 COMMAND"), "{short}");
        assert_eq!(short.lines().count(), 4, "{short}");
    }
    assert!(actions(&engine, &since, &name).iter().all(|action| action == "top"));
    let rest = created(&engine, "rest", "true", &json!({}));
    for arguments in [
        &["top", &name, "-o", "comm"][..],
        &["top", &name, "foo", "bar"],
        &["top", &name, "-o", "uid=PID"],
        &["top", &rest],
        &["top", "nosuch-container"],
    ] {
        let [ours, theirs] = both(&engine).map(|mut client| command::run(client.args(arguments)));
        assert_eq!((&ours.stdout, &ours.stderr, ours.code), (&theirs.stdout, &theirs.stderr, theirs.code));
        assert_eq!(ours.code, 1);
    }
    let refused = engine.ketch(["top", &name, "-o", "comm"]);
    assert!(refused.stderr.contains("Couldn't find PID field in ps output"), "{refused:?}");
}
