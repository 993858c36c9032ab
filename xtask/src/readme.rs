//! The commands that README.md tells its readers to run: its blocks marked `sh`.
//!
//! The block that tests is CI's test step; the others are run in order in a copy of the project, which they may
//! change. A session that the README only shows, with its output, is marked `console` and not run.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Workspace, step, tree};

/// The README's command that runs the tests.
pub(crate) fn tests(workspace: &Workspace) -> Result<Command> {
    let readme = read(workspace)?;
    Ok(shell(workspace, &workspace.root, commands(&readme)?.tests))
}

/// Runs the README's other commands.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let scratch = workspace.target.join("xtask-readme");
    tree::make_empty(&scratch.join("home"))?;
    let checkout = scratch.join("checkout");
    mirror(&workspace.root, &checkout)?;
    for script in commands(&read(workspace)?)?.others {
        println!("-- {}", script.trim_end().replace('\n', "\n   "));
        step::run(shell(workspace, &checkout, script).env("CODEX_HOME", scratch.join("home")))?;
    }
    Ok(())
}

fn read(workspace: &Workspace) -> Result<String> {
    fs::read_to_string(workspace.root.join("README.md")).context("reading README.md")
}

fn shell(workspace: &Workspace, folder: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(folder).env("CARGO_TARGET_DIR", &workspace.target);
    command
}

#[derive(Debug, PartialEq, Eq)]
struct Commands<'a> {
    tests: &'a str,
    others: Vec<&'a str>,
}

/// The `sh` blocks of `readme`. Exactly one of them must run the tests, and there must be others.
fn commands(readme: &str) -> Result<Commands<'_>> {
    let (tests, others): (Vec<_>, Vec<_>) =
        blocks(readme, "sh").into_iter().partition(|block| block.contains("cargo test"));
    ensure!(!others.is_empty(), "README.md has no `sh` block beside the one that runs the tests");
    match tests[..] {
        [tests] => Ok(Commands { tests, others }),
        [] => bail!("README.md has no `sh` block that runs `cargo test`"),
        _ => bail!("README.md runs `cargo test` in {} blocks, and CI should test once", tests.len()),
    }
}

/// The contents of the code blocks of `markdown` that are marked with `language`. One that is not closed goes on to the
/// end (`CommonMark`, section 4.5).
pub(crate) fn blocks<'a>(markdown: &'a str, language: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut open: Option<(&str, usize)> = None;
    let mut offset = 0;
    for line in markdown.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let Some(mark) = line.trim_end().strip_prefix("```") else { continue };
        match open.take() {
            None => open = Some((mark, offset)),
            Some((opened, content)) if opened == language => found.push(&markdown[content..start]),
            Some(_) => {}
        }
    }
    if let Some((opened, content)) = open
        && opened == language
    {
        found.push(&markdown[content..]);
    }
    found
}

/// Makes the folder `into` hold the project's files and nothing else.
///
/// Files that are the same already are not touched, so that cargo builds only what has changed.
pub(crate) fn mirror(root: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    let paths = tree::paths(root)?;
    for path in tree::paths(into)?.iter().filter(|path| paths.binary_search(path).is_err()) {
        fs::remove_file(into.join(path)).with_context(|| format!("removing {path}"))?;
    }
    for path in &paths {
        let (from, to) = (root.join(path), into.join(path));
        let bytes = fs::read(&from).with_context(|| format!("reading {path}"))?;
        // What cannot be read is as good as missing; should it be in the way, copying says so.
        if fs::read(&to).ok() != Some(bytes) {
            fs::create_dir_all(to.parent().unwrap_or(into))?;
            fs::copy(&from, &to).with_context(|| format!("copying {path}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_marked_sh_are_commands() {
        let readme = "a\n```sh\ntour one\n  two\n```\n```console\n$ shown\n```\n```\nplain\n```\n```sh\ncargo test\n```\n";
        let expected = Commands { tests: "cargo test\n", others: vec!["tour one\n  two\n"] };
        assert_eq!(commands(readme).unwrap(), expected);
    }

    #[test]
    fn blocks_are_told_by_their_language_and_one_that_is_not_closed_goes_on_to_the_end() {
        let markdown = "```sh\na\n```\nb\n```console\nc\n```\n```sh\nd\ne\n";
        assert_eq!(blocks(markdown, "sh"), ["a\n", "d\ne\n"]);
        assert_eq!(blocks(markdown, "console"), ["c\n"]);
    }

    #[test]
    fn a_readme_without_its_two_commands_is_an_error() {
        let message = |readme| commands(readme).unwrap_err().to_string();
        assert_eq!(message("```sh\ntour\n```\n"), "README.md has no `sh` block that runs `cargo test`");
        assert_eq!(
            message("```sh\ncargo test\n```\n"),
            "README.md has no `sh` block beside the one that runs the tests"
        );
        assert_eq!(
            message("```sh\ntour\n```\n```sh\ncargo test\n```\n```sh\ncargo test\n```\n"),
            "README.md runs `cargo test` in 2 blocks, and CI should test once"
        );
    }

    #[test]
    fn a_command_that_fails_within_a_block_fails_the_block() {
        let root = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: root.path().into(), target: root.path().join("target") };
        fs::write(root.path().join("README.md"), "```sh\nfalse\ntrue\n```\n```sh\ncargo test\n```\n")
            .unwrap();
        let error = run(&workspace).unwrap_err();
        assert!(error.to_string().contains("false\ntrue\n"), "{error}");
    }

    #[test]
    fn commands_run_in_a_copy_that_each_run_makes_anew() {
        let root = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: root.path().into(), target: root.path().join("target") };
        let readme = "```sh\ntest ! -e made\necho changed > kept; touch made $CODEX_HOME/app\n```\n```sh\ncargo test\n```\n";
        fs::write(root.path().join("README.md"), readme).unwrap();
        fs::write(root.path().join("kept"), "as it was").unwrap();
        run(&workspace).unwrap();
        run(&workspace).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("kept")).unwrap(), "as it was");
        assert!(!root.path().join("made").exists());
    }
}
