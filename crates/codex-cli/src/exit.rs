//! What a failure looks like from outside: a message, a hint and an exit code for each kind.
//!
//! The codes are part of the command's contract (`docs/cli.md`, "Exit codes").

use std::error::Error;
use std::fmt;
use std::io;

use anstyle::Style;
use codex::ErrorKind;
use serde::Serialize;

/// How a command that did not fail ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything is done.
    Done,
    /// The question was answered with "not there", or with "something is wrong".
    Absent,
    /// Failures were reported on the way; the code is that of the first one.
    Reported(u8),
}

/// Why a command ends before it is done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of standard output has gone. It knows; nothing is said.
    ClosedPipe,
    /// The user wants no more of it, and said so with Ctrl-C.
    Interrupted,
    /// Anything else.
    Reported(Box<Report>),
}

/// A failure that is told to the user. No part of it holds a value, a record key or a secret.
#[derive(Debug)]
pub(crate) struct Report {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
    /// Where in the input the fault is, and what had been committed before.
    place: Place,
}

/// Where an input went wrong.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Place {
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    /// The column, from 1, of a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<u64>,
    /// The byte, in a file that has no lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<u64>,
    /// Records that had been committed before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) committed: Option<u64>,
}

impl Failure {
    /// A failure of this kind that the command itself found.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Reported(Box::new(Report {
            kind,
            message: message.into(),
            source: None,
            hint: None,
            place: Place::default(),
        }))
    }

    /// A bad argument or a bad input.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Validation, message)
    }

    /// A failed action on a file that is not a database: its own kind of error decides.
    pub(crate) fn io(message: impl Into<String>, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Permission,
            io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory => ErrorKind::Validation,
            _ => ErrorKind::Io,
        };
        Self::new(kind, message).with_source(source)
    }

    /// A failed write to standard output.
    pub(crate) fn output(source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            Self::ClosedPipe
        } else {
            Self::new(ErrorKind::Io, "write to standard output").with_source(source)
        }
    }

    /// Says what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Reported(report) = &mut self {
            report.hint = Some(hint.into());
        }
        self
    }

    /// Says where in the input the fault is.
    pub(crate) fn at(mut self, place: Place) -> Self {
        if let Self::Reported(report) = &mut self {
            report.place = place;
        }
        self
    }

    /// Says in which line of the script it was, whatever is known of another input.
    pub(crate) fn of_line(mut self, line: u64) -> Self {
        if let Self::Reported(report) = &mut self {
            report.place.line = Some(line);
        }
        self
    }

    /// Says how much of the input had been committed before.
    pub(crate) fn committed(mut self, records: u64) -> Self {
        if let Self::Reported(report) = &mut self {
            report.place.committed = Some(records);
        }
        self
    }

    /// Puts what was being done before the message.
    pub(crate) fn context(mut self, context: &str) -> Self {
        if let Self::Reported(report) = &mut self {
            report.message = format!("{context}: {}", report.message);
        }
        self
    }

    /// Keeps what caused it.
    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        if let Self::Reported(report) = &mut self {
            report.source = Some(Box::new(source));
        }
        self
    }

    /// What happened, with its causes; nothing for a reader that has gone.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::ClosedPipe => String::new(),
            Self::Interrupted => CUT_SHORT.to_owned(),
            Self::Reported(report) => report.to_string(),
        }
    }

    /// What to do next.
    pub(crate) fn advice(&self) -> Option<&str> {
        match self {
            Self::ClosedPipe | Self::Interrupted => None,
            Self::Reported(report) => report.hint.as_deref(),
        }
    }

    /// What the process answers to its caller.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::ClosedPipe => CLOSED_PIPE,
            Self::Interrupted => INTERRUPTED,
            Self::Reported(report) => code_of(report.kind),
        }
    }

    /// The lines for standard error; nothing for a reader that has gone.
    pub(crate) fn text(&self) -> String {
        self.styled(Style::new(), Style::new())
    }

    /// The same, with styles for the words that lines begin with.
    pub(crate) fn styled(&self, error: Style, hint: Style) -> String {
        match self {
            Self::ClosedPipe => String::new(),
            Self::Interrupted => format!("codex: {CUT_SHORT}\n"),
            Self::Reported(report) => {
                let advice = report.hint.as_ref();
                let advice = advice.map_or_else(String::new, |text| format!("{hint}hint:{hint:#} {text}\n"));
                format!("{error}codex:{error:#} {report}\n{advice}")
            }
        }
    }

    /// The JSON object for standard error; nothing for a reader that has gone.
    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            error: Fields<'a>,
        }
        #[derive(Serialize)]
        struct Fields<'a> {
            kind: &'static str,
            message: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            hint: Option<&'a str>,
            #[serde(flatten)]
            place: Place,
        }
        match self {
            Self::ClosedPipe => String::new(),
            Self::Interrupted => {
                format!("{}\n", serde_json::json!({"error": {"kind": "Interrupted", "message": CUT_SHORT}}))
            }
            Self::Reported(report) => {
                let error = Fields {
                    kind: name_of(report.kind),
                    message: report.to_string(),
                    hint: report.hint.as_deref(),
                    place: report.place,
                };
                let line = serde_json::to_string(&Line { error });
                format!("{}\n", line.expect("texts and numbers are always JSON"))
            }
        }
    }
}

