//! The Dev Containers CLI, unmodified: what editors and Codespaces call. It calls the docker command line, whose calls are told in
//! its log, and which may be the real one, with and without buildx, or ours.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::Engine;
use testkit::command::{Output, ketch_binary, plugin_script, run};

const CONFIG: &str = r#"{
    // As an editor writes it.
    "name": "app",
    "build": { "dockerfile": "Dockerfile", "args": { "WORD": "argued" } },
    "features": { "./feature": { "greeting": "hello" } },
    "containerEnv": { "INSIDE": "1" },
    "remoteEnv": { "REMOTE": "yes" },
    "mounts": ["type=volume,source=kept,target=/kept"],
    "runArgs": ["--network", "none", "--cap-add=SYS_PTRACE", "--security-opt", "seccomp=unconfined"],
    "init": true,
    "postCreateCommand": "echo created >> /tmp/told",
    "postStartCommand": "echo started >> /tmp/told",
    "remoteUser": "root"
}"#;
const FEATURE: &str = r#"{
    "id": "feature", "version": "1.0.0", "name": "A feature",
    "options": { "greeting": { "type": "string", "default": "none" } }
}"#;
/// Whoever works in a container has a home.
const DOCKERFILE: &str = "FROM BASE\nARG WORD\nRUN mkdir -p /etc /root && echo root:x:0:0::/root:/bin/sh > /etc/passwd \
                          && echo ID=none > /etc/os-release && echo $WORD > /word\n";

/// A folder with a program, and somebody who opens it.
struct Workspace<'e> {
    engine: &'e Engine,
    folder: PathBuf,
    docker: PathBuf,
}

impl<'e> Workspace<'e> {
    /// `docker` is what the command line's file says.
    fn new(engine: &'e Engine, config: &str, docker: &str) -> Self {
        let scratch = engine.scratch();
        let base = dressed(engine);
        let here = ".devcontainer";
        scratch.write(&format!("app/{here}/devcontainer.json"), config);
        scratch.write(&format!("app/{here}/Dockerfile"), DOCKERFILE.replace("BASE", &base));
        scratch.write(&format!("app/{here}/feature/devcontainer-feature.json"), FEATURE);
        scratch.write(
            &format!("app/{here}/feature/install.sh"),
            "#!/bin/sh\nset -e\necho \"$GREETING\" > /greeting\n",
        );
        scratch.write("app/source", "written outside\n");
        let docker = scratch.write("docker", docker);
        executable(&docker);
        Self { engine, folder: scratch.join("app"), docker }
    }

    fn command(&self, verb: &str) -> Command {
        // What the program is called as is no argument of its own.
        let mut command = self
            .engine
            .node("process.argv.splice(1, 0, 'devcontainer'); require('@devcontainers/cli/devcontainer.js')");
        command
            .env("TMPDIR", self.engine.scratch().path())
            .args(["--", verb, "--workspace-folder"])
            .arg(&self.folder);
        command.arg("--docker-path").arg(&self.docker);
        command
    }

    #[track_caller]
    fn up(&self, more: &[&str]) -> String {
        let output = run(self.command("up").args(more));
        let told = output.stdout.lines().last().unwrap_or_default();
        let told: Value = serde_json::from_str(told).unwrap_or_default();
        assert_eq!(told["outcome"], "success", "{}\n{}", output.stdout, output.stderr);
        told["containerId"].as_str().expect("an id").to_owned()
    }

    fn exec(&self, script: &str) -> Output {
        run(self.command("exec").args(["sh", "-c", script]))
    }

    /// A day: opened, used, left, opened again.
    fn is_used(&self) {
        let id = self.up(&[]);
        let told = self.exec(
            "cat /greeting /word /tmp/told source; echo $REMOTE $INSIDE; echo from inside > made; exit 3",
        );
        assert_eq!(told.code, 3, "{}", told.stderr);
        assert_eq!(told.stdout, "hello\nargued\ncreated\nstarted\nwritten outside\nyes 1\n");
        assert_eq!(fs::read_to_string(self.folder.join("made")).unwrap_or_default(), "from inside\n");
        assert_eq!(self.up(&[]), id, "what runs is found again");
        self.engine.ketch(["stop", "--time", "0", &id]).ok();
        assert_eq!(self.up(&[]), id, "what was stopped is started again");
        assert_eq!(self.exec("cat /tmp/told").ok(), "created\nstarted\nstarted");
        let another = self.up(&["--remove-existing-container"]);
        assert_ne!(another, id);
        assert_eq!(self.exec("cat /tmp/told").ok(), "created\nstarted");
        self.engine.ketch(["rm", "--force", &another]).ok();
    }
}

