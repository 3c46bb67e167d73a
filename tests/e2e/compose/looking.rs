//! What is seen and taken from a running project: events, figures, terminals, images.

use serde_json::Value;
use testkit::Engine;

use super::Project;

const FILE: &str = "
services:
  a: {image: IMAGE, command: sleep 1000, init: true}
  b: {image: IMAGE, command: sleep 1000, init: true}
";

#[test]
fn events_of_the_project_alone_are_shown_as_docker_compose_shows_them() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "events", FILE);
    project.compose(["up", "-d"]).ok();
    project.compose(["kill", "a"]).ok();
    // docker compose knows whole seconds only, and calls the end of the stream an error: "EOF".
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let end = (now.as_secs() + 1).to_string();
    let until = ["events", "--since", "0", "--until", &end];
    let (ours, theirs) = (project.compose(until).ok(), project.real(until).stdout);
    // docker compose puts an empty line after each, and the details in the order of a Go map.
    let known = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.is_empty());
        let sorted = lines.map(|line| match line.split_once(" (") {
            Some((head, details)) => {
                let mut details: Vec<_> = details.trim_end_matches(')').split(", ").collect();
                details.sort_unstable();
                format!("{head} ({})", details.join(", "))
            }
            None => line.to_owned(),
        });
        sorted.collect()
    };
    assert_eq!(known(&ours), known(&theirs));
    assert!(ours.contains("container kill"), "{ours}");
    let of_one = ["events", "--json", "--since", "0", "--until", &end, "b"];
    let lines = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect()
    };
    let times = |mut events: Vec<Value>| {
        // Go leaves out zeros at the end of a fraction.
        events.iter_mut().for_each(|event| event["time"] = Value::Null);
        events
    };
    let (ours, theirs) = (lines(&project.compose(of_one).ok()), lines(&project.real(of_one).stdout));
    assert!(ours.iter().all(|event| event["service"] == "b"), "{ours:?}");
    assert_eq!(times(ours), times(theirs));
}

#[test]
fn figures_are_of_the_projects_containers() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "figures", FILE);
    project.compose(["up", "-d"]).ok();
    let names = |arguments: &[&str]| {
        let mut line = vec!["stats", "--no-stream", "--format", "{{.Name}}"];
        line.extend(arguments);
        let mut command = project.command();
        let mut names: Vec<_> =
            testkit::command::run(command.args(line)).ok().lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(names(&[]), [project.container("a"), project.container("b")]);
    assert_eq!(names(&["b"]), [project.container("b")]);
    project.compose(["kill", "b"]).ok();
    assert_eq!(names(&[]), [project.container("a")]);
    assert_eq!(names(&["--all"]), [project.container("a"), project.container("b")]);
}

#[test]
fn a_service_s_container_is_attached_to_and_committed() {
    let engine = Engine::isolated();
    let file =
        "services: {a: {image: IMAGE, command: \"sh -c 'read line; echo said $$line'\", stdin_open: true}}\n";
    let project = Project::new(&engine, "attached", file);
    project.compose(["up", "-d"]).ok();
    let image = format!("{}:of", engine.name("committed").to_lowercase());
    let line = [
        "commit",
        "--author",
        "me",
        "--message",
        "why",
        "--change",
        "LABEL x=y",
        "--index",
        "1",
        "a",
        &image,
    ];
    project.compose(line).ok();
    let found = engine.ketch([
        "image",
        "inspect",
        &image,
        "--format",
        "{{.Author}} {{.Comment}} {{.Config.Labels.x}}",
    ]);
    assert_eq!(found.ok(), "me why y");
    let mut command = project.command();
    command.args(["attach", "a"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the command");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), b"hello\n").expect("it listens");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "said hello\n");
    engine.ketch(["image", "rm", &image]).ok();
}

const BUILT: &str = "
services:
  web: {build: .}
  api:
    image: me/api:2
    platform: linux/arm64
    build:
      context: ./api
      dockerfile: Other
      args: {A: '1', B: null, C: '${HOME:-none}'}
      labels: {x: y}
      target: prod
      tags: [me/api:3, 'reg/api:4']
      cache_from: ['type=local,src=c', alpine]
      cache_to: ['type=inline']
      network: host
      secrets: [tok, {source: tok, target: other}, said]
      ssh: [default, k=/key]
      no_cache: true
      pull: true
      shm_size: 64m
      extra_hosts: {h: ['1.2.3.4', '::1'], g: '5.6.7.8'}
      additional_contexts: {base: 'docker-image://busybox', svc: 'service:web', dir: ./api}
      ulimits: {nofile: {soft: 10, hard: 20}, nproc: 5}
      entitlements: [network.host]
      privileged: true
      provenance: mode=max
      sbom: true
  far: {build: {context: 'https://x.org/y.git#main', dockerfile: D, platforms: [linux/amd64, linux/arm64]}}
  inline:
    depends_on: [web]
    build:
      provenance: false
      dockerfile_inline: |
        FROM scratch
        ENV X=$$Y
  plain: {image: IMAGE}
secrets:
  tok: {file: ./tok}
  said: {environment: SAID}
";

#[test]
fn the_bake_file_of_a_build_is_the_one_that_docker_compose_prints() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "printed", BUILT);
    for (file, text) in [("Dockerfile", "FROM scratch\n"), ("tok", "secret")] {
        project.write(file, text);
    }
    // docker compose lists some things in the order of a Go map.
    let read = |text: &str| {
        let mut file: Value = serde_json::from_str(text).expect("a bake file");
        if let Some(meant) = file["group"]["default"]["targets"].as_array_mut() {
            meant.sort_by_key(ToString::to_string);
        }
        for target in file["target"].as_object_mut().into_iter().flat_map(|targets| targets.values_mut()) {
            for key in ["ssh", "ulimits"] {
                if let Some(list) = target.get_mut(key).and_then(Value::as_array_mut) {
                    list.sort_by_key(ToString::to_string);
                }
            }
        }
        file
    };
    let same = |words: &[&str]| {
        let ours = testkit::command::run(project.command().args(["build", "--print"]).args(words)).ok();
        let theirs = testkit::command::run(project.real_command().args(["build", "--print"]).args(words));
        assert_eq!(read(&ours), read(&theirs.stdout), "{words:?}");
    };
    for words in [
        &[][..],
        &["web"],
        &["api", "--push"],
        &["inline", "--no-cache", "--pull", "--build-arg=Z=1", "--ssh=k=/a"],
        &["inline", "--with-dependencies"],
        &["web", "--check"],
    ] {
        same(words);
    }
    assert_eq!(project.compose(["build", "--print", "plain"]).ok(), "");
}
