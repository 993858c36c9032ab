//! Random histories against the reference, a few of them at each run of the tests; `cargo xtask fuzz history` goes on.

use codex_fuzz::history;
use codex_storage::vfs::sim::Random;

#[test]
fn random_histories_with_crashes_agree_with_a_map() {
    for seed in 0..120 {
        // Shown by the test's output if what follows panics.
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let mut bytes = vec![0; 64 + usize::try_from(random.below(700)).expect("a small number")];
        random.fill(&mut bytes);
        history::run(&bytes);
    }
}
