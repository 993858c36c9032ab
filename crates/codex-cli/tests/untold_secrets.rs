//! What is planted in a database is in nothing that the library tells: errors and their causes, `Debug` forms, events at
//! level `TRACE`, names and labels of metrics. What the command tells is searched in `cli_secrets.rs`.
//!
//! One test in a program of its own, because whoever listens does so for the whole process.

mod common;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codex::{
    Argon2Cost, BackupPolicy, Batch, Codec, Commits, EncryptionKey, Mode, NewKey, Options, Point,
    RepairOptions, Repository, RestoreOptions, Retention, Store, Unlock,
};
use codex_storage::vfs::sim::{DiskError, Fault, Operation, SimVfs};
use codex_storage::{Background, OpenOptions};
use common::secrets::{ENCRYPTION_KEY, KEY, PASSPHRASE, VALUE, assert_untold};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tracing_subscriber::filter::LevelFilter;

/// Everything that was told.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl Told {
    fn add(&self, text: &str) {
        self.0.lock().expect("nobody panicked").extend_from_slice(format!("{text}\n").as_bytes());
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panicked").clone()).expect("text")
    }

    fn debug(&self, shown: &(impl Debug + ?Sized)) {
        self.add(&format!("{shown:?}\n{shown:#?}"));
    }

    /// The error, its causes, and how all of them look.
    fn error<T>(&self, result: Result<T, impl Error + 'static>) {
        let error = result.err().expect("it fails");
        let mut next: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(error) = next {
            self.add(&error.to_string());
            self.debug(error);
            next = error.source();
        }
    }
}

impl io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps names, descriptions and labels of metrics.
#[derive(Clone, Debug, Default)]
struct Published {
    told: Told,
    names: Arc<Mutex<BTreeSet<String>>>,
}

impl Published {
    fn describe(&self, key: &KeyName, description: &SharedString) {
        self.told.add(&format!("{} {description}", key.as_str()));
    }

    fn register(&self, key: &Key) {
        self.names.lock().expect("nobody panicked").insert(key.name().to_owned());
        self.told.debug(key);
    }
}

