//! Every check that CI runs, in CI's order.

use anyhow::Result;

use crate::step::{self, Check, Done, Outcome, Steps};
use crate::{Workspace, book, crash, evidence, examples, fuzz, loom, readme, tidy};

/// Runs all checks up to the first failure, then tells how long each took and what the tests came to.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut steps = Steps::default();
    let outcome = CHECKS.iter().try_for_each(|check| steps.run(*check, workspace));
    println!("\n{}", steps.report());
    outcome?;
    for summary in steps.ended.iter().flat_map(|ended| &ended.told) {
        println!("{summary}");
    }
    // Once more, at the very end: what was not run is easily missed above.
    for ended in steps.ended.iter().filter(|ended| matches!(ended.outcome, Outcome::NotRun(_))) {
        println!("{}: {}", ended.check.name, ended.outcome);
    }
    Ok(())
}

/// In the order in which a failure costs the least time.
pub(crate) const CHECKS: [Check; 14] = [
    Check {
        name: "fmt",
        promise: "the sources are formatted",
        run: |workspace| cargo(workspace, &["fmt", "--all", "--check"]),
    },
    Check {
        name: "clippy",
        promise: "clippy has nothing to say",
        run: |workspace| {
            cargo(workspace, &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])
        },
    },
    // The command turns the features on, so that nothing else builds the libraries without them, or with one alone.
    Check {
        name: "features",
        promise: "nor about the libraries without their features, and with each alone",
        run: |workspace| {
            for features in ["", "tracing", "metrics"] {
                let packages =
                    ["--package", "codex", "--package", "codex-backup", "--package", "codex-storage"];
                let mut lints = step::cargo(workspace, &["clippy", "--features", features]);
                step::run(lints.args(packages).args(["--", "--deny", "warnings"]))?;
            }
            Ok(Done::PASSED)
        },
    },
    // The peers of the benches are behind a feature, so that the steps before and after do not build them.
    Check {
        name: "peers",
        promise: "nor about the benches beside other databases",
        run: |workspace| {
            let lints =
                ["clippy", "--package", "codex-benches", "--features", "peers", "--", "--deny", "warnings"];
            cargo(workspace, &lints)
        },
    },
    Check {
        name: "tests",
        promise: "all tests pass, those in the documentation included",
        run: |workspace| Ok(Done::Passed(step::run_tests(&mut readme::tests(workspace)?)?)),
    },
    Check {
        name: "loom",
        promise: "the commit core keeps its promises under all interleavings of its threads",
        run: |workspace| Ok(Done::Passed(step::run_tests(&mut loom::command(workspace))?)),
    },
    Check {
        name: "fuzz",
        promise: "CI's share of inputs breaks no fuzz target",
        run: |workspace| passed(fuzz::share(workspace)),
    },
    // Fresh seeds each time; the tests have fixed ones.
    Check {
        name: "crash",
        promise: "half a minute of random crashes loses nothing",
        run: |workspace| passed(step::run(&mut crash::command(workspace, &["--minutes", "0.5"]))),
    },
    Check {
        name: "doc",
        promise: "everything public is documented",
        run: |workspace| {
            let mut doc = step::cargo(workspace, &["doc", "--workspace", "--no-deps"]);
            passed(step::run(doc.env("RUSTDOCFLAGS", "--deny warnings")))
        },
    },
    Check {
        name: "book",
        promise: "the documents are a book, and every link in it leads somewhere",
        run: |workspace| passed(book::run(workspace)),
    },
    Check {
        name: "tidy",
        promise: "the architecture's invariants hold, and every link of the documents leads somewhere",
        run: |workspace| passed(tidy::run(workspace)),
    },
    Check {
        name: "examples",
        promise: "every example runs to its end and prints what it should",
        run: |workspace| passed(examples::run(workspace)),
    },
    Check {
        name: "evidence",
        promise: "a program that shares no line with ours agrees on heads and proofs",
        run: |workspace| match evidence::python(workspace) {
            Ok(python) => passed(evidence::run(workspace, &python)),
            Err(why) => Ok(Done::NotRun(why.to_owned())),
        },
    },
    Check {
        name: "readme",
        promise: "the README's commands work on a fresh checkout",
        run: |workspace| passed(readme::run(workspace)),
    },
];

fn cargo(workspace: &Workspace, arguments: &[&str]) -> Result<Done> {
    passed(step::run(&mut step::cargo(workspace, arguments)))
}

fn passed(result: Result<()>) -> Result<Done> {
    result.map(|()| Done::PASSED)
}
