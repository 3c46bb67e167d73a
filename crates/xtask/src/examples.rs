//! `cargo xtask examples`: the applications in `examples/`, used as a person would, with images of our own in the place of
//! Docker Hub's.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use testkit::eventually;

use crate::process::{self, is_installed, workspace};

/// The names under which the examples ask for each stand-in.
const IMAGES: &[(&str, &[&str])] = &[
    ("nginx", &["nginx:latest"]),
    ("redis", &["redis:alpine"]),
    ("postgres", &["postgres:latest"]),
    ("mysql", &["mysql:5.7", "mysql:8.0"]),
    ("wordpress", &["wordpress:latest"]),
    ("node", &["node:latest", "node:lts-alpine"]),
    ("python", &["python:3.7-alpine"]),
    ("rust", &["rust:1"]),
];
/// A database makes its first files, on a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(120);

/// An example: its folder, the stand-ins that it needs, and how it is used.
type Example = (&'static str, &'static [&'static str], fn(&Home<'_>) -> anyhow::Result<()>);

const EXAMPLES: &[Example] = &[
    ("static-site", &["nginx"], |home| home.static_site()),
    ("two-nginx", &["nginx"], |home| home.two_nginx()),
    ("rust-web", &["rust"], |home| home.rust_web()),
    ("wordpress-mysql", &["wordpress", "mysql"], |home| home.wordpress()),
    ("web-postgres", &["node", "postgres"], |home| home.web_postgres()),
    ("flask-redis", &["python", "redis"], |home| home.flask_redis()),
    ("node-mysql", &["node", "mysql"], |home| home.node_mysql()),
];

/// Uses the examples of these names, or all.
pub(crate) fn run(names: &[String]) -> anyhow::Result<()> {
    let is_known = |name: &String| EXAMPLES.iter().any(|(known, ..)| known == name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        anyhow::bail!("there is no example {unknown}");
    }
    let wanted: Vec<&Example> = EXAMPLES
        .iter()
        .filter(|(name, ..)| names.is_empty() || names.iter().any(|one| one == name))
        .collect();
    let registry = Registry::start()?;
    let engine = Engine::start(&registry)?;
    stand_ins(&engine, &registry, |name| wanted.iter().any(|(_, needs, _)| needs.contains(&name)))?;
    let home = Home { engine: &engine, folder: engine.folder.join("examples") };
    wanted.into_iter().try_for_each(|(_, _, used)| used(&home))
}

/// `ketch registry serve`, in the place of Docker Hub.
struct Registry {
    child: Child,
    address: String,
    folder: PathBuf,
}

