//! Records that expire, as programs see them. Nothing here waits for a time: what is to have expired has a time that has
//! passed, and what is not has a distant one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codex::{Batch, Change, Codec, Compression, ErrorKind, Expiry, KeyChange, Mode, Options, Store};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_hours(1);
const PASSED: SystemTime = UNIX_EPOCH;

fn store(mode: Mode) -> (TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Options::new().mode(mode).open(folder.path().join("app.db")).expect("a store");
    (folder, store)
}

/// A record that has expired already.
fn set_expired(store: &Store, key: &str) {
    let mut batch = Batch::new();
    batch.set_encoded(Codec::Raw, key, *b"old", Expiry::At(PASSED)).expect("within bounds");
    store.commit(batch).expect("nothing fails");
}

#[test]
fn a_record_lives_as_long_as_it_was_told_and_a_plain_set_lets_it_live_for_ever() {
    let (_folder, store) = store(Mode::Snapshot);
    let before = SystemTime::now();
    store.set_with_ttl("session", &7, HOUR).expect("nothing fails");
    let at = store.expires_at("session").expect("it expires");
    assert!(before + HOUR <= at && at <= SystemTime::now() + HOUR, "{at:?}");
    assert_eq!(store.get::<u32>("session").expect("it reads"), Some(7));
    assert_eq!(store.view().expires_at("session"), Some(at));
    let entry = store.get_entry("session").expect("it reads").expect("it is there");
    assert_eq!((entry.codec, entry.expires_at), (Codec::Json, Some(at)));

    let rewrites: [(&str, &dyn Fn() -> codex::Result<()>); 4] = [
        ("set", &|| store.set("session", &8)),
        ("set_bytes", &|| store.set_bytes("session", b"8")),
        ("set_many", &|| store.set_many([("session", &8)])),
        ("compare_and_swap", &|| {
            store.compare_and_swap("session", Some(b"7"), Some(b"8")).map(|done| assert!(done))
        }),
    ];
    for (name, rewrite) in rewrites {
        store.set_with_ttl("session", &7, HOUR).expect("nothing fails");
        rewrite().expect(name);
        assert_eq!((store.has("session").expect(name), store.expires_at("session")), (true, None), "{name}");
    }
    store.delete("session").expect("nothing fails");
    assert_eq!(store.expires_at("session"), None);
}

#[test]
fn every_reader_and_writer_finds_an_expired_record_absent() {
    let (_folder, store) = store(Mode::Snapshot);
    store.set("lasting", &1).expect("nothing fails");
    set_expired(&store, "k");
    assert_eq!(store.get_bytes("k").expect("it reads"), None);
    assert!(!store.has("k").expect("it reads") && store.expires_at("k").is_none());
    assert_eq!(store.keys().expect("it reads"), [b"lasting".to_vec()]);
    assert_eq!(
        (store.len(), store.view().len(), store.range(..).count(), store.stats().records),
        (1, 1, 1, 1)
    );
    assert_eq!(store.glob("k*").expect("a pattern").count(), 0);
    assert_eq!(store.get_many::<u8, _>(["k", "lasting"]).expect("it reads"), [None, Some(1)]);
    assert!(!store.delete("k").expect("nothing fails"), "there is nothing to delete");

    set_expired(&store, "k");
    assert!(!store.compare_and_swap("k", Some(b"old"), Some(b"new")).expect("nothing fails"));
    assert!(store.compare_and_swap("k", None, Some(b"new")).expect("nothing fails"));
    assert_eq!(store.get_bytes("k").expect("it reads").as_deref(), Some(&b"new"[..]));

    set_expired(&store, "k");
    let seen = store.transaction(|tx| {
        let seen = (tx.has("k")?, tx.prefix("k")?.len());
        tx.set_with_ttl("k", &2, HOUR)?;
        assert_eq!(tx.get::<u8>("k")?, Some(2), "its own changes");
        Ok(seen)
    });
    assert_eq!(seen.expect("it is committed"), (false, 0));
    assert_eq!(store.get::<u8>("k").expect("it reads"), Some(2));
    assert!(store.expires_at("k").is_some_and(|at| at > PASSED));
}

