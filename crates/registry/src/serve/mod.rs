//! Requests: who may, what is meant, and the answer with the headers that clients rely on.

mod blobs;
mod lists;
mod manifests;
mod uploads;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};
use serving::query::{self, Plus, Query};
use serving::{Answer, Body, Peer};

use crate::auth::{Action, Auth, Caller};
use crate::body::{self, Room, Way};
use crate::cache::Cache;
use crate::config::{EventAction, Settings};
use crate::error::Problem;
use crate::metrics::Metrics;
use crate::notify::{Notifier, Origin, Subject};
use crate::repository::Repositories;
use crate::route::{Name, Route};
use crate::upstream::Upstreams;

pub(crate) type Reply = Response<Body>;

/// Everything that answers need.
pub(crate) struct Registry {
    pub(crate) repositories: Repositories,
    pub(crate) settings: Settings,
    pub(crate) auth: Auth,
    pub(crate) cache: Cache,
    pub(crate) room: Room,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) upstreams: Upstreams,
    /// None when the registry ends.
    pub(crate) notifier: Mutex<Option<Notifier>>,
}

/// A registry for any number of listeners.
#[derive(Clone)]
pub(crate) struct Service(pub(crate) Arc<Registry>);

/// One request: its address, understood, and the rest of it.
pub(crate) struct Call {
    pub(crate) registry: Arc<Registry>,
    pub(crate) method: Method,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
    pub(crate) caller: Caller,
    pub(crate) origin: Origin,
    /// How the answer's body gets to the client.
    pub(crate) way: Way,
    /// The host that a client of a mirror said it means.
    pub(crate) namespace: Option<String>,
}

impl Answer for Service {
    async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Reply {
        let begun = Instant::now();
        let line = self.0.settings.access_log.then(|| Line::new(&request, peer));
        let (method, version) = (request.method().clone(), request.version());
        let (route, result) = self.dispatch(request, peer).await;
        let mut reply = result.unwrap_or_else(|problem| refusal(&problem));
        // Of a body that wasn't read to its end, the rest would be taken for the next request.
        let unread =
            reply.status().as_u16() >= 400 && matches!(method, Method::PUT | Method::POST | Method::PATCH);
        if unread && version < http::Version::HTTP_2 {
            put(&mut reply, "connection", "close");
        }
        self.sign(&mut reply, route.as_ref());
        self.0.metrics.count(route.as_ref(), &method, reply.status(), begun.elapsed());
        if let Some(line) = line {
            line.log(&reply, begun);
        }
        reply
    }
}

/// Health and metrics, for a listener that not everybody reaches.
#[derive(Clone)]
pub(crate) struct Debug(pub(crate) Arc<Registry>);

impl Answer for Debug {
    async fn answer(&self, request: Request<Incoming>, _: &Peer) -> Reply {
        let path = request.uri().path();
        match request.method() == Method::GET {
            true if matches!(path, "/debug/health" | "/healthz") => self.0.health(),
            true if self.0.settings.metrics.as_deref() == Some(path) => self.0.show_metrics(),
            _ => refusal(&Problem::not_found()),
        }
    }
}

impl Service {
    async fn dispatch(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
    ) -> (Option<Route>, Result<Reply, Problem>) {
        let route = query::decode(request.uri().path(), Plus::IsPlus).map_err(Problem::from);
        let route = match route.and_then(|path| Route::find(&path)) {
            Ok(Some(route)) => route,
            Ok(None) => return (None, Err(Problem::not_found())),
            Err(problem) => return (None, Err(problem)),
        };
        let result = self.handle(route.clone(), request, peer).await;
        (Some(route), result)
    }

    async fn handle(&self, route: Route, request: Request<Incoming>, peer: &Peer) -> Result<Reply, Problem> {
        let query = Query::parse(request.uri().query().unwrap_or_default())?;
        let (parts, body) = request.into_parts();
        let registry = self.0.clone();
        if let Some(reply) = registry.open_to_all(&route, &parts.method) {
            return reply;
        }
        if route == Route::Token {
            return Box::pin(registry.auth.token(&parts.method, query, &parts.headers, body)).await;
        }
        let caller = Box::pin(registry.auth.caller(&parts.headers, peer)).await?;
        let origin = origin(&parts, &caller, peer);
        let (route, namespace) = registry.in_namespace(route, &query);
        let (method, headers) = (parts.method, parts.headers);
        let way = match parts.version < http::Version::HTTP_2 && !peer.encrypted {
            true => Way::Plain,
            false => Way::Through,
        };
        let call = Call { registry, method, query, headers, body, caller, origin, way, namespace };
        let said = call.namespace.clone();
        let mut result = Self::answer_call(route, call).await;
        if let (Ok(reply), Some(said)) = (&mut result, said) {
            put(reply, "oci-namespace", &said);
        }
        result
    }

