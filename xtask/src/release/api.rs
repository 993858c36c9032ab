//! The public interface beside that of the last release.

use anyhow::Result;

use super::builds::PUBLISHED;
use super::{said, tools};
use crate::Workspace;
use crate::step::{self, Done};

/// The last release is the last tag `v…` before what is checked. The libraries only: the command's interface is
/// `docs/cli.md`.
pub(super) fn check(workspace: &Workspace) -> Result<Done> {
    let tags =
        said(workspace, "git", &["tag", "--list", "v[0-9]*", "--merged", "HEAD^", "--sort=-v:refname"])?;
    let Some(last) = tags.lines().next() else {
        return Ok(Done::NotRun("there is no earlier release to compare with".to_owned()));
    };
    tools::SEMVER_CHECKS.run(workspace, || {
        for name in PUBLISHED.iter().filter(|name| **name != "codex-cli") {
            let compare = ["check-release", "--package", name, "--baseline-rev", last, "--all-features"];
            step::run(&mut tools::SEMVER_CHECKS.command(workspace, &compare))?;
        }
        Ok(Done::Passed(vec![format!("compared with {last}")]))
    })
}
