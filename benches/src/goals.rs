//! The goals, and whether what was measured meets them.
//!
//! Each is a ratio within one run. A goal whose figures were not measured in this run is not judged.

use self::Bound::{Above, AtLeast, AtMost};
use crate::engines::{Kind, ROWS};
use crate::figures::Results;

/// A goal with what was measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Goal {
    pub(crate) work: &'static str,
    /// What is judged.
    pub(crate) figure: &'static str,
    pub(crate) bound: Bound,
    /// What it came to, if it was measured.
    pub(crate) measured: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Strictly more: ahead of another.
    Above(f64),
}

impl Goal {
    /// `None` if it was not measured.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let measured = self.measured?;
        Some(match self.bound {
            Bound::AtLeast(bound) => measured >= bound,
            Bound::AtMost(bound) => measured <= bound,
            Bound::Above(bound) => measured > bound,
        })
    }
}

/// Every goal, judged by `results`.
pub(crate) fn judged(results: &Results) -> Vec<Goal> {
    [durable_sets, many_writers, commit_cost, throughput, reads, scans, mixes, opening, sizes]
        .into_iter()
        .flat_map(|judge| judge(results))
        .collect()
}

fn durable_sets(results: &Results) -> Vec<Goal> {
    let work = |figure, bound, measured| Goal { work: "durable set, 1 writer", figure, bound, measured };
    let rate = |row| results.median("sets-1", row, "rate");
    let best = best(results, "sets-1", "rate", durable);
    vec![
        work("snapshot mode ÷ the append loop", AtLeast(1.3), ratio(rate("codex"), rate("append"))),
        work("ledger mode ÷ the append loop", AtLeast(1.3), ratio(rate("codex-ledger"), rate("append"))),
        work("÷ the best durable peer", Above(1.0), ratio(rate("codex"), best)),
    ]
}

fn many_writers(results: &Results) -> Vec<Goal> {
    let work = |figure, bound, measured| Goal { work: "durable set, 32 writers", figure, bound, measured };
    let of = |row, figure| results.median("sets-32", row, figure);
    let ours = of("codex", "rate");
    let best = best(results, "sets-32", "rate", durable);
    let beyond_median = difference(of("codex", "p99"), of("codex", "p50"));
    let mut goals = vec![
        work("commits per sync", AtLeast(25.0), of("codex", "commits per sync")),
        work(
            "÷ the append loop of 1 thread",
            AtLeast(10.0),
            ratio(ours, results.median("sets-1", "append", "rate")),
        ),
        work("÷ the best durable peer", Above(1.0), ratio(ours, best)),
        work("the same, stretched", AtLeast(2.0), ratio(ours, best)),
        work("÷ 32 records appended with one sync", AtLeast(0.4), ratio(ours, of("append-group", "rate"))),
        work(
            "99th percentile beyond the median ÷ the append loop's 99th percentile",
            AtMost(2.0),
            ratio(beyond_median, results.median("sets-1", "append", "p99")),
        ),
    ];
    let work = |figure, measured| Goal {
        work: "1 → 2 → 8 → 32 → 64 writers",
        figure,
        bound: AtLeast(1.0),
        measured,
    };
    let growth = |row| {
        let rates: Option<Vec<f64>> = ["sets-1", "sets-2", "sets-8", "sets-32", "sets-64"]
            .iter()
            .map(|work| results.median(work, row, "rate"))
            .collect();
        rates.and_then(|rates| least_growth(&rates))
    };
    let submitted =
        ratio(results.median("submit", "codex", "rate"), results.median("sets-64", "codex", "rate"));
    goals.extend([
        work("least growth from one to the next, snapshot mode", growth("codex")),
        work("the same, ledger mode", growth("codex-ledger")),
        work("`submit` with 64 in flight ÷ 64 threads", submitted),
    ]);
    goals
}

fn commit_cost(results: &Results) -> Vec<Goal> {
    let work = |figure, bound, measured| Goal { work: "commit cost", figure, bound, measured };
    let evenness = |row| {
        let sizes = [1_000_u64, 10_000, 100_000, 1_000_000, 10_000_000];
        let cost = |size| results.median(&format!("cost-{size}"), row, "beside append");
        least_to_most(&sizes.into_iter().filter_map(cost).collect::<Vec<_>>())
    };
    vec![
        work(
            "slowest ÷ fastest from 1,000 records to the most, snapshot mode",
            AtLeast(0.8),
            evenness("codex"),
        ),
        work("the same, ledger mode", AtLeast(0.8), evenness("codex-ledger")),
        work(
            "longest wait beside a rewrite, beyond that beside a computing thread, in syncs",
            AtMost(2.0),
            syncs_longer(results, "codex", "maintenance", "max"),
        ),
        work(
            "the same beside a checkpoint",
            AtMost(2.0),
            syncs_longer(results, "codex-ledger", "maintenance", "max"),
        ),
    ]
}

