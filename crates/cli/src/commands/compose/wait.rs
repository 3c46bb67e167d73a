//! `wait`: until a service's containers end.

use client::Engine;
use futures_util::future::select_all;

use super::observe::{self, OneOff};
use super::{down, project};
use crate::call::Call;
use crate::commands::each;
use crate::error::{Error, Outcome};
use crate::ui;

/// `compose wait`.
pub(crate) fn wait(call: &Call) -> Outcome {
    let project = project::load(call, call.args())?;
    let services = project.known(call.args())?;
    if services.is_empty() {
        return Err(Error::Usage("\"compose wait\" requires at least 1 argument: SERVICE".into()));
    }
    let code = call.with_engine(|engine| async move {
        let there = observe::containers(&engine, &project.name, OneOff::Without).await?;
        let own = observe::of_services(there, &services);
        if own.is_empty() {
            return Err(Error::Usage(format!("no containers for project {:?}: not found", project.name)));
        }
        // The first that ends decides.
        let engine = &engine;
        let waiting = own.iter().map(|one| Box::pin(async move { code(engine, observe::id(one)).await }));
        let (code, index, _) = select_all(waiting).await;
        let code = code?;
        let service = observe::label(&own[index], compose::labels::SERVICE);
        ui::out(&format!("container {service:?} exited with status code {code}\n"))?;
        Ok(code)
    })?;
    if call.flags().bool("down-project") {
        down::whole(call)?;
    }
    Ok(code)
}

/// The exit code of a container, when it ends.
pub(super) async fn code(engine: &Engine, id: &str) -> Result<i32, Error> {
    each::exit_code(engine, id, "not-running").await
}
