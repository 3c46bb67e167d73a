//! What this builder can do, by BuildKit's names. Clients branch on them, so only what is so stands here.

use build::Error;

use crate::proto::apicaps::ApiCap;

/// What definitions may use, and what solving can be asked for.
const LLB: &[&str] = &[
    "source.image",
    "source.image.resolvemode",
    "source.local",
    "source.local.unique",
    "source.local.sessionid",
    "source.local.includepatterns",
    "source.local.followpaths",
    "source.local.excludepatterns",
    "source.local.sharedkeyhint",
    "source.local.differ",
    "source.git",
    "source.git.keepgitdir",
    "source.git.fullurl",
    "source.git.httpauth",
    "source.git.subdir",
    "source.git.checksum",
    "source.git.skipsubmodules",
    "source.git.fetchbycommit",
    "source.git.knownsshhosts",
    "source.git.mountsshsock",
    "source.http",
    "source.http.auth",
    "source.http.checksum",
    "source.http.perm",
    // BuildKit's own spelling.
    "soruce.http.uidgid",
    "source.http.header",
    "source.ocilayout",
    "exec.meta.base",
    "exec.meta.cgroup.parent",
    "exec.meta.network",
    "exec.meta.proxyenv",
    "exec.meta.security",
    "exec.meta.security.devices.v1",
    "exec.meta.cdi",
    "exec.meta.setsdefaultpath",
    "exec.meta.ulimit",
    "exec.meta.removemountstubs.recursive",
    "exec.mount.bind",
    "exec.mount.bind.readwrite-nooutput",
    "exec.mount.cache",
    "exec.mount.cache.sharing",
    // A mount always counts by its content, which is all that ON asks for and no less than OFF does.
    "exec.mount.cache.content",
    "exec.mount.selector",
    "exec.mount.tmpfs",
    "exec.mount.tmpfs.size",
    "exec.mount.secret",
    "exec.mount.ssh",
    "exec.cgroup",
    "exec.secretenv",
    "exec.validexitcode",
    "file.base",
    "file.rm.wildcard",
    "file.copy.includeexcludepatterns",
    "file.copy.requiredpaths",
    "file.rm.nofollowsymlink",
    "file.copy.alwaysreplaceexistingdestpaths",
    "file.copy.modestring",
    "file.symlink.create",
    "constraints",
    "platform",
    "meta.ignorecache",
    "meta.description",
    "mergeop",
    "diffop",
    "exporter.image.attestations",
    "exporter.image.annotations",
    "exporter.multiple",
    "exporter.sourcedateepoch",
    "source.policy",
    "cache.s3",
    "gc.freespacefilter",
    "history.filter",
];

/// What a frontend may ask of the gateway.
const GATEWAY: &[&str] = &[
    "solve.base",
    "resolveimage",
    "resolveimage.resolvemode",
    "readfile",
    "return",
    "returnmap",
    "readdir",
    "statfile",
    "proto.refarray",
    "frontend.inputs",
    "gateway.solve.metadata",
    "gateway.exec",
    "gateway.exec.extrahosts",
    "gateway.exec.secretenv",
    "gateway.exec.signals",
    "gateway.exec.filesystem",
    "frontend.caps",
    "gateway.solve.evaluate",
    "gateway.evaluate",
    "gateway.warnings",
    "reference.output",
    "source.metaresolver",
];

/// Refuses a capability that isn't there. What a definition's exporter of caches would do is asked of it alone.
pub(super) fn check(name: &str) -> Result<(), Error> {
    match LLB.contains(&name) || name == "meta.exportcache" {
        true => Ok(()),
        false => Err(Error::Unsupported { what: format!("the capability {name:?}") }),
    }
}

fn list(names: &[&str]) -> Vec<ApiCap> {
    let cap = |name: &&str| ApiCap { id: (*name).to_owned(), enabled: true, ..ApiCap::default() };
    names.iter().map(cap).collect()
}

/// Of definitions.
pub(super) fn llb() -> Vec<ApiCap> {
    list(LLB)
}

/// Of the gateway.
pub(super) fn gateway() -> Vec<ApiCap> {
    list(GATEWAY)
}