impl From<codex::Error> for Failure {
    fn from(error: codex::Error) -> Self {
        let kind = error.kind();
        let hint = match kind {
            ErrorKind::Io => io_hint(&error),
            ErrorKind::Permission => permission_hint(&error),
            ErrorKind::Integrity => Some(
                "the file was left as it is; keep a copy of it, then `codex restore` a backup to a new path, \
                 or `codex repair` what is whole of it into one",
            ),
            ErrorKind::Concurrency => Some("try again when the other process has closed the database"),
            ErrorKind::Internal => Some("this is a bug in codex: please report it with this message"),
            _ => None,
        };
        let mut message = error.to_string();
        // The whole chain is printed, so the facade's own words come first and its source follows.
        let source = error.source().map(chain);
        if let Some(source) = source {
            message = format!("{message}: {source}");
        }
        let failure = Self::new(kind, message);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(formatter, ": {}", chain(source.as_ref())),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text().trim_end())
    }
}

/// The kind of a failure that is told.
pub(crate) fn kind_of(failure: &Failure) -> Option<ErrorKind> {
    match failure {
        Failure::ClosedPipe | Failure::Interrupted => None,
        Failure::Reported(report) => Some(report.kind),
    }
}

/// What to do about a disk, if it is the disk.
fn io_hint(error: &codex::Error) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    match system_error(error) {
        Some(Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge) => {
            Some("what had been acknowledged is safe; free some space, then try again")
        }
        // The path is wrong, not the disk.
        Some(Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory) => None,
        _ => Some("what had been acknowledged is safe; check the disk, then try again"),
    }
}

/// What to do where the system refuses.
fn permission_hint(error: &codex::Error) -> Option<&'static str> {
    match system_error(error)? {
        io::ErrorKind::ReadOnlyFilesystem => Some(
            "the file system is read-only: get, scan, export and verify work there, nothing that writes does",
        ),
        io::ErrorKind::PermissionDenied => {
            Some("look who owns the file and its folder; writing needs the right to write both")
        }
        _ => None,
    }
}

/// What the system said, at the end of the chain.
fn system_error(error: &codex::Error) -> Option<io::ErrorKind> {
    let mut found = None;
    let mut next = error.source();
    while let Some(source) = next {
        found = source.downcast_ref::<io::Error>().or(found);
        next = source.source();
    }
    found.map(io::Error::kind)
}

/// An error and its sources in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// The exit code of a kind.
fn code_of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::NotFound => NOT_FOUND,
        ErrorKind::Validation => 2,
        ErrorKind::Permission => 3,
        ErrorKind::Io => 4,
        ErrorKind::Encryption => 5,
        ErrorKind::Integrity => 6,
        ErrorKind::Concurrency => 7,
        // The code of BSD's sysexits.h for an error of the program itself.
        ErrorKind::Internal => 70,
    }
}

/// The name of a kind, as JSON gives it.
fn name_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Validation => "Validation",
        ErrorKind::NotFound => "NotFound",
        ErrorKind::Permission => "Permission",
        ErrorKind::Io => "Io",
        ErrorKind::Encryption => "Encryption",
        ErrorKind::Integrity => "Integrity",
        ErrorKind::Concurrency => "Concurrency",
        ErrorKind::Internal => "Internal",
    }
}

/// The exit code of "not there", as a failure and as an answer.
pub(crate) const NOT_FOUND: u8 = 1;

/// What a shell reports for a program that SIGPIPE (13) ended: 128 + 13.
const CLOSED_PIPE: u8 = 141;

/// The same of SIGINT (2).
const INTERRUPTED: u8 = 130;

const CUT_SHORT: &str = "interrupted before all was printed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own() {
        let kinds = [
            ErrorKind::Validation,
            ErrorKind::NotFound,
            ErrorKind::Permission,
            ErrorKind::Io,
            ErrorKind::Encryption,
            ErrorKind::Integrity,
            ErrorKind::Concurrency,
            ErrorKind::Internal,
        ];
        let mut codes: Vec<u8> = kinds.into_iter().map(code_of).collect();
        codes.sort_unstable();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 70]);
    }

    #[test]
    fn text_gives_message_sources_and_hint() {
        let source = io::Error::new(io::ErrorKind::StorageFull, "no space");
        let failure = Failure::io("write the export", source).hint("free some");
        assert_eq!(failure.text(), "codex: write the export: no space\nhint: free some\n");
        assert_eq!(failure.code(), 4);
    }

    #[test]
    fn json_gives_kind_message_and_place() {
        let place = Place { line: Some(7), committed: Some(6), ..Place::default() };
        let failure = Failure::validation("line 7 is not JSON").at(place);
        assert_eq!(
            failure.json(),
            "{\"error\":{\"kind\":\"Validation\",\"message\":\"line 7 is not JSON\",\"line\":7,\"committed\":6}}\n"
        );
    }

    #[test]
    fn closed_pipe_says_nothing() {
        let failure = Failure::output(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.text(), failure.json(), failure.code()), (String::new(), String::new(), 141));
    }
}
