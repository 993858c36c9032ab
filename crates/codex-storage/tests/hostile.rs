//! Files that somebody made on purpose: cut to what still looks whole, full of what looks like frames, with
//! numbers at the end of their range. The sweeps over all damage are in `attacks/`.
#![cfg(not(loom))]

use std::path::Path;

use codex_crypto::merkle::origin_leaf;
use codex_crypto::{DatabaseId, Digest, EncryptionKey, Frontier, PlaintextSealer, Salt, Unlock};
use codex_storage::format::frame::{self, FrameHeader, Kind};
use codex_storage::format::header::{Header, LOG_START};
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{Operation, SimVfs};
use codex_storage::{Batch, Damage, Database, Mode, OpenOptions, Result, SequenceNumber, StorageError};

const PATH: &str = "/app.db";

fn open(disk: &SimVfs, mode: Mode, unlock: Option<&Unlock>) -> Result<Database> {
    let options = OpenOptions { mode: Some(mode), vfs: Arc::new(disk.clone()), ..OpenOptions::default() };
    options.open(Path::new(PATH), unlock)
}

fn commit(database: &Database, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.set(key, &[value]).expect("within bounds");
    database.commit(batch).expect("the disk is sound");
}

/// The file as a killed process leaves it after one commit.
fn killed(mode: Mode, unlock: Option<&Unlock>) -> SimVfs {
    let disk = SimVfs::new(1);
    let database = open(&disk, mode, unlock).expect("a new database");
    commit(&database, b"key", b"value");
    disk.process_crash()
}

fn header_of(disk: &SimVfs) -> Header {
    let file = disk.read_file(PATH).expect("it is there");
    Header::decode(file.first_chunk().expect("a header")).expect("a whole header")
}

/// Writes both copies of a header as anyone can who knows the format: without encryption there is no key to it.
fn forge_header(disk: &SimVfs, header: &Header) {
    let block = header.encode(&PlaintextSealer::new(header.id));
    disk.overwrite(PATH, 0, &[block, block].concat()).expect("it is there");
}

fn frame_header(kind: Kind, offset: u64, previous_leaf: Digest) -> FrameHeader {
    FrameHeader {
        kind,
        begins: true,
        ends: true,
        offset,
        first_sequence: SequenceNumber(1),
        commit_count: 1,
        payload_len: 0,
        time_ns: 0,
        durable: offset,
        previous_leaf,
        salt: Salt::from_bytes([0; 32]),
    }
}

fn forge_frame(header: FrameHeader, payload: &[u8], id: DatabaseId) -> (Vec<u8>, Digest) {
    let mut bytes = vec![0; FrameHeader::LEN];
    bytes.extend_from_slice(payload);
    let leaf = frame::seal(header, &mut bytes, id, &PlaintextSealer::new(id)).expect("there is randomness");
    (bytes, leaf)
}

fn damage_of(error: StorageError) -> (u64, Damage) {
    let StorageError::Damaged { offset, source, .. } = error else { panic!("{error:?}") };
    (offset, source)
}

#[test]
fn a_file_cut_inside_its_header_is_refused_and_not_taken_for_an_empty_database() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let disk = killed(mode, None);
        // Without encryption the first copy ends in zeros, which is what a file reads as behind its end.
        disk.truncate(PATH, 200).expect("it is longer");
        let before = disk.files();
        let (offset, damage) = damage_of(open(&disk, mode, None).expect_err("the log is lost"));
        assert!(matches!(damage, Damage::Floor), "{damage:?}");
        assert_eq!(offset, LOG_START);
        assert_eq!(disk.files(), before);
    }
}

#[test]
fn a_tail_full_of_forged_frames_costs_no_more_than_a_few_readings_of_it() {
    let unlock = Unlock::from(EncryptionKey::from_bytes([7; 32]));
    let disk = killed(Mode::Ledger, Some(&unlock));
    let id = header_of(&disk).id;
    let mut file = disk.read_file(PATH).expect("it is there");
    // The checksum of a frame's header needs no key. Each of these says that what stood before it had been
    // acknowledged, and has to be opened to see that it is none of ours.
    let torn = usize::try_from(LOG_START).expect("small") + 1000;
    file.truncate(torn);
    let count = 4000;
    for _ in 0..count {
        let header = frame_header(Kind::Commit, file.len() as u64, Digest::ZERO);
        file.extend_from_slice(&header.encode(id));
    }
    let len = file.len() as u64;
    disk.write_file(PATH, &file).expect("there is space");
    let database = open(&disk, Mode::Ledger, Some(&unlock)).expect("they are the torn end of a commit");
    assert!(database.has(b"key"));
    let recovery = database.stats().recovery;
    assert_eq!(recovery.torn_bytes, len - database.head().offset - zeros_behind(&file));
    let log = disk.log();
    assert!(log.len() < 60_000, "the log of operations is whole");
    let reads = log.iter().filter(|logged| logged.operation == Operation::Read);
    let read: u64 = reads.filter_map(codex_storage::vfs::sim::Logged::bytes).sum();
    assert!(read < 12 * len, "{read} bytes were read of a file of {len}");
}

