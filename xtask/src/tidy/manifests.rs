//! What the packages' manifests say, and what must stand beside it.
//!
//! Manifests are read line by line, as the project writes them: one entry to a line.

use super::Offence;
use crate::tree::Tree;

/// One line of a manifest that sets something.
pub(super) struct Entry<'a> {
    /// The table and the key, parted by dots: `dependencies.serde.workspace`.
    pub(super) key: String,
    pub(super) value: &'a str,
    pub(super) line: usize,
    /// Whether a comment stands behind it.
    pub(super) explained_beside: bool,
    /// Whether a comment stands in the line before it.
    pub(super) explained_before: bool,
}

impl Entry<'_> {
    /// The name of the dependency that the entry is about, for any kind of dependency of a member.
    pub(super) fn dependency(&self) -> Option<&str> {
        let key = match self.key.strip_prefix("target.") {
            Some(for_target) => for_target.rsplit_once("'.").map_or(for_target, |(_, key)| key),
            None => &self.key,
        };
        let (kind, name) = key.split_once('.')?;
        ["dependencies", "dev-dependencies", "build-dependencies"].contains(&kind).then_some(())?;
        name.split('.').next()
    }
}

pub(super) fn entries(manifest: &str) -> Vec<Entry<'_>> {
    let mut table = "";
    let mut explained_before = false;
    let mut found = Vec::new();
    for (index, text) in manifest.lines().enumerate() {
        let (code, comment) = split_comment(text);
        let code = code.trim();
        if let Some(name) = code.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = name.trim_matches(['[', ']']);
        } else if let Some((key, value)) = code.split_once('=') {
            let key =
                if table.is_empty() { key.trim().to_owned() } else { format!("{table}.{}", key.trim()) };
            let explained_beside = comment.is_some();
            found.push(Entry {
                key,
                value: value.trim(),
                line: index + 1,
                explained_beside,
                explained_before,
            });
        }
        explained_before = code.is_empty() && comment.is_some();
    }
    found
}

/// Parts a line at the `#` that begins its comment.
fn split_comment(line: &str) -> (&str, Option<&str>) {
    let mut quoted = false;
    let begin = line.find(|sign| {
        quoted ^= sign == '"';
        sign == '#' && !quoted
    });
    begin.map_or((line, None), |begin| (&line[..begin], Some(&line[begin..])))
}

/// The manifests of the workspace's packages.
pub(super) fn members(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.texts_of("/Cargo.toml")
}

/// Every package is held to the workspace's lints.
pub(super) fn members_take_the_lints(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, manifest) in members(tree) {
        let lints: Vec<_> =
            entries(manifest).into_iter().filter(|entry| entry.key.starts_with("lints.")).collect();
        let inherited = matches!(&lints[..], [only] if only.key == "lints.workspace" && only.value == "true");
        if !inherited {
            let line = lints.first().map_or(1, |entry| entry.line);
            offences.push(Offence::new(path, line, "lints are not `workspace = true` and nothing else"));
        }
    }
    offences
}

/// Dependencies are listed once, in the workspace's manifest, under their own names.
pub(super) fn members_take_dependencies_from_the_workspace(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, manifest) in members(tree) {
        for entry in entries(manifest) {
            let Some(name) = entry.dependency() else { continue };
            let short = entry.key.ends_with(".workspace") && entry.value == "true";
            let table = entry.value.starts_with('{') && entry.value.contains("workspace = true");
            if !short && !table {
                let what = format!("{name} does not come from the workspace's dependencies");
                offences.push(Offence::new(path, entry.line, what));
            }
        }
    }
    let root = tree.text("Cargo.toml").unwrap_or_default();
    let listed = entries(root).into_iter().filter(|entry| entry.key.starts_with("workspace.dependencies."));
    let renamed = listed.filter(|entry| entry.key.ends_with(".package") || entry.value.contains("package ="));
    offences.extend(renamed.map(|entry| Offence::new("Cargo.toml", entry.line, "a dependency is renamed")));
    offences
}

