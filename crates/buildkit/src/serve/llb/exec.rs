//! Running a program.

use build::Error;
use build::graph::{
    Bind, CacheMount, Exec, ExtraHost, Mount, MountKind, Network, Op, Proxy, SecretEnv, SecretFile, Security,
    Sharing, SshMount, Ulimit,
};

use super::{index, optional_input};
use crate::proto::pb;

pub(super) fn decode(exec: pb::ExecOp) -> Result<(Op, String), Error> {
    let Some(meta) = exec.meta.clone() else {
        return Err(Error::Invalid("invalid exec op with no meta".into()));
    };
    let name = meta.args.join(" ");
    let network = match exec.network() {
        pb::NetMode::Unset => Network::Default,
        pb::NetMode::Host => Network::Host,
        pb::NetMode::None => Network::None,
    };
    let security = match exec.security() {
        pb::SecurityMode::Sandbox => Security::Sandbox,
        pb::SecurityMode::Insecure => Security::Insecure,
    };
    // Numbers that nobody knows mean something that we would leave out.
    if pb::NetMode::try_from(exec.network).is_err() || pb::SecurityMode::try_from(exec.security).is_err() {
        return Err(Error::Unsupported { what: "this mode of network or security".into() });
    }
    let host = |host: pb::HostIp| {
        let ip =
            host.ip.parse().map_err(|_| Error::Invalid(format!("invalid address of host {}", host.host)))?;
        Ok(ExtraHost { host: host.host, ip })
    };
    let proxy = meta.proxy_env.map_or_else(Proxy::default, |proxy| Proxy {
        http: proxy.http_proxy,
        https: proxy.https_proxy,
        ftp: proxy.ftp_proxy,
        no: proxy.no_proxy,
        all: proxy.all_proxy,
    });
    let secret =
        |secret: pb::SecretEnv| SecretEnv { id: secret.id, name: secret.name, optional: secret.optional };
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
        extra_hosts: meta.extra_hosts.into_iter().map(host).collect::<Result<_, Error>>()?,
        ulimits: meta.ulimit.into_iter().map(ulimit).collect(),
        cgroup_parent: meta.cgroup_parent,
        valid_exit_codes: meta.valid_exit_codes,
        remove_mount_stubs: meta.remove_mount_stubs_recursive,
        devices: exec.cdi_devices.into_iter().map(|device| device.name).collect(),
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
