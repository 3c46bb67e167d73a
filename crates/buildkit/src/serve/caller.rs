//! A client's session, as a build sees it: what the client offers, asked for on the connection that it opened.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::sync::{Arc, Weak};

use build::graph::Local;
use build::session::{Credentials, Duplex, Receive, Secret, Session, Token, TokenRequest, Tree};
use build::{Error, Job};
use grpc::{Channel, Code, Metadata, Status};
use http::HeaderMap;
use oci::Digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::archive::{Archive, Upload};
use super::content;
use super::sessions::Sessions;
use crate::attach::method;
use crate::proto::auth;
use crate::proto::secrets::{GetSecretRequest, GetSecretResponse};
use crate::proto::ssh;
use crate::{metadata, tunnel};
use fsutil::failed;

/// Methods that a client may say it has: BuildKit's own have about twenty.
const MAX_METHODS: usize = 1000;
const MAX_NAME: usize = 256;
/// What of an agent's words waits on its way.
const AGENT_BUFFER: usize = 64 << 10;

/// A client.
#[derive(Debug)]
pub struct Caller {
    id: String,
    shared_key: String,
    methods: HashSet<String>,
    channel: Channel,
    /// Where the others are.
    sessions: Weak<Sessions>,
}

impl Caller {
    /// Takes over the stream that a client opened with these headers.
    pub async fn over(
        headers: &HeaderMap,
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        sessions: &Arc<Sessions>,
    ) -> Result<Self, Status> {
        let text = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            match value.len() {
                0..=MAX_NAME => Ok(value.to_owned()),
                _ => Err(Status::new(Code::InvalidArgument, format!("{name} is too long"))),
            }
        };
        let id = text("x-docker-expose-session-uuid")?;
        if id.is_empty() {
            return Err(Status::new(Code::InvalidArgument, "a session without an id"));
        }
        let shared_key = text("x-docker-expose-session-sharedkey")?;
        let methods = headers.get_all("x-docker-expose-session-grpc-method").iter().take(MAX_METHODS);
        let methods = methods.filter_map(|value| Some(value.to_str().ok()?.to_ascii_lowercase())).collect();
        let channel = Channel::over(io).await?;
        Ok(Self { id, shared_key, methods, channel, sessions: Arc::downgrade(sessions) })
    }

    /// Returns when the client is gone.
    pub async fn ended(&self) {
        self.channel.ended().await;
    }

    /// Go's clients say method names in their own case.
    fn offers(&self, method: &str) -> bool {
        self.methods.contains(&method.to_ascii_lowercase())
    }

    async fn receive(&self, wanted: &Local, into: Box<dyn Receive>) -> Result<(), Error> {
        if !self.offers(method::FILES) {
            return Err(Error::NotFound("no local sources enabled".into()));
        }
        let doing = |status| failed("get files from", status);
        let about = [
            ("dir-name", std::slice::from_ref(&wanted.name)),
            ("include-patterns", &wanted.include),
            ("exclude-patterns", &wanted.exclude),
            ("followpaths", &wanted.follow),
        ];
        let about = about
            .into_iter()
            .try_fold(Metadata::default(), |all, (key, values)| metadata::encode(all, key, values));
        let stream = self.channel.stream(method::FILES, &about.map_err(doing)?).map_err(doing)?;
        fsutil::receive(stream, into).await
    }

    async fn ask_secret(&self, id: &str) -> Result<Option<Secret>, Error> {
        if !self.offers(method::SECRET) {
            return Ok(None);
        }
        let question = GetSecretRequest { id: id.to_owned(), ..GetSecretRequest::default() };
        let answer = self.channel.unary(method::SECRET, &Metadata::default(), &question).await;
        match answer {
            Ok(GetSecretResponse { data }) if data.len() > crate::attach::MAX_SECRET => {
                Err(Error::Invalid(format!("secret {id} is larger than {} bytes", crate::attach::MAX_SECRET)))
            }
            Ok(GetSecretResponse { data }) => Ok(Some(Secret(data))),
            Err(status) if status.code == Code::NotFound => Ok(None),
            Err(status) => Err(failed("get a secret from", status)),
        }
    }

    async fn check_agent(&self, id: &str) -> Result<bool, Error> {
        if !self.offers(method::HAS_AGENT) {
            return Ok(false);
        }
        let question = ssh::CheckAgentRequest { id: id.to_owned() };
        let answer = self.channel.unary(method::HAS_AGENT, &Metadata::default(), &question).await;
        // Clients say in many ways that there is none.
        Ok(matches!(answer, Ok(ssh::CheckAgentResponse {})))
    }

    async fn agent(&self, id: &str) -> Result<Box<dyn Duplex>, Error> {
        if !self.offers(method::AGENT) {
            return Err(Error::NotFound("the client forwards no ssh agent".into()));
        }
        let doing = |status| failed("reach the ssh agent of", status);
        let id = if id.is_empty() { "default" } else { id };
        let about = Metadata::default().and("buildkit.ssh.id", id).map_err(doing)?;
        let stream = self.channel.stream(method::AGENT, &about).map_err(doing)?;
        let (ours, theirs) = tokio::io::duplex(AGENT_BUFFER);
        tasks::spawn(async move {
            // Either side may hang up at any time: that is how agents' connections end.
            let _ = tunnel::join::<ssh::BytesMessage>(stream, theirs).await;
        });
        Ok(Box::new(ours))
    }

    /// Whether the client fetches tokens itself: then it has a key by which it would prove to us that it may have what
    /// another session's token is good for. Tokens serve one session alone here, so that nothing has to be proved.
    async fn fetches_tokens(&self, host: &str) -> Result<bool, Error> {
        if !self.offers(method::AUTHORITY) || !self.offers(method::TOKEN) {
            return Ok(false);
        }
        let salt = crate::identity().map_err(|e| failed("ask for a token of", e))?.into_bytes();
        let question = auth::GetTokenAuthorityRequest { host: host.to_owned(), salt };
        let answer = self.channel.unary(method::AUTHORITY, &Metadata::default(), &question).await;
        match answer {
            Ok(auth::GetTokenAuthorityResponse { public_key }) => Ok(!public_key.is_empty()),
            Err(status) => leaves_it(status, "ask for a token of"),
        }
    }

    async fn fetch_token(&self, wanted: &TokenRequest) -> Result<Option<Token>, Error> {
        let host = known_as(&wanted.host);
        if !self.fetches_tokens(&host).await? {
            return Ok(None);
        }
        let question = auth::FetchTokenRequest {
            client_id: "ketch".into(),
            host,
            realm: wanted.realm.clone(),
            service: wanted.service.clone(),
            scopes: wanted.scopes.clone(),
        };
        let answer = self.channel.unary(method::TOKEN, &Metadata::default(), &question).await;
        match answer {
            Ok(auth::FetchTokenResponse { token, expires_in, .. }) => {
                let seconds = u64::try_from(expires_in).ok().filter(|seconds| *seconds > 0);
                Ok(Some(Token { text: token, seconds }))
            }
            Err(status) => leaves_it(status, "get a token from").map(|_| None),
        }
    }

    async fn ask_credentials(&self, registry: &str) -> Result<Option<Credentials>, Error> {
        if !self.offers(method::CREDENTIALS) {
            return Ok(None);
        }
        let host = known_as(registry);
        let question = auth::CredentialsRequest { host };
        let answer = self.channel.unary(method::CREDENTIALS, &Metadata::default(), &question).await;
        let answer: auth::CredentialsResponse = answer.map_err(|e| failed("get credentials from", e))?;
        let known = !answer.username.is_empty() || !answer.secret.is_empty();
        Ok(known.then_some(Credentials { username: answer.username, secret: answer.secret }))
    }

    fn has_stores(&self) -> Result<(), Error> {
        match self.offers(method::READ) {
            true => Ok(()),
            false => Err(Error::NotFound("the client lends no content store".into())),
        }
    }

    async fn take_upload(&self, name: &str) -> Result<Box<dyn AsyncRead + Send + Unpin>, Error> {
        if !self.offers(method::UPLOAD) {
            return Err(Error::NotFound("the client uploads nothing".into()));
        }
        let doing = |status| failed("take an upload from", status);
        let about = Metadata::default()
            .and("urlhost", "buildkit-session")
            .and_then(|about| about.and("urlpath", &format!("/{name}")));
        let stream = self.channel.stream(method::UPLOAD, &about.map_err(doing)?).map_err(doing)?;
        Ok(Box::new(Upload::new(stream)))
    }

    fn results(&self, exporter: usize, about: BTreeMap<String, String>) -> Result<grpc::Stream, Error> {
        if !self.offers(method::RESULTS) {
            return Err(Error::Unsupported { what: "an export to a client that takes none".into() });
        }
        let doing = |status| failed("send results to", status);
        let mut with = Metadata::default()
            .and("buildkit-attachable-exporter-id", &exporter.to_string())
            .map_err(doing)?;
        for (key, value) in about {
            with = metadata::encode(with, &format!("exporter-md-{key}"), &[value]).map_err(doing)?;
        }
        self.channel.stream(method::RESULTS, &with).map_err(doing)
    }
}

