//! The shell blocks of README.md and docs/ run here, as they are written and in their order, each page in a folder and on an engine
//! of its own. A block below `<!-- not run: WHY -->` is only parsed, by a test of the command line; the last test says how many
//! of both there are.
//!
//! The engine is where the usual one is, and so is its registry: `registry.example` is a registry of ours, which stands for Docker Hub,
//! too. It has images of the names that the pages use.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testkit::command::{Output, ketch_binary, plugin_script, run};
use testkit::{Engine, images};

/// A block of a page: its first line's number, what it says, and why it isn't run.
struct Block {
    line: usize,
    text: String,
    spared: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(folder().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let (mut blocks, mut open, mut before) = (Vec::new(), None::<Block>, "");
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line) {
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => block.text += &format!("{line}\n"),
            (None, "```sh") => {
                let why = before.strip_prefix("<!-- not run: ").and_then(|rest| rest.strip_suffix(" -->"));
                open = Some(Block { line: number + 2, text: String::new(), spared: why.map(str::to_owned) });
            }
            (None, line) => before = line,
        }
    }
    blocks
}

/// Somebody who reads a page.
struct Reader {
    engine: Engine,
    /// Where the page is read.
    here: PathBuf,
}

/// A machine of the engine's own: what it and the page's commands write outside of the test's folder nobody else sees.
const MACHINE: &str = "set -e
cd \"$1\"; shift
mkdir -p up work
echo '127.0.0.1 localhost registry.example' > up/hosts
mkdir -p up/docker/certs.d/registry.example
cp c.pem up/docker/certs.d/registry.example/ca.crt
mount -t overlay -o lowerdir=/etc,upperdir=up,workdir=work overlay /etc
for name in /var/lib /usr/local; do mount -t tmpfs tmpfs $name; done
mount -t tmpfs tmpfs /run
mkdir -p run /run/ketch
mount --bind run /run/ketch
exec \"$@\"";

/// `c.pem` and `k.pem` of `registry.example`, its own authority.
fn certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "30",
    ]);
    openssl.args([
        "-subj",
        "/CN=registry",
        "-addext",
        "subjectAltName=DNS:registry.example",
        "-keyout",
        "k.pem",
        "-out",
        "c.pem",
    ]);
    run(openssl.current_dir(folder)).ok();
}

impl Reader {
    fn new() -> Self {
        let engine = Engine::planned(|plan, scratch| {
            let here = scratch.path().display().to_string();
            certificate(scratch.path());
            let registry = "http: {addr: '127.0.0.1:443', tls: {certificate: c.pem, key: k.pem}}\n";
            let registry = scratch.write(
                "registry.yml",
                registry
                    .replace("c.pem", &format!("{here}/c.pem"))
                    .replace("k.pem", &format!("{here}/k.pem")),
            );
            let settings = json!({"registry": registry, "registry-mirrors": ["https://registry.example"]});
            let plan = plan.under(&[
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                MACHINE,
                "sh",
                &here,
            ]);
            let own = format!("unix://{}", plan.socket.display());
            plan.arg("-H").arg(own).arg("-H").arg("unix:///run/docker.sock").config(scratch, &settings)
        });
        let here = engine.scratch().join("here");
        fs::create_dir_all(&here).expect("a folder");
        let reader = Self { engine: engine.with_plugins(), here };
        reader.program("ketch", &format!("#!/bin/sh\nexec '{}' \"$@\"\n", ketch_binary().display()));
        reader.program("docker", &plugin_script("docker"));
        // Whoever reads this is root already.
        reader.program("sudo", "#!/bin/sh\nexec env \"$@\"\n");
        reader
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.engine.scratch().write(&format!("bin/{name}"), text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) {
        self.engine.scratch().write(&format!("here/{name}"), text);
    }

    /// On the machine of the engine. A person says yes to whatever is asked.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.engine.pid().expect("an engine of ours"));
        command.args([&namespace, &format!("--wd={}", self.here.display())]).args(words);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env_clear().env("PATH", format!("{}:{path}", self.engine.scratch().join("bin").display()));
        command.env("HOME", self.engine.scratch().join("home"));
        command
    }

