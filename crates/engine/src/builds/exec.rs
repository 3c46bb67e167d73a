//! Steps that run a program.
//!
//! The root is the input's layers with a directory on top, attached nowhere; what the program left there becomes a layer.
//! So does what it wrote to a mount that is an output. Everything else that was written to goes with the step.

mod mounts;
mod room;
mod secrets;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use build::Error;
use build::graph::{CacheMount, Exec, Mount, MountKind, Network, Security, Sharing};
use build::progress::{Event, Log, Progress, Stream};
use build::request::{Allowed, Limits};
use build::session::Session;
use oci::Digest;
use rustix::fs::{Mode, OFlags};

use super::cachemounts::{CacheMounts, Taken};
use super::clients;
use super::error::{blocking, engine, work};
use super::remote;
use super::tree::{Layer, Layers, Tree};
use crate::containers::config::{Config, DeviceRequest, HostConfig, Ulimit};
use crate::containers::{Once, Output, Shared};
use mounts::Prepared;
pub(super) use room::Chamber;
pub(super) use secrets::AgentSocket;

/// What the runtime makes in a root for its own mounts. It is nobody's change while it is empty.
const OWN: &[&str] = &[
    "dev",
    "dev/console",
    "dev/mqueue",
    "dev/pts",
    "dev/shm",
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "proc",
    "sys",
];

/// What running needs.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    pub(super) caches: Arc<CacheMounts>,
    /// Who may have something for cache mounts in which there is nothing yet.
    pub(super) others: remote::Others,
    pub(super) session: Arc<dyn Session>,
    pub(super) progress: Progress,
    pub(super) allowed: Allowed,
    pub(super) limits: Limits,
}

/// A mount that is an output, and where what is written to it lies.
struct Kept {
    output: u32,
    base: Tree,
    upper: PathBuf,
    own: Vec<String>,
}

impl Running {
    /// The same for a step that was lent by these sessions.
    pub(super) fn lent_by(&self, lenders: &[String]) -> Self {
        Self { session: clients::of(&self.session, lenders), ..self.clone() }
    }

    /// Runs the program; a tree for each output. They are remembered in the same breath in which they are made: a build
    /// that is cancelled in between leaves nothing that nobody knows of.
    pub(super) async fn run(
        self,
        exec: Exec,
        inputs: Vec<Tree>,
        vertex: Digest,
        name: String,
        remember: impl FnOnce(&[Tree]) -> Result<(), Error> + Send + 'static,
    ) -> Result<Vec<Tree>, Error> {
        let host = self.host(&exec, self.check(&exec)?);
        let secrets = self.secrets(&exec).await?;
        let config = config(&exec, &secrets.env);
        let caches = self.take_caches(&exec).await?;
        let caches = self.fill_caches(caches).await;
        let (running, what, trees) = (self.clone(), exec.clone(), inputs.clone());
        let agents = secrets.agents;
        let files = secrets.files;
        let prepared = blocking(move || running.prepare(&what, &trees, config, host, &caches, files)).await?;
        let Prepared { once, root, sources, kept, caches } = prepared;
        let (progress, digest, digest_again) = (self.progress.clone(), vertex.clone(), vertex);
        let output = move |output: Output, bytes: &[u8]| {
            let stream = if output == Output::Out { Stream::Out } else { Stream::Error };
            let log = Log { vertex: digest.clone(), stream, data: bytes.to_vec(), at: SystemTime::now() };
            progress.tell(Event::Log(log));
        };
        let ran = once.clone().run(root, sources, output).await;
        drop(agents);
        drop(caches);
        let code = ran.or_else(|error| self.cannot_run(&exec, &digest_again, error))?;
        let fine = match exec.valid_exit_codes.is_empty() {
            true => code == 0,
            false => exec.valid_exit_codes.contains(&code),
        };
        if !fine {
            return Err(Error::Exit { command: exec.args.join(" "), code });
        }
        let (shared, packed) = (self.shared.clone(), once.clone());
        let made = blocking(move || {
            let made = pack(&shared, &packed, kept, &name)?;
            remember(&made)?;
            Ok(made)
        });
        let made = made.await;
        // Removing thousands of files takes a while; no step waits for that.
        drop(tasks::blocking(move || drop(once)));
        made
    }