impl Session for Caller {
    fn id(&self) -> &str {
        &self.id
    }

    fn shared_key(&self) -> &str {
        &self.shared_key
    }

    fn named(&self, id: &str) -> Option<Arc<dyn Session>> {
        let found = self.sessions.upgrade()?.find(id)?;
        Some(found)
    }

    fn send<'a>(&'a self, wanted: &'a Local, into: Box<dyn Receive>) -> Job<'a, ()> {
        Box::pin(self.receive(wanted, into))
    }

    fn secret<'a>(&'a self, id: &'a str) -> Job<'a, Option<Secret>> {
        Box::pin(self.ask_secret(id))
    }

    fn has_ssh<'a>(&'a self, id: &'a str) -> Job<'a, bool> {
        Box::pin(self.check_agent(id))
    }

    fn ssh<'a>(&'a self, id: &'a str) -> Job<'a, Box<dyn Duplex>> {
        Box::pin(self.agent(id))
    }

    fn token<'a>(&'a self, wanted: &'a TokenRequest) -> Job<'a, Option<Token>> {
        Box::pin(self.fetch_token(wanted))
    }

    fn credentials<'a>(&'a self, registry: &'a str) -> Job<'a, Option<Credentials>> {
        Box::pin(self.ask_credentials(registry))
    }

