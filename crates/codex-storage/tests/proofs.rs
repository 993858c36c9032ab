//! What a log can prove of itself, and what a database says to a head that somebody kept: any commit is in any later
//! head, a later head continues an earlier one, and an older copy, a fork, another database and a rewritten one are each
//! told apart. Proofs cost a few headers, whatever the log holds.
#![cfg(not(loom))]

use std::path::Path;

use codex_crypto::merkle::leaf_hash;
use codex_crypto::{DatabaseId, Digest, EncryptionKey, Frontier, LogHead, PlaintextSealer, Salt, Unlock};
use codex_storage::format::frame::{self, FrameHeader};
use codex_storage::progress::Observer;
use codex_storage::sync::Arc;
use codex_storage::vfs::sim::{DiskError, Fault, Logged, Operation, SimVfs};
use codex_storage::{
    Background, Batch, Continuation, Damage, Database, Durability, ExpectedHead, FrameFacts, HeadMismatch,
    Mode, OpenOptions, Result, SequenceNumber, StorageError, UnkeyedLog,
};

const PATH: &str = "/folder/app.db";
const CHECKPOINT: &str = "/folder/app.db.ckpt";
const BLOCK_LEN: u64 = 4096;
const LOG_START: u64 = 2 * BLOCK_LEN;

fn options(disk: &SimVfs) -> OpenOptions {
    // Nothing is rewritten and no checkpoint written but when a test asks for it.
    let background = Background::Caller;
    OpenOptions { vfs: Arc::new(disk.clone()), background, ..OpenOptions::default() }
}

fn unlock() -> Unlock {
    Unlock::from(EncryptionKey::from_bytes([7; 32]))
}

fn open_with(options: &OpenOptions, encrypted: bool) -> Result<Database> {
    options.open(Path::new(PATH), encrypted.then(unlock).as_ref())
}

fn create(disk: &SimVfs, mode: Mode, encrypted: bool) -> Database {
    let options = OpenOptions { mode: Some(mode), durability: Durability::Sync, ..options(disk) };
    open_with(&options, encrypted).expect("a new database")
}

fn open(disk: &SimVfs, encrypted: bool) -> Database {
    open_with(&options(disk), encrypted).expect("it opens")
}

fn set(database: &Database, key: &str, value: &[u8]) {
    let mut batch = Batch::new();
    batch.set(key.as_bytes(), &[value]).expect("within bounds");
    database.commit(batch).expect("the disk is whole");
}

/// Commits until the log has `size` frames, and returns the heads after each.
fn grow(database: &Database, size: u64) -> Vec<LogHead> {
    let mut heads = vec![database.log_head()];
    while heads.last().expect("the first").size < size {
        set(database, "counter", &heads.len().to_le_bytes());
        heads.push(database.log_head());
    }
    heads
}

/// Demands that every commit asked for is proven in the database's head.
fn check_proofs(database: &Database, sequences: impl IntoIterator<Item = u64>) {
    let head = database.log_head();
    for sequence in sequences {
        let proof = database.prove(SequenceNumber(sequence)).expect("the commit is there");
        assert_eq!(proof.head, head);
        assert_eq!(proof.inclusion.size, head.size);
        proof.inclusion.verify(&leaf_hash(&[&proof.frame]), &head.root).expect("a proof holds");
        let facts = FrameFacts::read(&proof.frame, head.id).expect("a frame of this database");
        assert!((facts.first_sequence..=facts.last_sequence).contains(&sequence), "{facts:?}");
        let levels = head.size.next_power_of_two().ilog2();
        assert!(proof.inclusion.hashes.len() <= levels as usize, "{} hashes", proof.inclusion.hashes.len());
    }
}

fn mismatch(result: Result<impl std::fmt::Debug>) -> HeadMismatch {
    match result {
        Err(StorageError::HeadMismatch { path, source }) => {
            assert_eq!(path, Path::new(PATH));
            source
        }
        result => panic!("{result:?}"),
    }
}

