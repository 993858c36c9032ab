//! What the documents refer to, and what no file may give away.

use super::Offence;
use crate::readme::blocks;
use crate::tree::{self, Tree};

/// Every link of a document leads to a file of the project and, with `#`, to one of its headings; and every document
/// below `docs/` that any file mentions is there.
pub(super) fn links_lead_somewhere(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, text) in tree.texts_of(".md") {
        for (line, target) in links(text) {
            if !leads_somewhere(tree, path, target) {
                offences.push(Offence::new(path, line, format!("the link to {target} leads nowhere")));
            }
        }
    }
    // This program's own tests mention what is not there.
    for (path, text) in tree.texts().filter(|(path, _)| !path.starts_with("xtask/src/")) {
        for (line, document) in mentions(text) {
            if !tree.has(document) {
                offences.push(Offence::new(path, line, format!("{document} is mentioned and missing")));
            }
        }
    }
    offences
}

/// The targets of the links in `markdown`, without those to other sites and, as rustdoc has them, to Rust items.
fn links(markdown: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (line, text) in outside_code(markdown) {
        let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let defined =
            text.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target.trim());
        let targets = inline.chain(defined);
        found.extend(targets.filter(|target| !target.contains(':')).map(|target| (line, target)));
    }
    found
}

/// The lines of `markdown` outside its code blocks, counted from 1.
fn outside_code(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    markdown.lines().enumerate().filter_map(move |(index, text)| {
        let fence = text.trim_start().starts_with("```");
        in_code ^= fence;
        (!in_code && !fence).then_some((index + 1, text))
    })
}

fn leads_somewhere(tree: &Tree, from: &str, target: &str) -> bool {
    let (file, heading) =
        target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let resolved = if file.is_empty() { Some(from.to_owned()) } else { tree::resolve(from, file) };
    let Some(path) = resolved.filter(|path| tree.has(path)) else { return false };
    heading.is_none_or(|heading| tree.text(&path).is_some_and(|text| headings(text).any(|it| it == heading)))
}

/// The headings of `markdown` as links name them: small letters, spaces as hyphens, without other signs.
fn headings(markdown: &str) -> impl Iterator<Item = String> {
    outside_code(markdown).filter_map(|(_, text)| {
        let heading = text.trim_start_matches('#').strip_prefix(' ').filter(|_| text.starts_with('#'))?;
        let kept = heading.trim().chars().filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign));
        Some(kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect::<String>().to_lowercase())
    })
}

/// The documents below `docs/` that `text` mentions.
fn mentions(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (begin, _) in line.match_indices("docs/") {
            let len = line[begin..].find(|sign: char| !is_of_path(sign)).unwrap_or(line.len() - begin);
            let document = &line[begin..begin + len];
            // A link is not a mention, and what follows a path's sign is a part of another path.
            let whole = !line[..begin].ends_with(|sign| is_of_path(sign) || sign == '(');
            if let Some(end) = document.find(".md").filter(|_| whole) {
                found.push((index + 1, &document[..end + ".md".len()]));
            }
        }
    }
    found
}

fn is_of_path(sign: char) -> bool {
    sign.is_alphanumeric() || "/._-".contains(sign)
}

/// Every page below `docs/` stands in the book's list, and one that shows Rust among those that are tested.
pub(super) fn every_page_is_in_the_book(tree: &Tree) -> Vec<Offence> {
    let listed = |path, line: String| tree.text(path).is_some_and(|text| text.contains(&line));
    let mut offences = Vec::new();
    for (path, text) in tree.texts_of(".md") {
        let Some(page) = path.strip_prefix("docs/").filter(|page| *page != "SUMMARY.md") else { continue };
        if !listed(SUMMARY, format!("]({page})")) {
            offences.push(Offence::new(path, 1, format!("does not stand in {SUMMARY}")));
        }
        if text.lines().any(|line| line == "```rust") && !listed(TESTED_PAGES, format!("/docs/{page}\")]")) {
            offences.push(Offence::new(path, 1, format!("shows Rust that {TESTED_PAGES} does not test")));
        }
    }
    offences
}

/// A session is run wherever it is shown.
pub(super) fn every_session_is_run(tree: &Tree) -> Vec<Offence> {
    let run = tree.text(RUN_SESSIONS).unwrap_or_default();
    let shown = tree.texts_of(".md").filter(|(_, text)| !blocks(text, "console").is_empty());
    let not_run = shown.filter(|(path, _)| !run.contains(&format!("\"{path}\"")));
    not_run
        .map(|(path, _)| Offence::new(path, 1, format!("shows a session that {RUN_SESSIONS} does not run")))
        .collect()
}

/// How much the documents show that is run: what the checks above let through is.
pub(super) fn shown(tree: &Tree) -> String {
    let documents = || tree.texts_of(".md").map(|(_, text)| text);
    let commands = documents().flat_map(|text| blocks(text, "console")).flat_map(str::lines);
    let commands = commands.filter(|line| line.starts_with("$ ")).count();
    let programs = documents().flat_map(str::lines).filter(|line| *line == "```rust").count();
    let examples = tree.texts_of(".out").filter(|(path, _)| path.contains("examples/")).count();
    format!("the documents show {commands} commands and {programs} programs, beside {examples} examples")
}

const RUN_SESSIONS: &str = "crates/codex-cli/tests/docs.rs";
const SUMMARY: &str = "docs/SUMMARY.md";
const TESTED_PAGES: &str = "crates/codex/src/book.rs";

