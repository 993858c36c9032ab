//! The crash search, in a build that is fast enough for many histories.

use std::process::Command;

use crate::{Workspace, step};

/// Builds the search and runs it with these options, for which it has its own help.
pub(crate) fn command(workspace: &Workspace, options: &[&str]) -> Command {
    let mut command =
        step::cargo(workspace, &["run", "--quiet", "--release", "--package", "codex-crash", "--"]);
    command.args(options);
    command
}
