//! A ledger of the original: a frame for each change, one behind the other.
//!
//! | offset | size | field |
//! | --- | --- | --- |
//! | 0 | 4 | length of what follows, big-endian |
//! | 4 | 32 | SHA-256 of the body, before it was encrypted |
//! | 36 | length − 32 | body: `{"op":…,"key":…,"value":…}`, compressed, then encrypted |

use std::io::{BufRead, Read};

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::record;

use super::{Change, Fault, GoKey, Operation, compression, expanded_len_max, stored};

/// The frames of a file by their lengths, one at a time.
pub(super) struct Frames<R> {
    source: R,
    offset: u64,
    end: u64,
}

/// One frame as it stands.
pub(super) struct Frame {
    pub(super) offset: u64,
    checksum: [u8; 32],
    pub(super) body: Vec<u8>,
}

impl<R: Read> Frames<R> {
    pub(super) fn new(source: R, len: u64) -> Self {
        Self { source, offset: 0, end: len }
    }

    /// The next frame; none at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Fault> {
        let offset = self.offset;
        let left = self.end - offset;
        if left == 0 {
            return Ok(None);
        }
        let fault = |what| Fault::Frame { offset, what };
        if left < 4 + CHECKSUM_LEN {
            return Err(fault("is cut: the file ends in it"));
        }
        let (mut field, mut checksum) = ([0; 4], [0; 32]);
        self.source.read_exact(&mut field).map_err(Fault::Read)?;
        let len = u64::from(u32::from_be_bytes(field));
        if len < CHECKSUM_LEN {
            return Err(fault("names a length that no frame has"));
        }
        // Before any memory is taken for it.
        if len > left - 4 {
            return Err(fault("is cut, or names a wrong length: the file ends before it does"));
        }
        self.source.read_exact(&mut checksum).map_err(Fault::Read)?;
        let body_len = len - CHECKSUM_LEN;
        let mut body = Vec::with_capacity(usize::try_from(body_len).map_err(|_| fault("is too long"))?);
        self.source.by_ref().take(body_len).read_to_end(&mut body).map_err(Fault::Read)?;
        if body.len() as u64 != body_len {
            return Err(fault("is cut: the file has become shorter"));
        }
        self.offset += 4 + len;
        Ok(Some(Frame { offset, checksum, body }))
    }
}

impl Frame {
    /// Whether the body, decrypted, is what was written.
    pub(super) fn matches_checksum(&self) -> bool {
        Sha256::digest(&self.body)[..] == self.checksum
    }
}

/// The changes of a ledger.
pub(crate) struct Reader<'a> {
    frames: Frames<Box<dyn BufRead + 'a>>,
    key: Option<&'a GoKey>,
    text_len_max: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: impl BufRead + 'a, len: u64, key: Option<&'a GoKey>) -> Self {
        // The largest value, with its key and the names around them.
        let text_len_max = expanded_len_max(len).min(codex::VALUE_LEN_MAX as u64 + (1 << 20));
        Self { frames: Frames::new(Box::new(source), len), key, text_len_max }
    }

    pub(super) fn next(&mut self) -> Result<Option<Change>, Fault> {
        let Some(mut frame) = self.frames.next()? else { return Ok(None) };
        let offset = frame.offset;
        let fault = |what| Fault::Frame { offset, what };
        if let Some(key) = self.key
            && key.open(&mut frame.body).is_none()
        {
            return Err(fault("does not authenticate"));
        }
        if !frame.matches_checksum() {
            return Err(fault("does not match its checksum"));
        }
        let text = compression::expand(frame.body, self.text_len_max).map_err(fault)?;
        change(&text).map(Some).map_err(|what| Fault::NotUnderstood { offset: Some(offset), what })
    }
}

/// The members of a change. Others are refused: what is not understood is not dropped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    op: u64,
    #[serde(default)]
    key: String,
    #[serde(borrow, default, deserialize_with = "record::present")]
    value: Option<&'a RawValue>,
}

fn change(text: &[u8]) -> Result<Change, &'static str> {
    // Its own message would quote the text.
    let members: Members<'_> =
        serde_json::from_slice(text).map_err(|_| "a frame holds no change that is understood")?;
    let operation = match (members.op, members.value) {
        (0, Some(value)) => Operation::Set(stored(value.get().as_bytes().to_vec())),
        (0, None) => return Err("a frame sets a key, and has no value"),
        (1, _) => Operation::Delete,
        (2, _) => Operation::Clear,
        _ => return Err("a frame holds an operation that is not known"),
    };
    Ok(Change { operation, key: members.key.into_bytes() })
}

pub(super) const CHECKSUM_LEN: u64 = 32;
