//! One registry's process and a client for it.

#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use testkit::http::{self, Reply, Request};
use testkit::{Bucket, DEADLINE, Scratch, eventually};

use super::{OCI_MANIFEST, STORE};

/// Where a registry keeps its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Disk,
    Bucket,
}

/// Some bytes and their digest.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: String,
}

impl Blob {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let digest = oci::Digest::sha256(&bytes).to_string();
        Self { bytes, digest }
    }

    /// A manifest of one config and these layers.
    #[expect(clippy::needless_pass_by_value, reason = "every caller makes it for this call")]
    pub(crate) fn manifest(config: &Blob, layers: &[Blob], more: Value) -> Self {
        let pointer = |kind: &str, blob: &Blob| json!({"mediaType": kind, "digest": blob.digest, "size": blob.bytes.len()});
        let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
        let mut document = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": pointer("application/vnd.oci.image.config.v1+json", config),
            "layers": layers.iter().map(|blob| pointer(layer, blob)).collect::<Vec<_>>(),
        });
        for (key, value) in more.as_object().unwrap() {
            document[key] = value.clone();
        }
        Self::new(document.to_string())
    }
}

/// A running registry.
pub(crate) struct Private {
    child: Option<Child>,
    pub(crate) address: SocketAddr,
    pub(super) debug: Option<SocketAddr>,
    pub(crate) scratch: Scratch,
    log: Arc<Mutex<String>>,
    config: String,
    /// What a shell does first, in a mount namespace that the process has to itself; `$0` is its root.
    first: Option<String>,
    pub(super) bucket: Option<Arc<Bucket>>,
}

impl Private {
    pub(crate) fn start() -> Self {
        Self::with("{}")
    }

    /// With this configuration; root and address are added.
    pub(crate) fn with(config: &str) -> Self {
        Self::with_files(config, |_| {})
    }

    /// The same with files that the configuration names: `@` in it is the scratch folder.
    pub(crate) fn with_files(config: &str, files: impl FnOnce(&Scratch)) -> Self {
        let scratch = Scratch::create();
        files(&scratch);
        let config = config.replace('@', &scratch.path().display().to_string());
        let bucket = (STORE == Store::Bucket).then(|| Arc::new(Bucket::serve()));
        let mut registry = Self::new(scratch, config, bucket);
        registry.run();
        registry
    }

