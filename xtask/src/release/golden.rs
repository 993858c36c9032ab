//! The databases that every later program must read: `crates/codex/tests/vectors/format_N` for each version `N` of the
//! format, kept from the day on which that version was released.

use anyhow::{Context as _, Result, ensure};

use crate::Workspace;
use crate::step::{self, Done};
use crate::tree::Tree;

/// What they hold, and that they are unchanged, is for the tests of `crates/codex/tests/golden.rs`; that they are there
/// for each version is looked at here.
pub(super) fn check(workspace: &Workspace) -> Result<Done> {
    let versions = kept(&Tree::read(&workspace.root)?)?;
    let mut told = vec![format!("format versions 1 to {versions}")];
    for test in ["golden", "format"] {
        let arguments = ["test", "--quiet", "--package", "codex", "--test", test];
        told.extend(step::run_tests(&mut step::cargo(workspace, &arguments))?);
    }
    Ok(Done::Passed(told))
}

/// The format's version; each up to it has its databases, and a test that names their folder.
fn kept(tree: &Tree) -> Result<u32> {
    let code = tree.text(CODE).with_context(|| format!("there is no {CODE}"))?;
    let version = code.split_once("const VERSION: u32 = ").and_then(|(_, rest)| rest.split(';').next());
    let version: u32 = version.with_context(|| format!("{CODE} names no version"))?.parse()?;
    let test = tree.text(TEST).with_context(|| format!("there is no {TEST}"))?;
    for number in 1..=version {
        let folder = format!("format_{number}");
        ensure!(
            tree.has(&format!("{VECTORS}/{folder}/SHA256SUMS")),
            "no databases are kept of format version {number}"
        );
        ensure!(test.contains(&format!("{folder}\"")), "no test opens the databases of {folder}");
    }
    Ok(version)
}

const CODE: &str = "crates/codex-storage/src/format/mod.rs";
const TEST: &str = "crates/codex/tests/golden.rs";
const VECTORS: &str = "crates/codex/tests/vectors";

#[cfg(test)]
mod tests {
    use super::*;

    const SUMS: &str = "crates/codex/tests/vectors/format_1/SHA256SUMS";

    #[test]
    fn every_format_version_has_databases_and_a_test_that_opens_them() {
        let code = (CODE, "pub const VERSION: u32 = 1;");
        let test = (TEST, "\"vectors/format_1\"");
        assert_eq!(kept(&Tree::from([code, test, (SUMS, "")])).unwrap(), 1);
        let refused = |tree: Tree| kept(&tree).unwrap_err().to_string();
        assert_eq!(refused(Tree::from([code, test])), "no databases are kept of format version 1");
        assert_eq!(
            refused(Tree::from([code, (TEST, ""), (SUMS, "")])),
            "no test opens the databases of format_1"
        );
        let next = (CODE, "pub const VERSION: u32 = 2;");
        assert_eq!(
            refused(Tree::from([next, test, (SUMS, "")])),
            "no databases are kept of format version 2"
        );
    }
}
