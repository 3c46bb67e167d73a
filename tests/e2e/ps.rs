//! `ps` with its filters, fields and other names, and the commands that are also called `container …`.

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{Engine, command};

use crate::life::{both, runs, state};

/// What both clients say, which has to be the same, but for a second that passes between them.
fn said(engine: &Engine, words: &[&str]) -> String {
    testkit::eventually(testkit::DEADLINE, || {
        let [ours, theirs] = both(engine).map(|mut client| command::run(client.args(words)).ok());
        if ours == theirs { Ok(ours) } else { Err(format!("{words:?}\nketch:\n{ours}\ndocker:\n{theirs}")) }
    })
}

fn create(engine: &Engine, name: &str, config: &Value) -> String {
    let name = engine.name(name);
    let mut config = config.clone();
    config["Image"] = engine.busybox().into();
    if config["Cmd"].is_null() {
        config["Cmd"] = json!(["true"]);
    }
    config["HostConfig"]["NetworkMode"] = json!("none");
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    name
}

// covers: value filter docker container ls id
// covers: value filter docker container ls name
// covers: value filter docker container ls label
// covers: value filter docker container ls exited
// covers: value filter docker container ls status
// covers: value filter docker container ls ancestor
// covers: value filter docker container ls before
// covers: value filter docker container ls since
// covers: value filter docker container ls volume
// covers: value filter docker container ls network
// covers: value filter docker container ls expose
// covers: value filter docker container ls is-task
// covers: value filter docker container ls isolation
// covers: value state-value StateCreated created
// covers: value state-value StateRunning running
// covers: value state-value StatePaused paused
// covers: value state-value StateExited exited
// covers: api GET /containers/json ?all
// covers: api GET /containers/json ?filters
// covers: cli docker container ls --filter
// covers: cli docker container list --filter
// covers: cli docker container ps --filter
#[test]
fn each_filter_finds_what_it_says() {
    let engine = Engine::isolated();
    let first = create(
        &engine,
        "first",
        &json!({
            "Labels": {"kt": "1", "role": "a"}, "ExposedPorts": {"80/tcp": {}}, "HostConfig": {"Binds": ["/etc:/mnt"]},
        }),
    );
    let second = create(
        &engine,
        "second",
        &json!({"Labels": {"kt": "1", "role": "b"}, "Cmd": ["sh", "-c", "exit 3"]}),
    );
    engine.post(&format!("/containers/{second}/start"), &Value::Null).expect(204);
    engine.post(&format!("/containers/{second}/wait"), &Value::Null).expect(200);
    let labels = json!({"Labels": {"kt": "1"}, "Cmd": ["sleep", "600"]});
    let third = create(&engine, "third", &labels);
    let fourth = create(&engine, "fourth", &labels);
    for name in [&third, &fourth] {
        engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    }
    engine.post(&format!("/containers/{fourth}/pause"), &Value::Null).expect(204);
    let id = crate::life::inspected(&engine, &third)["Id"].as_str().unwrap().to_owned();
    let busybox = engine.busybox();
    let all = [&fourth, &third, &second, &first];
    for (filter, expected) in [
        (format!("id={}", &id[..12]), vec![&third]),
        (format!("name={second}"), vec![&second]),
        ("label=role".into(), vec![&second, &first]),
        ("label=role=b".into(), vec![&second]),
        ("exited=3".into(), vec![&second]),
        ("status=created".into(), vec![&first]),
        ("status=running".into(), vec![&third]),
        ("status=paused".into(), vec![&fourth]),
        ("status=exited".into(), vec![&second]),
        (format!("ancestor={busybox}"), all.to_vec()),
        (format!("before={second}"), vec![&first]),
        (format!("since={second}"), vec![&fourth, &third]),
        ("volume=/mnt".into(), vec![&first]),
        ("network=none".into(), all.to_vec()),
        ("expose=80".into(), vec![&first]),
        ("expose=100-200/udp".into(), vec![]),
        ("is-task=false".into(), all.to_vec()),
        ("is-task=true".into(), vec![]),
        ("isolation=default".into(), vec![]),
    ] {
        let expected: Vec<&str> = expected.into_iter().map(String::as_str).collect();
        for verb in [&["ps"][..], &["container", "ls"], &["container", "list"], &["container", "ps"]] {
            let words =
                [verb, &["-a", "--filter", "label=kt=1", "--filter", &filter, "--format", "{{.Names}}"]]
                    .concat();
            // Isolation is Windows' and its default is none of Linux' containers'.
            if !filter.starts_with("isolation") {
                assert_eq!(said(&engine, &words).lines().collect::<Vec<_>>(), expected, "{filter}");
            } else {
                said(&engine, &words);
            }
        }
    }
    for name in all {
        engine.delete(&format!("/containers/{name}?force=1")).expect(204);
    }
}

