//! How the command reads what it is given, as functions over bytes: for the fuzz targets.

use std::io::{self, Cursor};

use codex::{Codec, EncryptionKey};

use crate::codexdb_go::{GoFile, GoKey, Operation as GoOperation};
use crate::csv_records::{Cells, Rows};
use crate::lines::{Input, Lines};
use crate::record::{self, Content, Operation, Record};
use crate::secret;
use crate::value::Value;

/// One line of a stream of records or operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The record's key.
    pub key: Vec<u8>,
    /// Its value; `None` where the line deletes the key.
    pub value: Option<(Codec, Vec<u8>)>,
    /// When it expires, in milliseconds since the Unix epoch, if it does.
    pub expires_unix_ms: Option<u64>,
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

/// The records of a CSV file up to its end or its first fault, each with the line in which it begins, and what the fault
/// is. With `infers`, cells are what they look like, as with `--infer`.
#[must_use]
pub fn csv(file: &[u8], key_column: &str, infers: bool) -> (Vec<(u64, Line)>, Option<String>) {
    let cells = if infers { Cells::Inferred } else { Cells::Texts };
    let mut read = Vec::new();
    let mut rows = match Rows::open(Input::of(Cursor::new(file.to_vec())), key_column, cells) {
        Ok(rows) => rows,
        Err(failure) => return (read, Some(failure.text())),
    };
    loop {
        match rows.next() {
            Ok(None) => return (read, None),
            Ok(Some((number, record))) => read.push((number, Line::set(record))),
            Err(failure) => return (read, Some(failure.text())),
        }
    }
}

pub use crate::codexdb_go::Fault;

/// One change of a database of the original Go program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GoChange {
    /// A key gets a value.
    Set(Vec<u8>, Codec, Vec<u8>),
    /// A key goes.
    Delete(Vec<u8>),
    /// Every key goes.
    Clear,
}

/// Changes up to a file's end or its first fault, and what the fault is.
pub type GoChanges = (Vec<GoChange>, Option<Fault>);

/// The changes in a file of the original Go program up to its end or its first fault, and what the fault is. `key` is
/// what a key file would hold.
pub fn codexdb_go(file: Vec<u8>, key: Option<&[u8]>) -> Result<GoChanges, Fault> {
    let key = match key.map(|key| GoKey::read(key, "the key")) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(_)) => return Err(Fault::WrongKey),
    };
    let mut file = GoFile::from_bytes(file, key, None)?;
    let mut changes = file.changes()?;
    let mut read = Vec::new();
    loop {
        match changes.next() {
            Ok(None) => return Ok((read, None)),
            Ok(Some(change)) => read.push(match change.operation {
                GoOperation::Set(value) => {
                    let codec = if let Value::Json(_) = value { Codec::Json } else { Codec::Raw };
                    GoChange::Set(change.key, codec, value.as_bytes().to_vec())
                }
                GoOperation::Delete => GoChange::Delete(change.key),
                GoOperation::Clear => GoChange::Clear,
            }),
            Err(fault) => return Ok((read, Some(fault))),
        }
    }
}

/// The line that `export` writes for the record of a line; nothing for a deletion.
pub fn exported(line: &Line) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some((codec, value)) = &line.value {
        let content = Content::of_parts(*codec, value, line.expires_unix_ms);
        record::write_parts(&mut text, &line.key, content)?;
    }
    Ok(text)
}

/// The key in the text of a key file or of `CODEX_KEY`; or what the user is told.
pub fn encryption_key(text: &str) -> Result<EncryptionKey, String> {
    secret::encryption_key(text, "the text").map_err(|failure| failure.text())
}

impl Line {
    fn of(operation: Operation) -> Self {
        match operation {
            Operation::Set(record) => Self::set(record),
            Operation::Delete(key) => Self { key, value: None, expires_unix_ms: None },
        }
    }

    fn set(record: Record) -> Self {
        let value = record.value.as_bytes().to_vec();
        let Record { key, codec, expires_unix_ms, .. } = record;
        Self { key, value: Some((codec, value)), expires_unix_ms }
    }
}
