//! The past of a ledger through the facade: typed values of any codec, and the kinds of its errors.

use std::path::Path;
use std::time::UNIX_EPOCH;

use codex::{
    Batch, Change, Codec, Compression, EncryptionKey, ErrorKind, History, Log, Mode, Operation, Options,
    Point, Store,
};

fn open(path: &Path, mode: Mode) -> Store {
    let key = EncryptionKey::from_bytes([7; 32]);
    Options::new().mode(mode).encryption_key(key).compression(Compression::Lz4).open(path).expect("it opens")
}

#[test]
fn past_values_decode_as_present_ones_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let store = open(&path, Mode::Ledger);
    store.set("k", &"text ".repeat(100)).expect("a commit");
    store.set_with(Codec::Bincode, "k", &(1_u32, true)).expect("a commit");
    let mut batch = Batch::new();
    batch.set_bytes("k", b"raw");
    batch.delete("absent");
    batch.set("other", &[1, 2]).expect("JSON");
    store.commit(batch).expect("a commit");
    store.clear().expect("a commit");

    let judge = |store: &Store| {
        let versions: Vec<_> =
            store.history("k").expect("a ledger").collect::<codex::Result<_>>().expect("it is whole");
        let numbers: Vec<_> = versions.iter().map(|version| version.sequence).collect();
        assert_eq!(numbers, [4, 3, 2, 1]);
        assert_eq!(versions[0].change, Change::Cleared);
        let entry = |index: usize| match &versions[index].change {
            Change::Set(entry) => entry.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((&*entry(1).key, &*entry(1).value, entry(1).codec), (&b"k"[..], &b"raw"[..], Codec::Raw));
        assert_eq!(entry(2).decode::<(u32, bool)>().expect("as it was set"), (1, true));
        assert_eq!(entry(3).decode::<String>().expect("as it was set"), "text ".repeat(100));

        let commits: Vec<_> =
            store.log(..).expect("a ledger").collect::<codex::Result<_>>().expect("it is whole");
        assert_eq!(commits.len(), 4);
        assert!(
            versions.iter().rev().map(|version| version.time).eq(commits.iter().map(|commit| commit.time))
        );
        let [Operation::Set(first), Operation::Set(second)] = &commits[2].operations[..] else {
            panic!("{:?}", commits[2])
        };
        assert_eq!(
            (&*first.value, second.decode::<[u8; 2]>().expect("as it was set")),
            (&b"raw"[..], [1, 2])
        );
        assert_eq!((commits[3].sequence, &commits[3].operations[..]), (4, &[Operation::Clear][..]));

        let view = store.at(Point::Sequence(2)).expect("a ledger");
        assert_eq!(view.get::<(u32, bool)>("k").expect("as it was set"), Some((1, true)));
        assert_eq!((view.len(), view.sequence()), (1, 2));
        assert!(store.at(Point::Time(UNIX_EPOCH)).expect("a ledger").is_empty());
        let third = commits[2].time;
        let until = commits.iter().take_while(|commit| commit.time <= third).count();
        assert_eq!(store.at(Point::Time(third)).expect("a ledger").sequence(), until as u64);
    };
    judge(&store);
    store.close().expect("a clean end");
    let key = EncryptionKey::from_bytes([7; 32]);
    judge(&Options::new().encryption_key(key).read_only(true).open(&path).expect("it opens"));
}

#[test]
fn a_point_that_does_not_exist_is_not_found_and_a_snapshot_has_no_past() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("ledger.db"), Mode::Ledger);
    store.set("k", &1).expect("a commit");
    let error = store.at(Point::Sequence(2)).expect_err("not made yet");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(store.at(Point::Sequence(0)).expect("before the first").is_empty());
    assert_eq!(store.history("").expect_err("no key is empty").kind(), ErrorKind::Validation);
    store.close().expect("a clean end");
    assert_eq!(store.history("k").expect_err("closed").kind(), ErrorKind::Validation);

    let store = open(&folder.path().join("snapshot.db"), Mode::Snapshot);
    store.set("k", &1).expect("a commit");
    for error in [
        store.history("k").expect_err("a snapshot"),
        store.log(..).expect_err("a snapshot"),
        store.at(Point::Sequence(1)).expect_err("a snapshot"),
        store.at(Point::Time(UNIX_EPOCH)).expect_err("a snapshot"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Validation);
        assert!(error.to_string().contains("export"), "{error}");
    }
}

#[test]
fn iterators_of_the_past_may_go_to_any_thread() {
    fn assert_owned<T: Send + 'static>() {}
    assert_owned::<History>();
    assert_owned::<Log>();
}

#[test]
fn a_value_that_no_codec_wrote_is_an_error_at_its_place_and_ends_the_iterator() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let options = codex_storage::OpenOptions { mode: Some(Mode::Ledger), ..Default::default() };
    let database = options.open(&path, None).expect("a new database");
    for stored in [&b"\x001"[..], b"\xff", b"\x003"] {
        let mut batch = codex_storage::Batch::new();
        batch.set(b"k", &[stored]).expect("within bounds");
        database.commit(batch).expect("a commit");
    }
    database.close().expect("a clean end");

    let store = Options::new().open(&path).expect("it opens");
    let mut history = store.history("k").expect("a ledger");
    assert_eq!(history.next().expect("the newest").expect("it is raw").sequence, 3);
    let error = history.next().expect("the malformed one").expect_err("no such codec");
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(history.next().is_none(), "an error ends it");
    let mut log = store.log(..).expect("a ledger");
    assert_eq!(log.next().expect("the oldest").expect("it is raw").sequence, 1);
    let error = log.next().expect("the malformed one").expect_err("no such codec");
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(log.next().is_none(), "an error ends it");
}
