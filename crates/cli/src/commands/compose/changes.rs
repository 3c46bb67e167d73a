//! Waiting for a container to become what it has to be: told by the engine's events, so that nobody waits longer than it
//! takes.

use std::time::Duration;

use client::{Engine, encode};
use http::Method;
use serde_json::json;

use crate::error::Error;
use crate::messages::Messages;

/// An engine may forget to tell: it is asked again after this.
const LOOK: Duration = Duration::from_secs(1);

/// What happens to a container from now on.
pub(super) struct Changes(Messages);

impl Changes {
    pub(super) async fn of(engine: &Engine, id: &str) -> Result<Self, Error> {
        let events = ["health_status", "start", "die", "destroy", "unpause"];
        let filters = json!({ "type": ["container"], "container": [id], "event": events }).to_string();
        let path = format!("/events?filters={}", encode(&filters));
        Ok(Self(Messages::new(engine.stream(Method::GET, &path, None).await?)))
    }

    /// Waits for the next change, or for a while.
    pub(super) async fn next(&mut self, at_most: Option<Duration>) -> Result<(), Error> {
        let patience = at_most.map_or(LOOK, |at_most| at_most.min(LOOK));
        match tokio::time::timeout(patience, self.0.next()).await {
            Ok(Ok(None)) => Err(Error::Usage("the engine ended".into())),
            Ok(event) => event.map(drop),
            Err(_) => Ok(()),
        }
    }
}
