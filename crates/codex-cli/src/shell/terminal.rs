//! A session on a terminal: an editor of lines with completion, hints and a history.
//!
//! The history is in memory only, and holds no value even there (`Step::kept`): on disk, the keys in it would be what the
//! database encrypts. Ctrl-C drops the line, or ends what a command prints; Ctrl-D ends the session.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::Ordering;

use codex::Store;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::history::MemHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, CompletionType, Config, Context, Editor, Helper};

use super::completion::Completion;
use super::words::Reader;
use super::{Next, Session};
use crate::args::line::Grammar;
use crate::exit::Failure;
use crate::output::{self, Format};

/// Runs what is typed, to the end.
pub(super) fn run(session: &mut Session<'_>, store: &Store, read_only: bool) -> Result<(), Failure> {
    let interrupted = session.output.interrupted().clone();
    // A command that prints ends at the first Ctrl-C; one that does not at the second, and the process with it.
    let signal = signal_hook::consts::SIGINT;
    signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, interrupted.clone())
        .and_then(|_| signal_hook::flag::register(signal, interrupted.clone()))
        .map_err(|error| Failure::io("take over Ctrl-C", error))?;

    let mut editor = editor(store).map_err(failed)?;
    if session.output.format() == Format::Text {
        session.output.set_format(Format::Table);
    }
    session.output.note(if read_only {
        "the database is open for reading, and nobody can change it until .quit; .help lists the commands"
    } else {
        "the database is open, and closed to other processes until .quit; .help lists the commands"
    });
    loop {
        let prompt = if session.batch.is_some() { "codex*> " } else { "codex> " };
        let lines = match editor.readline(prompt) {
            Ok(lines) => lines,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        };
        interrupted.store(false, Ordering::Relaxed);
        if run_lines(session, &lines, |kept| editor.add_history_entry(kept).map(drop).map_err(failed))?
            == Next::End
        {
            break;
        }
    }
    if let Some(batch) = session.batch.take() {
        session.output.note(&format!("{} operations were not committed, and are gone", batch.len()));
    }
    Ok(())
}

/// Runs the commands of what was typed or pasted at once. Only what ends the session is an error.
fn run_lines(
    session: &mut Session<'_>,
    lines: &str,
    mut keep: impl FnMut(String) -> Result<(), Failure>,
) -> Result<Next, Failure> {
    let mut reader = Reader::default();
    for line in lines.split('\n') {
        let step = reader.line(line).map_err(Failure::validation).and_then(|words| match words {
            Some(words) => Ok(session.step(&words)?.map(|step| (step.kept(&words), step))),
            None => Ok(None),
        });
        let done = match step {
            Ok(None) => continue,
            Ok(Some((kept, step))) => {
                keep(kept)?;
                session.run(step)
            }
            Err(failure) => Err(failure),
        };
        match done {
            Ok(Next::Command) => {}
            Ok(Next::End) => return Ok(Next::End),
            Err(Failure::ClosedPipe) => return Err(Failure::ClosedPipe),
            Err(failure) => output::report(&failure, session.output.format()),
        }
    }
    Ok(Next::Command)
}

fn failed(error: ReadlineError) -> Failure {
    let error = match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error),
    };
    Failure::io("read from the terminal", error)
}

type LineEditor = Editor<Assistant, MemHistory>;

fn editor(store: &Store) -> rustyline::Result<LineEditor> {
    // https://no-color.org: any value but none at all.
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .color_mode(if no_color { ColorMode::Disabled } else { ColorMode::Enabled })
        .max_history_size(HISTORY_MAX)?
        .build();
    let mut editor = LineEditor::with_history(config.clone(), MemHistory::with_config(&config))?;
    editor.set_helper(Some(Assistant(Completion::new(store.clone(), &Grammar::new()))));
    Ok(editor)
}

/// What helps while a line is typed.
#[derive(Debug)]
struct Assistant(Completion);

impl Helper for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = self.0.complete(&line[..position]);
        // What is the only one needs no more signs, unless it is a folder.
        let behind = if words.len() == 1 && !words[0].ends_with('/') { " " } else { "" };
        let pairs =
            words.into_iter().map(|word| Pair { replacement: format!("{word}{behind}"), display: word });
        Ok((start, pairs.collect()))
    }
}

impl Hinter for Assistant {
    type Hint = Usage;

    fn hint(&self, line: &str, position: usize, _: &Context<'_>) -> Option<Usage> {
        if position == line.len() { self.0.usage(line).map(Usage) } else { None }
    }
}

/// The arguments that are still to come. Only to be read: no key puts them into the line.
#[derive(Debug)]
struct Usage(String);

impl Hint for Usage {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        // Faint, so that it does not look typed.
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }
}

impl Validator for Assistant {
    /// Whether Enter ends the command.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let mut reader = Reader::default();
        for line in context.input().split('\n') {
            // What is wrong is said when it is run.
            if reader.line(line).is_err() {
                return Ok(ValidationResult::Valid(None));
            }
        }
        let complete = reader.is_empty();
        Ok(if complete { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// Lines that the history holds.
const HISTORY_MAX: usize = 1000;

/// What a shell reports for a program that SIGINT (2) ended: 128 + 2.
const INTERRUPTED: i32 = 130;