    /// Refuses what the client didn't allow; otherwise, which of the host's devices the step gets.
    pub(super) fn check(&self, exec: &Exec) -> Result<Vec<String>, Error> {
        if exec.network == Network::Host && !self.allowed.network_host {
            return Err(Error::NotAllowed("network.host".into()));
        }
        if exec.security == Security::Insecure && !self.allowed.security_insecure {
            return Err(Error::NotAllowed("security.insecure".into()));
        }
        if exec.devices.is_empty() {
            return Ok(Vec::new());
        }
        let folders = &self.shared.settings.cdi_folders;
        crate::containers::cdi::granted(&exec.devices, self.allowed.devices.as_ref(), folders)
    }

    fn host(&self, exec: &Exec, devices: Vec<String>) -> HostConfig {
        let network = match exec.network {
            Network::Default => "bridge",
            Network::Host => "host",
            Network::None => "none",
        };
        let extra = exec.extra_hosts.iter().map(|entry| format!("{}={}", entry.host, entry.ip));
        let ulimits = exec.ulimits.iter().map(|limit| Ulimit {
            name: limit.name.clone(),
            hard: limit.hard,
            soft: limit.soft,
        });
        let limits = &self.limits;
        let devices = (!devices.is_empty()).then(|| vec![DeviceRequest::by_name(devices)]);
        HostConfig {
            device_requests: devices,
            network_mode: network.into(),
            privileged: exec.security == Security::Insecure,
            extra_hosts: Some(extra.collect()),
            ulimits: Some(ulimits.collect()),
            cgroup_parent: exec.cgroup_parent.clone(),
            memory: limits.memory,
            memory_swap: limits.memory_swap,
            cpu_shares: limits.cpu_shares,
            cpu_period: limits.cpu_period,
            cpu_quota: limits.cpu_quota,
            cpuset_cpus: limits.cpuset_cpus.clone(),
            cpuset_mems: limits.cpuset_mems.clone(),
            init: Some(false),
            ..HostConfig::default()
        }
    }

    /// A program that isn't there, or is none, has an exit code as BuildKit tells it, and says why in the step's log.
    fn cannot_run(&self, exec: &Exec, vertex: &Digest, error: crate::Error) -> Result<i32, Error> {
        use shim::protocol::FailureKind;
        match &error {
            crate::Error::Start {
                kind: FailureKind::NotFound | FailureKind::NotExecutable, message, ..
            } => {
                let data = format!("{message}\n").into_bytes();
                let (vertex, at) = (vertex.clone(), SystemTime::now());
                self.progress.tell(Event::Log(Log { vertex, stream: Stream::Error, data, at }));
                Err(Error::Exit { command: exec.args.join(" "), code: 1 })
            }
            _ => Err(engine("run a step", error)),
        }
    }

    async fn take_caches(&self, exec: &Exec) -> Result<Vec<(String, Taken)>, Error> {
        let mut wanted = Vec::new();
        for mount in &exec.mounts {
            if let MountKind::Cache(cache) = &mount.kind {
                wanted.push((id(mount, cache).to_owned(), cache.sharing, mount.target.clone()));
            }
        }
        // In one order for everybody, so that no two wait for each other.
        wanted.sort_unstable();
        let mut taken: Vec<(String, Taken)> = Vec::new();
        let mut last: Option<(String, Taken)> = None;
        for (id, sharing, target) in wanted {
            let own = match last.take() {
                // One that this step has already, it needn't wait for.
                Some((known, own)) if known == id && sharing != Sharing::Private => own,
                _ => self.caches.take(&id, sharing).await?,
            };
            last = Some((id, own.clone()));
            taken.push((target, own));
        }
        Ok(taken)
    }
}

/// What a cache mount is called: as its place, if nothing is said.
fn id<'a>(mount: &'a Mount, cache: &'a CacheMount) -> &'a str {
    if cache.id.is_empty() { &mount.target } else { &cache.id }
}

