//! What a commit comes to does not depend on which commits share its group.
#![cfg(not(loom))]

use std::ops::Bound;
use std::path::Path;

use codex_storage::sync::Arc;
use codex_storage::vfs::sim::SimVfs;
use codex_storage::{Background, Batch, Database, OpenOptions, Outcome, SequenceNumber};

/// A database that commits nothing before it is tended.
fn database() -> Database {
    let options = OpenOptions {
        vfs: Arc::new(SimVfs::new(1)),
        background: Background::Caller,
        ..OpenOptions::default()
    };
    options.open(Path::new("/app.db"), None).expect("a new database")
}

#[test]
fn a_clear_behind_the_deletion_of_the_last_record_writes_nothing() {
    let set = || {
        let mut batch = Batch::new();
        batch.set(b"key", &[b"1"]).expect("within bounds");
        batch
    };
    let delete = || {
        let mut batch = Batch::new();
        batch.delete(b"key").expect("within bounds");
        batch
    };
    let clear = || {
        let mut batch = Batch::new();
        batch.clear();
        batch
    };
    let database = database();
    database.commit(set()).expect("nothing fails");
    let pending = [delete(), clear(), set(), clear(), clear()].map(|batch| database.submit(batch));
    database.tend().expect("nothing fails");
    let found = pending.map(|pending| match pending.and_then(codex_storage::Pending::wait) {
        Ok(Outcome::Committed { sequence: SequenceNumber(sequence), .. }) => sequence,
        other => panic!("{other:?}"),
    });
    assert_eq!(found, [2, 2, 3, 4, 4]);
    assert_eq!(database.stats().groups, 2, "they were written together");
}

#[test]
fn closing_commits_what_nobody_leads() {
    let database = database();
    let mut batch = Batch::new();
    batch.set(b"key", &[b"1"]).expect("within bounds");
    let pending = database.submit(batch).expect("it is open");
    database.close().expect("nothing fails");
    pending.wait().expect("nothing fails");
    assert!(database.has(b"key"));
}

#[test]
fn a_demand_on_a_range_sees_what_the_commits_before_it_in_its_group_change() {
    let bounds = || (Bound::Included(b"k".to_vec()), Bound::Excluded(b"l".to_vec()));
    let set = |key: &[u8]| {
        let mut batch = Batch::new();
        batch.set(key, &[b"1"]).expect("within bounds");
        batch
    };
    let demanding = |since: u64, records| {
        let mut batch = set(b"result");
        batch.require_range(bounds(), SequenceNumber(since), records);
        batch
    };
    let delete = |key: &[u8]| {
        let mut batch = Batch::new();
        batch.delete(key).expect("within bounds");
        batch
    };
    let clear = || {
        let mut batch = Batch::new();
        batch.clear();
        batch
    };
    for (between, holds) in [
        (set(b"l"), true),
        (set(b"k2"), false),
        (set(b"k1"), false),
        (delete(b"k1"), false),
        (delete(b"k9"), true),
        (clear(), false),
    ] {
        let database = database();
        database.commit(set(b"k1")).expect("nothing fails");
        let pending = [between, demanding(1, 1)].map(|batch| database.submit(batch).expect("it is open"));
        database.tend().expect("nothing fails");
        let [_, last] = pending.map(|pending| pending.wait().expect("nothing fails"));
        assert_eq!(last != Outcome::Conflict, holds, "{last:?}");
    }
}
