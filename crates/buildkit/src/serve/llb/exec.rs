//! Running a program.

use build::Error;
use build::container::Program;
use build::graph::{
    Bind, CacheMount, Device, Exec, ExtraHost, Mount, MountKind, Network, Op, Proxy, SecretEnv, SecretFile,
    Security, Sharing, SshMount, Ulimit,
};

use super::{index, optional_input};
use crate::proto::{gateway, pb};

/// A number that nobody knows means something that we would leave out.
fn network(mode: i32) -> Result<Network, Error> {
    match pb::NetMode::try_from(mode) {
        Ok(pb::NetMode::Unset) => Ok(Network::Default),
        Ok(pb::NetMode::Host) => Ok(Network::Host),
        Ok(pb::NetMode::None) => Ok(Network::None),
        Err(_) => Err(Error::Unsupported { what: format!("network mode {mode}") }),
    }
}

fn security(mode: i32) -> Result<Security, Error> {
    match pb::SecurityMode::try_from(mode) {
        Ok(pb::SecurityMode::Sandbox) => Ok(Security::Sandbox),
        Ok(pb::SecurityMode::Insecure) => Ok(Security::Insecure),
        Err(_) => Err(Error::Unsupported { what: format!("security mode {mode}") }),
    }
}

fn hosts(hosts: Vec<pb::HostIp>) -> Result<Vec<ExtraHost>, Error> {
    let host = |host: pb::HostIp| {
        let ip =
            host.ip.parse().map_err(|_| Error::Invalid(format!("invalid address of host {}", host.host)))?;
        Ok(ExtraHost { host: host.host, ip })
    };
    hosts.into_iter().map(host).collect()
}

fn device(device: pb::CdiDevice) -> Device {
    Device { name: device.name, optional: device.optional }
}

fn secret(secret: pb::SecretEnv) -> SecretEnv {
    SecretEnv { id: secret.id, name: secret.name, optional: secret.optional }
}

/// A frontend's own container, and the names of what its mounts show.
pub(in crate::serve) fn room(asked: gateway::NewContainerRequest) -> Result<(Exec, Vec<String>), Error> {
    let (mut mounts, mut results) = (Vec::new(), Vec::new());
    for mut asked in asked.mounts {
        // Nothing of it is kept.
        (asked.input, asked.output) = (-1, -1);
        if !asked.result_id.is_empty() {
            asked.input = i64::try_from(results.len()).unwrap_or(i64::MAX);
            results.push(std::mem::take(&mut asked.result_id));
        }
        mounts.push(mount(asked)?);
    }
    let like = Exec {
        network: network(asked.network)?,
        mounts,
        extra_hosts: hosts(asked.extra_hosts)?,
        hostname: asked.hostname,
        ..Exec::default()
    };
    Ok((like, results))
}

/// What a frontend runs there.
pub(in crate::serve) fn program(asked: gateway::InitMessage) -> Result<Program, Error> {
    let invalid = |why: &str| Error::Invalid(why.to_owned());
    let meta = asked.meta.ok_or_else(|| invalid("a program without arguments"))?;
    if meta.args.is_empty() {
        return Err(invalid("a program without arguments"));
    }
    // What is the container's can't be another for one of its programs.
    let own = !meta.extra_hosts.is_empty()
        || !meta.ulimit.is_empty()
        || !meta.cgroup_parent.is_empty()
        || meta.proxy_env.is_some();
    if own {
        let what = "a host, limit, cgroup or proxy of one program in a frontend's container".into();
        return Err(Error::Unsupported { what });
    }
    Ok(Program {
        args: meta.args,
        env: meta.env,
        cwd: meta.cwd,
        user: meta.user,
        security: security(asked.security)?,
        secret_env: asked.secretenv.into_iter().map(secret).collect(),
        terminal: asked.tty,
        input: asked.fds.contains(&0),
    })
}

