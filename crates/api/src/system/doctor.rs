//! `GET /system/doctor` and `GET /system/ports`: Ketch's own.

use std::sync::Arc;

use engine::Engine;
use engine::networks::Opening;
use engine::system::doctor::{self, Finding, Health};
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

/// What the engine needs of its machine.
pub(crate) async fn get(call: Call) -> Result<Reply, Error> {
    let findings = look(call, |engine| Ok(doctor::examine(engine))).await?;
    Ok(reply::json(&findings.iter().map(describe).collect::<Vec<_>>()))
}

fn describe(finding: &Finding) -> Value {
    let health = match finding.health {
        Health::Fine => "ok",
        Health::Warning => "warning",
        Health::Failed => "failed",
    };
    json!({
        "Subject": finding.subject,
        "Health": health,
        "Said": finding.said,
        "Remedy": finding.remedy,
    })
}

/// Which ports lead to containers, and for whom.
pub(crate) async fn ports(call: Call) -> Result<Reply, Error> {
    let openings = look(call, |engine| engine.networks.openings()).await?;
    Ok(reply::json(&openings.iter().map(describe_opening).collect::<Vec<_>>()))
}

fn describe_opening(opening: &Opening) -> Value {
    let port = &opening.port;
    let range = |first: u16| match port.count {
        0 | 1 => first.to_string(),
        count => format!("{first}-{}", first.saturating_add(count - 1)),
    };
    json!({
        "Container": opening.container,
        "Type": port.transport.name(),
        "HostIP": port.host,
        "HostPort": range(port.first),
        "ContainerIP": port.container,
        "ContainerPort": range(port.container_port),
        "Reach": opening.reach,
        "Rule": opening.rule,
        "Hindered": opening.hindered,
    })
}

async fn look<T: Send + 'static>(
    call: Call,
    work: impl FnOnce(&Engine) -> Result<T, engine::Error> + Send + 'static,
) -> Result<T, Error> {
    let engine: Arc<Engine> = call.engine.clone();
    let looked = tasks::blocking(move || work(&engine)).await;
    let looked = looked.map_err(|error| {
        Error::new(http::StatusCode::INTERNAL_SERVER_ERROR, format!("cannot look at the machine: {error}"))
    })?;
    Ok(looked?)
}
