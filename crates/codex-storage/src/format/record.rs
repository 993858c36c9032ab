//! The records inside a payload. Layout: `docs/file-format.md`, "Records".
//!
//! The only module that names bincode for what is stored; its bytes (varint encoding, little-endian) are
//! specified in the format document, so that any program can read them without it.

use std::io;

use bincode::config::{Configuration, standard};
use bincode::{BorrowDecode, Encode};

use crate::batch::Operation;
use crate::format::SequenceNumber;
use crate::record::Record;
use crate::{KEY_LEN_MAX, VALUE_LEN_MAX};

const ENCODING: Configuration = standard();

/// One operation as it stands in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub enum RecordBytes<'a> {
    /// A key gets a value.
    Set {
        /// How many bytes of `record` are the key; the rest is the value.
        key_len: u16,
        /// Key and value, one behind the other.
        record: &'a [u8],
    },
    /// A key and its value go.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// Everything goes.
    Clear,
    /// A key gets a value until a time comes.
    SetExpiring {
        /// As in `Set`.
        key_len: u16,
        /// As in `Set`.
        record: &'a [u8],
        /// In nanoseconds since the Unix epoch: from then on the key is absent.
        deadline_ns: u64,
    },
}

impl<'a> RecordBytes<'a> {
    /// The key that is changed; `None`: all of them.
    pub(crate) fn key(self) -> Option<&'a [u8]> {
        match self {
            Self::Set { key_len, record } | Self::SetExpiring { key_len, record, .. } => {
                Some(&record[..usize::from(key_len)])
            }
            Self::Delete { key } => Some(key),
            Self::Clear => None,
        }
    }

    /// Whether a key gets a value, as is all that state holds.
    pub(crate) fn is_set(self) -> bool {
        matches!(self, Self::Set { .. } | Self::SetExpiring { .. })
    }

    /// The operation, of a commit with this sequence number.
    pub(crate) fn operation(self, by: SequenceNumber) -> Operation {
        let set = |record: Record| Operation::Set(record.written(by));
        match self {
            Self::Set { key_len, record } => set(Record::new(record, key_len)),
            Self::SetExpiring { key_len, record, deadline_ns } => {
                set(Record::with_deadline(record, key_len, Some(deadline_ns)))
            }
            Self::Delete { key } => Operation::Delete(Record::tombstone(key)),
            Self::Clear => Operation::Clear,
        }
    }
}

/// A payload authenticates and is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Writes one commit: the number of its operations, then each of them.
pub fn write_commit<'a>(
    operations: impl ExactSizeIterator<Item = &'a Operation>,
    target: &mut impl io::Write,
) -> io::Result<()> {
    write(&(operations.len() as u64), target)?;
    for operation in operations {
        let record = match operation {
            Operation::Set(record) => {
                let (key_len, bytes) = (record.key_len(), record.bytes());
                match record.deadline_ns() {
                    None => RecordBytes::Set { key_len, record: bytes },
                    Some(deadline_ns) => RecordBytes::SetExpiring { key_len, record: bytes, deadline_ns },
                }
            }
            Operation::Delete(record) => RecordBytes::Delete { key: record.key() },
            Operation::Clear => RecordBytes::Clear,
        };
        write(&record, target)?;
    }
    Ok(())
}

fn write(value: &impl Encode, target: &mut impl io::Write) -> io::Result<()> {
    match bincode::encode_into_std_write(value, target, ENCODING) {
        Ok(_) => Ok(()),
        Err(bincode::error::EncodeError::Io { inner, .. }) => Err(inner),
        Err(other) => Err(io::Error::other(other)),
    }
}

/// Reads one commit from the front of `payload`, gives each operation to `each`, and returns what is behind it.
pub fn read_commit<'a>(
    payload: &'a [u8],
    mut each: impl FnMut(RecordBytes<'a>) -> Result<(), Malformed>,
) -> Result<&'a [u8], Malformed> {
    let (count, mut rest) = read::<u64>(payload)?;
    for _ in 0..count {
        let (record, behind) = read::<RecordBytes<'_>>(rest)?;
        check(record)?;
        each(record)?;
        rest = behind;
    }
    Ok(rest)
}

