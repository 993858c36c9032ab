//! Values as they are stored: codec and compression in one byte, then the bytes.
//! Layout: `docs/file-format.md`, "Values".

use std::borrow::Cow;

use codex_storage::{Record, USER_VALUE_LEN_MAX};
use serde::de::DeserializeOwned;

use crate::bytes::Bytes;
use crate::codec::Codec;
use crate::error::{Error, ErrorKind, Result};

/// How values are compressed, each on its own: compressing several together would mix one caller's secrets with
/// another's text, and the length of the result can be seen.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// use codex::{Compression, Options};
///
/// let text = "the same again and again, ".repeat(1000);
/// let store = Options::new().compression(Compression::Zstd).open(&path)?;
/// store.set("text", &text)?;
/// store.close()?;
/// // It is a matter of writing: readers need not know.
/// let store = Options::new().open(&path)?;
/// assert_eq!(store.get::<String>("text")?, Some(text));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Values are stored as they are.
    #[default]
    None,
    /// LZ4: fast.
    Lz4,
    /// Zstandard: smaller.
    Zstd,
}

const PLAIN: u8 = 0;
const LZ4: u8 = 1;
const ZSTD: u8 = 2;

/// Bytes of the length that stands before compressed bytes.
const LEN_LEN: usize = 4;
/// What is stored bounds what it may become: at most this many times its length. LZ4 cannot exceed it.
const EXPANSION_MAX: usize = 256;
/// Shorter values are not worth the attempt, in bytes.
const COMPRESSED_LEN_MIN: usize = 32;
const ZSTD_LEVEL: i32 = 3;

/// A value on its way into a record: `head`, then `body`.
pub(crate) struct Stored<'a> {
    head: [u8; 1 + LEN_LEN],
    head_len: usize,
    body: Cow<'a, [u8]>,
}

impl<'a> Stored<'a> {
    /// Encoded bytes, compressed if that makes them shorter.
    pub(crate) fn new(codec: Codec, compression: Compression, encoded: &'a [u8]) -> Result<Self> {
        if encoded.len() > USER_VALUE_LEN_MAX {
            return Err(codex_storage::StorageError::ValueTooLong { len: encoded.len() }.into());
        }
        let plain = Self { head: [codec.code(), 0, 0, 0, 0], head_len: 1, body: encoded.into() };
        if compression == Compression::None || encoded.len() < COMPRESSED_LEN_MIN {
            return Ok(plain);
        }
        let (method, body) = compress(compression, encoded)?;
        if body.len() + LEN_LEN >= encoded.len() {
            return Ok(plain);
        }
        let len = u32::try_from(encoded.len()).expect("a value is at most 1 GiB").to_le_bytes();
        let head = [codec.code() | method << 4, len[0], len[1], len[2], len[3]];
        Ok(Self { head, head_len: 1 + LEN_LEN, body: body.into() })
    }

    /// Adds to a batch that `key` gets the value, until a deadline or for ever.
    pub(crate) fn set_in(
        &self,
        batch: &mut codex_storage::Batch,
        key: &[u8],
        deadline_ns: Option<u64>,
    ) -> Result<()> {
        match deadline_ns {
            None => batch.set(key, &self.parts())?,
            Some(deadline_ns) => batch.set_until(key, &self.parts(), deadline_ns)?,
        }
        Ok(())
    }

    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        [&self.head[..self.head_len], &self.body]
    }
}

fn compress(compression: Compression, encoded: &[u8]) -> Result<(u8, Vec<u8>)> {
    if compression == Compression::Zstd {
        let failed = |error| Error::because(ErrorKind::Internal, "the value cannot be compressed", error);
        let body: Vec<u8> = zstd::bulk::compress(encoded, ZSTD_LEVEL).map_err(failed)?;
        // Beyond the bound the value is so regular that LZ4, which stays within it, is short as well.
        if encoded.len() <= body.len().saturating_mul(EXPANSION_MAX) {
            return Ok((ZSTD, body));
        }
    }
    Ok((LZ4, lz4_flex::block::compress(encoded)))
}

/// The codec and the encoded bytes of a record's value, borrowed where they are stored plain.
#[inline]
pub(crate) fn encoded(record: &Record) -> Result<(Codec, Cow<'_, [u8]>)> {
    let (&tag, body) = record.value().split_first().ok_or_else(malformed)?;
    let codec = Codec::from_code(tag & 0x0f).ok_or_else(malformed)?;
    let method = tag >> 4;
    if method == PLAIN {
        return Ok((codec, body.into()));
    }
    Ok((codec, decompress(method, body)?.into()))
}

