//! A snapshot of the original: one JSON object, read as it streams by.
//!
//! ```json
//! {"checksum": "SHA-256 of data without white space, in hex", "data": {"key": "base64 of the value's JSON"}}
//! ```
//!
//! An older form is the bare `data` object, which nothing vouches for. The text is scanned token by token, since the
//! checksum is over the tokens as they stand, escapes included, and a place can be named in bytes.

use std::io::{self, BufRead};

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::{Change, Fault, Operation, compression, is_of_the_disk, stored};

/// The records of a snapshot, each as a change that sets it.
pub(crate) struct Reader<'a> {
    scanner: Scanner<'a>,
    at: At,
    /// Over the tokens of `data`.
    hasher: Sha256,
    /// The last member beside `data`, which shows by what follows it whether it is a record of the bare form.
    held: Option<Member>,
    has_data: bool,
    has_bare_records: bool,
    /// The last member that was read.
    member: Member,
}

/// A key and a value, as they stand in the text.
#[derive(Default)]
struct Member {
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Where in the text the reader is: before a member, the first one or a later one, or behind all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Outer { first: bool },
    Data { first: bool },
    End,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: Box<dyn BufRead + 'a>, token_len_max: u64) -> Self {
        Self {
            scanner: Scanner { text, offset: 0, token_len_max },
            at: At::Start,
            hasher: Sha256::new(),
            held: None,
            has_data: false,
            has_bare_records: false,
            member: Member::default(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Change>, Fault> {
        loop {
            match self.at {
                At::Start => {
                    self.scanner.expect(b'{')?;
                    self.at = At::Outer { first: true };
                }
                At::Outer { first } => {
                    let has_member = self.scanner.member(first, &mut self.member.key)?;
                    if !has_member {
                        self.scanner.expect_end()?;
                        self.at = At::End;
                        return self.finish();
                    }
                    self.at = At::Outer { first: false };
                    if let Some(record) = self.outer_member()? {
                        return self.change(&record).map(Some);
                    }
                }
                At::Data { first } => {
                    if self.scanner.member(first, &mut self.member.key)? {
                        self.at = At::Data { first: false };
                        self.scanner.string(&mut self.member.value)?;
                        if !first {
                            self.hasher.update(b",");
                        }
                        self.hasher.update(&self.member.key);
                        self.hasher.update(b":");
                        self.hasher.update(&self.member.value);
                        return self.change(&self.member).map(Some);
                    }
                    self.hasher.update(b"}");
                    self.at = At::Outer { first: false };
                }
                At::End => return Ok(None),
            }
        }
    }

    /// Whether the records stand in `data`, with a checksum over them.
    pub(super) fn has_data(&self) -> bool {
        self.has_data
    }

    /// Takes a member of the outermost object; gives the one before it if that is a record.
    fn outer_member(&mut self) -> Result<Option<Member>, Fault> {
        let offset = self.scanner.offset;
        let mixed = || Fault::Snapshot {
            offset,
            what: "a member that belongs neither to a snapshot nor to its older form",
        };
        let is_checksum = |member: &Member| member.key == b"\"checksum\"";
        if self.member.key == b"\"data\"" && self.scanner.peek()? == Some(b'{') {
            let only_checksum = self.held.as_ref().is_none_or(is_checksum) && !self.has_bare_records;
            if self.has_data || !only_checksum {
                return Err(mixed());
            }
            self.scanner.expect(b'{')?;
            self.hasher.update(b"{");
            self.has_data = true;
            self.at = At::Data { first: true };
            return Ok(None);
        }
        self.scanner.string(&mut self.member.value)?;
        if self.has_data && (self.held.is_some() || !is_checksum(&self.member)) {
            return Err(mixed());
        }
        let record = self.held.replace(std::mem::take(&mut self.member));
        self.has_bare_records |= record.is_some();
        Ok(record)
    }

    /// The last record of the bare form, or else what vouches for the records.
    fn finish(&mut self) -> Result<Option<Change>, Fault> {
        let fault = |what| Fault::Snapshot { offset: 0, what };
        let held = self.held.take();
        if !self.has_data {
            return held.map(|record| self.change(&record)).transpose();
        }
        let Some(Member { value: checksum, .. }) = held else {
            return Err(fault("the checksum is missing"));
        };
        let computed = base16ct::lower::encode_string(&self.hasher.finalize_reset());
        if checksum.get(1..checksum.len() - 1) == Some(computed.as_bytes()) {
            Ok(None)
        } else {
            Err(fault("the records do not match the checksum, so that any of them may be changed"))
        }
    }

    fn change(&self, record: &Member) -> Result<Change, Fault> {
        let fault = |what| Fault::Snapshot { offset: self.scanner.offset, what };
        let key = text(&record.key).ok_or_else(|| fault("a key is no JSON text"))?;
        let value = text(&record.value).ok_or_else(|| fault("a value is no JSON text"))?;
        let value = Base64::decode_vec(&value).map_err(|_| fault("a value is not base64"))?;
        Ok(Change { operation: Operation::Set(stored(value)), key: key.into_bytes() })
    }
}

/// The text that a string's token means.
fn text(token: &[u8]) -> Option<String> {
    serde_json::from_slice(token).ok()
}

/// The tokens of a JSON text, each checked as far as it can be told from the next.
struct Scanner<'a> {
    text: Box<dyn BufRead + 'a>,
    /// Bytes that have been taken.
    offset: u64,
    token_len_max: u64,
}

impl Scanner<'_> {
    /// The next byte that is not white space, which is left; none at the end.
    fn peek(&mut self) -> Result<Option<u8>, Fault> {
        loop {
            let buffer = self.text.fill_buf().map_err(|error| failed(self.offset, error))?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            let found = buffer.iter().position(|byte| !white(byte));
            let byte = found.and_then(|at| buffer.get(at).copied());
            let skipped = found.unwrap_or(buffer.len());
            self.consume(skipped);
            if byte.is_some() {
                return Ok(byte);
            }
        }
    }

