//! An attacker who knows the format: unkeyed checksums made right again, key slots exchanged, costs raised,
//! values that look like frames. Without encryption there is no key to any of it, and the tests say what
//! a forger can do then.

use std::path::Path;

use codex_crypto::{
    DatabaseId, Digest, EncryptionKey, KeyError, KeySlot, PlaintextSealer, RetiredKey, Salt, Unlock, sha256,
};
use codex_storage::format::frame::{self, FrameHeader, Kind};
use codex_storage::format::header::{BLOCK_LEN, Block, Header, LOG_START, SLOT_COUNT};
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{
    Damage, Durability, Floor, Mode, NewKey, OpenOptions, Result, SequenceNumber, StorageError,
};

use crate::referee::{Verdict, block, newest_header};
use crate::specimen::{Change, Files, LOCK, Making, PATH, Specimen, State, all, options, rekeyed, unlock};

const RETIRED: usize = 200;
const SLOTS: usize = 2048;

/// Makes the checksum of a header copy right again, as anybody can.
fn sum(block: &mut Block) {
    block[16..48].fill(0);
    let checksum = sha256(&[&block[..]]);
    block[16..48].copy_from_slice(checksum.as_bytes());
}

/// Makes checksum and code of a plaintext header copy right again, as anybody can.
fn encode(header: &Header) -> Block {
    header.encode(&PlaintextSealer::new(header.id))
}

fn with_blocks(files: &Files, blocks: [&Block; 2]) -> Vec<u8> {
    [&blocks[0][..], blocks[1], &files.database[2 * BLOCK_LEN..]].concat()
}

/// Opens a file for reading and for writing, which must end in the same way; a refused file stays as it is.
fn open(database: &[u8], unlock: Option<&Unlock>) -> Result<(State, u64)> {
    let disk = SimVfs::new(1);
    disk.write_file(PATH, database).expect("a new disk");
    disk.write_file(LOCK, &[]).expect("a new disk");
    let before = disk.files();
    let open = |read_only| {
        let opened = OpenOptions { read_only, ..options(&disk) }.open(Path::new(PATH), unlock)?;
        let records = opened.view().range((std::ops::Bound::Unbounded, std::ops::Bound::Unbounded));
        let state: State = records.map(|record| (record.key().to_vec(), record.value().to_vec())).collect();
        Ok((state, opened.stats().recovery.torn_bytes))
    };
    let by_reader: Result<_> = open(true);
    assert!(disk.files() == before, "a reader changes nothing");
    let by_writer = open(false);
    match (&by_reader, &by_writer) {
        (Ok(one), Ok(other)) => assert!(one == other),
        (Err(one), Err(other)) => {
            assert_eq!(one.to_string(), other.to_string());
            assert!(disk.files() == before, "a refused file is left as it is");
        }
        _ => panic!("{by_reader:?} for a reader, {by_writer:?} for a writer"),
    }
    by_writer
}

fn closed(mode: Mode, encrypted: bool) -> Specimen {
    let mut making = Making::new(mode, encrypted, Durability::Sync);
    making.commit_five(1);
    making.closed("five commits, closed")
}

fn state_of(specimen: &Specimen) -> State {
    match specimen.referee.judge(&specimen.files) {
        Verdict::Opens { state, .. } => state,
        Verdict::Refused(refusal) => panic!("{refusal:?}"),
    }
}