impl Registry {
    fn start() -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let folder = std::env::temp_dir().join(format!("ketch-examples-{}", std::process::id()));
        let mut command = Command::new(process::wanted_ketch()?);
        command
            .args(["registry", "serve", "--addr", &address, "--log-level", "error", "--root"])
            .arg(&folder);
        let child = command.stdout(Stdio::null()).spawn().context("the registry")?;
        Ok(Self { child, address, folder })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// An engine in the machine's own network, which the tests' engines aren't: packages come from a mirror.
struct Engine {
    child: Child,
    folder: PathBuf,
}

impl Engine {
    fn start(registry: &Registry) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("ketch-examples-engine-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(process::wanted_ketch()?);
        command.arg("daemon").arg("--data-root").arg(folder.join("data"));
        command.arg("--exec-root").arg(folder.join("run")).arg("--pidfile").arg(folder.join("pid"));
        command.arg(format!("--host=unix://{}", folder.join("engine.sock").display()));
        command.arg(format!("--registry-mirror=http://{}", registry.address));
        command.arg(format!("--insecure-registry={}", registry.address));
        let child = command.stdout(Stdio::null()).spawn().context("the engine")?;
        let engine = Self { child, folder };
        eventually(PATIENCE, || {
            let mut version = engine.command().map_err(|error| error.to_string())?;
            process::output(version.arg("version")).map_err(|error| error.to_string())
        });
        Ok(engine)
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(process::wanted_ketch()?);
        command.env("DOCKER_HOST", format!("unix://{}", self.folder.join("engine.sock").display()));
        command.env("DOCKER_CONFIG", self.folder.join("config"));
        Ok(command)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // What a failure left.
        let run = |arguments: &[&str]| process::output(self.command()?.args(arguments));
        for id in run(&["ps", "--all", "--quiet"]).unwrap_or_default().lines() {
            drop(run(&["rm", "--force", "--volumes", id]));
        }
        drop(run(&["network", "prune", "--force"]));
        // The default network's bridge outlives its engine, as docker0 does, and so do the firewall's tables.
        let name = "{{index .Options \"com.docker.network.bridge.name\"}}";
        let bridge = run(&["network", "inspect", "bridge", "--format", name]).unwrap_or_default();
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        drop(self.child.wait());
        let bridge = bridge.trim();
        if !bridge.is_empty() {
            drop(process::run(Command::new("ip").args(["link", "delete", bridge])));
            // They are called the same.
            for family in ["inet", "bridge"] {
                drop(process::run(Command::new("nft").args(["delete", "table", family, bridge])));
            }
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Builds the stand-ins, pushes them, and forgets them: the examples pull.
fn stand_ins(engine: &Engine, registry: &Registry, needed: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let ketch = |arguments: &[&str]| process::run(engine.command()?.args(arguments).stdout(Stdio::null()));
    let base = base(&engine.folder)?.display().to_string();
    ketch(&["build", "--quiet", "--tag", "debian:bookworm", &base])?;
    let again = engine.command()?.args(["build", "--progress=plain", &base]).output()?;
    let told = String::from_utf8_lossy(&again.stderr);
    ensure!(told.contains("CACHED"), "an unchanged root is unpacked again:\n{told}");
    for (name, images) in IMAGES.iter().filter(|(name, _)| needed(name)) {
        let folder = workspace().join("examples/stand-ins").join(name);
        ketch(&["build", "--quiet", "--tag", name, &folder.display().to_string()])?;
        for image in *images {
            let target = format!("{}/library/{image}", registry.address);
            ketch(&["tag", name, &target])?;
            ketch(&["push", "--quiet", &target])?;
            ketch(&["rmi", &target])?;
        }
    }
    ketch(&["image", "prune", "--all", "--force"])
}

/// What an image of Debian's smallest root with apt is built from.
fn base(scratch: &Path) -> anyhow::Result<PathBuf> {
    if !is_installed("mmdebstrap") {
        process::run(Command::new("apt-get").args([
            "install",
            "--yes",
            "--no-install-recommends",
            "mmdebstrap",
        ]))?;
    }
    let folder = scratch.join("base");
    fs::create_dir_all(&folder)?;
    let mut command = Command::new("mmdebstrap");
    command.env("XZ_DEFAULTS", "-1 --threads=0").args(["--quiet", "--variant=apt", "bookworm"]);
    process::run(command.arg(folder.join("rootfs.tar.xz")))?;
    fs::write(folder.join("Dockerfile"), "FROM scratch\nADD rootfs.tar.xz /\nCMD [\"bash\"]\n")?;
    Ok(folder)
}

/// A person with an engine and a folder.
struct Home<'e> {
    engine: &'e Engine,
    folder: PathBuf,
}

impl Home<'_> {
    /// An example's own copy.
    fn example(&self, name: &str) -> anyhow::Result<Project<'_>> {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder)?;
        let source = workspace().join("examples").join(name);
        process::run(
            Command::new("cp").arg("--recursive").arg(format!("{}/.", source.display())).arg(&folder),
        )?;
        println!("{name}");
        Ok(Project { engine: self.engine, folder })
    }

    fn static_site(&self) -> anyhow::Result<()> {
        let project = self.example("static-site")?;
        project.compose(&["up", "--detach", "--quiet-build"])?;
        project.page(8081, "Files in a folder");
        let page = project.folder.join("site/index.html");
        fs::write(&page, fs::read_to_string(&page)?.replace("Files in a folder", "Pages in a folder"))?;
        project.compose(&["up", "--detach", "--build", "--quiet-build"])?;
        project.page(8081, "Pages in a folder");
        project.compose(&["down", "--rmi", "local"]).map(drop)
    }

    fn two_nginx(&self) -> anyhow::Result<()> {
        let project = self.example("two-nginx")?;
        project.compose(&["up", "--detach"])?;
        for port in [8080, 8082] {
            project.page(port, "Welcome to nginx!");
        }
        project.compose(&["down"]).map(drop)
    }

    /// What the build needs isn't in the image.
    fn rust_web(&self) -> anyhow::Result<()> {
        let project = self.example("rust-web")?;
        project.compose(&["up", "--detach", "--quiet-build"])?;
        project.page(8001, "Answer");
        let image = ["image", "inspect", "rust-web-web", "--format", "{{.Size}} {{len .RootFS.Layers}}"];
        let shown = project.ketch(&image)?;
        let (size, layers) = shown.trim().split_once(' ').context("a size and a number of layers")?;
        ensure!(
            size.parse::<u64>()? < 20_000_000 && layers == "1",
            "the image has more than its program: {shown}"
        );
        project.compose(&["down", "--rmi", "local"]).map(drop)
    }

