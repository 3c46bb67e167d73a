//! Following where an answer points, for requests without a body.

use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;

use crate::transport::{Transport, empty};
use crate::url::Url;
use crate::{Error, Work};
use dial::Secret;

/// A registry sends to its storage once; more than a few hops are a loop.
pub(crate) const MOST: usize = 10;

/// An answer and whose it is.
pub(crate) struct Answer {
    pub(crate) url: Url,
    pub(crate) response: Response<Incoming>,
}

/// Asks, and asks again where the answers point. The authorization stays with the origin that it is for.
pub(crate) fn follow<'a>(
    transport: &'a Transport,
    method: &'a Method,
    start: &'a Url,
    headers: &'a HeaderMap,
    authorization: Option<&'a Secret>,
) -> Work<'a, Answer> {
    Box::pin(async move {
        let mut url = start.clone();
        for _ in 0..=MOST {
            let mut request = Request::new(empty());
            *request.method_mut() = method.clone();
            *request.headers_mut() = headers.clone();
            if let Some(secret) = authorization.filter(|_| url.origin == start.origin) {
                request.headers_mut().insert(header::AUTHORIZATION, header_of(secret)?);
            }
            let response = transport.send(&url, request).await?;
            let Some(next) = target(&url, &response)? else { return Ok(Answer { url, response }) };
            url = next;
        }
        Err(Error::Redirect { host: start.origin.authority(), why: "without end" })
    })
}

/// A header value that nothing prints.
pub(crate) fn header_of(secret: &Secret) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(secret.reveal())
        .map_err(|_| Error::Address { what: "a credential", value: "[redacted]".into() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Where an answer sends to; never from HTTPS to plain HTTP.
pub(crate) fn target(url: &Url, response: &Response<Incoming>) -> Result<Option<Url>, Error> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    location(url, response).map(Some)
}

/// What an answer's `Location` says.
pub(crate) fn location(url: &Url, response: &Response<Incoming>) -> Result<Url, Error> {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let nowhere = || Error::Redirect { host: url.origin.authority(), why: "without saying where to" };
    let next = url.join(location.ok_or_else(nowhere)?)?;
    match url.origin.tls && !next.origin.tls {
        true => Err(Error::Redirect { host: url.origin.authority(), why: "from HTTPS to plain HTTP" }),
        false => Ok(next),
    }
}
