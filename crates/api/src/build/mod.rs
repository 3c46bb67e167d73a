//! `/build`: the classic builder's routes, over the same builds as BuildKit's protocol.

mod buildkit;
mod classic;
mod parameters;
mod prune;
mod stream;

pub(crate) use classic::post;
pub(crate) use prune::post as prune;

use http::StatusCode;

use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

/// `POST /build/cancel`: ends a build that was given an id. One that isn't there has ended.
pub(crate) async fn cancel(mut call: Call) -> Result<Reply, Error> {
    call.ignore_body().await?;
    let id = call.query.get("id");
    if id.is_empty() {
        return Err(Error::invalid("build ID not provided"));
    }
    call.engine.builds.cancel(id);
    Ok(reply::empty(StatusCode::OK))
}
