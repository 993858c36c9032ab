//! Verbs on records: set, get, delete, has, keys, scan, count, clear.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::Bound;
use std::time::SystemTime;

use codex::{Batch, Codec, Entry, ErrorKind, Expiry, Glob, View};
use serde_json::json;

use super::past::{pattern, view};
use super::{Access, open};
use crate::args::{Clear, Count, Delete, Get, Global, Has, Keys, Range, Scan, Selection, Set, Ttl};
use crate::confirm::{self, Consent, Unanswered};
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::record::{self, Name};
use crate::value::{self, Form};
use crate::{key, ttl};

pub(super) fn set(global: &Global, set: &Set, output: &mut Output) -> Result<(), Failure> {
    // Checked before anything is created.
    let mut batch = Batch::new();
    set_in(&mut batch, set)?;
    let store = open(global, Access::Create, output)?;
    let sequence = store.commit(batch)?.sequence;
    store.close()?;
    output.result("", &json!({"sequence": sequence}))
}

/// Adds to a batch what the verb does.
pub(super) fn set_in(batch: &mut Batch, set: &Set) -> Result<(), Failure> {
    let key = key::from_argument(&set.key)?;
    let form = if set.raw { Form::Raw } else { Form::Json };
    let expiry = match &set.ttl {
        Some(ttl) => Expiry::In(ttl::parse(ttl)?),
        None => Expiry::Never,
    };
    Ok(value::from_argument(&set.value, form)?.set_in(batch, key, Codec::Raw, expiry)?)
}

pub(super) fn get(global: &Global, get: &Get, output: &mut Output) -> Result<(), Failure> {
    let key = key::from_argument(&get.key)?;
    let Some(entry) = view(global, &get.at, output)?.get_entry(key)? else {
        return Err(Failure::new(ErrorKind::NotFound, "there is no such key in the database"));
    };
    if get.raw {
        output.bytes(&entry.value)
    } else if output.is_json() {
        print_record(&entry, output)
    } else if let Some(text) = record::text_of(entry.codec, &entry.value) {
        output.line(&text)
    } else {
        output.bytes(&entry.value)?;
        output.bytes(b"\n")?;
        let codec = if entry.codec == Codec::Bincode { "bincode" } else { "raw" };
        output.note(&format!("the value is not JSON but {codec}: its bytes are shown, and a newline"));
        Ok(())
    }
}

pub(super) fn ttl(global: &Global, ttl: &Ttl, output: &mut Output) -> Result<(), Failure> {
    let key = key::from_argument(&ttl.key)?;
    let store = open(global, Access::Read, output)?;
    let Some(entry) = store.get_entry(key)? else {
        return Err(Failure::new(ErrorKind::NotFound, "there is no such key in the database"));
    };
    // A record that was there a moment ago lives for no less than nothing.
    let left = entry.expires_at.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
    let text = left.map_or_else(|| "never expires".to_owned(), ttl::shown);
    let left_ms = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    output
        .result(&text, &json!({"ttl_ms": left_ms, "expires_unix_ms": entry.expires_at.map(record::unix_ms)}))
}

pub(super) fn delete(global: &Global, delete: &Delete, output: &mut Output) -> Result<Outcome, Failure> {
    let named = keys_of(delete)?;
    let matching = Matching::of(&delete.range)?;
    let access = if delete.dry_run { Access::Read } else { Access::Change };
    let store = open(global, access, output)?;
    let view = store.view();
    let chosen = match matching.filter(|_| named.is_empty()) {
        None => Vec::new(),
        Some(matching) => {
            matching.entries(&view).map(|entry| Ok(entry?.key)).collect::<codex::Result<_>>()?
        }
    };
    if delete.dry_run {
        let mut there = chosen.len();
        for key in named.into_iter().collect::<BTreeSet<_>>() {
            there += usize::from(view.has(key)?);
        }
        output.result(&format!("{there} would be deleted"), &json!({"deleted": null, "records": there}))?;
        return Ok(if there == 0 { Outcome::Absent } else { Outcome::Done });
    }
    if !chosen.is_empty() {
        let message = format!("that deletes {} records", chosen.len());
        let question = format!("delete {} records", chosen.len());
        let unanswered =
            Unanswered::Refuse(message, "--yes deletes them, --dry-run only counts them".to_owned());
        confirm::ask(Consent::of(delete.yes), &question, unanswered, output)?;
    }
    let keys = named.into_iter().chain(chosen.iter().map(|key| &**key));
    let count = store.delete_many(keys)?;
    let sequence = store.view().sequence();
    store.close()?;
    output.result(&format!("{count} deleted"), &json!({"deleted": count, "sequence": sequence}))?;
    Ok(if count == 0 { Outcome::Absent } else { Outcome::Done })
}

/// Adds to a batch what the verb does.
pub(super) fn delete_in(batch: &mut Batch, delete: &Delete) -> Result<(), Failure> {
    if delete.keys.is_empty() || delete.dry_run {
        return Err(Failure::validation("a batch deletes records by their keys only")
            .hint("`delete` with --prefix, --glob, --from, --to or --dry-run goes before `begin` or behind `commit`"));
    }
    keys_of(delete)?.into_iter().for_each(|key| batch.delete(key));
    Ok(())
}

fn keys_of(delete: &Delete) -> Result<Vec<&[u8]>, Failure> {
    delete.keys.iter().map(|key| key::from_argument(key)).collect()
}

pub(super) fn has(global: &Global, has: &Has, output: &mut Output) -> Result<Outcome, Failure> {
    let key = key::from_argument(&has.key)?;
    let found = view(global, &has.at, output)?.has(key)?;
    output.result(if found { "true" } else { "false" }, &json!({"has": found}))?;
    Ok(if found { Outcome::Done } else { Outcome::Absent })
}

