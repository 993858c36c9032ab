//! A small share of the search with every run of the tests, and proof that the referee can say no.

use codex_crash::history::History;
use codex_crash::run::{run, run_with, shrink};
use codex_crash::search::search;
use codex_crash::systematic::{self, Depth};
use codex_crash::world::{Counts, World};

#[test]
fn random_histories_lose_nothing_that_was_acknowledged() {
    for seed in 0..300 {
        let history = History::random(seed);
        if let Err(failure) = run(&history) {
            panic!("{}", shrink(&history, failure));
        }
    }
}

#[test]
fn a_crash_or_an_error_at_an_operation_of_a_script_costs_nothing() {
    // Each script meets other ones of its cases; `cargo xtask crash --scripts` tries them all.
    for (number, script) in systematic::scripts().iter().enumerate() {
        for history in systematic::cases(script, Depth::Operations).skip(number).step_by(37) {
            if let Err(failure) = run(&history) {
                panic!("{}", shrink(&history, failure));
            }
        }
    }
}

#[test]
fn a_seed_decides_its_history() {
    // Names of temporaries, salts and ids are random; what is done to the disk is not.
    for seed in 0..40 {
        let history = History::random(seed);
        let (once, again) = (run(&history).expect("it passes"), run(&history).expect("it passes"));
        assert_eq!(once, again, "seed {seed}");
    }
}

#[test]
fn a_disk_whose_syncs_do_nothing_is_found_out() {
    let failing = (0..60).find_map(|seed| run_with(&History::random(seed), World::lie).err());
    let failure = failing.expect("acknowledged commits are lost");
    assert!(!failure.what.contains("panic"), "{}", failure.what);
}

#[test]
fn a_search_ends_with_the_last_history_and_adds_up_what_was_tried() {
    let histories = |number| (number < 10).then(|| History::random(number));
    let found = search(&histories, 2, None);
    assert!(found.failure.is_none());
    let mut expected = Counts::default();
    (0..10).for_each(|seed| expected.add(run(&History::random(seed)).expect("it passes")));
    assert_eq!(found.counts, expected);
    assert!(expected.crashes >= 10, "every history has a crash");
}