    fn consume(&mut self, len: usize) {
        self.text.consume(len);
        self.offset += len as u64;
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        match self.peek()? {
            Some(found) if found == byte => {
                self.consume(1);
                Ok(())
            }
            found => Err(self.unexpected(found)),
        }
    }

    fn expect_end(&mut self) -> Result<(), Fault> {
        match self.peek()? {
            None => Ok(()),
            found => Err(self.unexpected(found)),
        }
    }

    /// The name of the next member, up to its colon; false at the end of the object.
    fn member(&mut self, first: bool, name: &mut Vec<u8>) -> Result<bool, Fault> {
        if self.peek()? == Some(b'}') {
            self.consume(1);
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
        }
        self.string(name)?;
        self.expect(b':')?;
        Ok(true)
    }

    /// A string as it stands, quotes and escapes included.
    fn string(&mut self, token: &mut Vec<u8>) -> Result<(), Fault> {
        token.clear();
        // A value that was long does not hold its memory for the rest of the file.
        token.shrink_to(KEPT_LEN_MAX);
        self.expect(b'"')?;
        token.push(b'"');
        let mut escaped = false;
        loop {
            let buffer = self.text.fill_buf().map_err(|error| failed(self.offset, error))?;
            if buffer.is_empty() {
                return Err(self.unexpected(None));
            }
            let end = buffer.iter().position(|&byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            let len = end.map_or(buffer.len(), |end| end + 1);
            if token.len() as u64 + len as u64 > self.token_len_max {
                return Err(Fault::Snapshot { offset: self.offset, what: "a text is longer than any value" });
            }
            token.extend_from_slice(&buffer[..len]);
            self.consume(len);
            if end.is_some() {
                return Ok(());
            }
        }
    }

    fn unexpected(&self, found: Option<u8>) -> Fault {
        let what =
            if found.is_some() { "it is not what a snapshot has there" } else { "the text ends too early" };
        Fault::Snapshot { offset: self.offset, what }
    }
}

fn failed(offset: u64, error: io::Error) -> Fault {
    if is_of_the_disk(&error) {
        Fault::Read(error)
    } else {
        Fault::Snapshot { offset, what: compression::fault_of(&error) }
    }
}

const KEPT_LEN_MAX: usize = 1024 * 1024;
