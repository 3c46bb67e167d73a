//! Making a container: what was asked for, merged with what the image says, recorded with its folders.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use ::state::{Durability, Tx};

use super::config::{Config, Create, HostConfig};
use super::identities::Identities;
use super::mounts::Point;
use super::networking::Networked;
use super::record::{Container, Past, Places};
use super::state::State;
use super::{
    Index, Shared, cdi, devices, etc, foreign, health, identities, mounts, namespaces, networking, resources,
    restart, spec,
};
use crate::Error;
use crate::images::{self, Image, Images};
use crate::networks::runs;
use crate::quota;
use crate::settings::{Live, Settings};
use crate::volumes::{self, Volume};

/// What `POST /containers/create` answers.
#[derive(Debug, Clone)]
pub struct Created {
    pub id: String,
    pub warnings: Vec<String>,
}

const MAX_NAME: usize = 255;
const DEFAULT_SHM: i64 = 64 << 20;

pub(super) fn create(
    request: Create,
    shared: &Arc<Shared>,
    images: &Images,
    index: &Index,
) -> Result<(Container, Vec<String>), Error> {
    let wanted = request.platform.as_deref().map(images::Wanted::parse).transpose()?;
    let image = images.get_on(&request.config.image, wanted.as_ref())?;
    let mut warnings: Vec<String> = other_platform(&image).filter(|_| wanted.is_none()).into_iter().collect();
    let id = crate::id::container_id();
    let mut host = request.host;
    namespaces::settle(&mut host, &request.config, index)?;
    let Networked { endpoints, links, warnings: more } =
        networking::settle(request.endpoints, &mut host, &request.config, &shared.networks, index)?;
    warnings.extend(more);
    let runs_as_said = !request.config.user.is_empty();
    let mut config = merge(request.config, &image, &id)?;
    let mut host = settle(host, &shared.settings, &shared.live.load())?;
    if host.userns_mode.is_empty() && shared.settings.private_users {
        "private".clone_into(&mut host.userns_mode);
    }
    identities::check(&host)?;
    let wanted_ports = crate::networks::wanted_ports(&config, &host)?;
    warnings.extend(shared.networks.warn_of_first_public(&host.network_mode, &wanted_ports));
    let from_image = image.config.config.volumes.keys().cloned();
    let mut mounts = mounts::settle(&mut config, &host, from_image, index, images, &shared.settings)?;
    know_drivers(&mut mounts, shared)?;
    foreign::check_mounts(&host, &mounts)?;
    // A profile that is wrong is told now, and one that isn't needn't be compiled at the start.
    spec::filter(&host, &shared.filters)?;
    let name = claim_name(request.name.as_deref(), &id, index)?;
    let identities = match identities::read(&host.userns_mode)? {
        Some(kept) => match index.claim_users(&id) {
            Ok(first) => Some(Identities::new(first, kept)),
            Err(error) => {
                index.release(&name);
                return Err(error);
            }
        },
        None => None,
    };
    if let Some(user) = identities.as_ref().and_then(Identities::user).filter(|_| !runs_as_said) {
        config.user = user;
    }
    let container = Container {
        id,
        name,
        created: SystemTime::now(),
        image: image.id.clone(),
        layers: image.config.rootfs.diff_ids.clone(),
        config,
        host,
        mounts,
        endpoints,
        links,
        ports: Vec::new(),
        behind: None,
        state: State::Created,
        past: Past::default(),
        identities,
    };
    match establish(&container, shared) {
        Ok(()) => Ok((container, warnings)),
        Err(error) => {
            index.release(&container.name);
            index.release_users(&container.id);
            discard(&shared.places(&container.id));
            Err(error)
        }
    }
}

/// dockerd's warning about an image that this host may not be able to run.
fn other_platform(image: &Image) -> Option<String> {
    let host = images::Wanted::host();
    let fits = host.rank(&image.config.platform).is_some();
    let says_nothing = image.config.platform.architecture.is_empty();
    (!fits && !says_nothing).then(|| {
        format!(
            "The requested image's platform ({}) does not match the detected host platform ({host}) and no specific \
             platform was requested",
            image.platform()
        )
    })
}