    fn shell(&self, script: &str) -> Output {
        let yes = format!("yes | sh -euxc '{}'", script.replace('\'', "'\\''"));
        run(&mut self.command(&["bash", "-c", &yes]))
    }

    #[track_caller]
    fn prepares(&self, script: &str) {
        self.shell(script).assert_code(0);
    }

    /// The images that pages ask for.
    #[track_caller]
    fn stand_ins(&self) {
        self.file("busybox.tar", images::busybox("busybox").expect("an image"));
        self.file("stand-in/Dockerfile", "FROM scratch\nCOPY bin /bin\nCOPY Dockerfile /page\nENV PATH=/bin\nEXPOSE 80\nCMD [\"sleep\", \"infinity\"]\n");
        self.prepares(
            "ketch load --quiet --input busybox.tar
             id=$(ketch create --network none busybox true)
             ketch cp $id:/bin stand-in/bin; ketch rm $id; ln -s busybox stand-in/bin/tar
             for name in library/busybox:latest library/nginx:latest library/nginx:1.27 library/redis:alpine team/app:1; do
               ketch build --quiet --platform linux/amd64,linux/arm64 --push --tag registry.example/$name stand-in
             done
             ketch image prune --all --force
             rm -r stand-in busybox.tar",
        );
    }

    /// Every block of a page that can be run.
    #[track_caller]
    fn reads(&self, page: &str) {
        for block in blocks(page).iter().filter(|block| block.spared.is_none()) {
            let mut script = String::new();
            for line in block.text.lines() {
                if serves(line) {
                    self.run(page, block, &std::mem::take(&mut script));
                    self.serve(page, line);
                } else {
                    script += &format!("{line}\n");
                }
            }
            self.run(page, block, &script);
        }
    }

    #[track_caller]
    fn run(&self, page: &str, block: &Block, script: &str) {
        let output = self.shell(script);
        assert_eq!(
            output.code,
            0,
            "{page}:{}:\n{script}\n{}\n{}\n{}",
            block.line,
            output.stdout,
            output.stderr,
            self.engine.log()
        );
    }

    /// What serves until it is stopped is stopped when it serves.
    #[track_caller]
    fn serve(&self, page: &str, line: &str) {
        let script = format!("exec {}", line.split(" #").next().unwrap_or(line));
        let mut child = self
            .command(&["sh", "-c", &script])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut lines =
            BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let mut told = Vec::new();
        let listens =
            lines.by_ref().inspect(|line| told.push(line.clone())).any(|line| line.contains("listens"));
        assert!(listens, "{page}: {line}: {}", told.join("\n"));
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, Signal::TERM).expect("it runs");
        lines.for_each(drop);
        let status = child.wait().expect("it ends");
        // It may not have come to minding the signal.
        assert!(
            status.success() || status.signal() == Some(Signal::TERM.as_raw()),
            "{page}: {line}: {status}"
        );
    }

    /// What the page's containers leave.
    fn ends(self) {
        self.shell("for id in $(ketch ps -aq); do ketch rm --force --volumes $id; done; ketch system prune --all --force --volumes");
    }
}

fn serves(line: &str) -> bool {
    line.starts_with("ketch registry serve") && !line.contains("--validate")
}

const WEB: &str = "services:\n  web: {image: nginx, stop_grace_period: 0s}\n";

#[test]
fn the_readme_runs() {
    let reader = Reader::new();
    reader.stand_ins();
    reader.file("compose.yaml", WEB);
    reader.reads("README.md");
    reader.ends();
}

#[test]
fn installation_runs() {
    let reader = Reader::new();
    reader.stand_ins();
    reader.reads("docs/installation.md");
    reader.ends();
}

#[test]
fn the_api_s_page_runs() {
    let reader = Reader::new();
    reader.reads("docs/api.md");
    reader.ends();
}

