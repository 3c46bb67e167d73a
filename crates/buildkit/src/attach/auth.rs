//! Who the user is to registries. An engine that can do with tokens gets these alone: they are fetched here, and the password
//! stays.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use grpc::{Call, Code, Status};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::proto::auth::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
    GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};

/// Who the user is to registries.
pub trait Keyring: Send + Sync {
    /// The name and the password, both empty for nobody; an identity token comes without a name. May block.
    fn find(&self, host: &str) -> Result<(String, String), String>;

    /// Whether tokens are fetched here, or the engine has to do it with the password.
    fn fetches_tokens(&self) -> bool;

    /// Fetches a token, anonymously for nobody.
    fn token(&self, wanted: FetchTokenRequest) -> Fetching<'_>;
}

/// A token on its way.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<FetchTokenResponse, String>> + Send + 'a>>;

type Known<'a> = Option<&'a Arc<dyn Keyring>>;

fn of(keyring: Known, call: &Call) -> Result<Arc<dyn Keyring>, Status> {
    keyring.cloned().ok_or_else(|| Status::unimplemented(&call.path))
}

async fn find(keyring: Arc<dyn Keyring>, host: String) -> Result<(String, String), Status> {
    let found = tasks::blocking(move || keyring.find(&host)).await;
    let found = found.map_err(|e| Status::new(Code::Internal, e.to_string()))?;
    found.map_err(|why| Status::new(Code::Unknown, why))
}

pub(super) async fn credentials(keyring: Known<'_>, call: Call) -> Result<(), Status> {
    let keyring = of(keyring, &call)?;
    let answer = |question: CredentialsRequest| async move {
        let (username, secret) = find(keyring, question.host).await?;
        Ok(CredentialsResponse { username, secret })
    };
    call.answer(answer).await
}

pub(super) async fn token(keyring: Known<'_>, call: Call) -> Result<(), Status> {
    let keyring = of(keyring, &call)?;
    let answer = |question: FetchTokenRequest| async move {
        keyring.token(question).await.map_err(|why| Status::new(Code::Unknown, why))
    };
    call.answer(answer).await
}

pub(super) async fn authority(keyring: Known<'_>, call: Call) -> Result<(), Status> {
    let keyring = of(keyring, &call)?;
    let answer = |question: GetTokenAuthorityRequest| async move {
        let key = key(keyring, question.host, &question.salt).await?;
        Ok(GetTokenAuthorityResponse { public_key: key.public_key().as_ref().to_vec() })
    };
    call.answer(answer).await
}

pub(super) async fn verify(keyring: Known<'_>, call: Call) -> Result<(), Status> {
    let keyring = of(keyring, &call)?;
    let answer = |question: VerifyTokenAuthorityRequest| async move {
        let key = key(keyring, question.host, &question.salt).await?;
        // As NaCl signs: the signature goes before what was signed.
        let signature = key.sign(&question.payload);
        Ok(VerifyTokenAuthorityResponse { signed: [signature.as_ref(), &question.payload].concat() })
    };
    call.answer(answer).await
}

/// What proves to an engine that one session may have what another one's token is good for: both have this key. Who is
/// nobody has the same one as everybody else who is. No engine learns from it what the password is, as that is no part of it.
async fn key(keyring: Arc<dyn Keyring>, host: String, salt: &[u8]) -> Result<Ed25519KeyPair, Status> {
    if !keyring.fetches_tokens() {
        return Err(Status::new(Code::Unavailable, "client side tokens disabled"));
    }
    let (_, secret) = find(keyring, host.clone()).await?;
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt));
    if !secret.is_empty() {
        mac.update(seed()?);
        mac.update(host.as_bytes());
    }
    let key = Ed25519KeyPair::from_seed_unchecked(mac.sign().as_ref());
    key.map_err(|_| Status::new(Code::Internal, "no key can be made of 32 bytes"))
}

/// Builds of one command share what they fetch; another command's fetch their own, so that no file has to keep this.
fn seed() -> Result<&'static [u8; 32], Status> {
    static SEED: OnceLock<Option<[u8; 32]>> = OnceLock::new();
    let made = SEED.get_or_init(|| {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).ok().map(|()| bytes)
    });
    made.as_ref().ok_or_else(|| Status::new(Code::Internal, "the kernel gives no random bytes"))
}
