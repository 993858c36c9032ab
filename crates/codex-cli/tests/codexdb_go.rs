//! Files of the original program, read: every form, anything damaged, anything forged.

#[path = "common/codexdb_go.rs"]
mod old;

use std::collections::BTreeMap;

use codex::{Codec, ErrorKind};
use codex_cli::input::{Fault, GoChange, codexdb_go};
use old::{KEY, Packing, bare_text, frame, ledger, samples, seal, set, snapshot_text};
use proptest::prelude::*;

/// The changes of a file that is whole.
fn whole(file: &[u8], key: Option<&[u8]>) -> Vec<GoChange> {
    let (changes, fault) = codexdb_go(file.to_vec(), key).expect("its form is known");
    assert!(fault.is_none(), "{fault:?}");
    changes
}

/// What is wrong with a file, and how many changes stand before it.
fn fault(file: &[u8], key: Option<&[u8]>) -> (usize, Fault) {
    match codexdb_go(file.to_vec(), key) {
        Ok((changes, Some(fault))) => (changes.len(), fault),
        Ok((_, None)) => panic!("it is read to its end"),
        Err(fault) => (0, fault),
    }
}

/// Keys and their values' JSON, once all changes have been made.
fn state(changes: Vec<GoChange>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut state = BTreeMap::new();
    for change in changes {
        match change {
            GoChange::Set(key, codec, value) => {
                assert_eq!(codec, Codec::Json);
                state.insert(key, value);
            }
            GoChange::Delete(key) => assert!(state.remove(&key).is_some(), "what is deleted was there"),
            GoChange::Clear => state.clear(),
        }
    }
    state
}

fn record(key: &str, value: &str) -> (String, Vec<u8>) {
    (key.to_owned(), value.as_bytes().to_vec())
}

#[test]
fn every_sample_of_the_original_yields_its_keys_and_values() {
    let samples = samples();
    assert_eq!(samples.len(), 20);
    for sample in samples {
        let changes = whole(&sample.bytes, sample.key());
        if sample.is_ledger() {
            assert_eq!(changes.len(), 16, "{}", sample.name);
            assert_eq!(changes[10], GoChange::Delete(b"gone".to_vec()), "{}", sample.name);
        }
        let state = state(changes);
        assert_eq!(state[&b"big"[..]], b"9007199254740993", "{}: a number keeps its digits", sample.name);
        let read: serde_json::Map<_, _> = state
            .into_iter()
            .map(|(key, value)| {
                let key = String::from_utf8(key).expect("text");
                (key, serde_json::from_slice(&value).expect("JSON"))
            })
            .collect();
        assert!(serde_json::Value::from(read) == sample.expected, "{}", sample.name);
    }
}

#[test]
fn no_flipped_bit_of_a_sample_yields_other_records() {
    for sample in samples() {
        let changes = whole(&sample.bytes, sample.key());
        for offset in 0..sample.bytes.len() {
            let mut damaged = sample.bytes.clone();
            damaged[offset] ^= 1 << (offset % 8);
            let place = format!("{}, byte {offset}", sample.name);
            match codexdb_go(damaged, sample.key()) {
                // White space, and what a compressed file says about itself.
                Ok((read, None)) => assert!(!sample.is_ledger() && read == changes, "{place}"),
                Ok((read, Some(fault))) => {
                    assert_eq!(fault.kind(), ErrorKind::Integrity, "{place}: {fault}");
                    assert!(fault.offset().is_some(), "{place}: {fault}");
                    assert!(!sample.is_ledger() || changes.starts_with(&read), "{place}: {fault}");
                }
                // The first frame, or all of an encrypted snapshot.
                Err(fault) => assert!(
                    matches!(fault, Fault::NoKey | Fault::WrongKey | Fault::Unknown | Fault::Snapshot { .. }),
                    "{place}: {fault:?}"
                ),
            }
        }
    }
}

#[test]
fn no_cut_sample_passes_as_whole() {
    for sample in samples() {
        let changes = whole(&sample.bytes, sample.key());
        let mut between_frames = 0;
        for len in 0..sample.bytes.len() {
            match codexdb_go(sample.bytes[..len].to_vec(), sample.key()) {
                // Nothing in a ledger says how many frames there were.
                Ok((read, None)) => {
                    assert!(sample.is_ledger() && changes.starts_with(&read), "{}, {len}", sample.name);
                    between_frames += 1;
                    assert_eq!(read.len(), between_frames, "{}, {len}", sample.name);
                }
                Ok((read, Some(fault))) => {
                    assert_eq!(fault.kind(), ErrorKind::Integrity, "{}, {len}: {fault}", sample.name);
                    assert!(changes.starts_with(&read), "{}, {len}: {fault}", sample.name);
                }
                Err(fault) => assert_ne!(fault.kind(), ErrorKind::Io, "{}, {len}: {fault}", sample.name),
            }
        }
        assert_eq!(between_frames, if sample.is_ledger() { 15 } else { 0 }, "{}", sample.name);
    }
}

