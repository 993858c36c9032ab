//! The verb import with `--from codexdb-go`, and its report as text and as JSON. Fields: `docs/cli.md`, "import".
//!
//! The file is read twice: first to the end, so that nothing is written from one that is damaged, and only then into
//! the database. A ledger's changes become one commit each where the database is a ledger too; otherwise they are
//! committed in batches.

use std::collections::VecDeque;
use std::path::Path;

use codex::{Batch, Pending, Store};
use serde_json::{Value, json};

use super::streams::{BATCH_LEN, BATCH_RECORDS};
use super::{Access, open};
use crate::args::{Global, Import, Mode};
use crate::codexdb_go::{Change, Fault, GoFile, Kind, Operation};
use crate::exit::Failure;
use crate::output::Output;
use crate::record::Record;
use crate::{key, secret, value};

pub(super) fn import(global: &Global, args: &Import, output: &mut Output) -> Result<(), Failure> {
    let go = &args.go;
    let path = &args.file;
    let go_key = secret::read_go_key(go.from_key_file.as_deref())?;
    let kind = go.from_mode.map(|mode| match mode {
        Mode::Ledger => Kind::Ledger,
        Mode::Snapshot => Kind::Snapshot,
    });
    let mut file = GoFile::open(path, go_key, kind)?;
    let mut survey = Survey::of(&mut file);
    if let Some(fault) = survey.fault.take_if(|_| !go.partial || survey.changes == 0) {
        let failure = fault.of_file(path);
        return Err(if go.partial {
            failure.hint("nothing stands before the damage that could be taken")
        } else {
            failure
        });
    }
    if survey.skipped > 0 && !go.partial {
        let message =
            format!("{}: {} changes are of no record that there can be here", path.display(), survey.skipped);
        return Err(Failure::validation(message).hint(
            "nothing was imported; a key is 1 to 65535 bytes here, a value up to 1 GiB; --partial leaves these changes out",
        ));
    }
    if !survey.has_checksum {
        output.note("the file is of the oldest form, which has no checksum: damage to it cannot be seen");
    }
    if let Some(fault) = &survey.fault {
        output.note(&format!("{} is damaged: {fault}", path.display()));
    }
    if args.dry_run {
        return report(&file, &survey, None, output);
    }
    let store = open(global, Access::Create, output)?;
    if !store.is_empty() {
        return Err(Failure::validation(
            "the database holds records, and what is imported would mix with them",
        )
        .hint("import into a new database; `codex export` and `codex import` put two databases together"));
    }
    let before = store.view().sequence();
    let mut target = Target::new(&store, file.kind());
    replay(&mut file, path, &survey, &mut target).map_err(|failure| target.after(failure))?;
    let sequence = store.view().sequence();
    let done = Done { sequence, commits: sequence - before, records: store.len() };
    store.close()?;
    report(&file, &survey, Some(&done), output)
}

/// What a file holds, up to its end or its first fault.
#[derive(Debug, Default)]
struct Survey {
    changes: u64,
    set: u64,
    deleted: u64,
    cleared: u64,
    /// Of those set: values that are not JSON, which are kept as bytes.
    raw: u64,
    /// Changes that are not [`storable`]; they are in no other count but `changes`.
    skipped: u64,
    has_checksum: bool,
    fault: Option<Fault>,
}

impl Survey {
    fn of(file: &mut GoFile) -> Self {
        let mut survey = Self::default();
        survey.fault = survey.read(file).err();
        survey
    }

    fn read(&mut self, file: &mut GoFile) -> Result<(), Fault> {
        let mut changes = file.changes()?;
        while let Some(change) = changes.next()? {
            self.has_checksum = changes.has_checksum();
            self.changes += 1;
            match &change.operation {
                _ if !storable(&change) => self.skipped += 1,
                Operation::Clear => self.cleared += 1,
                Operation::Delete => self.deleted += 1,
                Operation::Set(value) => {
                    self.set += 1;
                    self.raw += u64::from(matches!(value, value::Value::Bytes(_)));
                }
            }
        }
        self.has_checksum = changes.has_checksum();
        Ok(())
    }
}

/// Whether there can be such a record here: the original set no bounds.
fn storable(change: &Change) -> bool {
    match &change.operation {
        Operation::Clear => true,
        Operation::Delete => key::refusal(&change.key).is_none(),
        Operation::Set(value) => {
            key::refusal(&change.key).is_none() && value.as_bytes().len() <= codex::VALUE_LEN_MAX
        }
    }
}

/// What became of the database.
#[derive(Debug)]
struct Done {
    sequence: u64,
    commits: u64,
    records: usize,
}

/// The changes of the survey into the database. All that vouches for them is checked again.
fn replay(file: &mut GoFile, path: &Path, survey: &Survey, target: &mut Target<'_>) -> Result<(), Failure> {
    let changed = || Failure::validation(format!("{} has changed while it was read", path.display()));
    let mut changes = file.changes().map_err(|fault| fault.of_file(path))?;
    for _ in 0..survey.changes {
        let change = changes.next().map_err(|fault| fault.of_file(path))?;
        target.add(change.ok_or_else(changed)?)?;
    }
    // A snapshot's checksum is known at its end.
    if survey.fault.is_none() && changes.next().map_err(|fault| fault.of_file(path))?.is_some() {
        return Err(changed());
    }
    target.finish()
}