    async fn answer_call(route: Route, call: Call) -> Result<Reply, Problem> {
        // Each in a box: a connection has room for the largest answer, and most have none under way.
        match route {
            Route::Base => call.base(),
            Route::Catalog => Box::pin(call.catalog()).await,
            Route::Extensions(name) => call.extensions(name.as_ref()),
            Route::Tags(name) => Box::pin(call.tags(name)).await,
            Route::Manifest(name, target) => Box::pin(call.manifest(name, &target)).await,
            Route::Blob(name, digest) => Box::pin(call.blob(name, digest)).await,
            Route::Uploads(name) => Box::pin(call.begin_upload(name)).await,
            Route::Upload(name, session) => Box::pin(call.upload(name, session)).await,
            Route::Referrers(name, digest) => Box::pin(call.referrers(name, digest)).await,
            Route::Health | Route::Token => Err(Problem::not_found()),
        }
    }

    /// The headers that every answer has.
    fn sign(&self, reply: &mut Reply, route: Option<&Route>) {
        let headers = reply.headers_mut();
        headers.insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        for (name, value) in &self.0.settings.headers {
            headers.append(name.clone(), value.clone());
        }
        let name = match route {
            Some(Route::Tags(name) | Route::Manifest(name, _) | Route::Blob(name, _)) => name,
            Some(Route::Uploads(name) | Route::Upload(name, _) | Route::Referrers(name, _)) => name,
            _ => return,
        };
        for warning in self.0.settings.warnings.iter().filter(|warning| warning.concerns(name)) {
            headers.append(header::WARNING, warning.value.clone());
        }
    }
}

/// Who sent a request, as events tell it.
fn origin(parts: &http::request::Parts, caller: &Caller, peer: &Peer) -> Origin {
    let text = |name: header::HeaderName| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        crate::route::shorten(value.unwrap_or_default())
    };
    Origin {
        user: caller.user.clone(),
        address: peer.address.map(|address| address.to_string()).unwrap_or_default(),
        host: text(header::HOST),
        agent: text(header::USER_AGENT),
        method: parts.method.to_string(),
    }
}

impl Registry {
    /// What a client of a mirror means by a name: the repository of the host that `?ns=` says, where that is kept here.
    fn in_namespace(&self, route: Route, query: &Query) -> (Route, Option<String>) {
        let host = query.get("ns");
        let renamed = |name: &Name| self.upstreams.of_host(host, name);
        let moved = match &route {
            _ if host.is_empty() => None,
            Route::Tags(name) => renamed(name).map(Route::Tags),
            Route::Manifest(name, target) => renamed(name).map(|name| Route::Manifest(name, target.clone())),
            Route::Blob(name, digest) => renamed(name).map(|name| Route::Blob(name, digest.clone())),
            Route::Referrers(name, digest) => {
                renamed(name).map(|name| Route::Referrers(name, digest.clone()))
            }
            _ => None,
        };
        match moved {
            Some(moved) => (moved, Some(host.to_owned())),
            None => (route, None),
        }
    }

    /// Tells the webhooks.
    pub(crate) fn tell(&self, action: EventAction, subject: &Subject<'_>, origin: &Origin) {
        if let Some(notifier) = &*self.notifier.lock().unwrap_or_else(PoisonError::into_inner) {
            notifier.send(action, subject, origin);
        }
    }

    /// What needs no credentials.
    fn open_to_all(&self, route: &Route, method: &Method) -> Option<Result<Reply, Problem>> {
        match (route, method) {
            (Route::Health, &Method::GET | &Method::HEAD) => Some(Ok(self.health())),
            _ => None,
        }
    }