#[test]
fn every_commit_is_proven_in_every_kind_of_database() {
    for mode in [Mode::Ledger, Mode::Snapshot] {
        for encrypted in [true, false] {
            let disk = SimVfs::new(1);
            let database = create(&disk, mode, encrypted);
            set(&database, "a", b"1");
            // One commit over three frames, then two commits in one.
            set(&database, "large", &vec![7; 2_200_000]);
            let pending = ["b", "c"].map(|key| {
                let mut batch = Batch::new();
                batch.set(key.as_bytes(), &[b"2"]).expect("within bounds");
                database.submit(batch).expect("there is room")
            });
            database.tend().expect("it leads");
            for pending in pending {
                pending.wait().expect("committed");
            }
            set(&database, "d", b"3");
            assert_eq!(database.head().size, 6, "the frames of five commits");
            check_proofs(&database, 1..=5);
            for sequence in [0, 6, u64::MAX] {
                let error = database.prove(SequenceNumber(sequence)).expect_err("there is none");
                let expected = StorageError::NoSuchCommit { sequence, first: 1, last: 5 };
                assert_eq!(error.to_string(), expected.to_string());
            }
            drop(database);
            check_proofs(&open(&disk, encrypted), 1..=5);
        }
    }
}

#[test]
fn an_empty_log_proves_no_commit_and_continues_itself() {
    let database = create(&SimVfs::new(1), Mode::Ledger, false);
    let error = database.prove(SequenceNumber(1)).expect_err("there is none");
    assert!(matches!(error, StorageError::NoSuchCommit { sequence: 1, first: 1, last: 0 }), "{error:?}");
    let (proof, head) = database.prove_consistency(0, 0).expect("nothing is to show");
    assert_eq!((proof.hashes.len(), head), (0, database.log_head()));
    assert_eq!(database.compare_head(head).expect("its own"), Continuation::Same);
}

#[test]
fn a_buffered_commit_is_proven_once_it_was_acknowledged() {
    let disk = SimVfs::new(1);
    let options =
        OpenOptions { mode: Some(Mode::Ledger), durability: Durability::Buffered, ..options(&disk) };
    let database = open_with(&options, true).expect("a new database");
    set(&database, "a", b"1");
    set(&database, "b", b"2");
    let proof = database.prove(SequenceNumber(2)).expect("it was acknowledged");
    let facts = FrameFacts::read(&proof.frame, proof.head.id).expect("a frame");
    assert_eq!((facts.first_sequence, facts.last_sequence), (1, 2));
}

/// Frames of the long tests: more than two runs of 1,024, which an index keeps.
const LONG: u64 = 2 * 1024 + 100;

#[test]
fn proofs_across_runs_of_leaves_hold_and_every_head_is_continued() {
    let disk = SimVfs::new(1);
    let database = create(&disk, Mode::Ledger, true);
    let heads = grow(&database, LONG);
    let borders = [0, 1, 2, 3, 511, 512, 1023, 1024, 1025, 1500, 2047, 2048, 2049, LONG - 1, LONG];
    check_proofs(&database, borders.into_iter().filter(|sequence| *sequence > 0));
    let at = |size: u64| heads[usize::try_from(size).expect("a head was kept")];
    for from in borders {
        for to in borders.into_iter().filter(|to| *to >= from) {
            let (proof, head) = database.prove_consistency(from, to).expect("both are there");
            assert_eq!((head, proof.from, proof.to), (at(to), from, to));
            proof.verify(&at(from).root, &at(to).root).expect("a proof holds");
            assert!(proof.hashes.len() <= 13, "{} hashes", proof.hashes.len());
        }
        let expected = match LONG - from {
            0 => Continuation::Same,
            frames => Continuation::Extends { frames },
        };
        assert_eq!(database.compare_head(at(from)).expect("it continues"), expected);
    }
    for (from, to) in [(2, 1), (0, LONG + 1), (LONG + 1, LONG + 1), (0, u64::MAX)] {
        let error = database.prove_consistency(from, to).expect_err("there is none");
        let expected = StorageError::NoSuchSizes { from, to, size: LONG };
        assert_eq!(error.to_string(), expected.to_string());
    }
    // Commits go on, and so does the index.
    grow(&database, 3 * 1024 + 1);
    check_proofs(&database, [1, 2048, 3 * 1024, 3 * 1024 + 1]);
    database.close().expect("a clean end");
    let error = database.prove(SequenceNumber(1)).expect_err("it is closed");
    assert!(matches!(error, StorageError::Closed), "{error:?}");
}

