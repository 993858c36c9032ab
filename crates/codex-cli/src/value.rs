//! Keys and values between the shell, JSON and the database.

use std::ffi::OsStr;

use base64ct::{Base64, Encoding};
use codex::{Batch, Codec, Entry};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::exit::Failure;

/// The bytes of an argument.
pub(crate) fn key(argument: &OsStr) -> &[u8] {
    argument.as_encoded_bytes()
}

/// A key as text: as it is, or with everything outside of printable UTF-8 as `\xNN`.
pub(crate) fn shown(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => key.escape_ascii().to_string(),
    }
}

/// A record as one line of JSON: what `export` writes and `import` reads.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) op: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) codec: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value_base64: Option<String>,
}

impl Line {
    /// A key alone.
    pub(crate) fn of_key(key: &[u8]) -> Self {
        match std::str::from_utf8(key) {
            Ok(text) => Self { key: Some(text.to_owned()), ..Self::default() },
            Err(_) => Self { key_base64: Some(Base64::encode_string(key)), ..Self::default() },
        }
    }

    /// A record: JSON values as they were written, all others as base64 with their codec.
    pub(crate) fn of(entry: &Entry) -> Self {
        let line = Self::of_key(&entry.key);
        let text = std::str::from_utf8(&entry.value).ok().filter(|_| entry.codec == Codec::Json);
        match text.and_then(|text| RawValue::from_string(text.to_owned()).ok()) {
            Some(value) => Self { value: Some(value), ..line },
            None => Self {
                codec: Some(if entry.codec == Codec::Bincode { "bincode" } else { "raw" }.to_owned()),
                value_base64: Some(Base64::encode_string(&entry.value)),
                ..line
            },
        }
    }

    pub(crate) fn key_bytes(&self) -> Result<Vec<u8>, Failure> {
        match (&self.key, &self.key_base64) {
            (Some(key), None) => Ok(key.clone().into_bytes()),
            (None, Some(key)) => {
                Base64::decode_vec(key).map_err(|_| Failure::validation("key_base64 is not base64"))
            }
            _ => Err(Failure::validation("a record needs either key or key_base64")),
        }
    }

    /// Adds the record to a batch.
    pub(crate) fn set_in(&self, batch: &mut Batch) -> Result<(), Failure> {
        let key = self.key_bytes()?;
        match (&self.value, &self.value_base64) {
            (Some(value), None) => Ok(batch.set(key, value)?),
            (None, Some(value)) => {
                let bytes = Base64::decode_vec(value)
                    .map_err(|_| Failure::validation("value_base64 is not base64"))?;
                batch.set_bytes(key, bytes);
                Ok(())
            }
            _ => Err(Failure::validation("a record needs either value or value_base64")),
        }
    }
}

/// Reads a value that must be JSON. Its text is kept, so that numbers keep their digits.
pub(crate) fn json(text: &[u8]) -> Result<Box<RawValue>, Failure> {
    serde_json::from_slice(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::validation(format!("the value is not JSON ({place})"))
            .hint("a string needs quotes of its own: codex set KEY '\"hello\"'; or store bytes with --raw")
    })
}
