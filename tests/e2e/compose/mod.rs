//! Compose: whole applications from one file, by our own command and by the real one.

mod both_clients;
mod chained_builds;
mod changes;
mod elsewhere;
mod faults;
mod flags;
mod jobs;
mod live;
mod looking;
mod pairs;
mod providers;
mod rolling;
mod seeds;
mod switches;
mod watch;
mod ways;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use testkit::Engine;
use testkit::command::{self, Output};
use testkit::http::Request;

/// A project of this test, taken down with it.
struct Project<'e> {
    engine: &'e Engine,
    folder: PathBuf,
    name: String,
    image: String,
}

impl<'e> Project<'e> {
    /// With this file, in which `IMAGE` stands for busybox.
    fn new(engine: &'e Engine, name: &str, file: &str) -> Self {
        let project = Self {
            engine,
            folder: engine.scratch().join(name),
            name: engine.name(name).to_lowercase(),
            image: engine.busybox(),
        };
        project.write("compose.yaml", file);
        project
    }

    /// Another copy of the same folder under a name of its own.
    fn copy(&self, name: &str) -> Self {
        let (folder, image) = (self.folder.clone(), self.image.clone());
        Self { engine: self.engine, folder, name: self.engine.name(name).to_lowercase(), image }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the project's folder");
        fs::write(path, text.replace("IMAGE", &self.image)).expect("the project's file");
    }

    fn command(&self) -> Command {
        let mut command = self.engine.ketch_command();
        command.current_dir(&self.folder).args(["compose", "--project-name", &self.name]);
        command
    }

    #[track_caller]
    fn compose<const N: usize>(&self, arguments: [&str; N]) -> Output {
        command::run(self.command().args(arguments))
    }

    /// The same by docker's own program.
    #[track_caller]
    fn real<const N: usize>(&self, arguments: [&str; N]) -> Output {
        command::run(self.real_command().args(arguments))
    }

    #[track_caller]
    fn real_command(&self) -> Command {
        let mut command = command::client("docker-compose");
        let given = self.engine.docker_command();
        command.env_clear();
        for (name, value) in given.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.current_dir(&self.folder).args(["--project-name", &self.name]);
        command
    }

    fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    /// The id of a service's first container.
    #[track_caller]
    fn id(&self, service: &str) -> String {
        self.inspect(service)["Id"].as_str().expect("an id").to_owned()
    }

    #[track_caller]
    fn inspect(&self, service: &str) -> Value {
        inspect(self.engine, &self.container(service))
    }

    /// What a shell in a service's container says.
    #[track_caller]
    fn sh(&self, service: &str, script: &str) -> String {
        self.compose(["exec", "-T", service, "sh", "-c", script]).ok()
    }
}

/// Its shape depends on what was asked for, which recordings of other containers don't say.
#[track_caller]
fn inspect(engine: &Engine, container: &str) -> Value {
    engine
        .request_unchecked(&Request::new("GET", &format!("/containers/{container}/json")))
        .expect(200)
        .json()
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        let arguments = ["down", "--volumes", "--remove-orphans", "--timeout", "0"];
        let _ = self.command().args(arguments).output();
    }
}
