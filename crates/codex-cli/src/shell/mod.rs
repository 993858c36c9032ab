//! `codex interactive`: one database, which stays open, and its verbs command by command. `docs/cli.md`, "interactive".
//!
//! On a terminal there is an editor of lines, and errors do not end the session. Anything else on standard input is a
//! script, which ends at its first error. Either way the verbs are those of the command line (`commands::run`), and the
//! database is closed before the end is reported.

mod completion;
mod script;
mod step;
mod terminal;
mod words;

use std::io::{self, IsTerminal as _};
use std::time::Instant;

use codex::Batch;

use self::step::Step;
use self::words::Word;
use crate::args::line::{Grammar, Line};
use crate::args::{Command, Global, Interactive};
use crate::commands::{self, Access};
use crate::exit::{Failure, Outcome};
use crate::output::{Format, Output};

pub(crate) fn run(global: &Global, args: &Interactive, output: &mut Output) -> Result<Outcome, Failure> {
    let access = if args.read_only { Access::Read } else { Access::Create };
    let store = commands::open_named(global, access, output)?;
    let mut session = Session {
        global: Global { open: Some(store.clone()), ..global.clone() },
        grammar: Grammar::new(),
        batch: None,
        timer: false,
        output,
    };
    // Where only one of the two is a terminal, a program reads or writes.
    let outcome = if io::stdin().is_terminal() && io::stdout().is_terminal() {
        terminal::run(&mut session, &store, args.read_only).map(|()| Outcome::Done)
    } else {
        script::run(&mut session, args.keep_going)
    };
    match (outcome, store.close()) {
        (Err(failure), _) => Err(failure),
        (Ok(_), Err(error)) => Err(error.into()),
        (outcome, Ok(())) => outcome,
    }
}

/// A database that is open, and how its user wants to see it.
struct Session<'a> {
    global: Global,
    grammar: Grammar,
    /// What was changed since `begin`.
    batch: Option<Batch>,
    timer: bool,
    output: &'a mut Output,
}

/// What comes after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Command,
    End,
}

impl Session<'_> {
    /// What a command asks for; nothing for a comment or an empty line.
    fn step(&mut self, words: &[Word]) -> Result<Option<Step>, Failure> {
        if words.is_empty() { Ok(None) } else { Step::of(words, &mut self.grammar).map(Some) }
    }

    /// Does what a command asks for, and shows all that it printed.
    fn run(&mut self, step: Step) -> Result<Next, Failure> {
        let start = Instant::now();
        let done = self.dispatch(step);
        let flushed = self.output.flush();
        if self.timer {
            self.output.note(&format!("took {:.1?}", start.elapsed()));
        }
        let next = done?;
        flushed.map(|()| next)
    }

    fn dispatch(&mut self, step: Step) -> Result<Next, Failure> {
        match step {
            Step::Verb(line) => self.verb(*line)?,
            Step::Begin if self.batch.is_some() => {
                return Err(
                    Failure::validation("there is a begin already").hint("commit or rollback ends it")
                );
            }
            Step::Begin => self.batch = Some(Batch::new()),
            Step::Commit => {
                let batch = self.batch.take().ok_or_else(no_begin)?;
                commands::commit(&self.global, batch, self.output)?;
            }
            Step::Rollback => drop(self.batch.take().ok_or_else(no_begin)?),
            Step::Print(text) => self.output.line(&text)?,
            Step::Mode(format) => self.output.set_format(format),
            Step::Timer(timer) => self.timer = timer,
            Step::Quit => return Ok(Next::End),
        }
        Ok(Next::Command)
    }

    fn verb(&mut self, line: Line) -> Result<(), Failure> {
        let Line { json, command } = line;
        if let Some(batch) = &mut self.batch {
            if matches!(command, Command::Batch(_) | Command::Import(_)) {
                return Err(Failure::validation("this command commits by itself")
                    .hint("commit or rollback what was begun, then try again"));
            }
            if commands::stage(&command, batch)? {
                return Ok(());
            }
        }
        let format = self.output.format();
        if json {
            self.output.set_format(Format::Json);
        }
        let done = commands::run(&self.global, command, self.output);
        let flushed = self.output.flush();
        self.output.set_format(format);
        done?;
        flushed
    }
}

fn no_begin() -> Failure {
    Failure::validation("there is nothing to end: no begin came before")
        .hint("begin, then set and delete, then commit")
}
