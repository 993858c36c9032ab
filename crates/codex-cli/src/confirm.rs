//! Asking before something goes that nothing brings back.
//!
//! On a terminal the command asks, unless `--yes` is given. Where nobody can answer, a command that says only that
//! something is to go is refused without `--yes`; one whose options say what is to stay or to be replaced is not, since
//! that is what a script has decided (`docs/cli.md`, "What asks first").

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::exit::Failure;
use crate::output::Output;

/// What happens where nobody can answer and `--yes` is not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It is refused, with this message and hint.
    Refuse(String, String),
    /// It is done.
    GoOn,
}

/// Whether `--yes` was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    Given,
    Open,
}

impl Consent {
    pub(crate) fn of(yes: bool) -> Self {
        if yes { Self::Given } else { Self::Open }
    }
}

/// Returns if it may be done. `question` goes without its question mark.
pub(crate) fn ask(
    consent: Consent,
    question: &str,
    unanswered: Unanswered,
    output: &Output,
) -> Result<(), Failure> {
    if consent == Consent::Given {
        return Ok(());
    }
    if output.is_json() || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return match unanswered {
            Unanswered::Refuse(message, hint) => Err(Failure::validation(message).hint(hint)),
            Unanswered::GoOn => Ok(()),
        };
    }
    output.bars().clear();
    let mut stderr = io::stderr();
    let asked = write!(stderr, "codex: {question}? [y/N] ").and_then(|()| stderr.flush());
    asked.map_err(|error| Failure::io("ask on the terminal", error))?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::io("read the answer", error))?;
    match answer.trim() {
        "y" | "Y" | "yes" | "Yes" | "YES" => Ok(()),
        _ => Err(Failure::validation("the answer was not yes; nothing was changed")),
    }
}
