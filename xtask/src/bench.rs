//! CodexDB measured beside its peers, by the program of the package `codex-benches`.

use std::process::Command;

use crate::{Workspace, step};

/// Builds the program with the peers, which nothing else builds, and runs it.
pub(crate) fn peers(workspace: &Workspace, options: &[&str]) -> Command {
    let program =
        ["run", "--release", "--package", "codex-benches", "--features", "peers", "--bin", "peers", "--"];
    let mut command = step::cargo(workspace, &program);
    command.args(options);
    command
}
