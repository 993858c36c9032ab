//! The models of the commit core, run by loom over all interleavings of their threads.

use std::process::Command;

use crate::{Workspace, step};

/// Builds `codex-storage` with loom's primitives and runs its models.
pub(crate) fn command(workspace: &Workspace) -> Command {
    let models = ["test", "--package", "codex-storage", "--release", "--test", "loom_*"];
    let mut command = step::cargo(workspace, &models);
    command
        .env("RUSTFLAGS", "--cfg loom")
        // A folder of its own: the flag changes every crate, so that a shared one would be built anew each time.
        .env("CARGO_TARGET_DIR", workspace.target.join("loom"))
        // A model's time is loom's own search, which optimising across crates does not shorten.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command
}
