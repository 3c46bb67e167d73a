//! `DELETE /containers/{id}`.

use engine::containers::{Removal, Volumes};
use engine::images::Force;
use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn delete(call: Call) -> Result<Reply, Error> {
    if call.query.flag("link") {
        let (handle, alias) = call.engine.containers.link_at(call.name())?;
        handle.unlink(&alias).await?;
        return Ok(reply::empty(StatusCode::NO_CONTENT));
    }
    let force = if call.query.flag("force") { Force::Yes } else { Force::No };
    let volumes = if call.query.flag("v") { Volumes::Remove } else { Volumes::Keep };
    call.engine.containers.get(call.name())?.remove(Removal { force, volumes }).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
