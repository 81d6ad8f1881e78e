//! SHA-256 over length-prefixed parts, for hash chains and for partitioning.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// 32 bytes of SHA-256, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The predecessor of the first link of every chain.
    pub const ZERO: Hash = Hash([0; 32]);

    /// The first `N` bytes as hex, for short ids. `N` is at most 32.
    pub fn short<const N: usize>(&self) -> String {
        hex(&self.0[..N])
    }

    /// The first eight bytes as a big-endian integer.
    pub fn leading_u64(&self) -> u64 {
        self.0[..8].iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
    }
}

/// Hashes a list of parts into one [`struct@Hash`]. Every part is preceded by its length, so that no two lists of parts
/// give the same bytes.
#[derive(Default)]
pub struct Digest(sha2::Sha256);

impl Digest {
    /// Adds one part.
    #[must_use]
    pub fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// The hash of all parts added.
    pub fn finish(self) -> Hash {
        Hash(self.0.finalize().into())
    }
}

/// A short hash of a request's content, to tell a retry from a different request with the same id.
///
/// # Errors
/// When the content has no JSON form.
pub fn content_hash(content: &impl Serialize) -> serde_json::Result<String> {
    Ok(Digest::default().part(&serde_json::to_vec(content)?).finish().short::<16>())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
        text
    })
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short::<6>())
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// A text that is not 64 lower-case hex digits.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hash of 64 lower-case hex digits")]
pub struct NotAHash;

impl TryFrom<String> for Hash {
    type Error = NotAHash;

    fn try_from(text: String) -> Result<Self, NotAHash> {
        text.parse()
    }
}

impl std::str::FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return Err(NotAHash);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Hash(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, NotAHash> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotAHash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundaries_of_parts_are_hashed() {
        let together = Digest::default().part(b"ab").part(b"c").finish();
        let apart = Digest::default().part(b"a").part(b"bc").finish();
        assert_ne!(together, apart);
    }

    #[test]
    fn a_hash_survives_the_round_trip_through_text() {
        let hash = Digest::default().part(b"x").finish();
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("0g".repeat(32).parse::<Hash>(), Err(NotAHash));
        assert_eq!("00".parse::<Hash>(), Err(NotAHash));
    }
}
