//! Everything that must hold before a release: what CI checks, and what takes longer, needs tools of its own, or
//! compares with what was recorded before.
//!
//! A check that could not be run is named as such and never counts as passed: with one of them the whole is not passed,
//! unless the caller says `--allow-not-run`. The report of a whole run is written to [`REPORT`].

mod api;
mod builds;
mod changelog;
mod golden;
mod names;
mod packages;
mod records;
mod speed;
mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::step::{self, Check, Done, Ended, Outcome, Steps};
use crate::{Workspace, ci, platforms};

/// Runs the checks that `arguments` ask for, all of them even where one fails.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let request = Request::of(arguments)?;
    if request.list {
        for check in checks() {
            println!("{:<17} {}", check.name, check.promise);
        }
        return Ok(());
    }
    if request.install {
        tools::install(workspace);
    }
    let mut steps = Steps::default();
    for check in checks().filter(|check| request.only.is_empty() || request.only.contains(check.name)) {
        if request.skip.contains(check.name) {
            steps.not_run(check, "skipped");
        } else {
            // Its error is kept with it; the others have things to tell as well.
            let _ = steps.run(check, workspace);
        }
    }
    println!("\n{}", steps.report());
    // A part of the checks is no report of a release.
    if request.only.is_empty() {
        let path = workspace.root.join(REPORT);
        let text = document(&steps.ended, &Circumstances::of(workspace)?, workspace);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("written to {REPORT}");
    }
    verdict(&steps.ended, request.allow_not_run)
}

/// CI's, and behind them those for a release alone.
fn checks() -> impl Iterator<Item = Check> {
    ci::CHECKS.into_iter().chain(CHECKS)
}

const CHECKS: [Check; 19] = [
    Check { name: "commit", promise: "what is checked is a commit", run: commit },
    Check {
        name: "versions",
        promise: "every package and CHANGELOG.md name the same version",
        run: changelog::check,
    },
    Check {
        name: "documents",
        promise: "every session and code block of the documents does what it shows",
        run: documents,
    },
    Check { name: "modes", promise: "files are for their owner only, whatever the umask", run: modes },
    Check {
        name: "golden",
        promise: "databases of every format version open, and are the ones that were kept",
        run: golden::check,
    },
    Check {
        name: "feature-pairs",
        promise: "clippy has nothing to say about any two features together",
        run: builds::features,
    },
    Check {
        name: "msrv",
        promise: "everything builds with the Rust version that the manifest promises",
        run: builds::oldest_rust,
    },
    Check {
        name: "minimal",
        promise: "everything builds with the oldest dependencies that the manifest allows",
        run: builds::oldest_dependencies,
    },
    Check {
        name: "docsrs",
        promise: "docs.rs can build the documentation, without a warning",
        run: builds::docs_rs,
    },
    Check { name: "platforms", promise: "everything builds for every platform", run: platforms::check },
    Check {
        name: "deny",
        promise: "dependencies have licenses that we may use, and come from crates.io",
        run: packages::licenses,
    },
    Check {
        name: "advisories",
        promise: "no dependency has a known weakness beside those that deny.toml explains",
        run: packages::advisories,
    },
    Check {
        name: "packages",
        promise: "packages hold what they need, nothing stray, and build from what they hold",
        run: packages::contents,
    },
    Check {
        name: "names",
        promise: "no package has a name that is another project's on crates.io",
        run: names::check,
    },
    Check { name: "sbom", promise: "each package has a list of what it is made of", run: packages::bills },
    Check { name: "api", promise: "the interface keeps what the last release promised", run: api::check },
    Check {
        name: "speed",
        promise: "commits are as fast beside the machine's limits as recorded",
        run: speed::check,
    },
    Check { name: "coverage", promise: "tests reach as many lines as recorded", run: records::coverage },
    Check {
        name: "mutants",
        promise: "tests notice as many changes of the code as recorded",
        run: records::mutants,
    },
];

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    only: BTreeSet<String>,
    skip: BTreeSet<String>,
    list: bool,
    install: bool,
    allow_not_run: bool,
}

impl Request {
    fn of(arguments: &[&str]) -> Result<Self> {
        let mut request = Self::default();
        let mut rest = arguments.iter();
        while let Some(&argument) = rest.next() {
            let mut name = || -> Result<String> {
                let name = rest.next().with_context(|| format!("{argument} takes the name of a check"))?;
                ensure!(
                    checks().any(|check| check.name == *name),
                    "there is no check {name:?}; `--list` lists them"
                );
                Ok((*name).to_owned())
            };
            match argument {
                "--only" => drop(request.only.insert(name()?)),
                "--skip" => drop(request.skip.insert(name()?)),
                "--list" => request.list = true,
                "--install" => request.install = true,
                "--allow-not-run" => request.allow_not_run = true,
                _ => bail!("{argument:?} is no option of `cargo xtask release-check`\n\n{USAGE}"),
            }
        }
        Ok(request)
    }
}