#[test]
fn a_proof_after_opening_from_a_checkpoint_reads_two_runs_of_headers_and_not_the_log() {
    let disk = SimVfs::new(1);
    let database = create(&disk, Mode::Ledger, true);
    grow(&database, 6 * 1024 + 7);
    database.checkpoint().expect("room for it");
    database.close().expect("a clean end");
    let log_len = disk.read_file(PATH).expect("the database").len() as u64;
    drop(database);

    let database = open(&disk, true);
    let before = read_bytes(&disk);
    check_proofs(&database, [10]);
    let read = read_bytes(&disk) - before;
    // Two runs of headers with their small payloads, the frame, and a piece read ahead for each.
    assert!(read < log_len / 6 * 2 + (128 << 10), "{read} of {log_len} bytes");
    check_proofs(&database, [1, 1024, 1025, 4096, 6 * 1024 + 7]);
}

fn read_bytes(disk: &SimVfs) -> u64 {
    let log = disk.log();
    let reads =
        log.iter().filter(|logged| logged.operation == Operation::Read && *logged.path == *Path::new(PATH));
    reads.filter_map(Logged::bytes).sum()
}

#[test]
fn a_checkpoint_with_a_forged_leaf_index_costs_a_pass_over_the_headers_and_proves_nothing_false() {
    let disk = SimVfs::new(1);
    let database = create(&disk, Mode::Ledger, false);
    let heads = grow(&database, LONG);
    database.checkpoint().expect("room for it");
    let head = database.log_head();
    database.close().expect("a clean end");
    drop(database);
    let manifest = 4 + 4 * 8 + Digest::LEN;
    // Behind two numbers, the first run: its offset, its sequence number, and its root.
    for at in [16, 24, 32, 16 + 48, 16 + 48 + 16] {
        let disk = disk.snapshot();
        let mut bytes = disk.read_file(CHECKPOINT).expect("the checkpoint");
        let forged = resealed(&mut bytes, head.id, |payload| payload[manifest + at] ^= 1);
        disk.write_file(CHECKPOINT, &forged).expect("room for it");
        let believed = || {
            let database =
                open_with(&OpenOptions { read_only: true, ..options(&disk) }, false).expect("it opens");
            assert!(!database.stats().recovery.checkpoint_damaged, "the forgery is believed");
            database
        };
        check_proofs(&believed(), [1, 700, 1024, 1025, 2048, LONG]);
        assert_eq!(believed().compare_head(head).expect("its own"), Continuation::Same);
        let continued = Continuation::Extends { frames: LONG - 1100 };
        assert_eq!(believed().compare_head(heads[1100]).expect("it was"), continued);
        let (proof, newer) = believed().prove_consistency(1100, 2048).expect("both are there");
        assert_eq!(newer, heads[2048]);
        proof.verify(&heads[1100].root, &newer.root).expect("a proof holds");
    }
}