    fn upload<'a>(&'a self, name: &'a str) -> Job<'a, Box<dyn AsyncRead + Send + Unpin>> {
        Box::pin(self.take_upload(name))
    }

    fn blob<'a>(&'a self, store: &'a str, digest: &'a Digest, into: mpsc::Sender<Vec<u8>>) -> Job<'a, ()> {
        Box::pin(async move {
            self.has_stores()?;
            content::read(&self.channel, store, digest, into).await
        })
    }

    fn give_blob<'a>(
        &'a self,
        store: &'a str,
        blob: (&'a Digest, u64),
        bytes: Box<dyn Read + Send>,
    ) -> Job<'a, ()> {
        Box::pin(async move {
            self.has_stores()?;
            content::write(&self.channel, store, blob, bytes).await
        })
    }

    fn take_archive<'a>(
        &'a self,
        exporter: usize,
        metadata: BTreeMap<String, String>,
    ) -> Job<'a, Box<dyn AsyncWrite + Send + Unpin>> {
        Box::pin(async move {
            let stream = self.results(exporter, metadata)?;
            Ok(Box::new(Archive::new(stream)) as Box<dyn AsyncWrite + Send + Unpin>)
        })
    }

    fn take_tree<'a>(&'a self, exporter: usize, tree: Box<dyn Tree>) -> Job<'a, ()> {
        Box::pin(async move {
            let stream = self.results(exporter, BTreeMap::new())?;
            fsutil::send(stream, tree, fsutil::Afterwards::Wait).await.map(drop)
        })
    }
}

/// BuildKit's clients know Docker Hub by its registry's host.
fn known_as(registry: &str) -> String {
    let hub = matches!(registry, "docker.io" | "index.docker.io");
    if hub { "registry-1.docker.io" } else { registry }.to_owned()
}

/// Whether a client says no more than that it fetches no tokens (`BUILDKIT_NO_CLIENT_TOKEN`, or an older one).
fn leaves_it(status: Status, doing: &'static str) -> Result<bool, Error> {
    match status.code {
        Code::Unimplemented | Code::Unavailable => Ok(false),
        _ => Err(failed(doing, status)),
    }
}
