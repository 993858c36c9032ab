//! The examples of every crate, run to their end, and what they print beside what they should.
//!
//! The expected output of `examples/NAME.rs` is `examples/NAME.out`, with `…` for text that differs from run to run.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::{fs, str};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Workspace, expected, step, tree};

/// Runs each example in an empty folder, so that it leaves nothing among the sources, and with an empty home folder.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let paths = tree::paths(&workspace.root)?;
    let scratch = workspace.target.join("xtask-examples");
    for Example { package, name, output } in find(&paths)? {
        println!("-- {package}, example {name}");
        tree::make_empty(&scratch.join("home"))?;
        let mut command = step::cargo(workspace, &["run", "--quiet", "--manifest-path"]);
        command.arg(workspace.root.join("Cargo.toml")).args(["--package", package, "--example", name]);
        command.current_dir(&scratch).env("CODEX_HOME", scratch.join("home")).stderr(Stdio::inherit());
        let ended = command.output().with_context(|| format!("starting {command:?}"))?;
        let printed = str::from_utf8(&ended.stdout).with_context(|| format!("what {name} prints"))?;
        ensure!(ended.status.success(), "{command:?}: {}, having printed\n{printed}", ended.status);
        check(&workspace.root, &output, printed)?;
    }
    Ok(())
}

/// An error that shows the difference, should there be one.
fn check(root: &Path, output: &str, printed: &str) -> Result<()> {
    let expected = fs::read_to_string(root.join(output)).with_context(|| format!("reading {output}"))?;
    match expected::diff(&expected, printed) {
        None => Ok(()),
        Some(diff) => bail!("the example does not print what {output} says (-), but (+)\n{diff}"),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Example<'a> {
    package: &'a str,
    name: &'a str,
    /// Where its expected output is, from the workspace's folder.
    output: String,
}

/// The examples among `paths`. Each must have its expected output, and no expected output may be without its example.
fn find(paths: &[String]) -> Result<Vec<Example<'_>>> {
    let examples: Vec<_> = paths.iter().filter_map(|path| example(path)).collect();
    ensure!(!examples.is_empty(), "no crate has an example");
    let paths: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    for Example { name, output, .. } in &examples {
        ensure!(paths.contains(output.as_str()), "what the example {name} prints should stand in {output}");
    }
    let outputs: BTreeSet<&str> = examples.iter().map(|example| example.output.as_str()).collect();
    for path in paths {
        let is_output = path.contains("examples/") && path.strip_suffix(".out").is_some();
        ensure!(!is_output || outputs.contains(path), "{path} is the output of no example");
    }
    Ok(examples)
}

/// The example at `path`, if it is one: in a crate's folder of examples, or in the package of those that need more.
fn example(path: &str) -> Option<Example<'_>> {
    let (package, file) = match path.strip_prefix("examples/") {
        Some(file) => ("codex-examples", file),
        None => path.strip_prefix("crates/")?.split_once("/examples/")?,
    };
    let name = file.strip_suffix("/main.rs").or_else(|| file.strip_suffix(".rs"))?;
    // Other files below an example's folder are its modules.
    if package.contains('/') || name.contains('/') {
        return None;
    }
    let folder = path.strip_suffix(file)?;
    Some(Example { package, name, output: format!("{folder}{name}.out") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(paths: &[&str]) -> Result<Vec<(String, String)>, String> {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let examples = find(&paths).map_err(|error| error.to_string())?;
        Ok(examples
            .into_iter()
            .map(|found| (format!("{}/{}", found.package, found.name), found.output))
            .collect())
    }

    #[test]
    fn every_kind_of_example_is_found_and_nothing_else() {
        let paths = [
            "crates/codex/examples/quick.rs",
            "crates/codex/examples/quick.out",
            "crates/codex/examples/server/main.rs",
            "crates/codex/examples/server/handler.rs",
            "crates/codex/examples/server.out",
            "crates/codex/examples/README.md",
            "crates/codex/src/examples.rs",
            "examples/service.rs",
            "examples/service.out",
        ];
        let expected = [
            ("codex/quick", "crates/codex/examples/quick.out"),
            ("codex/server", "crates/codex/examples/server.out"),
            ("codex-examples/service", "examples/service.out"),
        ];
        assert_eq!(found(&paths), Ok(expected.map(|(name, output)| (name.into(), output.into())).to_vec()));
    }

    #[test]
    fn an_example_without_its_output_and_an_output_without_its_example_are_errors() {
        let (example, output) = ("crates/codex/examples/quick.rs", "crates/codex/examples/quick.out");
        let missing = "what the example quick prints should stand in crates/codex/examples/quick.out";
        assert_eq!(found(&[example]), Err(missing.into()));
        let orphan = "crates/codex/examples/old.out is the output of no example";
        assert_eq!(found(&[example, output, "crates/codex/examples/old.out"]), Err(orphan.into()));
        assert_eq!(found(&["crates/codex/src/lib.rs"]), Err("no crate has an example".into()));
    }

    #[test]
    fn output_that_differs_is_an_error_that_shows_where() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("quick.out"), "one\ntwo …\n").unwrap();
        check(root.path(), "quick.out", "one\ntwo 2\n").unwrap();
        let error = check(root.path(), "quick.out", "one\n3\n").unwrap_err().to_string();
        assert!(error.ends_with("\n  one\n- two …\n+ 3"), "{error}");
    }
}
