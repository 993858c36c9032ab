//! How the command reads what it is given, as functions over bytes: for the fuzz targets.

use std::io::{self, Cursor};

use codex::{Codec, EncryptionKey};

use crate::lines::Lines;
use crate::record::{self, Operation, Record};
use crate::secret;
use crate::value::Value;

/// One line of a stream of records or operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The record's key.
    pub key: Vec<u8>,
    /// Its value; `None` where the line deletes the key.
    pub value: Option<(Codec, Vec<u8>)>,
}

/// What a line is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// `import`: records.
    Records,
    /// `batch`: operations.
    Operations,
}

/// The lines of a stream up to its end or its first fault, and what the fault is.
#[must_use]
pub fn lines(stream: &[u8], read_as: Stream) -> (Vec<Line>, Option<String>) {
    let mut input = Lines::of(Cursor::new(stream.to_vec()));
    let mut lines = Vec::new();
    loop {
        let read = match input.next() {
            Ok(None) => return (lines, None),
            Ok(Some((_, line))) => match read_as {
                Stream::Records => record::read(line).map(Line::set),
                Stream::Operations => record::read_operation(line).map(Line::of),
            },
            Err(failure) => Err(failure.text()),
        };
        match read {
            Ok(line) => lines.push(line),
            Err(fault) => return (lines, Some(fault)),
        }
    }
}

/// The line that `export` writes for a record.
pub fn exported(key: &[u8], codec: Codec, value: &[u8]) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    record::write(&mut line, key, codec, value)?;
    Ok(line)
}

/// The key in the text of a key file or of `CODEX_KEY`; or what the user is told.
pub fn encryption_key(text: &str) -> Result<EncryptionKey, String> {
    secret::encryption_key(text, "the text").map_err(|failure| failure.text())
}

impl Line {
    fn of(operation: Operation) -> Self {
        match operation {
            Operation::Set(record) => Self::set(record),
            Operation::Delete(key) => Self { key, value: None },
        }
    }

    fn set(record: Record) -> Self {
        let value = match record.value {
            Value::Json(json) => json.get().as_bytes().to_vec(),
            Value::Bytes(bytes) => bytes,
        };
        Self { key: record.key, value: Some((record.codec, value)) }
    }
}
