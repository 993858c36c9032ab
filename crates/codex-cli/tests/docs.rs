//! The sessions that the documents show are run as they stand.
//!
//! In a block of kind `console`, a line that begins with `$ ` is a command, one that begins with `> ` continues it, and
//! the lines behind are what it prints on standard output; `…` in them stands for any text of one line. The
//! blocks of one document share a folder and a shell. A command may fail only where it redirects its
//! errors or goes on behind them, and so shows that it fails.

mod common;

use std::fs;

use common::{Scratch, stderr, stdout};

#[test]
fn every_session_of_the_command_line_reference_is_true() {
    check("docs/cli.md", 20);
}

#[test]
fn every_session_of_the_tutorial_is_true() {
    check("docs/tutorial.md", 20);
}

#[test]
fn every_session_of_the_how_to_pages_is_true() {
    for (page, steps_min) in [
        ("docs/how-to/choosing.md", 5),
        ("docs/how-to/keys.md", 20),
        ("docs/how-to/recovering.md", 20),
        ("docs/how-to/programs.md", 3),
        ("docs/how-to/auditing.md", 10),
        ("docs/how-to/operating.md", 5),
    ] {
        check(page, steps_min);
    }
}

#[test]
fn every_session_of_the_page_on_backups_is_true() {
    check("docs/backups.md", 10);
}

#[test]
fn every_session_of_the_evidence_walk_through_is_true() {
    check("docs/evidence.md", 20);
}

#[test]
fn every_session_of_the_migration_guide_is_true() {
    let scratch = Scratch::new();
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/codexdb-go");
    for sample in ["ledger-plain-none.db", "snapshot-aes256-zstd.db"] {
        fs::copy(format!("{samples}/{sample}"), scratch.path(sample)).expect("it is in the repository");
    }
    check_in(&scratch, "docs/migrating.md", 10);
}

#[test]
fn every_session_of_the_crate_readme_is_true() {
    check("crates/codex-cli/README.md", 5);
}

#[test]
fn every_session_of_the_project_readme_is_true() {
    check("README.md", 5);
}

/// One command of a document, and what it is said to print.
#[derive(Debug)]
struct Step {
    line: usize,
    command: String,
    printed: Vec<String>,
}

/// Runs every session of a document, which has at least `steps_min` commands.
fn check(document: &str, steps_min: usize) {
    check_in(&Scratch::new(), document, steps_min);
}

/// The same in a folder that holds what the document begins with.
fn check_in(scratch: &Scratch, document: &str, steps_min: usize) {
    let path = format!("{}/../../{document}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).expect("the document is in the repository");
    let steps = steps(&text);
    assert!(steps.len() >= steps_min, "{document} shows {} commands", steps.len());

    let mut script = String::from("PATH=$(dirname \"$CODEX\"):$PATH\n");
    for step in &steps {
        // Each on a line of its own, so that a marker never runs into what a command printed.
        script.extend([&step.command, "\nprintf '\\n", MARKER, "%s\\n' $?\n"]);
    }
    let output = scratch.sh(&script);
    let printed = stdout(&output);
    let mut rest = printed.as_str();
    for step in steps {
        let place = format!("{document}, line {}: {}", step.line, step.command);
        let (before, after) = rest.split_once(&format!("\n{MARKER}")).unwrap_or_else(|| {
            panic!("{place}: the shell ended: {}", stderr(&output));
        });
        let (status, behind) = after.split_once('\n').expect("a marker ends its line");
        let may_fail = step.command.contains("2>") || step.command.contains("; echo $?");
        assert!(status == "0" || may_fail, "{place}: status {status}: {}", stderr(&output));
        let lines: Vec<_> = before.lines().collect();
        let agree = lines.len() == step.printed.len()
            && lines.iter().zip(&step.printed).all(|(line, pattern)| matches(line, pattern));
        assert!(agree, "{place}\nsays {:#?}\nbut prints {lines:#?}\n{}", step.printed, stderr(&output));
        rest = behind;
    }
}

/// The commands of all console blocks.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside && line == "```console";
        } else if inside {
            let last = steps.last_mut();
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step { line: index + 1, command: command.to_owned(), printed: Vec::new() });
            } else if let (Some(more), Some(step)) = (line.strip_prefix("> "), last) {
                step.command = format!("{}\n{more}", step.command);
            } else {
                let step = steps.last_mut().expect("a session begins with a command");
                step.printed.push(line.to_owned());
            }
        }
    }
    steps
}

/// Whether a line is what the document says, with any text where it has `…`.
fn matches(line: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

/// Stands in no document.
const MARKER: &str = "--- end of a step, with status ";

#[test]
fn a_session_that_is_not_true_is_found() {
    assert!(matches("1 a9f0 b", "1 … b") && matches("x", "…") && matches("12", "12"));
    assert!(!matches("1 a9f0 c", "1 … b") && !matches("123", "12") && !matches("12", "123"));
    assert!(!matches("a b", "a…c…b"));
    let steps = steps("text\n```sh\n$ no\n```\n```console\n$ yes\n> more\nout\n\n$ last\n```\nmore\n");
    assert_eq!(steps.len(), 2, "{steps:?}");
    assert_eq!((steps[0].command.as_str(), steps[0].line), ("yes\nmore", 6));
    assert_eq!(steps[0].printed, ["out", ""]);
    assert!(steps[1].printed.is_empty(), "what stands outside of a block is not output");
}
