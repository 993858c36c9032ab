//! Files of the original CodexDB, a Go program: read here so that they can be imported, and never written.
//!
//! A file is a snapshot (one JSON object of all records) or a ledger (a frame for each change), in one of four
//! compressions, with or without AES-GCM: `docs/migrating.md`, "The old forms". Which of these a file is shows in its
//! content; [`GoFile::open`] finds it out, and [`GoFile::changes`] reads the changes from the first to the last, as often
//! as is wanted.
//!
//! What a file claims is held against its length before memory is taken for it: a record has at most
//! [`expanded_len_max`] bytes, a ledger's frame is not longer than what is left of the file, and only one record is in
//! memory at a time. Two forms are one piece, which is kept as such: an encrypted snapshot (its length), and a snapshot
//! in snappy's block format (its length and at most 22 times that).

mod compression;
mod fault;
mod key;
mod ledger;
mod snapshot;

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

pub use fault::Fault;
pub(crate) use key::GoKey;

use crate::exit::Failure;
use crate::value::{self, Value};
use compression::Compression;

/// One change, in the order in which the original made them. A snapshot sets each of its records once.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) operation: Operation,
    pub(crate) key: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum Operation {
    Set(Value),
    Delete,
    Clear,
}

/// What the original was keeping in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Snapshot,
    Ledger,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Ledger => "ledger",
        }
    }
}

/// An open file of the original, of which the form is known.
pub(crate) struct GoFile {
    source: Box<dyn Source>,
    /// Bytes of `source`; what is appended later is not read.
    len: u64,
    /// For a ledger, whose frames are encrypted one by one.
    key: Option<GoKey>,
    kind: Kind,
    cipher: Option<&'static str>,
    compression: Compression,
}

/// What a file is read from, more than once.
trait Source: Read + Seek {}
impl<S: Read + Seek> Source for S {}

