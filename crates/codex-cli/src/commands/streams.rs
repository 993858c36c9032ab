//! Verbs on many records: batch, import, export.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use codex::{Batch, ErrorKind, Options, Store, View};
use serde_json::json;
use tempfile::NamedTempFile;

use super::past::view;
use super::{Access, import_go, open};
use crate::args::{Batch as BatchArgs, Csv, Export, Form, Global, Import, Origin};
use crate::csv_records::{self, Cells, Rows, Written};
use crate::exit::{Failure, Place};
use crate::lines::{self, Input, Lines};
use crate::output::Output;
use crate::progress::Bars;
use crate::record::{self, Operation, Record};
use crate::system;

/// One commit of everything, or nothing: every line is read before the database is opened.
pub(super) fn batch(global: &Global, args: &BatchArgs, output: &mut Output) -> Result<(), Failure> {
    let mut input = Lines::open(&args.file)?;
    let mut batch = Batch::new();
    while let Some((number, line)) = input.next()? {
        match record::read_operation(line).map_err(|fault| lines::fault(number, &fault))? {
            Operation::Set(record) => record.set_in(&mut batch)?,
            Operation::Delete(key) => batch.delete(key),
        }
    }
    commit(global, batch, output)
}

/// Commits all of a batch, or nothing.
pub(crate) fn commit(global: &Global, batch: Batch, output: &mut Output) -> Result<(), Failure> {
    let count = batch.len();
    let store = open(global, Access::Create, output)?;
    let sequence = store.commit(batch)?.sequence;
    store.close()?;
    let text = format!("{count} operations in commit {sequence}");
    output.result(&text, &json!({"operations": count, "sequence": sequence}))
}

pub(super) fn import(global: &Global, args: &Import, output: &mut Output) -> Result<(), Failure> {
    if let Some(Origin::CodexdbGo) = args.from {
        return import_go::import(global, args, output);
    }
    check_csv(args.format, &args.csv, args.infer)?;
    let input = Input::open(&args.file)?;
    let mut input = match args.format {
        Form::Jsonl => Records::Lines(Lines::new(input)),
        Form::Csv => {
            let cells = if args.infer { Cells::Inferred } else { Cells::Texts };
            Records::Rows(Rows::open(input, args.csv.key_column(), cells)?)
        }
    };
    if args.dry_run {
        let mut count: u64 = 0;
        while let Some((_, record)) = input.next()? {
            // What is added to a batch is checked.
            record.set_in(&mut Batch::new())?;
            count += 1;
            if count.is_multiple_of(BATCH_RECORDS as u64) {
                input.show("reading", output.bars());
            }
        }
        let text = format!("{count} records would be imported");
        return output.result(&text, &json!({"imported": null, "records": count}));
    }
    let store = open(global, Access::Create, output)?;
    let count = import_into(&store, &mut input, output.bars())?;
    let sequence = store.view().sequence();
    store.close()?;
    output.result(&format!("{count} records imported"), &json!({"imported": count, "sequence": sequence}))
}

/// What goes with CSV goes with nothing else.
fn check_csv(format: Form, csv: &Csv, infer: bool) -> Result<(), Failure> {
    let given = [(csv.key_column.is_some(), "--key-column"), (infer, "--infer")];
    match given.iter().find(|(given, _)| *given && format != Form::Csv) {
        Some((_, option)) => Err(Failure::validation(format!("{option} goes with --format csv"))),
        None => Ok(()),
    }
}

/// Where an import takes its records from.
pub(super) enum Records {
    Lines(Lines),
    Rows(Rows),
}

impl Records {
    /// The next record, with the number of the line in which it begins; none at the end.
    fn next(&mut self) -> Result<Option<(u64, Record)>, Failure> {
        match self {
            Self::Rows(rows) => rows.next(),
            Self::Lines(lines) => {
                let Some((number, line)) = lines.next()? else { return Ok(None) };
                let record = record::read(line).map_err(|fault| lines::fault(number, &fault))?;
                Ok(Some((number, record)))
            }
        }
    }

    /// Shows how much of the input was read.
    fn show(&self, what: &'static str, bars: &Bars) {
        let (read, len) = match self {
            Self::Rows(rows) => rows.progress(),
            Self::Lines(lines) => lines.progress(),
        };
        bars.show(what, read, len);
    }
}

/// Imports records in batches, each of them whole or not at all; how many records that were.
pub(super) fn import_into(store: &Store, input: &mut Records, bars: &Bars) -> Result<u64, Failure> {
    let mut committed = 0;
    loop {
        let (batch, last) = next_batch(input).map_err(|failure| after(committed, failure))?;
        if batch.is_empty() {
            bars.clear();
            return Ok(committed);
        }
        input.show("importing", bars);
        let records = batch.len() as u64;
        store.commit(batch).map_err(|error| {
            let place = Place { line: Some(last), ..Place::default() };
            let unknown = error.outcome_is_unknown();
            let failure = Failure::from(error).context(&format!("commit the records up to line {last}"));
            let failure = failure.at(place);
            if unknown { perhaps_after(committed, last, failure) } else { after(committed, failure) }
        })?;
        committed += records;
    }
}

