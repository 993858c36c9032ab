//! Every check that CI runs, in CI's order.

use anyhow::Result;

use crate::step::{self, Steps};
use crate::{Workspace, book, crash, evidence, examples, fuzz, loom, readme, tidy};

/// Runs all checks up to the first failure, then tells how long each took and what the tests came to.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::default();
    let outcome = checks(workspace, &mut steps);
    println!();
    steps.report();
    let summaries = outcome?;
    println!();
    for summary in summaries {
        println!("{summary}");
    }
    Ok(())
}

/// Returns cargo's summaries of the tests.
fn checks(workspace: &Workspace, steps: &mut Steps) -> Result<Vec<String>> {
    steps.run("fmt", || step::run(&mut step::cargo(workspace, &["fmt", "--all", "--check"])))?;
    steps.run("clippy", || {
        let lints = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
        step::run(&mut step::cargo(workspace, &lints))
    })?;
    // The command turns the features on, so that nothing else builds the libraries without them, or with one alone.
    steps.run("features", || {
        for features in ["", "tracing", "metrics"] {
            let packages = ["--package", "codex", "--package", "codex-backup", "--package", "codex-storage"];
            let mut lints = step::cargo(workspace, &["clippy", "--features", features]);
            step::run(lints.args(packages).args(["--", "--deny", "warnings"]))?;
        }
        Ok(())
    })?;
    // The peers of the benches are behind a feature, so that the steps before and after do not build them.
    steps.run("peers", || {
        let lints =
            ["clippy", "--package", "codex-benches", "--features", "peers", "--", "--deny", "warnings"];
        step::run(&mut step::cargo(workspace, &lints))
    })?;
    let mut summaries = steps.run("tests", || step::run_tests(&mut readme::tests(workspace)?))?;
    summaries.extend(steps.run("loom", || step::run_tests(&mut loom::command(workspace)))?);
    steps.run("fuzz", || fuzz::share(workspace))?;
    // Fresh seeds each time; the tests have fixed ones.
    steps.run("crash", || step::run(&mut crash::command(workspace, &["--minutes", "0.5"])))?;
    steps.run("doc", || {
        let mut doc = step::cargo(workspace, &["doc", "--workspace", "--no-deps"]);
        step::run(doc.env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    steps.run("book", || book::run(workspace))?;
    steps.run("tidy", || tidy::run(workspace))?;
    steps.run("examples", || examples::run(workspace))?;
    match evidence::python(workspace) {
        Ok(python) => steps.run("evidence", || evidence::run(workspace, &python))?,
        Err(why) => steps.not_run("evidence", why),
    }
    steps.run("readme", || readme::run(workspace))?;
    Ok(summaries)
}
