//! What somebody wrote on purpose must not take memory that its own length does not account for. Measured with an
//! allocator that counts, so that these tests have a process of their own and run one at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use codex::{ErrorKind, Options};
use codex_crypto::merkle::origin_leaf;
use codex_crypto::{DatabaseId, Digest, Frontier, PlaintextSealer, Salt, Suite};
use codex_storage::format::frame::{self, FrameHeader, Kind};
use codex_storage::format::header::{Header, LOG_START};
use codex_storage::{Batch, Damage, Database, Floor, Mode, OpenOptions, SequenceNumber, StorageError};
use peak_alloc::PeakAlloc;
use tempfile::TempDir;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What opening needs for any file: three readers of 4 MiB each that look ahead, and a buffer for copying.
const OPENING: usize = 14 << 20;

struct Folder {
    _alone: MutexGuard<'static, ()>,
    folder: TempDir,
}

impl Folder {
    fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        Self { _alone: alone, folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }
}

/// The result, and how many bytes more than before were in use at some moment.
fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let result = work();
    (result, ALLOCATOR.peak_usage().saturating_sub(before))
}

fn id() -> DatabaseId {
    DatabaseId::from_bytes([3; 16])
}

/// A plaintext log in the making, as anybody can forge it.
struct Forgery {
    bytes: Vec<u8>,
    leaf: Digest,
}

impl Forgery {
    fn new(mode: Mode) -> Self {
        let header = Header {
            generation: 1,
            mode,
            suite: Suite::Plaintext,
            id: id(),
            floor: Floor { offset: LOG_START, size: 0, root: Frontier::default().root() },
            predecessor_root: Digest::ZERO,
            base_sequence: SequenceNumber(0),
            retired: Vec::new(),
            slots: [[0; 256]; 8],
        };
        let block = header.encode(&PlaintextSealer::new(id()));
        Self { bytes: [block, block].concat(), leaf: origin_leaf(id(), &Digest::ZERO) }
    }

    fn checkpoint() -> Self {
        Self { bytes: Vec::new(), leaf: origin_leaf(id(), &Digest::ZERO) }
    }

    fn frame(&self, kind: Kind) -> FrameHeader {
        FrameHeader {
            kind,
            begins: true,
            ends: true,
            offset: self.bytes.len() as u64,
            first_sequence: SequenceNumber(1),
            commit_count: u32::from(kind == Kind::Commit),
            payload_len: 0,
            time_ns: 0,
            durable: 0,
            previous_leaf: self.leaf,
            salt: Salt::from_bytes([0; 32]),
        }
    }

    fn push(&mut self, header: FrameHeader, payload: &[u8]) {
        let mut frame = vec![0; FrameHeader::LEN];
        frame.extend_from_slice(payload);
        let sealer = PlaintextSealer::new(id());
        self.leaf = frame::seal(header, &mut frame, id(), &sealer).expect("there is randomness");
        self.bytes.extend_from_slice(&frame);
    }
}

fn open(path: &Path) -> Result<Database, StorageError> {
    OpenOptions { create: false, ..OpenOptions::default() }.open(path, None)
}

/// Commits values as they stand, codec byte included.
fn store(path: &Path, values: &[(&str, &[u8])]) {
    let database = Database::open(path, None).expect("a new database");
    let mut batch = Batch::new();
    for (key, value) in values {
        batch.set(key.as_bytes(), &[value]).expect("within bounds");
    }
    database.commit(batch).expect("there is space");
    database.close().expect("there is space");
}

#[test]
fn lengths_and_counts_without_end_take_no_memory() {
    let folder = Folder::new();
    let payloads: [&[u8]; 8] = [
        b"\xfd\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        b"\x01\x00\x01\xfd\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x01\x00\x01\xfc\xff\xff\xff\xff",
        b"\x01\x00\xfb\xff\xff\xfc\xff\xff\xff\x3f",
        b"\x01\x01\xfc\xff\xff\xff\xff",
        b"\x01\x01\xfd\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    for payload in payloads {
        for commit_count in [1, u32::MAX] {
            let mut forgery = Forgery::new(Mode::Snapshot);
            let header = FrameHeader { commit_count, ..forgery.frame(Kind::Commit) };
            forgery.push(header, payload);
            fs::write(folder.path(), &forgery.bytes).expect("there is space");
            let (opened, peak) = measured(|| open(&folder.path()));
            let error = opened.expect_err("it is malformed");
            assert!(matches!(error, StorageError::Damaged { source: Damage::Records, .. }), "{error:?}");
            assert!(peak < forgery.bytes.len() + OPENING, "{payload:x?} takes {peak} bytes");
        }
    }
}

