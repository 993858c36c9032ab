//! A record as one JSON object: what `get --json`, `scan --json` and `export` write and `import` reads.
//!
//! ```json
//! {"key":"user:1","value":{"name":"Ada"}}
//! {"key_base64":"Y2Fm6Q==","codec":"raw","value_base64":"AAEC","expires_unix_ms":1800000000000}
//! ```
//!
//! A key that is not UTF-8 is in `key_base64`; a value that is not JSON is in `value_base64`, with its
//! codec. The form is documented in `docs/cli.md`, "Records".

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding as _};
use codex::{Batch, Codec, Entry, Expiry};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::key;
use crate::value::{Value, compact};

/// Writes one record and a newline.
pub(crate) fn write(target: &mut impl Write, entry: &Entry) -> io::Result<()> {
    write_parts(target, &entry.key, Content::of(entry))
}

/// As [`write`], from what makes an entry.
pub(crate) fn write_parts(target: &mut impl Write, key: &[u8], content: Content) -> io::Result<()> {
    let record = Shown { key: Name::of(key), content };
    serde_json::to_writer(&mut *target, &record)?;
    target.write_all(b"\n")
}

/// The JSON text of a value, in one line; none for a value that is not JSON.
pub(crate) fn text_of(codec: Codec, value: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(value).ok().filter(|_| codec == Codec::Json)?;
    // A program may have stored anything as JSON text: what is not JSON is shown as bytes.
    serde_json::from_str::<&RawValue>(text).ok().map(|checked| compact(checked.get()))
}

/// A key in JSON: as text where it is text.
#[derive(Debug, Serialize)]
pub(crate) struct Name<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
}

impl<'a> Name<'a> {
    pub(crate) fn of(key: &'a [u8]) -> Self {
        match std::str::from_utf8(key) {
            Ok(text) => Self { key: Some(text), key_base64: None },
            Err(_) => Self { key: None, key_base64: Some(Base64::encode_string(key)) },
        }
    }
}

/// A value in JSON: as it stands where it is JSON, else its bytes with their codec.
#[derive(Debug, Serialize)]
pub(crate) struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    codec: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_unix_ms: Option<u64>,
}

impl Content {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self::of_parts(entry.codec, &entry.value, entry.expires_at.map(unix_ms))
    }

    pub(crate) fn of_parts(codec: Codec, value: &[u8], expires_unix_ms: Option<u64>) -> Self {
        let json = text_of(codec, value).and_then(|text| RawValue::from_string(text.into_owned()).ok());
        match json {
            Some(json) => Self { codec: None, value: Some(json), value_base64: None, expires_unix_ms },
            None => Self {
                codec: Some(codec_name(codec)),
                value: None,
                value_base64: Some(Base64::encode_string(value)),
                expires_unix_ms,
            },
        }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    key: Name<'a>,
    #[serde(flatten)]
    content: Content,
}

/// A record as it is read.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: Vec<u8>,
    pub(crate) codec: Codec,
    pub(crate) value: Value,
    /// When it expires, if it does; at most [`EXPIRES_MS_MAX`].
    pub(crate) expires_unix_ms: Option<u64>,
}

impl Record {
    /// A record of JSON, or of bytes.
    pub(crate) fn of(key: Vec<u8>, value: Value) -> Self {
        let codec = if let Value::Json(_) = value { Codec::Json } else { Codec::Raw };
        Self { key, codec, value, expires_unix_ms: None }
    }

    /// Adds the record to a batch.
    pub(crate) fn set_in(self, batch: &mut Batch) -> codex::Result<()> {
        let at = |milliseconds| Expiry::At(UNIX_EPOCH + Duration::from_millis(milliseconds));
        let expiry = self.expires_unix_ms.map_or(Expiry::Never, at);
        self.value.set_in(batch, &self.key, self.codec, expiry)
    }

    /// Bytes of key and value.
    pub(crate) fn len(&self) -> usize {
        self.key.len() + self.value.as_bytes().len()
    }
}

