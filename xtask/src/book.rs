//! The book: `docs/` as pages to be read and searched in a browser, with the library's own documentation inside.
//!
//! mdBook makes it from a copy of the folder, because two kinds of links mean something else in a book than in a checkout: one
//! to a crate's `src/lib.rs` leads to the crate's documentation, and any other that leaves `docs/` to the repository.
//! Behind that, every link between two pages must lead somewhere.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{Workspace, step, tree};

/// Makes the book in `target/book`.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mdbook = mdbook(workspace)?;
    let source = workspace.target.join("xtask-book").join("source");
    let book = workspace.target.join("book");
    tree::make_empty(&source)?;
    copy_pages(&workspace.root, &source)?;
    let mut build = Command::new(mdbook);
    step::run(build.arg("build").arg(&source).arg("--dest-dir").arg(&book))?;

    let mut doc = step::cargo(workspace, &["doc", "--quiet", "--no-deps"]);
    doc.args(LIBRARIES.iter().flat_map(|name| ["--package", name]));
    // As the step of CI before this one, so that nothing is built twice.
    step::run(doc.env("RUSTDOCFLAGS", "--deny warnings"))?;
    copy_folder(&workspace.target.join("doc"), &book.join("api"))?;

    let lost = lost_links(&pages(&book)?);
    ensure!(lost.is_empty(), "links of the book lead nowhere\n{}", lost.join("\n"));
    println!("{}", book.join("index.html").display());
    Ok(())
}

/// The program, which is installed into the target folder if it is not there.
fn mdbook(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.target.join("xtask-book").join(format!("mdbook-{MDBOOK_VERSION}"));
    let program = root.join("bin").join(format!("mdbook{}", env::consts::EXE_SUFFIX));
    if !program.exists() {
        // Without its server, which is most of it.
        let install = ["install", "mdbook", "--locked", "--version", MDBOOK_VERSION];
        let mut command = step::cargo(workspace, &install);
        command.args(["--no-default-features", "--features", "search", "--root"]).arg(&root);
        // A target folder is kept, and this one is used once.
        step::run(command.env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(program)
}

/// Copies `docs/`, with the links of its pages as they are in a book.
fn copy_pages(root: &Path, into: &Path) -> Result<()> {
    for path in tree::paths(&root.join("docs"))? {
        let from = root.join("docs").join(&path);
        let to = into.join(&path);
        fs::create_dir_all(to.parent().unwrap_or(into))?;
        if has_extension(&path, "md") && path != "SUMMARY.md" {
            let text = fs::read_to_string(&from).with_context(|| format!("reading docs/{path}"))?;
            fs::write(&to, in_a_book(&text, &path))
        } else {
            fs::copy(&from, &to).map(|_| ())
        }
        .with_context(|| format!("writing {}", to.display()))?;
    }
    Ok(())
}

/// A page of `docs/` with links as a book has them. `path` is its path below that folder.
fn in_a_book(text: &str, path: &str) -> String {
    let up = "../".repeat(path.matches('/').count());
    let mut parts = text.split("](");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (target, behind) = part.split_at(part.find(')').unwrap_or(part.len()));
        page.extend(["](", &target_in_a_book(target, &up), behind]);
    }
    page
}

/// What a link leads to. `up` leads from its page to `docs/`.
fn target_in_a_book(target: &str, up: &str) -> String {
    if let Some(outside) = target.strip_prefix(up).and_then(|path| path.strip_prefix("../")) {
        let documented = outside.strip_prefix("crates/").and_then(|path| path.strip_suffix("/src/lib.rs"));
        match documented {
            Some(name) => format!("{up}api/{}/index.html", name.replace('-', "_")),
            None => format!("{REPOSITORY}/{outside}"),
        }
    } else if let Some(folder) = target.strip_suffix("README.md") {
        // The page of a folder.
        format!("{folder}index.html")
    } else {
        target.to_owned()
    }
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

fn copy_folder(from: &Path, into: &Path) -> Result<()> {
    tree::make_empty(into)?;
    for path in tree::paths(from)? {
        let to = into.join(&path);
        fs::create_dir_all(to.parent().unwrap_or(into))?;
        fs::copy(from.join(&path), &to).with_context(|| format!("copying {path}"))?;
    }
    Ok(())
}

/// All files of the book by their paths; with their texts those that are pages of ours.
fn pages(book: &Path) -> Result<BTreeMap<String, Option<String>>> {
    let paths = tree::paths(book)?.into_iter();
    paths
        .map(|path| {
            let ours = has_extension(&path, "html") && !path.starts_with("api/") && path != NOT_FOUND;
            let text = ours.then(|| fs::read_to_string(book.join(&path))).transpose();
            text.with_context(|| format!("reading {path}")).map(|text| (path, text))
        })
        .collect()
}

/// The links of the pages, as `page: link`, whose file is not there, or not with that heading.
fn lost_links(files: &BTreeMap<String, Option<String>>) -> Vec<String> {
    let mut lost = Vec::new();
    for (path, page) in files.iter().filter_map(|(path, text)| Some((path, text.as_deref()?))) {
        for target in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let resolved = if file.is_empty() { Some(path.clone()) } else { tree::resolve(path, file) };
            let found = resolved.and_then(|file| files.get(&file));
            let there = match found {
                None => false,
                Some(None) => true,
                Some(Some(text)) => heading.is_empty() || text.contains(&format!("id=\"{heading}\"")),
            };
            if !there && !target.contains(':') {
                lost.push(format!("{path}: {target}"));
            }
        }
    }
    lost
}

const MDBOOK_VERSION: &str = "0.5.4";
/// Where what lies outside of the book is read.
const REPOSITORY: &str = "https://github.com/codexdb/codexdb/blob/main";
/// The crates whose documentation is in the book.
const LIBRARIES: [&str; 4] = ["codex", "codex-backup", "codex-storage", "codex-crypto"];
/// The page that a server shows for what is missing: its links begin at the server's root.
const NOT_FOUND: &str = "404.html";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_folder_lead_to_the_repository_or_to_the_documentation() {
        let text = "[a](b.md) [c](../SECURITY.md), [d](../crates/codex-storage/src/lib.rs)";
        let expected = format!("[a](b.md) [c]({REPOSITORY}/SECURITY.md), [d](api/codex_storage/index.html)");
        assert_eq!(in_a_book(text, "page.md"), expected);
    }

    #[test]
    fn a_page_in_a_folder_leaves_docs_by_one_step_more() {
        let text = "[a](../b.md) [c](../../SECURITY.md) [d](../../crates/codex/src/lib.rs) [e](../README.md)";
        let expected = format!(
            "[a](../b.md) [c]({REPOSITORY}/SECURITY.md) [d](../api/codex/index.html) [e](../index.html)"
        );
        assert_eq!(in_a_book(text, "how-to/page.md"), expected);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named_with_its_page() {
        let page = r##"<a href="b.html">b</a> <a href="b.html#gone">c</a> <a href="../outside">d</a>
            <a href="#here" id="here">e</a> <a href="gone.html">f</a> <a href="https://example.org/">g</a>
            <a href="c.css">h</a>"##;
        let files = [("a.html", Some(page)), ("b.html", Some("")), ("c.css", None)];
        let files = files.map(|(path, text)| (path.to_owned(), text.map(str::to_owned)));
        let expected = ["a.html: b.html#gone", "a.html: ../outside", "a.html: gone.html"];
        assert_eq!(lost_links(&BTreeMap::from(files)), expected);
    }
}