fn read<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), Malformed> {
    let (value, len) = bincode::borrow_decode_from_slice(bytes, ENCODING).map_err(|_| Malformed)?;
    Ok((value, &bytes[len..]))
}

fn check(record: RecordBytes<'_>) -> Result<(), Malformed> {
    let possible = match record {
        RecordBytes::Set { key_len, record } | RecordBytes::SetExpiring { key_len, record, .. } => {
            let key_len = usize::from(key_len);
            key_len > 0 && key_len <= record.len() && record.len() - key_len <= VALUE_LEN_MAX
        }
        RecordBytes::Delete { key } => !key.is_empty() && key.len() <= KEY_LEN_MAX,
        RecordBytes::Clear => true,
    };
    if possible { Ok(()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;

    #[test]
    fn the_longest_value_is_accepted_and_one_byte_more_refused() {
        // Never touched, so never in memory.
        let bytes = vec![0; VALUE_LEN_MAX + 3];
        let set = |len: usize| RecordBytes::Set { key_len: 2, record: &bytes[..len] };
        assert_eq!(check(set(VALUE_LEN_MAX + 2)), Ok(()));
        assert_eq!(check(set(VALUE_LEN_MAX + 3)), Err(Malformed));
    }

    fn encoded(batch: &Batch) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_commit(batch.operations().iter(), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_commit_has_the_bytes_that_the_format_document_gives() {
        let mut batch = Batch::new();
        batch.set(b"ab", &[b"xyz"]).unwrap();
        batch.delete(b"k").unwrap();
        batch.clear();
        assert_eq!(encoded(&batch), b"\x03\x00\x02\x05abxyz\x01\x01k\x02");
    }

    #[test]
    fn a_set_that_expires_has_the_bytes_that_the_format_document_gives() {
        let mut batch = Batch::new();
        batch.set_until(b"ab", &[b"xyz"], 1_800_000_000_000_000_000).unwrap();
        let bytes = encoded(&batch);
        assert_eq!(bytes, b"\x01\x03\x02\x05abxyz\xfd\x00\x00\xb4\x93\x76\xe2\xfa\x18");
        let mut seen = Vec::new();
        let rest = read_commit(&bytes, |record| {
            seen.push(record.operation(SequenceNumber(7)));
            Ok(())
        });
        assert_eq!(rest, Ok(&b""[..]));
        let [Operation::Set(record)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((record.key(), record.value(), record.bytes()), (&b"ab"[..], &b"xyz"[..], &b"abxyz"[..]));
        assert_eq!(record.deadline_ns(), Some(1_800_000_000_000_000_000));
        assert_eq!(record.written_by(), SequenceNumber(7));
    }

    #[test]
    fn reading_gives_back_what_was_written_and_stops_behind_it() {
        let mut batch = Batch::new();
        batch.set(b"key", &[&[7; 300]]).unwrap();
        let mut bytes = encoded(&batch);
        bytes.extend_from_slice(b"behind");
        let mut seen = Vec::new();
        let rest = read_commit(&bytes, |record| {
            seen.push(record);
            Ok(())
        });
        assert_eq!(rest, Ok(&b"behind"[..]));
        let mut record = b"key".to_vec();
        record.extend_from_slice(&[7; 300]);
        assert_eq!(seen, [RecordBytes::Set { key_len: 3, record: &record }]);
    }

    #[test]
    fn reading_refuses_empty_keys_lengths_beyond_the_payload_and_unknown_operations() {
        for bytes in [
            &b"\x01\x00\x00\x01a"[..],                           // set with an empty key
            b"\x01\x00\x03\x02ab",                               // key longer than the record
            b"\x01\x01\x00",                                     // delete of an empty key
            b"\x01\x03\x00\x01a\x07",                            // set with an empty key, expiring
            b"\x01\x03\x01\x01a",                                // a deadline is missing
            b"\x01\x04",                                         // no such operation
            b"\x02\x02",                                         // one operation is missing
            b"\x01\x00\x01\xfd\xff\xff\xff\xff\xff\xff\xff\xff", // a length of 2^64 - 1
            b"",
        ] {
            assert_eq!(read_commit(bytes, |_| Ok(())), Err(Malformed), "{bytes:?}");
        }
    }
}
