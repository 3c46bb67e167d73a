//! `publish`: the project's files as an artifact in a registry, in docker compose's form.

use bytes::Bytes;
use compose::{Project, Publication, labels};
use distribution::{Access, Repository};
use oci::Digest;
use oci::image::media_type;
use serde_json::{Value, json};

use super::remote::is_address;
use super::report::Report;
use super::{build, config, project};
use crate::call::{Call, block_on};
use crate::commands::{manifest, pull};
use crate::error::{Error, Outcome};
use crate::prompt;
use crate::ui;

/// What the manifest says that it is.
pub(super) const ARTIFACT: &str = "application/vnd.docker.compose.project";
/// The same in a manifest of OCI 1.0, which knows no types of artifacts.
pub(super) const EMPTY_CONFIG: &str = "application/vnd.docker.compose.config.empty.v1+json";
pub(super) const FILE: &str = "application/vnd.docker.compose.file+yaml";
pub(super) const ENV_FILE: &str = "application/vnd.docker.compose.envfile";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// `compose publish`.
pub(crate) fn publish(call: &Call) -> Outcome {
    let flags = call.flags();
    let [target] = call.args() else {
        return Err(Error::Usage(format!("requires exactly 1 argument, got {}", call.args().len())));
    };
    if flags.bool("app") {
        return Err(Error::Usage(
            "--app: images are not copied here: push them, and pin them with --resolve-image-digests".into(),
        ));
    }
    let version = flags.text("oci-version");
    if !matches!(version, "" | "1.0" | "1.1") {
        return Err(Error::Usage(format!("unsupported OCI version: {version}")));
    }
    let target = pull::parse(target)?.or_latest();
    let mut project = project::load_all(call)?;
    let publication = project.publication(&is_address)?;
    if !agreed(call, &project)? {
        return Ok(0);
    }
    let services: Vec<String> = project.names("services").into_iter().map(str::to_owned).collect();
    build::push_services(call, &project, &services, true)?;
    if flags.bool("resolve-image-digests") {
        project = config::pinned(call, project)?;
    }
    let layers = layers(call, &project, publication)?;
    let report = Report::new(call, false)?;
    let name = target.to_string();
    report.begins("Project", &name, "Publishing");
    if !call.is_dry() {
        block_on(async {
            let (client, credentials) = manifest::registry(call, target.domain());
            let repository = client.repository(&target, Access::Push, credentials.as_ref()).await?;
            for (_, bytes) in &layers {
                repository.send_bytes(bytes).await?;
            }
            repository.send_bytes(&Bytes::from_static(b"{}")).await?;
            let tag = target.tag().unwrap_or("latest");
            match put(&repository, tag, &layers, version != "1.0").await {
                // A registry of before OCI 1.1, most likely.
                Err(distribution::Error::Status { status: 400..=499, .. }) if version.is_empty() => {
                    put(&repository, tag, &layers, false).await
                }
                other => other,
            }
            .map_err(Error::from)
        })?;
    }
    report.done("Project", &name, "Published");
    Ok(0)
}

async fn put(
    repository: &Repository,
    tag: &str,
    layers: &[(Value, Bytes)],
    knows_artifacts: bool,
) -> Result<(), distribution::Error> {
    let layers: Vec<&Value> = layers.iter().map(|(descriptor, _)| descriptor).collect();
    let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default();
    let config = if knows_artifacts { EMPTY } else { EMPTY_CONFIG };
    let mut whole = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(config, b"{}", None),
        "layers": layers,
        "annotations": { "org.opencontainers.image.created": now.to_string() },
    });
    if knows_artifacts {
        whole["artifactType"] = ARTIFACT.into();
    }
    repository.put_manifest(tag, media_type::OCI_MANIFEST, &whole.to_string().into()).await
}

/// With the bytes themselves in it, as docker compose has it.
fn descriptor(kind: &str, bytes: &[u8], annotations: Option<Value>) -> Value {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    let digest = Digest::sha256(bytes);
    let mut found =
        json!({ "mediaType": kind, "digest": digest.as_str(), "size": bytes.len(), "data": data });
    if let Some(mut annotations) = annotations {
        annotations["com.docker.compose.version"] = labels::VERSION_VALUE.into();
        found["annotations"] = annotations;
    }
    found
}

