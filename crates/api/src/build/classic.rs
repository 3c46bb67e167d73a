//! `POST /build`: a context in, a stream of what is done out.

use std::io::Read;
use std::sync::Arc;

use build::progress::Progress;
use http::StatusCode;

use super::parameters::{Parameters, credentials};
use super::stream;
use crate::body::{self, BlockingReader};
use crate::call::Call;
use crate::error::Error;
use crate::reply::{self, Reply};

pub(crate) async fn post(call: Call) -> Result<Reply, Error> {
    if call.query.get("version") == "2" {
        return super::buildkit::post(call).await;
    }
    let parameters = Parameters::read(&call, call.engine.settings.builder.network_host);
    let credentials = credentials(&call);
    let engine = call.engine.clone();
    let body = BlockingReader::new(call.request.into_body());
    let taking = tasks::blocking(move || {
        body.lend(|body| {
            let (parameters, credentials) = (parameters?, credentials?);
            let tar = parameters.remote.is_none().then_some(body as &mut dyn Read);
            let taken = engine.builds.take_context(tar, credentials);
            let taken = taken.map_err(|error| Error::from(engine::Error::Build(Box::new(error))))?;
            Ok::<_, Error>((parameters, taken))
        })
    });
    let crashed =
        |error| Error::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot read the context: {error}"));
    let (parameters, session) = taking.await.map_err(crashed)??;
    let progress = Progress::default();
    let (sender, body) = body::streamed();
    let engine = call.engine.clone();
    tasks::spawn(async move {
        let heard = progress.subscribe();
        let (quiet, names) = (parameters.quiet, parameters.names);
        let building = engine.build(parameters.request, Arc::new(session), progress);
        stream::tell(building, heard, quiet, &names, &sender).await;
    });
    Ok(reply::with_type(StatusCode::OK, "application/json", body))
}