/// A time in milliseconds, rounded up: what is imported lives no shorter than what was exported.
pub(crate) fn unix_ms(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// A deadline is stored in nanoseconds, in 64 bits.
const EXPIRES_MS_MAX: u64 = u64::MAX / 1_000_000;

/// One change as it is read.
#[derive(Debug)]
pub(crate) enum Operation {
    Set(Record),
    Delete(Vec<u8>),
}

/// Reads a record from a line. The message says what is wrong with it, without quoting it.
pub(crate) fn read(line: &str) -> Result<Record, String> {
    let fields = Fields::read(line)?;
    if fields.op.is_some() {
        return Err("a record has no \"op\"".to_owned());
    }
    fields.into_record()
}

/// Reads an operation of a batch from a line.
pub(crate) fn read_operation(line: &str) -> Result<Operation, String> {
    let fields = Fields::read(line)?;
    match fields.op.as_deref() {
        Some("set") => fields.into_record().map(Operation::Set),
        Some("delete")
            if fields.value.is_some()
                || fields.value_base64.is_some()
                || fields.codec.is_some()
                || fields.expires_unix_ms.is_some() =>
        {
            Err("a delete has a key only".to_owned())
        }
        Some("delete") => fields.key().map(Operation::Delete),
        _ => Err("an operation has an \"op\", which is \"set\" or \"delete\"".to_owned()),
    }
}

/// The members that a line may have. Others are refused: what is not understood is not dropped.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    op: Option<String>,
    key: Option<String>,
    key_base64: Option<String>,
    codec: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    value_base64: Option<String>,
    expires_unix_ms: Option<u64>,
}

/// A member that is there, `null` included.
pub(crate) fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Fields<'a> {
    fn read(line: &'a str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| {
            if error.is_data() {
                // serde_json's own words would quote the line.
                "not an object with the members of a record, each once".to_owned()
            } else {
                format!("not JSON: {}", crate::value::fault_of(&error))
            }
        })
    }

    fn key(&self) -> Result<Vec<u8>, String> {
        let key = match (&self.key, &self.key_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(encoded)) => {
                Base64::decode_vec(encoded).map_err(|_| "\"key_base64\" is not base64".to_owned())?
            }
            (None, None) => return Err("there is no \"key\" and no \"key_base64\"".to_owned()),
            (Some(_), Some(_)) => return Err("there are a \"key\" and a \"key_base64\"".to_owned()),
        };
        match key::refusal(&key) {
            None => Ok(key),
            Some(reason) => Err(reason),
        }
    }

    fn into_record(self) -> Result<Record, String> {
        let key = self.key()?;
        let (codec, value) = match (self.value, self.value_base64) {
            (Some(json), None) => {
                let text = compact(json.get()).into_owned();
                let value = RawValue::from_string(text).map_err(|_| "not JSON".to_owned())?;
                (Codec::Json, Value::Json(value))
            }
            (None, Some(encoded)) => {
                let bytes =
                    Base64::decode_vec(&encoded).map_err(|_| "\"value_base64\" is not base64".to_owned())?;
                (Codec::Raw, Value::Bytes(bytes))
            }
            (None, None) => return Err("there is no \"value\" and no \"value_base64\"".to_owned()),
            (Some(_), Some(_)) => return Err("there are a \"value\" and a \"value_base64\"".to_owned()),
        };
        let codec = match (self.codec.as_deref(), codec) {
            (None, codec) => codec,
            (Some("json"), Codec::Json) => Codec::Json,
            (Some("raw"), Codec::Raw) => Codec::Raw,
            (Some("bincode"), Codec::Raw) => Codec::Bincode,
            _ => {
                return Err(
                    "\"codec\" does not fit: json has a \"value\", raw and bincode a \"value_base64\""
                        .to_owned(),
                );
            }
        };
        let expires_unix_ms = self.expires_unix_ms;
        if expires_unix_ms.is_some_and(|at| at > EXPIRES_MS_MAX) {
            return Err("\"expires_unix_ms\" is beyond the year 2554".to_owned());
        }
        Ok(Record { key, codec, value, expires_unix_ms })
    }
}

