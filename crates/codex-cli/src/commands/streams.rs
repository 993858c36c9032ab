//! Verbs on many records: batch, import, export.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use codex::{Batch, ErrorKind, Options, Store, View};
use serde_json::json;
use tempfile::NamedTempFile;

use super::past::view;
use super::{Access, import_go, open};
use crate::args::{Batch as BatchArgs, Export, Global, Import, Origin};
use crate::exit::{Failure, Place};
use crate::lines::{self, Lines};
use crate::output::Output;
use crate::record::{self, Operation};
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
    let input = Lines::open(&args.file)?;
    let store = open(global, Access::Create, output)?;
    let count = import_into(&store, input)?;
    let sequence = store.view().sequence();
    store.close()?;
    output.result(&format!("{count} records imported"), &json!({"imported": count, "sequence": sequence}))
}

/// Imports a stream in batches, each of them whole or not at all; how many records that were.
pub(super) fn import_into(store: &Store, mut input: Lines) -> Result<u64, Failure> {
    let mut committed = 0;
    loop {
        let (batch, last) = next_batch(&mut input).map_err(|failure| after(committed, failure))?;
        if batch.is_empty() {
            return Ok(committed);
        }
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
fn next_batch(input: &mut Lines) -> Result<(Batch, u64), Failure> {
    let mut batch = Batch::new();
    let (mut len, mut last) = (0, 0);
    while batch.len() < BATCH_RECORDS && len < BATCH_LEN {
        let Some((number, line)) = input.next()? else { break };
        let record = record::read(line).map_err(|fault| lines::fault(number, &fault))?;
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
    let view = view(global, &args.at, output)?;
    let path = &args.file;
    if path == Path::new("-") {
        return write_records(&view, output.stream(), Failure::output).map(|_| ());
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
    let count = write_records(&view, &mut BufWriter::new(file.as_file_mut()), failed)?;
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
    output.result(&format!("{count} records exported"), &json!({"exported": count}))
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
    target: &mut impl Write,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<u64, Failure> {
    let mut count = 0;
    for entry in view.entries(..) {
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