#[test]
fn building_runs() {
    let reader = Reader::new();
    reader.stand_ins();
    let text = "FROM busybox AS base\nCOPY . /src\n\nFROM base AS test\nCOPY token.txt /token\n\nFROM base\nCMD [\"sh\"]\n";
    reader.file("Dockerfile", text);
    reader.file("docker/Dockerfile", text);
    reader.file(".dockerignore", "out\ncache\n*.tar\n");
    reader.file("token.txt", "secret\n");
    reader.file("compose.yaml", "services:\n  web: {image: web, build: .}\n");
    reader.file("docker-bake.hcl", "target \"default\" { tags = [\"app:1\"] }\n");
    reader.reads("docs/building.md");
    assert!(reader.here.join("out/src/token.txt").is_file(), "the output's files");
    reader.ends();
}

#[test]
fn coming_from_docker_runs() {
    let reader = Reader::new();
    reader.stand_ins();
    reader.file("compose.yaml", WEB);
    reader.prepares("docker pull --quiet busybox; docker tag busybox app:1");
    reader.prepares("docker run --rm -v data:/d busybox sh -c 'echo kept > /d/file'");
    reader.reads("docs/coming-from-docker.md");
    let kept = reader.shell("ketch run --rm --network none -v kept:/d busybox cat /d/file").ok();
    assert_eq!(kept, "kept");
    reader.ends();
}

#[test]
fn compose_s_page_runs() {
    let reader = Reader::new();
    reader.stand_ins();
    reader.file("compose.yaml", "name: shop\nservices:\n  web: {image: nginx, stop_grace_period: 0s}\n");
    reader.reads("docs/compose.md");
    reader.ends();
}

#[test]
fn images_page_runs() {
    let reader = Reader::new();
    reader.stand_ins();
    reader.prepares("ketch pull --quiet busybox; ketch tag busybox app:1; ketch tag busybox db:1; ketch run -d --name web --network none nginx");
    reader.reads("docs/images.md");
    reader.ends();
}

#[test]
fn the_networks_page_runs() {
    let reader = Reader::new();
    reader.reads("docs/networks.md");
    reader.ends();
}

#[test]
fn the_registry_s_page_runs() {
    let reader = Reader::new();
    certificate(&reader.here);
    reader.file("users", format!("ann:{}\n", bcrypt::hash("word", 4).expect("a hash")));
    reader
        .file("config.yml", "storage: {filesystem: {rootdirectory: here}}\nhttp: {addr: '127.0.0.1:5000'}\n");
    reader.reads("docs/registry.md");
    reader.ends();
}

#[test]
fn troubleshooting_runs() {
    let reader = Reader::new();
    reader.stand_ins();
    reader.prepares("ketch run -d --name web --publish 8080:80 nginx");
    reader.reads("docs/troubleshooting.md");
    reader.ends();
}

/// The pages that a test above reads, and those whose blocks say all that they can't be run here.
const READ: &[&str] = &[
    "README.md",
    "docs/installation.md",
    "docs/api.md",
    "docs/building.md",
    "docs/coming-from-docker.md",
    "docs/compose.md",
    "docs/images.md",
    "docs/networks.md",
    "docs/registry.md",
    "docs/troubleshooting.md",
];

#[test]
fn every_page_is_read() {
    let docs = fs::read_dir(folder().join("docs")).expect("pages").map_while(Result::ok);
    let names = docs
        .map(|entry| format!("docs/{}", entry.file_name().to_string_lossy()))
        .filter(|name| name.ends_with(".md"));
    let (mut runs, mut spared) = (0, Vec::new());
    for page in names.chain(["README.md".to_owned(), "examples/README.md".to_owned()]) {
        let commands = |block: &Block| block.text.lines().filter(|line| !line.trim().is_empty()).count();
        for block in blocks(&page) {
            match &block.spared {
                Some(why) => spared.push(format!("{page}:{}: {} lines: {why}", block.line, commands(&block))),
                None => {
                    assert!(READ.contains(&page.as_str()), "{page}:{}: no test runs this", block.line);
                    runs += commands(&block);
                }
            }
        }
    }
    println!("{runs} lines run; not run:\n{}", spared.join("\n"));
    assert!(runs > 50 && spared.len() < 20, "{runs} lines run; not run:\n{}", spared.join("\n"));
}
