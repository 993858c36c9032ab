//! Evidence outlives the database: heads and proofs are handed on as text, and checked with nothing but that text. Each
//! way in which they can be wrong has an error of its own.

use std::error::Error as _;
use std::fs;

use codex::proof::{
    CommitProof, Continuation, ContinuationProof, HeadNote, LogHead, SigningKey, UnkeyedLog, VerifyingKey,
};
use codex::{EncryptionKey, Error, ErrorKind, Mode, Options, Result, Store};

fn options() -> Options {
    Options::new().mode(Mode::Ledger).encryption_key(EncryptionKey::from_bytes([7; 32]))
}

fn ledger(folder: &tempfile::TempDir, commits: u64) -> Store {
    let store = options().open(folder.path().join("app.db")).expect("a database");
    for number in store.view().sequence()..commits {
        store.set("counter", &number).expect("a commit");
    }
    store
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The kind of an error, and all that it says.
fn said(result: Result<impl std::fmt::Debug>) -> (ErrorKind, String) {
    let error: Error = result.expect_err("it is refused");
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    (error.kind(), text)
}

#[test]
fn proofs_and_heads_hold_as_text_without_the_database() {
    let folder = folder();
    let store = ledger(&folder, 10);
    let key = SigningKey::generate("example.com/audit").expect("random bytes");
    let mut older = HeadNote::from(store.log_head());
    older.sign(&key);
    for number in 10..15_u64 {
        store.set("counter", &number).expect("a commit");
    }
    let mut commit = store.prove(4).expect("it is there");
    commit.sign(&key);
    let mut continuation = store.prove_consistency(10, 15).expect("both are there");
    continuation.sign(&key);
    let (commit, continuation, older) = (commit.to_string(), continuation.to_string(), older.to_string());
    drop(store);
    drop(folder);

    let older: HeadNote = older.parse().expect("a head");
    older.verify(key.verifying_key()).expect("signed");
    let commit: CommitProof = commit.parse().expect("a proof");
    commit.head().verify(key.verifying_key()).expect("signed");
    let facts = commit.verify().expect("it holds");
    assert_eq!((facts.first_sequence, facts.last_sequence), (4, 4));
    let continuation: ContinuationProof = continuation.parse().expect("a proof");
    continuation.head().verify(key.verifying_key()).expect("signed");
    continuation.verify(older.head()).expect("it holds");
    assert_eq!(continuation.head().head(), commit.head().head());
}

#[test]
fn a_proof_that_was_changed_is_refused_with_the_reason() {
    let folder = folder();
    let store = ledger(&folder, 10);
    let text = store.prove(4).expect("it is there").to_string();
    let refused = |text: &str| said(text.parse::<CommitProof>().and_then(|proof| proof.verify()));
    let lines: Vec<_> = text.lines().collect();
    let without = |line: usize| {
        let kept: Vec<_> = lines.iter().enumerate().filter(|(at, _)| *at != line).map(|(_, l)| *l).collect();
        format!("{}\n", kept.join("\n"))
    };
    // Title, frame, index, four hashes, nothing, then the head.
    assert_eq!(lines.len(), 3 + 4 + 1 + 3, "{text}");
    let holds = "the proof does not hold";
    let few = format!("{holds}: the proof has too few hashes for a log of 10 frames");
    assert_eq!(refused(&without(5)), (ErrorKind::Integrity, few));
    let extra = text.replacen("\n\n", &format!("\n{}\n\n", lines[3]), 1);
    let many = format!("{holds}: the proof has too many hashes for a log of 10 frames");
    assert_eq!(refused(&extra), (ErrorKind::Integrity, many));
    let moved = text.replacen("index 3", "index 2", 1);
    let elsewhere = format!("{holds}: the proof does not lead from the frame to the head");
    assert_eq!(refused(&moved), (ErrorKind::Integrity, elsewhere.clone()));
    let outside = format!("{holds}: a log of 10 frames has no frame 10");
    assert_eq!(refused(&text.replacen("index 3", "index 10", 1)), (ErrorKind::Integrity, outside));
    let other = store.prove(5).expect("it is there").to_string();
    let frame = |text: &str| text.lines().nth(1).expect("the frame").to_owned();
    let swapped = text.replace(&frame(&text), &frame(&other));
    assert_eq!(refused(&swapped), (ErrorKind::Integrity, elsewhere.clone()));
    // Of another log: its frame and hashes do not lead to this head.
    let other = ledger(&self::folder(), 10).prove(4).expect("it is there").to_string();
    let grafted = format!("{}\n\n{}", other.split_once("\n\n").expect("a head").0, store.log_head());
    assert_eq!(refused(&grafted), (ErrorKind::Integrity, elsewhere));
    let (kind, said) = refused(&text[..text.len() - 2]);
    assert_eq!(kind, ErrorKind::Validation, "{said}");
    // A leaf that is proven and is no frame: the head's own log could hold anything.
    let foreign = text.replacen("codex/", "codex/0", 1);
    assert_eq!(refused(&foreign).0, ErrorKind::Validation);
}

#[test]
fn a_continuation_of_another_head_is_refused_with_the_reason() {
    let folder = folder();
    let store = ledger(&folder, 10);
    let older = store.log_head();
    for number in 10..15_u64 {
        store.set("counter", &number).expect("a commit");
    }
    let proof = store.prove_consistency(10, 15).expect("both are there");
    proof.verify(older).expect("it holds");
    let other = ledger(&self::folder(), 10).log_head();
    assert_eq!(
        said(proof.verify(other)),
        (ErrorKind::Validation, "the proof and the older head are of two databases".into())
    );
    let (kind, text) = said(proof.verify(LogHead { size: 9, ..older }));
    assert_eq!(kind, ErrorKind::Validation);
    assert!(text.ends_with("it begins at 10 frames, and the head has 9"), "{text}");
    let (kind, text) = said(proof.verify(LogHead { root: other.root, ..older }));
    assert_eq!(kind, ErrorKind::Integrity);
    assert!(text.ends_with("the proof does not agree with the older head"), "{text}");
    assert_eq!(said(store.prove(16)).0, ErrorKind::NotFound);
    assert_eq!(said(store.prove_consistency(10, 16)).0, ErrorKind::Validation);
}

#[test]
fn opening_can_demand_a_head_and_notices_an_older_copy() {
    let folder = folder();
    let path = folder.path().join("app.db");
    drop(ledger(&folder, 3));
    fs::copy(&path, folder.path().join("older")).expect("a copy");
    let store = ledger(&folder, 5);
    let (head, log_head) = (store.head(), store.log_head());
    assert_eq!(store.compare_head(head).expect("its own"), Continuation::Same);
    drop(store);
    drop(options().expect_head(head).open(&path).expect("it goes on from there"));
    drop(options().expect_head(log_head).open(&path).expect("it goes on from there"));

    fs::copy(folder.path().join("older"), &path).expect("a rollback");
    for options in [options().expect_head(head), options().expect_head(log_head)] {
        let (kind, text) = said(options.open(&path));
        assert_eq!(kind, ErrorKind::Integrity);
        assert!(text.ends_with(
            "the head has 5 frames and the log only 3: this is an older copy, or its end was cut off"
        ));
    }
    let unkeyed = UnkeyedLog::open(&path).expect("it is whole");
    assert_eq!(unkeyed.report().head.size, 3);
    assert_eq!(said(unkeyed.compare_head(log_head)).0, ErrorKind::Integrity);
    drop(unkeyed);
    let foreign = LogHead { id: codex::proof::DatabaseId::from_bytes([9; 16]), ..log_head };
    assert_eq!(said(options().expect_head(foreign).open(&path)).0, ErrorKind::Validation);
    fs::remove_file(&path).expect("it is there");
    assert_eq!(said(options().expect_head(head).open(&path)).0, ErrorKind::NotFound);
    assert!(!path.exists());
}

/// Flips every bit of a text, cuts it everywhere, and leaves out and doubles every line. `read` says what a text is taken to
/// say, if it is taken: nothing else than the whole one says. How many were tried, and how many taken.
fn changed_texts_say_the_same_or_nothing(text: &str, read: impl Fn(&str) -> Option<String>) -> [usize; 2] {
    let said = read(text).expect("it is as it was made");
    let bytes = text.as_bytes();
    let mut changed: Vec<Vec<u8>> = (0..bytes.len()).map(|len| bytes[..len].to_vec()).collect();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        changed.push(flipped);
    }
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for at in 0..lines.len() {
        changed.push([&lines[..at], &lines[at + 1..]].concat().concat());
        changed.push([&lines[..=at], &lines[at..]].concat().concat());
    }
    // What is no text any more does not get as far as a parser.
    let taken = changed.iter().filter_map(|changed| read(std::str::from_utf8(changed).ok()?));
    let same = taken.inspect(|taken| assert_eq!(*taken, said)).count();
    [changed.len(), same]
}

