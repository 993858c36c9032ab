//! The architecture's invariants, held against the sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// A word, the folder in which it may not stand, and the files in which it may.
const WORDS: [(&str, &str, &[&str]); 6] = [
    ("std::fs", "crates/codex-storage/src", &["vfs/os.rs"]),
    ("std::sync", "crates/codex-storage/src", &["sync.rs"]),
    ("SystemTime", "crates/codex-storage/src", &["clock.rs", "vfs/os.rs"]),
    ("Instant", "crates/codex-storage/src", &["clock.rs"]),
    ("std::fs", "crates/codex-crypto/src", &[]),
    ("std::thread", "crates/codex-crypto/src", &[]),
];

/// The crates from the lowest layer up: each may depend on those before it only.
const LAYERS: [&str; 5] = ["codex-crypto", "codex-storage", "codex-backup", "codex", "codex-cli"];

pub(crate) fn run() -> Result<()> {
    let mut faults = Vec::new();
    for (word, folder, exceptions) in WORDS {
        for file in sources(Path::new(folder))? {
            let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            if !exceptions.iter().any(|name| file.ends_with(name)) && names(&text, word) {
                faults.push(format!("{} names {word}", file.display()));
            }
        }
    }
    for (level, name) in LAYERS.iter().enumerate() {
        let path = format!("crates/{name}/Cargo.toml");
        let manifest = fs::read_to_string(&path).context(path.clone())?;
        let above = LAYERS[level + 1..].iter().filter(|other| depends_on(&manifest, other));
        faults.extend(above.map(|other| format!("{name} depends on {other}, which stands above it")));
        if !manifest.contains("[lints]\nworkspace = true") {
            faults.push(format!("{path} does not take the workspace's lints"));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// Whether code names a word; comments may.
fn names(text: &str, word: &str) -> bool {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| line.contains(word))
}

fn depends_on(manifest: &str, name: &str) -> bool {
    manifest.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(name))
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_code_is_a_fault_and_in_a_comment_is_not() {
        assert!(names("use std::fs;\n", "std::fs"));
        assert!(!names("//! Only this module names std::fs.\n", "std::fs"));
    }

    #[test]
    fn a_dependency_on_a_layer_above_is_seen_by_its_whole_name() {
        assert!(depends_on("[dependencies]\ncodex.workspace = true\n", "codex"));
        assert!(!depends_on("[dependencies]\ncodex-crypto.workspace = true\n", "codex"));
    }
}
