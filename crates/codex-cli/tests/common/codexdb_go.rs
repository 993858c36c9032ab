//! The old forms, written: what the original program's files are, and what somebody may forge.

#![allow(dead_code, reason = "shared by several test programs")]

use std::io::Write as _;
use std::path::PathBuf;

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::array::typenum::U12;
use aes_gcm::aes::Aes192;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, KeyInit};
use base64ct::{Base64, Encoding as _};
use codex::Codec;
use codex_cli::input::GoChange;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The longest key of the samples; the others are its beginning.
pub(crate) const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A file that the original wrote.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// The object of its keys and values.
    pub(crate) expected: serde_json::Value,
}

impl Sample {
    pub(crate) fn is_ledger(&self) -> bool {
        self.name.starts_with("ledger-")
    }

    pub(crate) fn key(&self) -> Option<&'static [u8]> {
        let len = [("aes128", 16), ("aes192", 24), ("aes256", 32)];
        len.into_iter().find(|(cipher, _)| self.name.contains(cipher)).map(|(_, len)| &KEY[..len])
    }
}

/// Every sample there is.
pub(crate) fn samples() -> Vec<Sample> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/codexdb-go"));
    let expected = std::fs::read(folder.join("expected.json")).expect("it is in the repository");
    let expected: serde_json::Map<_, _> = serde_json::from_slice(&expected).expect("JSON");
    let read = |(name, expected): (String, serde_json::Value)| {
        let path = folder.join(&name);
        let bytes = std::fs::read(&path).expect("it is in the repository");
        Sample { name, path, bytes, expected }
    };
    expected.into_iter().map(read).collect()
}

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Absent,
    Stored,
    Gzip,
    Zstd,
    Snappy,
}

impl Packing {
    pub(crate) const ALL: [Self; 5] = [Self::Absent, Self::Stored, Self::Gzip, Self::Zstd, Self::Snappy];

    pub(crate) fn pack(self, text: &[u8]) -> Vec<u8> {
        let (algorithm, packed) = match self {
            Self::Absent => return text.to_vec(),
            Self::Stored => (0, text.to_vec()),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(text).expect("memory");
                (1, encoder.finish().expect("memory"))
            }
            Self::Zstd => (2, zstd::bulk::compress(text, 3).expect("memory")),
            Self::Snappy => (3, snap::raw::Encoder::new().compress_vec(text).expect("memory")),
        };
        [&[algorithm, 3], packed.as_slice()].concat()
    }
}

/// Encrypts as the original did; without a key, not at all.
pub(crate) fn seal(mut message: Vec<u8>, key: Option<&[u8]>, nonce: u64) -> Vec<u8> {
    let Some(key) = key else { return message };
    let mut prefixed = [0; 12];
    prefixed[4..].copy_from_slice(&nonce.to_be_bytes());
    let (nonce, buffer) = ((&prefixed).into(), message.as_mut_slice().into());
    let tag = match key.len() {
        16 => Aes128Gcm::new_from_slice(key).expect("16").encrypt_inout_detached(nonce, b"", buffer),
        24 => {
            AesGcm::<Aes192, U12>::new_from_slice(key).expect("24").encrypt_inout_detached(nonce, b"", buffer)
        }
        _ => Aes256Gcm::new_from_slice(key).expect("32").encrypt_inout_detached(nonce, b"", buffer),
    };
    let tag = tag.expect("short enough");
    [&prefixed, message.as_slice(), tag.as_slice()].concat()
}

/// One frame, with any body.
pub(crate) fn frame(body: &[u8], key: Option<&[u8]>, nonce: u64) -> Vec<u8> {
    let checksum = Sha256::digest(body);
    let sealed = seal(body.to_vec(), key, nonce);
    let len = u32::try_from(sealed.len() + 32).expect("short");
    [&len.to_be_bytes(), &checksum[..], &sealed].concat()
}

/// A ledger of these changes; values are JSON.
pub(crate) fn ledger(changes: &[GoChange], packing: Packing, key: Option<&[u8]>) -> Vec<u8> {
    let frames = changes.iter().zip(0..).map(|(change, number)| {
        let text =
            |key: &[u8]| json!(std::str::from_utf8(key).expect("the original's keys are text")).to_string();
        let body = match change {
            GoChange::Set(key, _, value) => {
                let value = std::str::from_utf8(value).expect("JSON is text");
                format!("{{\"op\":0,\"key\":{},\"value\":{value}}}", text(key))
            }
            GoChange::Delete(key) => format!("{{\"op\":1,\"key\":{}}}", text(key)),
            GoChange::Clear => "{\"op\":2,\"key\":\"\"}".to_owned(),
        };
        frame(&packing.pack(body.as_bytes()), key, number)
    });
    frames.collect::<Vec<_>>().concat()
}

/// The members of `data`, as the original writes them: between them what `join` is given.
fn members(records: &[(String, Vec<u8>)], colon: &str, comma: &str) -> String {
    let member = |(key, value): &(String, Vec<u8>)| {
        // Go escapes these for HTML.
        let key =
            json!(key).to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        format!("{key}{colon}\"{}\"", Base64::encode_string(value))
    };
    records.iter().map(member).collect::<Vec<_>>().join(comma)
}

/// The JSON text of a snapshot.
pub(crate) fn snapshot_text(records: &[(String, Vec<u8>)]) -> String {
    let checksum = Sha256::digest(format!("{{{}}}", members(records, ":", ",")));
    let checksum = base16ct::lower::encode_string(&checksum);
    let data = members(records, ": ", ",\n    ");
    format!("{{\n  \"checksum\": \"{checksum}\",\n  \"data\": {{\n    {data}\n  }}\n}}")
}

/// The older form, without checksum.
pub(crate) fn bare_text(records: &[(String, Vec<u8>)]) -> String {
    format!("{{{}}}", members(records, ":", ","))
}

/// A change as it is read.
pub(crate) fn set(key: &str, json: &str) -> GoChange {
    GoChange::Set(key.into(), Codec::Json, json.into())
}