#[test]
fn a_checkpoint_is_written_beside_damage_for_others_to_report_and_not_beside_a_failing_disk() {
    let disk = SimVfs::new(1);
    let database = create(&disk, Mode::Ledger, true);
    grow(&database, 20);
    disk.fail_next(Operation::Read, 0, Fault::Before(DiskError::Io));
    let failed = database.checkpoint().expect_err("the log cannot be read");
    assert!(matches!(failed, StorageError::Io { action: "read", .. }), "{failed:?}");
    assert!(disk.read_file(CHECKPOINT).is_err(), "nothing was written");
    // Damage in what it covers takes nothing from what is in memory.
    disk.flip_bit(PATH, (LOG_START + 5) * 8).expect("the file has it");
    database.checkpoint().expect("room for it");
    let error = database.prove(SequenceNumber(1)).expect_err("it is damaged");
    assert!(matches!(error, StorageError::Damaged { offset: LOG_START, .. }), "{error:?}");
}

/// The frames of a plaintext checkpoint, sealed and linked anew after the payload of the first was changed.
fn resealed(checkpoint: &mut [u8], id: DatabaseId, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let (mut from, mut made, mut leaf, mut change) = (0, Vec::new(), None, Some(change));
    while from < checkpoint.len() {
        let encoded = checkpoint[from..from + FrameHeader::LEN].try_into().expect("a header");
        let mut header = FrameHeader::decode(encoded, from as u64, id).expect("a frame");
        let end = from + FrameHeader::LEN + header.payload_len as usize;
        let mut frame = checkpoint[from..end].to_vec();
        if let Some(change) = change.take() {
            change(&mut frame[FrameHeader::LEN..]);
        }
        header.previous_leaf = leaf.unwrap_or(header.previous_leaf);
        header.salt = Salt::from_bytes([0; Salt::LEN]);
        leaf = Some(frame::seal(header, &mut frame, id, &PlaintextSealer::new(id)).expect("random bytes"));
        made.extend_from_slice(&frame);
        from = end + Digest::LEN;
    }
    made
}

#[test]
fn damage_beneath_an_open_database_is_named_by_its_place_and_proves_nothing() {
    let disk = SimVfs::new(1);
    let database = create(&disk, Mode::Ledger, true);
    grow(&database, 20);
    let proof = database.prove(SequenceNumber(10)).expect("it is there");
    let at = FrameFacts::read(&proof.frame, proof.head.id).expect("a frame").offset;
    // In its header, its payload and its tag; and in the leaf that the frame behind it names.
    let len = proof.frame.len() as u64;
    for byte in [at + 5, at + 20, at + 60, at + 130, at + len - 1, at + len + 50] {
        let fresh = SimVfs::new(1);
        let copy = fresh.clone();
        for (path, bytes) in disk.files() {
            copy.write_file(path, &bytes).expect("room for it");
        }
        let database = open(&copy, true);
        copy.flip_bit(PATH, byte * 8).expect("the file has it");
        let error = database.prove(SequenceNumber(10)).expect_err("it is damaged");
        let StorageError::Damaged { offset, source: Damage::LogChanged, .. } = error else {
            panic!("{error:?}")
        };
        let place = if byte < at + len { at } else { at + len };
        assert_eq!(offset, place, "byte {byte}");
    }
}

