//! `rename`.

use client::encode;
use http::Method;

use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// Gives a container another name.
pub(crate) fn rename(call: &Call) -> Outcome {
    let [old, new] = call.args() else { return Ok(1) };
    let (old, new) = (old.trim(), new.trim());
    if old.is_empty() || new.is_empty() {
        return Err(Error::Usage("Neither old nor new names may be empty".into()));
    }
    let path = format!("/containers/{}/rename?name={}", encode(old), encode(new));
    call.with_engine(|engine| async move {
        match engine.call(Method::POST, &path, None).await {
            Ok(_) => Ok(0),
            // What the engine says, and which container it was about.
            Err(error @ client::Error::Response { .. }) => {
                ui::err(&diag::printable(&error.to_string()));
                Err(Error::Several(format!("Error: failed to rename container named {old}")))
            }
            Err(other) => Err(other.into()),
        }
    })
}
