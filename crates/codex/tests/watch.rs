//! What a watcher is told, and what it costs the others.

use std::thread;

use codex::{Batch, Event, KeyChange, Store, Watch};
use tempfile::TempDir;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("app.db")).expect("a store");
    (folder, store)
}

/// Sequence number and change, as text.
fn text(event: Event) -> String {
    let sequence = event.sequence;
    match event.change {
        KeyChange::Set(entry) => format!("{sequence} {}={}", key(&entry.key), key(&entry.value)),
        KeyChange::Deleted(deleted) => format!("{sequence} -{}", key(&deleted)),
        KeyChange::Cleared => format!("{sequence} cleared"),
        KeyChange::Lagged { commits } => format!("{sequence} lagged {commits}"),
        other => panic!("{other:?}"),
    }
}

fn key(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn waiting(events: &mut Watch) -> Vec<String> {
    std::iter::from_fn(|| events.try_next()).map(|event| text(event.expect("an event"))).collect()
}

#[test]
fn a_watcher_sees_the_changes_of_its_prefix_in_commit_order_and_no_others() {
    let (_folder, store) = store();
    store.set_bytes("a:before", b"0").unwrap();
    let mut events = store.watch("a:");
    let mut batch = Batch::new();
    batch.set_bytes("a:1", b"x");
    batch.set_bytes("b:1", b"hidden");
    batch.delete("a:before");
    store.commit(batch).unwrap();
    store.set_bytes("b:2", b"hidden").unwrap();
    assert!(!store.delete("a:absent").unwrap());
    store.set_bytes("a:1", b"y").unwrap();
    store.clear().unwrap();
    assert_eq!(waiting(&mut events), ["2 a:1=x", "2 -a:before", "4 a:1=y", "5 cleared"]);
}

#[test]
fn a_commit_that_changes_nothing_is_not_announced() {
    let (_folder, store) = store();
    let mut events = store.watch("");
    assert!(!store.delete("absent").unwrap());
    store.clear().unwrap();
    store.commit(Batch::new()).unwrap();
    assert_eq!(waiting(&mut events), [""; 0]);
}

#[test]
fn a_slow_watcher_is_told_how_many_commits_it_missed_and_goes_on_with_whole_ones() {
    let (_folder, store) = store();
    let mut events = store.watch("");
    // Pairs: 2048 commits fill the queue, and three more push out the first three.
    for number in 0..2051 {
        let mut batch = Batch::new();
        batch.set_bytes("a", number.to_string());
        batch.set_bytes("b", number.to_string());
        let _pending = store.submit(batch).unwrap();
    }
    store.close().unwrap();
    let told = waiting(&mut events);
    assert_eq!(told[..3], ["3 lagged 3", "4 a=3", "4 b=3"]);
    assert_eq!(told.len(), 1 + 4096);
    assert_eq!(told[4096], "2051 b=2050");
}

#[test]
fn large_values_do_not_pile_up_for_a_watcher_that_sleeps() {
    let (_folder, store) = store();
    let mut events = store.watch("");
    for _ in 0..4 {
        store.set_bytes("k", vec![b'x'; 3 << 20]).unwrap();
    }
    let sequences = std::iter::from_fn(|| events.try_next()).map(|event| event.unwrap());
    let told: Vec<_> = sequences
        .map(|event| (event.sequence, matches!(event.change, KeyChange::Lagged { commits: 2 })))
        .collect();
    assert_eq!(told, [(2, true), (3, false), (4, false)]);
}

#[test]
fn closing_ends_a_watch_behind_what_it_has_not_taken() {
    let (_folder, store) = store();
    let events = store.watch("");
    let reader = thread::spawn(move || events.map(|event| text(event.unwrap())).collect::<Vec<_>>());
    store.set_bytes("k", b"1").unwrap();
    store.close().unwrap();
    assert_eq!(reader.join().unwrap(), ["1 k=1"]);
    assert!(store.watch("").next().is_none(), "a closed store has no changes");
}

#[test]
fn a_watch_does_not_keep_the_store_open() {
    let (folder, store) = store();
    let mut events = store.watch("");
    drop(store);
    assert!(events.next().is_none());
    Store::open(folder.path().join("app.db")).unwrap();
}

#[test]
fn a_view_and_the_events_behind_it_together_miss_nothing() {
    const WRITES: u64 = 300;
    let (_folder, store) = store();
    let writer = {
        let store = store.clone();
        thread::spawn(move || (1..=WRITES).for_each(|n| store.set_bytes("k", n.to_string()).unwrap()))
    };
    let (events, view) = (store.watch("k"), store.view());
    writer.join().unwrap();
    store.close().unwrap();
    let seen = events.map(|event| event.unwrap().sequence).filter(|sequence| *sequence > view.sequence());
    assert_eq!(seen.collect::<Vec<_>>(), (view.sequence() + 1..=WRITES).collect::<Vec<_>>());
}