#[test]
fn a_changed_header_with_its_checksum_made_right_never_opens() {
    let mut tried = 0;
    for encrypted in [false, true] {
        let specimen = closed(Mode::Snapshot, encrypted);
        let original = block(&specimen.files.database, 0);
        for offset in (8..16).chain(48..BLOCK_LEN) {
            let mut forged = original;
            forged[offset] ^= 1;
            sum(&mut forged);
            let file = with_blocks(&specimen.files, [&forged, &forged]);
            let error = open(&file, unlock(encrypted).as_ref()).expect_err("it is forged");
            tried += 1;
            let expected = match (&error, offset) {
                (StorageError::UnsupportedVersion { .. }, 8..12)
                | (StorageError::NotEncrypted { .. }, 89)
                    if encrypted || offset != 89 =>
                {
                    true
                }
                // The suite says that there is a key, or that there is none.
                (StorageError::KeyRequired { .. }, 89) => !encrypted,
                // The id and the first slot decide what opens the slot, before the header is judged.
                (StorageError::WrongKey { .. }, 96..112 | 2080..2144) => encrypted,
                (StorageError::Key { source, .. }, 2048..2304) => encrypted && refuses_a_slot(source),
                (StorageError::Damaged { offset: 0, source, .. }, _) => match source {
                    Damage::HeaderField(_) => (12..16).contains(&offset) || (88..SLOTS).contains(&offset),
                    Damage::HeaderAuthentication(_) => true,
                    _ => false,
                },
                _ => false,
            };
            assert!(expected, "byte {offset}, encrypted: {encrypted}: {error:?}");
        }
    }
    println!("{tried} changed header bytes with a right checksum: all refused");
}

fn refuses_a_slot(error: &KeyError) -> bool {
    matches!(
        error,
        KeyError::CostOutOfBounds { .. }
            | KeyError::ReservedNotZero
            | KeyError::UnknownSlotKind { .. }
            | KeyError::Label
            | KeyError::SlotDamaged
    )
}

#[test]
fn a_forged_newer_copy_is_refused_although_the_other_is_whole() {
    for encrypted in [false, true] {
        let specimen = closed(Mode::Ledger, encrypted);
        let whole = block(&specimen.files.database, 0);
        let mut forged = whole;
        forged[80] += 1;
        sum(&mut forged);
        for (index, blocks) in [[&forged, &whole], [&whole, &forged]].into_iter().enumerate() {
            let error = open(&with_blocks(&specimen.files, blocks), unlock(encrypted).as_ref());
            let Err(StorageError::Damaged { offset, source, .. }) = error else { panic!("{error:?}") };
            assert!(matches!(source, Damage::HeaderAuthentication(_)), "{source:?}");
            assert_eq!(offset, (index * BLOCK_LEN) as u64);
        }
    }
}

#[test]
fn a_header_copy_of_another_database_is_never_taken_for_the_header() {
    for encrypted in [false, true] {
        let mut making = Making::new(Mode::Ledger, encrypted, Durability::Sync);
        making.commit_five(1);
        let victim = making.killed("killed before its first floor");
        let ours = block(&victim.files.database, 0);
        // One key opens both. A backup of an empty database begins with a higher generation and the lowest floor.
        let empty = Making::new(Mode::Ledger, encrypted, Durability::Sync);
        let mut backup = [0; BLOCK_LEN];
        let prefix = empty.database().durable_prefix().expect("the disk is sound");
        prefix.read_at(&mut backup, 0).expect("within the prefix");
        for theirs in [backup, block(&closed(Mode::Ledger, encrypted).files.database, 0)] {
            for (index, blocks) in [[&theirs, &ours], [&ours, &theirs]].into_iter().enumerate() {
                let file = with_blocks(&victim.files, blocks);
                let error = open(&file, unlock(encrypted).as_ref()).expect_err("it belongs elsewhere");
                let StorageError::Damaged { offset: 0, source: Damage::HeaderCopiesDiffer, .. } = error
                else {
                    panic!("copy {index}, encrypted: {encrypted}: {error:?}")
                };
            }
        }
    }
}