#[test]
fn a_time_to_live_that_is_none_or_cannot_be_recorded_is_refused_and_nothing_is_written() {
    let (_folder, store) = store(Mode::Snapshot);
    // Too long together with the time that it is now.
    let too_long = Duration::from_nanos(u64::MAX);
    for ttl in [Duration::ZERO, too_long, Duration::MAX] {
        assert_eq!(store.set_with_ttl("k", &1, ttl).expect_err("refused").kind(), ErrorKind::Validation);
        let refused = store.transaction(|tx| tx.set_with_ttl("k", &1, ttl)).expect_err("refused");
        assert_eq!(refused.kind(), ErrorKind::Validation);
        let mut batch = Batch::new();
        let added = batch.set_with_ttl("k", &1, ttl);
        if ttl == too_long {
            // Only the commit knows the time.
            added.expect("it may be possible");
            assert_eq!(store.commit(batch).expect_err("refused").kind(), ErrorKind::Validation);
        } else {
            assert_eq!((added.expect_err("refused").kind(), batch.len()), (ErrorKind::Validation, 0));
        }
    }
    let mut batch = Batch::new();
    let beyond = Expiry::At(UNIX_EPOCH + too_long + Duration::from_nanos(1));
    let error = batch.set_encoded(Codec::Raw, "k", *b"v", beyond).expect_err("refused");
    assert_eq!((error.kind(), batch.len()), (ErrorKind::Validation, 0));
    assert_eq!((store.len(), store.view().sequence()), (0, 0));
}

#[test]
fn deadlines_are_kept_with_every_codec_and_compression_and_over_a_reopening() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let options = |mode| Options::new().mode(mode).compression(Compression::Zstd).codec(Codec::Bincode);
    let at = SystemTime::now() + HOUR;
    let text = "long ".repeat(100);
    let store = options(Mode::Ledger).open(&path).expect("a store");
    store.set_with_ttl("ttl", &text, HOUR).expect("nothing fails");
    let mut batch = Batch::new();
    batch.set_with_ttl("batch", &text, HOUR).expect("within bounds");
    for codec in [Codec::Raw, Codec::Json, Codec::Bincode] {
        let key = format!("{codec:?}");
        batch.set_encoded(codec, &key, text.as_bytes(), Expiry::At(at)).expect("within bounds");
    }
    let pending = store.submit(batch).expect("it is open");
    assert_eq!(pending.wait().expect("nothing fails").sequence, 2);
    let deadlines = |store: &Store| {
        ["ttl", "batch", "Raw", "Json", "Bincode"].map(|key| store.expires_at(key).expect("it expires"))
    };
    let known = deadlines(&store);
    assert!(known[0] > SystemTime::now() && known[2..] == [at; 3]);
    store.close().expect("nothing fails");

    let store = options(Mode::Ledger).read_only(true).open(&path).expect("it opens");
    assert_eq!((deadlines(&store), store.len()), (known, 5));
    assert_eq!(store.get::<String>("ttl").expect("it reads").as_ref(), Some(&text));
    let version = store.history("Raw").expect("a ledger").next().expect("one version").expect("whole");
    assert!(matches!(version.change, Change::Set(entry) if entry.expires_at == Some(at)));
}

#[test]
fn what_has_expired_is_deleted_by_itself_and_a_ledger_and_its_watchers_see_it() {
    let (_folder, store) = store(Mode::Ledger);
    let mut events = store.watch("");
    set_expired(&store, "session");
    let event = events.next().expect("it is open").expect("whole");
    assert!(matches!(event.change, KeyChange::Set(entry) if entry.expires_at == Some(PASSED)));
    // Waits for the background.
    let event = events.next().expect("it is open").expect("whole");
    assert_eq!((event.sequence, event.change), (2, KeyChange::Deleted(b"session"[..].into())));
    let changes: Vec<_> =
        store.history("session").expect("a ledger").collect::<Result<_, _>>().expect("whole");
    assert_eq!(changes.len(), 2);
    assert_eq!((changes[0].sequence, &changes[0].change), (2, &Change::Deleted));
}
