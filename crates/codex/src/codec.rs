//! How values become bytes. Each stored value begins with one byte that names its codec and its compression
//! (`docs/file-format.md`, "Values"), so that a typed read understands whatever wrote it.

use serde::Serialize;
use serde::de::value::{BytesDeserializer, Error as PlainError, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::error::{Error, ErrorKind, Result};

/// The encoding of a value.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = codex::Store::open(folder.path().join("app.db"))?;
/// use codex::Codec;
///
/// store.set("json", &[1, 2])?;
/// store.set_with(Codec::Bincode, "bincode", &[1, 2])?;
/// store.set_with(Codec::Raw, "raw", "text")?;
/// // A typed read understands all of them.
/// assert_eq!(store.get::<[i32; 2]>("json")?, store.get::<[i32; 2]>("bincode")?);
/// assert_eq!(store.get::<String>("raw")?.as_deref(), Some("text"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// The bytes themselves: what `set_bytes` stores. A typed value must be a string or a sequence of bytes.
    Raw,
    /// JSON text (RFC 8259).
    #[default]
    Json,
    /// bincode 2 with its standard configuration: shorter and faster than JSON, and readable only by programs
    /// that know the type.
    Bincode,
}

impl Codec {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Json => 1,
            Self::Bincode => 2,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Raw),
            1 => Some(Self::Json),
            2 => Some(Self::Bincode),
            _ => None,
        }
    }

    pub(crate) fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<u8>> {
        match self {
            Self::Raw => raw_bytes(value),
            Self::Json => serde_json::to_vec(value).map_err(|error| refused(JsonError::hide(&error))),
            Self::Bincode => bincode::serde::encode_to_vec(value, bincode::config::standard())
                .map_err(|_| Error::validation("the value cannot be encoded with bincode")),
        }
    }

    pub(crate) fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> Result<T> {
        let wrong = "the value is not of the type asked for";
        match self {
            Self::Raw => T::deserialize(RawDeserializer(bytes)).map_err(|_| Error::validation(wrong)),
            Self::Json => serde_json::from_slice(bytes)
                .map_err(|error| Error::because(ErrorKind::Validation, wrong, JsonError::hide(&error))),
            Self::Bincode => decode_bincode(bytes).ok_or_else(|| Error::validation(wrong)),
        }
    }
}

/// Lengths inside the bytes must not make decoding take memory without bound. What bincode counts against its limit
/// is at most 16 for each byte of an honest value: a `u128` below 251. The limit is a constant, so there are steps.
fn decode_bincode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    use bincode::serde::decode_from_slice as decode;
    use codex_storage::VALUE_LEN_MAX;

    let config = bincode::config::standard();
    let decoded = match bytes.len() {
        0..=0x1000 => decode(bytes, config.with_limit::<0x1_0000>()),
        0x1001..=0x1_0000 => decode(bytes, config.with_limit::<0x10_0000>()),
        0x1_0001..=0x10_0000 => decode(bytes, config.with_limit::<0x100_0000>()),
        0x10_0001..=0x400_0000 => decode(bytes, config.with_limit::<0x4000_0000>()),
        0x400_0001..=0x1000_0000 => decode(bytes, config.with_limit::<{ VALUE_LEN_MAX.saturating_mul(4) }>()),
        _ => decode(bytes, config.with_limit::<{ VALUE_LEN_MAX.saturating_mul(16) }>()),
    };
    decoded.ok().filter(|(_, len)| *len == bytes.len()).map(|(value, _)| value)
}

fn refused(cause: JsonError) -> Error {
    Error::because(ErrorKind::Validation, "the value cannot be encoded as JSON", cause)
}

/// Where decoding failed. Messages of serde quote the input, which may be a secret.
#[derive(Debug, thiserror::Error)]
#[error("{category} at line {line}, column {column} of its JSON")]
struct JsonError {
    category: &'static str,
    line: usize,
    column: usize,
}

impl JsonError {
    fn hide(error: &serde_json::Error) -> Self {
        let category = match error.classify() {
            serde_json::error::Category::Io => "a failure to write",
            serde_json::error::Category::Syntax => "a syntax error",
            serde_json::error::Category::Data => "a value of another type",
            serde_json::error::Category::Eof => "an early end",
        };
        Self { category, line: error.line(), column: error.column() }
    }
}

fn raw_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let not_bytes = || Error::validation("only strings and sequences of bytes can be stored raw");
    match serde_json::to_value(value).map_err(|_| not_bytes())? {
        serde_json::Value::String(text) => Ok(text.into_bytes()),
        serde_json::Value::Array(items) => {
            let byte = |item: &serde_json::Value| item.as_u64().and_then(|byte| u8::try_from(byte).ok());
            items.iter().map(|item| byte(item).ok_or_else(not_bytes)).collect()
        }
        _ => Err(not_bytes()),
    }
}

/// Raw bytes as whatever is asked for: bytes, a string, or a sequence of numbers.
struct RawDeserializer<'a>(&'a [u8]);

impl<'de> Deserializer<'de> for RawDeserializer<'de> {
    type Error = PlainError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PlainError> {
        BytesDeserializer::new(self.0).deserialize_any(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, PlainError> {
        visitor.visit_seq(SeqDeserializer::new(self.0.iter().copied()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, PlainError> {
        self.deserialize_seq(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bincode_reads_back_values_that_take_the_most_memory_for_their_length() {
        for len in [1, 0x1000, 0x1_0000].into_iter().flat_map(|len| len - 1..len + 2) {
            // One byte for the length or three or five, then one for each number.
            let numbers = vec![250_u128; len];
            let encoded = Codec::Bincode.encode(&numbers).unwrap();
            assert!(Codec::Bincode.decode::<Vec<u128>>(&encoded).unwrap() == numbers, "{len}");
        }
        let text = "x".repeat(0x1000);
        let encoded = Codec::Bincode.encode(&text).unwrap();
        assert_eq!(Codec::Bincode.decode::<String>(&encoded).unwrap(), text);
    }
}