#[test]
fn an_encrypted_database_with_a_forged_plaintext_header_copy_is_refused() {
    let specimen = closed(Mode::Ledger, true);
    let ours = block(&specimen.files.database, 0);
    let header = Header::decode(&ours).expect("a whole header");
    let floor = Making::new(Mode::Ledger, false, Durability::Sync).database().head();
    let suite = codex_crypto::Suite::Plaintext;
    let slots = [[0; KeySlot::LEN]; SLOT_COUNT];
    let forged = encode(&Header { generation: header.generation + 1, suite, floor, slots, ..header });
    // Whoever opens it without a key must not be shown an empty database, nor have the true copy overwritten.
    let error = open(&with_blocks(&specimen.files, [&forged, &ours]), None).expect_err("it is forged");
    let StorageError::Damaged { offset: 0, source: Damage::HeaderCopiesDiffer, .. } = error else {
        panic!("{error:?}")
    };
    // Where both copies are forged, whoever gives the key learns that it is not the database they know.
    let error = open(&with_blocks(&specimen.files, [&forged, &forged]), unlock(true).as_ref());
    assert!(matches!(error, Err(StorageError::NotEncrypted { .. })), "{error:?}");
}

#[test]
fn a_floor_that_a_forger_raises_is_refused_and_one_that_is_lowered_is_harmless() {
    let specimen = closed(Mode::Snapshot, false);
    let header = Header::decode(&block(&specimen.files.database, 0)).expect("a whole header");
    let whole = state_of(&specimen);
    let forge = |floor| {
        let block = encode(&Header { floor, ..header.clone() });
        open(&with_blocks(&specimen.files, [&block, &block]), None)
    };
    let mut root = *header.floor.root.as_bytes();
    root[7] ^= 1;
    let root = Digest::from_bytes(root);
    let (offset, size) = (header.floor.offset, header.floor.size);
    let raised = [
        Floor { offset: offset + 1, ..header.floor },
        Floor { offset: u64::MAX, ..header.floor },
        Floor { size: size + 1, ..header.floor },
        Floor { size: u64::MAX, ..header.floor },
        Floor { root, ..header.floor },
        // Inside the log, where no frame ends.
        Floor { offset: offset - 1, ..header.floor },
    ];
    for floor in raised {
        let error = forge(floor).expect_err("the log does not reach it");
        assert!(matches!(error, StorageError::Damaged { source: Damage::Floor, .. }), "{error:?}");
    }
    let lowest = Floor { offset: LOG_START, size: 0, root: codex_crypto::Frontier::default().root() };
    assert_eq!(forge(lowest).expect("a lower floor promises less"), (whole, 0));
}

#[test]
fn key_slots_of_another_database_or_another_place_open_nothing() {
    let [one, other] = [closed(Mode::Snapshot, true), closed(Mode::Snapshot, true)];
    let (ours, theirs) = (block(&one.files.database, 0), block(&other.files.database, 0));
    let mut foreign = ours;
    foreign[SLOTS..].copy_from_slice(&theirs[SLOTS..]);
    sum(&mut foreign);
    let error = open(&with_blocks(&one.files, [&foreign, &foreign]), unlock(true).as_ref());
    assert!(matches!(error, Err(StorageError::WrongKey { .. })), "{error:?}");
    for to in 1..SLOT_COUNT {
        let mut moved = ours;
        let target = SLOTS + to * KeySlot::LEN;
        moved.copy_within(SLOTS..SLOTS + KeySlot::LEN, target);
        let mut doubled = moved;
        moved[SLOTS..SLOTS + KeySlot::LEN].fill(0);
        for forged in [&mut moved, &mut doubled] {
            sum(forged);
            // The slot opens the database, and the header turns out to be another than was written.
            let error = open(&with_blocks(&one.files, [forged, forged]), unlock(true).as_ref());
            let Err(StorageError::Damaged { offset: 0, source, .. }) = error else { panic!("{error:?}") };
            assert!(matches!(source, Damage::HeaderAuthentication(_)), "{source:?}");
        }
    }
}

