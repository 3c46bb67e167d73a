//! Builds: what steps make, what the cache answers, what is left.

mod builders;
mod buildx;
mod cache;
mod caches;
mod classic;
mod copies;
mod devices;
mod endings;
mod explain;
mod exports;
mod hostile;
mod imagetools;
mod layouts;
mod logins;
mod mounts;
mod named_builders;
mod outputs;
mod parameters;
mod policies;
mod repeated;
mod reshaped;
mod settings;
pub(crate) mod sources;
mod words;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::Engine;
use testkit::command::Output;
use testkit::http::Request;

/// An engine that lets clients allow what is insecure.
pub(crate) fn trusting() -> Engine {
    let builder = serde_json::json!({"builder": {"entitlements": {"security-insecure": true}}});
    Engine::planned(|plan, scratch| plan.config(scratch, &builder))
}

/// A context in a folder of the test's.
struct Context {
    folder: PathBuf,
}

impl Context {
    /// With a Dockerfile, in which `BASE` stands for the busybox image.
    fn new(engine: &Engine, name: &str, dockerfile: &str) -> Self {
        let folder = engine.scratch().join(name);
        fs::create_dir_all(&folder).expect("a folder for the context");
        let context = Self { folder };
        context.dockerfile(engine, dockerfile);
        context
    }

    fn dockerfile(&self, engine: &Engine, text: &str) {
        let base = format!("{}:1", engine.name("busybox"));
        self.file("Dockerfile", &text.replace("BASE", &base));
    }

    fn file(&self, path: &str, content: &str) -> &Self {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&path)).expect("a folder in the context");
        fs::write(path, content).expect("a file in the context");
        self
    }

    fn mode(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.folder.join(path), fs::Permissions::from_mode(mode))
            .expect("a file in the context");
        self
    }

    fn link(&self, path: &str, to: &str) -> &Self {
        std::os::unix::fs::symlink(to, self.folder.join(path)).expect("a link in the context");
        self
    }

    fn path(&self) -> &Path {
        &self.folder
    }
}

/// `docker build` with the classic builder.
fn classic(engine: &Engine, context: &Context, tag: &str, more: &[&str]) -> Output {
    let mut command = engine.docker_command();
    command.env("DOCKER_BUILDKIT", "0").args(["build", "-t", tag]).args(more).arg(context.path());
    testkit::command::run(&mut command)
}

/// What a program in an image says.
fn run(engine: &Engine, image: &str, command: &str) -> String {
    engine.docker(["run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", command]).ok()
}

fn image(engine: &Engine, name: &str) -> Value {
    engine.request_unchecked(&Request::new("GET", &format!("/images/{name}/json"))).expect(200).json()
}