    fn new(scratch: Scratch, config: String, bucket: Option<Arc<Bucket>>) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child: None, address, debug: None, scratch, log: Arc::default(), config, first: None, bucket }
    }

    /// On a disk with so much room.
    pub(super) fn with_room(bytes: u64) -> Self {
        let mut registry = Self::new(Scratch::create(), "{}".to_owned(), None);
        registry.first = Some(format!("mkdir -p \"$0\" && mount -t tmpfs -o size={bytes} none \"$0\""));
        registry.run();
        registry
    }

    /// Where this authority's certificate is believed of the server at that address.
    pub(super) fn believing(config: &str, host: &str, certificate: &Path) -> Self {
        let bucket = (STORE == Store::Bucket).then(|| Arc::new(Bucket::serve()));
        let mut registry = Self::new(Scratch::create(), config.to_owned(), bucket);
        let from = certificate.display();
        registry.first = Some(format!(
            "mkdir -p /etc/docker && mount -t tmpfs none /etc/docker && mkdir -p /etc/docker/certs.d/{host} && \
             cp {from} /etc/docker/certs.d/{host}/ca.crt"
        ));
        registry.run();
        registry
    }

    /// Another process that serves the same bucket.
    #[cfg_attr(not(doc), allow(dead_code, reason = "on a disk there is none"))]
    pub(super) fn beside(&self) -> Self {
        let bucket = self.bucket.clone().unwrap();
        // The scratch directory gives its thread a network of its own, which this one has already.
        let mut registry = Self::new(Scratch::create(), self.config.clone(), Some(bucket));
        registry.run();
        registry
    }

    /// The configuration as it is written down.
    fn configuration(&self) -> String {
        let Some(bucket) = &self.bucket else { return self.config.clone() };
        let redirect = if self.config.contains("redirect:") { "" } else { "redirect: {disable: true}, " };
        let section = format!("storage: {{s3: {}, {redirect}", bucket.section());
        match self.config.as_str() {
            "{}" => format!("{section}}}"),
            text if text.contains("storage: {") => text.replacen("storage: {", &section, 1),
            text => format!("{text}\n{section}}}"),
        }
    }

    /// Starts the process, for the first time or again.
    pub(super) fn run(&mut self) {
        let config = self.scratch.write("config.yml", self.configuration());
        self.log.lock().unwrap().clear();
        let root = self.scratch.join("root");
        let ketch = testkit::command::ketch_binary();
        let mut command = match &self.first {
            None => Command::new(ketch),
            // What it mounts nobody else sees, and it goes with the process.
            Some(first) => {
                let script = format!("{first} && exec \"$@\"");
                let mut command = Command::new("unshare");
                command
                    .args(["--mount", "--propagation", "private", "sh", "-c", &script])
                    .arg(&root)
                    .arg(ketch);
                command
            }
        };
        let mut child = command
            .args(["registry", "serve", "--addr", "127.0.0.1:0", "--debug-addr", "127.0.0.1:0", "--root"])
            .arg(&root)
            .arg("--config")
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = child.stderr.take().unwrap();
        let log = self.log.clone();
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                log.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        self.child = Some(child);
        self.address = self.listening("the registry listens");
        self.debug = Some(self.listening("metrics and health are there as well"));
    }

    /// Starts it again with another configuration.
    pub(super) fn reconfigure(&mut self, config: &str) {
        self.config = config.replace('@', &self.scratch.path().display().to_string());
        self.run();
    }

    fn listening(&self, message: &str) -> SocketAddr {
        eventually(DEADLINE, || {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(message));
            let address = line.and_then(|line| {
                let rest = line.split("address").nth(1)?;
                rest.trim_start_matches(['"', ':', '=']).split([' ', '"']).next()?.parse().ok()
            });
            address.ok_or(log)
        })
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(super) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.child.as_ref().unwrap())
    }

    /// Ends it at once, in the middle of whatever it does.
    pub(super) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(super) fn wait(&mut self) -> Option<i32> {
        self.child.take().unwrap().wait().unwrap().code()
    }

    /// Runs `ketch registry …` on the same content.
    pub(super) fn command(&self, words: &[&str]) -> String {
        let output = Command::new(testkit::command::ketch_binary())
            .arg("registry")
            .args(words)
            .arg("--config")
            .arg(self.scratch.join("config.yml"))
            .arg("--root")
            .arg(self.scratch.join("root"))
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{words:?}: {out}{err}");
        out.into_owned()
    }

    pub(super) fn send(&self, request: &Request) -> Reply {
        http::open_on(http::connect_tcp(self.address).unwrap(), request).unwrap().finish().unwrap()
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.send(&Request::new("GET", path))
    }

    pub(super) fn ask(&self, method: &str, path: &str) -> Reply {
        self.send(&Request::new(method, path))
    }

    /// Where an upload to this repository goes on.
    pub(super) fn begin(&self, name: &str) -> String {
        let reply = self.ask("POST", &format!("/v2/{name}/blobs/uploads/")).expect(202);
        let place = reply.header("location").unwrap();
        // Whole addresses may be those of a proxy that a test hasn't got.
        place.find("/v2/").map(|at| place[at..].to_owned()).unwrap()
    }

    pub(crate) fn push_blob(&self, name: &str, blob: &Blob) {
        let place = self.begin(name);
        let request = Request::new("PUT", &format!("{place}?digest={}", blob.digest));
        self.send(&request.body(blob.bytes.clone())).expect(201);
    }

    pub(crate) fn put_manifest(&self, name: &str, target: &str, blob: &Blob, kind: &str) -> Reply {
        let request = Request::new("PUT", &format!("/v2/{name}/manifests/{target}"));
        self.send(&request.header("Content-Type", kind).body(blob.bytes.clone()))
    }

    /// An image of one layer under a tag: its manifest.
    pub(super) fn push_image(&self, name: &str, tag: &str, content: &str) -> Blob {
        let (config, layer) = (Blob::new("{}"), Blob::new(content));
        self.push_blob(name, &config);
        self.push_blob(name, &layer);
        let manifest = Blob::manifest(&config, &[layer], json!({}));
        self.put_manifest(name, tag, &manifest, OCI_MANIFEST).expect(201);
        manifest
    }

    pub(super) fn tags(&self, name: &str) -> Value {
        self.get(&format!("/v2/{name}/tags/list")).expect(200).json()["tags"].clone()
    }

    /// The names of what is stored, as far as both stores have the same.
    pub(super) fn stored(&self) -> Vec<String> {
        match &self.bucket {
            Some(bucket) => {
                bucket.keys().iter().map(|key| key.trim_start_matches("reg/").to_owned()).collect()
            }
            None => files(&self.scratch.join("root"), ""),
        }
    }

    /// How many uploads have left something that isn't a blob.
    pub(super) fn uploads(&self) -> usize {
        let of_upload = |name: &&String| {
            name.contains("/_uploads/") || name.starts_with("blobs/partial/") || name.starts_with("parts of ")
        };
        self.stored().iter().filter(of_upload).count()
    }

    /// Waits until so many bytes of a blob are in the process' own hands, or on its disk.
    pub(super) fn await_received(&self, bytes: u64) {
        let (open, root) = (format!("/proc/{}/fd", self.pid().as_raw_pid()), self.scratch.join("root"));
        eventually(DEADLINE, || {
            let here =
                |link: &std::path::Path| std::fs::read_link(link).is_ok_and(|path| path.starts_with(&root));
            let all = std::fs::read_dir(&open).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
            let sizes: Vec<u64> = all
                .filter(|link| here(link))
                .filter_map(|link| Some(std::fs::metadata(link).ok()?.len()))
                .collect();
            if sizes.contains(&bytes) { Ok(()) } else { Err(sizes) }
        });
    }

    /// What the process holds in memory, files it has mapped not counted.
    pub(super) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    pub(super) fn metrics(&self) -> String {
        let stream = http::connect_tcp(self.debug.unwrap()).unwrap();
        http::open_on(stream, &Request::new("GET", "/metrics")).unwrap().finish().unwrap().expect(200).text()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
        self.scratch.remove();
    }
}

/// The first code of an error's body.
pub(super) fn code(reply: &Reply) -> String {
    reply.json()["errors"][0]["code"].as_str().unwrap().to_owned()
}

/// Everything that comes until the other side closes.
pub(super) fn rest(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn files(folder: &std::path::Path, below: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path(), &format!("{name}/"))),
            _ => found.push(name),
        }
    }
    found
}