/// No file names a folder of a machine that it was written on: it would be wrong everywhere else. Examples that need
/// somebody's folder take Ada's.
pub(super) fn no_path_of_a_machine(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, text) in tree.texts() {
        for (index, line) in text.lines().enumerate() {
            for folder in FOLDERS_OF_MACHINES {
                let named = |(begin, _): (usize, &str)| {
                    // Behind a word it is a part of another path or of an address.
                    let whole = !line[..begin].ends_with(is_of_path);
                    whole && !line[begin + folder.len()..].starts_with("ada")
                };
                if line.match_indices(folder).any(named) {
                    offences.push(Offence::new(
                        path,
                        index + 1,
                        format!("names a folder of a machine, {folder}…"),
                    ));
                }
            }
        }
    }
    offences
}

/// In parts, so that this file does not name them.
const FOLDERS_OF_MACHINES: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!(r"\Us", r"ers\"),
];

#[cfg(test)]
mod tests {
    use super::super::listed;
    use super::*;

    #[test]
    fn a_link_leads_to_a_file_or_a_folder_of_the_project() {
        let text = "[a](b.md) [c](../LICENSE) [d](../docs/)\n[e](gone.md) and [f](../../outside)\n[g]: also-gone.md\n";
        let tree = Tree::from([("docs/a.md", text), ("docs/b.md", ""), ("LICENSE", "")]);
        assert_eq!(
            listed(links_lead_somewhere, &tree),
            ["2: the link to gone.md", "2: the link to ../../outside", "3: the link to also-gone.md"]
                .map(|offence| format!("docs/a.md:{offence} leads nowhere"))
        );
    }

    #[test]
    fn a_link_with_a_heading_leads_to_that_heading() {
        let text =
            "# One `write`, one read\n[a](#one-write-one-read) [b](#two) [c](b.md#three) [d](b.md#four)\n";
        let tree = Tree::from([("docs/a.md", text), ("docs/b.md", "## Three\n```text\n# Four\n```\n")]);
        assert_eq!(
            listed(links_lead_somewhere, &tree),
            [
                "docs/a.md:2: the link to #two leads nowhere",
                "docs/a.md:2: the link to b.md#four leads nowhere"
            ]
        );
    }

    #[test]
    fn links_to_other_sites_to_rust_items_and_in_code_are_left_alone() {
        let text = "[a](https://example.org/b.md) [c](crate::Store)\n```rust\nf[0](d);\n```\n";
        assert_eq!(listed(links_lead_somewhere, &Tree::from([("docs/a.md", text)])), [""; 0]);
    }

    #[test]
    fn a_document_that_code_mentions_is_there() {
        let code = "//! `docs/there.md`, \"Keys\". See docs/gone.md.\n// https://example.org/docs/else.md docs/*.md\n";
        let tree = Tree::from([("a.rs", code), ("docs/there.md", "")]);
        assert_eq!(listed(links_lead_somewhere, &tree), ["a.rs:1: docs/gone.md is mentioned and missing"]);
    }

    #[test]
    fn a_page_is_in_the_book_and_its_programs_are_tested() {
        let rust = "text\n```rust\ncode();\n```\n";
        let tree = Tree::from([
            ("docs/SUMMARY.md", "- [A](a.md)\n- [B](to/b.md)\n"),
            ("docs/a.md", rust),
            ("docs/to/b.md", rust),
            ("docs/c.md", "text\n"),
            ("crates/codex/src/book.rs", "#[doc = include_str!(\"../../../docs/a.md\")]\nstruct A;\n"),
            ("crates/codex/README.md", rust),
        ]);
        assert_eq!(
            listed(every_page_is_in_the_book, &tree),
            [
                "docs/c.md:1: does not stand in docs/SUMMARY.md",
                "docs/to/b.md:1: shows Rust that crates/codex/src/book.rs does not test",
            ]
        );
    }

    #[test]
    fn a_session_that_is_not_run_is_found_and_those_that_are_can_be_counted() {
        let text =
            "```sh\n$ no\n```\n$ no\n```console\n$ yes\n> more\nout\n$ last\n```\n```rust\ncode();\n```\n";
        let tree = Tree::from([
            ("README.md", text),
            ("docs/a.md", text),
            ("docs/b.md", "```sh\n$ no\n```\n"),
            ("examples/a.out", ""),
            ("crates/codex-cli/tests/docs.rs", "check(\"docs/a.md\", 1);"),
        ]);
        assert_eq!(
            listed(every_session_is_run, &tree),
            ["README.md:1: shows a session that crates/codex-cli/tests/docs.rs does not run"]
        );
        assert_eq!(shown(&tree), "the documents show 4 commands and 2 programs, beside 1 examples");
    }

    #[test]
    fn no_file_names_a_folder_of_a_machine() {
        for folder in FOLDERS_OF_MACHINES {
            let text = format!("a\nopen \"{folder}builder/app.db\"\n");
            let expected = [format!("a.sh:2: names a folder of a machine, {folder}…")];
            assert_eq!(listed(no_path_of_a_machine, &Tree::from([("a.sh", text.as_str())])), expected);
        }
        let adas = FOLDERS_OF_MACHINES.map(|folder| format!("open {folder}ada/app.db")).join("\n");
        assert_eq!(listed(no_path_of_a_machine, &Tree::from([("a.sh", adas.as_str())])), [""; 0]);
        let parts = FOLDERS_OF_MACHINES.map(|folder| format!("https://example.org{folder}a")).join("\n");
        assert_eq!(listed(no_path_of_a_machine, &Tree::from([("a.sh", parts.as_str())])), [""; 0]);
    }
}
