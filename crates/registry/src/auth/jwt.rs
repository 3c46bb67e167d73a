//! JSON Web Tokens: signed with a key of ours, believed by keys that were configured. What a token says of keys
//! (`jwk`, `x5c`, `jku`) is never used: a key is trusted because the administrator named it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use super::scope::Grant;

/// No token is longer.
const LONGEST: usize = 64 << 10;
/// Clocks differ by so much.
const LEEWAY: i64 = 60;

/// What a token says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Claims {
    #[serde(default)]
    pub(super) iss: String,
    #[serde(default)]
    pub(super) sub: String,
    #[serde(default)]
    pub(super) aud: Audience,
    pub(super) exp: i64,
    #[serde(default)]
    pub(super) nbf: i64,
    #[serde(default)]
    pub(super) iat: i64,
    #[serde(default)]
    pub(super) jti: String,
    #[serde(default)]
    pub(super) access: Vec<Grant>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Audience {
    fn holds(&self, service: &str) -> bool {
        match self {
            Self::One(one) => one == service,
            Self::Many(many) => many.iter().any(|one| one == service),
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<serde::de::IgnoredAny>,
}

/// A key that somebody else signs with.
pub(super) struct Key {
    kid: Option<String>,
    public: Public,
}

enum Public {
    Point(&'static [&'static str], &'static signature::EcdsaVerificationAlgorithm, Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ed25519(Vec<u8>),
    Certificate(CertificateDer<'static>),
}

/// Why a token isn't believed. The client hears only that it isn't.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disbelieved(pub(super) &'static str);

/// What is asked of a token.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) service: &'a str,
    pub(super) now: i64,
    /// None are all that are safe.
    pub(super) algorithms: &'a [String],
}

/// Believes a token, or says why not.
pub(super) fn verify(token: &str, keys: &[Key], expected: &Expected<'_>) -> Result<Claims, Disbelieved> {
    let claims: Claims = signed(token, keys, expected.algorithms)?;
    if claims.iss != expected.issuer {
        return Err(Disbelieved("another issuer"));
    }
    if !claims.aud.holds(expected.service) {
        return Err(Disbelieved("for another service"));
    }
    if claims.exp.saturating_add(LEEWAY) < expected.now {
        return Err(Disbelieved("expired"));
    }
    if claims.nbf > expected.now.saturating_add(LEEWAY) {
        return Err(Disbelieved("not valid yet"));
    }
    Ok(claims)
}

fn signed<T: for<'de> Deserialize<'de>>(
    token: &str,
    keys: &[Key],
    algorithms: &[String],
) -> Result<T, Disbelieved> {
    if token.len() > LONGEST {
        return Err(Disbelieved("too long"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Disbelieved("not a token"))?;
    let (header, payload) = message.split_once('.').ok_or(Disbelieved("not a token"))?;
    let decode = |part: &str| BASE64.decode(part).map_err(|_| Disbelieved("not base64"));
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Disbelieved("no header"))?;
    if header.crit.is_some() {
        return Err(Disbelieved("an extension that isn't known"));
    }
    if !algorithms.is_empty() && !algorithms.contains(&header.alg) {
        return Err(Disbelieved("an algorithm that isn't accepted"));
    }
    let signature = decode(signature)?;
    // A key is chosen by its name only where names are known; what counts is that its signature fits.
    let named = |key: &&Key| match (&header.kid, &key.kid) {
        (Some(asked), Some(known)) => asked == known,
        _ => true,
    };
    let fits = |key: &Key| key.verify(&header.alg, message.as_bytes(), &signature);
    if !keys.iter().filter(named).any(fits) {
        return Err(Disbelieved("no trusted key signed it"));
    }
    serde_json::from_slice(&decode(payload)?).map_err(|_| Disbelieved("no claims"))
}

impl Key {
    fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::Point(names, kind, point) => {
                names.contains(&algorithm)
                    && UnparsedPublicKey::new(*kind, point).verify(message, signature).is_ok()
            }
            Public::Ed25519(point) => {
                algorithm == "EdDSA"
                    && UnparsedPublicKey::new(&signature::ED25519, point).verify(message, signature).is_ok()
            }
            Public::Rsa { n, e } => rsa(algorithm).is_some_and(|parameters| {
                signature::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }),
            Public::Certificate(certificate) => by_certificate(certificate, algorithm, message, signature),
        }
    }
}

fn rsa(algorithm: &str) -> Option<&'static signature::RsaParameters> {
    match algorithm {
        "RS256" => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        "PS256" => Some(&signature::RSA_PSS_2048_8192_SHA256),
        "PS384" => Some(&signature::RSA_PSS_2048_8192_SHA384),
        "PS512" => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn by_certificate(
    certificate: &CertificateDer<'_>,
    algorithm: &str,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return false };
    let verify = |kind, signature: &[u8]| certificate.verify_signature(kind, message, signature).is_ok();
    match algorithm {
        "RS256" => verify(webpki::ring::RSA_PKCS1_2048_8192_SHA256, signature),
        "RS384" => verify(webpki::ring::RSA_PKCS1_2048_8192_SHA384, signature),
        "RS512" => verify(webpki::ring::RSA_PKCS1_2048_8192_SHA512, signature),
        "ES256" => der(signature, 32).is_some_and(|der| verify(webpki::ring::ECDSA_P256_SHA256, &der)),
        "ES384" => der(signature, 48).is_some_and(|der| verify(webpki::ring::ECDSA_P384_SHA384, &der)),
        "EdDSA" => verify(webpki::ring::ED25519, signature),
        _ => false,
    }
}

/// Certificates' signatures have two DER integers where tokens have two fixed ones.
fn der(signature: &[u8], width: usize) -> Option<Vec<u8>> {
    if signature.len() != 2 * width {
        return None;
    }
    let integer = |part: &[u8]| {
        let first = part.iter().position(|byte| *byte != 0).unwrap_or(part.len() - 1);
        let pad = part[first] & 0x80 != 0;
        let digits: Vec<u8> = pad.then_some(0).into_iter().chain(part[first..].iter().copied()).collect();
        [&[2, u8::try_from(digits.len()).unwrap_or(u8::MAX)], &digits[..]].concat()
    };
    let body = [integer(&signature[..width]), integer(&signature[width..])].concat();
    // Two integers of at most 49 bytes: one byte of length is enough.
    Some([&[0x30, u8::try_from(body.len()).ok()?], &body[..]].concat())
}

/// The keys of a JWKS document.
pub(super) fn jwks(text: &[u8]) -> Result<Vec<Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        kty: String,
        kid: Option<String>,
        crv: Option<String>,
        x: Option<String>,
        y: Option<String>,
        n: Option<String>,
        e: Option<String>,
    }
    let set: Set = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let bytes = |text: &Option<String>| {
        BASE64.decode(text.as_deref().unwrap_or_default()).map_err(|_| "a key is not base64".to_owned())
    };
    let key = |one: &One| {
        let public = match (one.kty.as_str(), one.crv.as_deref()) {
            ("EC", Some("P-256")) => {
                let point = [vec![4], bytes(&one.x)?, bytes(&one.y)?].concat();
                Public::Point(&["ES256"], &signature::ECDSA_P256_SHA256_FIXED, point)
            }
            ("EC", Some("P-384")) => {
                let point = [vec![4], bytes(&one.x)?, bytes(&one.y)?].concat();
                Public::Point(&["ES384"], &signature::ECDSA_P384_SHA384_FIXED, point)
            }
            ("OKP", Some("Ed25519")) => Public::Ed25519(bytes(&one.x)?),
            ("RSA", _) => Public::Rsa { n: bytes(&one.n)?, e: bytes(&one.e)? },
            (kind, curve) => {
                return Err(format!("a key of kind {kind} {} is not supported", curve.unwrap_or_default()));
            }
        };
        Ok(Key { kid: one.kid.clone(), public })
    };
    set.keys.iter().map(key).collect()
}

