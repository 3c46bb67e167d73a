//! Log files: drivers that keep them, their options, reading them back.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use testkit::http::Request;
use testkit::{DEADLINE, Engine, command, eventually};

use crate::life::inspected;

/// Runs `script` to its end with these log options; the container's name.
pub(crate) fn ran(engine: &Engine, driver: &str, options: &Value, script: &str) -> String {
    let name = made(engine, driver, options, script);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
    name
}

/// A container with labels and variables to tell of.
pub(crate) fn made(engine: &Engine, driver: &str, options: &Value, script: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = engine.name(&format!("{driver}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let config = json!({
        "Image": engine.busybox(), "Cmd": ["sh", "-c", script],
        "Labels": {"role": "web", "com.example.tier": "a b", "other": "x"}, "Env": ["STAGE=test", "NOT=x"],
        "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": driver, "Config": options}},
    });
    engine.post(&format!("/containers/create?name={name}"), &config).expect(201);
    name
}

pub(crate) fn docker_logs(engine: &Engine, arguments: &[&str]) -> String {
    command::run(engine.docker_command().arg("logs").args(arguments)).ok()
}

/// The log's files of a container of ours, by name.
fn files(engine: &Engine, name: &str) -> Vec<PathBuf> {
    let id = inspected(engine, name)["Id"].as_str().expect("an id").to_owned();
    let folder = engine.data_root().join("containers").join(id);
    let list = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let all = list(folder.join("local-logs")).chain(list(folder));
    let mut files: Vec<_> = all.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.retain(|path| path.to_string_lossy().contains(".log"));
    files.sort();
    files
}

fn names(files: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files.iter().map(|path| name(path).split_once('-').map_or(name(path), |(_, rest)| rest.into())).collect()
}

const LINES: &str = "i=0; while [ $i -lt 300 ]; do echo a line of text $i; i=$((i+1)); done; echo last >&2";

// covers: value log-driver --log-driver json-file
// covers: value log-opt json-file max-size
// covers: value log-opt json-file max-file
// covers: value log-opt json-file compress
// covers: value log-driver --log-driver local
// covers: value log-opt local max-size
// covers: value log-opt local max-file
// covers: value log-opt local compress
// covers: api GET /containers/{id}/logs ?tail
// refuses: api GET /containers/{id}/logs ?format because dockerd's documentation names it and dockerd reads it in no version
#[test]
fn files_rotate_are_compressed_and_are_read_back_whole() {
    let engine = Engine::ours();
    for (driver, options, expected) in [
        ("json-file", json!({"max-size": "8k", "max-file": "100"}), "log.1"),
        ("json-file", json!({"max-size": "8k", "max-file": "100", "compress": "true"}), "log.2.gz"),
        ("local", json!({"max-size": "4k", "max-file": "100"}), "log.2.gz"),
        ("local", json!({"max-size": "4k", "max-file": "100", "compress": "false"}), "log.1"),
    ] {
        let name = ran(&engine, driver, &options, LINES);
        let found = names(&files(&engine, &name));
        assert!(found.iter().any(|file| file.ends_with(expected)), "{driver} {options}: {found:?}");
        let text = docker_logs(&engine, &[&name]);
        assert_eq!(text.lines().count(), 300, "{driver} {options}: {text}");
        assert!(text.starts_with("a line of text 0\n") && text.ends_with("a line of text 299"), "{text}");
        assert_eq!(docker_logs(&engine, &["--tail", "2", &name]), "a line of text 299");
        // Nothing is lost or doubled where the next run goes on.
        engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
        engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
        assert_eq!(docker_logs(&engine, &[&name]).lines().count(), 600, "{driver} {options}");
        engine.delete(&format!("/containers/{name}")).expect(204);
    }
}

#[test]
fn the_oldest_lines_go() {
    let engine = Engine::ours();
    for driver in ["json-file", "local"] {
        let name = ran(&engine, driver, &json!({"max-size": "4k", "max-file": "2"}), LINES);
        let text = docker_logs(&engine, &[&name]);
        assert!(!text.contains("text 0\n") && text.ends_with("text 299"), "{driver}: {text}");
        assert_eq!(files(&engine, &name).len(), 2);
    }
}