/// The folders first, the record last: what a crash leaves without a record is swept at the next start.
fn establish(container: &Container, shared: &Shared) -> Result<(), Error> {
    let places = shared.places(&container.id);
    make_folder(&places.durable, 0o710)?;
    for folder in [places.upper(), places.work()] {
        make_folder(&folder, 0o755)?;
    }
    if let Some(size) = root_size(container, &shared.settings) {
        quota::limit(&[&places.upper(), &places.work()], size)?;
    }
    etc::write(container, &places, &shared.networks)?;
    let asked = prepare_volumes(container, shared)?;
    let mut made = Vec::new();
    let recorded = shared.db.write(Durability::Process, |tx| {
        tx.put(container)?;
        made = record_volumes(tx, container)?;
        tx.put(&images::Use::now(&container.image))?;
        tx.hold::<Container>(&container.id, images::IMAGE, container.image.as_str())?;
        for layer in container.all_layers() {
            tx.hold::<Container>(&container.id, images::LAYER, layer.as_str())?;
        }
        Ok::<_, Error>(())
    });
    if let Err(error) = recorded {
        asked.iter().for_each(|volume| shared.volumes.forget_at_plugin(volume));
        return Err(error);
    }
    made.iter().for_each(|volume| shared.volumes.tell(volume, "create", &[]));
    Ok(())
}

/// Who names no driver takes a volume as it is; a plugin's is nowhere until it is mounted.
fn know_drivers(points: &mut [Point], shared: &Shared) -> Result<(), Error> {
    for point in points.iter_mut().filter(|point| mounts::volume_of(point).is_some()) {
        if point.make.driver.is_empty()
            && let Some(known) = shared.volumes.find(&point.name)?
        {
            point.make.driver = known.plugin.unwrap_or_default();
        }
        if !matches!(point.make.driver.as_str(), "" | "local") {
            point.source.clear();
        }
    }
    Ok(())
}

/// What has to be before volumes are recorded; which of them plugins made.
fn prepare_volumes(container: &Container, shared: &Shared) -> Result<Vec<Volume>, Error> {
    let mut asked: Vec<Volume> = Vec::new();
    for point in container.mounts.iter().filter(|point| mounts::volume_of(point).is_some()) {
        let volume = volumes::settle(point.name.clone(), point.make.clone())?;
        match shared.volumes.prepare(&volume) {
            Ok(false) => {}
            Ok(true) => asked.push(volume),
            Err(error) => {
                asked.iter().for_each(|volume| shared.volumes.forget_at_plugin(volume));
                return Err(error);
            }
        }
    }
    Ok(asked)
}

/// Records a new container's volumes with it; which are new.
fn record_volumes(tx: &Tx<'_>, container: &Container) -> Result<Vec<Volume>, Error> {
    let mut made = Vec::new();
    for point in container.mounts.iter().filter(|point| mounts::volume_of(point).is_some()) {
        let volume = volumes::settle(point.name.clone(), point.make.clone())?;
        let (volume, is_new) = volumes::enter(tx, volume)?;
        tx.hold::<Container>(&container.id, volumes::VOLUME, &volume.name)?;
        made.extend(is_new.then_some(volume));
    }
    Ok(made)
}

/// Removes a container's files. What can't be removed now is swept at the next start.
pub(super) fn discard(places: &Places) {
    let project = quota::of(&places.upper());
    for folder in [&places.volatile, &places.durable] {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %folder.display(), %error, "cannot remove a container's folder");
            }
            _ => {}
        }
    }
    if let Some(all) = places.durable.parent() {
        quota::free(all, project);
    }
}

pub(super) fn make_folder(path: &Path, mode: u32) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(|source| Error::File {
        doing: "create",
        path: path.to_owned(),
        source,
    })
}

