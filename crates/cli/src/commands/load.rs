//! `load` and `import`: an archive from a file or the input, streamed.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use client::encode;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::{filters, platform, pull};
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::messages;
use crate::ui::{self, Sink};

/// `load`, `image load`.
pub(crate) fn load(call: &Call) -> Outcome {
    let flags = call.flags();
    let input: Box<dyn Read + Send> = match flags.find("input") {
        Some(path) => Box::new(opened(path)?),
        None if ui::in_is_terminal() => {
            return Err(Error::Usage("requested load from stdin, but stdin is empty".into()));
        }
        None => Box::new(std::io::stdin()),
    };
    let quiet = flags.bool("quiet") || !ui::out_is_terminal();
    let mut query = vec![Some(format!("quiet={}", u8::from(quiet)))];
    query.extend(platform::parameter(flags)?);
    call.with_engine(|engine| async move {
        let path = filters::with_query("/images/load", &query);
        let body = engine.stream_from(Method::POST, &path, streamed(input)).await?;
        messages::show(body, Sink::Output).await?;
        Ok(0)
    })
}

/// `import`, `image import`.
pub(crate) fn import(call: &Call) -> Outcome {
    let flags = call.flags();
    let (source, name) = match call.args() {
        [source] => (source.as_str(), ""),
        [source, name, ..] => (source.as_str(), name.as_str()),
        [] => ("", ""),
    };
    let far = source.starts_with("http://") || source.starts_with("https://");
    let input: Option<Box<dyn Read + Send>> = match source {
        "-" => Some(Box::new(std::io::stdin())),
        _ if far => None,
        path => Some(Box::new(opened(path)?)),
    };
    if !name.is_empty() {
        pull::parse(name)?;
    }
    let mut query = vec![
        Some(format!("fromSrc={}", encode(if far { source } else { "-" }))),
        (!name.is_empty()).then(|| format!("repo={}", encode(name))),
        flags.find("message").map(|message| format!("message={}", encode(message))),
        call.platform().map(|platform| format!("platform={}", encode(&platform.to_lowercase()))),
    ];
    query.extend(flags.list("change").iter().map(|change| Some(format!("changes={}", encode(change)))));
    let path = filters::with_query("/images/create", &query);
    call.with_engine(|engine| async move {
        let body = match input {
            Some(input) => engine.stream_from(Method::POST, &path, streamed(input)).await?,
            None => engine.stream(Method::POST, &path, None).await?,
        };
        messages::show(body, Sink::Output).await?;
        Ok(0)
    })
}

pub(super) fn opened(path: &str) -> Result<File, Error> {
    let file = File::open(path).map_err(|e| Error::Usage(format!("open {path}: {e}")))?;
    match file.metadata() {
        Ok(found) if found.is_dir() => Err(Error::Usage(format!("read {path}: is a directory"))),
        _ => Ok(file),
    }
}

/// A request's body from a reader, read by a thread a few pieces ahead.
pub(super) fn streamed(
    mut input: Box<dyn Read + Send>,
) -> http_body_util::combinators::BoxBody<Bytes, std::io::Error> {
    let (sender, mut receiver) = mpsc::channel::<std::io::Result<Bytes>>(4);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let piece = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(size) => Ok(Bytes::copy_from_slice(&buffer[..size])),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => Err(e),
            };
            let failed = piece.is_err();
            if sender.blocking_send(piece).is_err() || failed {
                return;
            }
        }
    });
    let pieces = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
    let frames = futures_util::StreamExt::map(pieces, |piece| piece.map(Frame::data));
    BodyExt::boxed(StreamBody::new(frames))
}