// covers: api GET /containers/{id}/logs ?details
// covers: api GET /containers/{id}/logs ?timestamps
// covers: cli docker logs --details
// covers: cli docker logs --timestamps
// covers: cli docker container logs
// covers: cli docker container logs --details
// covers: cli docker container logs --timestamps
// covers: value log-opt (most drivers) labels
// covers: value log-opt (most drivers) labels-regex
// covers: value log-opt (most drivers) env
// covers: value log-opt (most drivers) env-regex
// covers: value log-opt (most drivers) tag
#[test]
fn details_are_the_labels_variables_and_the_tag_that_were_asked_for() {
    let engine = Engine::isolated();
    let options = json!({
        "labels": "role,missing", "labels-regex": "^com\\.", "env": "STAGE", "env-regex": "^NO.$",
        "tag": "{{.Name}}/{{.ImageName}}",
    });
    let name = ran(&engine, "json-file", &options, "echo hello");
    let (busybox, tag) = (engine.busybox(), format!("{name}/{}", engine.busybox()));
    let escaped = tag.replace('/', "%2F").replace(':', "%3A");
    let expected = format!("NOT=x,STAGE=test,com.example.tier=a+b,role=web,tag={escaped} hello");
    for command in [["logs"].as_slice(), &["container", "logs"]] {
        let details = engine.docker_command().args(command).args(["--details", &name]).output();
        assert_eq!(String::from_utf8_lossy(&details.expect("docker").stdout).trim(), expected, "{busybox}");
    }
    for mut command in crate::life::both(&engine) {
        assert_eq!(command::run(command.args(["logs", "--details", &name])).ok(), expected);
    }
    for mut command in crate::life::both(&engine) {
        let text = command::run(command.args(["container", "logs", "--timestamps", &name])).ok();
        let (time, line) = text.split_once(' ').expect("a time before the line");
        // All digits of the second, whatever they are.
        assert_eq!((time.len(), time.as_bytes()[19], line), (30, b'.', "hello"), "{time}");
    }
    let local = ran(&engine, "local", &json!({}), "echo hello");
    assert_eq!(docker_logs(&engine, &["--details", &local]).trim(), "hello");
}

// covers: cli docker logs --follow
// covers: cli docker container logs --follow
// covers: api GET /containers/{id}/logs ?follow
#[test]
fn following_goes_on_across_rotations_of_compressed_files() {
    let engine = Engine::ours();
    for driver in ["json-file", "local"] {
        let options = json!({"max-size": "2k", "max-file": "50", "compress": "true"});
        let name = made(&engine, driver, &options, &format!("{LINES}; sleep 0.2; {LINES}"));
        engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
        for mut command in crate::life::both(&engine) {
            let text = command::run(command.args(["container", "logs", "--follow", &name])).ok();
            assert_eq!(text.lines().count(), 600, "{driver}: {text}");
        }
    }
}

#[test]
fn values_and_options_that_can_not_be_are_refused_by_name() {
    let engine = Engine::ours();
    let refusal = |driver: &str, options: Value| {
        let config = json!({"Image": engine.busybox(), "Cmd": ["true"],
            "HostConfig": {"LogConfig": {"Type": driver, "Config": options}}});
        let request = Request::new("POST", "/containers/create").json(&config);
        engine.request_unchecked(&request).expect(400).message()
    };
    assert_eq!(refusal("json-file", json!({"foo": "1"})), "unknown log opt 'foo' for json-file log driver");
    assert_eq!(refusal("local", json!({"tag": "x"})), "unknown log opt 'tag' for log driver local");
    assert_eq!(refusal("json-file", json!({"mode": "fast"})), "logger: logging mode not supported: fast");
    assert_eq!(
        refusal("local", json!({"max-buffer-size": "1m"})),
        "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
    );
    assert!(refusal("json-file", json!({"tag": "{{.Nope"})).contains("template: log-tag"));
    // What only a container can show to be wrong is told at its start.
    let name = made(&engine, "json-file", &json!({"tag": "{{.Nope}}"}), "true");
    let start = Request::new("POST", &format!("/containers/{name}/start"));
    let told = engine.request_unchecked(&start).message();
    assert!(told.contains("log option tag") && told.contains("Nope"), "{told}");
}

// covers: daemon flag --log-budget
// covers: daemon config-key log-budget
#[test]
fn all_logs_together_keep_to_their_budget_and_the_oldest_lines_go_first() {
    let keys = json!({"log-budget": "60k", "log-opts": {"max-size": "10k", "max-file": "5"}});
    let flags = ["--log-budget=60k", "--log-opt=max-size=10k", "--log-opt=max-file=5"];
    for engine in [
        Engine::planned(|plan, scratch| plan.config(scratch, &keys)),
        Engine::planned(|plan, _| flags.iter().fold(plan, |plan, flag| plan.arg(flag))),
    ] {
        let lines = format!("{LINES}; {LINES}");
        let make = |name: &str| crate::life::runs(&engine, name, &lines, &json!({}));
        let containers = ["a", "b", "c"].map(|name| {
            let name = make(name);
            engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
            name
        });
        // Each by itself may have 50 kB.
        let total = || -> u64 {
            let all = containers.iter().flat_map(|name| files(&engine, name));
            all.map(|path| path.metadata().map_or(0, |meta| meta.len())).sum()
        };
        eventually(DEADLINE, || match total() {
            0..=61_440 => Ok(()),
            total => Err(total),
        });
        assert!(files(&engine, &containers[0]).len() < files(&engine, &containers[2]).len());
        for name in &containers {
            assert!(docker_logs(&engine, &[name]).ends_with("text 299"));
        }
    }
}

