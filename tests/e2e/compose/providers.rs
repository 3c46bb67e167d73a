//! Services that programs provide, by docker compose's protocol: the program is a shell script.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use testkit::Engine;
use testkit::command::{self, Output};

use super::Project;

const FILE: &str = "
services:
  app:
    image: IMAGE
    command: sleep 1000
    init: true
    environment: {OWN: here, RAW: mine}
    depends_on: [cloud]
  other:
    image: IMAGE
    command: sleep 1000
    init: true
  cloud:
    provider:
      type: PROGRAM
      options: {size: 256, name: [a, b]}
";

/// Writes down how it was called, and says what the file `says` beside it has.
const SCRIPT: &str = "#!/bin/sh
cd \"${0%/*}\"
if [ \"$2\" = metadata ]; then cat metadata 2>/dev/null; exit; fi
echo \"$@\" >> calls
echo \"$COMPOSE_PROJECT_NAME $FROM_FILE\" >> seen
cat says
echo trouble >&2
exit \"$(cat code 2>/dev/null || echo 0)\"
";

const SAYS: &str = r#"{"type":"info","message":"making it\nslowly"}
{"type":"debug","message":"x"}
{"type":"setenv","message":"URL=http://cloud.test/?a=b"}
{"type":"rawsetenv","message":"RAW=theirs"}
"#;

struct Provided<'e> {
    project: Project<'e>,
    program: String,
}

impl<'e> Provided<'e> {
    fn new(engine: &'e Engine, name: &str) -> Self {
        let program = engine.name(&format!("provider-{name}"));
        let project = Project::new(engine, name, &FILE.replace("PROGRAM", &program));
        project.write(".env", "FROM_FILE=yes\n");
        project.write(&format!("bin/{program}"), SCRIPT);
        let path = project.folder.join("bin").join(&program);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
        project.write("bin/says", SAYS);
        Self { project, program }
    }

    fn run(&self, mut command: std::process::Command, arguments: &[&str]) -> Output {
        let paths = std::env::var("PATH").expect("PATH");
        command::run(
            command
                .env("PATH", format!("{}:{paths}", self.project.folder.join("bin").display()))
                .args(arguments),
        )
    }

    #[track_caller]
    fn compose(&self, arguments: &[&str]) -> Output {
        self.run(self.project.command(), arguments)
    }

    /// How it was called since this was asked last.
    fn calls(&self) -> Vec<String> {
        let path = self.project.folder.join("bin/calls");
        let text = fs::read_to_string(&path).unwrap_or_default();
        drop(fs::remove_file(path));
        text.lines().map(|line| line.replace(&self.project.name, "P")).collect()
    }
}

const UP: &str = "compose --project-name=P up --name=a --name=b --size=256 cloud";

// covers: compose key services.*.provider
// covers: compose key services.*.provider.options
// covers: compose key services.*.provider.options.*
// covers: compose key services.*.provider.options.*[]
// covers: compose key services.*.provider.type
#[test]
fn a_program_provides_a_service_and_its_variables() {
    let engine = Engine::isolated();
    let provided = Provided::new(&engine, "provided");
    let up = provided.compose(&["up", "-d"]).assert_code(0).stderr;
    assert!(up.contains("Provider cloud  making it\n") && up.contains("Provider cloud  Created"), "{up}");
    let overrides = "provider \"cloud\" overrides environment variable \"RAW\" in service \"app\"";
    assert!(up.contains(overrides), "{up}");
    assert_eq!(provided.calls(), [UP]);
    let seen = fs::read_to_string(provided.project.folder.join("bin/seen")).unwrap();
    assert_eq!(seen, format!("{} yes\n", provided.project.name));
    let variables = |service: &str| provided.project.sh(service, "env | grep -E 'OWN|RAW|CLOUD' | sort");
    assert_eq!(variables("app"), "CLOUD_URL=http://cloud.test/?a=b\nOWN=here\nRAW=theirs");
    assert_eq!(variables("other"), "");
    assert_eq!(provided.compose(&["ps", "--all", "--services"]).ok(), "app\nother");
    // It is asked again, and says the same: nothing is made anew.
    let ids = || [provided.project.id("app"), provided.project.id("other")];
    let before = ids();
    provided.compose(&["up", "-d"]).ok();
    assert_eq!((ids(), provided.calls()), (before.clone(), vec![UP.to_owned()]));
    provided.compose(&["restart"]).ok();
    provided.compose(&["start"]).ok();
    assert!(provided.calls().is_empty(), "what is there is started without it");
    // What it says otherwise is a change of those that depend on it, and of nobody else.
    provided.project.write("bin/says", &SAYS.replace("a=b", "a=c"));
    provided.compose(&["up", "-d", "--no-deps", "app"]).ok();
    assert_eq!(variables("app").lines().next(), Some("CLOUD_URL=http://cloud.test/?a=c"));
    let after = ids();
    assert!(after[0] != before[0] && after[1] == before[1], "{after:?} {before:?}");
    provided.calls();
    let once = provided.compose(&["run", "--rm", "-T", "app", "sh", "-c", "echo $CLOUD_URL"]).ok();
    assert_eq!((once.as_str(), provided.calls()), ("http://cloud.test/?a=c", vec![UP.to_owned()]));
    provided.compose(&["stop"]).ok();
    assert!(provided.calls().is_empty(), "one that doesn't say that it can be stopped isn't asked to");
    provided.compose(&["down", "--timeout", "0"]).ok();
    assert_eq!(provided.calls(), [UP.replace(" up ", " down ")]);
}

