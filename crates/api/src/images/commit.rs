//! `POST /commit`.

use std::time::SystemTime;

use engine::containers::Commit;
use engine::containers::config::Config;
use http::StatusCode;
use oci::Reference;
use serde_json::{Value, json};

use crate::call::{Call, understood};
use crate::containers::blocking;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    let container = call.query.get("container").to_owned();
    let name = name(call.query.get("repo"), call.query.get("tag"))?;
    let mut commit = Commit {
        name,
        author: call.query.get("author").to_owned(),
        comment: call.query.get("comment").to_owned(),
        changes: call.query.all("changes").map(str::to_owned).collect(),
        config: None,
        // Who doesn't say anything wants a container that stands still.
        pause: call.query.get("pause").is_empty() || call.query.flag("pause"),
    };
    let engine = call.engine;
    commit.config = config(Call::json(call.request).await?)?;
    if container.is_empty() {
        return Err(Error::invalid("invalid name or ID supplied: \"\""));
    }
    let handle = engine.containers.get(&container)?;
    let since = SystemTime::now();
    let made = engine.clone();
    let id = blocking(move || made.containers.commit(&handle, commit)).await?;
    engine.make_room(since).await;
    Ok(reply::json_with(StatusCode::CREATED, &json!({ "Id": id })))
}

/// What is made is to be called so, with the tag beside it or in it.
pub(super) fn name(repository: &str, tag: &str) -> Result<Option<Reference>, Error> {
    let invalid = |error| Error::from(engine::Error::InvalidReference(error));
    if repository.is_empty() {
        return Ok(None);
    }
    let named = Reference::parse_as_typed(repository).map_err(invalid)?;
    if named.digest().is_some() {
        return Err(Error::invalid("cannot import digest reference"));
    }
    Ok(Some(if tag.is_empty() { named } else { named.with_tag(tag).map_err(invalid)? }))
}

fn config(body: Value) -> Result<Option<Config>, Error> {
    match body {
        Value::Null => Ok(None),
        body => understood(&body).map(Some),
    }
}