#[test]
fn a_checkpoint_with_a_count_without_end_takes_no_memory() {
    let folder = Folder::new();
    let mut log = Forgery::new(Mode::Ledger);
    log.push(log.frame(Kind::Commit), b"\x01\x00\x01\x02kv");
    fs::write(folder.path(), &log.bytes).expect("there is space");
    let mut manifest = Vec::new();
    for number in [u64::MAX, log.bytes.len() as u64, 1, LOG_START] {
        manifest.extend_from_slice(&number.to_le_bytes());
    }
    manifest.extend_from_slice(log.leaf.as_bytes());
    manifest.extend_from_slice(&Frontier::default().encode());
    let mut checkpoint = Forgery::checkpoint();
    checkpoint.push(checkpoint.frame(Kind::Checkpoint), &manifest);
    checkpoint.push(checkpoint.frame(Kind::Checkpoint), b"\xfd\xff\xff\xff\xff\xff\xff\xff\xff");
    fs::write(folder.folder.path().join("app.db.ckpt"), &checkpoint.bytes).expect("there is space");
    let (opened, peak) = measured(|| open(&folder.path()));
    let database = opened.expect("the checkpoint is ignored");
    assert!(database.stats().recovery.checkpoint_damaged && database.has(b"k"));
    assert!(peak < OPENING, "{peak} bytes");
}

#[test]
fn a_tail_full_of_forged_frames_takes_no_memory() {
    let folder = Folder::new();
    let mut forgery = Forgery::new(Mode::Snapshot);
    forgery.push(forgery.frame(Kind::Commit), b"\x01\x00\x01\x02kv");
    forgery.bytes.extend_from_slice(&[1; 100]);
    for index in 0..80_000 {
        let offset = forgery.bytes.len() as u64;
        let payload_len = if index % 2 == 0 { 0 } else { 1 << 20 };
        let header = FrameHeader { payload_len, durable: offset, ..forgery.frame(Kind::Commit) };
        forgery.bytes.extend_from_slice(&header.encode(id()));
    }
    fs::write(folder.path(), &forgery.bytes).expect("there is space");
    let (opened, peak) = measured(|| open(&folder.path()));
    let error = opened.expect_err("it is too much to check");
    assert!(matches!(error, StorageError::Damaged { source: Damage::DamagedTail, .. }), "{error:?}");
    assert!(peak < OPENING, "{peak} bytes for a file of {}", forgery.bytes.len());
}

#[test]
fn one_commit_over_many_frames_takes_a_few_times_its_length() {
    let folder = Folder::new();
    let len = 24 << 20;
    store(&folder.path(), &[("large", &vec![0; len])]);
    let (database, peak) = measured(|| open(&folder.path()).expect("it is whole"));
    assert_eq!(database.get(b"large").map(|(record, _)| record.value().len()), Some(len));
    println!("opening one value of {len} bytes takes {peak} bytes");
    // The payload while its frames are joined, in a vector that doubles, and the record.
    assert!(peak < 4 * len + OPENING, "{peak} bytes");
}

#[test]
fn the_smallest_records_take_memory_in_proportion_to_the_file() {
    let folder = Folder::new();
    let count = 250_000_u32;
    let mut payload = vec![0xfc];
    payload.extend_from_slice(&count.to_le_bytes());
    for index in 0..count {
        payload.extend_from_slice(&[0, 3, 3]);
        payload.extend_from_slice(&index.to_be_bytes()[1..]);
    }
    let mut forgery = Forgery::new(Mode::Snapshot);
    let frames = payload.chunks(1 << 20).collect::<Vec<_>>();
    for (index, part) in frames.iter().enumerate() {
        let (begins, ends) = (index == 0, index + 1 == frames.len());
        forgery.push(FrameHeader { begins, ends, ..forgery.frame(Kind::Commit) }, part);
    }
    fs::write(folder.path(), &forgery.bytes).expect("there is space");
    let (database, peak) = measured(|| open(&folder.path()).expect("it is whole"));
    assert_eq!(database.record_count(), u64::from(count));
    let per_record = (peak - OPENING.min(peak)) / count as usize;
    println!("{} bytes of the smallest records take {peak} bytes", forgery.bytes.len());
    let overhead = usize::try_from(codex_storage::Stats::RECORD_MEMORY_OVERHEAD).expect("small");
    assert!(per_record < overhead, "{per_record} bytes for a record of 6");
}