impl Recorder for Published {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&key, &description);
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&key, &description);
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(&key, &description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.register(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.register(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.register(key);
        Histogram::noop()
    }
}

#[test]
fn nothing_that_is_told_holds_a_key_a_value_or_what_unlocks() {
    let (events, told) = (Told::default(), Told::default());
    let writer = events.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("the first");
    let published = Published::default();
    metrics::set_global_recorder(published.clone()).expect("the first");

    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    at_work(&folder.join("ledger.db"), Mode::Ledger, &told);
    at_work(&folder.join("snapshot.db"), Mode::Snapshot, &told);
    passphrases(&folder.join("passphrase.db"), &told);
    backups(folder, &told);
    refusals(folder, &told);
    damage(folder, &told);
    failing_disk(&told);

    for text in [events.text(), told.text(), published.told.text()] {
        assert_untold(&text);
    }
    // What was searched is all there is: every event and every name of the documentation, and no others.
    let document = include_str!("../../../docs/observability.md");
    assert_eq!(messages(&events.text()), documented_events(document));
    assert_eq!(*published.names.lock().expect("nobody panicked"), documented_metrics(document));
}

fn key() -> EncryptionKey {
    EncryptionKey::from_bytes(*ENCRYPTION_KEY)
}

fn options(mode: Mode) -> Options {
    Options::new().mode(mode).encryption_key(key())
}

fn at_work(path: &Path, mode: Mode, told: &Told) {
    let options = options(mode);
    told.debug(&options);
    let store = options.open(path).expect("a new database");
    let watch = store.watch(KEY);
    store.set(KEY, VALUE).expect("a commit");
    store.set_bytes(format!("{KEY}:bytes"), VALUE).expect("a commit");
    store.set_with(Codec::Bincode, format!("{KEY}:bincode"), VALUE).expect("a commit");
    store.set_with_ttl(format!("{KEY}:ttl"), VALUE, Duration::from_hours(1)).expect("a commit");
    let mut batch = Batch::new();
    batch.set(format!("{KEY}:batch"), VALUE).expect("it encodes");
    batch.delete(format!("{KEY}:bytes"));
    told.debug(&batch);
    let pending = store.submit(batch).expect("it is queued");
    told.debug(&pending);
    told.debug(&pending.wait().expect("a commit"));
    store
        .transaction(|tx| {
            tx.get::<String>(KEY)?;
            tx.set(format!("{KEY}:tx"), VALUE)?;
            told.debug(tx);
            // Somebody else changes what was read, once.
            if store.get::<String>("raced")?.is_none() {
                store.set("raced", VALUE)?;
                store.set(KEY, VALUE)?;
            }
            Ok(())
        })
        .expect("the second attempt");

    told.debug(&store);
    told.debug(&store.view());
    told.debug(&store.get_bytes(KEY).expect("it is there"));
    told.debug(&store.get_entry(KEY).expect("it is there"));
    told.debug(&store.keys().expect("keys"));
    told.debug(&store.view().first().expect("it is there"));
    told.debug(&store.range(..));
    told.debug(&store.entries(..));
    store.entries(..).for_each(|entry| told.debug(&entry.expect("it reads")));
    told.debug(&codex::Glob::new(KEY));
    told.debug(&store.head());
    told.debug(&store.log_head());
    told.debug(&store.prove(1).expect("a commit"));
    told.debug(&store.verify().expect("it is whole"));
    let stats = store.stats();
    told.debug(&stats);
    told.add(&serde_json::to_string(&stats).expect("figures"));
    if mode == Mode::Ledger {
        told.debug(&store.history(KEY).expect("a ledger"));
        store.history(KEY).expect("a ledger").for_each(|version| told.debug(&version.expect("it reads")));
        store.log(..).expect("a ledger").for_each(|commit| told.debug(&commit.expect("it reads")));
        told.error(store.at(Point::Sequence(1 << 40)));
        told.error(store.compact());
    } else {
        store.compact().expect("it is rewritten");
        told.error(store.history(KEY));
    }
    // Each with what the caller gave, or what the value holds, at hand.
    told.error(store.get::<u64>(KEY));
    told.error(store.get::<bool>(format!("{KEY}:bincode")));
    told.error(store.get_many::<bool, _>([KEY]));
    told.error(store.set(KEY.repeat(10_000), VALUE));
    told.error(store.set("", VALUE));
    told.error(store.set_with_ttl(KEY, VALUE, Duration::ZERO));
    told.error(store.glob(format!("{KEY}[")));
    told.error(store.transaction(|tx| tx.get::<u64>(KEY)));
    told.error(options.open(path));
    told.error(store.backup(path));
    told.error(store.rotate_backup());
    store.close().expect("a clean end");
    told.error(store.set(KEY, VALUE));
    watch.for_each(|event| told.debug(&event.expect("it reads")));
}

fn passphrases(path: &Path, told: &Told) {
    let cheap = Argon2Cost::MINIMUM;
    let options = Options::new().passphrase(PASSPHRASE).passphrase_cost(cheap);
    told.debug(&options);
    told.debug(&Unlock::passphrase(PASSPHRASE));
    told.debug(&key());
    let store = options.open(path).expect("a new database");
    store.set(KEY, VALUE).expect("a commit");
    let new = || NewKey::passphrase(format!("{PASSPHRASE} 2")).cost(cheap);
    told.debug(&new().label("on call"));
    told.error(store.add_key(new().label("two\nlines")));
    store.add_key(new().label("on call")).expect("a slot");
    store.remove_key(2).expect("it is there");
    told.error(store.remove_key(2));
    told.error(store.remove_key(1));
    store.change_key(new()).expect("a slot");
    store.change_key_deep(key()).expect("another root key");
    told.debug(&store.key_slots().expect("slots"));
    store.close().expect("a clean end");
    told.error(options.open(path));
    told.error(Store::open(path));
    told.error(Options::new().passphrase("").open(path.with_extension("new")));
    told.error(EncryptionKey::from_hex(PASSPHRASE));
    told.error(Options::new().open_home(&format!("../{KEY}")));
}

fn backups(folder: &Path, told: &Told) {
    let path = folder.join("snapshot.db");
    let policy = BackupPolicy::keep(2).every(Commits(1));
    let store = options(Mode::Snapshot).backups(policy).open(&path).expect("it is whole");
    store.rotate_backup().expect("a copy");
    told.debug(&store.backups().expect("a list"));
    store.backup(folder.join("copy.db")).expect("a copy");
    let repository = Repository::open_or_create(folder.join("repository")).expect("a folder");
    let made = repository.back_up(&store).expect("a backup");
    told.debug(&repository);
    told.debug(&made);
    repository.verify(Some(&made.receipt)).expect("it is whole");
    told.error(repository.verify(Some("0")));
    told.debug(&repository.prune(Retention::new(), None, false).expect("one is kept"));
    store.close().expect("a clean end");

    let restoring = || RestoreOptions::new().encryption_key(key());
    told.debug(&restoring());
    codex::restore(folder.join("copy.db"), folder.join("restored.db"), restoring()).expect("it is whole");
    told.error(codex::restore(folder.join("copy.db"), &path, restoring()));
    told.error(codex::restore(folder.join("copy.db"), folder.join("no.db"), RestoreOptions::new()));
    let wrong = RestoreOptions::new().passphrase(PASSPHRASE);
    told.error(repository.restore(None, folder.join("no.db"), wrong));
    failing_policy(&folder.join("policy.db"));
}

/// A folder stands where the copy belongs.
fn failing_policy(path: &Path) {
    std::fs::create_dir_all(path.with_extension("db.bak.1").join("full")).expect("a folder");
    let policy = BackupPolicy::keep(1).every(Commits(1));
    let store = options(Mode::Ledger).backups(policy).open(path).expect("a new database");
    store.set(KEY, VALUE).expect("a commit");
    store.close().expect("a clean end");
    let store = options(Mode::Ledger).backups(policy).open(path).expect("it is whole");
    assert!(store.stats().background_error.is_some());
}

fn refusals(folder: &Path, told: &Told) {
    let missing = folder.join("missing.db");
    told.error(Options::new().create(false).open(&missing));
    told.error(options(Mode::Snapshot).open(folder.join("ledger.db")));
    told.error(
        Options::new().encryption_key(EncryptionKey::from_bytes([7; 32])).open(folder.join("ledger.db")),
    );
    std::fs::write(&missing, VALUE.repeat(1000)).expect("a file");
    told.error(options(Mode::Ledger).open(&missing));
    let plain = Store::open(folder.join("plain.db")).expect("a new database");
    plain.set(KEY, VALUE).expect("a commit");
    plain.close().expect("a clean end");
    told.error(options(Mode::Snapshot).open(folder.join("plain.db")));
    let reader = Options::new().read_only(true).open(folder.join("plain.db")).expect("it is whole");
    told.error(reader.set(KEY, VALUE));
}

/// A torn end, and a flipped bit below the floor.
fn damage(folder: &Path, told: &Told) {
    let path = folder.join("ledger.db");
    let mut bytes = std::fs::read(&path).expect("the database");
    bytes.extend_from_slice(VALUE.as_bytes());
    std::fs::write(&path, &bytes).expect("the database");
    let store = options(Mode::Ledger).open(&path).expect("the end is cut");
    assert_eq!(store.stats().torn_bytes, VALUE.len() as u64);
    store.close().expect("a clean end");
    bytes[9000] ^= 1;
    std::fs::write(&path, &bytes).expect("the database");
    told.error(options(Mode::Ledger).open(&path));
    let salvaging = || RepairOptions::new().encryption_key(key());
    told.debug(&salvaging());
    let report = codex::repair(&path, folder.join("salvaged.db"), salvaging()).expect("some is whole");
    told.debug(&report);
    told.add(&serde_json::to_string(&report).expect("figures"));
    told.error(codex::repair(&path, folder.join("salvaged.db"), salvaging()));
}

/// Checkpoints, work in the background that fails, and a sync that fails.
fn failing_disk(told: &Told) {
    let disk = SimVfs::new(1);
    let options = OpenOptions {
        mode: Some(Mode::Ledger),
        vfs: Arc::new(disk.clone()),
        background: Background::Caller,
        ..OpenOptions::default()
    };
    told.debug(&options);
    let unlock = Unlock::from(key());
    let database = options.open(Path::new("/failing.db"), Some(&unlock)).expect("a new database");
    told.debug(&database);
    let set = || {
        let mut batch = codex_storage::Batch::new();
        batch.set(KEY.as_bytes(), &[VALUE.as_bytes()]).expect("within bounds");
        told.debug(&batch);
        database.commit(batch)
    };
    set().expect("a commit");
    told.debug(&database.get(KEY.as_bytes()));
    database.checkpoint().expect("it is written");
    disk.fail_always(Operation::Create, Fault::Before(DiskError::NoSpace));
    told.error(database.checkpoint());
    disk.fail_always(Operation::Sync, Fault::Before(DiskError::Io));
    told.error(set());
    told.error(set());
    told.error(database.flush());
    // Nobody hears that closing fails, but by the event.
    drop(database);
}

/// The messages of events.
fn messages(events: &str) -> BTreeSet<String> {
    let event = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("a line is an object");
    let message = |line| event(line)["fields"]["message"].as_str().expect("each has a message").to_owned();
    events.lines().map(message).collect()
}

/// Of the table of events, the third column.
fn documented_events(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter(|line| line.contains("| `codex::"));
    rows.filter_map(|row| row.split('`').nth(5)).map(str::to_owned).collect()
}

/// Of the table of metrics, the first column.
fn documented_metrics(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter(|line| line.starts_with("| `codex_"));
    rows.filter_map(|row| row.split('`').nth(1)).map(str::to_owned).collect()
}