impl GoFile {
    /// Opens a file on disk.
    pub(crate) fn open(path: &Path, key: Option<GoKey>, kind: Option<Kind>) -> Result<Self, Failure> {
        let shown = path.display();
        let failed = |error| Failure::io(format!("open {shown}"), error);
        if path == Path::new("-") {
            return Err(Failure::validation("a database is read twice, which standard input cannot be")
                .hint("name the file"));
        }
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Failure::validation(format!("{shown} is no file of the original program"))
                .hint("a database is read twice, so it has to be a file"));
        }
        Self::of(Box::new(file), metadata.len(), key, kind).map_err(|fault| fault.of_file(path))
    }

    /// The same with a file's bytes in memory.
    pub(crate) fn from_bytes(bytes: Vec<u8>, key: Option<GoKey>, kind: Option<Kind>) -> Result<Self, Fault> {
        let len = bytes.len() as u64;
        Self::of(Box::new(Cursor::new(bytes)), len, key, kind)
    }

    fn of(source: Box<dyn Source>, len: u64, key: Option<GoKey>, kind: Option<Kind>) -> Result<Self, Fault> {
        if len == 0 && kind != Some(Kind::Ledger) {
            return Err(Fault::NotUnderstood { offset: Some(0), what: "the file is empty" });
        }
        match key {
            Some(key) => Self::encrypted(source, len, key, kind),
            None => Self::plain(source, len, kind),
        }
    }

    fn plain(mut source: Box<dyn Source>, len: u64, kind: Option<Kind>) -> Result<Self, Fault> {
        let found = match kind {
            Some(kind) => Some(kind),
            None => plain_kind(&mut source, len)?,
        };
        let Some(kind) = found else {
            return Err(if looks_like_text(&mut source)? { Fault::Unknown } else { Fault::NoKey });
        };
        let begin = match kind {
            Kind::Snapshot => head(&mut source)?,
            Kind::Ledger => first_body(&mut source, len)?.unwrap_or_default(),
        };
        Ok(Self { source, len, key: None, kind, cipher: None, compression: Compression::of(&begin) })
    }

    /// A key tells a ledger from a snapshot: it opens the first frame of the one, the whole of the other.
    fn encrypted(
        mut source: Box<dyn Source>,
        len: u64,
        key: GoKey,
        kind: Option<Kind>,
    ) -> Result<Self, Fault> {
        if kind != Some(Kind::Snapshot) {
            if len == 0 {
                let compression = Compression::Absent;
                return Ok(Self {
                    source,
                    len,
                    key: Some(key),
                    kind: Kind::Ledger,
                    cipher: None,
                    compression,
                });
            }
            if let Some(mut body) = first_body(&mut source, len)?
                && let Some(cipher) = key.open(&mut body)
            {
                let compression = Compression::of(&body);
                let (kind, cipher) = (Kind::Ledger, Some(cipher));
                return Ok(Self { source, len, key: Some(key), kind, cipher, compression });
            }
        }
        // A ledger under another key is not taken into memory as a snapshot might be.
        if kind != Some(Kind::Ledger) && !is_chain_of_frames(&mut source, len)? {
            // As long as the file is, so that no copy is made where it would grow.
            let capacity =
                usize::try_from(len).map_err(|_| Fault::Read(io::ErrorKind::OutOfMemory.into()))?;
            let mut message = Vec::with_capacity(capacity);
            rewind(&mut source)?.take(len).read_to_end(&mut message).map_err(Fault::Read)?;
            if let Some(cipher) = key.open(&mut message) {
                let (kind, cipher) = (Kind::Snapshot, Some(cipher));
                let (len, compression) = (message.len() as u64, Compression::of(&message));
                let source = Box::new(Cursor::new(message));
                return Ok(Self { source, len, key: None, kind, cipher, compression });
            }
        }
        match plain_kind(&mut source, len)? {
            Some(_) => Err(Fault::NotEncrypted),
            None => Err(Fault::WrongKey),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is encrypted with; none for a file without encryption.
    pub(crate) fn cipher(&self) -> Option<&'static str> {
        self.cipher
    }

    /// How it is compressed: of a ledger, how its first frame is.
    pub(crate) fn compression(&self) -> &'static str {
        self.compression.name()
    }

    /// How many bytes stand behind a fault, where that can be known: a ledger's frames stand in the file as such.
    pub(crate) fn bytes_from(&self, fault: &Fault) -> Option<u64> {
        match self.kind {
            Kind::Ledger => fault.offset().and_then(|offset| self.len.checked_sub(offset)),
            Kind::Snapshot => None,
        }
    }

    /// The changes, from the first on.
    pub(crate) fn changes(&mut self) -> Result<Changes<'_>, Fault> {
        let source = BufReader::with_capacity(BUFFER_LEN, rewind(&mut self.source)?.take(self.len));
        match self.kind {
            Kind::Ledger => Ok(Changes::Ledger(ledger::Reader::new(source, self.len, self.key.as_ref()))),
            Kind::Snapshot => {
                let text = compression::reader(source, self.compression, self.len)?;
                Ok(Changes::Snapshot(snapshot::Reader::new(text, token_len_max(self.len))))
            }
        }
    }
}

impl std::fmt::Debug for GoFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("GoFile")
            .field("kind", &self.kind)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The changes of a file, one at a time. Behind a fault there is nothing.
pub(crate) enum Changes<'a> {
    Snapshot(snapshot::Reader<'a>),
    Ledger(ledger::Reader<'a>),
}

impl Changes<'_> {
    /// The next change; none behind the last, once all that vouches for the file has been checked.
    pub(crate) fn next(&mut self) -> Result<Option<Change>, Fault> {
        match self {
            Self::Snapshot(reader) => reader.next(),
            Self::Ledger(reader) => reader.next(),
        }
    }

    /// Whether a checksum vouches for what was read. There is none in the older form of a snapshot.
    pub(crate) fn has_checksum(&self) -> bool {
        match self {
            Self::Snapshot(reader) => reader.has_data(),
            Self::Ledger(_) => true,
        }
    }
}