#[test]
fn retired_root_keys_that_are_edited_moved_or_left_out_are_refused() {
    // The slot opens the root key of now, which knows the header that it wrote.
    let specimen = rekeyed();
    let ours = newest_block(&specimen);
    let entry = |index: usize| RETIRED + index * RetiredKey::LEN..RETIRED + (index + 1) * RetiredKey::LEN;
    let mut forged = Vec::new();
    for bit in 0..2 * RetiredKey::LEN * 8 {
        let mut block = ours;
        block[RETIRED + bit / 8] ^= 1 << (bit % 8);
        forged.push(block);
    }
    let mut swapped = ours;
    swapped[entry(0)].copy_from_slice(&ours[entry(1)]);
    swapped[entry(1)].copy_from_slice(&ours[entry(0)]);
    let mut fewer = ours;
    fewer[entry(1)].fill(0);
    let mut doubled = ours;
    doubled[entry(2)].copy_from_slice(&ours[entry(1)]);
    let mut none = ours;
    none[entry(0).start..entry(1).end].fill(0);
    forged.extend([swapped, fewer, doubled, none]);
    for mut block in forged {
        sum(&mut block);
        let error = open(&with_blocks(&specimen.files, [&block, &block]), unlock(true).as_ref());
        let Err(StorageError::Damaged { offset: 0, source, .. }) = error else { panic!("{error:?}") };
        let refused =
            matches!(source, Damage::HeaderAuthentication(_) | Damage::HeaderField("retired root key"));
        assert!(refused, "{source:?}");
    }
}

/// The copy that counts.
fn newest_block(specimen: &Specimen) -> Block {
    let newest = newest_header(&specimen.files.database);
    let copies = [0, 1].map(|copy| block(&specimen.files.database, copy));
    copies.into_iter().find(|block| Header::decode(block).as_ref() == Ok(&newest)).expect("one of the two")
}

#[test]
fn two_slots_that_change_places_or_labels_open_the_header_that_was_written_or_none() {
    let mut making = Making::new(Mode::Snapshot, true, Durability::Sync);
    making.commit_five(1);
    let other = Unlock::from(EncryptionKey::from_bytes([8; 32]));
    let new = NewKey { label: Some("backup host".into()), ..NewKey::from(other) };
    making.database().add_key(&new).expect("there is room");
    let specimen = making.closed("two slots");
    let ours = newest_block(&specimen);
    let slot = |index: usize| SLOTS + index * KeySlot::LEN..SLOTS + (index + 1) * KeySlot::LEN;
    let mut swapped = ours;
    swapped[slot(0)].copy_from_slice(&ours[slot(1)]);
    swapped[slot(1)].copy_from_slice(&ours[slot(0)]);
    let mut relabelled = ours;
    relabelled[slot(0).start + 144..][..112].copy_from_slice(&ours[slot(1).start + 144..][..112]);
    let mut removed = ours;
    removed[slot(1)].fill(0);
    for mut block in [swapped, relabelled, removed] {
        sum(&mut block);
        let error = open(&with_blocks(&specimen.files, [&block, &block]), unlock(true).as_ref());
        let Err(StorageError::Damaged { offset: 0, source, .. }) = error else { panic!("{error:?}") };
        assert!(matches!(source, Damage::HeaderAuthentication(_)), "{source:?}");
    }
}

#[test]
fn a_header_from_before_a_removal_can_be_put_back_and_a_key_that_was_changed_deeply_reads_what_it_knew() {
    // What the threat model says of old headers: a removed key opens the root key that it always opened. Where the root
    // key was changed, it opens the log up to there, and the rest is reported.
    let key = |byte: u8| Unlock::from(EncryptionKey::from_bytes([byte; 32]));
    for deep in [false, true] {
        let mut making = Making::new(Mode::Ledger, true, Durability::Sync);
        making.commit_five(1);
        making.database().add_key(&NewKey::from(key(8))).expect("there is room");
        let old = making.files().database;
        let known = making.database().head().offset;
        if deep {
            making.database().change_key_deep(&NewKey::from(key(9))).expect("the disk is sound");
        } else {
            making.database().remove_key(2).expect("another one is left");
        }
        making.commit_five(2);
        let mut file = making.files().database;
        let whole = open(&file, Some(&key(8)));
        assert!(matches!(whole, Err(StorageError::WrongKey { .. })), "{whole:?}");
        file[..2 * BLOCK_LEN].copy_from_slice(&old[..2 * BLOCK_LEN]);
        let by_new = open(&file, Some(&key(9)));
        assert!(
            matches!(by_new, Err(StorageError::WrongKey { .. })),
            "its owner sees that something is wrong"
        );
        let (state, torn) = open(&file, Some(&key(8))).expect("an earlier header is a whole one");
        assert_eq!(torn > 0, deep);
        assert_eq!(state["d".as_bytes()], vec![if deep { 1 } else { 2 }; 20], "up to {known}");
    }
}

