//! Content digests: `sha256:<64 lower-case hex digits>` and `sha512:<128>`.
//!
//! A [`Digest`] can only be made by checking its text or by hashing bytes, so whoever holds one may use its hex as the
//! name of a file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// The longest text of a digest: `sha512:` and 128 hex digits.
pub const MAX_DIGEST: usize = 7 + 128;

/// The hash functions that the image specification registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    /// The name before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|a| a.name() == name)
    }
}

/// Why a text is no digest; the sentences are those of Docker's libraries, which clients match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("invalid checksum digest format")]
    Format,
    #[error("invalid checksum digest length")]
    Length,
    #[error("unsupported digest algorithm")]
    Unsupported,
}

impl diag::Explain for DigestError {
    fn class(&self) -> diag::Class {
        diag::Class::Invalid
    }
}

/// The name of some bytes by their hash. Always well-formed: the hex part is a safe file name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    /// The whole text, `<algorithm>:<hex>`.
    text: Box<str>,
}

impl Digest {
    /// The SHA-256 of bytes at hand.
    pub fn sha256(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Which hash this is.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hexadecimal digits alone.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.name().len() + 1..]
    }

    /// The whole text, `<algorithm>:<hex>`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first twelve digits, as listings show them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Self {
        Self { algorithm, text: format!("{}:{}", algorithm.name(), hex::encode(hash)).into() }
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or(DigestError::Format)?;
        if name.is_empty() || hex.is_empty() || text.len() > 1024 {
            return Err(DigestError::Format);
        }
        let algorithm = Algorithm::from_name(name).ok_or(DigestError::Unsupported)?;
        if hex.len() != algorithm.hex_length() {
            return Err(DigestError::Length);
        }
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Format);
        }
        Ok(Self { algorithm, text: text.into() })
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.text.into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Hashes while bytes stream by.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// An empty hash of this kind.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::default()),
        })
    }

    /// Which hash this is.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of everything taken.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(hash) => Digest::from_hash(Algorithm::Sha256, &hash.finalize()),
            State::Sha512(hash) => Digest::from_hash(Algorithm::Sha512, &hash.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn hashing_nothing_gives_the_known_digest() {
        assert_eq!(Digest::sha256(b"").as_str(), EMPTY);
        assert_eq!(Digest::sha256(b"").short(), "e3b0c44298fc");
    }

    #[test]
    fn refusals_say_what_docker_says() {
        let parse = |text: &str| text.parse::<Digest>().unwrap_err();
        assert_eq!(parse("abc"), DigestError::Format);
        assert_eq!(parse("md5:d41d8cd98f00b204e9800998ecf8427e"), DigestError::Unsupported);
        assert_eq!(parse("sha256:abc"), DigestError::Length);
        assert_eq!(parse(&EMPTY.to_uppercase().replace("SHA", "sha")), DigestError::Format);
        assert_eq!(parse(&format!("sha256:{}", "/".repeat(64))), DigestError::Format);
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_comes_back_unchanged(text in "(sha256|sha512|x)?:?[0-9a-fA-F./]{0,140}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.as_str(), text.as_str());
                prop_assert!(digest.hex().bytes().all(|b| b.is_ascii_hexdigit()));
            }
        }

        #[test]
        fn pieces_hash_like_the_whole(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            let cut = cut.min(bytes.len());
            for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
                let (mut whole, mut parts) = (Hasher::new(algorithm), Hasher::new(algorithm));
                whole.update(&bytes);
                parts.update(&bytes[..cut]);
                parts.update(&bytes[cut..]);
                let digest = whole.finish();
                prop_assert_eq!(&digest, &parts.finish());
                prop_assert_eq!(&digest, &digest.as_str().parse::<Digest>().unwrap());
            }
        }
    }
}
