//! `watch`: what changes here reaches the containers.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use testkit::{DEADLINE, Engine, eventually};

use super::Project;

/// A command that runs until the test ends, and what it has said.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start<const N: usize>(project: &Project<'_>, arguments: [&str; N]) -> Self {
        let mut command = project.command();
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the command");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// Waits for a line that has this in it.
    #[track_caller]
    fn says(&self, text: &str) -> String {
        loop {
            let line =
                self.lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{text:?} was never said"));
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until a shell in a service's container says this.
#[track_caller]
fn comes_to(project: &Project<'_>, service: &str, script: &str, wanted: &str) {
    eventually(DEADLINE, || {
        let said = project.compose(["exec", "-T", service, "sh", "-c", script]).stdout;
        if said.trim() == wanted { Ok(()) } else { Err(said) }
    });
}

const FILE: &str = "
services:
  web:
    build: {context: .}
    command: sleep 1000
    init: true
    develop:
      watch:
        - {action: sync, path: ./src, target: /app, initial_sync: true, ignore: [\"**/*.log\"], include: [\"**\"]}
        - {action: sync+restart, path: ./conf/app.conf, target: /etc/app.conf}
        - {action: sync+exec, path: ./css, target: /css, exec: {command: [sh, -c, \"cat /css/* > /tmp/all\"], user: \"0\", environment: {A: b}, working_dir: /}}
        - {action: sync+exec, path: ./js, target: /js, exec: {command: [sh, -c, \"echo $$B $$(grep CapEff /proc/self/status | cut -f 2) > /tmp/caps\"], user: \"0\", privileged: true, environment: [B=c]}}
        - {action: rebuild, path: ./Dockerfile}
  worker:
    image: IMAGE
    command: sleep 1000
    init: true
    depends_on: {web: {condition: service_started, restart: true}}
    develop:
      watch: [{action: restart, path: ./worker}]
";

fn watched<'e>(engine: &'e Engine, name: &str) -> Project<'e> {
    let project = Project::new(engine, name, FILE);
    project.write(
        "Dockerfile",
        "FROM IMAGE\nRUN mkdir /css /js && echo bob:x:1000:1000::/:/bin/sh >> /etc/passwd\nUSER bob\n",
    );
    for file in ["src/a.txt", "conf/app.conf", "css/a", "js/a", "worker/x"] {
        project.write(file, "one");
    }
    project
}

// covers: compose key services.*.develop
// covers: compose key services.*.develop.watch
// covers: compose key services.*.develop.watch[]
// covers: compose key services.*.develop.watch[].action
// covers: compose key services.*.develop.watch[].path
// covers: compose key services.*.develop.watch[].target
// covers: compose key services.*.develop.watch[].ignore
// covers: compose key services.*.develop.watch[].ignore[]
// covers: compose key services.*.develop.watch[].include
// covers: compose key services.*.develop.watch[].include[]
// covers: compose key services.*.develop.watch[].initial_sync
// covers: compose key services.*.develop.watch[].exec
// covers: compose key services.*.develop.watch[].exec.command
// covers: compose key services.*.develop.watch[].exec.command[]
// covers: compose key services.*.develop.watch[].exec.user
// covers: compose key services.*.develop.watch[].exec.environment
// covers: compose key services.*.develop.watch[].exec.environment.*
// covers: compose key services.*.develop.watch[].exec.environment[]
// covers: compose key services.*.develop.watch[].exec.privileged
// covers: compose key services.*.develop.watch[].exec.working_dir
// covers: compose syntax services.*.develop.watch[].action
#[test]
fn changed_files_are_in_the_containers_and_what_went_is_gone_there() {
    let engine = Engine::isolated();
    let project = watched(&engine, "watch");
    let running = Running::start(&project, ["watch"]);
    running.says("Watch enabled");
    assert_eq!(project.sh("web", "cat /app/a.txt"), "one", "initial_sync");
    project.write("src/deep/b.txt", "two");
    project.write("src/deep/c.log", "ignored");
    symlink("b.txt", project.folder.join("src/deep/link")).unwrap();
    let there = "cat /app/deep/b.txt /app/deep/link 2> /dev/null; stat -c %U /app/deep/b.txt /app/deep";
    comes_to(&project, "web", there, "twotwobob\nbob");
    assert_eq!(project.sh("web", "ls /app/deep"), "b.txt\nlink", "what is ignored isn't there");
    fs::remove_dir_all(project.folder.join("src/deep")).unwrap();
    comes_to(&project, "web", "ls /app", "a.txt");
    project.write("css/b", "two");
    comes_to(&project, "web", "cat /tmp/all", "two");
    project.write("js/b", "two");
    let more = "own=$(grep CapEff /proc/self/status | cut -f 2); read said caps < /tmp/caps; test $caps != $own && echo $said";
    comes_to(&project, "web", more, "c");
}

#[test]
fn services_are_restarted_and_built_anew() {
    let engine = Engine::isolated();
    let project = watched(&engine, "again");
    let running = Running::start(&project, ["watch", "--quiet"]);
    running.says("Watch enabled");
    let started = |service: &str| project.inspect(service)["State"]["StartedAt"].clone();
    let (web, worker) = (started("web"), started("worker"));
    project.write("worker/x", "two");
    running.says("service(s) [\"worker\"] restarted");
    assert_ne!(started("worker"), worker);
    assert_eq!(started("web"), web, "nobody else was");
    project.write("conf/app.conf", "two");
    let worker = started("worker");
    running.says("service(s) [\"web\"] restarted");
    assert_ne!(started("worker"), worker, "what restarts with it did");
    assert_eq!(project.sh("web", "cat /etc/app.conf"), "two");
    let (before, image) = (project.id("web"), project.inspect("web")["Image"].clone());
    project.write("Dockerfile", "FROM IMAGE\nENV A=b\n");
    running.says("successfully built");
    comes_to(&project, "web", "echo $A; cat /app/a.txt", "b\none");
    assert_ne!(project.id("web"), before);
    let image = image.as_str().unwrap();
    eventually(DEADLINE, || match engine.ketch(["image", "inspect", image]) {
        gone if gone.code == 1 => Ok(()),
        there => Err(there.stdout),
    });
}

/// What the image of a service is built on is built with it.
#[test]
fn a_chain_of_builds_is_built_anew_as_a_whole() {
    let engine = Engine::isolated();
    let file = "
services:
  app:
    command: sleep 1000
    init: true
    build: {context: ., dockerfile_inline: FROM under, additional_contexts: {under: \"service:base\"}}
    develop: {watch: [{action: rebuild, path: ./word}]}
  base:
    build: {context: ., dockerfile_inline: \"FROM IMAGE\\nCOPY word /word\"}
    command: sleep 1000
    init: true
";
    let project = Project::new(&engine, "chain", file);
    project.write("word", "one\n");
    let running = Running::start(&project, ["watch", "app"]);
    running.says("Watch enabled");
    assert_eq!(project.sh("app", "cat /word"), "one");
    project.write("word", "two\n");
    running.says("successfully built");
    comes_to(&project, "app", "cat /word", "two");
}

#[test]
fn a_branch_of_many_files_arrives_whole() {
    let engine = Engine::isolated();
    let project = watched(&engine, "many");
    let running = Running::start(&project, ["watch"]);
    running.says("Watch enabled");
    let other = project.folder.join("other");
    for folder in 0..20 {
        let folder = other.join(format!("d{folder}"));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..100 {
            fs::write(folder.join(format!("f{file}")), format!("{file}")).unwrap();
        }
    }
    // A switch of branches: everything that was there goes, everything else comes.
    fs::rename(project.folder.join("src"), project.folder.join("before")).unwrap();
    fs::create_dir(project.folder.join("src")).unwrap();
    fs::rename(&other, project.folder.join("src/branch")).unwrap();
    let count = "find /app -type f | wc -l; cat /app/branch/d19/f99; test -e /app/a.txt || echo gone";
    comes_to(&project, "web", count, "2000\n99gone");
}

#[test]
fn what_can_t_be_watched_is_refused() {
    let engine = Engine::isolated();
    let project = Project::new(&engine, "unwatched", "services: {a: {image: IMAGE, command: sleep 1000}}\n");
    let refused = project.compose(["watch"]).assert_code(1).stderr;
    assert!(refused.contains("none of the selected services is configured for watch"), "{refused}");
    project.write("compose.yaml", "services: {a: {image: IMAGE, command: sleep 1000, init: true, develop: {watch: [{action: sync, path: ./none, target: /x}]}}}\n");
    let refused = project.compose(["watch"]).assert_code(1).stderr;
    assert!(refused.contains("cannot watch") && refused.contains("none"), "{refused}");
}

#[test]
fn up_watches_while_it_follows() {
    let engine = Engine::isolated();
    let project = watched(&engine, "both");
    let running = Running::start(&project, ["up", "--watch", "--build"]);
    running.says("Watch enabled");
    project.write("worker/x", "two");
    running.says("worker-1 exited with code");
    running.says("service(s) [\"worker\"] restarted");
    project.write("src/a.txt", "three");
    comes_to(&project, "web", "cat /app/a.txt", "three");
}

/// `--menu`: keys that leave the project running and that begin and end a watch. Without a terminal there is none.
#[test]
fn keys_detach_and_watch_where_somebody_sits() {
    let engine = Engine::isolated();
    let project = watched(&engine, "menu");
    project.compose(["build", "--quiet"]).ok();
    let mut command = engine.ketch_command();
    command.args(["compose", "--project-name", &project.name, "--file"]);
    command.arg(project.folder.join("compose.yaml")).args(["up", "--menu"]);
    let mut terminal = testkit::Terminal::start(&command, 24, 80);
    terminal.wait_for("d Detach");
    terminal.wait_for("Attaching to");
    for (key, shown) in [("w", "Watch enabled"), ("w", "Watch disabled"), ("x", "")] {
        terminal.type_in(key);
        terminal.wait_for(shown);
    }
    terminal.type_in("d");
    assert_eq!(terminal.wait(), Some(0), "{}", terminal.shown());
    assert_eq!(project.inspect("web")["State"]["Running"], true);
    let both = project.compose(["up", "--menu", "--detach"]).assert_code(1).stderr;
    assert!(both.contains("--detach and --menu are incompatible"), "{both}");
    project.write("compose.yaml", "services: {a: {image: IMAGE, command: echo said}}\n");
    let without = project.compose(["up", "--menu", "--remove-orphans", "--timeout", "0"]).assert_code(0);
    assert!(without.stdout.contains("said") && !without.stderr.contains("Detach"), "{}", without.stderr);
}
