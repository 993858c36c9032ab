//! The fuzz targets (`fuzz/`), built by cargo-fuzz and run by libFuzzer.
//!
//! All targets are built once, with the stable toolchain and without a sanitizer: the project has no unsafe code, so what is
//! looked for are panics, broken promises, and memory or time out of proportion.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Workspace, step, tree};

/// How long each target is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// As long as CI gives each target: a number of inputs.
    Share,
    Runs(u64),
    Seconds(u64),
}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Request<'a> {
    target: Option<&'a str>,
    limit: Limit,
    seed: u32,
}

/// CI's share: every target, from the same seed each time, about five seconds for each.
pub(crate) fn share(workspace: &Workspace) -> Result<()> {
    run(workspace, &[])
}

/// Runs the targets that `arguments` ask for, up to the first failure.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let request = Request::of(arguments)?;
    let known = targets(workspace)?;
    let chosen: Vec<&str> = match request.target {
        None => known.iter().map(String::as_str).collect(),
        Some(target) if known.iter().any(|name| name == target) => vec![target],
        Some(target) => bail!("there is no target {target:?}; there are {}", known.join(", ")),
    };
    let programs = build(workspace)?;
    for target in chosen {
        println!("-- {target}");
        let inputs = workspace.target.join("fuzz-corpus").join(target);
        let failures = workspace.target.join("fuzz-failures").join(target);
        // CI starts from the seeds alone, so that a run does not depend on the ones before it.
        if request.limit == Limit::Share {
            tree::make_empty(&inputs)?;
        } else {
            make(&inputs)?;
        }
        make(&failures)?;
        let mut command = Command::new(programs.join(target));
        command.args(request.options(target));
        command.arg(format!("-artifact_prefix={}/", failures.display()));
        command.arg(&inputs).args(known_inputs(workspace, target)).current_dir(&workspace.root);
        step::run(&mut command).with_context(|| {
            format!(
                "the input is in {}; once it is in fuzz/regressions/{target}, \
                 `cargo test --package codex-fuzz` repeats it",
                failures.display()
            )
        })?;
    }
    Ok(())
}

impl<'a> Request<'a> {
    fn of(arguments: &[&'a str]) -> Result<Self> {
        let mut request = Self { target: None, limit: Limit::Share, seed: 1 };
        let mut rest = arguments.iter();
        while let Some(&argument) = rest.next() {
            let number = |next: Option<&&str>| -> Result<u64> {
                let text = next.with_context(|| format!("{argument} takes a number"))?;
                text.parse().with_context(|| format!("{text:?} is not a number"))
            };
            match argument {
                "--seconds" => request.limit = Limit::Seconds(number(rest.next())?),
                "--runs" => request.limit = Limit::Runs(number(rest.next())?),
                // For libFuzzer 0 is no seed but a choice of its own.
                "--seed" => request.seed = u32::try_from(number(rest.next())?)?.max(1),
                _ if argument.starts_with('-') => bail!("{argument:?} is no option of `cargo xtask fuzz`"),
                _ => {
                    ensure!(request.target.is_none(), "one target, or none for all");
                    request.target = Some(argument);
                }
            }
        }
        Ok(request)
    }

    fn options(&self, target: &str) -> Vec<String> {
        let limit = match self.limit {
            Limit::Share => format!("-runs={}", share_of(target)),
            Limit::Runs(runs) => format!("-runs={runs}"),
            Limit::Seconds(seconds) => format!("-max_total_time={seconds}"),
        };
        let seed = format!("-seed={}", self.seed);
        // An input that takes longer, in seconds, or more memory, in MiB, is a failure.
        vec![limit, seed, "-timeout=20".into(), "-rss_limit_mb=1024".into(), "-print_final_stats=1".into()]
    }
}

/// How many inputs CI gives a target: about five seconds' worth on two cores.
fn share_of(target: &str) -> u64 {
    match target {
        "history" => 500,
        "checkpoint" | "value" => 8_000,
        "csv" | "database" => 40_000,
        _ => 200_000,
    }
}

/// The targets, by name: one for each file of `fuzz/fuzz_targets`.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let paths = tree::paths(&workspace.root)?;
    let name =
        |path: &String| path.strip_prefix("fuzz/fuzz_targets/")?.strip_suffix(".rs").map(str::to_owned);
    let targets: Vec<_> = paths.iter().filter_map(name).collect();
    ensure!(!targets.is_empty(), "fuzz/fuzz_targets has no target");
    Ok(targets)
}

/// The folders of inputs that are committed.
fn known_inputs(workspace: &Workspace, target: &str) -> Vec<PathBuf> {
    let folders =
        ["seeds", "regressions"].map(|folder| workspace.root.join("fuzz").join(folder).join(target));
    folders.into_iter().filter(|folder| folder.is_dir()).collect()
}

/// Builds all targets, and returns the folder that they are in.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let installed =
        step::cargo(workspace, &["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let installed = installed.is_ok_and(|status| status.success());
    ensure!(installed, "cargo-fuzz is missing; `cargo install cargo-fuzz --locked` installs it");
    // A folder of its own: what fuzzers are told of each branch is compiled into every crate.
    let target = workspace.target.join("fuzz");
    let triple = host(workspace)?;
    let build =
        ["fuzz", "build", "--fuzz-dir", "fuzz", "--sanitizer", "none", "--target", &triple, "--target-dir"];
    let mut command = step::cargo(workspace, &build);
    command
        .arg(&target)
        .env_remove("CARGO_TARGET_DIR")
        // A program is linked for each target: optimising across crates would take longer than the fuzzing.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    step::run(&mut command)?;
    Ok(target.join(triple).join("release"))
}

/// The platform that the toolchain runs on, as cargo names it.
fn host(workspace: &Workspace) -> Result<String> {
    let output = step::cargo(workspace, &["--version", "--verbose"]).output().context("starting cargo")?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("cargo does not say what it runs on")
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_every_target_gets_its_share() {
        let request = Request::of(&[]).unwrap();
        assert_eq!(request, Request { target: None, limit: Limit::Share, seed: 1 });
        assert_eq!(request.options("history")[..2], ["-runs=500", "-seed=1"]);
    }

    #[test]
    fn a_target_a_limit_and_a_seed_can_be_chosen() {
        let request = Request::of(&["history", "--seconds", "60", "--seed", "7"]).unwrap();
        assert_eq!(request, Request { target: Some("history"), limit: Limit::Seconds(60), seed: 7 });
        assert_eq!(request.options("history")[..2], ["-max_total_time=60", "-seed=7"]);
        assert_eq!(Request::of(&["--runs", "5"]).unwrap().options("frame")[0], "-runs=5");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let refused = |arguments: &[&str]| Request::of(arguments).unwrap_err().to_string();
        assert_eq!(refused(&["--fast"]), "\"--fast\" is no option of `cargo xtask fuzz`");
        assert_eq!(refused(&["--runs"]), "--runs takes a number");
        assert_eq!(refused(&["--runs", "many"]), "\"many\" is not a number");
        assert_eq!(refused(&["frame", "header"]), "one target, or none for all");
    }
}