#[test]
fn no_bit_of_a_signed_head_or_proof_can_be_changed_and_mean_something_else() {
    let folder = folder();
    let store = ledger(&folder, 10);
    let key = SigningKey::generate("example.com/audit").expect("random bytes");
    let mut older = HeadNote::from(store.log_head());
    older.sign(&key);
    for number in 10..15_u64 {
        store.set("counter", &number).expect("a commit");
    }
    let mut commit = store.prove(4).expect("it is there");
    commit.sign(&key);
    let mut continuation = store.prove_consistency(10, 15).expect("both are there");
    continuation.sign(&key);
    let known = key.verifying_key();
    let head = changed_texts_say_the_same_or_nothing(&older.to_string(), |text| {
        let note: HeadNote = text.parse().ok()?;
        note.verify(known).ok()?;
        Some(note.head().to_string())
    });
    let commit = changed_texts_say_the_same_or_nothing(&commit.to_string(), |text| {
        let proof: CommitProof = text.parse().ok()?;
        proof.head().verify(known).ok()?;
        Some(format!("{:?} {}", proof.verify().ok()?, proof.head().head()))
    });
    let continuation = changed_texts_say_the_same_or_nothing(&continuation.to_string(), |text| {
        let proof: ContinuationProof = text.parse().ok()?;
        proof.head().verify(known).ok()?;
        proof.verify(older.head()).ok()?;
        Some(format!("{:?} {}", proof.consistency(), proof.head().head()))
    });
    let public = changed_texts_say_the_same_or_nothing(&known.to_string(), |text| {
        let key: VerifyingKey = text.parse().ok()?;
        older.verify(&key).ok()?;
        Some(key.to_string())
    });
    println!("tried and taken: {head:?} heads, {commit:?} and {continuation:?} proofs, {public:?} keys");
    // The line of a signature may be there twice.
    assert_eq!([head[1], commit[1], continuation[1], public[1]], [1, 1, 1, 0]);
}