    fn wordpress(&self) -> anyhow::Result<()> {
        let project = self.example("wordpress-mysql")?;
        project.compose(&["up", "--detach"])?;
        project.page(8089, "WordPress");
        let sql = |text: &str| project.compose(&["exec", "-T", "mysql", "mariadb", "-pcoffee", "-Ne", text]);
        sql("create table wordpress.kept (a int); insert into wordpress.kept values (42)")?;
        project.compose(&["down"])?;
        project.compose(&["up", "--detach"])?;
        project.page(8089, "WordPress");
        ensure!(sql("select a from wordpress.kept")?.trim() == "42", "what the database had is gone");
        project.compose(&["down", "--volumes"]).map(drop)
    }

    fn web_postgres(&self) -> anyhow::Result<()> {
        let project = self.example("web-postgres")?;
        project.ketch(&["build", "--quiet", "--tag", "dockerexample", "."])?;
        project.compose(&["up", "--detach"])?;
        project.page(4000, "hello");
        let sql = |text: &str| {
            let password = ["exec", "-T", "-e", "PGPASSWORD=postgres", "db"];
            let psql = ["psql", "-h", "127.0.0.1", "-U", "postgres", "-tAc", text, "docker-example"];
            project.compose(&[&password[..], &psql[..]].concat())
        };
        let ready = || eventually(PATIENCE, || sql("select 1"));
        ready();
        sql("create table kept (a int); insert into kept values (42)")?;
        project.compose(&["down"])?;
        project.compose(&["up", "--detach"])?;
        ready();
        ensure!(sql("select a from kept")?.trim() == "42", "what the database had is gone");
        project.compose(&["down", "--volumes"]).map(drop)
    }

    fn node_mysql(&self) -> anyhow::Result<()> {
        let project = self.example("node-mysql")?;
        project.compose(&["up", "--detach"])?;
        project.page(3000, "todos in todos of");
        let mysql = project.compose(&["ps", "--quiet", "mysql"])?;
        // The folder is the container's: what is written here is what runs there.
        let program = project.folder.join("index.js");
        fs::write(&program, fs::read_to_string(&program)?.replace("todos in", "things in"))?;
        project.compose(&["restart", "--timeout", "0", "app"])?;
        project.page(3000, "things in todos of");
        ensure!(mysql == project.compose(&["ps", "--quiet", "mysql"])?, "mysql was made anew without need");
        let sql = |text: &str| project.compose(&["exec", "-T", "mysql", "mariadb", "-psecret", "-Ne", text]);
        sql("create table todos.kept (a int); insert into todos.kept values (42)")?;
        project.compose(&["down"])?;
        project.compose(&["up", "--detach"])?;
        project.page(3000, "things in todos of");
        ensure!(sql("select a from todos.kept")?.trim() == "42", "what the database had is gone");
        project.compose(&["down", "--volumes"]).map(drop)
    }

    fn flask_redis(&self) -> anyhow::Result<()> {
        let project = self.example("flask-redis")?;
        project.compose(&["up", "--detach", "--quiet-build"])?;
        project.page(8000, "Seen");
        let redis = project.compose(&["ps", "--quiet", "redis"])?;
        let program = project.folder.join("app.py");
        fs::write(&program, fs::read_to_string(&program)?.replace("Seen", "Noticed"))?;
        project.compose(&["up", "--detach", "--build", "--quiet-build"])?;
        project.page(8000, "Noticed");
        ensure!(redis == project.compose(&["ps", "--quiet", "redis"])?, "redis was made anew without need");
        project.compose(&["down"]).map(drop)
    }
}

/// One example that is used.
struct Project<'e> {
    engine: &'e Engine,
    folder: PathBuf,
}

impl Project<'_> {
    fn ketch(&self, arguments: &[&str]) -> anyhow::Result<String> {
        process::output(self.engine.command()?.current_dir(&self.folder).args(arguments))
    }

    fn compose(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.ketch(&[&["compose"], arguments].concat())
    }

    /// Waits until a page has this in it.
    fn page(&self, port: u16, text: &str) {
        eventually(PATIENCE, || {
            let url = format!("http://127.0.0.1:{port}/");
            let page = process::output(Command::new("curl").args([
                "--silent",
                "--location",
                "--max-time",
                "10",
                &url,
            ]));
            match page {
                Ok(page) if page.contains(text) => Ok(()),
                other => Err(other.map_err(|error| error.to_string())),
            }
        });
    }
}