fn throughput(results: &Results) -> Vec<Goal> {
    let ours = |work| results.median(work, "codex", "rate");
    vec![
        Goal {
            work: "batches of 1,000",
            figure: "÷ the best peer that can scan in order",
            bound: AtLeast(1.2),
            measured: ratio(ours("batches"), best(results, "batches", "rate", ordered)),
        },
        Goal {
            work: "buffered sets",
            figure: "÷ the best peer whose sets are seen at once",
            bound: Above(1.0),
            measured: ratio(ours("buffered"), best(results, "buffered", "rate", seen_at_once)),
        },
    ]
}

fn reads(results: &Results) -> Vec<Goal> {
    let work = |figure, bound, measured| Goal { work: "random reads", figure, bound, measured };
    let of = |row, figure| results.median("reads", row, figure);
    let ours = |figure| of("codex", figure);
    vec![
        work("hits, 1 thread ÷ emdb", AtLeast(1.2), ratio(ours("hits-1"), of("emdb", "hits-1"))),
        work("hits, 1 thread ÷ LMDB", AtLeast(3.0), ratio(ours("hits-1"), of("heed", "hits-1"))),
        work("misses, 1 thread ÷ emdb", AtLeast(1.0), ratio(ours("misses-1"), of("emdb", "misses-1"))),
        work("hits, 2 threads ÷ 1", AtLeast(1.9), ratio(ours("hits-2"), ours("hits-1"))),
        work("hits, 32 threads ÷ 2", AtLeast(1.0), ratio(ours("hits-32"), ours("hits-2"))),
    ]
}

fn scans(results: &Results) -> Vec<Goal> {
    let work = |figure, bound, measured| Goal { work: "scans", figure, bound, measured };
    let beside_lmdb =
        |row, what| ratio(results.median("scans", row, what), results.median("scans", "heed", what));
    vec![
        work("full, `for_each` ÷ LMDB", AtLeast(1.0), beside_lmdb("codex", "full")),
        work("prefixes of 100, `for_each` ÷ LMDB", AtLeast(1.0), beside_lmdb("codex", "prefixes")),
        work("full, iterator ÷ LMDB", AtLeast(0.5), beside_lmdb("codex-iterator", "full")),
        work("prefixes of 100, iterator ÷ LMDB", AtLeast(0.5), beside_lmdb("codex-iterator", "prefixes")),
        work(
            "99.9th percentile of a commit beside a long scan, beyond that beside a computing thread, in syncs",
            AtMost(1.0),
            syncs_longer(results, "codex", "scan", "p99.9"),
        ),
    ]
}

fn mixes(results: &Results) -> Vec<Goal> {
    let work = |figure, threads| {
        let name = format!("rate-{threads}");
        let measured = ratio(results.median("mix", "codex", &name), best(results, "mix", &name, durable));
        Goal { work: "95/5 mix", figure, bound: Above(1.0), measured }
    };
    vec![
        work("1 thread ÷ the best durable peer", 1),
        work("2 threads ÷ the best durable peer", 2),
        work("8 threads ÷ the best durable peer", 8),
        work("32 threads ÷ the best durable peer", 32),
    ]
}

fn opening(results: &Results) -> Vec<Goal> {
    let work = |figure, bound, measured| Goal { work: "open", figure, bound, measured };
    let rate = |row| results.median("open-warm", row, "rate");
    let history = |figure| results.median("history", "codex-ledger", figure);
    vec![
        work("records a second warm, snapshot mode", AtLeast(2_500_000.0), rate("codex")),
        work("records a second warm, ledger mode", AtLeast(2_500_000.0), rate("codex-ledger")),
        work(
            "time for a ledger with 10 × superseded commits ÷ for one without",
            AtMost(1.1),
            ratio(history("with"), history("without")),
        ),
    ]
}

fn sizes(results: &Results) -> Vec<Goal> {
    let work = |work, figure, bound, measured| Goal { work, figure, bound, measured };
    let history = |figure| results.median("history", "codex", figure);
    let load = |figure| results.median("load", "codex", figure);
    vec![
        work("memory", "bytes a record beyond key and value", AtMost(100.0), load("memory")),
        work("disk", "bytes a record beyond key and value, log only", AtMost(12.0), load("disk")),
        work(
            "disk",
            "snapshot ÷ live bytes after `close`, all overwritten 10 times",
            AtMost(1.5),
            history("closed"),
        ),
        work("disk", "snapshot ÷ live bytes in steady state", AtMost(2.0), history("steady")),
    ]
}

