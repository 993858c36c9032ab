//! The crates' order: each may depend on those below it only.

use super::Offence;
use super::manifests::{entries, members};
use crate::tree::Tree;

/// From the lowest layer up. What is not among them stands beside them, and nothing may depend on it.
const LAYERS: [&str; 5] = ["codex-crypto", "codex-storage", "codex-backup", "codex", "codex-cli"];

pub(super) fn dependencies_point_one_way(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    let packages: Vec<_> =
        members(tree).map(|(path, manifest)| (path, manifest, package(manifest))).collect();
    for (path, manifest, name) in &packages {
        let level = LAYERS.iter().position(|layer| layer == name);
        if level.is_none() && path.starts_with("crates/") {
            offences.push(Offence::new(path, 1, format!("{name} has no place among the layers")));
        }
        let level = level.unwrap_or(LAYERS.len());
        for entry in entries(manifest) {
            let Some(other) = entry.dependency() else { continue };
            let ours = packages.iter().any(|(_, _, name)| *name == other);
            let below = LAYERS[..level].contains(&other);
            if ours && !below {
                let what = format!("{name} depends on {other}, which is not below it");
                offences.push(Offence::new(path, entry.line, what));
            }
        }
    }
    offences
}

fn package(manifest: &str) -> &str {
    let name = entries(manifest).into_iter().find(|entry| entry.key == "package.name");
    name.map_or("a package without a name", |entry| entry.value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::super::listed;
    use super::*;

    /// The offences of storage, with these lines at its manifest's end, among its neighbours.
    fn of_storage(dependencies: &str) -> Vec<String> {
        let storage = format!("[package]\nname = \"codex-storage\"\n{dependencies}");
        let tree = Tree::from([
            ("crates/codex-crypto/Cargo.toml", "[package]\nname = \"codex-crypto\"\n"),
            ("crates/codex-storage/Cargo.toml", storage.as_str()),
            ("crates/codex/Cargo.toml", "[package]\nname = \"codex\"\n"),
            ("xtask/Cargo.toml", "[package]\nname = \"xtask\"\n[dependencies]\ncodex.workspace = true\n"),
        ]);
        listed(dependencies_point_one_way, &tree)
    }

    #[test]
    fn a_layer_may_depend_on_those_below_and_on_crates_from_outside() {
        assert_eq!(
            of_storage("[dependencies]\ncodex-crypto.workspace = true\nserde.workspace = true\n"),
            [""; 0]
        );
    }

    #[test]
    fn no_kind_of_dependency_may_point_up_aside_or_at_itself() {
        let offence = |line, other: &str| {
            vec![format!(
                "crates/codex-storage/Cargo.toml:{line}: codex-storage depends on {other}, which is not below it"
            )]
        };
        assert_eq!(of_storage("[dependencies]\ncodex.workspace = true\n"), offence(4, "codex"));
        assert_eq!(of_storage("[dependencies.codex]\nworkspace = true\n"), offence(4, "codex"));
        assert_eq!(of_storage("[dev-dependencies]\ncodex = { path = \"x\" }\n"), offence(4, "codex"));
        assert_eq!(of_storage("[target.'cfg(loom)'.dependencies]\nxtask = \"1\"\n"), offence(4, "xtask"));
        assert_eq!(of_storage("[build-dependencies]\ncodex-storage = \"1\"\n"), offence(4, "codex-storage"));
    }

    #[test]
    fn a_new_crate_is_given_a_place() {
        let tree = Tree::from([("crates/codex-sql/Cargo.toml", "[package]\nname = \"codex-sql\"\n")]);
        let expected = ["crates/codex-sql/Cargo.toml:1: codex-sql has no place among the layers"];
        assert_eq!(listed(dependencies_point_one_way, &tree), expected);
    }
}
