//! `load`: an archive from a file or the input, streamed; and the engine's message streams.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use client::{Body, encode};
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::filters;
use crate::call::Call;
use crate::error::{Error, Outcome};
use crate::ui;

/// `load`, `image load`.
pub(crate) fn load(call: &Call) -> Outcome {
    let flags = call.flags();
    let input: Box<dyn Read + Send> = match flags.find("input") {
        Some(path) => {
            let opened = File::open(path);
            Box::new(opened.map_err(|e| Error::Usage(format!("open {path}: {}", plain(&e))))?)
        }
        None if ui::in_is_terminal() => {
            return Err(Error::Usage("requested load from stdin, but stdin is empty".into()));
        }
        None => Box::new(std::io::stdin()),
    };
    let quiet = flags.bool("quiet") || !ui::out_is_terminal();
    let mut query = vec![Some(format!("quiet={}", u8::from(quiet)))];
    for wanted in flags.list("platform") {
        query.push(Some(format!("platform={}", encode(&platform(&wanted)?))));
    }
    call.with_engine(|engine| async move {
        let path = filters::with_query("/images/load", &query);
        let body = engine.stream_from(Method::POST, &path, streamed(input)).await?;
        messages(body, |message| match message["stream"].as_str() {
            Some(text) => ui::out(&diag::printable(text)),
            None => Ok(()),
        })
        .await?;
        Ok(0)
    })
}

/// The kernel's sentence without the number that Rust appends.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// `linux/arm64/v8` as the API wants it.
pub(crate) fn platform(text: &str) -> Result<String, Error> {
    let mut parts = text.split('/');
    let (os, arch, variant) = (parts.next(), parts.next(), parts.next());
    let (Some(os), Some(arch), None) = (os.filter(|os| !os.is_empty()), arch, parts.next()) else {
        return Err(Error::Usage(format!("invalid platform: {text:?}: must be os/architecture[/variant]")));
    };
    let mut platform = json!({ "os": os, "architecture": arch });
    if let Some(variant) = variant {
        platform["variant"] = variant.into();
    }
    Ok(platform.to_string())
}

/// A request's body from a reader, read by a thread a few pieces ahead.
fn streamed(mut input: Box<dyn Read + Send>) -> http_body_util::combinators::BoxBody<Bytes, std::io::Error> {
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

/// The JSON messages of a stream, one by one; an error among them is the command's error.
pub(crate) async fn messages(
    mut body: Body,
    mut each: impl FnMut(&Value) -> Result<(), Error>,
) -> Result<(), Error> {
    /// No message is longer: an engine that sends one is broken.
    const LIMIT: usize = 16 << 20;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(piece) = body.next().await? {
        rest.extend_from_slice(&piece);
        let mut used = 0;
        let mut values = serde_json::Deserializer::from_slice(&rest).into_iter::<Value>();
        loop {
            match values.next() {
                Some(Ok(message)) => {
                    used = values.byte_offset();
                    if let Some(error) =
                        message["errorDetail"]["message"].as_str().or(message["error"].as_str())
                    {
                        return Err(Error::Usage(error.to_owned()));
                    }
                    each(&message)?;
                }
                Some(Err(error)) if error.is_eof() => break,
                Some(Err(source)) => {
                    return Err(client::Error::Json { path: "a stream of messages".into(), source }.into());
                }
                None => break,
            }
        }
        rest.drain(..used);
        if rest.len() > LIMIT {
            return Err(client::Error::TooLarge { path: "a stream of messages".into(), limit: LIMIT }.into());
        }
    }
    Ok(())
}
