//! Watching under all interleavings of a leader, a watcher and a close, with the real queues.
//!
//! `cargo xtask loom` runs these. Which deliberate fault makes which model fail: `docs/concurrency.md`.
#![cfg(loom)]

use codex_storage::sync::{Arc, RwLock};
use codex_storage::watch::{Announcement, Watchers};
use codex_storage::{Operation, SequenceNumber};
use loom::thread;

fn announce(watchers: &Watchers, sequence: u64) {
    watchers.announce(SequenceNumber(sequence), &[vec![Operation::Clear]]);
}

fn sequence(announcement: Announcement) -> u64 {
    match announcement {
        Announcement::Commit(sequence, _) => sequence.0,
        Announcement::Lagged(..) => panic!("two commits do not fill a queue"),
    }
}

#[test]
fn a_watcher_is_never_left_asleep_and_sees_log_order() {
    loom::model(|| {
        let watchers = Arc::new(Watchers::default());
        let mut watch = watchers.subscribe(b"");
        let leader = {
            let watchers = watchers.clone();
            thread::spawn(move || {
                announce(&watchers, 1);
                announce(&watchers, 2);
                watchers.close();
            })
        };
        let told: Vec<_> = std::iter::from_fn(|| watch.wait()).map(sequence).collect();
        assert_eq!(told, [1, 2]);
        leader.join().unwrap();
    });
}

#[test]
fn what_a_view_does_not_show_is_announced_to_who_watched_before() {
    loom::model(|| {
        let watchers = Arc::new(Watchers::default());
        let published = Arc::new(RwLock::new(0));
        let leader = {
            let (watchers, published) = (watchers.clone(), published.clone());
            thread::spawn(move || {
                *published.write() = 1;
                announce(&watchers, 1);
            })
        };
        let mut watch = watchers.subscribe(b"");
        let view = *published.read();
        leader.join().unwrap();
        let told = watch.take().map(sequence);
        assert!(view == 1 || told == Some(1), "in neither the view nor the events");
    });
}
