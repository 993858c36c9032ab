//! Transactions take place as if one after the other, whatever runs beside them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use codex::{Batch, ErrorKind, Options, Result, Store, Transaction};

struct Temporary {
    store: Store,
    // Dropped last.
    _folder: tempfile::TempDir,
}

fn store() -> Temporary {
    let folder = tempfile::tempdir().expect("a folder");
    // What is tested here does not depend on the disk.
    let store = Options::new()
        .durability(codex::Durability::Buffered)
        .open(folder.path().join("app.db"))
        .expect("a new store");
    Temporary { store, _folder: folder }
}

#[test]
fn no_update_is_lost_among_many_threads() {
    let temporary = store();
    let store = &temporary.store;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    store
                        .transaction(|tx| {
                            let count: u32 = tx.get("count")?.unwrap_or_default();
                            tx.set("count", &(count + 1))
                        })
                        .expect("it gets its turn");
                }
            });
        }
    });
    assert_eq!(store.get::<u32>("count").expect("it reads"), Some(200));
}

#[test]
fn of_two_that_read_what_the_other_writes_one_sees_the_other() {
    // Write skew: each leaves only if the other is still there.
    for _ in 0..50 {
        let temporary = store();
        let store = &temporary.store;
        store.set_many([("ada", &true), ("grace", &true)]).expect("nothing fails");
        thread::scope(|scope| {
            for (own, other) in [("ada", "grace"), ("grace", "ada")] {
                scope.spawn(move || {
                    store
                        .transaction(|tx| {
                            if tx.get(other)? == Some(true) {
                                tx.set(own, &false)?;
                            }
                            Ok(())
                        })
                        .expect("it gets its turn");
                });
            }
        });
        let there = [store.get("ada"), store.get("grace")].map(|found| found.expect("it reads"));
        assert_eq!(there.iter().filter(|found| **found == Some(true)).count(), 1, "{there:?}");
    }
}

/// A transaction that reads by `read`, while `change` takes place behind it at the first attempt; how often it ran.
fn attempts(read: impl Fn(&mut Transaction) -> Result<()>, change: impl Fn(&Store) -> Result<()>) -> u32 {
    let temporary = store();
    let store = &temporary.store;
    store.set_many([("k:1", &1), ("k:2", &2), ("other", &3)]).expect("nothing fails");
    let attempts = AtomicU32::new(0);
    store
        .transaction(|tx| {
            read(tx)?;
            if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
                change(store)?;
            }
            tx.set("result", &0)
        })
        .expect("the second attempt meets nobody");
    attempts.into_inner()
}

#[test]
fn what_was_read_and_has_changed_lets_a_transaction_run_again() {
    let prefix = |tx: &mut Transaction| tx.prefix("k:").map(drop);
    let absent = |tx: &mut Transaction| tx.has("k:9").map(drop);
    let present = |tx: &mut Transaction| tx.get_bytes("k:1").map(drop);
    assert_eq!(attempts(prefix, |store| store.set("k:1", &9)), 2, "changed within");
    assert_eq!(attempts(prefix, |store| store.set("k:1", &1)), 2, "set to the same");
    assert_eq!(attempts(prefix, |store| store.set("k:3", &3)), 2, "a phantom");
    assert_eq!(attempts(prefix, |store| store.delete("k:2").map(drop)), 2, "deleted within");
    assert_eq!(
        attempts(prefix, |store| store.delete("k:2").and_then(|_| store.set("k:3", &3))),
        2,
        "as many"
    );
    assert_eq!(attempts(prefix, Store::clear), 2, "cleared");
    assert_eq!(attempts(absent, |store| store.set("k:9", &9)), 2, "absent, and then there");
    assert_eq!(attempts(present, |store| store.delete("k:1").map(drop)), 2, "there, and then absent");
}

#[test]
fn what_was_not_read_disturbs_no_transaction() {
    let prefix = |tx: &mut Transaction| tx.prefix("k:").map(drop);
    let present = |tx: &mut Transaction| tx.get_bytes("k:1").map(drop);
    assert_eq!(attempts(prefix, |store| store.set("other", &9)), 1);
    assert_eq!(attempts(prefix, |store| store.set("k;", &9)), 1);
    assert_eq!(attempts(present, |store| store.set("k:2", &9)), 1);
    assert_eq!(attempts(|_| Ok(()), |store| store.set("result", &9)), 1, "written without a look");
}

