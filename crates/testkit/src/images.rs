//! Images that tests make for themselves, as docker archives in memory: no registry, no download.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::json;
use sha2::{Digest, Sha256};

/// Where Debian's package busybox-static puts its program.
pub const BUSYBOX: &str = "/bin/busybox";
const APPLETS: &[&str] = &[
    "cat", "chmod", "cp", "date", "dd", "echo", "env", "false", "grep", "head", "hostname", "id", "kill",
    "ls", "mkdir", "mount", "nc", "ps", "pwd", "rm", "sh", "sleep", "stat", "sync", "tail", "test", "touch",
    "true", "tty", "wc", "yes",
];

/// A busybox image under `tag`, with the usual applets linked.
pub fn busybox(tag: &str) -> anyhow::Result<Vec<u8>> {
    let program =
        std::fs::read(BUSYBOX).with_context(|| format!("{BUSYBOX}: apt-get install busybox-static"))?;
    let mut layer = Layer::default();
    layer.file("bin/busybox", &program)?;
    for applet in APPLETS {
        layer.link(&format!("bin/{applet}"), "busybox")?;
    }
    layer.directory("tmp", 0o1777)?;
    archive(tag, &layer.finish()?, &json!({"Cmd": ["sh"], "Env": ["PATH=/bin"], "WorkingDir": "/"}))
}

/// A database under `tag`: this machine's Redis (Debian's redis-tools has the server, too) with the libraries that it
/// needs, and busybox.
pub fn redis(tag: &str) -> anyhow::Result<Vec<u8>> {
    let mut layer = Layer::default();
    layer.file("bin/busybox", &std::fs::read(BUSYBOX)?)?;
    for applet in APPLETS.iter().chain(&["stty"]) {
        layer.link(&format!("bin/{applet}"), "busybox")?;
    }
    let programs = ["/usr/bin/redis-check-rdb", "/usr/bin/redis-cli"];
    for (program, name) in programs.into_iter().zip(["redis-server", "redis-cli"]) {
        let content =
            std::fs::read(program).with_context(|| format!("{program}: apt-get install redis-tools"))?;
        layer.file(&format!("usr/bin/{name}"), &content)?;
    }
    for library in libraries(&programs)? {
        layer.file(library.trim_start_matches('/'), &std::fs::read(&library)?)?;
    }
    let config = json!({
        "Cmd": ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no"],
        "Env": ["PATH=/usr/bin:/bin"], "ExposedPorts": {"6379/tcp": {}}, "Volumes": {"/data": {}}, "WorkingDir": "/data",
    });
    archive(tag, &layer.finish()?, &config)
}

/// The paths of the shared libraries that programs are loaded with, and of the loader.
fn libraries(programs: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let told = std::process::Command::new("ldd").args(programs).output().context("ldd")?;
    let told = String::from_utf8(told.stdout)?;
    Ok(told
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/') && !word.ends_with(':')))
        .map(str::to_owned)
        .collect())
}

/// An image whose only file is one static program.
pub fn single_program(tag: &str, program: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut layer = Layer::default();
    layer.file("main", program)?;
    archive(tag, &layer.finish()?, &json!({"Entrypoint": ["/main"], "WorkingDir": "/"}))
}

/// An image of one layer whose machine is told to the last word: variant, and version of the system.
pub fn of_machine(tag: &str, layer: &[u8]) -> anyhow::Result<Vec<u8>> {
    archive_on(
        &json!({"variant": "v1", "os.version": "1.2.3", "os.features": ["one"]}),
        tag,
        &[layer],
        &json!({}),
    )
}

/// One layer and a config as `docker save` writes them.
pub fn archive(tag: &str, layer: &[u8], config: &serde_json::Value) -> anyhow::Result<Vec<u8>> {
    archive_on(&json!({}), tag, &[layer], config)
}

/// The same with several layers.
pub fn archive_of_layers(
    tag: &str,
    layers: &[Vec<u8>],
    config: &serde_json::Value,
) -> anyhow::Result<Vec<u8>> {
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    archive_on(&json!({}), tag, &layers, config)
}

fn archive_on(
    machine: &serde_json::Value,
    tag: &str,
    layers: &[&[u8]],
    config: &serde_json::Value,
) -> anyhow::Result<Vec<u8>> {
    let mut config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| digest(layer)).collect::<Vec<_>>()},
        // The tag makes the id: tests that share an engine must not share an image.
        "history": vec![json!({"created": "2020-01-01T00:00:00Z", "created_by": format!("testkit {tag}")}); layers.len()],
    });
    for (key, value) in machine.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    let config = config.to_string();
    let name = format!("{}.json", hex(&Sha256::digest(&config)));
    let names: Vec<String> = match layers.len() {
        1 => vec!["layer/layer.tar".to_owned()],
        count => (0..count).map(|number| format!("layer{number}/layer.tar")).collect(),
    };
    let manifest = json!([{"Config": name, "RepoTags": [tag], "Layers": names}]).to_string();
    let mut tar = Layer::default();
    tar.file(&name, config.as_bytes())?;
    for (name, layer) in names.iter().zip(layers) {
        tar.directory(name.trim_end_matches("/layer.tar"), 0o755)?;
        tar.file(name, layer)?;
    }
    tar.file("manifest.json", manifest.as_bytes())?;
    tar.finish()
}

/// A tar of some files.
pub fn archive_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Layer::default();
    let written = files.iter().try_for_each(|(path, content)| tar.file(path, content));
    written
        .map_err(anyhow::Error::from)
        .and_then(|()| tar.finish())
        .unwrap_or_else(|error| panic!("{error:#}"))
}

/// `sha256:…`.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tar being written; deterministic, so that the same image has the same id in every test.
pub struct Layer(tar::Builder<Vec<u8>>);

impl Default for Layer {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Layer {
    pub fn file(&mut self, path: &str, content: &[u8]) -> std::io::Result<()> {
        let mut header = header(tar::EntryType::Regular, 0o755);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path, content)
    }

    pub fn directory(&mut self, path: &str, mode: u32) -> std::io::Result<()> {
        self.0.append_data(&mut header(tar::EntryType::Directory, mode), path, std::io::empty())
    }

    pub fn link(&mut self, path: &str, target: &str) -> std::io::Result<()> {
        self.0.append_link(&mut header(tar::EntryType::Symlink, 0o777), path, target)
    }

    pub fn finish(self) -> anyhow::Result<Vec<u8>> {
        Ok(self.0.into_inner()?)
    }
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_577_836_800);
    header
}
