//! `GET /version`.

use std::collections::BTreeMap;

use about::{AS_DOCKER, COMMIT, COMMIT_TIME, VERSION};
use serde::Serialize;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};
use crate::version::MAXIMUM;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Version<'a> {
    platform: Platform,
    components: Vec<Component>,
    version: &'a str,
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: String,
    git_commit: &'a str,
    /// There is no Go in this engine. The key is there because clients index it.
    go_version: &'a str,
    os: &'a str,
    arch: &'a str,
    kernel_version: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    experimental: bool,
    build_time: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Platform {
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: &'static str,
    version: String,
    details: BTreeMap<&'static str, String>,
}

pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let host = &call.engine.host;
    let experimental = call.engine.settings.experimental;
    let (api_version, min_api_version) = (MAXIMUM.to_string(), call.oldest.to_string());
    let details = BTreeMap::from([
        ("ApiVersion", api_version.clone()),
        ("Arch", host.image_architecture().to_owned()),
        ("BuildTime", COMMIT_TIME.to_owned()),
        ("Experimental", experimental.to_string()),
        ("GitCommit", COMMIT.to_owned()),
        ("GoVersion", String::new()),
        ("KernelVersion", host.kernel_version.clone()),
        ("MinAPIVersion", min_api_version.clone()),
        ("Os", "linux".to_owned()),
    ]);
    // One binary: the runtime and the shim have its version because they are it.
    let part = |name| {
        let details = BTreeMap::from([("GitCommit", COMMIT.to_owned())]);
        Component { name, version: VERSION.to_owned(), details }
    };
    let engine = Component { name: "Engine", version: AS_DOCKER.to_owned(), details };
    Ok(reply::json(&Version {
        platform: Platform { name: format!("Ketch {VERSION}") },
        components: vec![engine, part("ketch-shim"), part("ketch-runtime")],
        version: AS_DOCKER,
        api_version,
        min_api_version,
        git_commit: COMMIT,
        go_version: "",
        os: "linux",
        arch: host.image_architecture(),
        kernel_version: &host.kernel_version,
        experimental,
        build_time: COMMIT_TIME,
    }))
}