#[test]
fn an_older_copy_a_fork_and_another_database_are_told_apart_and_left_as_they_are() {
    let disk = SimVfs::new(1);
    let database = create(&disk, Mode::Ledger, true);
    let first = grow(&database, 3).pop().expect("a head");
    database.close().expect("a clean end");
    let older = disk.snapshot();
    drop(database);

    let database = open(&disk, true);
    let kept = grow(&database, 5).pop().expect("a head");
    database.close().expect("a clean end");
    drop(database);

    let fork = older.snapshot();
    let database = open(&fork, true);
    set(&database, "another", b"way");
    grow(&database, 6);
    database.close().expect("a clean end");
    drop(database);

    let other = SimVfs::new(2);
    let database = create(&other, Mode::Ledger, true);
    grow(&database, 7);
    database.close().expect("a clean end");
    drop(database);

    let demand = |disk: &SimVfs, head: ExpectedHead| {
        let before = disk.read_file(PATH).expect("the database");
        let options = OpenOptions { expect_head: Some(head), ..options(disk) };
        let opened = open_with(&options, true).map(|database| drop(database.close()));
        assert!(disk.read_file(PATH).expect("the database") == before, "it is left as it is");
        opened
    };
    demand(&disk, kept.into()).expect("it is the head");
    demand(&disk, first.into()).expect("it goes on from there");
    demand(&older, first.into()).expect("it is the head");
    let ahead = mismatch(demand(&older, kept.into()));
    assert!(matches!(ahead, HeadMismatch::Ahead { head: 5, log: 3 }), "{ahead:?}");
    let forked = mismatch(demand(&fork, kept.into()));
    assert!(matches!(forked, HeadMismatch::Forked { head: 5 }), "{forked:?}");
    let foreign = mismatch(demand(&other, kept.into()));
    assert!(matches!(foreign, HeadMismatch::OtherDatabase(id) if id == kept.id), "{foreign:?}");
    // Without the id, another database can only look like a fork.
    let forked = mismatch(demand(&other, ExpectedHead { id: None, size: kept.size, root: kept.root }));
    assert!(matches!(forked, HeadMismatch::Forked { head: 5 }), "{forked:?}");
    // From the future, as far as anybody can tell.
    let ahead = mismatch(demand(&disk, LogHead { size: u64::MAX, ..kept }.into()));
    assert!(matches!(ahead, HeadMismatch::Ahead { head: u64::MAX, log: 5 }), "{ahead:?}");
}

#[test]
fn a_cut_history_and_one_with_a_torn_end_are_refused_before_anything_is_cut() {
    let disk = SimVfs::new(1);
    let database = create(&disk, Mode::Ledger, true);
    let kept = grow(&database, 4).pop().expect("a head");
    let proof = database.prove(SequenceNumber(4)).expect("it is there");
    let last = FrameFacts::read(&proof.frame, kept.id).expect("a frame").offset;
    // Killed: no floor says how far the log went, and no later commit that the last one was durable.
    let killed = disk.snapshot();
    drop(database);
    killed.truncate(PATH, last + 50).expect("within the file");
    let before = killed.read_file(PATH).expect("the database");
    let options = OpenOptions { expect_head: Some(kept.into()), ..options(&killed) };
    let ahead = mismatch(open_with(&options, true));
    assert!(matches!(ahead, HeadMismatch::Ahead { head: 4, log: 3 }), "{ahead:?}");
    assert!(killed.read_file(PATH).expect("the database") == before);
    assert!(killed.read_file("/folder/app.db.torn").is_err(), "nothing was cut off");
}

#[test]
fn a_database_that_is_missing_is_not_created_in_the_place_of_one_that_is_expected() {
    let disk = SimVfs::new(1);
    let head = LogHead { id: DatabaseId::from_bytes([1; 16]), size: 0, root: Frontier::new().root() };
    let options = OpenOptions { expect_head: Some(head.into()), ..options(&disk) };
    let error = open_with(&options, true).expect_err("there is none");
    assert!(matches!(error, StorageError::NotFound { .. }), "{error:?}");
    assert!(disk.file_names().is_empty(), "{:?}", disk.file_names());
}

#[test]
fn after_a_rewrite_the_last_head_before_it_is_continued_and_others_cannot_be_compared() {
    let disk = SimVfs::new(1);
    let database = create(&disk, Mode::Snapshot, true);
    let heads = grow(&database, 6);
    let last = *heads.last().expect("a head");
    database.compact().expect("room for it");
    assert_eq!(database.compare_head(last).expect("the file names it"), Continuation::Replaces);
    let rewritten = mismatch(database.compare_head(heads[3]));
    assert!(matches!(rewritten, HeadMismatch::Rewritten), "{rewritten:?}");
    let error = database.prove(SequenceNumber(6)).expect_err("it is in the base now");
    assert!(matches!(error, StorageError::NoSuchCommit { sequence: 6, first: 7, last: 6 }), "{error:?}");
    set(&database, "a", b"1");
    check_proofs(&database, [7]);
    let now = database.log_head();
    assert_eq!(database.compare_head(now).expect("its own"), Continuation::Same);
    let rewritten = mismatch(database.compare_head(LogHead { size: 100, ..now }));
    assert!(matches!(rewritten, HeadMismatch::Rewritten), "{rewritten:?}");
}