/// Either client makes of the same answers the same container.
#[test]
fn either_client_asks_a_provider_and_makes_the_same_of_it() {
    let engine = Engine::isolated();
    let provided = Provided::new(&engine, "either");
    // What docker compose 2.40 knows.
    let says: String =
        SAYS.lines().filter(|line| !line.contains("rawsetenv")).map(|line| format!("{line}\n")).collect();
    provided.project.write("bin/says", &says);
    provided.compose(&["up", "-d"]).ok();
    let (id, ours) = (provided.project.id("app"), provided.calls());
    // Nobody is asked: what it said is what it would say.
    let verbose = provided.run(provided.project.command(), &["--verbose", "up", "-d"]).stderr;
    assert!(verbose.contains("debug: cloud: x"), "{verbose}");
    provided.calls();
    let plan = provided.compose(&["plan"]).ok();
    assert!(plan.contains("app-1: nothing to do") && provided.calls().is_empty(), "{plan}");
    provided.run(provided.project.real_command(), &["up", "-d"]).assert_code(0);
    assert_eq!(provided.project.id("app"), id, "docker's client finds it as it should be");
    // It has the options in no order of its own.
    let sorted = |calls: &[String]| {
        let words = calls
            .iter()
            .map(|call| call.split(' ').map(str::to_owned).collect::<std::collections::BTreeSet<_>>());
        words.collect::<Vec<_>>()
    };
    let theirs = provided.calls();
    assert_eq!(sorted(&ours), sorted(&theirs));
    // Where it is given a name alone, it doesn't read the file.
    let down = ["-f", "compose.yaml", "down", "--timeout", "0"];
    provided.run(provided.project.real_command(), &down).assert_code(0);
    let theirs = provided.calls();
    provided.compose(&["down"]).ok();
    assert_eq!(sorted(&provided.calls()), sorted(&theirs));
}

/// One that describes itself is given what it knows, and is stopped if it can be.
#[test]
fn a_provider_is_told_what_it_says_that_it_knows() {
    let engine = Engine::isolated();
    let provided = Provided::new(&engine, "described");
    let known = |stop: &str| {
        let parameters = r#"{"parameters": [{"name": "size", "required": true}]}"#;
        provided.project.write(
            "bin/metadata",
            &format!(r#"{{"description": "x", "up": {parameters}, "down": {{"parameters": []}}{stop}}}"#),
        );
    };
    known(r#", "stop": {"parameters": [{"name": "name"}]}"#);
    provided.compose(&["up", "-d"]).ok();
    provided.compose(&["stop", "--timeout", "0"]).ok();
    provided.compose(&["down"]).ok();
    let calls = [
        "compose --project-name=P up --size=256 cloud",
        "compose --project-name=P stop --name=a --name=b cloud",
        "compose --project-name=P down cloud",
    ];
    assert_eq!(provided.calls(), calls);
    let options = format!("{{type: {}, options: !override {{name: a}}}}", provided.program);
    provided
        .project
        .write("compose.override.yaml", &format!("services: {{cloud: {{provider: {options}}}}}\n"));
    let refused = provided.compose(&["up", "-d"]).assert_code(1).stderr;
    assert!(refused.contains("required parameter \"size\" is missing from its options"), "{refused}");
    assert!(provided.calls().is_empty());
}

#[test]
fn a_provider_that_fails_is_told_with_what_it_said() {
    let engine = Engine::isolated();
    let provided = Provided::new(&engine, "failing");
    let fails = |says: &str, code: &str| {
        provided.project.write("bin/says", says);
        provided.project.write("bin/code", code);
        let refused = provided.compose(&["up", "-d"]).assert_code(1).stderr;
        assert_eq!(provided.compose(&["ps", "--all", "--quiet"]).ok(), "", "nothing is made");
        refused
    };
    for (says, code, words) in [
        (r#"{"type": "error", "message": "no credit left"}"#, "0", "no credit left"),
        (SAYS, "3", "failed to up: exit status: 3\ntrouble"),
        (r#"{"type": "setenv", "message": "URL"}"#, "0", "invalid response from plugin: URL"),
        (r#"{"type": "other", "message": "x"}"#, "0", "invalid response from plugin: other"),
        ("hello\n", "0", "invalid response from plugin: expected value at line 1"),
    ] {
        let refused = fails(says, code);
        assert!(
            refused.contains(&format!("service \"cloud\": provider {}: {words}", provided.program)),
            "{refused}"
        );
    }
    provided.project.write("compose.yaml", &FILE.replace("PROGRAM", "no-such-provider"));
    let refused = provided.compose(&["up", "-d"]).assert_code(1).stderr;
    let words = "there is neither a plugin docker-no-such-provider nor a program no-such-provider in PATH";
    assert!(refused.contains(words), "{refused}");
    provided.project.write("compose.yaml", &FILE.replace("PROGRAM", "compose"));
    let refused = provided.compose(&["up", "-d"]).assert_code(1).stderr;
    assert!(refused.contains("\"compose\" is not a valid provider type"), "{refused}");
}