/// The database that is filled: changes become commits, several of them in flight.
struct Target<'a> {
    store: &'a Store,
    /// How many changes one commit has at most.
    changes_max: usize,
    batch: Batch,
    /// Bytes of keys and values in `batch`.
    len: usize,
    in_flight: VecDeque<InFlight>,
    /// Bytes of keys and values in `in_flight`.
    in_flight_len: usize,
    /// Changes that are on disk.
    committed: u64,
}

struct InFlight {
    changes: usize,
    len: usize,
    pending: Pending,
}

impl<'a> Target<'a> {
    fn new(store: &'a Store, from: Kind) -> Self {
        let commit_by_commit = from == Kind::Ledger && store.stats().mode == codex::Mode::Ledger;
        Self {
            store,
            changes_max: if commit_by_commit { 1 } else { BATCH_RECORDS },
            batch: Batch::new(),
            len: 0,
            in_flight: VecDeque::new(),
            in_flight_len: 0,
            committed: 0,
        }
    }

    fn add(&mut self, change: Change) -> Result<(), Failure> {
        if !storable(&change) {
            return Ok(());
        }
        let Change { operation, key } = change;
        self.len += key.len();
        match operation {
            Operation::Set(value) => {
                self.len += value.as_bytes().len();
                Record::of(key, value).set_in(&mut self.batch)?;
            }
            Operation::Delete => self.batch.delete(key),
            Operation::Clear => self.batch.clear(),
        }
        if self.batch.len() >= self.changes_max || self.len >= BATCH_LEN {
            self.submit()?;
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<(), Failure> {
        let (batch, len) = (std::mem::take(&mut self.batch), std::mem::take(&mut self.len));
        let changes = batch.len();
        let pending = self.store.submit(batch)?;
        self.in_flight.push_back(InFlight { changes, len, pending });
        self.in_flight_len += len;
        while self.in_flight.len() > IN_FLIGHT_MAX || self.in_flight_len > IN_FLIGHT_LEN_MAX {
            self.wait_for_oldest()?;
        }
        Ok(())
    }

    /// Waits for all that is in flight.
    fn finish(&mut self) -> Result<(), Failure> {
        if !self.batch.is_empty() {
            self.submit()?;
        }
        while !self.in_flight.is_empty() {
            self.wait_for_oldest()?;
        }
        Ok(())
    }

    fn wait_for_oldest(&mut self) -> Result<(), Failure> {
        if let Some(oldest) = self.in_flight.pop_front() {
            self.in_flight_len -= oldest.len;
            oldest.pending.wait()?;
            self.committed += oldest.changes as u64;
        }
        Ok(())
    }

    /// Says how much of the file is in the database, which is not the whole.
    fn after(&self, failure: Failure) -> Failure {
        let hint = format!(
            "at least the first {} changes were committed and stay; remove the new database before you import again",
            self.committed
        );
        failure.committed(self.committed).hint(hint)
    }
}

fn report(file: &GoFile, survey: &Survey, done: Option<&Done>, output: &mut Output) -> Result<(), Failure> {
    output.result(&text(file, survey, done), &object(file, survey, done))
}

fn text(file: &GoFile, survey: &Survey, done: Option<&Done>) -> String {
    let form = match file.cipher() {
        Some(cipher) => format!("{} ({cipher}, compression {})", file.kind().name(), file.compression()),
        None => format!("{} (not encrypted, compression {})", file.kind().name(), file.compression()),
    };
    let counts = format!("{} set, {} deleted, {} cleared", survey.set, survey.deleted, survey.cleared);
    let mut lines = vec![match done {
        Some(done) => {
            format!("imported a {form}: {counts}; {} records in {} commits", done.records, done.commits)
        }
        None => format!("would import a {form}: {counts}"),
    }];
    if survey.raw > 0 {
        lines.push(format!("{} values are not JSON, and kept as bytes", survey.raw));
    }
    if survey.skipped > 0 {
        lines.push(format!("left out: {} changes of no record that there can be here", survey.skipped));
    }
    if let Some(fault) = &survey.fault {
        let behind =
            file.bytes_from(fault).map_or_else(String::new, |bytes| format!(", {bytes} bytes with it"));
        lines.push(format!(
            "the result is NOT complete: {fault}; what stands from there on was not taken{behind}"
        ));
    }
    lines.join("\n")
}

fn object(file: &GoFile, survey: &Survey, done: Option<&Done>) -> Value {
    let fault = survey.fault.as_ref().map(|fault| {
        json!({"message": fault.to_string(), "offset": fault.offset(), "bytes": file.bytes_from(fault)})
    });
    json!({
        "form": file.kind().name(), "cipher": file.cipher(), "compression": file.compression(),
        "checksum": survey.has_checksum, "changes": survey.changes, "imported": survey.set,
        "deleted": survey.deleted, "cleared": survey.cleared, "raw": survey.raw, "skipped": survey.skipped,
        "complete": survey.fault.is_none() && survey.skipped == 0, "fault": fault, "dry_run": done.is_none(),
        "records": done.map(|done| done.records), "commits": done.map(|done| done.commits),
        "sequence": done.map(|done| done.sequence),
    })
}

/// Commits in flight, and the bytes in them: enough for a group to be full, whatever the size of the records.
const IN_FLIGHT_MAX: usize = 4096;
const IN_FLIGHT_LEN_MAX: usize = 4 * BATCH_LEN;