/// The name of a codec in JSON.
fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Json => "json",
        Codec::Bincode => "bincode",
        // Bytes, and so any codec that a later library adds, until it has a name here.
        _ => "raw",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(key: &[u8], codec: Codec, value: &[u8]) -> String {
        written_until(key, codec, value, None)
    }

    fn written_until(key: &[u8], codec: Codec, value: &[u8], expires_unix_ms: Option<u64>) -> String {
        let mut line = Vec::new();
        let content = Content::of_parts(codec, value, expires_unix_ms);
        write_parts(&mut line, key, content).expect("a vector takes all");
        String::from_utf8(line).expect("JSON is UTF-8")
    }

    #[test]
    fn json_values_are_members_and_bytes_are_base64() {
        assert_eq!(written(b"k", Codec::Json, b"1.10"), "{\"key\":\"k\",\"value\":1.10}\n");
        assert_eq!(written(b"k", Codec::Json, b"null"), "{\"key\":\"k\",\"value\":null}\n");
        assert_eq!(
            written(b"k\xff", Codec::Raw, b"\x00\x01\x02"),
            "{\"key_base64\":\"a/8=\",\"codec\":\"raw\",\"value_base64\":\"AAEC\"}\n"
        );
        assert_eq!(
            written(b"k", Codec::Raw, b""),
            "{\"key\":\"k\",\"codec\":\"raw\",\"value_base64\":\"\"}\n"
        );
    }

    #[test]
    fn a_record_stays_one_line() {
        assert_eq!(
            written(b"a\nb", Codec::Json, b"{\n \"x\": 1\n}"),
            "{\"key\":\"a\\nb\",\"value\":{\"x\":1}}\n"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (key, codec, value) in [
            (&b"k"[..], Codec::Json, &b"[1e400,\"\\u00e9\"]"[..]),
            (b"k", Codec::Json, b"null"),
            (b"\xff\x00", Codec::Raw, b"\x00\xff"),
            (b"k", Codec::Bincode, b"\x05hello"),
        ] {
            let record = read(&written(key, codec, value)).expect("a record");
            assert_eq!((record.key.as_slice(), record.codec), (key, codec));
            let bytes = match &record.value {
                Value::Json(json) => json.get().as_bytes(),
                Value::Bytes(bytes) => bytes,
            };
            assert_eq!(bytes, value);
        }
    }

    #[test]
    fn a_deadline_is_a_member_that_is_written_and_read_up_to_the_last_that_can_be_stored() {
        let line = written_until(b"k", Codec::Json, b"1", Some(1_800_000_000_000));
        assert_eq!(line, "{\"key\":\"k\",\"value\":1,\"expires_unix_ms\":1800000000000}\n");
        for at in [0, 1_800_000_000_000, EXPIRES_MS_MAX] {
            let record = read(&written_until(b"k", Codec::Raw, b"v", Some(at))).expect("a record");
            assert_eq!(record.expires_unix_ms, Some(at));
            record.set_in(&mut Batch::new()).expect("it can be stored");
        }
        for at in ["18446744073710", "-1", "1.5", "\"1\""] {
            let line = format!("{{\"key\":\"k\",\"value\":1,\"expires_unix_ms\":{at}}}");
            read(&line).expect_err(at);
        }
        let fault = read_operation("{\"op\":\"delete\",\"key\":\"k\",\"expires_unix_ms\":1}");
        assert_eq!(fault.expect_err("a delete"), "a delete has a key only");
        // Not a nanosecond before the time that was stored.
        assert_eq!(unix_ms(UNIX_EPOCH + Duration::from_nanos(1_000_001)), 2);
    }

    #[test]
    fn a_wrong_line_is_described_and_not_quoted() {
        for line in [
            "s3cret",
            "\"s3cret\"",
            "{\"key\":\"s3cret\"}",
            "{\"key\":\"s3cret\",\"value\":s3cret}",
            "{\"key\":\"s3cret\",\"value\":1,\"s3cret\":2}",
            "{\"key\":\"s3cret\",\"key\":\"s3cret\",\"value\":1}",
            "{\"key\":{\"s3cret\":1},\"value\":1}",
            "{\"key_base64\":\"s3cret!\",\"value\":1}",
            "{\"key\":\"\",\"value\":\"s3cret\"}",
            "{\"key\":\"s3cret\",\"value\":1,\"value_base64\":\"AA==\"}",
            "{\"key\":\"s3cret\",\"value\":1,\"codec\":\"raw\"}",
            "{\"key\":\"s3cret\",\"value_base64\":\"AA==\",\"codec\":\"s3cret\"}",
            "{\"op\":\"s3cret\",\"key\":\"s3cret\",\"value\":1}",
            "{\"op\":\"delete\",\"key\":\"s3cret\",\"value\":\"s3cret\"}",
        ] {
            for fault in [read(line).map(|_| ()), read_operation(line).map(|_| ())] {
                let fault = fault.expect_err(line);
                assert!(!fault.contains("s3cret"), "{line}: {fault}");
            }
        }
    }
}
