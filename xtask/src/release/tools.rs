//! The programs that some checks need, in the versions that they were written for.
//!
//! Another version may judge otherwise or name its options otherwise, so it counts as missing. They are installed only
//! on request, into a folder of this checkout.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::Workspace;
use crate::step::{self, Done};

/// A subcommand of cargo.
#[derive(Debug)]
pub(super) struct Tool {
    /// The package, `cargo-` and the subcommand.
    package: &'static str,
    version: &'static str,
}

pub(super) const HACK: Tool = Tool { package: "cargo-hack", version: "0.6.46" };
pub(super) const DENY: Tool = Tool { package: "cargo-deny", version: "0.20.2" };
pub(super) const SEMVER_CHECKS: Tool = Tool { package: "cargo-semver-checks", version: "0.51.0" };
pub(super) const CYCLONEDX: Tool = Tool { package: "cargo-cyclonedx", version: "0.5.9" };
pub(super) const TARPAULIN: Tool = Tool { package: "cargo-tarpaulin", version: "0.37.5" };
pub(super) const MUTANTS: Tool = Tool { package: "cargo-mutants", version: "27.1.0" };
const FUZZ: Tool = Tool { package: "cargo-fuzz", version: "0.13.2" };

const ALL: [Tool; 7] = [HACK, DENY, SEMVER_CHECKS, CYCLONEDX, TARPAULIN, MUTANTS, FUZZ];

impl Tool {
    /// Runs a check that needs this tool; where it is missing the check is not run, and what installs it is told.
    pub(super) fn run(&self, workspace: &Workspace, check: impl FnOnce() -> Result<Done>) -> Result<Done> {
        if self.is_there(workspace) { check() } else { Ok(Done::NotRun(self.missing())) }
    }

    /// The tool as a command, over the whole workspace.
    pub(super) fn command(&self, workspace: &Workspace, arguments: &[&str]) -> Command {
        let mut command = step::cargo(workspace, &[self.subcommand()]);
        command.args(arguments).env("PATH", path(workspace));
        command
    }

    fn subcommand(&self) -> &'static str {
        self.package.strip_prefix("cargo-").unwrap_or(self.package)
    }

    fn is_there(&self, workspace: &Workspace) -> bool {
        self.command(workspace, &["--version"]).output().is_ok_and(|output| {
            output.status.success() && self.is_version(&String::from_utf8_lossy(&output.stdout))
        })
    }

    /// Whether this is how the pinned version names itself: `cargo-hack 0.6.46`.
    fn is_version(&self, said: &str) -> bool {
        said.split_whitespace().last() == Some(self.version)
    }

    fn missing(&self) -> String {
        format!("cargo install --locked {}@{}, or --install", self.package, self.version)
    }
}

/// Installs what is missing of all tools. Each is tried, and what cannot be had is left to the check that needs it,
/// which then says that it was not run.
pub(super) fn install(workspace: &Workspace) {
    for tool in ALL.iter().filter(|tool| !tool.is_there(workspace)) {
        let named = format!("{}@{}", tool.package, tool.version);
        let mut command = step::cargo(workspace, &["install", "--locked", &named, "--root"]);
        command.arg(folder(workspace)).env("CARGO_TARGET_DIR", folder(workspace).join("build"));
        if let Err(error) = step::run(&mut command) {
            println!("{named} is not installed: {error:#}");
        }
    }
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools")
}

/// Where programs are looked for: what was installed here comes first.
fn path(workspace: &Workspace) -> std::ffi::OsString {
    let others = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder(workspace).join("bin")).chain(env::split_paths(&others));
    // Joining fails where a folder's name holds the separator, and then only that folder's programs are missing.
    env::join_paths(folders).unwrap_or(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_of_a_tool_counts_as_missing() {
        assert!(HACK.is_version("cargo-hack 0.6.46\n"));
        assert!(TARPAULIN.is_version("cargo-tarpaulin-tarpaulin 0.37.5\n"));
        assert!(!HACK.is_version("cargo-hack 0.6.4\n") && !HACK.is_version("cargo-hack 0.6.461\n"));
        assert!(!HACK.is_version(""));
    }

    #[test]
    fn a_check_whose_tool_is_missing_is_not_run_and_says_what_installs_it() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: folder.path().into(), target: folder.path().join("target") };
        let tool = Tool { package: "cargo-nothing-of-this-name", version: "1.0.0" };
        let done = tool.run(&workspace, || panic!("it is not there")).unwrap();
        let expected = "cargo install --locked cargo-nothing-of-this-name@1.0.0, or --install";
        assert_eq!(done, Done::NotRun(expected.to_owned()));
    }
}