#[test]
fn passphrase_costs_out_of_bounds_are_refused_before_anything_is_run() {
    let disk = SimVfs::new(1);
    let passphrase = Unlock::passphrase("correct horse");
    let create = OpenOptions { create: true, ..options(&disk) };
    create.open(Path::new(PATH), Some(&passphrase)).unwrap().close().unwrap();
    let files = Files { database: disk.read_file(PATH).unwrap(), checkpoint: None };
    let ours = block(&files.database, 0);
    let (memory, passes, lanes) = (SLOTS + 4, SLOTS + 8, SLOTS + 12);
    let hostile = [
        (memory, "KiB", &[0, 8191, (1 << 20) + 1, u32::MAX][..]),
        (passes, "passes", &[0, 17, u32::MAX]),
        (lanes, "lanes", &[0, 17, u32::MAX]),
    ];
    for (offset, name, values) in hostile {
        for value in values {
            let mut forged = ours;
            forged[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
            sum(&mut forged);
            let error = open(&with_blocks(&files, [&forged, &forged]), Some(&passphrase));
            let Err(StorageError::Key { source, .. }) = error else { panic!("{error:?}") };
            let KeyError::CostOutOfBounds { parameter, got, .. } = source else { panic!("{source:?}") };
            assert_eq!((parameter, got), (name, *value));
        }
    }
    // Another cost within the bounds yields another secret.
    let mut forged = ours;
    forged[passes] = 2;
    sum(&mut forged);
    let error = open(&with_blocks(&files, [&forged, &forged]), Some(&passphrase));
    assert!(matches!(error, Err(StorageError::WrongKey { .. })), "{error:?}");
}

/// A file whose last commit is torn at its first sector. What `value` makes for a database and an offset stands in
/// that commit, at that offset.
fn torn_around(encrypted: bool, value: impl Fn(DatabaseId, u64) -> Vec<u8>) -> (Specimen, Files) {
    let mut making = Making::new(Mode::Ledger, encrypted, Durability::Sync);
    making.commit_five(1);
    let end = making.database().head().offset;
    // Behind the frame's header: one operation, a set, a key length, a record length of three bytes, the key.
    let at = end + FrameHeader::LEN as u64 + 7;
    let header = Header::decode(&block(&making.files().database, 0)).expect("a whole header");
    let value = value(header.id, at);
    making.commit([Change::Set("v", value.clone())]);
    let specimen = making.killed("a value that looks like a frame");
    let mut files = specimen.files.clone();
    let at = usize::try_from(at).expect("small");
    assert_eq!(
        files.database[at..].starts_with(&value),
        !encrypted,
        "the value stands where it was expected"
    );
    let end = usize::try_from(end).expect("small");
    files.database[end..end + 4].fill(0);
    (specimen, files)
}

/// A whole frame of a plaintext database, as anybody can make it.
fn forged_frame(id: DatabaseId, offset: u64) -> Vec<u8> {
    let header = FrameHeader {
        kind: Kind::Commit,
        begins: true,
        ends: true,
        offset,
        first_sequence: SequenceNumber(7),
        commit_count: 1,
        payload_len: 0,
        time_ns: 0,
        durable: offset,
        previous_leaf: Digest::ZERO,
        salt: Salt::from_bytes([0; 32]),
    };
    let mut bytes = vec![0; FrameHeader::LEN];
    bytes.resize(FrameHeader::LEN + 200, 9);
    frame::seal(header, &mut bytes, id, &PlaintextSealer::new(id)).expect("there is randomness");
    bytes
}

#[test]
fn a_value_that_is_a_frame_of_another_database_is_a_part_of_the_torn_end() {
    for encrypted in [false, true] {
        let (specimen, files) =
            torn_around(encrypted, |_, at| forged_frame(DatabaseId::from_bytes([1; 16]), at));
        let verdict = specimen.referee.strike(encrypted, &files, &|| specimen.name.into());
        let Verdict::Opens { sequence: 5, torn_bytes: 300.., .. } = verdict else { panic!("{verdict:?}") };
    }
}

#[test]
fn a_value_that_forges_a_frame_of_this_database_can_refuse_a_torn_plaintext_file_and_never_becomes_data() {
    let (specimen, files) = torn_around(false, forged_frame);
    assert_eq!(open(&specimen.files.database, None).expect("nothing is torn"), (state_of(&specimen), 0));
    let error = open(&files.database, None).expect_err("the frame says that commit 6 had been acknowledged");
    let StorageError::Damaged { offset, sequence: Some(5), source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(source, Damage::AcknowledgedFrame), "{source:?}");
    let frames = specimen.referee.frames_of(&specimen.files.database);
    assert_eq!(offset, frames.last().expect("six").header.offset);
    // One at another place than it names is a value like any other.
    let (specimen, files) = torn_around(false, |id, at| forged_frame(id, at + 1));
    let verdict = specimen.referee.strike(false, &files, &|| specimen.name.into());
    let Verdict::Opens { sequence: 5, torn_bytes: 300.., .. } = verdict else { panic!("{verdict:?}") };
    // Encrypted, the value is nowhere to be found.
    let (specimen, files) = torn_around(true, forged_frame);
    let verdict = specimen.referee.strike(true, &files, &|| specimen.name.into());
    let Verdict::Opens { sequence: 5, torn_bytes: 300.., .. } = verdict else { panic!("{verdict:?}") };
}

#[test]
fn verify_finds_what_was_changed_beneath_an_open_database_and_reads_go_on() {
    let mut tried = 0;
    for specimen in all() {
        let disk = SimVfs::new(1);
        disk.write_file(PATH, &specimen.files.database).expect("a new disk");
        let unlock = unlock(specimen.encrypted);
        let database = options(&disk).open(Path::new(PATH), unlock.as_ref()).expect("it is whole");
        database.verify().expect("it is whole");
        let frames = specimen.referee.frames_of(&specimen.files.database);
        let end = frames.last().expect("there are some").end();
        let state = state_of(&specimen);
        for byte in (0..LOG_START).step_by(5).chain(LOG_START..end) {
            disk.flip_bit(PATH, byte * 8 + byte % 8).expect("within the file");
            let error = database.verify().expect_err("a bit was flipped");
            let StorageError::Damaged { offset, .. } = error else { panic!("{error:?}") };
            let hit = frames.iter().find(|frame| (frame.header.offset..frame.end()).contains(&byte));
            let expected = hit.map_or(byte / 4096 * 4096, |frame| frame.header.offset);
            assert_eq!(offset, expected, "{}: byte {byte}", specimen.name);
            disk.flip_bit(PATH, byte * 8 + byte % 8).expect("within the file");
            tried += 1;
        }
        for (key, value) in &state {
            assert!(database.get(key).is_some_and(|(record, _)| record.value() == value));
        }
        disk.truncate(PATH, end - 1).expect("it is longer");
        let error = database.verify().expect_err("a byte is missing");
        let StorageError::Damaged { offset, source: Damage::LogChanged, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(offset, frames.last().expect("there are some").header.offset);
        let mut longer = specimen.files.database[..usize::try_from(end).expect("small")].to_vec();
        longer.extend_from_slice(&[0, 0, 0, 1, 0]);
        disk.write_file(PATH, &longer).expect("there is space");
        let error = database.verify().expect_err("a byte of somebody else stands behind the log");
        let StorageError::Damaged { offset, source: Damage::TrailingBytes, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(offset, end + 3);
    }
    println!("{tried} bits flipped beneath an open database: all found by verify, where they were");
}