fn layers(call: &Call, project: &Project, publication: Publication) -> Result<Vec<(Value, Bytes)>, Error> {
    let flags = call.flags();
    let mut layers = Vec::new();
    let mut add = |kind: &str, bytes: Bytes, annotations: Value| {
        layers.push((descriptor(kind, &bytes, Some(annotations)), bytes));
    };
    for file in publication.files {
        let mut annotations = json!({ "com.docker.compose.file": file.name });
        if file.extended {
            annotations["com.docker.compose.extends"] = "true".into();
        }
        add(FILE, file.text.into(), annotations);
    }
    if flags.bool("with-env") {
        for (name, path) in publication.env_files {
            match std::fs::read(&path) {
                Ok(bytes) => add(ENV_FILE, bytes.into(), json!({ "com.docker.compose.envfile": name })),
                // One that isn't required.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::Usage(format!("cannot read {}: {error}", path.display()))),
            }
        }
    }
    if flags.bool("resolve-image-digests") {
        let pinned = project.images_alone();
        add(FILE, pinned.into(), json!({ "com.docker.compose.file": "image-digests.yaml" }));
    }
    Ok(layers)
}

/// What must not be published unseen is shown, and asked about.
fn agreed(call: &Call, project: &Project) -> Result<bool, Error> {
    let flags = call.flags();
    let specs =
        || project.names("services").into_iter().filter_map(|name| Some((name, project.service(name)?)));
    let only_built = specs().filter(|(_, spec)| !spec["build"].is_null() && !spec["image"].is_string());
    let only_built: Vec<_> = only_built.map(|(name, _)| format!("- {name:?}\n")).collect();
    if !only_built.is_empty() {
        return Err(Error::Usage(format!(
            "your Compose stack cannot be published as it only contains a build section for service(s):\n{}",
            only_built.concat()
        )));
    }
    if flags.bool("yes") {
        return Ok(true);
    }
    let (mut mounts, mut declared, mut variables) = (String::new(), String::new(), String::new());
    for (name, spec) in specs() {
        let of = |key: &str| spec[key].as_array().into_iter().flatten();
        for mount in of("volumes").filter(|mount| mount["type"] == "bind") {
            let said = |key: &str| mount[key].as_str().unwrap_or_default();
            let mode = if mount["read_only"] == true { "ro" } else { "rw" };
            mounts.push_str(&format!("{name}: {}:{}:{mode}\n", said("source"), said("target")));
        }
        let own: Vec<_> = spec["environment"].as_object().into_iter().flatten().collect();
        if !own.is_empty() {
            declared.push_str(&format!("service {name:?} has environment variable(s) declared.\n"));
            let line =
                |(key, value): (&String, &Value)| format!("{key}={}\n", value.as_str().unwrap_or_default());
            variables.push_str(&format!("Service/Config  {name}\n"));
            variables.extend(own.into_iter().map(line));
        }
    }
    for name in project.names("configs") {
        let variable = project.resource("configs", name).and_then(|config| config["environment"].as_str());
        if let Some(variable) = variable {
            declared.push_str(&format!("config {name:?} is declare as an environment variable.\n"));
            variables.push_str(&format!("Service/Config  {name}\n{name}={variable}\n"));
        }
    }
    if !mounts.is_empty()
        && !asked(
            "you are about to publish bind mounts declaration within your OCI artifact.\n\
             only the bind mount declarations will be added to the OCI artifact (not content)\n\
             please double check that you are not mounting potential user's sensitive directories or data\n",
            &mounts,
            "Are you ok to publish these bind mount declarations?",
        )?
    {
        return Ok(false);
    }
    if !flags.bool("with-env") && !declared.is_empty() {
        return Err(Error::Usage(format!(
            "{declared}To avoid leaking sensitive data, you must either explicitly allow the sending of environment variables by using the --with-env flag,\nor remove sensitive data from your Compose configuration"
        )));
    }
    Ok(variables.is_empty()
        || asked(
            "you are about to publish environment variables within your OCI artifact.\n\
             please double check that you are not leaking sensitive data\n",
            &variables,
            "Are you ok to publish these environment variables?",
        )?)
}

fn asked(about: &str, list: &str, question: &str) -> Result<bool, Error> {
    ui::out(&format!("{about}{}", diag::printable(list)))?;
    block_on(prompt::confirm(question))
}

/// Registries that the command line says need no TLS: all of `publish`'s, those that `compose --insecure-registry` names.
pub(crate) fn is_insecure(call: &Call, domain: &str) -> bool {
    let flags = call.flags();
    let own = flags.has("insecure-registry") && flags.bool("insecure-registry");
    let group = call.group();
    own || (group.has("insecure-registry") && group.list("insecure-registry").iter().any(|one| one == domain))
}
