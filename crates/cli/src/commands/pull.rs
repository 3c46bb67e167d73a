//! `pull`, and the pulls of `create` and `run`.

use client::{Engine, encode};
use http::Method;
use oci::Reference;

use super::filters;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::messages;
use crate::tree::NO_TRUST;
use crate::ui::{self, Sink};

/// `pull`, `image pull`.
pub(crate) fn pull(call: &Call) -> Outcome {
    let quiet = call.flags().bool("quiet");
    let reference = named(call, quiet)?;
    check_trust(call)?;
    let sink = (!quiet).then_some(Sink::Output);
    call.with_engine(|engine| async move {
        fetch(call, &engine, &reference, sink).await?;
        ui::out(&format!("{reference}\n"))?;
        Ok(0)
    })
}

/// The image that `pull` and `push` mean: with `--all-tags` a whole repository, else one tag of it.
pub(crate) fn named(call: &Call, quiet: bool) -> Result<Reference, Error> {
    let typed = call.args().first().map_or("", String::as_str);
    let reference = parse(typed)?;
    let bare = reference.tag().is_none() && reference.digest().is_none();
    match (call.flags().bool("all-tags"), bare) {
        (true, false) => Err(Error::Usage("tag can't be used with --all-tags/-a".into())),
        (true, true) => Ok(reference),
        (false, _) => {
            if bare && !quiet {
                ui::out("Using default tag: latest\n")?;
            }
            Ok(reference.or_latest())
        }
    }
}

/// A reference as it was typed, without a tag that wasn't.
pub(crate) fn parse(typed: &str) -> Result<Reference, Error> {
    Reference::parse_as_typed(typed).map_err(|e| Error::Usage(e.to_string()))
}

/// Content Trust would be asked for by a flag or by a variable; nobody may believe that it was checked.
pub(crate) fn check_trust(call: &Call) -> Result<(), Error> {
    let flags = call.flags();
    let wanted = match flags.changed("disable-content-trust") {
        true => !flags.bool("disable-content-trust"),
        false => client::resolve::process_env("DOCKER_CONTENT_TRUST")
            .is_some_and(|value| flags::go::parse_bool(&value).unwrap_or(true)),
    };
    if wanted {
        return Err(Error::Refused {
            path: format!("{} --disable-content-trust=false", call.path()),
            reason: NO_TRUST,
        });
    }
    Ok(())
}

/// Lets the engine fetch an image, or all of a repository where the reference has neither tag nor digest.
pub(crate) async fn fetch(
    call: &Call,
    engine: &Engine,
    reference: &Reference,
    sink: Option<Sink>,
) -> Result<(), Error> {
    let version = reference.digest().map(|digest| digest.as_str()).or(reference.tag());
    let query = [
        Some(format!("fromImage={}", encode(&reference.repository()))),
        version.map(|version| format!("tag={}", encode(version))),
        call.platform().map(|platform| format!("platform={}", encode(&platform.to_lowercase()))),
    ];
    let path = filters::with_query("/images/create", &query);
    let engine = call.known_to(engine, reference.domain());
    let body = engine.stream(Method::POST, &path, None).await?;
    match sink {
        Some(sink) => messages::show(body, sink).await,
        None => messages::each(body, |_| Ok(())).await,
    }
}
