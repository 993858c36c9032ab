//! Mutation testing: changes the code in small ways, one at a time, and demands that a test fails.
//!
//! What is changed, and which changes no test can notice, stands in `.cargo/mutants.toml`; what makes a change cheap to
//! try, in the profile `mutants` of the workspace's manifest.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::{Workspace, step};

/// The tests of the storage layer that take a moment: most changes need no others.
const QUICK: [&str; 15] = [
    "--lib",
    "--test=background",
    "--test=closing",
    "--test=engines",
    "--test=expiry",
    "--test=groups",
    "--test=history",
    "--test=hostile",
    "--test=keys",
    "--test=leader_panic",
    "--test=model",
    "--test=opening",
    "--test=proofs",
    "--test=space",
    "--test=verifying",
];
/// Those that crash, attack and repair at every place, for ten seconds each.
const THOROUGH: [&str; 3] = ["--test=attacks", "--test=crash", "--test=repair"];

/// Runs cargo-mutants on the cryptography and the core of the storage layer. `arguments` are passed on to it: `--shard
/// 3/10` takes a tenth, `--re log/writer` one file, and `--iterate` what an earlier run has not seen caught.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let present =
        step::cargo(workspace, &["mutants", "--version"]).output().is_ok_and(|out| out.status.success());
    ensure!(present, "cargo-mutants is missing; install it with `cargo install cargo-mutants --locked`");
    let crypto = mutate(workspace, "codex-crypto", arguments, &[])?;
    mutate(workspace, "codex-storage", arguments, &QUICK)?;
    let mut again = arguments.to_vec();
    if !again.contains(&"--iterate") {
        again.push("--iterate");
    }
    // The quick ones too, so that what hung in them hangs again.
    let storage = mutate(workspace, "codex-storage", &again, &[&QUICK[..], &THOROUGH].concat())?;
    ensure!(crypto && storage, "there are changes that no test notices");
    Ok(())
}

/// Whether each change to a package makes one of `tests` fail or hang.
fn mutate(workspace: &Workspace, package: &str, arguments: &[&str], tests: &[&str]) -> Result<bool> {
    let output: &Path = &workspace.target.join("mutants").join(package);
    std::fs::create_dir_all(output).with_context(|| format!("creating {}", output.display()))?;
    let mut mutants = step::cargo(workspace, &["mutants", "--jobs=2", "--package", package]);
    mutants.arg("--output").arg(output).args(arguments).arg("--").args(tests);
    let status = mutants.status().with_context(|| format!("starting {mutants:?}"))?;
    match status.code() {
        Some(0 | TIMEOUTS) => Ok(true),
        Some(MISSED) => Ok(false),
        _ => anyhow::bail!("{mutants:?}: {status}"),
    }
}

/// What cargo-mutants exits with where tests noticed some changes by nothing but hanging.
const TIMEOUTS: i32 = 3;
/// Where there were changes that they did not notice.
const MISSED: i32 = 2;
