//! Verbs on records: set, get, delete, has, keys, scan, count, clear.

use std::io::Read;
use std::ops::Bound;

use codex::{Batch, Codec, Entry, ErrorKind};

use super::{Access, open};
use crate::args::{Clear, Count, Delete, Get, Global, Has, Keys, Scan, Selection, Set};
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::value::{self, Line};

pub(super) fn set(global: &Global, set: &Set, output: &mut Output) -> Result<(), Failure> {
    let mut bytes = set.value.as_encoded_bytes().to_vec();
    if set.value == "-" {
        bytes.clear();
        let limit = codex::VALUE_LEN_MAX as u64 + 1;
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::io("read standard input", error))?;
    }
    // Checked before anything is created.
    let json = if set.raw { None } else { Some(value::json(&bytes)?) };
    let store = open(global, Access::Create, output)?;
    match json {
        Some(json) => store.set(value::key(&set.key), &json)?,
        None => store.set_bytes(value::key(&set.key), &bytes)?,
    }
    store.close()?;
    output.result("", &serde_json::json!({"set": 1}))
}

pub(super) fn get(global: &Global, get: &Get, output: &mut Output) -> Result<Outcome, Failure> {
    let store = open(global, Access::Read, output)?;
    let Some(entry) = store.get_entry(value::key(&get.key))? else {
        return Err(Failure::new(ErrorKind::NotFound, "there is no such key"));
    };
    if output.is_json() {
        output.object(&Line::of(&entry))?;
    } else {
        output.bytes(&entry.value)?;
        if !get.raw {
            output.bytes(b"\n")?;
            if entry.codec != Codec::Json {
                output.note("the value is not JSON: its bytes are shown");
            }
        }
    }
    Ok(Outcome::Done)
}

pub(super) fn delete(global: &Global, delete: &Delete, output: &mut Output) -> Result<Outcome, Failure> {
    let store = open(global, Access::Change, output)?;
    let count = store.delete_many(delete.keys.iter().map(|key| value::key(key)))?;
    store.close()?;
    output.result(&format!("{count} deleted"), &serde_json::json!({"deleted": count}))?;
    Ok(if count == 0 { Outcome::Absent } else { Outcome::Done })
}

pub(super) fn has(global: &Global, has: &Has, output: &mut Output) -> Result<Outcome, Failure> {
    let store = open(global, Access::Read, output)?;
    let found = store.has(value::key(&has.key))?;
    output.result(if found { "true" } else { "false" }, &serde_json::json!({"has": found}))?;
    Ok(if found { Outcome::Done } else { Outcome::Absent })
}

pub(super) fn keys(global: &Global, keys: &Keys, output: &mut Output) -> Result<(), Failure> {
    select(global, &keys.selection, output, |entry, output| {
        if output.is_json() {
            output.object(&Line::of_key(&entry.key))
        } else if keys.null {
            output.bytes(&entry.key)?;
            output.bytes(b"\0")
        } else {
            output.line(&value::shown(&entry.key))
        }
    })
}

pub(super) fn scan(global: &Global, scan: &Scan, output: &mut Output) -> Result<(), Failure> {
    select(global, &scan.selection, output, |entry, output| {
        if output.is_json() {
            output.object(&Line::of(entry))
        } else if scan.null {
            output.bytes(&entry.key)?;
            output.bytes(b"\0")?;
            output.bytes(&entry.value)?;
            output.bytes(b"\0")
        } else {
            output.bytes(value::shown(&entry.key).as_bytes())?;
            output.bytes(b"\t")?;
            output.line(&value::shown(&entry.value))
        }
    })
}

pub(super) fn count(global: &Global, count: &Count, output: &mut Output) -> Result<(), Failure> {
    let store = open(global, Access::Read, output)?;
    let number = match &count.prefix {
        None => store.len(),
        Some(prefix) => store.prefix(value::key(prefix)).try_fold(0, |sum, entry| entry.map(|_| sum + 1))?,
    };
    output.result(&number.to_string(), &serde_json::json!({"count": number}))
}

pub(super) fn clear(global: &Global, clear: &Clear, output: &mut Output) -> Result<(), Failure> {
    if !clear.yes {
        return Err(Failure::validation("clear deletes every record").hint("codex clear --yes"));
    }
    let store = open(global, Access::Change, output)?;
    let count = store.len();
    let mut batch = Batch::new();
    batch.clear();
    store.commit(batch)?;
    store.close()?;
    output.result(&format!("{count} deleted"), &serde_json::json!({"deleted": count}))
}

fn select(
    global: &Global,
    selection: &Selection,
    output: &mut Output,
    mut print: impl FnMut(&Entry, &mut Output) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let store = open(global, Access::Read, output)?;
    let prefix = selection.prefix.as_ref().map_or(&b""[..], |prefix| value::key(prefix));
    let from = selection.from.as_ref().map_or(&b""[..], |from| value::key(from)).max(prefix);
    let to = selection.to.as_ref().map(|to| value::key(to));
    let upper = to.map_or(Bound::Unbounded, Bound::Excluded);
    let entries = store.entries((Bound::Included(from), upper));
    let limit = selection.limit.unwrap_or(usize::MAX);
    let outside =
        |entry: &codex::Result<Entry>| entry.as_ref().is_ok_and(|entry| !entry.key.starts_with(prefix));
    if selection.reverse {
        for entry in entries.rev().skip_while(outside).take_while(|entry| !outside(entry)).take(limit) {
            print(&entry?, output)?;
        }
    } else {
        for entry in entries.take_while(|entry| !outside(entry)).take(limit) {
            print(&entry?, output)?;
        }
    }
    Ok(())
}