// covers: value format-field docker container ls .ID
// covers: value format-field docker container ls .Image
// covers: value format-field docker container ls .Command
// covers: value format-field docker container ls .CreatedAt
// covers: value format-field docker container ls .RunningFor
// covers: value format-field docker container ls .Ports
// covers: value format-field docker container ls .State
// covers: value format-field docker container ls .Status
// covers: value format-field docker container ls .Size
// covers: value format-field docker container ls .Names
// covers: value format-field docker container ls .Labels
// covers: value format-field docker container ls .Label
// covers: value format-field docker container ls .Mounts
// covers: value format-field docker container ls .Networks
// covers: value format-method formatter.ContainerContext .Command
// covers: value format-method formatter.ContainerContext .CreatedAt
// covers: value format-method formatter.ContainerContext .ID
// covers: value format-method formatter.ContainerContext .Image
// covers: value format-method formatter.ContainerContext .Label
// covers: value format-method formatter.ContainerContext .Labels
// covers: value format-method formatter.ContainerContext .LocalVolumes
// covers: value format-method formatter.ContainerContext .Mounts
// covers: value format-method formatter.ContainerContext .Names
// covers: value format-method formatter.ContainerContext .Networks
// covers: value format-method formatter.ContainerContext .Ports
// covers: value format-method formatter.ContainerContext .RunningFor
// covers: value format-method formatter.ContainerContext .Size
// covers: value format-method formatter.ContainerContext .State
// covers: value format-method formatter.ContainerContext .Status
// covers: cli docker container ls --format
// covers: cli docker container list --format
// covers: cli docker container ps --format
// covers: cli docker ps --size
#[test]
fn each_field_is_shown_alike_by_both_clients() {
    let engine = Engine::isolated();
    let name = create(
        &engine,
        "c",
        &json!({
            "Labels": {"b": "2", "a": "x y"}, "Cmd": ["sh", "-c", "exit 3"], "ExposedPorts": {"80/tcp": {}},
            "HostConfig": {"Binds": ["/etc:/mnt"]},
        }),
    );
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
    let filter = format!("name={name}");
    let show = |format: &str| said(&engine, &["ps", "-a", "--filter", &filter, "--format", format]);
    let id = crate::life::inspected(&engine, &name)["Id"].as_str().unwrap().to_owned();
    for (format, expected) in [
        ("{{.ID}}", &id[..12]),
        ("{{.Image}}", &engine.busybox()),
        ("{{.Command}}", "\"sh -c 'exit 3'\""),
        ("{{.Ports}}", ""),
        ("{{.State}}", "exited"),
        ("{{.Names}}", &name),
        ("{{.Label \"a\"}}", "x y"),
        ("{{.Networks}}", "none"),
        ("{{.Mounts}}", "/etc"),
        ("{{.LocalVolumes}}", "0"),
    ] {
        assert_eq!(show(format), expected, "{format}");
    }
    assert!(show("{{.Labels}}").contains("b=2"));
    assert!(show("{{.Status}}").starts_with("Exited (3) "), "{}", show("{{.Status}}"));
    for format in ["{{.CreatedAt}}", "{{.RunningFor}}"] {
        show(format);
    }
    let size = said(&engine, &["ps", "-a", "--size", "--filter", &filter, "--format", "{{.Size}}"]);
    assert!(size.contains("(virtual "), "{size}");
    for verb in ["ls", "list", "ps"] {
        let words = ["container", verb, "-a", "--filter", &filter, "--format", "{{.Names}} {{.State}}"];
        assert_eq!(said(&engine, &words), format!("{name} exited"));
    }
    engine.delete(&format!("/containers/{name}")).expect(204);
}