#[test]
fn a_tail_of_forged_frames_that_overlap_is_given_up_after_a_few_readings_of_it() {
    let disk = killed(Mode::Snapshot, None);
    let id = header_of(&disk).id;
    let mut file = disk.read_file(PATH).expect("it is there");
    let torn = usize::try_from(LOG_START).expect("small") + 1000;
    file.truncate(torn);
    // Each header claims the longest payload, so that each byte belongs to thousands of frames.
    for _ in 0..20_000 {
        let mut header = frame_header(Kind::Commit, file.len() as u64, Digest::ZERO);
        header.payload_len = 1 << 20;
        file.extend_from_slice(&header.encode(id));
    }
    disk.write_file(PATH, &file).expect("there is space");
    let before = disk.files();
    let (offset, damage) = damage_of(open(&disk, Mode::Snapshot, None).expect_err("it is too much to check"));
    assert!(matches!(damage, Damage::DamagedTail), "{damage:?}");
    assert!(offset > torn as u64, "{offset}");
    assert_eq!(disk.files(), before);
}

fn zeros_behind(file: &[u8]) -> u64 {
    file.iter().rev().take_while(|&&byte| byte == 0).count() as u64
}

#[test]
fn forged_numbers_at_the_end_of_their_range_are_refused() {
    let disk = killed(Mode::Snapshot, None);
    let header = header_of(&disk);
    let generation = Header { generation: u64::MAX, ..header.clone() };
    let base_sequence = Header { base_sequence: SequenceNumber(u64::MAX), ..header };
    for (header, name) in [(generation, "generation"), (base_sequence, "base sequence")] {
        forge_header(&disk, &header);
        let before = disk.files();
        let (offset, damage) = damage_of(open(&disk, Mode::Snapshot, None).expect_err("it cannot go on"));
        assert!(matches!(damage, Damage::HeaderField(field) if field == name), "{damage:?}");
        assert_eq!(offset, 0);
        assert_eq!(disk.files(), before);
    }
}

#[test]
fn a_forged_checkpoint_with_the_last_sequence_number_is_ignored() {
    let disk = killed(Mode::Ledger, None);
    let header = header_of(&disk);
    let id = header.id;
    // A log of one frame that claims the last number there is, and a checkpoint that agrees.
    let mut last = frame_header(Kind::Commit, LOG_START, origin_leaf(id, &Digest::ZERO));
    last.first_sequence = SequenceNumber(u64::MAX);
    let (frame, leaf) = forge_frame(last, b"\x01\x02", id);
    let end = LOG_START + frame.len() as u64;
    let block = header.encode(&PlaintextSealer::new(id));
    disk.write_file(PATH, &[&block[..], &block, &frame].concat()).expect("there is space");
    let mut manifest = Vec::new();
    for number in [0, end, u64::MAX, LOG_START] {
        manifest.extend_from_slice(&number.to_le_bytes());
    }
    manifest.extend_from_slice(leaf.as_bytes());
    manifest.extend_from_slice(&Frontier::default().encode());
    let mut first = frame_header(Kind::Checkpoint, 0, origin_leaf(id, &Digest::ZERO));
    (first.first_sequence, first.commit_count) = (SequenceNumber(u64::MAX), 0);
    let (checkpoint, _) = forge_frame(first, &manifest, id);
    disk.write_file("/app.db.ckpt", &checkpoint).expect("there is space");
    let (offset, damage) = damage_of(open(&disk, Mode::Ledger, None).expect_err("commit 1 is not there"));
    assert!(matches!(damage, Damage::NotContinued), "{damage:?}");
    assert_eq!(offset, LOG_START);
}