#[test]
fn a_wrong_key_is_told_from_none_and_from_one_too_many() {
    for sample in samples() {
        let kind = |key| codexdb_go(sample.bytes.clone(), key).expect_err("not this key").kind();
        for wrong in [&[1; 16][..], &[1; 24], &[1; 32]] {
            let expected = if sample.key().is_some() { ErrorKind::Encryption } else { ErrorKind::Validation };
            assert_eq!(kind(Some(wrong)), expected, "{}", sample.name);
        }
        if sample.key().is_some() {
            assert_eq!(kind(None), ErrorKind::Encryption, "{}", sample.name);
        }
    }
}

#[test]
fn a_key_written_out_in_digits_is_the_same_key() {
    for sample in samples() {
        let Some(key) = sample.key() else { continue };
        let digits = base16ct::upper::encode_string(key);
        assert_eq!(whole(&sample.bytes, Some(digits.as_bytes())), whole(&sample.bytes, Some(key)));
    }
}

#[test]
fn a_damaged_frame_is_named_by_its_first_byte() {
    let changes = [set("a", "1"), set("b", "[2]"), GoChange::Delete(b"a".to_vec())];
    for (packing, key) in [(Packing::Absent, None), (Packing::Zstd, Some(KEY))] {
        let file = ledger(&changes, packing, key);
        let second = ledger(&changes[..1], packing, key).len();
        for (at, byte) in [(0, 1), (3, 255), (5, 0), (37, 0)] {
            let mut damaged = file.clone();
            damaged[second + at] ^= byte | 1;
            let (read, fault) = fault(&damaged, key);
            assert_eq!((read, fault.kind(), fault.offset()), (1, ErrorKind::Integrity, Some(second as u64)));
        }
        let (read, fault) = fault(&file[..file.len() - 1], key);
        let third = ledger(&changes[..2], packing, key).len() as u64;
        assert_eq!((read, fault.kind(), fault.offset()), (2, ErrorKind::Integrity, Some(third)));
    }
}

#[test]
fn a_change_that_is_not_understood_is_refused_and_not_dropped() {
    for body in [
        "{\"op\":3,\"key\":\"s3cret\"}",
        "{\"op\":-1,\"key\":\"s3cret\"}",
        "{\"op\":0,\"key\":\"s3cret\"}",
        "{\"op\":0,\"key\":\"s3cret\",\"value\":s3cret}",
        "{\"op\":0,\"key\":\"s3cret\",\"value\":1,\"s3cret\":2}",
        "{\"op\":0,\"key\":\"s3cret\",\"key\":\"s3cret\",\"value\":1}",
        "{\"op\":0,\"key\":\"s3cret\",\"value\":1} s3cret",
        "[\"s3cret\"]",
        "",
    ] {
        let first = frame(b"{\"op\":0,\"key\":\"k\",\"value\":1}", None, 0);
        let file = [first.as_slice(), &frame(body.as_bytes(), None, 1)].concat();
        let (read, fault) = fault(&file, None);
        let place = (read, fault.kind(), fault.offset());
        assert_eq!(place, (1, ErrorKind::Validation, Some(first.len() as u64)), "{body}: {fault}");
        assert!(!fault.to_string().contains("s3cret"), "{body}: {fault}");
    }
}

#[test]
fn null_is_a_value_and_a_clear_needs_no_key() {
    let bodies =
        ["{\"op\":0,\"key\":\"k\",\"value\":null}", "{\"op\":2}", "{\"op\":1,\"key\":\"k\",\"value\":null}"];
    let file = bodies.iter().map(|body| frame(body.as_bytes(), None, 0)).collect::<Vec<_>>().concat();
    assert_eq!(whole(&file, None), [set("k", "null"), GoChange::Clear, GoChange::Delete(b"k".to_vec())]);
}

#[test]
fn a_value_that_is_not_json_is_kept_as_bytes() {
    let records = [record("a", "[1, 1.10]"), record("b", "not JSON"), ("c".to_owned(), vec![0xff, 0])];
    let changes = whole(snapshot_text(&records).as_bytes(), None);
    let raw = |key: &str, value: &[u8]| GoChange::Set(key.into(), Codec::Raw, value.to_vec());
    assert_eq!(changes, [set("a", "[1,1.10]"), raw("b", b"not JSON"), raw("c", &[0xff, 0])]);
}

#[test]
fn a_snapshot_in_the_older_form_is_its_bare_records() {
    // `checksum` and `data` are names that a record may have.
    let records = [record("a", "1"), record("checksum", "2"), record("data", "3")];
    let changes = whole(bare_text(&records).as_bytes(), None);
    assert_eq!(changes, [set("a", "1"), set("checksum", "2"), set("data", "3")]);
    assert_eq!(whole(b"{}", None), []);
    assert_eq!(whole(b" {\n} \n", None), []);
}

