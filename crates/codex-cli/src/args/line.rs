//! A command of the shell: a verb that works on the open database, with the arguments that it has outside.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser};

use super::Command;
use super::parse::{Lists, check_output, refuse_option, usage};
use crate::exit::Failure;

/// A command of the shell.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_subcommand = true, disable_version_flag = true)]
pub(crate) struct Line {
    /// Print JSON this time: one object a line
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs of the shell, made once.
#[derive(Debug)]
pub(crate) struct Grammar(clap::Command);

impl Grammar {
    pub(crate) fn new() -> Self {
        let mut definition = Line::command();
        for name in OUTSIDE {
            definition = definition.mut_subcommand(name, |command| command.hide(true));
        }
        Self(definition)
    }

    /// Reads a command, or says what is wrong with it. `--help` is an `Ok(Err(_))`: text for standard output.
    pub(crate) fn parse(&mut self, words: Vec<OsString>) -> Result<Result<Line, clap::Error>, Failure> {
        let escaped = words.iter().any(|word| word == "--");
        let line = self
            .0
            .try_get_matches_from_mut(words)
            .and_then(|mut matches| Line::from_arg_matches_mut(&mut matches));
        match line {
            Ok(line) => {
                check_output(&line.command, line.json)?;
                if let (Command::Set(set), false) = (&line.command, escaped) {
                    refuse_option(&set.value)?;
                }
                Ok(Ok(line))
            }
            Err(error) if !error.use_stderr() => Ok(Err(error)),
            Err(error) => Err(usage(&error, &LISTS)),
        }
    }

    /// The verbs that are for the shell.
    pub(crate) fn verbs(&self) -> impl Iterator<Item = &clap::Command> {
        self.0.get_subcommands().filter(|verb| !verb.is_hide_set())
    }
}

/// Verbs that are not about the open database.
const OUTSIDE: [&str; 10] =
    ["restore", "repair", "keygen", "key", "interactive", "tour", "doctor", "bench", "completions", "man"];

const LISTS: Lists = Lists {
    commands: "`.help` lists all commands",
    unknown: "`.help` lists all commands",
    usage: "`.help` lists all commands, `.help COMMAND` shows how one is used; a key or value that begins with `-` goes \
            behind `--`",
};