/// The header of such a file has zeros where others name the root of the file before them.
#[test]
fn a_head_of_zeros_is_refused_by_a_database_that_was_never_rewritten() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        let database = create(&SimVfs::new(1), mode, true);
        let heads = grow(&database, 3);
        for size in [1, 3, 4] {
            let zeros = ExpectedHead { id: Some(heads[0].id), size, root: Digest::ZERO };
            let refused = mismatch(database.compare_head(zeros));
            match size {
                4 => assert!(matches!(refused, HeadMismatch::Ahead { head: 4, log: 3 }), "{refused:?}"),
                _ => assert!(matches!(refused, HeadMismatch::Forked { head } if head == size), "{refused:?}"),
            }
        }
    }
}

#[test]
fn bytes_that_are_no_frame_of_the_database_say_nothing() {
    let database = create(&SimVfs::new(1), Mode::Ledger, true);
    set(&database, "a", b"1");
    let proof = database.prove(SequenceNumber(1)).expect("it is there");
    let id = proof.head.id;
    let facts = FrameFacts::read(&proof.frame, id).expect("a frame");
    assert_eq!((facts.first_sequence, facts.last_sequence, facts.offset), (1, 1, LOG_START));
    assert_eq!(FrameFacts::read(&proof.frame, DatabaseId::from_bytes([0; 16])), None, "another database");
    for len in 0..proof.frame.len() {
        assert_eq!(FrameFacts::read(&proof.frame[..len], id), None, "cut to {len} bytes");
    }
    assert_eq!(FrameFacts::read(&[&proof.frame[..], b"x"].concat(), id), None);
    let disk = SimVfs::new(1);
    let database = create(&disk, Mode::Snapshot, true);
    let first_frame = |len: usize| {
        let start = usize::try_from(LOG_START).expect("small");
        disk.read_file(PATH).expect("the database")[start..start + FrameHeader::LEN + len + 16].to_vec()
    };
    set(&database, "large", &vec![7; 1_100_000]);
    let id_of_large = database.log_head().id;
    assert_eq!(FrameFacts::read(&first_frame(1 << 20), id_of_large), None, "a commit goes on behind it");
    set(&database, "large", b"small");
    database.compact().expect("room for it");
    // One operation, a set: its number, the lengths, key and value.
    assert_eq!(FrameFacts::read(&first_frame(14), id_of_large), None, "a state, and no commit");
    for byte in 0..FrameHeader::LEN {
        let mut changed = proof.frame.clone();
        changed[byte] ^= 1;
        assert_eq!(FrameFacts::read(&changed, id), None, "byte {byte}");
    }
}