/// Every dependency from outside says what it is for.
pub(super) fn dependencies_are_explained(tree: &Tree) -> Vec<Offence> {
    let root = tree.text("Cargo.toml").unwrap_or_default();
    let listed = entries(root).into_iter().filter(|entry| entry.key.starts_with("workspace.dependencies."));
    let ours = |entry: &Entry<'_>| entry.value.contains("path =");
    listed
        .filter(|entry| !ours(entry) && !entry.explained_beside)
        .map(|entry| {
            Offence::new("Cargo.toml", entry.line, "a dependency without a comment on what it is for")
        })
        .collect()
}

/// Every lint that is switched off for the whole workspace says why.
pub(super) fn allowed_lints_are_explained(tree: &Tree) -> Vec<Offence> {
    let root = tree.text("Cargo.toml").unwrap_or_default();
    let lints = entries(root).into_iter().filter(|entry| entry.key.starts_with("workspace.lints."));
    lints
        .filter(|entry| {
            entry.value.contains("\"allow\"") && !entry.explained_beside && !entry.explained_before
        })
        .map(|entry| Offence::new("Cargo.toml", entry.line, "a lint is allowed without a comment on why"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::listed;
    use super::*;

    #[test]
    fn a_member_takes_the_workspaces_lints_and_adds_none() {
        let tree = Tree::from([
            ("crates/a/Cargo.toml", "[lints]\nworkspace = true\n"),
            ("crates/b/Cargo.toml", "[package]\nname = \"b\"\n"),
            ("crates/c/Cargo.toml", "[lints]\nworkspace = false\n"),
            ("crates/d/Cargo.toml", "[lints.clippy]\ntodo = \"allow\"\n"),
        ]);
        let what = "lints are not `workspace = true` and nothing else";
        assert_eq!(
            listed(members_take_the_lints, &tree),
            ["b/Cargo.toml:1", "c/Cargo.toml:2", "d/Cargo.toml:2"]
                .map(|place| format!("crates/{place}: {what}"))
        );
    }

    #[test]
    fn every_way_to_name_a_dependency_is_seen() {
        let manifest = "[dependencies]\na.workspace = true\nb = { workspace = true, features = [] }\nc = \"1\"\n\
            [dev-dependencies.d]\nversion = \"1\"\n[target.'cfg(unix)'.build-dependencies]\ne = \"1\"\n";
        let tree = Tree::from([("crates/a/Cargo.toml", manifest)]);
        let what = "does not come from the workspace's dependencies";
        assert_eq!(
            listed(members_take_dependencies_from_the_workspace, &tree),
            ["4: c", "6: d", "8: e"].map(|place| format!("crates/a/Cargo.toml:{place} {what}"))
        );
    }

    #[test]
    fn a_dependency_keeps_its_name() {
        let root = "[workspace.dependencies]\na = { package = \"b\", version = \"1\" }\n";
        let offences =
            listed(members_take_dependencies_from_the_workspace, &Tree::from([("Cargo.toml", root)]));
        assert_eq!(offences, ["Cargo.toml:2: a dependency is renamed"]);
    }

    #[test]
    fn a_dependency_says_what_it_is_for() {
        let root = "[workspace.dependencies]\nours = { path = \"x\" }\n# A heading.\na = \"1\"\nb = \"1#2\"\nc = \"1\" # why\n";
        let offences = listed(dependencies_are_explained, &Tree::from([("Cargo.toml", root)]));
        let what = "a dependency without a comment on what it is for";
        assert_eq!(offences, [4, 5].map(|line| format!("Cargo.toml:{line}: {what}")));
    }

    #[test]
    fn an_allowed_lint_says_why() {
        let root = "[workspace.lints.clippy]\n# Why.\na = \"allow\"\nb = \"allow\"\n\nc = \"allow\" # why\nd = \"warn\"\n";
        let offences = listed(allowed_lints_are_explained, &Tree::from([("Cargo.toml", root)]));
        assert_eq!(offences, ["Cargo.toml:4: a lint is allowed without a comment on why"]);
    }
}