/// How much longer a commit waits beside something than beside a thread that only computes, in syncs of the append loop:
/// that a busy processor lets it wait is not the store's doing.
fn syncs_longer(results: &Results, row: &str, beside: &str, share: &str) -> Option<f64> {
    let of = |beside: &str, share: &str| results.median("beside", row, &format!("{beside} {share}"));
    ratio(difference(of(beside, share), of("computing", share)), of("append", "p50"))
}

/// The most that any row of a kind has reached.
fn best(results: &Results, work: &str, figure: &str, among: fn(&str) -> bool) -> Option<f64> {
    let reached =
        ROWS.iter().filter(|row| among(row.name)).filter_map(|row| results.median(work, row.name, figure));
    reached.max_by(f64::total_cmp)
}

/// A peer whose commits are durable on return.
fn durable(row: &str) -> bool {
    ROWS.iter().any(|it| it.name == row && it.kind == Kind::Peer)
}

fn peer(row: &str) -> bool {
    ROWS.iter().any(|it| it.name == row && matches!(it.kind, Kind::Peer | Kind::NotDurable))
}

/// A peer that can scan in key order.
fn ordered(row: &str) -> bool {
    peer(row) && !["emdb", "emdb-encrypted"].contains(&row)
}

/// A peer whose buffered sets others see before the flush: those of LMDB are one transaction until then.
fn seen_at_once(row: &str) -> bool {
    peer(row) && row != "heed"
}

fn ratio(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.zip(other).filter(|(_, other)| *other > 0.0).map(|(one, other)| one / other)
}

fn difference(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.zip(other).map(|(one, other)| one - other)
}

/// The least ratio of a figure to the one before it.
fn least_growth(figures: &[f64]) -> Option<f64> {
    figures.windows(2).map(|pair| pair[1] / pair[0]).min_by(f64::total_cmp)
}

/// The least figure beside the greatest; `None` with fewer than two.
fn least_to_most(figures: &[f64]) -> Option<f64> {
    let least = figures.iter().copied().min_by(f64::total_cmp)?;
    let most = figures.iter().copied().max_by(f64::total_cmp)?;
    (figures.len() > 1).then_some(least / most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;

    fn results(rates: &[(&str, &str, f64)]) -> Results {
        let mut results = Results::default();
        for (work, row, rate) in rates {
            results.add(work, row, Figures::from([("rate".into(), *rate)]));
        }
        results
    }

    fn goal(results: &Results, figure: &str) -> Goal {
        judged(results).into_iter().find(|goal| goal.figure == figure).expect("a goal of this name")
    }

    #[test]
    fn a_goal_is_met_at_its_bound_and_missed_beyond_it() {
        let bounds = [
            (Bound::AtLeast(2.0), [false, true, true]),
            (Bound::AtMost(2.0), [true, true, false]),
            (Bound::Above(2.0), [false, false, true]),
        ];
        for (bound, expected) in bounds {
            let met = [1.9, 2.0, 2.1]
                .map(|measured| Goal { work: "", figure: "", measured: Some(measured), bound }.is_met());
            assert_eq!(met, expected.map(Some), "{bound:?}");
        }
    }

    #[test]
    fn a_goal_that_was_not_measured_is_not_judged() {
        for goal in judged(&Results::default()) {
            assert_eq!(goal.is_met(), None, "{goal:?}");
        }
    }

    #[test]
    fn the_best_peer_is_one_whose_commits_are_durable() {
        let results = results(&[
            ("sets-1", "codex", 300.0),
            ("sets-1", "redb", 100.0),
            ("sets-1", "fjall", 200.0),
            ("sets-1", "sled", 900.0),
            ("sets-1", "append", 250.0),
        ]);
        assert_eq!(goal(&results, "÷ the best durable peer").measured, Some(1.5));
        assert_eq!(goal(&results, "snapshot mode ÷ the append loop").measured, Some(1.2));
    }

    #[test]
    fn a_peer_without_order_does_not_count_for_batches() {
        let results = results(&[
            ("batches", "codex", 300.0),
            ("batches", "emdb", 900.0),
            ("batches", "emdb-ordered", 200.0),
        ]);
        assert_eq!(goal(&results, "÷ the best peer that can scan in order").measured, Some(1.5));
    }

    #[test]
    fn growth_is_judged_by_its_least_step() {
        assert_eq!(least_growth(&[1.0, 2.0, 1.5, 6.0]), Some(0.75));
        assert_eq!(least_growth(&[1.0]), None);
        assert_eq!(least_to_most(&[4.0, 5.0, 2.0]), Some(0.4));
        assert_eq!(least_to_most(&[4.0]), None);
    }

    #[test]
    fn a_ratio_to_nothing_is_not_measured() {
        assert_eq!(ratio(Some(1.0), Some(0.0)), None);
        assert_eq!(ratio(Some(3.0), Some(2.0)), Some(1.5));
    }
}
