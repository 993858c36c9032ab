//! The examples of every crate, run to their end.

use anyhow::{Result, ensure};

use crate::{Workspace, step, tree};

/// Runs each example in an empty folder, so that it leaves nothing among the sources.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let scratch = workspace.target.join("xtask-examples");
    let paths = tree::paths(&workspace.root)?;
    let examples: Vec<_> = paths.iter().filter_map(|path| example(path)).collect();
    ensure!(!examples.is_empty(), "no crate has an example");
    for (package, name) in examples {
        println!("-- {package}, example {name}");
        tree::make_empty(&scratch)?;
        let mut command = step::cargo(workspace, &["run", "--quiet", "--manifest-path"]);
        command.arg(workspace.root.join("Cargo.toml")).args(["--package", package, "--example", name]);
        step::run(command.current_dir(&scratch))?;
    }
    Ok(())
}

/// The package and the name of the example at `path`, if it is one.
fn example(path: &str) -> Option<(&str, &str)> {
    let (package, file) = path.strip_prefix("crates/")?.split_once("/examples/")?;
    let name = file.strip_suffix("/main.rs").or_else(|| file.strip_suffix(".rs"))?;
    // Other files below an example's folder are its modules.
    (!package.contains('/') && !name.contains('/')).then_some((package, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_example_is_found_and_nothing_else() {
        assert_eq!(example("crates/codex/examples/quick.rs"), Some(("codex", "quick")));
        assert_eq!(example("crates/codex/examples/server/main.rs"), Some(("codex", "server")));
        assert_eq!(example("crates/codex/examples/server/handler.rs"), None);
        assert_eq!(example("crates/codex/examples/README.md"), None);
        assert_eq!(example("crates/codex/src/examples.rs"), None);
    }
}
