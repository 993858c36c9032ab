//! Verbs on many records: batch, import, export.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use codex::{Batch, Store};

use super::{Access, open};
use crate::args::{Batch as BatchArgs, Export, Global, Import};
use crate::exit::Failure;
use crate::lines;
use crate::output::Output;
use crate::value::Line;

/// A batch of an import is committed at this many records or bytes.
const BATCH_RECORDS: usize = 1000;
const BATCH_LEN: usize = 1 << 20;

fn input(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| Failure::io(format!("open {}", path.display()), error))?;
    Ok(Box::new(BufReader::new(file)))
}

pub(super) fn batch(global: &Global, args: &BatchArgs, output: &mut Output) -> Result<(), Failure> {
    let mut batch = Batch::new();
    lines::for_each(input(&args.file)?, |_, line, _| match line.op.as_deref() {
        Some("set") => line.set_in(&mut batch),
        Some("delete") => {
            batch.delete(line.key_bytes()?);
            Ok(())
        }
        _ => Err(Failure::validation("an operation needs \"op\": \"set\" or \"delete\"")),
    })?;
    let count = batch.len();
    let store =
        open(global, Access::Change, output).or_else(|failure| match crate::exit::kind_of(&failure) {
            Some(codex::ErrorKind::NotFound) => open(global, Access::Create, output),
            _ => Err(failure),
        })?;
    let sequence = store.commit(batch)?.sequence;
    store.close()?;
    let object = serde_json::json!({"operations": count, "sequence": sequence});
    output.result(&format!("{count} operations in commit {sequence}"), &object)
}

pub(super) fn import(global: &Global, args: &Import, output: &mut Output) -> Result<(), Failure> {
    let input = input(&args.file)?;
    let store = open(global, Access::Create, output)?;
    let count = import_into(&store, input)?;
    store.close()?;
    output.result(&format!("{count} records imported"), &serde_json::json!({"imported": count}))
}

/// Imports a stream in batches, each of them whole or not at all; how many records that were.
pub(super) fn import_into(store: &Store, input: impl BufRead) -> Result<u64, Failure> {
    let mut batch = Batch::new();
    let mut batch_len = 0;
    let mut committed = 0;
    let result = lines::for_each(input, |_, line, len| {
        if line.op.is_some() {
            return Err(Failure::validation("a record has no \"op\"; `codex batch` takes operations"));
        }
        line.set_in(&mut batch)?;
        batch_len += len;
        if batch.len() >= BATCH_RECORDS || batch_len >= BATCH_LEN {
            let records = batch.len() as u64;
            store.commit(std::mem::take(&mut batch))?;
            committed += records;
            batch_len = 0;
        }
        Ok(())
    });
    match result {
        Ok(_) => {
            let records = batch.len() as u64;
            store.commit(batch)?;
            Ok(committed + records)
        }
        Err(failure) => Err(failure.context(&format!("after {committed} records were imported"))),
    }
}

pub(super) fn export(global: &Global, args: &Export, output: &mut Output) -> Result<(), Failure> {
    let store = open(global, Access::Read, output)?;
    if args.file.as_os_str() == "-" {
        return write_records(&store, output).map(|_| ());
    }
    let path = &args.file;
    let io = |error| Failure::io(format!("write {}", path.display()), error);
    if path.exists() && !args.overwrite {
        return Err(Failure::validation(format!("{} exists already", path.display())).hint("--overwrite"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A new file of this kind is 0600, and has its name only when it is whole.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    let count = write_records(&store, &mut BufWriter::new(file.as_file_mut()))?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    output.result(&format!("{count} records exported"), &serde_json::json!({"exported": count}))
}

fn write_records(store: &Store, target: &mut impl Write) -> Result<u64, Failure> {
    let mut count = 0;
    for entry in store.entries(..) {
        serde_json::to_writer(&mut *target, &Line::of(&entry?))
            .map_err(|error| Failure::output(error.into()))?;
        target.write_all(b"\n").map_err(Failure::output)?;
        count += 1;
    }
    target.flush().map_err(Failure::output)?;
    Ok(count)
}

/// What an export of the store would write.
pub(super) fn export_text(store: &Store) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    write_records(store, &mut text)?;
    Ok(text)
}

/// Length of a file, in bytes; zero where it is missing.
pub(super) fn file_len(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
