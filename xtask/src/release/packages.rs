//! What is published, and what it is made of.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::builds::PUBLISHED;
use super::{changelog, tools};
use crate::step::{self, Done};
use crate::{Workspace, readme, tree};

/// By `deny.toml`, without the network.
pub(super) fn licenses(workspace: &Workspace) -> Result<Done> {
    tools::DENY.run(workspace, || {
        let check = ["--all-features", "check", "licenses", "bans", "sources"];
        step::run(&mut tools::DENY.command(workspace, &check))?;
        Ok(Done::PASSED)
    })
}

/// By a database that is fetched first: an old one would know nothing of what was found since.
pub(super) fn advisories(workspace: &Workspace) -> Result<Done> {
    tools::DENY.run(workspace, || {
        let fetched = tools::DENY.command(workspace, &["fetch", "db"]).status();
        if !fetched.context("starting cargo-deny")?.success() {
            return Ok(Done::NotRun("the database of advisories cannot be reached".to_owned()));
        }
        let check = ["--all-features", "check", "--disable-fetch", "advisories"];
        step::run(&mut tools::DENY.command(workspace, &check))?;
        Ok(Done::PASSED)
    })
}

/// Each package is then built from its archive and the others' archives.
pub(super) fn contents(workspace: &Workspace) -> Result<Done> {
    let mut told = Vec::new();
    for name in PUBLISHED {
        let mut list = step::cargo(workspace, &["package", "--list", "--allow-dirty", "--package", name]);
        let output = list.output().with_context(|| format!("starting {list:?}"))?;
        ensure!(output.status.success(), "{list:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
        let files = String::from_utf8(output.stdout)?;
        let files: Vec<&str> = files.lines().collect();
        let wrong = wrong_contents(&files);
        ensure!(wrong.is_empty(), "{name}: {}", wrong.join("; "));
        told.push(format!("{name} {} files", files.len()));
    }
    build_archives(workspace)?;
    Ok(Done::Passed(vec![told.join(", ")]))
}

/// Packs all packages, unpacks them beside each other and builds them there, one at a time, so that none gets features
/// that only another asks for.
///
/// Cargo's own verification is of no use for more than one package: of an unpublished version it keeps what it once
/// unpacked in its home folder, and builds the next package with that, whatever has been packed since.
fn build_archives(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target.join("release-check").join("packages");
    let cargo = |arguments: &[&str]| {
        let mut command = step::cargo(workspace, arguments);
        command.env("CARGO_TARGET_DIR", &folder);
        command
    };
    let packages = PUBLISHED.iter().flat_map(|name| ["--package", name]);
    step::run(cargo(&["package", "--no-verify", "--allow-dirty"]).args(packages))?;

    let version = changelog::workspace_version(workspace)?;
    let unpacked = folder.join("unpacked");
    tree::make_empty(&unpacked)?;
    for name in PUBLISHED {
        // Archives have one time for all files, by which cargo could not see that they changed.
        let mut tar = Command::new("tar");
        tar.args(["-x", "-z", "-m", "-f"]);
        tar.arg(folder.join("package").join(format!("{name}-{version}.crate")));
        step::run(tar.current_dir(&unpacked))?;
    }
    fs::write(unpacked.join("Cargo.toml"), manifest_of_archives(&version)).context("writing a manifest")?;
    fs::copy(workspace.root.join("Cargo.lock"), unpacked.join("Cargo.lock")).context("copying Cargo.lock")?;
    for name in PUBLISHED {
        step::run(cargo(&["build", "--package", name]).current_dir(&unpacked))?;
    }
    let lock = fs::read_to_string(unpacked.join("Cargo.lock")).context("reading Cargo.lock")?;
    let strangers = from_elsewhere(&lock);
    ensure!(strangers.is_empty(), "not built from our archives: {}", strangers.join(", "));
    Ok(())
}

/// A workspace of the unpacked archives, which find each other where they look for crates.io.
fn manifest_of_archives(version: &str) -> String {
    let members: Vec<String> = PUBLISHED.iter().map(|name| format!("\"{name}-{version}\"")).collect();
    // Nothing needs the command.
    let libraries = PUBLISHED.iter().filter(|name| **name != "codex-cli");
    let patches: Vec<String> =
        libraries.map(|name| format!("{name} = {{ path = \"{name}-{version}\" }}\n")).collect();
    format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[profile.dev]\ndebug = false\n\n\
         [patch.crates-io]\n{}",
        members.join(", "),
        patches.concat()
    )
}

/// The packages in a `Cargo.lock` that are named like ours and come from somewhere else.
fn from_elsewhere(lock: &str) -> Vec<&str> {
    let packages = lock.split("[[package]]").filter(|package| package.contains("\nsource = "));
    let names = packages.filter_map(|package| changelog::value(package, "", "name"));
    names.filter(|name| PUBLISHED.contains(name)).collect()
}

/// What is missing among a package's files, and what does not belong there.
fn wrong_contents(files: &[&str]) -> Vec<String> {
    let missing = NEEDED.iter().filter(|file| !files.contains(file)).map(|file| format!("{file} is missing"));
    let belongs = |file: &str| {
        let parts: Vec<&str> = file.split('/').collect();
        // Cargo writes its own record of where a package came from.
        let known = NEEDED.contains(&file) || [".cargo_vcs_info.json", "Cargo.lock"].contains(&file);
        let hidden = parts.iter().any(|part| part.starts_with('.') || part.ends_with('~'));
        known || (parts.len() > 1 && FOLDERS.contains(&parts[0]) && !hidden)
    };
    let stray =
        files.iter().filter(|file| !belongs(file)).map(|file| format!("{file} does not belong there"));
    missing.chain(stray).collect()
}