#[test]
fn a_value_that_claims_to_expand_without_bound_is_refused_before_memory_is_taken() {
    let folder = Folder::new();
    let gib = (1_u32 << 30).to_le_bytes();
    let zeros = zstd::bulk::compress(&vec![0; 64 << 20], 3).expect("there is memory");
    let lying = [&[0x20], &8_u32.to_le_bytes()[..], &zeros].concat();
    let bomb = [&[0x20], &(64_u32 << 20).to_le_bytes()[..], &zeros].concat();
    let beyond = [&[0x20], &u32::MAX.to_le_bytes()[..], &zeros].concat();
    let lz4 = [&[0x10], &gib[..], &[0xff; 4000]].concat();
    let bounded = [&[0x10], &(256_u32 * 4000).to_le_bytes()[..], &[0xff; 4000]].concat();
    assert!(zeros.len() * 256 < 64 << 20, "a bomb beyond the bound");
    let values: [(&str, &[u8]); 5] =
        [("lying", &lying), ("bomb", &bomb), ("beyond", &beyond), ("lz4", &lz4), ("bounded", &bounded)];
    store(&folder.path(), &values);
    let (opened, peak) = measured(|| Options::new().open(folder.path()));
    let store = opened.expect("values are opened when they are read");
    assert!(peak < OPENING, "{peak} bytes");
    for (key, value) in values {
        let (got, peak) = measured(|| store.get_bytes(key));
        assert_eq!(got.expect_err("it is no value of ours").kind(), ErrorKind::Integrity, "{key}");
        assert!(peak <= 256 * value.len() + (1 << 16), "{key}: {peak} bytes for a value of {}", value.len());
    }
}

#[test]
fn a_text_that_claims_to_be_long_takes_no_more_than_its_value_accounts_for() {
    let folder = Folder::new();
    // bincode: a length of 1 GiB, and nothing behind it.
    let text = b"\x02\xfc\x00\x00\xff\x3f";
    let bytes = b"\x02\xfd\xff\xff\xff\xff\xff\xff\xff\x7f";
    store(&folder.path(), &[("text", text), ("bytes", bytes)]);
    let store = Options::new().open(folder.path()).expect("it is whole");
    for key in ["text", "bytes"] {
        let (got, peak) = measured(|| store.get::<String>(key));
        assert_eq!(got.expect_err("there is no text").kind(), ErrorKind::Validation);
        assert!(peak < 1 << 20, "{key}: {peak} bytes");
        let (got, peak) = measured(|| store.get::<Vec<u64>>(key));
        assert_eq!(got.expect_err("there are no numbers").kind(), ErrorKind::Validation);
        assert!(peak < 4 << 20, "{key}: {peak} bytes");
    }
}

#[test]
fn four_bytes_of_ones_anywhere_take_no_memory() {
    let folder = Folder::new();
    store(&folder.path(), &[("a", b"\x00value"), ("b", &[7; 300])]);
    let file = fs::read(folder.path()).expect("it is there");
    let fields = (0..208).step_by(4).chain((LOG_START_BYTE..file.len()).step_by(4));
    for offset in fields {
        let mut hostile = file.clone();
        let end = file.len().min(offset + 4);
        hostile[offset..end].fill(0xff);
        // In both header copies, or else the other one counts.
        if offset < 4096 {
            hostile.copy_within(..4096, 4096);
        }
        fs::write(folder.path(), &hostile).expect("there is space");
        let (opened, peak) = measured(|| Options::new().read_only(true).open(folder.path()));
        let kind = opened.expect_err("it is damaged").kind();
        let not_ours = offset < 8 && kind == ErrorKind::Validation;
        assert!(not_ours || kind == ErrorKind::Integrity, "byte {offset}: {kind}");
        assert!(peak < OPENING, "byte {offset}: {peak} bytes");
    }
}

const LOG_START_BYTE: usize = 8192;
