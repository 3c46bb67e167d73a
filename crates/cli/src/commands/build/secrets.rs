//! `--secret` and `--ssh`: what of the user's a step may see.

use std::path::PathBuf;

use buildkit::attach::{Offer, SecretSource};
use client::resolve::process_env;

use super::{context, csv};
use crate::call::Call;
use crate::error::Error;

/// Reads the flags into the offer.
pub(super) fn read(call: &Call, offer: &mut Offer) -> Result<(), Error> {
    for text in call.flags().list("secret") {
        let (id, source) = secret(&text)?;
        offer.secrets.insert(id, source);
    }
    let mut agents = call.flags().list("ssh");
    let context = call.args().first().map_or("", String::as_str);
    // A repository that is reached by ssh is, by the user's own agent.
    if agents.is_empty() && context::is_ssh(context) {
        agents.push("default".into());
    }
    for text in agents {
        let (id, socket) = agent(&text)?;
        offer.agents.insert(id, socket);
    }
    Ok(())
}

/// `id=…[,src=…][,env=…][,type=file|env]`. Without a place: the variable of that name, else the file.
fn secret(text: &str) -> Result<(String, SecretSource), Error> {
    let (mut id, mut file, mut variable, mut kind) = (String::new(), None, None, String::new());
    for (key, value) in csv::fields("secret", text)? {
        match key.as_str() {
            "id" => id = value,
            "source" | "src" => file = Some(value),
            "env" => variable = Some(value),
            "type" if matches!(value.as_str(), "file" | "env") => kind = value,
            "type" => return Err(usage(format!("unsupported secret type {value:?}"))),
            _ => return Err(usage(format!("unexpected key '{key}' in '{key}={value}'"))),
        }
    }
    if id.is_empty() {
        return Err(usage(format!("secret missing 'id' in {text:?}")));
    }
    // With type=env, a source is a variable's name.
    if kind == "env" && variable.is_none() {
        variable = file.take();
    }
    let source = match (file, variable) {
        (Some(path), _) => SecretSource::File(path.into()),
        (None, Some(name)) => SecretSource::Variable(name),
        (None, None) if kind != "file" && process_env(&id).is_some() => SecretSource::Variable(id.clone()),
        (None, None) => SecretSource::File((&id).into()),
    };
    if let SecretSource::File(path) = &source
        && let Err(e) = std::fs::metadata(path)
    {
        return Err(usage(format!("failed to stat {}: {e}", path.display())));
    }
    Ok((id, source))
}

/// `default` or `id[=socket]`.
fn agent(text: &str) -> Result<(String, PathBuf), Error> {
    let (id, path) = text.split_once('=').unwrap_or((text, ""));
    let path = match path {
        "" => process_env("SSH_AUTH_SOCK")
            .filter(|path| !path.is_empty())
            .ok_or_else(|| usage("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set".into()))?,
        path => path.to_owned(),
    };
    let is_socket = |path: &str| {
        use std::os::unix::fs::FileTypeExt as _;
        std::fs::metadata(path).map(|metadata| metadata.file_type().is_socket())
    };
    match is_socket(&path) {
        Ok(true) => Ok((id.to_owned(), path.into())),
        Ok(false) => {
            let why =
                format!("--ssh {text}: keys as files are not supported: add them to an agent with ssh-add");
            Err(usage(why))
        }
        Err(e) => Err(usage(format!("failed to open {path}: {e}"))),
    }
}

fn usage(text: String) -> Error {
    Error::Usage(text)
}
