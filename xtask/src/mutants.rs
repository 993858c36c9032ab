//! Mutation testing: changes the code in small ways, one at a time, and demands that a test fails.
//!
//! What is changed, and which changes no test can notice, stands in `.cargo/mutants.toml`; what makes a change cheap to
//! try, in the profile `mutants` of the workspace's manifest.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::tree::read_json;
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

/// Runs cargo-mutants on the cryptography and the core of the storage layer. `arguments` are passed on to its first
/// runs: `--shard 3/10` takes a tenth, `--re log/writer` one file, and `--iterate` what an earlier run has not seen caught. The
/// thorough run takes what the quick one missed.
pub(crate) fn run(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let present =
        step::cargo(workspace, &["mutants", "--version"]).output().is_ok_and(|out| out.status.success());
    ensure!(present, "cargo-mutants is missing; install it with `cargo install cargo-mutants --locked`");
    let crypto = mutate(workspace, "codex-crypto", CRYPTO, arguments, &[])?;
    let mut storage = mutate(workspace, "codex-storage", STORAGE_QUICK, arguments, &QUICK)?;
    if !storage {
        // By name: a part of what is left would be another part. (cargo-mutants 27.1 tries the deletions of fields besides,
        // whatever it is told to leave out; the quick tests notice these.)
        let missed = results(workspace, STORAGE_QUICK).join("missed.txt");
        let missed = fs::read_to_string(&missed).with_context(|| format!("reading {}", missed.display()))?;
        let names: Vec<String> = missed.lines().map(exactly).collect();
        let these: Vec<&str> = names.iter().flat_map(|name| ["--re", name]).collect();
        let all = [&QUICK[..], &THOROUGH].concat();
        storage = mutate(workspace, "codex-storage", STORAGE_THOROUGH, &these, &all)?;
    }
    ensure!(crypto && storage, "there are changes that no test notices");
    Ok(())
}

/// Of the changes to a package that were tried last and that built, how many were noticed, and how many there were.
pub(crate) fn noticed_of_tried(workspace: &Workspace, package: &str) -> Result<(u32, u32)> {
    match package {
        "codex-crypto" => {
            let counted = Counted::of(&results(workspace, CRYPTO))?;
            Ok((counted.noticed, counted.noticed + counted.missed))
        }
        "codex-storage" => {
            let quick = Counted::of(&results(workspace, STORAGE_QUICK))?;
            let missed = match quick.missed {
                0 => 0,
                _ => Counted::of(&results(workspace, STORAGE_THOROUGH))?.missed,
            };
            let tried = quick.noticed + quick.missed;
            Ok((tried.saturating_sub(missed), tried))
        }
        _ => bail!("nothing of {package} is changed"),
    }
}

/// The folders of results.
const CRYPTO: &str = "codex-crypto";
const STORAGE_QUICK: &str = "codex-storage";
const STORAGE_THOROUGH: &str = "codex-storage-thorough";

fn output(workspace: &Workspace, folder: &str) -> PathBuf {
    workspace.target.join("mutants").join(folder)
}

/// Where cargo-mutants puts its results below what is its output.
fn results(workspace: &Workspace, folder: &str) -> PathBuf {
    output(workspace, folder).join("mutants.out")
}

/// How many changes tests noticed and missed, of those that built.
#[derive(Debug, Default)]
struct Counted {
    noticed: u32,
    missed: u32,
}

impl Counted {
    fn of(results: &Path) -> Result<Self> {
        let path = results.join("outcomes.json");
        let counted = read_json(&path)?;
        let count = |key: &str| -> Result<u32> {
            let count = counted[key].as_u64().with_context(|| format!("no {key} in {}", path.display()))?;
            Ok(u32::try_from(count)?)
        };
        Ok(Self { noticed: count("caught")? + count("timeout")?, missed: count("missed")? })
    }
}

/// The regular expression that one change's name alone fits.
fn exactly(name: &str) -> String {
    let escape = |sign: char| {
        let means_more = r"\.+*?()|[]{}^$".contains(sign);
        [means_more.then_some('\\'), Some(sign)].into_iter().flatten()
    };
    format!("^{}$", name.chars().flat_map(escape).collect::<String>())
}

/// Whether each change to a package makes one of `tests` fail or hang.
fn mutate(
    workspace: &Workspace,
    package: &str,
    folder: &str,
    arguments: &[&str],
    tests: &[&str],
) -> Result<bool> {
    let output = output(workspace, folder);
    fs::create_dir_all(&output).with_context(|| format!("creating {}", output.display()))?;
    let mut mutants = step::cargo(workspace, &["mutants", "--jobs=2", "--package", package]);
    mutants.arg("--output").arg(&output).args(arguments).arg("--").args(tests);
    let status = mutants.status().with_context(|| format!("starting {mutants:?}"))?;
    match status.code() {
        Some(0 | TIMEOUTS) => Ok(true),
        Some(MISSED) => Ok(false),
        _ => bail!("{mutants:?}: {status}"),
    }
}

/// What cargo-mutants exits with where tests noticed some changes by nothing but hanging.
const TIMEOUTS: i32 = 3;
/// Where there were changes that they did not notice.
const MISSED: i32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_quick_tests_missed_counts_as_the_thorough_ones_judge_it() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: folder.path().into(), target: folder.path().join("target") };
        let write = |folder: &str, text: &str| {
            let folder = results(&workspace, folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("outcomes.json"), text).unwrap();
        };
        let noticed = || noticed_of_tried(&workspace, "codex-storage");
        write("codex-storage-thorough", r#"{"caught": 9, "timeout": 1, "missed": 1, "unviable": 0}"#);
        write("codex-storage", r#"{"caught": 20, "timeout": 2, "missed": 5, "unviable": 9}"#);
        assert_eq!(noticed().unwrap(), (26, 27));
        // What an earlier run left behind is not counted.
        write("codex-storage", r#"{"caught": 20, "timeout": 2, "missed": 0, "unviable": 9}"#);
        assert_eq!(noticed().unwrap(), (22, 22));
        write("codex-storage", "{}");
        let path = results(&workspace, "codex-storage").join("outcomes.json");
        assert_eq!(noticed().unwrap_err().to_string(), format!("no caught in {}", path.display()));
        noticed_of_tried(&workspace, "codex").unwrap_err();
    }

    #[test]
    fn the_name_of_a_change_fits_itself_alone() {
        assert_eq!(
            exactly("src/log/leaves.rs:243:86: replace | with <= in Headers<'a>::at -> Option<[u8; 4]>"),
            r"^src/log/leaves\.rs:243:86: replace \| with <= in Headers<'a>::at -> Option<\[u8; 4\]>$"
        );
    }
}
