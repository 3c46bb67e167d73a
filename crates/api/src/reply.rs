//! Making replies.

use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serving::Body;

use crate::body;

pub(crate) type Reply = Response<Body>;

/// Go's encoder ends each document with a line feed, and a terminal likes it.
pub(crate) fn json<T: Serialize>(value: &T) -> Reply {
    json_with(StatusCode::OK, value)
}

pub(crate) fn json_with<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    let (status, mut text) = match serde_json::to_vec(value) {
        Ok(text) => (status, text),
        Err(error) => {
            let text = serde_json::json!({ "message": format!("cannot encode the reply: {error}") });
            (StatusCode::INTERNAL_SERVER_ERROR, text.to_string().into_bytes())
        }
    };
    text.push(b'\n');
    with_type(status, "application/json", body::full(text))
}

pub(crate) fn text(text: &'static str) -> Reply {
    with_type(StatusCode::OK, "text/plain; charset=utf-8", body::full(text))
}

pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(body::full(""));
    *reply.status_mut() = status;
    reply
}

pub(crate) fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