const USAGE: &str = "\
  --only NAME        this check alone; may be repeated; no report is written
  --skip NAME        all but this one, which counts as not run; may be repeated
  --install          first install the tools that are missing, in their pinned versions, below the target folder
  --allow-not-run    succeed although checks were not run
  --list             the names of the checks, and what each promises";

/// An error where a check failed or, unless that is allowed, was not run; and where there was none.
fn verdict(ended: &[Ended], allow_not_run: bool) -> Result<()> {
    let names = |wanted: fn(&Outcome) -> bool| {
        let names: Vec<&str> =
            ended.iter().filter(|ended| wanted(&ended.outcome)).map(|ended| ended.check.name).collect();
        names.join(", ")
    };
    let failed = names(|outcome| matches!(outcome, Outcome::Failed(_)));
    let not_run = names(|outcome| matches!(outcome, Outcome::NotRun(_)));
    ensure!(failed.is_empty(), "failed: {failed}");
    ensure!(not_run.is_empty() || allow_not_run, "not run: {not_run}; `--allow-not-run` lets that pass");
    ensure!(ended.iter().any(|ended| ended.outcome == Outcome::Passed), "no check passed");
    Ok(())
}

/// Where and of what a report was made.
#[derive(Debug)]
struct Circumstances {
    version: String,
    commit: String,
    date: String,
    machine: String,
}

impl Circumstances {
    fn of(workspace: &Workspace) -> Result<Self> {
        let says = |program: &str, arguments: &[&str]| said(workspace, program, arguments);
        Ok(Self {
            version: changelog::workspace_version(workspace)?,
            commit: says("git", &["rev-parse", "HEAD"])?,
            date: says("date", &["-u", "+%Y-%m-%d"])?,
            machine: format!("{}, {}", says("uname", &["-srm"])?, says("rustc", &["--version"])?),
        })
    }
}

