//! What goes on inside, told while it does: `--log`, `--log-file` and `--log-level` (`docs/cli.md`, "Logs").
//!
//! The events are the library's (`docs/observability.md`), with one of the command's own at its end. None holds a record
//! key, a value or a secret.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use tracing::{Subscriber, error, info};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::args::{Global, LogFormat, LogLevel};
use crate::exit::{self, Failure, Outcome};

/// Begins to log, if any option asks for it.
pub(crate) fn start(global: &Global) -> Result<(), Failure> {
    let Global { log, log_file, log_level, .. } = global;
    if log.is_none() && log_file.is_none() && log_level.is_none() {
        return Ok(());
    }
    let writer = match log_file {
        None => BoxMakeWriter::new(io::stderr),
        Some(path) => BoxMakeWriter::new(Mutex::new(open(path)?)),
    };
    let level = match log_level.unwrap_or(LogLevel::Info) {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(writer)
        // A log that cannot be written is not worth failing for, nor a line for each event that says so.
        .log_internal_errors(false);
    let subscriber: Box<dyn Subscriber + Send + Sync> = match log.unwrap_or(LogFormat::Text) {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().finish()),
    };
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| Failure::new(codex::ErrorKind::Internal, "the log was begun twice"))
}

/// Tells how the command ended, as its last event.
pub(crate) fn ended(result: &Result<Outcome, Failure>, start: Instant) {
    let took = start.elapsed();
    match result {
        Ok(Outcome::Done) => info!(target: "codex::cli", exit_code = 0, ?took, "ended"),
        Ok(Outcome::Absent) => info!(target: "codex::cli", exit_code = exit::NOT_FOUND, ?took, "ended"),
        Ok(Outcome::Reported(code)) => info!(target: "codex::cli", exit_code = code, ?took, "ended"),
        Err(failure) => {
            let error = failure.to_string();
            error!(target: "codex::cli", exit_code = failure.code(), error = error.as_str(), ?took, "failed");
        }
    }
}

/// A new file that only its owner can use, or the end of an older log. Anything else that stands there is left alone: a
/// path of `app.db` must not cost a database.
fn open(path: &Path) -> Result<File, Failure> {
    let shown = path.display();
    let io = |error| Failure::io(format!("open the log file {shown}"), error);
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Ok(file);
    }
    let mut start = Vec::new();
    (&file).take(FIRST_LINE_LEN).read_to_end(&mut start).map_err(io)?;
    let first_line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_log = first_line.windows(TARGET.len()).any(|window| window == TARGET);
    if !start.is_empty() && !is_log {
        return Err(Failure::validation(format!("{shown} is no log of this command, and was left as it is"))
            .hint("name a new file, or one that --log-file has made"));
    }
    Ok(file)
}

/// Every event names the part of the program that it comes from.
const TARGET: &[u8] = b"codex::";
/// No event is longer, but for paths.
const FIRST_LINE_LEN: u64 = 16 << 10;