pub(super) fn decode(exec: pb::ExecOp) -> Result<(Op, String), Error> {
    let Some(meta) = exec.meta.clone() else {
        return Err(Error::Invalid("invalid exec op with no meta".into()));
    };
    let name = meta.args.join(" ");
    let (network, security) = (network(exec.network)?, security(exec.security)?);
    let proxy = meta.proxy_env.map_or_else(Proxy::default, |proxy| Proxy {
        http: proxy.http_proxy,
        https: proxy.https_proxy,
        ftp: proxy.ftp_proxy,
        no: proxy.no_proxy,
        all: proxy.all_proxy,
    });
    let ulimit = |limit: pb::Ulimit| Ulimit { name: limit.name, soft: limit.soft, hard: limit.hard };
    let made = Exec {
        args: meta.args,
        env: meta.env,
        cwd: meta.cwd,
        user: meta.user,
        hostname: meta.hostname,
        network,
        security,
        mounts: exec.mounts.into_iter().map(mount).collect::<Result<_, _>>()?,
        secret_env: exec.secretenv.into_iter().map(secret).collect(),
        extra_hosts: hosts(meta.extra_hosts)?,
        ulimits: meta.ulimit.into_iter().map(ulimit).collect(),
        cgroup_parent: meta.cgroup_parent,
        valid_exit_codes: meta.valid_exit_codes,
        remove_mount_stubs: meta.remove_mount_stubs_recursive,
        devices: exec.cdi_devices.into_iter().map(device).collect(),
        proxy,
    };
    Ok((Op::Exec(Box::new(made)), name))
}

fn mount(mount: pb::Mount) -> Result<Mount, Error> {
    let kind = pb::MountType::try_from(mount.mount_type);
    let kind = kind.map_err(|_| Error::Unsupported { what: format!("mount type {}", mount.mount_type) })?;
    let from = optional_input(mount.input)?;
    let made = match kind {
        pb::MountType::Bind => MountKind::Bind(Bind { from, selector: mount.selector.clone() }),
        pb::MountType::Tmpfs => {
            let size = mount.tmpfs_opt.map_or(0, |tmpfs| tmpfs.size);
            MountKind::Tmpfs { size: u64::try_from(size).unwrap_or(0) }
        }
        pb::MountType::Cache => cache(&mount)?,
        pb::MountType::Secret => {
            let secret = mount.secret_opt.clone().unwrap_or_default();
            MountKind::Secret(SecretFile {
                id: secret.id,
                uid: secret.uid,
                gid: secret.gid,
                mode: secret.mode,
                optional: secret.optional,
            })
        }
        pb::MountType::Ssh => {
            let ssh = mount.ssh_opt.clone().unwrap_or_default();
            MountKind::Ssh(SshMount {
                id: ssh.id,
                uid: ssh.uid,
                gid: ssh.gid,
                mode: ssh.mode,
                optional: ssh.optional,
            })
        }
    };
    let output = if mount.output == -1 { None } else { Some(index(mount.output)?) };
    // Only what was bound has an output; the number of others is nothing, as BuildKit reads it.
    let output = output.filter(|_| kind == pb::MountType::Bind && !(mount.readonly && mount.dest != "/"));
    Ok(Mount { target: mount.dest, kind: made, read_only: mount.readonly, output })
}

fn cache(mount: &pb::Mount) -> Result<MountKind, Error> {
    let cache = mount.cache_opt.clone().unwrap_or_default();
    let sharing = match pb::CacheSharingOpt::try_from(cache.sharing) {
        Ok(pb::CacheSharingOpt::Shared) => Sharing::Shared,
        Ok(pb::CacheSharingOpt::Private) => Sharing::Private,
        Ok(pb::CacheSharingOpt::Locked) => Sharing::Locked,
        Err(_) => return Err(Error::Unsupported { what: "this way to share a cache".into() }),
    };
    Ok(MountKind::Cache(CacheMount {
        from: optional_input(mount.input)?,
        selector: mount.selector.clone(),
        id: cache.id,
        sharing,
    }))
}