fn claim_name(wanted: Option<&str>, id: &str, index: &Index) -> Result<String, Error> {
    if let Some(wanted) = wanted.filter(|name| !name.is_empty()) {
        let name = wanted.strip_prefix('/').unwrap_or(wanted);
        return check_name(name, wanted).and_then(|()| index.claim(name, id)).map(|()| name.to_owned());
    }
    for attempt in 0..6 {
        let name = crate::id::container_name(attempt);
        if index.claim(&name, id).is_ok() {
            return Ok(name);
        }
    }
    // So many containers that every pair of words is taken: the id is a name too.
    let name = id[..12].to_owned();
    index.claim(&name, id)?;
    Ok(name)
}

/// Refuses what can't be a name, in the words in which it was `asked` for.
pub(super) fn check_name(name: &str, asked: &str) -> Result<(), Error> {
    if is_name(name) { Ok(()) } else { Err(Error::InvalidName(asked.to_owned())) }
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    name.len() > 1
        && name.len() <= MAX_NAME
        && name.bytes().all(allowed)
        && name.as_bytes()[0].is_ascii_alphanumeric()
}

/// What the client leaves open, the image says.
fn merge(mut config: Config, image: &Image, id: &str) -> Result<Config, Error> {
    let from = &image.config.config;
    let nothing = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    if nothing(&config.entrypoint) {
        // A command of its own keeps the image's entrypoint; an entrypoint of its own drops the image's command, and an
        // empty one the image's entrypoint alone.
        if nothing(&config.cmd) {
            config.cmd.clone_from(&from.cmd);
        }
        if config.entrypoint.is_none() {
            config.entrypoint.clone_from(&from.entrypoint);
        }
    } else if config.entrypoint.as_ref().is_some_and(|words| matches!(&words[..], [word] if word.is_empty()))
    {
        // `--entrypoint ""` resets the image's.
        config.entrypoint = None;
    }
    config.env = Some(merge_env(config.env.take().unwrap_or_default(), &from.env));
    let fill = |field: &mut String, value: &String| {
        if field.is_empty() {
            field.clone_from(value);
        }
    };
    config.healthcheck = health::merge(config.healthcheck.take(), from.healthcheck.as_ref());
    config.healthcheck.as_ref().map_or(Ok(()), health::check)?;
    fill(&mut config.user, &from.user);
    fill(&mut config.working_dir, &from.working_dir);
    fill(&mut config.stop_signal, &from.stop_signal);
    if !from.exposed_ports.is_empty() {
        let ports = config.exposed_ports.get_or_insert_default();
        for port in from.exposed_ports.keys() {
            if !runs::contains(ports, port) {
                ports.insert(port.clone(), super::config::Empty {});
            }
        }
    }
    let labels = config.labels.get_or_insert_default();
    for (name, value) in &from.labels {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        let why = "is invalid, it needs to be an absolute path";
        return Err(Error::Invalid(format!("the working directory '{}' {why}", config.working_dir)));
    }
    etc::check_name("hostname", &config.hostname)?;
    etc::check_name("domain name", &config.domainname)?;
    if config.hostname.is_empty() {
        config.hostname = id[..12].to_owned();
    }
    if nothing(&config.entrypoint) && nothing(&config.cmd) {
        return Err(Error::NoCommand);
    }
    Ok(config)
}

fn merge_env(mut env: Vec<String>, image: &[String]) -> Vec<String> {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    for entry in image {
        if !env.iter().any(|given| name(given) == name(entry)) {
            env.push(entry.clone());
        }
    }
    env
}