#[test]
fn a_snapshot_whose_records_and_checksum_disagree_is_damaged() {
    let text = snapshot_text(&[record("a", "1"), record("b", "2")]);
    let swapped = text.replace("\"a\"", "\"c\"");
    for (damaged, read) in [
        (swapped, 2),
        (text.replace("checksum", "checksum\\u0020"), 0),
        (text.replace("\"data\"", "\"date\""), 0),
        (text.replace("\"Mg==\"", "null"), 1),
        (text.replace("Mg==", "Mg="), 1),
        (text.replace("\"b\"", "\"\\ud800\""), 1),
        (format!("{text}x"), 2),
        (text.replacen('{', "{\"more\":\"MQ==\",", 1), 1),
        (text.replacen("{\n", "{\n\"data\": {}, ", 1), 0),
    ] {
        let (count, fault) = fault(damaged.as_bytes(), None);
        assert_eq!((count, fault.kind()), (read, ErrorKind::Integrity), "{fault}: {damaged}");
    }
    let unvouched = "{\"data\": {\"a\": \"MQ==\"}}";
    assert_eq!(
        fault(unvouched.as_bytes(), None).1.to_string(),
        "byte 0 of its JSON text: the checksum is missing"
    );
}

#[test]
fn what_the_original_never_wrote_is_refused_by_its_kind() {
    for (file, kind) in [
        (&b""[..], ErrorKind::Validation),
        (b"just a text, and no database at all", ErrorKind::Validation),
        (b"{\"key\":\"a\",\"value\":1}\n", ErrorKind::Integrity),
        (b"\x00\x01\x02\x03", ErrorKind::Encryption),
        (b"\x01\x03gzip it is not", ErrorKind::Encryption),
        (b"\xff\xff\xff\xff and then nothing of that length", ErrorKind::Encryption),
    ] {
        assert_eq!(fault(file, None).1.kind(), kind, "{}", String::from_utf8_lossy(file));
    }
    // A key that is right, for something else.
    let sealed = seal(b"\xfe another program's".to_vec(), Some(KEY), 1);
    assert_eq!(fault(&sealed, Some(KEY)).1.kind(), ErrorKind::Integrity);
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("1.10".to_owned()),
        Just("9007199254740993".to_owned()),
        Just("1e400".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(",")))
    })
}

fn packing() -> impl Strategy<Value = Packing> {
    prop::sample::select(&Packing::ALL[..])
}

fn key() -> impl Strategy<Value = Option<Vec<u8>>> {
    let len = prop::sample::select(&[16, 24, 32][..]);
    prop::option::of(len.prop_flat_map(|len| prop::collection::vec(any::<u8>(), len)))
}

fn changes() -> impl Strategy<Value = Vec<GoChange>> {
    let change = prop_oneof![
        6 => (any::<String>(), json_text()).prop_map(|(key, value)| set(&key, &value)),
        2 => any::<String>().prop_map(|key| GoChange::Delete(key.into_bytes())),
        1 => Just(GoChange::Clear),
    ];
    prop::collection::vec(change, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_ledger_was_written_from_is_read(changes in changes(), packing in packing(), key in key()) {
        let file = ledger(&changes, packing, key.as_deref());
        prop_assert_eq!(whole(&file, key.as_deref()), changes);
    }

    #[test]
    fn what_a_snapshot_was_written_from_is_read(
        records in prop::collection::btree_map(any::<String>(), json_text(), 0..20),
        packing in packing(),
        key in key(),
    ) {
        let records: Vec<_> = records.into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
        let expected: Vec<_> = records
            .iter()
            .map(|(key, value)| GoChange::Set(key.clone().into(), Codec::Json, value.clone()))
            .collect();
        let file = seal(packing.pack(snapshot_text(&records).as_bytes()), key.as_deref(), 7);
        prop_assert_eq!(whole(&file, key.as_deref()), expected);
    }

    #[test]
    fn damage_anywhere_is_a_fault_or_no_matter(
        changes in changes(),
        packing in packing(),
        key in key(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut file = ledger(&changes, packing, key.as_deref());
        let before = file.clone();
        for (place, byte) in places {
            file[place.index(before.len())] = byte;
        }
        match codexdb_go(file.clone(), key.as_deref()) {
            Ok((read, None)) => prop_assert!(file == before && read == changes),
            Ok((read, Some(_))) => prop_assert!(changes.starts_with(&read)),
            Err(_) => prop_assert!(file != before),
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(file in prop::collection::vec(any::<u8>(), 0..200), key in key()) {
        let _ = codexdb_go(file, key.as_deref());
    }
}
