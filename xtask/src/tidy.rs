//! The architecture's invariants, checked over the project's files.
//!
//! Each check is a function from the files to what offends in them, so that its tests show that it can fail.

mod documents;
mod layers;
mod manifests;
mod sources;

use std::fmt;

use anyhow::{Result, ensure};

use crate::Workspace;
use crate::tree::Tree;

/// Fails with all offences, should there be any.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let tree = Tree::read(&workspace.root)?;
    let mut offences: Vec<Offence> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    offences.sort();
    let listed: Vec<String> = offences.iter().map(ToString::to_string).collect();
    ensure!(offences.is_empty(), "not tidy\n{}", listed.join("\n"));
    println!("{} files are tidy; {}", tree.texts().count(), documents::shown(&tree));
    Ok(())
}

type Check = fn(&Tree) -> Vec<Offence>;

const CHECKS: [Check; 13] = [
    sources::who_names_what,
    sources::rules_are_about_what_is_there,
    sources::exceptions_give_a_reason,
    sources::nothing_is_left_undone,
    layers::dependencies_point_one_way,
    manifests::members_take_the_lints,
    manifests::members_take_dependencies_from_the_workspace,
    manifests::dependencies_are_explained,
    manifests::allowed_lints_are_explained,
    documents::links_lead_somewhere,
    documents::every_page_is_in_the_book,
    documents::every_session_is_run,
    documents::no_path_of_a_machine,
];

/// What offends against an invariant, and where. Lines are counted from 1.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Offence {
    path: String,
    line: usize,
    what: String,
}

impl Offence {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// The offences as a test writes them down.
#[cfg(test)]
fn listed(check: Check, tree: &Tree) -> Vec<String> {
    check(tree).iter().map(ToString::to_string).collect()
}
