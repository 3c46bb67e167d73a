//! `POST /images/{name}/push`.

use engine::images::Push;
use oci::Reference;

use super::{create, platform, progress};
use crate::call::Call;
use crate::error::Error;
use crate::reply::Reply;

pub(crate) async fn post(mut call: Call) -> Result<Reply, Error> {
    call.ignore_body().await?;
    let invalid = |error| Error::from(engine::Error::InvalidReference(error));
    let named = Reference::parse_as_typed(call.name()).map_err(invalid)?;
    let reference = match call.query.get("tag") {
        "" => named,
        tag => named.with_tag(tag).map_err(invalid)?,
    };
    let wanted = platform::one(&call)?;
    let credentials = create::credentials(&call)?;
    let engine = call.engine.clone();
    let uploads = engine.live.load().max_concurrent_uploads;
    let push = Push { client: engine.registries(), reference, wanted, credentials, uploads };
    engine.images.check_push(&push)?;
    progress::stream(|progress| async move { engine.images.push(&push, &progress).await.map(drop) }).await
}
