//! `POST /build?version=2`: how docker's client of before 23 asks for BuildKit's builds. It holds a session beside the request,
//! and the answer's documents carry BuildKit's own messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build::session::Session;
use buildkit::proto::control::{CacheOptions, CacheOptionsEntry, Exporter, SolveRequest};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{parameters, stream::line};
use crate::body::{self, BlockingReader};
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

/// Messages that wait for the client.
const AHEAD: usize = 16;

pub(super) async fn post(mut call: Call) -> Result<Reply, Error> {
    let (question, builder) = (question(&call)?, call.builder.clone());
    let context = match call.query.get("remote") {
        "" => Some(uploaded(call).await?),
        _ => {
            call.ignore_body().await?;
            None
        }
    };
    let (sender, body) = body::streamed();
    tasks::spawn(async move {
        let (to, mut heard) = mpsc::channel::<Vec<u8>>(AHEAD);
        let telling = async {
            while let Some(message) = heard.recv().await {
                let document = json!({ "id": "moby.buildkit.trace", "aux": STANDARD.encode(message) });
                if sender.send(line(&document)).await.is_err() {
                    return;
                }
            }
        };
        let building = async { tokio::join!(builder.solve_and_tell(question, context, to), telling).0 };
        let solved = tokio::select! {
            solved = building => solved,
            () = sender.closed() => return,
        };
        let last = match solved {
            Ok(response) => match response.get("containerimage.config.digest") {
                Some(id) => json!({ "id": "moby.image.id", "aux": { "ID": id } }),
                None => return,
            },
            Err(status) => json!({ "errorDetail": { "message": status.message }, "error": status.message }),
        };
        // One that left meanwhile hears nothing.
        let _ = sender.send(line(&last)).await;
    });
    Ok(reply::with_type(StatusCode::OK, "application/json", body))
}

/// The context that is in the body, as bollard and testcontainers send it.
async fn uploaded(call: Call) -> Result<Arc<dyn Session>, Error> {
    let (engine, body) = (call.engine, BlockingReader::new(call.request.into_body()));
    let taking = move || body.lend(|body| engine.builds.take_context(Some(body), BTreeMap::new()));
    let taken = tasks::blocking(taking).await;
    let taken = taken.map_err(|error| {
        Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot read the context: {error}"))
    })?;
    Ok(Arc::new(taken.map_err(|error| Error::from(engine::Error::Build(Box::new(error))))?))
}

/// What BuildKit's own call would say.
fn question(call: &Call) -> Result<SolveRequest, Error> {
    let refused = |what: String| Err(Error::refused(&what, "not supported by builds of BuildKit's"));
    parameters::refuse(call, &["isolation", "securityopt"])?;
    for name in ["memory", "memswap", "cpushares", "cpuperiod", "cpuquota", "cpusetcpus", "cpusetmems"] {
        if !matches!(call.query.get(name), "" | "0") {
            return refused(format!("{name}={}", call.query.get(name)));
        }
    }
    let remote = match call.query.get("remote") {
        "upload-request" => return refused("a context from the standard input".to_owned()),
        "" | "client-session" => None,
        address => Some(address),
    };
    let attributes = parameters::attributes(call, remote)?;
    let inline = attributes.get("build-arg:BUILDKIT_INLINE_CACHE").is_some_and(|value| value == "1");
    let entry = |kind: &str, attrs| CacheOptionsEntry { r#type: kind.to_owned(), attrs };
    let imports = parameters::caches(call)?.into_iter();
    let cache = CacheOptions {
        imports: imports.map(|from| entry(&from.kind, from.attributes.into_iter().collect())).collect(),
        exports: inline.then(|| entry("inline", Default::default())).into_iter().collect(),
        ..CacheOptions::default()
    };
    let host = call.query.get("networkmode") == "host";
    Ok(SolveRequest {
        r#ref: parameters::id(call),
        session: call.query.get("session").to_owned(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attrs: attributes.into_iter().collect(),
        exporters: exporters(call)?,
        cache: Some(cache),
        entitlements: host.then(|| "network.host".to_owned()).into_iter().collect(),
        ..SolveRequest::default()
    })
}

/// `[{"Type":"local","Attrs":{"dest":"out"}}]`; an image where nothing is said.
fn exporters(call: &Call) -> Result<Vec<Exporter>, Error> {
    let wrong = |why: String| Error::invalid(format!("error reading outputs: {why}"));
    let outputs: Vec<Value> = match call.query.get("outputs") {
        "" | "null" | "[]" => vec![json!({ "Type": "moby" })],
        text => serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?,
    };
    let names = call.query.all("t").filter(|name| !name.is_empty()).collect::<Vec<_>>().join(",");
    let mut exporters = Vec::new();
    for output in outputs.iter().filter(|output| output["Type"] != "cacheonly") {
        let kind = output["Type"].as_str().ok_or_else(|| wrong("one has no type".into()))?;
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        let mut attrs: std::collections::HashMap<_, _> =
            output["Attrs"].as_object().into_iter().flatten().filter_map(text).collect();
        if matches!(kind, "moby" | "image") && !names.is_empty() {
            attrs.insert("name".to_owned(), names.clone());
        }
        if parameters::flag(call, "squash") {
            attrs.insert("squash".to_owned(), "true".to_owned());
        }
        exporters.push(Exporter { r#type: kind.to_owned(), attrs });
    }
    Ok(exporters)
}