// covers: cli docker ps --all
// covers: cli docker ps --last
// covers: cli docker ps --latest
// covers: cli docker ps --quiet
// covers: cli docker container ls
// covers: cli docker container ls --all
// covers: cli docker container ls --last
// covers: cli docker container ls --latest
// covers: cli docker container ls --no-trunc
// covers: cli docker container ls --quiet
// covers: cli docker container ls --size
// covers: cli docker container list
// covers: cli docker container list --all
// covers: cli docker container list --last
// covers: cli docker container list --latest
// covers: cli docker container list --no-trunc
// covers: cli docker container list --quiet
// covers: cli docker container list --size
// covers: cli docker container ps
// covers: cli docker container ps --all
// covers: cli docker container ps --last
// covers: cli docker container ps --latest
// covers: cli docker container ps --no-trunc
// covers: cli docker container ps --quiet
// covers: cli docker container ps --size
// covers: api GET /containers/json ?limit
// covers: api GET /containers/json ?size
// covers: api POST /containers/create ?name
#[test]
fn the_list_by_all_of_its_names_and_flags() {
    let engine = Engine::ours();
    let ended = create(&engine, "ended", &json!({}));
    let running = runs(&engine, "running", "sleep 600", &json!({}));
    let newest = create(&engine, "newest", &json!({}));
    let id = |name: &str| crate::life::inspected(&engine, name)["Id"].as_str().unwrap_or_default().to_owned();
    for verb in [&["ps"][..], &["container", "ls"], &["container", "list"], &["container", "ps"]] {
        let list = |words: &[&str]| said(&engine, &[verb, words].concat());
        let names = |words: &[&str]| list(&[words, &["--format", "{{.Names}}"]].concat());
        assert!(list(&[]).contains(&running) && !list(&[]).contains(&ended));
        assert_eq!(names(&["--all"]), format!("{newest}\n{running}\n{ended}"));
        assert_eq!(names(&["--last", "2"]), format!("{newest}\n{running}"));
        assert_eq!(names(&["--latest"]), newest);
        assert_eq!(list(&["--quiet"]), id(&running)[..12]);
        assert_eq!(list(&["--quiet", "--no-trunc"]), id(&running));
        assert!(list(&["--size", "--format", "{{.Size}}"]).contains("(virtual "));
    }
    engine.delete(&format!("/containers/{running}?force=1")).expect(204);
}

// covers: cli docker container
// covers: cli docker container start
// covers: cli docker container stop
// covers: cli docker container stop --signal
// covers: cli docker container stop --time
// covers: cli docker container stop --timeout
// covers: cli docker stop --signal
// covers: cli docker stop --time
// covers: cli docker stop --timeout
// covers: cli docker container kill
// covers: cli docker container kill --signal
// covers: cli docker kill --signal
// covers: cli docker container wait
// covers: api POST /containers/{id}/kill ?signal
// covers: api POST /containers/{id}/stop
// covers: api POST /containers/{id}/stop ?signal
// covers: api POST /containers/{id}/stop ?t
// covers: api POST /containers/{id}/wait ?condition
#[test]
fn ends_by_all_names_and_flags_have_the_codes_that_were_asked_for() {
    let engine = Engine::isolated();
    let script = "trap 'exit 5' USR1; trap 'exit 6' TERM; echo ready; while true; do sleep 0.05; done";
    let name = runs(&engine, "c", script, &json!({}));
    let stops = [["--signal", "USR1"], ["--time", "20"], ["--timeout", "20"]];
    let mut round = 0;
    for verb in [&[][..], &["container"]] {
        for (words, code) in stops
            .iter()
            .map(|flag| (["stop", flag[0], flag[1]], if flag[0] == "--signal" { 5 } else { 6 }))
            .chain([(["kill", "--signal", "USR1"], 5)])
        {
            for client in 0..2 {
                round += 1;
                // The trap is set once it says so, in each run anew.
                testkit::eventually(testkit::DEADLINE, || {
                    match crate::containers::logs(&engine, &name).matches("ready").count() {
                        count if count == round => Ok(()),
                        count => Err(count),
                    }
                });
                let [ours, theirs] = both(&engine);
                let mut command = if client == 0 { ours } else { theirs };
                // One of them says that `--time` is old.
                let said = command::run(command.args(verb).args(words).arg(&name)).ok();
                assert_eq!(said.lines().last(), Some(name.as_str()));
                let [ours, theirs] = both(&engine);
                let mut wait = if client == 0 { ours } else { theirs };
                assert_eq!(command::run(wait.args(["container", "wait", &name])).ok(), code.to_string());
                let [ours, theirs] = both(&engine);
                let mut start = if client == 0 { ours } else { theirs };
                assert_eq!(command::run(start.args(["container", "start", &name])).ok(), name);
            }
        }
    }
    for condition in ["not-running", "next-exit", "removed"] {
        let path = format!("/containers/{name}/wait?condition={condition}");
        let waiting = testkit::http::open(engine.socket(), &Request::new("POST", &format!("/v1.47{path}")));
        let end = if condition == "removed" { "DELETE" } else { "POST" };
        match end {
            "DELETE" => engine.delete(&format!("/containers/{name}?force=1")).expect(204),
            _ => engine
                .request_unchecked(&Request::new("POST", &format!("/containers/{name}/kill")))
                .expect(204),
        };
        let answer: Value = waiting.unwrap().finish().unwrap().json();
        assert_eq!(answer["StatusCode"], 137, "{condition}");
        if end == "POST" {
            engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
        }
    }
}

