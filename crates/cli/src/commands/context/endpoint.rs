//! `--docker host=…,ca=…,cert=…,key=…,skip-tls-verify=…,from=…` as an endpoint and its certificates.

use std::path::Path;

use client::context::{Context, DEFAULT, ENDPOINT};
use client::{Host, files};
use flags::go;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Error;

/// What a new or changed context is made of.
pub(super) struct Source {
    pub(super) description: String,
    pub(super) endpoint: Value,
    pub(super) tls: Vec<(String, String, Vec<u8>)>,
}

/// Reads the flag; without it the context `from`, or the current one, is the source.
pub(super) fn read(call: &Call, from: Option<&str>) -> Result<Source, Error> {
    let flags = call.flags();
    if from.is_some() && flags.changed("docker") {
        return Err(Error::Usage("cannot use --docker flag when --from is set".into()));
    }
    if !flags.changed("docker") {
        let name = from.map_or_else(|| call.context_name(), |name| Ok(name.to_owned()))?;
        return existing(call, &name);
    }
    let mut source = Source { description: String::new(), endpoint: json!({}), tls: Vec::new() };
    let mut host = None;
    let mut skip = false;
    for value in flags.list("docker") {
        for pair in go::split_csv(&value).map_err(Error::Usage)? {
            let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
            match key.trim() {
                "host" => host = Some(value.to_owned()),
                "from" => source = existing(call, value)?,
                "skip-tls-verify" => {
                    skip =
                        go::parse_bool(value).map_err(|e| Error::Usage(format!("skip-tls-verify: {e}")))?;
                }
                file @ ("ca" | "cert" | "key") => {
                    source.tls.push((ENDPOINT.into(), format!("{file}.pem"), read_file(value)?));
                }
                other => return Err(Error::Usage(format!("unrecognized config key: {other}"))),
            }
        }
    }
    if let Some(host) = host {
        Host::parse(&host, !source.tls.is_empty())?;
        source.endpoint = json!({ "Host": host, "SkipTLSVerify": skip });
    }
    if source.endpoint["Host"].as_str().is_none_or(str::is_empty) {
        source.endpoint = json!({ "Host": call.default_endpoint()?.address, "SkipTLSVerify": skip });
    }
    Ok(source)
}

fn existing(call: &Call, name: &str) -> Result<Source, Error> {
    if name == DEFAULT {
        let endpoint = call.default_endpoint()?;
        let mut source = Source {
            description: String::new(),
            endpoint: json!({ "Host": endpoint.address, "SkipTLSVerify": false }),
            tls: Vec::new(),
        };
        let Some(tls) = endpoint.tls else { return Ok(source) };
        source.endpoint["SkipTLSVerify"] = tls.ca.is_none().into();
        let identity = tls.identity.map(|(cert, key)| [(cert, "cert.pem"), (key, "key.pem")]);
        for (path, name) in tls.ca.map(|ca| (ca, "ca.pem")).into_iter().chain(identity.into_iter().flatten())
        {
            source.tls.push((ENDPOINT.into(), name.into(), read_path(&path)?));
        }
        return Ok(source);
    }
    let store = call.contexts();
    let context: Context = store.get(name)?;
    Ok(Source {
        description: context.description().to_owned(),
        endpoint: context.meta["Endpoints"][ENDPOINT].clone(),
        tls: store.tls_files(name)?,
    })
}

fn read_file(path: &str) -> Result<Vec<u8>, Error> {
    let home = client::resolve::process_env("HOME").unwrap_or_default();
    match path.strip_prefix("~/") {
        Some(rest) => read_path(&Path::new(&home).join(rest)),
        None => read_path(Path::new(path)),
    }
}

fn read_path(path: &Path) -> Result<Vec<u8>, Error> {
    files::read(path)?
        .ok_or_else(|| Error::Usage(format!("open {}: no such file or directory", path.display())))
}