/// All of a step's.
pub(super) fn cache_mounts(exec: &Exec) -> impl Iterator<Item = &str> {
    exec.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Cache(cache) => Some(id(mount, cache)),
        _ => None,
    })
}

/// What the program is told.
fn config(exec: &Exec, secrets: &[String]) -> Config {
    let mut env = exec.env.clone();
    let proxy = [
        ("http_proxy", &exec.proxy.http),
        ("https_proxy", &exec.proxy.https),
        ("ftp_proxy", &exec.proxy.ftp),
        ("no_proxy", &exec.proxy.no),
        ("all_proxy", &exec.proxy.all),
    ];
    for (name, value) in proxy.into_iter().filter(|(_, value)| !value.is_empty()) {
        for name in [name.to_uppercase(), name.to_owned()] {
            if !env.iter().any(|known| known.split('=').next() == Some(&name)) {
                env.push(format!("{name}={value}"));
            }
        }
    }
    env.extend(secrets.iter().cloned());
    let named = !exec.hostname.is_empty();
    Config {
        hostname: if named { exec.hostname.clone() } else { "buildkitsandbox".to_owned() },
        user: exec.user.clone(),
        env: Some(env),
        cmd: Some(exec.args.clone()),
        working_dir: exec.cwd.clone(),
        ..Config::default()
    }
}

/// What was written becomes layers.
fn pack(shared: &Shared, once: &Arc<Once>, kept: Vec<Kept>, name: &str) -> Result<Vec<Tree>, Error> {
    let mut outputs: Vec<(u32, Tree)> = Vec::new();
    for Kept { output, base, upper, own } in kept {
        let below = shared.images.layer_store().mount_over(&base.diff_ids(), None, None);
        let below = below.map_err(|e| work("mount layers", e))?;
        let above = open_folder(&upper)?;
        let limits = shared.layers.limits().clone();
        let own: Vec<String> = OWN.iter().map(|&name| name.to_owned()).chain(own).collect();
        let once = once.clone();
        let tar = layers::Written::by(move |out| {
            // Until it is packed, what was written has to be there.
            let _once = once;
            let own: Vec<&str> = own.iter().map(String::as_str).collect();
            // Its program has ended, and nobody else gets there.
            let above = (above.as_fd(), layers::Source::Still);
            layers::pack_changes(above, below.as_fd(), &own, out, &limits)
        });
        let tar = tar.map_err(|e| work("make a pipe for a layer", e))?;
        outputs.push((output, on_top(shared, &base, tar, name)?));
    }
    outputs.sort_unstable_by_key(|(output, _)| *output);
    Ok(outputs.into_iter().map(|(_, tree)| tree).collect())
}

/// A tree with one layer more.
pub(super) fn on_top(
    shared: &Shared,
    base: &Tree,
    tar: impl std::io::Read,
    name: &str,
) -> Result<Tree, Error> {
    let (diff_id, size, kept) = shared.images.take_built(tar).map_err(|e| engine("keep a layer", e))?;
    let made = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map(|since| since.as_secs()).ok();
    let layer = Layer { diff_id, size, made, by: name.to_owned() };
    let mut list = base.list().to_vec();
    let mut all = Layers::default();
    // What changed nothing is a layer, too, as BuildKit has it: history counts on it.
    all.kept.push(kept);
    list.push(layer);
    let ids = list.iter().map(|layer| &layer.diff_id);
    let gone = || work("keep a step's layers", "one was removed meanwhile");
    all.kept.push(shared.images.keep(ids).ok_or_else(gone)?);
    all.list = list;
    Ok(Tree::Layers(Arc::new(all)))
}

pub(super) fn open_folder(path: &std::path::Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|e| work("open what a step wrote", e))
}

/// What the runtime makes for a mount, and the directories above it.
fn stubs(target: &str, above: bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut path = target.trim_matches('/');
    while !path.is_empty() {
        names.insert(path.to_owned());
        match path.rfind('/').filter(|_| above) {
            Some(at) => path = &path[..at],
            None => break,
        }
    }
    names
}
