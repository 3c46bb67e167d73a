//! `DELETE /containers/{id}`.

use engine::images::Force;
use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn delete(call: Call) -> Result<Reply, Error> {
    if call.query.flag("link") {
        return Err(Error::refused("link", "links come with networks"));
    }
    // `v` removes anonymous volumes, of which no container of this version has any.
    let force = if call.query.flag("force") { Force::Yes } else { Force::No };
    call.engine.containers.get(call.name())?.remove(force).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