#[test]
fn without_the_key_the_head_is_the_same_and_every_flipped_byte_is_noticed_by_it_or_before() {
    for mode in [Mode::Ledger, Mode::Snapshot] {
        let disk = SimVfs::new(1);
        let database = create(&disk, mode, true);
        set(&database, "large", &vec![7; 1_100_000]);
        set(&database, "large", b"small");
        grow(&database, 6);
        if mode == Mode::Snapshot {
            database.compact().expect("room for it");
            set(&database, "a", b"1");
        }
        let (head, sequence) = (database.log_head(), database.view().sequence().0);
        database.close().expect("a clean end");
        drop(database);
        let log = UnkeyedLog::open(&disk, Path::new(PATH), Observer::NONE).expect("it is whole");
        let report = log.report();
        assert_eq!((report.head, report.sequence, report.frames), (head, sequence, head.size));
        assert_eq!((report.floor_size, report.torn_bytes), (head.size, 0));
        assert_eq!(log.compare_head(head).expect("its own"), Continuation::Same);
        drop(log);
        let len = disk.read_file(PATH).expect("the database").len() as u64;
        // All of both header copies that is not reserved, a sample of the payload, and all of the last frames.
        let copies = (0..300).chain(BLOCK_LEN..BLOCK_LEN + 300);
        let bytes = copies.chain((LOG_START..len).step_by(if mode == Mode::Ledger { 9973 } else { 1 }));
        for byte in bytes.chain(len - 300..len) {
            disk.flip_bit(PATH, byte * 8).expect("the file has it");
            let read = UnkeyedLog::open(&disk, Path::new(PATH), Observer::NONE).map(|log| log.report());
            match read {
                Err(StorageError::Damaged { offset, .. }) if byte < LOG_START => {
                    assert_eq!(offset, byte / BLOCK_LEN * BLOCK_LEN, "byte {byte}");
                }
                Err(StorageError::Damaged { .. }) => {}
                // Magic and version come before the checksum.
                Err(StorageError::UnsupportedVersion { .. }) => {
                    assert!((8..12).contains(&byte), "byte {byte}");
                }
                read => panic!("{mode}, byte {byte}: {read:?}"),
            }
            disk.flip_bit(PATH, byte * 8).expect("the file has it");
        }
    }
}

#[test]
fn without_the_key_a_torn_end_is_reported_and_a_cut_acknowledged_one_is_refused() {
    let disk = SimVfs::new(1);
    let database = create(&disk, Mode::Ledger, true);
    let heads = grow(&database, 4);
    let proof = database.prove(SequenceNumber(4)).expect("it is there");
    let last = FrameFacts::read(&proof.frame, heads[4].id).expect("a frame").offset;
    let frame_len = proof.frame.len() as u64;
    let killed = disk.snapshot();
    drop(database);
    // The last commit was never said to be durable by a later one. What is left of it ends in a byte that is not zero.
    let torn = killed.snapshot();
    torn.overwrite(PATH, last + 6, &vec![0; 4096]).expect("within the file");
    let log = UnkeyedLog::open(&torn, Path::new(PATH), Observer::NONE).expect("a torn end is no damage");
    assert_eq!((log.report().head, log.report().torn_bytes), (heads[3], 6));
    assert_eq!(log.report().floor_size, 0);
    let ahead = mismatch(log.compare_head(heads[4]));
    assert!(matches!(ahead, HeadMismatch::Ahead { head: 4, log: 3 }), "{ahead:?}");
    drop(log);
    // The third had been: the fourth says so.
    let cut = killed.snapshot();
    cut.flip_bit(PATH, (last - 1) * 8).expect("within the file");
    let error =
        UnkeyedLog::open(&cut, Path::new(PATH), Observer::NONE).expect_err("it had been acknowledged");
    let StorageError::Damaged { offset, source: Damage::AcknowledgedFrame, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(offset, last - frame_len);
}

#[test]
fn without_the_key_a_missing_a_foreign_and_a_locked_file_are_each_refused() {
    let disk = SimVfs::new(1);
    let missing = UnkeyedLog::open(&disk, Path::new(PATH), Observer::NONE).expect_err("there is none");
    assert!(matches!(missing, StorageError::NotFound { .. }), "{missing:?}");
    let database = create(&disk, Mode::Ledger, true);
    let locked = UnkeyedLog::open(&disk, Path::new(PATH), Observer::NONE).expect_err("a writer has it");
    assert!(matches!(locked, StorageError::Locked { .. }), "{locked:?}");
    drop(database);
    disk.write_file("/folder/text", b"text").expect("room for it");
    let foreign = UnkeyedLog::open(&disk, Path::new("/folder/text"), Observer::NONE).expect_err("it is text");
    assert!(matches!(foreign, StorageError::NotADatabase { .. }), "{foreign:?}");
}
