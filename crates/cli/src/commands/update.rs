//! `update`.

use client::encode;
use http::Method;
use serde_json::Value;

use super::each::{finish, unless_fatal};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::{shape, ui};

/// Changes limits and restart policies.
pub(crate) fn update(call: &Call) -> Outcome {
    if call.flags().given().next().is_none() {
        return Err(Error::Usage("you must provide one or more flags when using this command".into()));
    }
    let body = shape::update(call.flags())?;
    call.with_engine(|engine| async move {
        let mut failures = Vec::new();
        for name in call.args() {
            let path = format!("/containers/{}/update", encode(name));
            match engine.call(Method::POST, &path, Some(&body)).await {
                Ok(answer) => {
                    ui::out(&format!("{name}\n"))?;
                    let answer = answer.json()?;
                    for warning in
                        answer["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str)
                    {
                        ui::err(&diag::printable(warning));
                    }
                }
                Err(error) => failures.push(unless_fatal(error)?),
            }
        }
        finish(&failures)
    })
}