#[test]
fn the_engine_s_options_are_those_of_its_driver() {
    let keys = json!({"log-driver": "local", "log-opts": {"max-size": "5k", "compress": "false"}});
    let engine = Engine::planned(|plan, scratch| plan.config(scratch, &keys));
    let config = |driver: &str, options: Value| {
        let name = made(&engine, driver, &options, "true");
        let config = inspected(&engine, &name)["HostConfig"]["LogConfig"].clone();
        engine.delete(&format!("/containers/{name}")).expect(204);
        config
    };
    assert_eq!(
        config("local", json!({"max-size": "9k"})),
        json!({"Type": "local", "Config": {"max-size": "9k", "compress": "false"}})
    );
    assert_eq!(config("json-file", json!({})), json!({"Type": "json-file", "Config": {}}));
    assert_eq!(config("none", json!({})), json!({"Type": "none", "Config": {}}));
}

/// The process that writes a container's log beside its shim.
fn writer_of(engine: &Engine, name: &str) -> Option<rustix::process::Pid> {
    let shim = crate::faults::shim_of(engine, name);
    let number = shim.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{number}/task/{number}/children")).ok()?;
    let is_writer = |pid: &&str| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.ends_with(b"--log\0"))
    };
    rustix::process::Pid::from_raw(children.split_whitespace().find(is_writer)?.parse().ok()?)
}

// covers: value log-opt (any driver) mode
// covers: value log-opt (any driver) max-buffer-size
#[test]
fn a_log_that_nobody_waits_for_has_every_line_and_rotates() {
    let engine = Engine::isolated();
    let options =
        json!({"mode": "non-blocking", "max-buffer-size": "2m", "max-size": "40k", "max-file": "5"});
    for driver in ["json-file", "local"] {
        let script =
            "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done; echo err >&2; echo -n end";
        let name = ran(&engine, driver, &options, script);
        let text = docker_logs(&engine, &["--tail", "300", &name]);
        let lines: Vec<&str> = text.lines().collect();
        let wanted: Vec<String> = (702..1000).map(|number| format!("line {number}")).collect();
        assert_eq!(lines[..wanted.len().min(lines.len())], wanted, "{driver}");
        assert_eq!(lines.last(), Some(&"end"), "{driver}");
        engine.delete(&format!("/containers/{name}?force=1")).expect(204);
    }
}

#[test]
fn a_disk_that_stands_still_holds_no_container_up_whose_log_may_lose_lines() {
    use rustix::process::{Signal, kill_process};
    let engine = Engine::ours();
    let options = json!({"mode": "non-blocking", "max-buffer-size": "64k", "max-size": "100m"});
    // Half a megabyte a second of lines, and a file that says when it is through.
    let script = "echo begun; until [ -e /go ]; do sleep 0.02; done; \
                  i=0; while [ $i -lt 40000 ]; do echo a line with some text and its number $i; i=$((i+1)); done; \
                  touch /through; until [ -e /on ]; do sleep 0.02; done; echo later; until [ -e /off ]; do sleep 0.02; done; echo last";
    let name = made(&engine, "json-file", &options, script);
    engine.post(&format!("/containers/{name}/start"), &Value::Null).expect(204);
    let says = |text: &str| {
        eventually(DEADLINE, || {
            let log = docker_logs(&engine, &[&name]);
            log.lines().any(|line| line == text).then_some(()).ok_or(log.len())
        });
    };
    let touch = |file: &str| {
        engine.docker(["exec", &name, "touch", file]).ok();
    };
    says("begun");
    let writer = writer_of(&engine, &name).expect("a writer");
    kill_process(writer, Signal::STOP).expect("the test's own");
    touch("/go");
    eventually(DEADLINE, || {
        let there = engine.docker(["exec", &name, "test", "-e", "/through"]);
        (there.code == 0).then_some(()).ok_or(there.code)
    });
    kill_process(writer, Signal::CONT).expect("the test's own");
    touch("/on");
    says("later");
    // One that is killed has a successor.
    kill_process(writer, Signal::KILL).expect("the test's own");
    eventually(DEADLINE, || {
        let other = writer_of(&engine, &name).filter(|other| *other != writer);
        other.map(drop).ok_or("no successor")
    });
    touch("/off");
    engine.post(&format!("/containers/{name}/wait"), &Value::Null).expect(200);
    let log = docker_logs(&engine, &[&name]);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!((lines.first(), lines.last()), (Some(&"begun"), Some(&"last")));
    assert!(lines.len() < 40_000, "nothing was dropped: {}", lines.len());
    let numbered = lines.iter().filter_map(|line| line.strip_prefix("a line with some text and its number "));
    let numbers: Vec<u32> = numbered.map(|number| number.parse().expect("a whole line")).collect();
    assert!(!numbers.is_empty() && numbers.is_sorted());
    engine.delete(&format!("/containers/{name}?force=1")).expect(204);
}
