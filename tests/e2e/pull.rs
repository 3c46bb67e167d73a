//! Images from a real registry: by the API, by our command line, by docker's.

use std::process::Command;

use serde_json::{Value, json};
use testkit::command::{Output, run};
use testkit::http::Request;
use testkit::registry::{Door, PASSWORD, USER, Wire};
use testkit::{Engine, Registry, images};

/// Puts an image under `box:<tag>` for each tag and returns their names. No engine has their layers yet.
fn fill(engine: &Engine, registry: &Registry, tags: &[&str]) -> Vec<String> {
    let put = |tag: &&str| {
        let rest = format!("{}:{tag}", engine.name("box"));
        let name = registry.name(&rest);
        let archive = archive(&name).unwrap_or_else(|error| panic!("{error:#}"));
        registry.receive(&rest, &archive);
        name
    };
    tags.iter().map(put).collect()
}

fn archive(name: &str) -> anyhow::Result<Vec<u8>> {
    let mut layer = images::Layer::default();
    layer.file("bin/busybox", &std::fs::read("/bin/busybox")?)?;
    layer.link("bin/echo", "busybox")?;
    layer.file("name", name.as_bytes())?;
    images::archive(name, &layer.finish()?, &json!({"Env": ["PATH=/bin"]}))
}

/// The messages of a pull over the API.
fn pull(engine: &Engine, name: &str) -> Vec<Value> {
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let path = format!("/images/create?fromImage={repository}&tag={tag}");
    let reply = engine.request_unchecked(&Request::new("POST", &path)).expect(200);
    reply.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn remove(engine: &Engine, names: &[String]) {
    if !names.is_empty() {
        run(engine.docker_command().args(["rmi", "--force"]).args(names)).ok();
    }
}

/// What both command lines do, each beginning without the images.
fn both(engine: &Engine, names: &[String], arguments: &[&str]) -> [Output; 2] {
    [engine.ketch_command(), engine.docker_command()].map(|mut command: Command| {
        remove(engine, names);
        run(command.args(arguments))
    })
}

#[track_caller]
fn assert_alike([ours, theirs]: [Output; 2]) -> Output {
    let told = |output: &Output| (output.code, worded(&output.stdout), worded(&output.stderr));
    assert_eq!(told(&ours), told(&theirs), "{}", ours.line);
    ours
}

/// Without the program's name, and without the states that a layer may be too fast for.
fn worded(text: &str) -> String {
    let text = text.replace("ketch", "docker");
    let passing = |line: &&str| !line.ends_with(": Verifying Checksum") && !line.ends_with(": Waiting");
    text.lines().filter(passing).flat_map(|line| [line, "\n"]).collect()
}

// covers: api POST /images/create
#[test]
fn an_image_comes_from_a_real_registry() {
    let engine = Engine::isolated();
    for wire in [Wire::Plain, Wire::Tls] {
        let registry = Registry::with(Door::Open, wire);
        let names = fill(&engine, &registry, &["1"]);
        let name = names[0].as_str();
        let messages = pull(&engine, name);
        let said = |text: &str| {
            messages.iter().any(|m| m["status"].as_str().is_some_and(|status| status.contains(text)))
        };
        assert!(said("Pulling from ") && said("Pull complete"), "{messages:?}");
        assert!(said(&format!("Status: Downloaded newer image for {name}")), "{messages:?}");
        let output = engine.docker(["run", "--rm", "--network", "none", name, "echo", "pulled"]);
        assert_eq!(output.ok(), "pulled");
        let again = pull(&engine, name);
        let last = again.last().and_then(|message| message["status"].as_str()).unwrap_or_default();
        assert_eq!(last, format!("Status: Image is up to date for {name}"));
        let digest = engine.docker(["inspect", "--format", "{{index .RepoDigests 0}}", name]).ok();
        let rest = name.split_once('/').map_or("", |(_, rest)| rest);
        assert_eq!(digest.split_once('@').map(|(_, digest)| digest), Some(registry.digest(rest).as_str()));
        remove(&engine, &names);
    }
}

// covers: cli docker pull
// covers: cli docker pull --quiet
// covers: cli docker pull --platform
// covers: cli docker pull --all-tags
// covers: cli docker pull --disable-content-trust
// covers: cli docker image pull
// covers: cli docker image pull --quiet
// covers: cli docker image pull --all-tags
// covers: cli docker image pull --platform
// covers: cli docker image pull --disable-content-trust
// covers: registry client-behaviour pull/push digest pinning
#[test]
fn both_clients_pull_alike() {
    let engine = Engine::isolated();
    let registry = Registry::start();
    let names = fill(&engine, &registry, &["1", "latest"]);
    let (name, repository) = (names[0].as_str(), names[0].trim_end_matches(":1"));
    let rest = repository.split_once('/').map_or("", |(_, rest)| rest);
    let by_digest = format!("{repository}@{}", registry.digest(&format!("{rest}:1")));
    let alike = |arguments: &[&str]| assert_alike(both(&engine, &names, arguments));
    let text = alike(&["pull", name]).ok();
    assert!(text.contains("Pull complete") && text.ends_with(name), "{text}");
    let text = alike(&["pull", repository]).ok();
    assert!(text.starts_with("Using default tag: latest\n"), "{text}");
    assert_eq!(alike(&["image", "pull", "--quiet", name]).ok(), name);
    let text = alike(&["image", "pull", "--all-tags", "--quiet", repository]).ok();
    assert_eq!(text, repository);
    assert_eq!(engine.ketch(["images", "--quiet", repository]).ok().lines().count(), 2);
    assert_eq!(alike(&["pull", "-q", &by_digest]).ok(), by_digest);
    engine.docker(["rmi", &by_digest]).ok();
    for verb in [&["pull"][..], &["image", "pull"]] {
        alike(&[verb, &["--platform", "linux/amd64", "--disable-content-trust=true", name]].concat()).ok();
        alike(&[verb, &["--platform", "nonsense", name]].concat()).assert_code(1);
    }
    for wrong in [
        &["pull", &format!("{repository}:nosuch")][..],
        &["pull", "--all-tags", name],
        &["pull", "UPPER"],
        &["pull", "a b"],
    ] {
        assert!(!alike(wrong).assert_code(1).stderr.is_empty());
    }
    remove(&engine, &names);
}

#[test]
fn content_trust_is_refused_and_not_ignored() {
    let engine = Engine::ours();
    let flag = engine.ketch(["pull", "--disable-content-trust=false", "x"]);
    let mut command = engine.ketch_command();
    let variable = run(command.env("DOCKER_CONTENT_TRUST", "1").args(["push", "x"]));
    for refused in [flag, variable] {
        assert!(refused.assert_code(1).stderr.contains("Content Trust"));
    }
}

// covers: cli docker run --pull
// covers: cli docker create --pull
#[test]
fn run_and_create_fetch_what_is_missing() {
    let engine = Engine::isolated();
    let registry = Registry::start();
    let names = fill(&engine, &registry, &["1"]);
    let name = names[0].as_str();
    let once = ["run", "--rm", "--network", "none"];
    let alike = |arguments: &[&str]| assert_alike(both(&engine, &names, arguments));
    let with = |more: &[&'static str]| [&once[..], more, &[name, "echo", "ran"]].concat();
    let output = alike(&with(&[]));
    assert!(output.stderr.starts_with(&format!("Unable to find image '{name}' locally\n")), "{output:?}");
    assert!(output.stderr.contains("Pull complete"), "{output:?}");
    assert_eq!(output.ok(), "ran");
    let output = alike(&with(&["--quiet"]));
    assert_eq!((output.stderr.as_str(), output.clone().ok().as_str()), ("", "ran"));
    let output = alike(&with(&["--pull", "always"]));
    assert!(!output.stderr.contains("Unable") && output.stderr.contains("Pull complete"), "{output:?}");
    assert!(alike(&with(&["--pull", "never"])).assert_code(125).stderr.contains("No such image"));
    alike(&with(&["--pull", "sometimes"])).assert_code(125);
    let missing = registry.name("nosuch:1");
    alike(&["run", "--rm", &missing]).assert_code(125);
    alike(&["create", &missing]).assert_code(1);
    alike(&["create", "--pull", "never", &missing]).assert_code(1);
    // Here it is one for another platform: the registry is asked for that one.
    engine.docker(["pull", "--quiet", name]).ok();
    let other = ["create", "--platform", "linux/s390x", name];
    let [ours, theirs] = [engine.ketch(other), engine.docker(other)];
    for output in [ours, theirs] {
        let told = output.assert_code(1).stderr.clone();
        assert!(told.starts_with(&format!("Unable to find image '{name}' locally\n")), "{told}");
    }
    remove(&engine, &names);
}

// covers: cli docker login
// covers: cli docker login --username
// covers: cli docker login --password
// covers: cli docker login --password-stdin
// covers: cli docker logout
#[test]
fn a_login_opens_a_registry_to_both_clients() {
    let engine = Engine::isolated();
    let registry = Registry::with(Door::Login, Wire::Plain);
    let (address, names) = (registry.address(), fill(&engine, &registry, &["1"]));
    let name = names[0].as_str();
    let alike = |arguments: &[&str]| assert_alike(both(&engine, &names, arguments));
    alike(&["pull", name]).assert_code(1);
    let wrong = alike(&["login", address, "--username", USER, "--password", "guess"]).assert_code(1);
    assert!(!wrong.stderr.contains("guess"), "{wrong:?}");
    let file = engine.scratch().join("home/.docker/config.json");
    assert!(!file.exists());
    // Each keeps what the other uses.
    for (mut keeper, mut user) in
        [(engine.ketch_command(), engine.docker_command()), (engine.docker_command(), engine.ketch_command())]
    {
        let script = format!("printf '%s\\r\\n' {PASSWORD} | \"$@\"");
        let mut login = Command::new("sh");
        login.args(["-c", &script, "sh"]).arg(keeper.get_program()).args(keeper.get_args());
        login.args(["login", address, "--username", USER, "--password-stdin"]);
        login.env_clear().envs(keeper.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let output = run(&mut login).assert_code(0);
        assert_eq!(output.stdout, "Login Succeeded\n");
        assert!(output.stderr.contains("stored unencrypted"), "{}", output.stderr);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&file).map(|found| found.permissions()).unwrap_or_else(|e| panic!("{e}")),
        );
        assert_eq!(mode & 0o777, 0o600);
        remove(&engine, &names);
        run(user.args(["pull", "--quiet", name])).ok();
        let again = assert_alike(both(&engine, &[], &["login", address]));
        assert!(again.stderr.contains("existing credentials"), "{again:?}");
        let left = run(keeper.args(["logout", &format!("https://{address}/v2/")])).ok();
        assert_eq!(left, format!("Removing login credentials for {address}"));
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(text, "{\n\t\"auths\": {}\n}");
        std::fs::remove_file(&file).unwrap_or_else(|error| panic!("{error}"));
    }
    alike(&["pull", name]).assert_code(1);
    remove(&engine, &names);
}
