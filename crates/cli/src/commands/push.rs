//! `push`.

use client::encode;
use http::Method;
use serde_json::Value;

use super::{filters, platform, pull};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::messages::{self, Display};
use crate::ui::{self, Sink};

const ONE_PLATFORM: &str = "\
Using --platform pushes only the specified platform manifest of a multi-platform image index.
Other components, like attestations, will not be included.
To push the complete multi-platform image, remove the --platform flag.
";
const MISSING: &str = "\
You're trying to push a manifest list/index which references multiple platform specific manifests,
but not all of them are available locally or available to the remote repository.

Make sure you have all the referenced content and try again.

You can also push only a single platform specific manifest directly by specifying the platform
you want to push with the --platform flag.";

/// `push`, `image push`.
pub(crate) fn push(call: &Call) -> Outcome {
    let flags = call.flags();
    let quiet = flags.bool("quiet");
    let platform = flags.find("platform").filter(|platform| !platform.is_empty());
    let platform =
        platform.map(|typed| platform::parse(typed).map_err(|error| invalid(typed, &error))).transpose()?;
    if platform.is_some() {
        ui::out(&ui::note("Info", ONE_PLATFORM))?;
    }
    let reference = pull::named(call, quiet)?;
    pull::check_trust(call)?;
    let query = [
        reference.tag().map(|tag| format!("tag={}", encode(tag))),
        platform.map(|platform| format!("platform={}", encode(&platform))),
    ];
    let path = format!("/images/{}/push", reference.repository());
    let path = filters::with_query(&path, &query);
    call.with_engine(|engine| async move {
        let engine = call.known_to(&engine, reference.domain());
        let body = engine.stream(Method::POST, &path, None).await?;
        let mut display = Display::new(Sink::Output.is_terminal(), Sink::Output.columns());
        let mut notes = Vec::new();
        let shown = messages::each(body, |message| {
            notes.extend(remark(&message["aux"]));
            let text = display.next(message);
            if quiet { Ok(()) } else { ui::out(&text) }
        })
        .await;
        for text in notes {
            ui::out(&ui::note("Info", &text))?;
        }
        shown?;
        if quiet {
            ui::out(&format!("{reference}\n"))?;
        }
        Ok(0)
    })
}

fn invalid(typed: &str, error: &Error) -> Error {
    Error::Usage(format!("Invalid platform {typed}: {error}"))
}

/// What an engine that holds several platforms of an image has to say about them.
fn remark(aux: &Value) -> Option<String> {
    let digest = |key: &str| diag::printable(aux[key]["digest"].as_str().unwrap_or_default());
    if aux["manifestPushedInsteadOfIndex"] == true {
        return Some(format!(
            "Not all multiplatform-content is present and only the available single-platform image was pushed\n{} -> {}",
            digest("originalIndex"),
            digest("selectedManifest")
        ));
    }
    (aux["contentMissing"] == true).then(|| MISSING.to_owned())
}
