//! What somebody forged as a file of the original program must not take memory that its length does not account for.
//! Measured with an allocator that counts, so that these tests have a process of their own and run one at a time; what
//! the decompressor in C takes is measured with the whole command (`cli_codexdb_go.rs`).

#[path = "common/codexdb_go.rs"]
mod old;

use std::sync::{Mutex, PoisonError};

use codex::ErrorKind;
use codex_cli::input::{Fault, GoChange, GoChanges, codexdb_go};
use old::{KEY, Packing, frame, ledger, samples, seal, set, snapshot_text};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Buffers, decompressors and what is handed over: for any file.
const READING: usize = 600 << 10;

/// Reads a file; how many bytes more than before were in use at some moment.
fn measured(file: &[u8], key: Option<&[u8]>) -> (Result<GoChanges, Fault>, usize) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let read = codexdb_go(file.to_vec(), key);
    (read, ALLOCATOR.peak_usage().saturating_sub(before))
}

#[test]
fn four_bytes_of_ones_anywhere_take_no_memory() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for sample in samples() {
        for offset in (0..sample.bytes.len()).step_by(5) {
            let mut hostile = sample.bytes.clone();
            let end = hostile.len().min(offset + 4);
            hostile[offset..end].fill(0xff);
            let (_, peak) = measured(&hostile, sample.key());
            assert!(peak < READING, "{}, byte {offset}: {peak} bytes", sample.name);
        }
    }
}

#[test]
fn one_record_of_a_large_file_is_in_memory_at_a_time() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let value = format!("\"{}\"", "x".repeat(10_000));
    let count = 500;
    let changes: Vec<_> = (0..count).map(|number| set(&number.to_string(), &value)).collect();
    let records: Vec<_> = (0..count).map(|number| (number.to_string(), value.clone().into_bytes())).collect();
    for packing in [Packing::Absent, Packing::Gzip, Packing::Zstd] {
        // The last byte is damaged, so that what is read is known to be all.
        let mut file = ledger(&changes, packing, None);
        let last = file.len() - 1;
        file[last] ^= 1;
        assert!(streamed(&file, None, 0) < READING, "a ledger, {packing:?}");
        let snapshot = packing.pack(snapshot_text(&records).as_bytes());
        assert!(streamed(&snapshot, None, 0) < READING, "a snapshot, {packing:?}");
    }
    // An encrypted snapshot is one message, which is kept, and nothing else.
    let sealed = seal(snapshot_text(&records).into_bytes(), Some(KEY), 1);
    assert!(streamed(&sealed, Some(KEY), sealed.len()) < READING, "an encrypted snapshot");
}

/// Memory beside the file itself, what is kept of it, and the changes that this test collects.
fn streamed(file: &[u8], key: Option<&[u8]>, kept: usize) -> usize {
    let (read, peak) = measured(file, key);
    let (changes, _) = read.expect("its form is known");
    assert!(changes.len() >= 499);
    let len = |change: &GoChange| match change {
        GoChange::Set(key, _, value) => key.capacity() + value.capacity(),
        GoChange::Delete(key) => key.capacity(),
        GoChange::Clear => 0,
    };
    let collected = changes.iter().map(len).sum::<usize>() + 2 * changes.capacity() * size_of::<GoChange>();
    peak.saturating_sub(file.len() + kept + collected)
}

#[test]
fn a_frame_that_leads_beyond_the_file_takes_no_memory() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let first = frame(b"{\"op\":0,\"key\":\"k\",\"value\":1}", None, 0);
    for len in [33, 1 << 20, 1 << 30, u32::MAX] {
        let file = [first.as_slice(), &u32::to_be_bytes(len), &[0; 32]].concat();
        let (read, peak) = measured(&file, None);
        let (changes, fault) = read.expect("a ledger");
        assert_eq!((changes.len(), fault.and_then(|fault| fault.offset())), (1, Some(first.len() as u64)));
        assert!(peak < READING, "{len}: {peak} bytes");
    }
}

#[test]
fn a_ledger_under_another_key_is_not_taken_into_memory_as_a_snapshot_is() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let value = format!("\"{}\"", "x".repeat(10_000));
    let changes: Vec<_> = (0..500).map(|number| set(&number.to_string(), &value)).collect();
    let file = ledger(&changes, Packing::Absent, Some(KEY));
    let (read, peak) = measured(&file, Some(&[1; 32]));
    assert_eq!(read.expect_err("it is of another key").kind(), ErrorKind::Encryption);
    assert!(peak < file.len() + READING, "{peak} bytes beside {} of the file", file.len());
}
