//! The rates of commits beside the machine's own limits, and whether they are what `docs/performance/figures.json` has.
//!
//! Only ratios within one run are compared, because another machine, or the same one when it is busy, has other rates.
//! Even so a short run on a shared machine differs by some tenths from the next.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::step::{self, Done};
use crate::tree::read_json;
use crate::{Workspace, bench};

pub(super) fn check(workspace: &Workspace) -> Result<Done> {
    let folder = workspace.target.join("release-check").join("speed");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let place = folder.to_str().context("the target folder's name is not text")?;
    let rows = "codex,codex-ledger,append,append-group";
    let options = ["--quick", "--only", "sets-1,sets-32", "--engines", rows, "--out", place];
    let recorded = figures(&workspace.root.join("docs/performance"))?;
    let mut runs = Vec::new();
    loop {
        step::run(&mut bench::peers(workspace, &options))?;
        runs.push(figures(&folder)?);
        match compared(&recorded, &runs) {
            Err(_) if runs.len() < RUNS => {}
            result => return result.map(Done::Passed),
        }
    }
}

fn figures(folder: &Path) -> Result<Value> {
    read_json(&folder.join("figures.json"))
}

/// What each figure came to in its best run; an error if that is worse than recorded by more than [`NOISE`], or if a
/// figure is missing.
fn compared(recorded: &Value, runs: &[Value]) -> Result<Vec<String>> {
    let (mut lines, mut slower) = (Vec::new(), Vec::new());
    for (work, figure) in FIGURES {
        let then = goal(recorded, work, figure)?;
        let mut now = f64::NEG_INFINITY;
        for run in runs {
            now = now.max(goal(run, work, figure)?);
        }
        let line = format!("{work}, {figure}: {now:.2}, recorded {then:.2}");
        println!("{line}");
        if now < then * (1.0 - NOISE) {
            slower.push(line.clone());
        }
        lines.push(line);
    }
    if slower.is_empty() { Ok(lines) } else { bail!("slower than recorded: {}", slower.join("; ")) }
}

fn goal(figures: &Value, work: &str, figure: &str) -> Result<f64> {
    let goals = figures["goals"].as_array().context("there are no goals among the figures")?;
    let found = goals.iter().find(|goal| goal["work"] == work && goal["figure"] == figure);
    let measured = found.and_then(|goal| goal["measured"].as_f64());
    let measured = measured.with_context(|| format!("{work}, {figure}: not measured"))?;
    ensure!(measured.is_finite(), "{work}, {figure}: not a number");
    Ok(measured)
}

/// More is better in each of them, and none needs a peer.
const FIGURES: [(&str, &str); 5] = [
    ("durable set, 1 writer", "snapshot mode ÷ the append loop"),
    ("durable set, 1 writer", "ledger mode ÷ the append loop"),
    ("durable set, 32 writers", "commits per sync"),
    ("durable set, 32 writers", "÷ the append loop of 1 thread"),
    ("durable set, 32 writers", "÷ 32 records appended with one sync"),
];

/// A figure that is worse than recorded by more than this part is slower. Two short runs on two busy cores differed
/// by up to a quarter.
const NOISE: f64 = 0.35;

/// A busy machine slows one run or the other, a slower program all of them.
const RUNS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(ratios: [f64; 5]) -> Value {
        let goal = |((work, figure), measured)| serde_json::json!({"work": work, "figure": figure, "measured": measured});
        serde_json::json!({"goals": FIGURES.into_iter().zip(ratios).map(goal).collect::<Vec<_>>()})
    }

    #[test]
    fn a_figure_that_is_worse_beyond_noise_is_named_and_a_better_one_is_not() {
        let recorded = with([1.4, 1.4, 30.0, 16.0, 0.9]);
        let lines = compared(&recorded, &[with([1.0, 9.0, 30.0, 12.0, 0.6])]).unwrap();
        assert_eq!(lines[0], "durable set, 1 writer, snapshot mode ÷ the append loop: 1.00, recorded 1.40");
        assert_eq!(lines.len(), 5);
        let error = compared(&recorded, &[with([0.9, 9.0, 30.0, 10.0, 0.6])]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "slower than recorded: durable set, 1 writer, snapshot mode ÷ the append loop: 0.90, recorded 1.40; \
             durable set, 32 writers, ÷ the append loop of 1 thread: 10.00, recorded 16.00"
        );
    }

    #[test]
    fn a_run_that_was_disturbed_does_not_count_beside_a_better_one() {
        let recorded = with([1.4, 1.4, 30.0, 16.0, 0.9]);
        let (one, other) = (with([0.5, 1.4, 30.0, 16.0, 0.9]), with([1.4, 0.5, 10.0, 16.0, 0.9]));
        assert_eq!(compared(&recorded, &[one, other]).unwrap().len(), 5);
    }

    #[test]
    fn a_figure_that_was_not_measured_is_an_error() {
        let recorded = with([1.4, 1.4, 30.0, 16.0, 0.9]);
        let expected = "durable set, 1 writer, snapshot mode ÷ the append loop: not measured";
        let nothing = serde_json::json!({"goals": []});
        assert_eq!(compared(&recorded, &[nothing]).unwrap_err().to_string(), expected);
        let mut unmeasured = recorded.clone();
        unmeasured["goals"][0]["measured"] = Value::Null;
        assert_eq!(compared(&recorded, &[unmeasured]).unwrap_err().to_string(), expected);
    }
}