fn executable(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// The busybox image with what the CLI's scripts call.
fn dressed(engine: &Engine) -> String {
    let (base, dressed) = (engine.busybox(), engine.name("dressed"));
    let folder = engine.scratch().join("dressed");
    let links = "for name in cut sed tr uname dirname ln id awk sort chown mv touch find; do ln -s busybox /bin/$name; done";
    let text =
        format!("FROM {base}\nRUN busybox ln -s busybox /bin/ln && {links}\n").replace(" ln id", " id");
    engine.scratch().write("dressed/Dockerfile", text);
    run(engine.ketch_command().args(["build", "--quiet", "--tag", &dressed]).arg(folder)).ok();
    dressed
}

/// The real docker command line.
fn docker() -> String {
    heard(&plugin_script("docker"))
}

/// A command line whose `run` begins when somebody hears the engine's events. The Dev Containers CLI starts `docker events` and
/// `docker run` at once and waits for the start without end: on a machine with other work, a container that starts in milliseconds
/// has started before there is anybody to be told.
fn heard(script: &str) -> String {
    let wait = "until [ \"$(\"$0\" info --format '{{.NEventsListener}}')\" -gt 0 ]; do :; done";
    script.replacen('\n', &format!("\nif [ \"$1\" = run ]; then {wait}; fi\n"), 1)
}

/// Our own command line.
fn ketch() -> String {
    heard(&format!("#!/bin/sh\nexec '{}' \"$@\"\n", ketch_binary().display()))
}

#[test]
fn a_folder_is_opened_by_docker_and_buildx() {
    let engine = Engine::isolated().with_plugins();
    Workspace::new(&engine, CONFIG, &docker()).is_used();
}

/// Dockerfiles from outside their context, and images that stand for contexts.
#[test]
fn a_folder_is_opened_by_docker_without_buildx() {
    let engine = Engine::isolated();
    Workspace::new(&engine, CONFIG, &docker()).is_used();
}

#[test]
fn a_folder_is_opened_by_ketch() {
    let engine = Engine::isolated();
    Workspace::new(&engine, CONFIG, &ketch()).is_used();
}

const COMPOSED: &str = r#"{
    "name": "app", "dockerComposeFile": "compose.yaml", "service": "app", "workspaceFolder": "/work",
    "remoteUser": "root", "postCreateCommand": "echo created > /tmp/told", "runServices": ["db"]
}"#;
const COMPOSE: &str = "services:
  app: {build: {context: ., args: {WORD: argued}}, command: sleep infinity, volumes: ['..:/work'], depends_on: [db], init: true}
  db: {image: BASE, command: sleep infinity, init: true}
";

fn composed(docker: &str, compose: &str, engine: &Engine) {
    let workspace = Workspace::new(engine, COMPOSED, docker);
    let text = COMPOSE.replace("BASE", &engine.name("dressed"));
    engine.scratch().write("app/.devcontainer/compose.yaml", text);
    let compose = engine.scratch().write("compose", compose);
    executable(&compose);
    let compose = compose.display().to_string();
    let id = workspace.up(&["--docker-compose-path", &compose]);
    let mut exec = workspace.command("exec");
    exec.args(["--docker-compose-path", &compose, "sh", "-c", "cat /word /tmp/told source"]);
    assert_eq!(run(&mut exec).ok(), "argued\ncreated\nwritten outside");
    let project = engine
        .ketch(["inspect", "--format", "{{index .Config.Labels \"com.docker.compose.project\"}}", &id])
        .ok();
    let services = engine
        .ketch(["ps", "--filter", &format!("label=com.docker.compose.project={project}"), "--quiet"])
        .ok();
    assert_eq!(services.lines().count(), 2);
    run(engine.ketch_command().args(["compose", "--project-name", &project, "down", "--timeout", "0"])).ok();
}

#[test]
fn a_service_is_opened_by_docker_and_compose() {
    let engine = Engine::isolated().with_plugins();
    composed(&docker(), &plugin_script("docker-compose"), &engine);
}

#[test]
fn a_service_is_opened_by_ketch() {
    let engine = Engine::isolated();
    let ours = format!("#!/bin/sh\nexec '{}' \"$@\"\n", ketch_binary().display());
    let compose = ours.replace(" \"$@\"", " compose \"$@\"");
    composed(&ours, &compose, &engine);
}