/// The most that one record in a file of this length may have, and so the most memory that it takes: gzip yields 1,032
/// bytes for one at the very most.
fn expanded_len_max(file_len: u64) -> u64 {
    file_len.saturating_mul(1024).saturating_add(1 << 20)
}

/// The most that may come out of a snapshot as it streams by, which takes time only: many records that are alike shrink
/// to less than a 1,024th.
fn streamed_len_max(file_len: u64) -> u64 {
    expanded_len_max(file_len).max(1 << 30)
}

/// The longest string in a snapshot: a value of 1 GiB, in base64.
fn token_len_max(file_len: u64) -> u64 {
    expanded_len_max(file_len).min(codex::VALUE_LEN_MAX as u64 / 3 * 4 + 8)
}

fn rewind(source: &mut Box<dyn Source>) -> Result<&mut Box<dyn Source>, Fault> {
    source.seek(SeekFrom::Start(0)).map_err(Fault::Read)?;
    Ok(source)
}

/// The first bytes.
fn head(source: &mut Box<dyn Source>) -> Result<Vec<u8>, Fault> {
    let mut head = Vec::new();
    rewind(source)?.take(HEAD_LEN).read_to_end(&mut head).map_err(Fault::Read)?;
    Ok(head)
}

/// The body of the first frame, if the file may be a ledger.
fn first_body(source: &mut Box<dyn Source>, len: u64) -> Result<Option<Vec<u8>>, Fault> {
    let mut frames = ledger::Frames::new(rewind(source)?, len);
    match frames.next() {
        Ok(frame) => Ok(frame.map(|frame| frame.body)),
        Err(fault @ Fault::Read(_)) => Err(fault),
        Err(_) => Ok(None),
    }
}

/// What a file without encryption is; none where it is nothing of that kind for certain.
fn plain_kind(source: &mut Box<dyn Source>, len: u64) -> Result<Option<Kind>, Fault> {
    if Compression::begins_snapshot(&head(source)?) {
        return Ok(Some(Kind::Snapshot));
    }
    let first = ledger::Frames::new(rewind(source)?, len).next();
    match first {
        // One that is damaged is a ledger still.
        Ok(Some(frame)) if frame.matches_checksum() || Compression::begins_change(&frame.body) => {
            Ok(Some(Kind::Ledger))
        }
        Err(fault @ Fault::Read(_)) => Err(fault),
        _ => Ok(None),
    }
}

/// Whether the file is frames up to its end, or the first sixteen of them, judged by their lengths: nothing else is,
/// but for one file in many millions.
fn is_chain_of_frames(source: &mut Box<dyn Source>, len: u64) -> Result<bool, Fault> {
    let mut offset = 0;
    for _ in 0..16 {
        if offset == len {
            break;
        }
        let mut field = [0; 4];
        if len - offset < 4 {
            return Ok(false);
        }
        source.seek(SeekFrom::Start(offset)).map_err(Fault::Read)?;
        source.read_exact(&mut field).map_err(Fault::Read)?;
        let frame_len = u64::from(u32::from_be_bytes(field));
        if frame_len < ledger::CHECKSUM_LEN || frame_len > len - offset - 4 {
            return Ok(false);
        }
        offset += 4 + frame_len;
    }
    Ok(true)
}

fn looks_like_text(source: &mut Box<dyn Source>) -> Result<bool, Fault> {
    Ok(head(source)?.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()))
}

/// A value as it is stored: the original kept JSON text. What is none is kept as bytes.
fn stored(bytes: Vec<u8>) -> Value {
    let json = std::str::from_utf8(&bytes).ok().and_then(|text| value::json(text).ok());
    json.map_or(Value::Bytes(bytes), Value::Json)
}

/// A disk's failure, or what a decompressor says of its input: only the first has a number from the system.
fn is_of_the_disk(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
}

const BUFFER_LEN: usize = 64 * 1024;
const HEAD_LEN: u64 = 64;