/// Fills in this engine's defaults and refuses what it can't do.
pub(super) fn settle(mut host: HostConfig, settings: &Settings, live: &Live) -> Result<HostConfig, Error> {
    let set = |field: &mut String, value: &str| {
        if field.is_empty() {
            value.clone_into(field);
        }
    };
    set(&mut host.log_config.r#type, &settings.log_driver);
    // The engine's options are its driver's; those of the copy that `logs` reads are for all.
    let is_default = host.log_config.r#type == settings.log_driver;
    for (key, value) in settings.log_options.iter().filter(|(key, _)| is_default || key.starts_with("cache-"))
    {
        if host.log_config.r#type != "none" && !host.log_config.config.contains_key(key) {
            host.log_config.config.insert(key.clone(), value.clone());
        }
    }
    super::logs::check(&host.log_config)?;
    set(&mut host.restart_policy.name, "no");
    restart::check(&host.restart_policy)?;
    if host.auto_remove && host.restart_policy.name != "no" {
        return Err(Error::Invalid("can't create 'AutoRemove' container with restart policy".into()));
    }
    set(&mut host.runtime, &live.default_runtime);
    foreign::check(&host.runtime, live)?;
    set(&mut host.cgroupns_mode, "host");
    if !matches!(host.cgroupns_mode.as_str(), "host" | "private") {
        return Err(Error::Invalid(format!("invalid cgroup namespace mode: {}", host.cgroupns_mode)));
    }
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(Error::Invalid(format!("invalid isolation '{}' on linux", host.isolation)));
    }
    if !host.cgroup_parent.is_empty() {
        settings.cgroup_driver.check_parent(&host.cgroup_parent)?;
    }
    if host.shm_size < 0 {
        return Err(Error::Invalid("SHM size can not be less than 0".into()));
    }
    if host.shm_size == 0 {
        host.shm_size = if settings.default_shm_size > 0 { settings.default_shm_size } else { DEFAULT_SHM };
    }
    resources::settle(&mut host)?;
    check_storage(&host, settings)?;
    etc::check(&host)?;
    devices::check(&host)?;
    cdi::check(&host)?;
    // What shares so much with the host is not labelled, and `inspect` says so.
    let shares = host.privileged || host.ipc_mode == "host" || host.pid_mode == "host";
    if shares && host.security_opt.is_none() {
        host.security_opt = Some(vec!["label=disable".to_owned()]);
    }
    let hidden = !host.privileged;
    let own = |list: &[&str]| hidden.then(|| list.iter().map(|&path| path.to_owned()).collect());
    host.masked_paths = host.masked_paths.or_else(|| own(spec::MASKED_PATHS));
    host.readonly_paths = host.readonly_paths.or_else(|| own(spec::READONLY_PATHS));
    // Clients send what means "as it is"; anything else would be ignored.
    for (name, asked) in [
        ("MemorySwappiness", host.memory_swappiness.is_some_and(|value| value != -1)),
        ("OomKillDisable", host.oom_kill_disable == Some(true)),
    ] {
        if asked {
            let instead =
                Some("cgroup v2 has neither: give the container the memory that it needs".to_owned());
            return Err(Error::Unsupported { feature: format!("HostConfig.{name}"), instead });
        }
    }
    host.oom_kill_disable = host.oom_kill_disable.or(Some(false));
    Ok(host)
}

/// `--storage-opt`, in dockerd's words for a file system without project quotas.
fn check_storage(host: &HostConfig, settings: &Settings) -> Result<(), Error> {
    let given = host.storage_opt.iter().flatten();
    if let Some((key, _)) = given.clone().find(|(key, _)| *key != "size") {
        return Err(Error::Invalid(format!("Unknown option {key}")));
    }
    for (_, size) in given {
        quota::check(&settings.data_root).map_err(Error::NoQuotaForRoots)?;
        quota::read_size(size).map_err(Error::Invalid)?;
    }
    Ok(())
}

/// What a container may write to its root; nothing is no limit.
fn root_size(container: &Container, settings: &Settings) -> Option<u64> {
    let own = container.host.storage_opt.as_ref().and_then(|options| options.get("size"));
    let size = own.map_or(settings.root_size, |size| quota::read_size(size).ok());
    size.filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_single_safe_components() {
        for good in ["a1", "web-1", "A.b_c"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a", ".a", "-a", "a/b", "a b", "a\0b", "ä1", &"a".repeat(256)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_clients_environment_wins_over_the_images() {
        let merged = merge_env(vec!["A=1".into(), "C".into()], &["A=2".into(), "B=3".into(), "C=4".into()]);
        assert_eq!(merged, ["A=1", "C", "B=3"]);
    }
}
