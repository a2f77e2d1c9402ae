//! Customers and orders are known by keyed hashes, never by their ids.
//!
//! HMAC-SHA-256 (RFC 2104) under a key that the caller gives and nothing here writes: without it
//! nobody can find a customer's rows by hashing guessed ids. The same key gives the same hashes, so
//! data sets can be joined; another key cannot.

use hmac::{Hmac, KeyInit, Mac};
use lifecycle::Invalid;
use sha2::Sha256;

/// Bytes that a key must have.
pub const KEY_BYTES_MIN: usize = 16;

/// Hashes ids; remembers the last of each kind, for the rows of an order are neighbours.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    keyed: Option<Hmac<Sha256>>,
    last: [Option<(String, u64)>; 2],
}

/// Whose id it is; the same text is another hash for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Customer,
    Order,
}

impl Identity {
    /// An empty key is allowed where the mapping names no customers and no orders.
    pub(crate) fn new(key: &[u8], is_needed: bool) -> Result<Self, Invalid> {
        if key.len() < KEY_BYTES_MIN {
            if is_needed || !key.is_empty() {
                let reason = format!(
                    "customer and order ids are hashed with a key; it must have at least \
                     {KEY_BYTES_MIN} bytes"
                );
                return Err(Invalid::new("key", reason));
            }
            return Ok(Self { keyed: None, last: [None, None] });
        }
        let keyed = Hmac::new_from_slice(key)
            .map_err(|_| Invalid::new("key", "cannot be a key of HMAC-SHA-256"))?;
        Ok(Self { keyed: Some(keyed), last: [None, None] })
    }

    /// The hash of an id, never 0.
    pub(crate) fn hash(&mut self, whose: Whose, id: &str) -> Option<u64> {
        if let Some((last, hash)) = &self.last[whose as usize]
            && last == id
        {
            return Some(*hash);
        }
        let mut mac = self.keyed.clone()?;
        mac.update(match whose {
            Whose::Customer => b"customer\0",
            Whose::Order => b"order\0",
        });
        mac.update(id.as_bytes());
        let bytes = mac.finalize().into_bytes();
        let hash = bytes.iter().take(8).fold(0, |hash: u64, byte| hash << 8 | u64::from(*byte));
        let hash = hash.max(1);
        self.last[whose as usize] = Some((id.to_owned(), hash));
        Some(hash)
    }
}

/// FNV-1a over texts, each ended by a byte that no text has: a fingerprint, not a secret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn finish(self) -> u64 {
        self.0
    }
}

/// The fingerprint of one text.
pub(crate) fn fingerprint(text: &str) -> u64 {
    let mut fingerprint = Fingerprint::new();
    fingerprint.add(text);
    fingerprint.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_key_kind_and_id() {
        let mut one = Identity::new(&[1; 16], true).expect("a key");
        let mut two = Identity::new(&[2; 16], true).expect("a key");
        let hash = one.hash(Whose::Customer, "13085");
        assert_eq!(hash, one.hash(Whose::Customer, "13085"));
        assert_ne!(hash, one.hash(Whose::Order, "13085"));
        assert_ne!(hash, one.hash(Whose::Customer, "13086"));
        assert_ne!(hash, two.hash(Whose::Customer, "13085"));
        assert!(Identity::new(b"short", true).is_err());
        assert!(Identity::new(b"", true).is_err());
        assert_eq!(Identity::new(b"", false).expect("no key").hash(Whose::Order, "1"), None);
    }

    #[test]
    fn fingerprints_know_where_a_part_ends() {
        let of = |texts: &[&str]| {
            let mut fingerprint = Fingerprint::new();
            for text in texts {
                fingerprint.add(text);
            }
            fingerprint.finish()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_eq!(of(&["ab"]), fingerprint("ab"));
    }
}
