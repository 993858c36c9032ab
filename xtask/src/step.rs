//! One check as a process: named, timed, and its test summaries kept for the end.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::Workspace;

/// Cargo over the whole workspace, with one target folder whatever folder it is started in.
pub(crate) fn cargo(workspace: &Workspace, arguments: &[&str]) -> Command {
    // The cargo that started this program, so that a chosen toolchain stays chosen.
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(&workspace.root).env("CARGO_TARGET_DIR", &workspace.target);
    command
}

/// Runs `command` with its output shown as it comes; an unsuccessful end is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// As [`run`], and also returns the lines with which cargo sums up each test binary that had a test to run.
pub(crate) fn run_tests(command: &mut Command) -> Result<Vec<String>> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting {command:?}"))?;
    let output = child.stdout.take().context("the output is piped")?;
    let summaries = summaries(BufReader::new(output), &mut io::stdout())?;
    let status = child.wait()?;
    ensure!(status.success(), "{command:?}: {status}");
    ensure!(!summaries.is_empty(), "{command:?} ran no test");
    Ok(summaries)
}

/// Copies the output of tests from `from` to `to`, and returns the lines in it that sum up.
fn summaries(from: impl BufRead, to: &mut impl Write) -> io::Result<Vec<String>> {
    let mut summaries = Vec::new();
    for line in from.split(b'\n') {
        let mut line = line?;
        summaries.extend(summary(&line));
        line.push(b'\n');
        to.write_all(&line)?;
    }
    Ok(summaries)
}

/// The line as text, where it sums up a test binary that had at least one test to run.
fn summary(line: &[u8]) -> Option<String> {
    let line = str::from_utf8(line).ok()?.trim_end();
    let counts = line.strip_prefix("test result: ")?;
    let idle = counts.contains(" 0 passed; 0 failed; 0 ignored;");
    (!idle).then(|| line.to_owned())
}

/// Runs each check under its name, and keeps how long it took.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    took: Vec<(&'static str, Duration)>,
    /// Checks that this machine cannot run, and why.
    not_run: Vec<(&'static str, &'static str)>,
}

impl Steps {
    /// Runs one check. After a failure no further check may be run.
    pub(crate) fn run<T>(&mut self, name: &'static str, check: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("==> {name}");
        let start = Instant::now();
        let outcome = check();
        let took = start.elapsed();
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        println!("==> {name}: {verdict} after {:.1} s", took.as_secs_f64());
        self.took.push((name, took));
        outcome
    }

    /// Says of a check that it was not run.
    pub(crate) fn not_run(&mut self, name: &'static str, why: &'static str) {
        println!("==> {name}: NOT RUN: {why}");
        self.not_run.push((name, why));
    }

    /// One line for each check that was run, and their sum; and one for each that was not.
    pub(crate) fn report(&self) {
        for (name, took) in &self.took {
            println!("{name:<10} {:>7.1} s", took.as_secs_f64());
        }
        let sum: Duration = self.took.iter().map(|(_, took)| *took).sum();
        println!("{:<10} {:>7.1} s", "together", sum.as_secs_f64());
        for (name, why) in &self.not_run {
            println!("{name:<10} NOT RUN: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_that_fails_is_an_error_that_names_it() {
        let error = run(&mut shell("exit 3")).unwrap_err();
        assert_eq!(error.to_string(), r#""sh" "-c" "exit 3": exit status: 3"#);
    }

    #[test]
    fn tests_that_fail_are_an_error() {
        let error = run_tests(&mut shell("exit 101")).unwrap_err();
        assert_eq!(error.to_string(), r#""sh" "-c" "exit 101": exit status: 101"#);
    }

    #[test]
    fn a_test_command_that_runs_no_test_is_an_error() {
        let error = run_tests(&mut shell("exit 0")).unwrap_err();
        assert_eq!(error.to_string(), r#""sh" "-c" "exit 0" ran no test"#);
    }

    #[test]
    fn summaries_are_kept_as_cargo_wrote_them_where_a_test_was_run() {
        let output = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n\
            test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured\n";
        let mut shown = Vec::new();
        let summaries = summaries(output.as_bytes(), &mut shown).unwrap();
        assert_eq!(summaries, ["test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured"]);
        assert_eq!(shown, output.as_bytes());
    }

    #[test]
    fn a_check_that_cannot_be_run_is_named_and_does_not_count_as_run() {
        let mut steps = Steps::default();
        steps.not_run("evidence", "there is no python3");
        assert_eq!(steps.not_run, [("evidence", "there is no python3")]);
        assert!(steps.took.is_empty());
    }

    #[test]
    fn nothing_is_lost_of_a_failed_check() {
        let mut steps = Steps::default();
        let outcome: Result<()> = steps.run("tidy", || anyhow::bail!("a violation"));
        assert_eq!(outcome.unwrap_err().to_string(), "a violation");
        assert_eq!(steps.took.len(), 1);
    }
}