/// The next records, at most [`BATCH_RECORDS`] and about [`BATCH_LEN`] bytes, and the number of their last line.
fn next_batch(input: &mut Records) -> Result<(Batch, u64), Failure> {
    let mut batch = Batch::new();
    let (mut len, mut last) = (0, 0);
    while batch.len() < BATCH_RECORDS && len < BATCH_LEN {
        let Some((number, record)) = input.next()? else { break };
        len += record.len();
        record.set_in(&mut batch)?;
        last = number;
    }
    Ok((batch, last))
}

/// Says how much of the input stays.
fn after(committed: u64, failure: Failure) -> Failure {
    let hint = if committed == 0 {
        "nothing was imported".to_owned()
    } else {
        format!("the first {committed} records were committed and stay; nothing behind them was written")
    };
    failure.committed(committed).hint(hint)
}

/// The same where the disk failed, so that nobody knows about the last batch.
fn perhaps_after(committed: u64, last: u64, failure: Failure) -> Failure {
    let hint = format!(
        "the first {committed} records were committed and stay; whether the others up to line {last} are there too, all \
         or none, shows when the database is opened again; what comes behind them was not written"
    );
    failure.committed(committed).hint(hint)
}

pub(super) fn export(global: &Global, args: &Export, output: &mut Output) -> Result<(), Failure> {
    check_csv(args.format, &args.csv, false)?;
    let view = view(global, &args.at, output)?;
    let path = &args.file;
    if path == Path::new("-") {
        let bars = output.bars().clone();
        let written = write_as(args, &view, &bars, output.stream(), Failure::output)?;
        note_expiring(written, output);
        return Ok(());
    }
    let failed = |error| Failure::io(format!("write {}", path.display()), error);
    let exists =
        || Failure::validation(format!("{} exists already", path.display())).hint("--overwrite replaces it");
    if !args.overwrite && path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    if is_database(path) {
        return Err(Failure::validation(format!(
            "{} is a database, which no export replaces",
            path.display()
        ))
        .hint("name another file"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A temporary file is 0600 whatever the umask; it gets its name when it is whole and durable.
    let mut file = NamedTempFile::new_in(folder).map_err(failed)?;
    let written = write_as(args, &view, output.bars(), &mut BufWriter::new(file.as_file_mut()), failed)?;
    file.as_file().sync_all().map_err(failed)?;
    if args.overwrite {
        file.persist(path).map_err(|error| failed(error.error))?;
    } else {
        file.persist_noclobber(path).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => exists(),
            _ => failed(error.error),
        })?;
    }
    // Without this a power loss may take the new name back.
    system::sync_folder_of(path).map_err(failed)?;
    note_expiring(written, output);
    let count = written.records;
    output.result(&format!("{count} records exported"), &json!({"exported": count}))
}

fn write_as(
    args: &Export,
    view: &View,
    bars: &Bars,
    target: &mut impl Write,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<Written, Failure> {
    let written = match args.format {
        Form::Jsonl => {
            let records = write_records(view, bars, target, failed)?;
            Written { records, expiring: 0 }
        }
        Form::Csv => csv_records::write(view, args.csv.key_column(), bars, target, failed)?,
    };
    bars.clear();
    Ok(written)
}

/// Says what CSV does not hold.
fn note_expiring(written: Written, output: &mut Output) {
    if written.expiring > 0 {
        output.note(&format!("{} records expire, which CSV does not say", written.expiring));
    }
}

/// Whether a database is at this path, whatever its key and its state: `export app.db --overwrite` is a slip that
/// would cost it.
fn is_database(path: &Path) -> bool {
    match Options::new().create(false).read_only(true).open(path) {
        Ok(_) => true,
        Err(error) => {
            matches!(error.kind(), ErrorKind::Encryption | ErrorKind::Integrity | ErrorKind::Concurrency)
        }
    }
}

/// Writes every record of one view; how many that are.
pub(super) fn write_records(
    view: &View,
    bars: &Bars,
    target: &mut impl Write,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<u64, Failure> {
    let (mut count, total) = (0, Some(view.len() as u64));
    for entry in view.entries(..) {
        bars.count("exporting", "records", count, total);
        let entry = entry?;
        record::write(target, &entry).map_err(&failed)?;
        count += 1;
    }
    target.flush().map_err(&failed)?;
    Ok(count)
}

/// A batch of an import is committed at this many records, or at this many bytes of keys and values.
pub(super) const BATCH_RECORDS: usize = 1000;
pub(super) const BATCH_LEN: usize = 1024 * 1024;
