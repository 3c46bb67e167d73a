//! A hash that can be put aside and gone on with, by another process as well.

use oci::{Algorithm, Digest, DigestError};
use serde::{Deserialize, Serialize};
use sha2::digest::generic_array::GenericArray;

/// SHA-256 or SHA-512 of what has come so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    words: Words,
    /// The beginning of a block.
    pending: Vec<u8>,
    length: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Words {
    Sha256([u32; 8]),
    Sha512([u64; 8]),
}

/// The square roots of the first primes, as the standard has them.
const SHA256: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
const SHA512: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

impl Words {
    fn block(&self) -> usize {
        match self {
            Self::Sha256(_) => 64,
            Self::Sha512(_) => 128,
        }
    }

    fn take(&mut self, block: &[u8]) {
        match self {
            Self::Sha256(words) => {
                sha2::compress256(words, std::slice::from_ref(GenericArray::from_slice(block)));
            }
            Self::Sha512(words) => {
                sha2::compress512(words, std::slice::from_ref(GenericArray::from_slice(block)));
            }
        }
    }
}

impl Running {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let words = match algorithm {
            Algorithm::Sha256 => Words::Sha256(SHA256),
            Algorithm::Sha512 => Words::Sha512(SHA512),
        };
        Self { words, pending: Vec::new(), length: 0 }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self.words {
            Words::Sha256(_) => Algorithm::Sha256,
            Words::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Bytes taken.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether it can be what was put aside: less than a block waits.
    pub(super) fn is_sound(&self) -> bool {
        self.pending.len() < self.words.block()
            && self.length % self.words.block() as u64 == self.pending.len() as u64
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        let block = self.words.block();
        self.length += bytes.len() as u64;
        if !self.pending.is_empty() {
            let (first, rest) = bytes.split_at(bytes.len().min(block - self.pending.len()));
            self.pending.extend_from_slice(first);
            bytes = rest;
            if self.pending.len() < block {
                return;
            }
            self.words.take(&self.pending);
            self.pending.clear();
        }
        let blocks = bytes.chunks_exact(block);
        self.pending.extend_from_slice(blocks.remainder());
        blocks.for_each(|block| self.words.take(block));
    }

    /// The digest of everything taken.
    pub(super) fn finish(mut self) -> Result<Digest, DigestError> {
        let (block, bits) = (self.words.block(), u128::from(self.length) * 8);
        // One bit, zeros up to the end of a block, and the length there.
        self.pending.push(0x80);
        let room = if block == 64 { 8 } else { 16 };
        self.pending.resize((self.pending.len() + room).next_multiple_of(block) - room, 0);
        self.pending.extend_from_slice(&bits.to_be_bytes()[16 - room..]);
        let pending = std::mem::take(&mut self.pending);
        pending.chunks_exact(block).for_each(|block| self.words.take(block));
        let hex: String = match &self.words {
            Words::Sha256(words) => words.iter().map(|word| format!("{word:08x}")).collect(),
            Words::Sha512(words) => words.iter().map(|word| format!("{word:016x}")).collect(),
        };
        format!("{}:{hex}", self.algorithm().name()).parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_same_hash_however_often_it_was_put_aside(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6)) {
            for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
                let (mut ours, mut theirs) = (Running::new(algorithm), oci::Hasher::new(algorithm));
                for piece in &pieces {
                    ours.update(piece);
                    theirs.update(piece);
                    ours = serde_json::from_str(&serde_json::to_string(&ours).unwrap()).unwrap();
                    prop_assert!(ours.is_sound());
                }
                prop_assert_eq!(ours.finish().unwrap(), theirs.finish());
            }
        }
    }
}
