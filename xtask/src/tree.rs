//! The project's files as text, so that checks are functions over a tree that tests can write down.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Every file below the workspace's folder, by its path from there; folders are parted by `/`.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// `None` for a file that is not text.
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads every file that [`paths`] finds.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for path in paths(root)? {
            let bytes = fs::read(root.join(&path)).with_context(|| format!("reading {path}"))?;
            files.insert(path, String::from_utf8(bytes).ok());
        }
        Ok(Self { files })
    }

    /// The paths and contents of all files that are text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The files that are text and whose names end in `extension`, which is given with its dot.
    pub(crate) fn texts_of(&self, extension: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| path.ends_with(extension))
    }

    /// The text of the file at `path`.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Whether `path` is a file, or a folder that holds one.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        let inside =
            self.files.range(folder.clone()..).next().is_some_and(|(path, _)| path.starts_with(&folder));
        path.is_empty() || inside || self.files.contains_key(path)
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Tree {
    fn from(files: [(&str, &str); N]) -> Self {
        let files = files.into_iter().map(|(path, text)| (path.to_owned(), Some(text.to_owned())));
        Self { files: files.collect() }
    }
}

/// The paths of the project's files below `root`, sorted, folders parted by `/`. What cargo builds, git's own files
/// and those of editors stay out.
pub(crate) fn paths(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let place = root.join(&folder);
        for entry in fs::read_dir(&place).with_context(|| format!("listing {}", place.display()))? {
            let entry = entry?;
            // A name that is not text cannot be one of the project's.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let kind = entry.file_type()?;
            if NOT_THE_PROJECTS.contains(&name.as_str()) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The path, from the folder that all paths start at, of what the file at `from` calls `target`; `None` if that lies outside.
pub(crate) fn resolve(from: &str, target: &str) -> Option<String> {
    let mut folders: Vec<&str> = from.split('/').collect();
    folders.pop();
    for name in target.trim_end_matches('/').split('/') {
        match name {
            "." => {}
            ".." => drop(folders.pop()?),
            name => folders.push(name),
        }
    }
    Some(folders.join("/"))
}

/// Makes `folder` an empty folder, whatever it was before.
pub(crate) fn make_empty(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
    .with_context(|| format!("emptying {}", folder.display()))
}

/// What a file of JSON holds.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))
}

/// What no check looks into: git's (in a second worktree a file), cargo's and the editors' folders.
const NOT_THE_PROJECTS: [&str; 4] = [".git", "target", ".idea", ".vscode"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_when_it_holds_a_file() {
        let tree = Tree::from([("docs/cli.md", ""), ("docs-old.md", "")]);
        assert!(tree.has("docs") && tree.has("docs/cli.md") && tree.has(""));
        assert!(!tree.has("doc") && !tree.has("docs/cli") && !tree.has("docs-"));
    }

    #[test]
    fn reading_skips_what_cargo_builds_and_keeps_what_is_not_text_without_its_content() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["target/debug", ".git", "src"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for path in ["target/debug/built.rs", ".git/HEAD", "src/lib.rs", ".gitignore"] {
            fs::write(root.path().join(path), "text").unwrap();
        }
        fs::write(root.path().join("src/vector.bin"), [0xff]).unwrap();

        let tree = Tree::read(root.path()).unwrap();
        assert_eq!(tree.texts().map(|(path, _)| path).collect::<Vec<_>>(), [".gitignore", "src/lib.rs"]);
        assert!(tree.has("src/vector.bin") && tree.text("src/vector.bin").is_none());
    }
}
