//! What a client offers the build that it asked for: its directories, secrets, agents, credentials, and places for
//! results. The engine asks for them on the session's connection, on which we are the one that answers.

mod auth;
mod directory;
mod filter;
mod landing;
mod places;
mod secrets;
mod ssh;
pub(crate) mod store;
mod upload;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use grpc::{Call, Code, Service, Status};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::status;
use crate::metadata;
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};
pub use auth::{Fetching, Keyring};
use directory::Directory;
use filter::Filter;
pub use places::Place;
pub(crate) use secrets::MAX_SECRET;
pub use secrets::SecretSource;
pub use upload::address as upload_address;

/// The methods that sessions know, as their headers name them.
pub(crate) mod method {
    pub(crate) const FILES: &str = "/moby.filesync.v1.FileSync/DiffCopy";
    pub(crate) const RESULTS: &str = "/moby.filesync.v1.FileSend/DiffCopy";
    pub(crate) const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";
    pub(crate) const TOKEN: &str = "/moby.filesync.v1.Auth/FetchToken";
    pub(crate) const AUTHORITY: &str = "/moby.filesync.v1.Auth/GetTokenAuthority";
    pub(crate) const VERIFY: &str = "/moby.filesync.v1.Auth/VerifyTokenAuthority";
    pub(crate) const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
    pub(crate) const HAS_AGENT: &str = "/moby.sshforward.v1.SSH/CheckAgent";
    pub(crate) const AGENT: &str = "/moby.sshforward.v1.SSH/ForwardAgent";
    pub(crate) const UPLOAD: &str = "/moby.upload.v1.Upload/Pull";
    pub(crate) const INFO: &str = "/containerd.services.content.v1.Content/Info";
    pub(crate) const READ: &str = "/containerd.services.content.v1.Content/Read";
    pub(crate) const WRITE: &str = "/containerd.services.content.v1.Content/Write";
    pub(crate) const HEALTH: &str = "/grpc.health.v1.Health/Check";
}

/// All that a session offers.
#[derive(Default)]
pub struct Offer {
    /// Directories by name: `context`, `dockerfile`.
    pub directories: BTreeMap<String, PathBuf>,
    /// Secrets by id.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Agents' sockets by id.
    pub agents: BTreeMap<String, PathBuf>,
    /// Where exporters' results go, by their number.
    pub places: BTreeMap<usize, Place>,
    /// What is uploaded when it is asked for, once each, by its name.
    pub uploads: Mutex<BTreeMap<String, Box<dyn Read + Send>>>,
    /// Folders with blobs, as OCI layouts have them, by the names of BuildKit's content stores.
    pub stores: BTreeMap<String, PathBuf>,
    /// Credentials.
    pub keyring: Option<Arc<dyn Keyring>>,
}

/// A session, before it is opened.
pub struct Session {
    id: String,
    shared_key: String,
    offer: Offer,
}

impl Session {
    /// A session with an id of its own. `shared_key` is what tells this directory from others in later builds.
    pub fn new(shared_key: String, offer: Offer) -> Result<Self, Status> {
        Ok(Self { id: crate::identity()?, shared_key, offer })
    }

    /// What builds call it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The headers with which it is opened.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("X-Docker-Expose-Session-Uuid", self.id.clone()),
            ("X-Docker-Expose-Session-Name", "build".to_owned()),
            ("X-Docker-Expose-Session-Sharedkey", self.shared_key.clone()),
        ];
        let methods = self.offer.methods();
        headers.extend(methods.map(|method| ("X-Docker-Expose-Session-Grpc-Method", method.to_owned())));
        headers
    }

    /// Answers the engine on a connection that was opened with these headers, until it ends.
    pub async fn serve(self, io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<(), Status> {
        grpc::serve(io, Arc::new(self.offer)).await
    }
}

impl Offer {
    fn methods(&self) -> impl Iterator<Item = &'static str> {
        let has_uploads = self.uploads.lock().is_ok_and(|uploads| !uploads.is_empty());
        let offered = [
            (method::HEALTH, true),
            (method::FILES, !self.directories.is_empty()),
            (method::RESULTS, !self.places.is_empty()),
            (method::CREDENTIALS, self.keyring.is_some()),
            (method::TOKEN, self.keyring.is_some()),
            (method::AUTHORITY, self.keyring.is_some()),
            (method::VERIFY, self.keyring.is_some()),
            (method::SECRET, !self.secrets.is_empty()),
            (method::HAS_AGENT, !self.agents.is_empty()),
            (method::AGENT, !self.agents.is_empty()),
            (method::UPLOAD, has_uploads),
            (method::INFO, !self.stores.is_empty()),
            (method::READ, !self.stores.is_empty()),
            (method::WRITE, !self.stores.is_empty()),
        ];
        offered.into_iter().filter(|(_, offered)| *offered).map(|(method, _)| method)
    }

    async fn send_files(&self, call: Call) -> Result<(), Status> {
        let name = call.text("dir-name").unwrap_or_default();
        let Some(top) = self.directories.get(name) else {
            return Err(Status::new(Code::NotFound, format!("no access allowed to dir {name:?}")));
        };
        let wanted = |key| metadata::decode(&call.metadata, key);
        let (include, exclude) = (wanted("include-patterns")?, wanted("exclude-patterns")?);
        let (top, follow) = (top.clone(), wanted("followpaths")?);
        let opened = tasks::blocking(move || {
            let filter = Filter::new(&top, include, &exclude, &follow)?;
            Directory::open(&top, filter)
        });
        let opened = opened.await.map_err(|e| Status::new(Code::Internal, e.to_string()))?;
        let directory = opened.map_err(|e| status(&e))?;
        let stream = grpc::Stream { sender: call.sender, receiver: call.receiver };
        fsutil::send(stream, Box::new(directory), fsutil::Afterwards::Leave)
            .await
            .map(drop)
            .map_err(|e| status(&e))
    }
}

impl Service for Offer {
    async fn call(&self, call: Call) -> Result<(), Status> {
        match call.path.as_str() {
            method::HEALTH => call.answer(healthy).await,
            method::FILES => self.send_files(call).await,
            method::RESULTS => places::take(&self.places, call).await,
            method::CREDENTIALS => auth::credentials(self.keyring.as_ref(), call).await,
            method::TOKEN => auth::token(self.keyring.as_ref(), call).await,
            method::AUTHORITY => auth::authority(self.keyring.as_ref(), call).await,
            method::VERIFY => auth::verify(self.keyring.as_ref(), call).await,
            method::SECRET => secrets::give(&self.secrets, call).await,
            method::HAS_AGENT => ssh::check(&self.agents, call).await,
            method::AGENT => ssh::forward(&self.agents, call).await,
            method::INFO => store::info(&self.stores, call).await,
            method::READ => store::read(&self.stores, call).await,
            method::WRITE => store::write(&self.stores, call).await,
            method::UPLOAD => upload::give(&self.uploads, call).await,
            path => Err(Status::unimplemented(path)),
        }
    }
}

pub(crate) async fn healthy(_: HealthCheckRequest) -> Result<HealthCheckResponse, Status> {
    Ok(HealthCheckResponse { status: ServingStatus::Serving as i32 })
}
