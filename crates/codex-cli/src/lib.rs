//! The `codex` command: encrypted, tamper-evident key-value databases from the shell.
//!
//! [`main`] is the command; [`input`] is how it reads what it is given, for the fuzz targets. Programs take the
//! `codex` crate, which neither of them adds anything to.

pub mod input;

mod args;
mod codexdb_go;
mod color;
mod commands;
mod confirm;
mod csv_records;
mod exit;
mod key;
mod lines;
mod logging;
mod output;
mod point;
mod progress;
mod record;
mod secret;
mod shell;
mod system;
mod ttl;
mod value;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use exit::{Failure, Outcome};
use output::{Format, Notes, Output};

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    color::choose(&words);
    let format = if words.iter().take_while(|word| *word != "--").any(|word| word == "--json") {
        Format::Json
    } else {
        Format::Text
    };
    let start = Instant::now();
    let result = run(words, format);
    logging::ended(&result, start);
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Absent) => ExitCode::from(exit::NOT_FOUND),
        Ok(Outcome::Reported(code)) => ExitCode::from(code),
        Err(failure) => {
            output::report(&failure, format);
            ExitCode::from(failure.code())
        }
    }
}

fn run(words: Vec<std::ffi::OsString>, format: Format) -> Result<Outcome, Failure> {
    let cli = match args::parse(words)? {
        Ok(cli) => cli,
        Err(help) => {
            let help = help.render().ansi().to_string();
            anstream::stdout().write_all(help.as_bytes()).map_err(Failure::output)?;
            return Ok(Outcome::Done);
        }
    };
    logging::start(&cli.global)?;
    let notes = if cli.global.quiet { Notes::Off } else { Notes::On };
    let mut output = Output::new(format, notes);
    let outcome = commands::run(&cli.global, cli.command, &mut output);
    // Of work that failed, the bar still stands.
    output.bars().clear();
    let outcome = outcome?;
    output.flush()?;
    Ok(outcome)
}