const NEEDED: [&str; 5] = ["Cargo.toml", "Cargo.toml.orig", "README.md", "LICENSE-APACHE", "LICENSE-MIT"];
const FOLDERS: [&str; 5] = ["src", "tests", "examples", "benches", "data"];

/// Bills of materials in the form of `CycloneDX`, made in a copy of the project, because the tool writes them beside the
/// manifests.
pub(super) fn bills(workspace: &Workspace) -> Result<Done> {
    tools::CYCLONEDX.run(workspace, || {
        let folder = workspace.target.join("release-check");
        let (checkout, bills) = (folder.join("sbom-checkout"), folder.join("sbom"));
        tree::make_empty(&checkout)?;
        tree::make_empty(&bills)?;
        readme::mirror(&workspace.root, &checkout)?;
        let options = ["--format", "json", "--spec-version", "1.5", "--all-features", "--quiet"];
        step::run(tools::CYCLONEDX.command(workspace, &options).current_dir(&checkout))?;
        let mut told = Vec::new();
        for name in PUBLISHED {
            let bill = format!("{name}.cdx.json");
            let made = checkout.join("crates").join(name).join(&bill);
            let components = components(&made).with_context(|| format!("the bill of {name}"))?;
            fs::copy(&made, bills.join(&bill)).with_context(|| format!("copying {bill}"))?;
            told.push(format!("{name} {components}"));
        }
        Ok(Done::Passed(vec![format!("components: {}", told.join(", "))]))
    })
}

/// How many components a bill lists. Each has a name and a version, and those from elsewhere also a license.
fn components(bill: &Path) -> Result<usize> {
    listed(&serde_json::from_slice(&fs::read(bill)?)?)
}

fn listed(bill: &Value) -> Result<usize> {
    let components = bill["components"].as_array().context("it lists no components")?;
    ensure!(!components.is_empty(), "it lists no components");
    for component in components {
        let name = component["name"].as_str().context("a component has no name")?;
        ensure!(component["version"].is_string(), "{name} has no version");
        let licensed = component["licenses"].as_array().is_some_and(|licenses| !licenses.is_empty());
        ensure!(licensed, "{name} has no license");
    }
    Ok(components.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_its_licenses_or_with_something_stray_is_named() {
        let mut files = NEEDED.to_vec();
        files.extend([".cargo_vcs_info.json", "src/lib.rs", "tests/data/a.db"]);
        assert_eq!(wrong_contents(&files), [""; 0]);
        files.retain(|file| *file != "LICENSE-MIT");
        files.extend(["notes.txt", "src/.lib.rs.swp", "target/debug/x"]);
        assert_eq!(
            wrong_contents(&files),
            [
                "LICENSE-MIT is missing",
                "notes.txt does not belong there",
                "src/.lib.rs.swp does not belong there",
                "target/debug/x does not belong there"
            ]
        );
    }

    #[test]
    fn archives_find_each_other_instead_of_what_crates_io_has_under_their_names() {
        assert_eq!(
            manifest_of_archives("1.2.3"),
            "[workspace]\nresolver = \"3\"\nmembers = [\"codex-crypto-1.2.3\", \"codex-storage-1.2.3\", \
             \"codex-backup-1.2.3\", \"codex-1.2.3\", \"codex-cli-1.2.3\"]\n\n[profile.dev]\ndebug = false\n\n\
             [patch.crates-io]\ncodex-crypto = { path = \"codex-crypto-1.2.3\" }\n\
             codex-storage = { path = \"codex-storage-1.2.3\" }\n\
             codex-backup = { path = \"codex-backup-1.2.3\" }\ncodex = { path = \"codex-1.2.3\" }\n"
        );
    }

    #[test]
    fn a_package_of_ours_that_came_from_elsewhere_is_named() {
        let ours = "version = 4\n\n[[package]]\nname = \"codex\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"registry\"\n";
        assert_eq!(from_elsewhere(ours), [""; 0]);
        let strange = ours.replace("\"0.1.0\"\n", "\"0.1.1\"\nsource = \"registry\"\n");
        assert_eq!(from_elsewhere(&strange), ["codex"]);
    }

    #[test]
    fn a_bill_that_says_too_little_is_refused() {
        let bill = |components: &str| listed(&serde_json::from_str(&format!("{{{components}}}")).unwrap());
        let whole = r#""components": [{"name": "a", "version": "1", "licenses": [{"expression": "MIT"}]}]"#;
        assert_eq!(bill(whole).unwrap(), 1);
        let refused = |components: &str| bill(components).unwrap_err().to_string();
        assert_eq!(refused(""), "it lists no components");
        assert_eq!(refused(r#""components": []"#), "it lists no components");
        assert_eq!(refused(r#""components": [{"name": "a"}]"#), "a has no version");
        let bare = r#""components": [{"name": "a", "version": "1", "licenses": []}]"#;
        assert_eq!(refused(bare), "a has no license");
    }
}
