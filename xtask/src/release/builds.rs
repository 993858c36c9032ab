//! Builds other than the usual one: other features, the oldest Rust, the oldest dependencies, docs.rs.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::changelog::value;
use super::{said, tools};
use crate::step::{self, Done};
use crate::{Workspace, readme};

/// Two together show what one feature needs of another; all at once is CI's and docs.rs's.
pub(super) fn features(workspace: &Workspace) -> Result<Done> {
    tools::HACK.run(workspace, || {
        // Packages that are not published have the features that the chores want.
        let combinations =
            ["clippy", "--workspace", "--ignore-private", "--feature-powerset", "--depth", "2"];
        let mut command = tools::HACK.command(workspace, &combinations);
        step::run(command.args(["--", "--deny", "warnings"]))?;
        Ok(Done::PASSED)
    })
}

pub(super) fn oldest_rust(workspace: &Workspace) -> Result<Done> {
    let manifest = fs::read_to_string(workspace.root.join("Cargo.toml")).context("reading Cargo.toml")?;
    let promised = value(&manifest, "workspace.package", "rust-version").context("no rust-version")?;
    let check = ["check", "--workspace", "--all-targets", "--locked"];
    let ours = said(workspace, "rustc", &["--version"])?;
    if is_release_of(ours.split(' ').nth(1).unwrap_or_default(), promised) {
        step::run(&mut step::cargo(workspace, &check))?;
        return Ok(Done::Passed(vec![format!("{ours}, with which all other checks are run too")]));
    }
    let Ok(toolchains) = said(workspace, "rustup", &["toolchain", "list"]) else {
        return Ok(Done::NotRun(format!("this is {ours}, and there is no rustup to find {promised}")));
    };
    let names = toolchains.lines().filter_map(|line| line.split(' ').next());
    let Some(name) = names
        .into_iter()
        .find(|name| name.split('-').next().is_some_and(|version| is_release_of(version, promised)))
    else {
        return Ok(Done::NotRun(format!("rustup toolchain install {promised}")));
    };
    let mut command = Command::new("rustup");
    command.args(["run", name, "cargo"]).args(check).current_dir(&workspace.root);
    // What the cargo that started this program says of itself would lead back to its own toolchain.
    command.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTDOC");
    step::run(command.env("CARGO_TARGET_DIR", workspace.target.join("release-check").join("msrv")))?;
    Ok(Done::Passed(vec![name.to_owned()]))
}

/// Whether `version` is `promised`, or a correction of it: 1.95.1 of 1.95.
fn is_release_of(version: &str, promised: &str) -> bool {
    version.strip_prefix(promised).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Stable cargo chooses the newest dependencies only. `RUSTC_BOOTSTRAP` lets it choose the oldest of those that we name
/// (`direct-minimal-versions`); what is built then is built without it.
pub(super) fn oldest_dependencies(workspace: &Workspace) -> Result<Done> {
    let checkout = workspace.target.join("release-check").join("minimal");
    readme::mirror(&workspace.root, &checkout)?;
    let manifest = fs::read_to_string(checkout.join("Cargo.toml")).context("reading Cargo.toml")?;
    fs::write(checkout.join("Cargo.toml"), with_members(&manifest, "[\"crates/*\"]")?)?;
    let cargo = |arguments: &[&str]| {
        let mut command = step::cargo(workspace, arguments);
        command.current_dir(&checkout).env("CARGO_TARGET_DIR", checkout.join("target"));
        command
    };
    step::run(cargo(&["update", "-Z", "direct-minimal-versions"]).env("RUSTC_BOOTSTRAP", "1"))?;
    let packages = PUBLISHED.iter().flat_map(|name| ["--package", name]);
    step::run(cargo(&["check", "--all-features"]).args(packages))?;
    Ok(Done::PASSED)
}

/// The workspace's manifest with other members, all of which are built by default. What the benches and chores need
/// is no promise to anybody, and would choose with.
fn with_members(manifest: &str, members: &str) -> Result<String> {
    ensure!(manifest.lines().any(|line| line.starts_with("members = ")), "Cargo.toml names no members");
    let lines = manifest.lines().filter(|line| !line.starts_with("default-members = "));
    let lines = lines.map(|line| {
        if line.starts_with("members = ") { format!("members = {members}\n") } else { format!("{line}\n") }
    });
    Ok(lines.collect())
}

/// As docs.rs does it, whose nightly toolchain accepts what `cfg(docsrs)` switches on.
pub(super) fn docs_rs(workspace: &Workspace) -> Result<Done> {
    let mut told = Vec::new();
    for name in PUBLISHED {
        let path = format!("crates/{name}/Cargo.toml");
        let manifest =
            fs::read_to_string(workspace.root.join(&path)).with_context(|| format!("reading {path}"))?;
        let (_, metadata) = manifest
            .split_once("[package.metadata.docs.rs]\n")
            .with_context(|| format!("{path} has nothing for docs.rs"))?;
        ensure!(
            metadata.starts_with("all-features = true\n"),
            "{path} does not ask docs.rs for all features"
        );
        let mut doc =
            step::cargo(workspace, &["doc", "--package", name, "--no-deps", "--lib", "--all-features"]);
        doc.env("RUSTDOCFLAGS", "--cfg docsrs --deny warnings").env("RUSTC_BOOTSTRAP", "1");
        step::run(doc.env("CARGO_TARGET_DIR", workspace.target.join("release-check").join("docs-rs")))?;
        told.push(name.to_owned());
    }
    Ok(Done::Passed(vec![told.join(", ")]))
}

/// The packages that go to crates.io, each behind those that it needs.
pub(super) const PUBLISHED: [&str; 5] =
    ["codex-crypto", "codex-storage", "codex-backup", "codex", "codex-cli"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_members_of_a_manifest_are_exchanged() {
        let manifest = "[workspace]\nmembers = [\"crates/*\", \"benches\"]\ndefault-members = [\"xtask\"]\nresolver = \"3\"\n";
        assert_eq!(
            with_members(manifest, "[\"crates/*\"]").unwrap(),
            "[workspace]\nmembers = [\"crates/*\"]\nresolver = \"3\"\n"
        );
        let error = with_members("[workspace]\n", "[]").unwrap_err();
        assert_eq!(error.to_string(), "Cargo.toml names no members");
    }

    #[test]
    fn a_correction_counts_as_the_promised_rust_and_another_version_does_not() {
        assert!(is_release_of("1.95", "1.95") && is_release_of("1.95.1", "1.95"));
        assert!(!is_release_of("1.951.0", "1.95") && !is_release_of("1.96.0", "1.95"));
        assert!(!is_release_of("stable", "1.95"));
    }
}
