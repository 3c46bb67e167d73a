//! `diff`, `export` and `commit`: a container's files from outside.

use client::encode;
use http::Method;

use super::save::{self, Unfinished};
use super::{filters, pull};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// `diff`, `container diff`.
pub(crate) fn diff(call: &Call) -> Outcome {
    let name = container(call)?;
    call.with_engine(|engine| async move {
        let changes = engine.get(&format!("/containers/{}/changes", encode(name))).await?;
        for change in changes.as_array().into_iter().flatten() {
            let letter = match change["Kind"].as_u64() {
                Some(1) => 'A',
                Some(2) => 'D',
                _ => 'C',
            };
            let path = change["Path"].as_str().unwrap_or_default();
            ui::out(&format!("{letter} {}\n", diag::printable(path)))?;
        }
        Ok(0)
    })
}

/// `export`, `container export`.
pub(crate) fn export(call: &Call) -> Outcome {
    let name = container(call)?;
    let file = match call.flags().find("output").filter(|path| !path.is_empty()) {
        Some(path) => Some(Unfinished::create(path.as_ref(), "failed to export container")?),
        None if ui::out_is_terminal() => {
            let message = "cowardly refusing to save to a terminal. Use the -o flag or redirect";
            return Err(Error::Usage(message.into()));
        }
        None => None,
    };
    let path = format!("/containers/{}/export", encode(name));
    save::fetch(call, path, file)
}

/// `commit`, `container commit`.
pub(crate) fn commit(call: &Call) -> Outcome {
    let flags = call.flags();
    let name = container(call)?;
    let mut query = vec![Some(format!("container={}", encode(name)))];
    if let Some(typed) = call.args().get(1).filter(|typed| !typed.is_empty()) {
        let reference = pull::parse(typed)?;
        if reference.digest().is_some() {
            return Err(Error::Usage("refusing to create a tag with a digest reference".into()));
        }
        query.push(Some(format!("repo={}", encode(&reference.familiar_name()))));
        query.push(Some(format!("tag={}", encode(reference.tag().unwrap_or("latest")))));
    }
    for (flag, parameter) in [("author", "author"), ("message", "comment")] {
        query.push(flags.find(flag).map(|text| format!("{parameter}={}", encode(text))));
    }
    query.extend(flags.list("change").iter().map(|change| Some(format!("changes={}", encode(change)))));
    if !flags.bool("pause") || flags.bool("no-pause") {
        query.push(Some("pause=0".into()));
    }
    let path = filters::with_query("/commit", &query);
    call.with_engine(|engine| async move {
        let made = engine.call(Method::POST, &path, None).await?.json()?;
        ui::out(&format!("{}\n", made["Id"].as_str().unwrap_or_default()))?;
        Ok(0)
    })
}

fn container(call: &Call) -> Result<&str, Error> {
    match call.args().first().map(|name| name.trim()) {
        Some("") | None => Err(Error::Usage("invalid container name or ID: value is empty".into())),
        Some(name) => Ok(name),
    }
}