/// What a program writes to its standard output; that it fails is an error.
fn said(workspace: &Workspace, program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(&workspace.root).output();
    let output = output.with_context(|| format!("starting {program}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The report as a document.
fn document(ended: &[Ended], circumstances: &Circumstances, workspace: &Workspace) -> String {
    let Circumstances { version, commit, date, machine } = circumstances;
    let rows: String = ended.iter().map(|ended| row(ended, workspace)).collect();
    format!(
        "<!-- Written by `cargo xtask release-check`. What is changed here by hand is lost. -->\n\
         # Release check of {version}\n\n\
         Commit {commit}, {date}, {machine}.\n\n\
         | check | promise | result | seconds |\n| --- | --- | --- | --- |\n{rows}"
    )
}

fn row(ended: &Ended, workspace: &Workspace) -> String {
    let mut results = vec![ended.outcome.to_string()];
    results.extend(in_short(&ended.told));
    let results: Vec<String> = results.iter().map(|result| cell(result, workspace)).collect();
    let Check { name, promise, .. } = ended.check;
    format!("| {name} | {promise} | {} | {:.0} |\n", results.join("; "), ended.took.as_secs_f64())
}

/// What a check told, with one sum in the place of the lines that sum up test binaries.
fn in_short(told: &[String]) -> Vec<String> {
    let passed = |line: &str| -> Option<u64> {
        line.strip_prefix("test result: ok. ")?.split_once(" passed")?.0.parse().ok()
    };
    let mut lines: Vec<String> = told.iter().filter(|line| passed(line).is_none()).cloned().collect();
    let tests: Vec<u64> = told.iter().filter_map(|line| passed(line)).collect();
    if !tests.is_empty() {
        lines.push(format!("{} tests", tests.iter().sum::<u64>()));
    }
    lines
}

/// The first line of `text` as a cell of a table, without folders of this machine.
fn cell(text: &str, workspace: &Workspace) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.replace(&*workspace.target.to_string_lossy(), "target");
    line.replace(&*workspace.root.to_string_lossy(), ".").replace('|', "\\|")
}

/// The report of the latest run of all checks.
const REPORT: &str = "docs/analysis/release-check.md";

/// A release is of a commit, so that it can be had again.
fn commit(workspace: &Workspace) -> Result<Done> {
    let changed = said(workspace, "git", &["status", "--porcelain", "--", ".", &format!(":!{REPORT}")])?;
    ensure!(changed.is_empty(), "files differ from the commit: {}", changed.lines().count());
    Ok(Done::Passed(vec![said(workspace, "git", &["rev-parse", "HEAD"])?]))
}

/// Links are tidy's.
fn documents(workspace: &Workspace) -> Result<Done> {
    let mut told = Vec::new();
    for tests in [&["--workspace", "--doc"][..], &["--package", "codex-cli", "--test", "docs"]] {
        told.extend(step::run_tests(step::cargo(workspace, &["test", "--quiet"]).args(tests))?);
    }
    Ok(Done::Passed(told))
}

fn modes(workspace: &Workspace) -> Result<Done> {
    let mut told = Vec::new();
    for (package, test, name) in MODES {
        let arguments = ["test", "--quiet", "--package", package, "--test", test, "--", name];
        told.extend(step::run_tests(&mut step::cargo(workspace, &arguments))?);
    }
    Ok(Done::Passed(told))
}

/// The tests of what the layer below all files creates, and of every file that the command leaves.
const MODES: [(&str, &str, &str); 2] = [
    ("codex-storage", "vfs_modes", "files_are_0600_and_folders_0700_under_any_umask"),
    ("codex-cli", "cli_files", "everything_that_is_made_is_private_under_umask_000"),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ended(outcomes: &[(&'static str, Outcome)]) -> Vec<Ended> {
        let ended = |(name, outcome): &(&'static str, Outcome)| Ended {
            check: Check { name, promise: "it holds", run: |_| Ok(Done::PASSED) },
            outcome: outcome.clone(),
            told: Vec::new(),
            took: Duration::from_secs(3),
        };
        outcomes.iter().map(ended).collect()
    }

    fn failed() -> Outcome {
        Outcome::Failed("cargo test: exit status 1\nand a lot more".to_owned())
    }

    fn not_run() -> Outcome {
        Outcome::NotRun("cargo install a|b".to_owned())
    }

    #[test]
    fn a_check_that_was_not_run_fails_the_whole_unless_that_is_allowed() {
        let ended = ended(&[("fmt", Outcome::Passed), ("deny", not_run()), ("api", not_run())]);
        assert_eq!(
            verdict(&ended, false).unwrap_err().to_string(),
            "not run: deny, api; `--allow-not-run` lets that pass"
        );
        verdict(&ended, true).unwrap();
    }

    #[test]
    fn a_failed_check_fails_the_whole_whatever_is_allowed() {
        let ended = ended(&[("fmt", Outcome::Passed), ("tidy", failed()), ("deny", not_run())]);
        assert_eq!(verdict(&ended, true).unwrap_err().to_string(), "failed: tidy");
    }

    #[test]
    fn where_nothing_passed_nothing_is_allowed() {
        assert_eq!(verdict(&ended(&[("deny", not_run())]), true).unwrap_err().to_string(), "no check passed");
        assert_eq!(verdict(&[], true).unwrap_err().to_string(), "no check passed");
    }

    #[test]
    fn the_document_names_every_outcome_and_no_folder_of_the_machine() {
        let workspace = Workspace { root: "/src/it".into(), target: "/src/it/target".into() };
        let circumstances = Circumstances {
            version: "1.2.3".to_owned(),
            commit: "abc".to_owned(),
            date: "2026-01-02".to_owned(),
            machine: "Linux".to_owned(),
        };
        let broken = Outcome::Failed("\"/src/it/target/x\" in /src/it/y\nmore".to_owned());
        let mut ended = ended(&[("fmt", Outcome::Passed), ("tidy", broken), ("deny", not_run())]);
        let told = [
            "versions 1 to 2",
            "test result: ok. 3 passed; 0 failed",
            "test result: ok. 39 passed; 0 failed",
        ];
        ended[0].told.extend(told.map(str::to_owned));
        assert_eq!(
            document(&ended, &circumstances, &workspace),
            "<!-- Written by `cargo xtask release-check`. What is changed here by hand is lost. -->\n\
             # Release check of 1.2.3\n\nCommit abc, 2026-01-02, Linux.\n\n\
             | check | promise | result | seconds |\n| --- | --- | --- | --- |\n\
             | fmt | it holds | passed; versions 1 to 2; 42 tests | 3 |\n\
             | tidy | it holds | FAILED: \"target/x\" in ./y | 3 |\n\
             | deny | it holds | NOT RUN: cargo install a\\|b | 3 |\n"
        );
    }

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = checks().map(|check| check.name).collect();
        assert_eq!(names.len(), checks().count());
    }

    #[test]
    fn a_check_that_does_not_exist_is_neither_run_nor_skipped() {
        for option in ["--only", "--skip"] {
            let error = Request::of(&[option, "nothing"]).unwrap_err();
            assert_eq!(error.to_string(), "there is no check \"nothing\"; `--list` lists them");
            let error = Request::of(&[option]).unwrap_err();
            assert_eq!(error.to_string(), format!("{option} takes the name of a check"));
        }
        let request = Request::of(&["--skip", "loom", "--skip", "deny", "--allow-not-run"]).unwrap();
        assert_eq!(request.skip, ["deny", "loom"].map(str::to_owned).into());
        assert!(request.allow_not_run && request.only.is_empty() && !request.install && !request.list);
        assert!(Request::of(&["--allow"]).unwrap_err().to_string().starts_with("\"--allow\" is no option"));
    }
}
