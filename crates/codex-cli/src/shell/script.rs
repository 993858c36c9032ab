//! A script on standard input: no prompt, and an end at the first error.

use std::path::Path;

use super::words::Reader;
use super::{Next, Session};
use crate::exit::{Failure, Outcome};
use crate::lines::Lines;
use crate::output;

/// Runs the commands on standard input. With `keep_going`, failures are reported as they happen, and the exit code is that
/// of the first one.
pub(super) fn run(session: &mut Session<'_>, keep_going: bool) -> Result<Outcome, Failure> {
    let mut lines = Lines::open(Path::new("-"))?;
    let mut reader = Reader::default();
    let mut first_code = None;
    // Where the command that is being read begins, and where the batch does.
    let (mut start, mut begun) = (0, 0);
    loop {
        let read = lines.next_or_blank()?;
        let end = read.is_none();
        let done = match read {
            Some((number, line)) => {
                if reader.is_empty() {
                    start = number;
                }
                let was_open = session.batch.is_some();
                let done = command(session, &mut reader, line);
                if session.batch.is_some() && !was_open {
                    begun = start;
                }
                done.map_err(|failure| of_line(start, failure))
            }
            None if !reader.is_empty() => {
                Err(of_line(start, Failure::validation("the command does not end")))
            }
            None if session.batch.is_some() => Err(of_line(
                begun,
                Failure::validation("there is no commit for this begin").hint("nothing of it was written"),
            )),
            None => Ok(Next::End),
        };
        match done {
            Ok(Next::Command) => {}
            Ok(Next::End) => break,
            Err(failure @ Failure::Reported(_)) if keep_going => {
                output::report(&failure, session.output.format());
                first_code.get_or_insert(failure.code());
            }
            Err(failure) => return Err(failure),
        }
        if end {
            break;
        }
    }
    Ok(first_code.map_or(Outcome::Done, Outcome::Reported))
}

/// Takes a line, and runs the command if it is complete with it.
fn command(session: &mut Session<'_>, reader: &mut Reader, line: &str) -> Result<Next, Failure> {
    let Some(words) = reader.line(line).map_err(Failure::validation)? else { return Ok(Next::Command) };
    match session.step(&words)? {
        Some(step) => session.run(step),
        None => Ok(Next::Command),
    }
}

/// Says where in the script it was.
fn of_line(number: u64, failure: Failure) -> Failure {
    failure.context(&format!("line {number}")).of_line(number)
}
