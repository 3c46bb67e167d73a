//! What a build was made from, as its graph says.

use std::collections::{BTreeMap, BTreeSet};

use build::frontend::Ref;
use build::graph::{MountKind, Network, Op, Source, Vertex, VertexId};
use oci::Reference;
use serde_json::{Value, json};

use crate::builds::Parts;

/// Found on the way through one graph.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By address, so that there is one order.
    pub(super) materials: BTreeMap<String, Value>,
    pub(super) locals: BTreeSet<String>,
    /// With whether they may be absent.
    pub(super) secrets: BTreeMap<String, bool>,
    pub(super) agents: BTreeMap<String, bool>,
    /// Something is known by no digest.
    pub(super) incomplete: bool,
    pub(super) network: bool,
}

/// Vertices that a result needs, in their graph's order.
pub(super) fn needed(wanted: &Ref) -> Vec<(VertexId, &Vertex)> {
    let mut ids = BTreeSet::new();
    let mut ahead: Vec<VertexId> = wanted.output.iter().map(|output| output.vertex).collect();
    while let Some(id) = ahead.pop() {
        if ids.insert(id) {
            ahead.extend(wanted.graph.get(id).inputs.iter().map(|input| input.vertex));
        }
    }
    wanted.graph.iter().filter(|(id, _)| ids.contains(id)).collect()
}

/// All of one result.
pub(super) fn find(parts: &Parts, wanted: &Ref) -> Found {
    let mut found = Found::default();
    for (_, vertex) in needed(wanted) {
        match &vertex.op {
            Op::Source(source) => found.source(parts, source, vertex),
            Op::Exec(exec) => {
                found.network |= exec.network != Network::None;
                for secret in &exec.secret_env {
                    found.secrets.insert(secret.id.clone(), secret.optional);
                }
                for mount in &exec.mounts {
                    match &mount.kind {
                        MountKind::Secret(secret) => {
                            found.secrets.insert(secret.id.clone(), secret.optional);
                        }
                        MountKind::Ssh(agent) => drop(found.agents.insert(agent.id.clone(), agent.optional)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    found
}

impl Found {
    fn source(&mut self, parts: &Parts, source: &Source, vertex: &Vertex) {
        match source {
            Source::Image(image) => {
                let Ok(name) = Reference::parse(&image.reference) else { return };
                let host = crate::images::Wanted::host();
                let platform = vertex.platform.as_ref().unwrap_or_else(|| host.platform());
                let shown = shown(platform);
                let digest = name.digest().cloned().or_else(|| {
                    let found = parts.shared.images.catalogue().look_up(&image.reference).ok().flatten()?;
                    found.image.manifest.as_ref().map(|manifest| manifest.digest.clone())
                });
                self.add(
                    purl(&name, &shown),
                    digest.map(|digest| (digest.algorithm().name(), digest.hex().to_owned())),
                );
            }
            Source::Local(local) => {
                self.incomplete = true;
                self.locals.insert(local.name.clone());
            }
            Source::Git(git) => {
                let reference = Some(&git.reference).filter(|reference| !reference.is_empty());
                let uri =
                    reference.map_or_else(|| git.remote.clone(), |name| format!("{}#{name}", git.remote));
                let commit =
                    git.checksum.clone().or_else(|| is_commit(&git.reference).then(|| git.reference.clone()));
                self.add(uri, commit.map(|commit| ("sha1", commit)));
            }
            Source::Http(http) => {
                let digest = http.checksum.as_ref();
                self.add(
                    http.url.clone(),
                    digest.map(|digest| (digest.algorithm().name(), digest.hex().to_owned())),
                );
            }
            Source::OciLayout(layout) => self.add(format!("oci-layout://{}", layout.reference), None),
        }
    }

    fn add(&mut self, uri: String, digest: Option<(&'static str, String)>) {
        self.incomplete |= digest.is_none();
        let material = match digest {
            Some((algorithm, hex)) => json!({ "uri": uri, "digest": { algorithm: hex } }),
            None => json!({ "uri": uri }),
        };
        self.materials.insert(uri, material);
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn shown(platform: &oci::image::Platform) -> String {
    let variant = platform.variant.as_deref().filter(|variant| !variant.is_empty());
    let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os, platform.architecture)
}

/// A package's address: `pkg:docker/user/app@1?platform=linux%2Famd64`.
pub(super) fn purl(name: &Reference, platform: &str) -> String {
    let repository: Vec<String> = name.familiar_name().split('/').map(escaped).collect();
    let version = name.tag().map(|tag| format!("@{}", escaped(tag))).unwrap_or_default();
    format!("pkg:docker/{}{version}?platform={}", repository.join("/"), escaped(platform))
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_s_address_is_a_package_s() {
        let purl = |name: &str| purl(&Reference::parse(name).unwrap(), "linux/amd64");
        assert_eq!(purl("busybox:1"), "pkg:docker/busybox@1?platform=linux%2Famd64");
        assert_eq!(
            purl("reg.example:5000/a/b:t"),
            "pkg:docker/reg.example%3A5000/a/b@t?platform=linux%2Famd64"
        );
    }
}
