//! Mutation testing: changes the code in small ways, one at a time, and demands that a test fails.
//!
//! What is changed, and which changes no test can notice, stands in `.cargo/mutants.toml`.

use anyhow::{Result, ensure};

use crate::{Workspace, step};

/// The tests that hold the storage layer's recovery, log, format and commit core; the others take longer and find the same.
const STORAGE_TESTS: [&str; 7] = [
    "--lib",
    "--test=attacks",
    "--test=crash",
    "--test=engines",
    "--test=hostile",
    "--test=leader_panic",
    "--test=model",
];

/// Runs cargo-mutants on the cryptography and the core of the storage layer. `arguments` are passed on to it: `--shard
/// 3/10` takes a tenth, `--file PATH` one file.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let present =
        step::cargo(workspace, &["mutants", "--version"]).output().is_ok_and(|out| out.status.success());
    ensure!(present, "cargo-mutants is missing; install it with `cargo install cargo-mutants --locked`");
    for (package, tests) in [("codex-crypto", &[][..]), ("codex-storage", &STORAGE_TESTS)] {
        let output = workspace.target.join("mutants").join(package);
        std::fs::create_dir_all(&output)?;
        let mut mutants = step::cargo(workspace, &["mutants", "--jobs", "2", "--package", package]);
        mutants.arg("--output").arg(output).args(arguments).arg("--").args(tests);
        step::run(&mut mutants)?;
    }
    Ok(())
}
