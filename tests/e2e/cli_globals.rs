//! Flags that every command takes, and the ways to say which engine is meant; beside the real client.

use testkit::Engine;
use testkit::command::Output;

const FORMAT: &str = "{{.Server.Os}}";

/// Both clients, with the environment's own host pointing nowhere, so that the flag under test decides.
fn both<const N: usize>(engine: &Engine, arguments: [&str; N]) -> [Output; 2] {
    [engine.ketch(arguments), engine.docker(arguments)]
}

// covers: cli docker --host
// covers: cli docker --debug
// covers: cli docker --log-level
#[test]
fn a_host_can_be_named() {
    let engine = Engine::isolated();
    let host = format!("unix://{}", engine.socket().display());
    for output in
        both(&engine, ["--debug", "--log-level", "error", "--host", &host, "version", "--format", FORMAT])
    {
        assert_eq!(output.ok(), "linux");
    }
    for output in both(&engine, ["--host", "unix:///nowhere/at/all.sock", "version", "--format", FORMAT]) {
        assert_eq!(output.code, 1, "{output:?}");
        assert!(
            output.stderr.contains("unix:///nowhere/at/all.sock")
                || output.stderr.contains("/nowhere/at/all.sock")
        );
    }
    for output in both(&engine, ["--log-level", "loud", "version"]) {
        assert_ne!(output.code, 0, "{output:?}");
        assert!(output.stderr.contains("loud"), "{output:?}");
    }
}

// covers: cli docker --config
// covers: cli docker --context
// covers: cli docker context ls --quiet
// covers: cli docker context inspect --format
// covers: cli docker context rm --force
// covers: cli docker context update
// covers: cli docker context update --description
// covers: cli docker context update --docker
// covers: cli docker context create --from
#[test]
fn a_context_can_be_named() {
    let engine = Engine::isolated();
    let config = engine.scratch().join("elsewhere");
    let config = config.to_str().unwrap_or_default();
    let endpoint = format!("host=unix://{}", engine.socket().display());
    engine
        .ketch(["--config", config, "context", "create", "one", "--docker", "host=unix:///nowhere.sock"])
        .ok();
    engine
        .ketch(["--config", config, "context", "update", "one", "--description", "d", "--docker", &endpoint])
        .ok();
    engine.ketch(["--config", config, "context", "create", "two", "--from", "one"]).ok();
    for output in both(&engine, ["--config", config, "--context", "two", "version", "--format", FORMAT]) {
        assert_eq!(output.ok(), "linux");
    }
    let format = "{{.Name}} {{.Endpoints.docker.Host}}";
    let [ours, theirs] = both(&engine, ["--config", config, "context", "inspect", "one", "--format", format]);
    assert_eq!(ours.ok(), theirs.ok());
    let [ours, theirs] = both(&engine, ["--config", config, "context", "ls", "--quiet"]);
    assert_eq!(ours.ok(), theirs.ok());
    engine.ketch(["--config", config, "context", "rm", "--force", "one", "two"]).ok();
    for output in both(&engine, ["--config", config, "--context", "two", "version"]) {
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("two"), "{output:?}");
    }
}

// covers: cli docker --version
// covers: cli docker --help
// covers: cli docker help
// covers: cli docker
#[test]
fn version_and_help_need_no_engine() {
    let engine = Engine::ours();
    assert!(engine.ketch(["--version"]).ok().contains("version"));
    let help = engine.ketch(["--help"]).ok();
    for word in ["Usage:", "Management Commands:", "Commands:", "Global Options:"] {
        assert!(
            help.contains(word) && engine.docker(["--help"]).ok().contains(word),
            "no {word} in:\n{help}"
        );
    }
    assert_eq!(engine.ketch(["help", "version"]).ok(), engine.ketch(["version", "--help"]).ok());
    let ours = engine.ketch(["version", "--help"]).ok().replace("ketch version", "docker version");
    assert_eq!(ours, engine.docker(["version", "--help"]).ok());
}

#[test]
fn a_misspelt_command_is_guessed() {
    let engine = Engine::ours();
    let told = engine.ketch(["verison"]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stderr.contains("version"), "{told:?}");
}

#[test]
fn a_broken_config_file_is_told_with_its_place() {
    let engine = Engine::ours();
    engine.scratch().write("home/.docker/config.json", "{\n  \"currentContext\": yes\n}");
    let told = engine.ketch(["context", "show"]);
    assert!(told.stderr.contains("config.json"), "{told:?}");
    assert!(told.stderr.contains("2:") || told.stderr.contains("line 2"), "no line: {told:?}");
}
