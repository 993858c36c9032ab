//! One check as a process: named, timed, and its result kept for the end.

use std::env;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::Workspace;

/// Something that can be found to hold, or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    /// One word, by which it is called alone.
    pub(crate) name: &'static str,
    /// What holds where it passes.
    pub(crate) promise: &'static str,
    /// An error is a failure.
    pub(crate) run: fn(&Workspace) -> Result<Done>,
}

/// How a check ended that found nothing wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Everything that it is about was looked at; with lines that are worth telling, such as how many tests were run.
    Passed(Vec<String>),
    /// This machine cannot run it, and why. Nothing is known.
    NotRun(String),
}

impl Done {
    /// Passed, without more to tell.
    pub(crate) const PASSED: Self = Self::Passed(Vec::new());
}

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    NotRun(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(why) => write!(f, "FAILED: {why}"),
            Self::NotRun(why) => write!(f, "NOT RUN: {why}"),
        }
    }
}

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
    ensure!(status.success(), "{}: {status}", shown(command));
    Ok(())
}

/// The program and its arguments, without folder and environment.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(command.get_program())];
    words.extend(command.get_args());
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// As [`run`], and also returns the lines with which cargo sums up each test binary that had a test to run.
pub(crate) fn run_tests(command: &mut Command) -> Result<Vec<String>> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting {command:?}"))?;
    let output = child.stdout.take().context("the output is piped")?;
    let summaries = summaries(BufReader::new(output), &mut io::stdout())?;
    let status = child.wait()?;
    ensure!(status.success(), "{}: {status}", shown(command));
    ensure!(!summaries.is_empty(), "{} ran no test", shown(command));
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

/// Runs checks one after the other, and keeps what became of each.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) ended: Vec<Ended>,
}

/// A check with what became of it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) check: Check,
    pub(crate) outcome: Outcome,
    /// What it told, where it passed.
    pub(crate) told: Vec<String>,
    pub(crate) took: Duration,
}

impl Steps {
    /// Runs one check; its failure is returned, and kept.
    pub(crate) fn run(&mut self, check: Check, workspace: &Workspace) -> Result<()> {
        println!("==> {}", check.name);
        let start = Instant::now();
        let result = (check.run)(workspace);
        let took = start.elapsed();
        let (outcome, told, result) = match result {
            Ok(Done::Passed(told)) => (Outcome::Passed, told, Ok(())),
            Ok(Done::NotRun(why)) => (Outcome::NotRun(why), Vec::new(), Ok(())),
            Err(error) => (Outcome::Failed(format!("{error:#}")), Vec::new(), Err(error)),
        };
        println!("==> {}: {outcome} after {:.1} s", check.name, took.as_secs_f64());
        self.ended.push(Ended { check, outcome, told, took });
        result
    }

    /// Says of a check that it was not run.
    pub(crate) fn not_run(&mut self, check: Check, why: &str) {
        let outcome = Outcome::NotRun(why.to_owned());
        println!("==> {}: {outcome}", check.name);
        self.ended.push(Ended { check, outcome, told: Vec::new(), took: Duration::ZERO });
    }

    /// One line for each check, and the sum of their times.
    pub(crate) fn report(&self) -> String {
        let line = |ended: &Ended| {
            // The first line tells what failed; the rest was shown when it did.
            let outcome = ended.outcome.to_string();
            let outcome = outcome.lines().next().unwrap_or_default();
            format!("{:<17} {:>7.1} s  {outcome}\n", ended.check.name, ended.took.as_secs_f64())
        };
        let lines: String = self.ended.iter().map(line).collect();
        let sum: Duration = self.ended.iter().map(|ended| ended.took).sum();
        lines + &format!("{:<17} {:>7.1} s\n", "together", sum.as_secs_f64())
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
        assert_eq!(error.to_string(), "sh -c exit 3: exit status: 3");
    }

    #[test]
    fn an_error_shows_neither_folder_nor_environment() {
        let mut command = shell("exit 3");
        command.current_dir("/").env("NAME", "value");
        assert_eq!(run(&mut command).unwrap_err().to_string(), "sh -c exit 3: exit status: 3");
    }

    #[test]
    fn tests_that_fail_are_an_error() {
        let error = run_tests(&mut shell("exit 101")).unwrap_err();
        assert_eq!(error.to_string(), "sh -c exit 101: exit status: 101");
    }

    #[test]
    fn a_test_command_that_runs_no_test_is_an_error() {
        let error = run_tests(&mut shell("exit 0")).unwrap_err();
        assert_eq!(error.to_string(), "sh -c exit 0 ran no test");
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

    fn check(name: &'static str, run: fn(&Workspace) -> Result<Done>) -> Check {
        Check { name, promise: "something holds", run }
    }

    fn nowhere() -> Workspace {
        Workspace { root: "/".into(), target: "/".into() }
    }

    #[test]
    fn a_check_that_cannot_be_run_is_named_and_does_not_count_as_passed() {
        let mut steps = Steps::default();
        steps.run(check("evidence", |_| Ok(Done::NotRun("no python3".to_owned()))), &nowhere()).unwrap();
        steps.not_run(check("book", |_| Ok(Done::PASSED)), "skipped");
        let outcomes: Vec<_> = steps.ended.iter().map(|ended| ended.outcome.to_string()).collect();
        assert_eq!(outcomes, ["NOT RUN: no python3", "NOT RUN: skipped"]);
    }

    #[test]
    fn nothing_is_lost_of_a_failed_check() {
        let mut steps = Steps::default();
        let tidy = check("tidy", |_| anyhow::bail!("a violation\nand where"));
        assert_eq!(steps.run(tidy, &nowhere()).unwrap_err().to_string(), "a violation\nand where");
        assert_eq!(steps.ended[0].outcome, Outcome::Failed("a violation\nand where".to_owned()));
    }

    #[test]
    fn the_report_has_a_line_for_each_check_whatever_became_of_it() {
        let mut steps = Steps::default();
        steps.run(check("fmt", |_| Ok(Done::PASSED)), &nowhere()).unwrap();
        steps.run(check("tidy", |_| anyhow::bail!("a violation\nand where")), &nowhere()).unwrap_err();
        steps.not_run(check("loom", |_| Ok(Done::PASSED)), "skipped");
        for ended in &mut steps.ended {
            ended.took = Duration::from_millis(1_250);
        }
        assert_eq!(
            steps.report(),
            "fmt                   1.2 s  passed\n\
             tidy                  1.2 s  FAILED: a violation\n\
             loom                  1.2 s  NOT RUN: skipped\n\
             together              3.8 s\n"
        );
    }
}