    pub(crate) fn health(&self) -> Reply {
        match self.metrics.trouble() {
            None => json_reply(StatusCode::OK, &json!({})),
            Some(why) => json_reply(StatusCode::SERVICE_UNAVAILABLE, &json!({ "storage": why })),
        }
    }

    pub(crate) fn show_metrics(&self) -> Reply {
        let mut reply = Response::new(body::full(self.metrics.render()));
        put(&mut reply, header::CONTENT_TYPE.as_str(), "text/plain; version=0.0.4; charset=utf-8");
        reply
    }
}

impl Call {
    /// `GET /v2/`: whether this is a registry, and whether the credentials are right.
    fn base(&self) -> Result<Reply, Problem> {
        self.only(&[Method::GET, Method::HEAD])?;
        self.registry.auth.permit_base(&self.caller)?;
        Ok(json_reply(StatusCode::OK, &json!({})))
    }

    fn extensions(&self, name: Option<&Name>) -> Result<Reply, Problem> {
        self.only(&[Method::GET, Method::HEAD])?;
        match name {
            Some(name) => self.permit(name, Action::Pull)?,
            None => self.registry.auth.permit_base(&self.caller)?,
        }
        // There are none, and the extension that says so is one.
        let discover = json!({
            "name": "_oci",
            "url": "https://github.com/opencontainers/distribution-spec/tree/main/extensions",
            "description": "the extensions of this registry",
            "endpoints": ["_oci/ext/discover"],
        });
        Ok(json_reply(StatusCode::OK, &json!({ "extensions": [discover] })))
    }

    pub(crate) fn permit(&self, name: &Name, action: Action) -> Result<(), Problem> {
        self.registry.auth.permit(&self.caller, name, action)?;
        if action != Action::Pull && action != Action::Delete && self.registry.upstreams.find(name).is_some()
        {
            return Err(Problem::unsupported("this repository is kept from another registry: push it there"));
        }
        if action != Action::Pull && self.registry.settings.read_only {
            return Err(Problem::unsupported("the registry is in read-only mode"));
        }
        // Here, and not with what is deleted: no kind of deletion forgets to ask.
        if action == Action::Delete && !self.registry.settings.delete {
            return Err(Problem::unsupported("deleting is disabled"));
        }
        Ok(())
    }

    pub(crate) fn only(&self, methods: &[Method]) -> Result<(), Problem> {
        if methods.contains(&self.method) {
            return Ok(());
        }
        let allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
        Err(Problem::unsupported("this address has no such method").header("allow", allowed.join(", ")))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// An address of ours: relative, unless it was configured how clients call this registry. A client knows best how it
    /// reached us; a `Host` header may be anything.
    pub(crate) fn location(&self, path: &str) -> String {
        format!("{}{path}", self.registry.settings.host.as_deref().unwrap_or_default())
    }
}

/// Runs what blocks beside the threads that serve the network. It goes on when the client goes.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tasks::blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Problem::internal(&error.to_string())),
    }
}

pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(body::full(""));
    *reply.status_mut() = status;
    reply
}

pub(crate) fn json_reply(status: StatusCode, value: &Value) -> Reply {
    let mut reply = Response::new(body::full(value.to_string()));
    *reply.status_mut() = status;
    put(&mut reply, "content-type", "application/json");
    reply
}

/// Sets a header from checked text.
pub(crate) fn put(reply: &mut Reply, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

fn refusal(problem: &Problem) -> Reply {
    let mut reply = json_reply(problem.status, &problem.body());
    for (name, value) in &problem.headers {
        put(&mut reply, name, value);
    }
    reply
}

/// A line of the access log.
struct Line {
    client: String,
    method: Method,
    path: String,
    agent: String,
}

impl Line {
    fn new(request: &Request<Incoming>, peer: &Peer) -> Self {
        let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Self {
            client: peer.address.map(|address| address.to_string()).unwrap_or_default(),
            method: request.method().clone(),
            path: crate::route::shorten(request.uri().path()),
            agent: crate::route::shorten(agent.unwrap_or_default()),
        }
    }

    fn log(self, reply: &Reply, begun: Instant) {
        let Self { client, method, path, agent } = self;
        let status = reply.status().as_u16();
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(target: "access", client, %method, path, status, milliseconds, agent, "request");
    }
}
