//! Fingerprints: of bytes, and of a table's rows whatever their order.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256, in hexadecimal where it is written.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// Returns the hash of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns what was hashed so far.
    pub(crate) fn end(hash: Sha256) -> Self {
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut bytes = [0; 32];
        // Of capitals there are none, so that there is one way to write it.
        let good = text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = str::from_utf8(pair).ok().filter(|_| good);
            *byte = pair
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or("a SHA-256 has 64 small hexadecimal digits")?;
        }
        if good { Ok(Self(bytes)) } else { Err("a SHA-256 has 64 small hexadecimal digits") }
    }
}

/// The rows of a table: how many, and the sum of their SHA-256s modulo 2^256. It is the same in
/// whatever order they come, so a restored table can be compared with the one that was copied. It
/// finds what was lost, doubled or altered by accident; against forgery stands the manifest's
/// signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) count: u64,
    /// The least significant first.
    sum: [u64; 4],
}

impl Rows {
    /// Takes a row as COPY writes it, without the end of its line.
    fn add(&mut self, row: &[u8]) {
        let hash: [u8; 32] = Sha256::digest(row).into();
        let mut other = [0; 4];
        for (limb, bytes) in other.iter_mut().zip(hash.as_chunks::<8>().0) {
            *limb = u64::from_le_bytes(*bytes);
        }
        self.count += 1;
        self.sum = sum(self.sum, other);
    }

    /// Takes all rows of another part.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.count += other.count;
        self.sum = sum(self.sum, other.sum);
    }

    /// Returns the sum, in the form of a hash.
    pub(crate) fn content(&self) -> Hash {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.sum) {
            *chunk = limb.to_le_bytes();
        }
        Hash(bytes)
    }
}

fn sum(mut one: [u64; 4], other: [u64; 4]) -> [u64; 4] {
    let mut carry = false;
    for (limb, other) in one.iter_mut().zip(other) {
        let (added, first) = limb.overflowing_add(other);
        let (added, second) = added.overflowing_add(u64::from(carry));
        (*limb, carry) = (added, first || second);
    }
    one
}

/// Counts and fingerprints rows in a stream of COPY's text, cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct RowReader {
    rows: Rows,
    /// The beginning of a row whose end has not come yet.
    begun: Vec<u8>,
}

impl RowReader {
    /// Takes the next bytes. A row ends at a newline: one inside a value is written as `\n`.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (row, next) = rest.split_at(end);
            if self.begun.is_empty() {
                self.rows.add(row);
            } else {
                self.begun.extend_from_slice(row);
                self.rows.add(&self.begun);
                self.begun.clear();
            }
            rest = next.get(1..).unwrap_or_default();
        }
        self.begun.extend_from_slice(rest);
    }

    /// Returns how many whole rows came so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.count
    }

    /// Tells whether the last row is whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.begun.is_empty()
    }

    /// Returns what was read since the last time, up to the last whole row.
    pub(crate) fn take(&mut self) -> Rows {
        std::mem::take(&mut self.rows)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &[u8]) -> Rows {
        let mut reader = RowReader::default();
        reader.update(text);
        assert!(reader.is_whole());
        reader.take()
    }

    #[test]
    fn a_hash_is_written_in_one_way() {
        let hash = Hash::of(b"abc");
        assert!(hash.to_string().starts_with("ba7816bf"));
        assert_eq!(Hash::try_from(hash.to_string()), Ok(hash));
        for bad in [hash.to_string().to_uppercase(), String::new(), "g".repeat(64), "0".repeat(63)]
        {
            assert!(Hash::try_from(bad).is_err());
        }
    }

    #[test]
    fn a_row_doubled_lost_or_altered_shows() {
        let all = rows(b"a\t1\nb\t2\n\n");
        assert_eq!(all.count, 3);
        assert_eq!(all, rows(b"\nb\t2\na\t1\n"));
        for other in
            [&b"a\t1\nb\t2\n"[..], b"a\t1\nb\t2\n\n\n", b"a\t1\nb\t3\n\n", b"a\t1b\t2\n\n\n"]
        {
            assert_ne!(all.content(), rows(other).content());
        }
    }

    proptest! {
        #[test]
        fn neither_order_nor_cuts_matter(
            mut texts in prop::collection::vec("[a-z]{0,6}", 0..20), cut in 1_usize..9
        ) {
            let text = |texts: &[String]| texts.iter().fold(String::new(), |all, row| all + row + "\n");
            let whole = rows(text(&texts).as_bytes());
            let mut reader = RowReader::default();
            text(&texts).as_bytes().chunks(cut).for_each(|chunk| reader.update(chunk));
            prop_assert_eq!(reader.take(), whole);
            texts.reverse();
            prop_assert_eq!(rows(text(&texts).as_bytes()), whole);
            let (one, other) = texts.split_at(texts.len() / 2);
            let mut both = rows(text(one).as_bytes());
            both.extend(&rows(text(other).as_bytes()));
            prop_assert_eq!(both, whole);
        }
    }
}