pub(super) fn keys(global: &Global, keys: &Keys, output: &mut Output) -> Result<(), Failure> {
    select(global, &keys.selection, output, |entry, output| {
        if output.is_json() {
            output.object(&Name::of(&entry.key))
        } else if keys.null {
            terminated(&entry.key, output)
        } else {
            output.line(&key::shown(&entry.key))
        }
    })
}

pub(super) fn scan(global: &Global, scan: &Scan, output: &mut Output) -> Result<(), Failure> {
    output.columns(&["key", "value"]);
    select(global, &scan.selection, output, |entry, output| {
        if output.is_json() {
            print_record(entry, output)
        } else if scan.null {
            terminated(&entry.key, output)?;
            terminated(&entry.value, output)
        } else {
            let json = record::text_of(entry.codec, &entry.value);
            output.row(&[&key::shown(&entry.key), &json.unwrap_or_else(|| key::shown(&entry.value))])
        }
    })
}

/// Bytes and the zero byte behind them, where they can be told apart.
fn terminated(bytes: &[u8], output: &mut Output) -> Result<(), Failure> {
    if bytes.contains(&0) {
        return Err(Failure::validation("a record holds a zero byte, so -0 cannot show where it ends")
            .hint("--json shows every record"));
    }
    output.bytes(bytes)?;
    output.bytes(b"\0")
}

fn print_record(entry: &Entry, output: &mut Output) -> Result<(), Failure> {
    record::write(output.stream(), entry).map_err(Failure::output)
}

pub(super) fn count(global: &Global, count: &Count, output: &mut Output) -> Result<(), Failure> {
    let view = view(global, &count.at, output)?;
    let number = match &count.prefix {
        None => view.len(),
        Some(prefix) => {
            view.prefix(prefix.as_encoded_bytes()).try_fold(0, |sum, entry| entry.map(|_| sum + 1))?
        }
    };
    output.result(&number.to_string(), &json!({"count": number}))
}

pub(super) fn clear(global: &Global, clear: &Clear, output: &mut Output) -> Result<(), Failure> {
    if clear.dry_run {
        let count = open(global, Access::Read, output)?.len();
        return output
            .result(&format!("{count} would be deleted"), &json!({"deleted": null, "records": count}));
    }
    let unanswered =
        Unanswered::Refuse("clear deletes every record".to_owned(), "codex clear --yes".to_owned());
    confirm::ask(Consent::of(clear.yes), "delete every record", unanswered, output)?;
    let store = open(global, Access::Change, output)?;
    let count = store.len();
    let mut batch = Batch::new();
    batch.clear();
    let sequence = store.commit(batch)?.sequence;
    store.close()?;
    output.result(&format!("{count} deleted"), &json!({"deleted": count, "sequence": sequence}))
}

/// Adds to a batch what the verb does.
pub(super) fn clear_in(batch: &mut Batch, clear: &Clear) -> Result<(), Failure> {
    if !clear.yes || clear.dry_run {
        return Err(Failure::validation("clear deletes every record").hint("in a batch: clear --yes"));
    }
    batch.clear();
    Ok(())
}

fn select(
    global: &Global,
    selection: &Selection,
    output: &mut Output,
    mut print: impl FnMut(&Entry, &mut Output) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let matching = Matching::of(&selection.range)?;
    let view = view(global, &selection.at, output)?;
    let Some(matching) = matching else { return Ok(()) };
    let mut entries = matching.entries(&view);
    for _ in 0..selection.limit.unwrap_or(usize::MAX) {
        let entry = if selection.reverse { entries.next_back() } else { entries.next() };
        let Some(entry) = entry else { break };
        print(&entry?, output)?;
    }
    Ok(())
}

/// The records that the options choose.
struct Matching {
    from: Vec<u8>,
    to: Option<Vec<u8>>,
    glob: Option<Glob>,
}

impl Matching {
    /// `None` if there can be none.
    fn of(range: &Range) -> Result<Option<Self>, Failure> {
        let glob = range.glob.as_deref().map(pattern).transpose()?;
        let bytes = |argument: &Option<OsString>| argument.clone().map(OsString::into_encoded_bytes);
        let mut from = bytes(&range.from).unwrap_or_default();
        let mut to = bytes(&range.to);
        let prefixes = [bytes(&range.prefix), glob.as_ref().map(|glob| glob.prefix().to_vec())];
        for prefix in prefixes.into_iter().flatten() {
            to = match (to, behind(&prefix)) {
                (Some(to), Some(behind)) => Some(to.min(behind)),
                (to, behind) => to.or(behind),
            };
            from = from.max(prefix);
        }
        let possible = to.as_ref().is_none_or(|to| *to > from);
        Ok(possible.then_some(Self { from, to, glob }))
    }

    fn entries<'a>(&'a self, view: &View) -> impl DoubleEndedIterator<Item = codex::Result<Entry>> + 'a {
        let to = self.to.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let entries = view.entries((Bound::Included(self.from.clone()), to));
        entries.filter(|entry| match (entry, &self.glob) {
            (Ok(entry), Some(glob)) => glob.matches(&entry.key),
            _ => true,
        })
    }
}

/// The first key behind all that begin with `prefix`; none if no key is.
fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut behind = prefix.to_vec();
    while let Some(last) = behind.pop() {
        if last < u8::MAX {
            behind.push(last + 1);
            return Some(behind);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_behind_a_prefix_is_the_lowest_that_does_not_begin_with_it() {
        assert_eq!(behind(b"user:"), Some(b"user;".to_vec()));
        assert_eq!(behind(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(behind(b"\xff\xff"), None);
        assert_eq!(behind(b""), None);
    }
}