#[test]
fn a_transaction_reads_its_own_changes() {
    let temporary = store();
    let store = &temporary.store;
    store.set_many([("k:1", &1), ("k:2", &2)]).expect("nothing fails");
    store
        .transaction(|tx| {
            tx.set("k:1", &10)?;
            assert!(tx.delete("k:2")?);
            assert!(!tx.delete("k:2")?, "it is gone already");
            tx.set_bytes("k:3", b"raw")?;
            assert_eq!(tx.get::<i32>("k:1")?, Some(10));
            assert_eq!(tx.get_bytes("k:2")?, None);
            assert!(tx.has("k:3")? && !tx.has("k:2")?);
            let found: Vec<_> = tx.prefix("k:")?;
            let found: Vec<_> = found.iter().map(|(key, value)| (&**key, &**value)).collect();
            assert_eq!(found, [(&b"k:1"[..], &b"10"[..]), (b"k:3", b"raw")]);
            assert_eq!(tx.range("k:2".."k:3")?, []);
            assert!(!store.has("k:3")?, "nobody else sees them");
            Ok(())
        })
        .expect("nothing fails");
    assert_eq!(store.get::<i32>("k:1").expect("it reads"), Some(10));
    assert_eq!(store.keys().expect("it reads"), [&b"k:1"[..], b"k:3"]);
    assert_eq!(store.view().sequence(), 2, "one commit");
}

#[test]
fn an_error_or_a_panic_of_the_work_leaves_nothing() {
    #[derive(Debug)]
    enum Failure {
        Own,
        #[expect(dead_code, reason = "shown when the test fails")]
        Store(codex::Error),
    }
    impl From<codex::Error> for Failure {
        fn from(error: codex::Error) -> Self {
            Self::Store(error)
        }
    }
    let temporary = store();
    let store = &temporary.store;
    let result: Result<(), Failure> = store.try_transaction(|tx| {
        tx.set("key", &1)?;
        Err(Failure::Own)
    });
    assert!(matches!(result, Err(Failure::Own)), "{result:?}");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.transaction(|tx| -> Result<()> {
            tx.set("key", &1)?;
            panic!("on purpose")
        })
    }));
    panicked.expect_err("it panics");
    assert!(store.is_empty());
    store.set("key", &2).expect("the store goes on");
}

#[test]
fn a_transaction_that_changes_nothing_commits_nothing() {
    let temporary = store();
    let store = &temporary.store;
    store.set("key", &1).expect("nothing fails");
    let found = store.transaction(|tx| tx.get::<i32>("key")).expect("it reads");
    assert_eq!((found, store.view().sequence()), (Some(1), 1));
}

#[test]
fn a_transaction_that_meets_others_every_time_gives_up_and_says_so() {
    let temporary = store();
    let store = &temporary.store;
    let error = store
        .transaction(|tx| {
            let count: u32 = tx.get("key")?.unwrap_or_default();
            store.set("key", &(count + 1))?;
            tx.set("result", &count)
        })
        .expect_err("it never gets its turn");
    assert_eq!(error.kind(), ErrorKind::Concurrency);
    assert_eq!(store.get("key").expect("it reads"), Some(Transaction::ATTEMPTS_MAX));
    assert!(!store.has("result").expect("it reads"));
}

#[test]
fn a_range_that_is_too_long_to_look_through_again_is_held_against_every_commit() {
    let temporary = store();
    let store = &temporary.store;
    let mut batch = Batch::new();
    for number in 0..5_000_u32 {
        batch.set_bytes(number.to_be_bytes(), b"");
    }
    store.commit(batch).expect("nothing fails");
    let mut attempts = 0;
    store
        .transaction(|tx| {
            assert_eq!(tx.range(..[1_u8])?.len(), 5_000);
            attempts += 1;
            if attempts == 1 {
                store.set("far away", &0)?;
            }
            tx.set("result", &0)
        })
        .expect("the second attempt meets nobody");
    assert_eq!(attempts, 2);
}

#[test]
fn transactions_of_many_threads_have_an_order_in_which_each_read_what_those_before_it_wrote() {
    // Each reads two counters or all of them, and raises two: in every order their sum is twice the transactions before.
    let temporary = store();
    let store = &temporary.store;
    let keys = ["c:0", "c:1", "c:2", "c:3"];
    thread::scope(|scope| {
        for thread in 0..4_usize {
            scope.spawn(move || {
                for round in 0..25_usize {
                    let (one, other) = (keys[(thread + round) % 4], keys[(thread + 2 * round + 1) % 4]);
                    store
                        .transaction(|tx| {
                            let sum: u64 = tx
                                .prefix("c:")?
                                .iter()
                                .map(|(_, value)| {
                                    String::from_utf8_lossy(value).parse::<u64>().expect("a number")
                                })
                                .sum();
                            for key in [one, other] {
                                let count: u64 = tx.get(key)?.unwrap_or_default();
                                tx.set(key, &(count + 1))?;
                            }
                            // The place in the order, which nobody else may have.
                            assert!(!tx.has(format!("place:{sum}"))?, "two at one place");
                            tx.set(format!("place:{sum}"), &thread)
                        })
                        .expect("it gets its turn");
                }
            });
        }
    });
    assert_eq!(store.prefix("place:").count(), 100);
    for place in 0..100 {
        assert!(store.has(format!("place:{}", 2 * place)).expect("it reads"), "{place}");
    }
}