// covers: cli docker rm --force
// covers: cli docker rm --volumes
// covers: cli docker container rm
// covers: cli docker container rm --force
// covers: cli docker container rm --volumes
// covers: cli docker container remove
// covers: cli docker container remove --force
// covers: cli docker container remove --volumes
// covers: cli docker container inspect
// covers: cli docker container inspect --format
// covers: cli docker container inspect --size
// covers: api DELETE /containers/{id} ?v
// covers: api DELETE /containers/{id} ?force
// covers: api GET /containers/{id}/json ?size
#[test]
fn removal_by_all_names_takes_volumes_and_what_runs_only_if_that_is_said() {
    let engine = Engine::isolated();
    for (number, verb) in
        [&["rm"][..], &["container", "rm"], &["container", "remove"]].into_iter().enumerate()
    {
        for client in 0..2 {
            let name = format!("r{number}{client}");
            let config = json!({"Cmd": ["sleep", "600"], "Volumes": {"/data": {}}});
            let name = create(&engine, &name, &config);
            engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
            let format = "{{(index .Mounts 0).Name}}";
            let volume = said(&engine, &["container", "inspect", "--format", format, &name]);
            let size = said(&engine, &["container", "inspect", "--size", "--format", "{{.SizeRw}}", &name]);
            assert!(size.parse::<u64>().is_ok(), "{size}");
            let run = |words: &[&str]| {
                let [ours, theirs] = both(&engine);
                let mut command = if client == 0 { ours } else { theirs };
                command::run(command.args(verb).args(words).arg(&name))
            };
            let refused = run(&[]);
            assert!(refused.code == 1 && refused.stderr.contains("container is running"), "{refused:?}");
            assert_eq!(run(&["--force", "--volumes"]).ok(), name);
            engine.request_unchecked(&Request::new("GET", &format!("/volumes/{volume}"))).expect(404);
        }
    }
}

// covers: value mode-value IpcMode none
// covers: value mode-value IpcMode host
// covers: value mode-value IpcMode private
// covers: value mode-value IpcMode shareable
// covers: value mode-value IpcMode container
// covers: value mode-value CgroupnsMode
// covers: value mode-value CgroupnsMode private
// covers: value mode-value CgroupnsMode host
// covers: value mode-value RestartPolicyMode no
// covers: value mode-value RestartPolicyMode always
// covers: value mode-value RestartPolicyMode on-failure
// covers: value mode-value RestartPolicyMode unless-stopped
// covers: value mode-value Isolation
// covers: value mode-value Isolation default
#[test]
fn modes_that_a_container_can_be_given_are_kept_and_others_refused() {
    let engine = Engine::ours();
    let lender = runs(&engine, "lender", "sleep 600", &json!({"IpcMode": "shareable"}));
    let container = format!("container:{lender}");
    for (key, value) in [
        ("IpcMode", json!("none")),
        ("IpcMode", json!("host")),
        ("IpcMode", json!("private")),
        ("IpcMode", json!("shareable")),
        ("IpcMode", json!(container)),
        ("CgroupnsMode", json!("private")),
        ("CgroupnsMode", json!("host")),
        ("RestartPolicy", json!({"Name": "no", "MaximumRetryCount": 0})),
        ("RestartPolicy", json!({"Name": "always", "MaximumRetryCount": 0})),
        ("RestartPolicy", json!({"Name": "on-failure", "MaximumRetryCount": 2})),
        ("RestartPolicy", json!({"Name": "unless-stopped", "MaximumRetryCount": 0})),
        ("Isolation", json!("default")),
    ] {
        let name = runs(&engine, "c", "sleep 600", &json!({key: value}));
        let kept = crate::life::inspected(&engine, &name)["HostConfig"][key].clone();
        let shared = kept.as_str().is_some_and(|kept| kept.starts_with("container:"));
        assert!(kept == value || shared, "{key}: {kept}");
        assert_eq!(state(&engine, &name)["Running"], true, "{key} {value}");
        engine.delete(&format!("/containers/{name}?force=1")).expect(204);
    }
    for (key, value) in [
        ("IpcMode", json!("foo")),
        ("CgroupnsMode", json!("foo")),
        ("RestartPolicy", json!({"Name": "foo"})),
        ("Isolation", json!("hyperv")),
        ("Isolation", json!("process")),
    ] {
        let body = json!({"Image": engine.busybox(), "HostConfig": {key: value}});
        engine.request_unchecked(&Request::new("POST", "/containers/create").json(&body)).expect(400);
    }
    engine.delete(&format!("/containers/{lender}?force=1")).expect(204);
}
