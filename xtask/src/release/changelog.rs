//! The version: of every package, and of the topmost heading of `CHANGELOG.md`.
//!
//! What stands there as `## Unreleased: 0.1.0` becomes `## 0.1.0 (2026-01-31)` with the release.

use anyhow::{Context as _, Result, bail, ensure};

use crate::Workspace;
use crate::step::Done;
use crate::tree::Tree;

pub(super) fn check(workspace: &Workspace) -> Result<Done> {
    Ok(Done::Passed(vec![agreed(&Tree::read(&workspace.root)?)?]))
}

/// The version of the workspace's packages.
pub(super) fn workspace_version(workspace: &Workspace) -> Result<String> {
    let manifest =
        std::fs::read_to_string(workspace.root.join("Cargo.toml")).context("reading Cargo.toml")?;
    Ok(value(&manifest, "workspace.package", "version").context("Cargo.toml has no version")?.to_owned())
}

/// The version that everything names, and what is known of its release.
fn agreed(tree: &Tree) -> Result<String> {
    let root = tree.text("Cargo.toml").context("there is no Cargo.toml")?;
    let version = value(root, "workspace.package", "version").context("Cargo.toml has no version")?;
    for (path, manifest) in tree.texts_of("/Cargo.toml") {
        let inherits = manifest.lines().any(|line| line.trim() == "version.workspace = true");
        ensure!(inherits, "{path} has a version of its own");
    }
    // Ours are named with the version that they are published under.
    for line in root.lines().filter(|line| line.contains("path = \"")) {
        ensure!(line.contains(&format!("version = \"{version}\"")), "not of version {version}: {line}");
    }
    let lock = tree.text("Cargo.lock").context("there is no Cargo.lock")?;
    for package in lock.split("[[package]]").skip(1).filter(|package| !package.contains("\nsource = ")) {
        let named = value(package, "", "version").unwrap_or_default();
        ensure!(named == version, "Cargo.lock has a package of ours with version {named}, not {version}");
    }
    let changes = tree.text("CHANGELOG.md").context("there is no CHANGELOG.md")?;
    let mut releases = changes.lines().filter_map(|line| line.strip_prefix("## ")).map(Release::of);
    let latest = releases.next().context("CHANGELOG.md names no version")??;
    ensure!(latest.version == version, "CHANGELOG.md is at {}, the packages at {version}", latest.version);
    for earlier in releases {
        let Release { version, date } = earlier?;
        ensure!(date.is_some(), "CHANGELOG.md has {version} below a later version, and no date for it");
    }
    Ok(match latest.date {
        Some(date) => format!("{version}, released on {date}"),
        None => format!("{version}, not released yet"),
    })
}

/// What a heading of `CHANGELOG.md` is about.
#[derive(Debug, PartialEq, Eq)]
struct Release<'a> {
    version: &'a str,
    /// `None` for one to come.
    date: Option<&'a str>,
}

impl<'a> Release<'a> {
    fn of(heading: &'a str) -> Result<Self> {
        if let Some(version) = heading.strip_prefix("Unreleased: ") {
            return Ok(Self { version, date: None });
        }
        match heading.strip_suffix(')').and_then(|rest| rest.split_once(" (")) {
            Some((version, date)) if is_date(date) => Ok(Self { version, date: Some(date) }),
            _ => bail!("CHANGELOG.md: {heading:?} is neither \"Unreleased: VERSION\" nor \"VERSION (DATE)\""),
        }
    }
}

/// Whether this has the form of a day: 2026-01-31.
fn is_date(text: &str) -> bool {
    let of_form = |(index, sign): (usize, char)| {
        if [4, 7].contains(&index) { sign == '-' } else { sign.is_ascii_digit() }
    };
    text.len() == 10 && text.chars().enumerate().all(of_form)
}

/// The text that `key` is set to in a table of a TOML file, which the project writes one entry to a line.
pub(super) fn value<'a>(toml: &'a str, table: &str, key: &str) -> Option<&'a str> {
    let mut inside = table.is_empty();
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[') {
            inside = name.trim_end_matches(']') == table;
        } else if inside
            && let Some((name, rest)) = line.split_once('=')
            && name.trim() == key
        {
            return rest.trim().strip_prefix('"')?.split('"').next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace.package]\nversion = \"0.2.0\"\n[workspace.dependencies]\n\
                        codex = { path = \"crates/codex\", version = \"0.2.0\" }\nserde = \"1\"\n";
    const MEMBER: &str = "[package]\nname = \"codex\"\nversion.workspace = true\n";
    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"codex\"\nversion = \"0.2.0\"\n\n\
                        [[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"registry\"\n";
    const CHANGES: &str = "# Changes\n\n## Unreleased: 0.2.0\n\n- New.\n\n## 0.1.0 (2026-01-31)\n";

    fn with(path: &str, text: &str) -> Result<String> {
        let mut files = [
            ("Cargo.toml", ROOT),
            ("crates/codex/Cargo.toml", MEMBER),
            ("Cargo.lock", LOCK),
            ("CHANGELOG.md", CHANGES),
        ];
        files.iter_mut().filter(|(name, _)| *name == path).for_each(|file| file.1 = text);
        agreed(&Tree::from(files))
    }

    fn refused(path: &str, text: &str) -> String {
        with(path, text).unwrap_err().to_string()
    }

    #[test]
    fn the_version_is_the_one_that_everything_names() {
        assert_eq!(with("", "").unwrap(), "0.2.0, not released yet");
        let released = CHANGES.replace("Unreleased: 0.2.0", "0.2.0 (2026-02-01)");
        assert_eq!(with("CHANGELOG.md", &released).unwrap(), "0.2.0, released on 2026-02-01");
    }

    #[test]
    fn a_version_that_differs_anywhere_is_refused() {
        assert_eq!(
            refused("CHANGELOG.md", &CHANGES.replace("0.2.0", "0.3.0")),
            "CHANGELOG.md is at 0.3.0, the packages at 0.2.0"
        );
        assert_eq!(
            refused("crates/codex/Cargo.toml", "[package]\nversion = \"0.2.0\"\n"),
            "crates/codex/Cargo.toml has a version of its own"
        );
        assert_eq!(
            refused("Cargo.lock", &LOCK.replace("0.2.0", "0.1.9")),
            "Cargo.lock has a package of ours with version 0.1.9, not 0.2.0"
        );
        assert_eq!(
            refused("Cargo.toml", &ROOT.replace("codex\", version = \"0.2.0", "codex\", version = \"0.1.0")),
            "not of version 0.2.0: codex = { path = \"crates/codex\", version = \"0.1.0\" }"
        );
    }

    #[test]
    fn a_changelog_that_cannot_be_read_or_leaves_a_version_without_its_date_is_refused() {
        assert_eq!(refused("CHANGELOG.md", "# Changes\n"), "CHANGELOG.md names no version");
        assert_eq!(
            refused("CHANGELOG.md", "## 0.2.0 (soon)\n"),
            "CHANGELOG.md: \"0.2.0 (soon)\" is neither \"Unreleased: VERSION\" nor \"VERSION (DATE)\""
        );
        assert_eq!(
            refused("CHANGELOG.md", &CHANGES.replace("0.1.0 (2026-01-31)", "Unreleased: 0.1.0")),
            "CHANGELOG.md has 0.1.0 below a later version, and no date for it"
        );
    }
}