/// The keys of the certificates of a PEM file.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<Key>, String> {
    let key = |certificate: Result<CertificateDer<'static>, _>| {
        let certificate = certificate.map_err(|error: rustls_pki_types::pem::Error| error.to_string())?;
        webpki::EndEntityCert::try_from(&certificate).map_err(|error| error.to_string())?;
        Ok(Key { kid: None, public: Public::Certificate(certificate) })
    };
    let keys: Vec<Key> = CertificateDer::pem_slice_iter(text).map(key).collect::<Result<_, String>>()?;
    if keys.is_empty() { Err("there is no certificate in it".into()) } else { Ok(keys) }
}

/// The key that we sign with.
pub(super) struct Signer {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    /// A new key, to be kept where nobody else reads it.
    pub(super) fn generate() -> Result<Vec<u8>, String> {
        let random = SystemRandom::new();
        EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map(|document| document.as_ref().to_vec())
            .map_err(|error| error.to_string())
    }

    pub(super) fn load(pkcs8: &[u8]) -> Result<Self, String> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random);
        Ok(Self { pair: pair.map_err(|error| error.to_string())?, random })
    }

    pub(super) fn public(&self) -> Key {
        let point = self.pair.public_key().as_ref().to_vec();
        Key { kid: None, public: Public::Point(&["ES256"], &signature::ECDSA_P256_SHA256_FIXED, point) }
    }

    pub(super) fn sign(&self, claims: &Claims) -> Result<String, String> {
        let payload = serde_json::to_vec(claims).map_err(|error| error.to_string())?;
        let message =
            format!("{}.{}", BASE64.encode(br#"{"alg":"ES256","typ":"JWT"}"#), BASE64.encode(payload));
        let signature =
            self.pair.sign(&self.random, message.as_bytes()).map_err(|error| error.to_string())?;
        Ok(format!("{message}.{}", BASE64.encode(signature.as_ref())))
    }
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