fn decompress(method: u8, body: &[u8]) -> Result<Vec<u8>> {
    let (len, body) = body.split_first_chunk::<LEN_LEN>().ok_or_else(malformed)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| malformed())?;
    if len > USER_VALUE_LEN_MAX || len > body.len().saturating_mul(EXPANSION_MAX) {
        return Err(malformed());
    }
    let decompressed = match method {
        LZ4 => lz4_flex::block::decompress(body, len).map_err(|_| malformed())?,
        ZSTD => zstd::bulk::decompress(body, len).map_err(|_| malformed())?,
        _ => return Err(malformed()),
    };
    if decompressed.len() == len { Ok(decompressed) } else { Err(malformed()) }
}

/// As [`encoded`], with bytes that share the record's allocation where they can.
pub(crate) fn encoded_bytes(record: Record) -> Result<(Codec, Bytes)> {
    let (codec, encoded) = encoded(&record)?;
    Ok(match encoded {
        Cow::Owned(bytes) => (codec, bytes.into()),
        Cow::Borrowed(_) => (codec, Bytes::value_of(record, 1)),
    })
}

/// The value of a record as a `T`.
pub(crate) fn decode<T: DeserializeOwned>(record: &Record) -> Result<T> {
    let (codec, encoded) = encoded(record)?;
    codec.decode(&encoded)
}

fn malformed() -> Error {
    Error::because(ErrorKind::Integrity, "a stored value is malformed", Malformed)
}

#[derive(Debug, thiserror::Error)]
#[error("it does not hold what its first byte says; was it written through another layer?")]
struct Malformed;

#[cfg(test)]
mod tests {
    use super::*;
    use codex_storage::{Batch, Operation};

    fn record(parts: &[&[u8]]) -> Record {
        let mut batch = Batch::new();
        batch.set(b"key", parts).unwrap();
        match &batch.operations()[0] {
            Operation::Set(record) => record.clone(),
            _ => unreachable!(),
        }
    }

    #[test]
    fn the_refusal_of_a_value_that_is_too_long_names_the_longest_that_is_possible() {
        let value = vec![0; USER_VALUE_LEN_MAX + 1];
        let error = Stored::new(Codec::Raw, Compression::None, &value).err().expect("it is too long");
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert_eq!(
            error.to_string(),
            "a value of 1073741825 bytes is too long; at most 1073741824 are possible"
        );
    }

    #[test]
    fn every_compression_gives_back_what_went_in() {
        let texts = [b"x".repeat(10), b"0123456789".repeat(500), vec![0; 3_000_000], (0..=255).collect()];
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            for text in &texts {
                let stored = Stored::new(Codec::Raw, compression, text).unwrap();
                let (codec, bytes) = encoded_bytes(record(&stored.parts())).unwrap();
                assert_eq!((codec, &*bytes), (Codec::Raw, &**text), "{compression:?}");
            }
        }
    }

    #[test]
    fn a_value_that_does_not_shrink_is_stored_plain() {
        let noise = codex_crypto::random::bytes::<4096>().unwrap();
        for compression in [Compression::Lz4, Compression::Zstd] {
            let stored = Stored::new(Codec::Json, compression, &noise).unwrap();
            assert_eq!(stored.parts(), [&[Codec::Json.code()][..], &noise]);
        }
    }

    #[test]
    fn no_stored_value_expands_beyond_what_its_length_allows() {
        let zeros = vec![0; 50_000_000];
        let stored = Stored::new(Codec::Raw, Compression::Zstd, &zeros).unwrap();
        assert!(stored.parts()[1].len() * EXPANSION_MAX >= zeros.len());

        // A few bytes that claim a gigabyte are refused before anything is allocated.
        let bomb = zstd::bulk::compress(&zeros, 3).unwrap();
        let claim = u32::try_from(zeros.len()).unwrap().to_le_bytes();
        for (tag, body) in [(0x20, &bomb[..]), (0x10, &[0; 9][..])] {
            let error = encoded(&record(&[&[tag], &claim, body])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Integrity);
        }
    }

    #[test]
    fn malformed_values_are_integrity_errors() {
        for bytes in [&b""[..], b"\x0f", b"\x31\0\0\0\0", b"\x11\xff", b"\x21\x08\0\0\0garbage!"] {
            assert_eq!(encoded(&record(&[bytes])).unwrap_err().kind(), ErrorKind::Integrity, "{bytes:?}");
        }
    }
}
