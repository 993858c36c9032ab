//! The original's compressions: two bytes, algorithm and level, and then what is compressed.
//!
//! Without compression the two bytes are mostly left out: a JSON text never begins with a byte below 4.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use super::{BUFFER_LEN, Fault, expanded_len_max, streamed_len_max};

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// Not at all, and without the two bytes.
    Absent,
    /// Not at all.
    Stored,
    Gzip,
    Zstd,
    /// Snappy's block format, which is one piece.
    Snappy,
}

impl Compression {
    /// What the first bytes say.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0, _, ..] => Self::Stored,
            [1, _, ..] => Self::Gzip,
            [2, _, ..] => Self::Zstd,
            [3, _, ..] => Self::Snappy,
            _ => Self::Absent,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Absent | Self::Stored => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
        }
    }

    /// Whether a snapshot begins with these bytes for certain.
    pub(super) fn begins_snapshot(head: &[u8]) -> bool {
        begins(head, begins_object)
    }

    /// Whether a ledger's body begins with these bytes for certain.
    pub(super) fn begins_change(head: &[u8]) -> bool {
        begins(head, |text| text.starts_with(b"{\""))
    }
}

fn begins(head: &[u8], begins_text: fn(&[u8]) -> bool) -> bool {
    match head {
        [0, _, text @ ..] => begins_text(text),
        [1, _, rest @ ..] => rest.starts_with(&[0x1f, 0x8b]),
        [2, _, rest @ ..] => rest.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
        [3, _, rest @ ..] => snappy_literal(rest).is_some_and(begins_text),
        _ => begins_text(head),
    }
}

/// An object, up to its first member's name or its end.
fn begins_object(text: &[u8]) -> bool {
    let Some((b'{', rest)) = text.trim_ascii_start().split_first() else { return false };
    matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}'))
}

/// The text with which a snappy block begins: behind the length comes a literal, always.
fn snappy_literal(block: &[u8]) -> Option<&[u8]> {
    let length_len = block.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let (tag, rest) = block.get(length_len..)?.split_first()?;
    match (tag & 3, tag >> 2) {
        (0, 0..60) => Some(rest),
        (0, long) => rest.get(usize::from(long) - 59..),
        _ => None,
    }
}

/// The decompressed text of a whole file of `len` bytes.
pub(super) fn reader<'a>(
    mut source: impl BufRead + 'a,
    compression: Compression,
    len: u64,
) -> Result<Box<dyn BufRead + 'a>, Fault> {
    if compression != Compression::Absent {
        source.read_exact(&mut [0; HEADER_LEN]).map_err(Fault::Read)?;
    }
    let max = streamed_len_max(len);
    match compression {
        Compression::Absent | Compression::Stored => Ok(Box::new(source)),
        Compression::Gzip => Ok(buffered(MultiGzDecoder::new(source), max)),
        Compression::Zstd => Ok(buffered(zstd_decoder(source).map_err(Fault::Read)?, max)),
        Compression::Snappy => {
            let mut block = Vec::new();
            source.read_to_end(&mut block).map_err(Fault::Read)?;
            let text =
                snappy(&block, expanded_len_max(len)).map_err(|what| Fault::Snapshot { offset: 0, what })?;
            Ok(Box::new(Cursor::new(text)))
        }
    }
}

fn buffered<'a>(decoder: impl Read + 'a, max: u64) -> Box<dyn BufRead + 'a> {
    Box::new(BufReader::with_capacity(BUFFER_LEN, Bounded { decoder, left: max }))
}

/// The text in a ledger's body: up to `max` bytes.
pub(super) fn expand(body: Vec<u8>, max: u64) -> Result<Vec<u8>, &'static str> {
    let compressed = body.get(HEADER_LEN..).unwrap_or_default();
    match Compression::of(&body) {
        Compression::Absent => Ok(body),
        Compression::Stored => Ok(compressed.to_vec()),
        Compression::Gzip => drain(MultiGzDecoder::new(compressed), max),
        Compression::Zstd => drain(zstd_decoder(compressed).map_err(|_| NO_MEMORY)?, max),
        Compression::Snappy => snappy(compressed, max),
    }
}

fn drain(decoder: impl Read, max: u64) -> Result<Vec<u8>, &'static str> {
    let mut text = Vec::new();
    match (Bounded { decoder, left: max }).read_to_end(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(fault_of(&error)),
    }
}

fn zstd_decoder<'a, R: BufRead + 'a>(source: R) -> io::Result<impl Read + 'a> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

fn snappy(block: &[u8], max: u64) -> Result<Vec<u8>, &'static str> {
    let claimed = snap::raw::decompress_len(block).map_err(|_| NOT_COMPRESSED_RIGHTLY)?;
    // Three bytes yield 64 at the very most: a block that claims more is a lie, and gets no memory.
    let possible = (block.len() as u64).saturating_mul(22).min(max);
    if claimed as u64 > possible {
        return Err(TOO_LARGE);
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(|_| NOT_COMPRESSED_RIGHTLY)
}

/// What is wrong with the compressed bytes. `error` is not of the disk.
pub(super) fn fault_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::FileTooLarge => TOO_LARGE,
        _ => NOT_COMPRESSED_RIGHTLY,
    }
}

/// What a decompressor yields, up to a bound.
struct Bounded<R> {
    decoder: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(target)?;
        self.left = self.left.checked_sub(read as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(read)
    }
}

const HEADER_LEN: usize = 2;

/// 128 MiB, as zstd itself has it: a window is memory only as far as text fills it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

const TOO_LARGE: &str = "expands to more than its length can account for";
const NOT_COMPRESSED_RIGHTLY: &str = "does not decompress";
const NO_MEMORY: &str = "needs memory to decompress that is not there";
