//! Verbs on the past of a ledger: history, log, diff; and the state at a point for those that read records.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::iter::Peekable;

use codex::{Change, Entry, ErrorKind, Glob, LoggedCommit, Operation, Point, Store, Version, View};
use serde::Serialize;

use super::{Access, open};
use crate::args::{At, Diff, Global, History, Log};
use crate::exit::Failure;
use crate::output::Output;
use crate::progress::Bars;
use crate::record::{self, Content, Name};
use crate::{key, point};

/// The state that a verb reads: as it is, or as it was.
pub(super) fn view(global: &Global, at: &At, output: &mut Output) -> Result<View, Failure> {
    let point = at.at.as_deref().map(point::parse).transpose()?;
    let store = open(global, Access::Read, output)?;
    point.map_or_else(|| Ok(store.view()), |point| past(store.at(point)))
}

/// The answer to a question for the past, with what to do where a database keeps none.
fn past<T>(answer: codex::Result<T>) -> Result<T, Failure> {
    answer.map_err(|error| match error.kind() {
        ErrorKind::Validation => Failure::from(error)
            .hint("codex export all.jsonl, then codex --file ledger.db --mode ledger import all.jsonl"),
        _ => error.into(),
    })
}

pub(super) fn history(global: &Global, history: &History, output: &mut Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        sequence: u64,
        time: String,
        change: &'static str,
        #[serde(flatten)]
        key: Name<'a>,
        #[serde(flatten)]
        content: Option<Content>,
    }
    let key = key::from_argument(&history.key)?;
    let store = open(global, Access::Read, output)?;
    let mut versions = past(store.history(key))?.peekable();
    if versions.peek().is_none() {
        return Err(Failure::new(ErrorKind::NotFound, "no commit has ever set this key"));
    }
    output.columns(&["commit", "time", "change", "value"]);
    for (done, version) in (0..).zip(versions.take(history.limit.unwrap_or(usize::MAX))) {
        output.bars().count("reading", "versions", done, None);
        let Version { sequence, time, change, .. } = version?;
        let (time, (change, entry)) = (point::shown(time), change_of(&change));
        if output.is_json() {
            let content = entry.map(Content::of);
            output.object(&Line { sequence, time, change, key: Name::of(key), content })?;
        } else {
            let (sequence, value) = (sequence.to_string(), entry.map(text_of));
            let row = [Some(&*sequence), Some(&*time), Some(change), value.as_deref()];
            output.row(&row.into_iter().flatten().collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

fn change_of(change: &Change) -> (&'static str, Option<&Entry>) {
    match change {
        Change::Set(entry) => ("set", Some(entry)),
        Change::Deleted => ("deleted", None),
        Change::Cleared => ("cleared", None),
        // The library may come to know more than this command.
        _ => ("changed", None),
    }
}

pub(super) fn log(global: &Global, log: &Log, output: &mut Output) -> Result<(), Failure> {
    let point = |argument: &Option<_>| argument.as_deref().map(point::parse).transpose();
    let (since, until) = (point(&log.since)?, point(&log.until)?);
    let glob = log.key.as_deref().map(pattern).transpose()?;
    let limit = log.limit.unwrap_or(usize::MAX);
    let store = open(global, Access::Read, output)?;
    output.columns(&["commit", "time", "change", "key", "value"]);
    let commits = commits(&store, since, until, output.bars().clone())?;
    let commits = commits.filter_map(|commit| match commit {
        Ok(mut commit) => {
            commit.operations.retain(|operation| concerns(operation, glob.as_ref()));
            (!commit.operations.is_empty()).then_some(Ok(commit))
        }
        Err(error) => Some(Err(error)),
    });
    if log.reverse {
        // They can be read in their order only, so the last ones are kept until the end is known.
        let mut last = VecDeque::new();
        for commit in commits {
            last.push_back(commit?);
            if last.len() > limit {
                last.pop_front();
            }
        }
        return last.iter().rev().try_for_each(|commit| print_commit(commit, output));
    }
    for commit in commits.take(limit) {
        print_commit(&commit?, output)?;
    }
    Ok(())
}

/// The commits between two points, which both are in it.
fn commits(
    store: &Store,
    since: Option<Point>,
    until: Option<Point>,
    bars: Bars,
) -> Result<impl Iterator<Item = codex::Result<LoggedCommit>>, Failure> {
    let first = if let Some(Point::Sequence(first)) = since { first } else { 0 };
    let last = if let Some(Point::Sequence(last)) = until { last } else { u64::MAX };
    let is_before = move |commit: &codex::Result<LoggedCommit>| match (commit, since) {
        (Ok(commit), Some(Point::Time(since))) => commit.time < since,
        _ => false,
    };
    let is_within = move |commit: &codex::Result<LoggedCommit>| match (commit, until) {
        (Ok(commit), Some(Point::Time(until))) => commit.time <= until,
        _ => true,
    };
    // A time says nothing of how many there are: then it may be over before.
    let first = first.max(1);
    let total = (last.min(store.view().sequence()) + 1).saturating_sub(first);
    let show = move |commit: &codex::Result<LoggedCommit>| {
        if let Ok(commit) = commit {
            bars.count("reading", "commits", commit.sequence - first, Some(total));
        }
    };
    Ok(past(store.log(first..=last))?.inspect(show).skip_while(is_before).take_while(is_within))
}

/// A pattern of keys from an argument.
pub(super) fn pattern(argument: &OsStr) -> Result<Glob, Failure> {
    Ok(Glob::new(argument.as_encoded_bytes())?)
}

/// Whether an operation is one on a key that is looked for.
fn concerns(operation: &Operation, glob: Option<&Glob>) -> bool {
    let Some(glob) = glob else { return true };
    match operation {
        Operation::Set(entry) => glob.matches(&entry.key),
        Operation::Delete(key) => glob.matches(key),
        // It is one on every key.
        _ => true,
    }
}

fn print_commit(commit: &LoggedCommit, output: &mut Output) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        sequence: u64,
        time: &'a str,
        operations: Vec<Done<'a>>,
    }
    #[derive(Serialize)]
    struct Done<'a> {
        op: &'static str,
        #[serde(flatten)]
        key: Option<Name<'a>>,
        #[serde(flatten)]
        content: Option<Content>,
    }
    let (sequence, time) = (commit.sequence, point::shown(commit.time));
    let operations = commit.operations.iter().map(|operation| match operation {
        Operation::Set(entry) => ("set", Some(&entry.key), Some(entry)),
        Operation::Delete(key) => ("delete", Some(key), None),
        Operation::Clear => ("clear", None, None),
        _ => ("change", None, None),
    });
    if output.is_json() {
        let operations = operations.map(|(op, key, entry)| Done {
            op,
            key: key.map(|key| Name::of(key)),
            content: entry.map(Content::of),
        });
        return output.object(&Line { sequence, time: &time, operations: operations.collect() });
    }
    for (op, key, entry) in operations {
        let (sequence, key, value) =
            (sequence.to_string(), key.map(|key| key::shown(key)), entry.map(text_of));
        let row = [Some(&*sequence), Some(&*time), Some(op), key.as_deref(), value.as_deref()];
        output.row(&row.into_iter().flatten().collect::<Vec<_>>())?;
    }
    Ok(())
}

pub(super) fn diff(global: &Global, diff: &Diff, output: &mut Output) -> Result<(), Failure> {
    let from = point::parse(&diff.from)?;
    let to = diff.to.as_deref().map(point::parse).transpose()?;
    let store = open(global, Access::Read, output)?;
    let before = past(store.at(from))?;
    let after = to.map_or_else(|| Ok(store.view()), |to| past(store.at(to)))?;
    output.columns(&["", "key", "value"]);
    let (mut before, mut after) = (before.entries(..).peekable(), after.entries(..).peekable());
    loop {
        let order = match (peek(&mut before)?, peek(&mut after)?) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(before), Some(after)) => before.key.cmp(&after.key),
        };
        let before = if order.is_le() { before.next().transpose()? } else { None };
        let after = if order.is_ge() { after.next().transpose()? } else { None };
        if before != after {
            print_difference(before.as_ref(), after.as_ref(), output)?;
        }
    }
}

/// The next entry, which stays.
fn peek<I: Iterator<Item = codex::Result<Entry>>>(
    entries: &mut Peekable<I>,
) -> Result<Option<&Entry>, Failure> {
    if let Some(error) = entries.next_if(Result::is_err) {
        return Err(error.expect_err("as was asked").into());
    }
    Ok(entries.peek().and_then(|entry| entry.as_ref().ok()))
}

fn print_difference(
    before: Option<&Entry>,
    after: Option<&Entry>,
    output: &mut Output,
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        change: &'static str,
        #[serde(flatten)]
        key: Option<Name<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Content>,
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<Content>,
    }
    if output.is_json() {
        let change = match (before, after) {
            (None, _) => "added",
            (Some(_), None) => "deleted",
            (Some(_), Some(_)) => "changed",
        };
        let key = after.or(before).map(|entry| Name::of(&entry.key));
        return output.object(&Line {
            change,
            key,
            before: before.map(Content::of),
            after: after.map(Content::of),
        });
    }
    for (sign, entry) in [("-", before), ("+", after)] {
        if let Some(entry) = entry {
            output.row(&[sign, &key::shown(&entry.key), &text_of(entry)])?;
        }
    }
    Ok(())
}

/// A value as text in one line.
fn text_of(entry: &Entry) -> String {
    let json = record::text_of(entry.codec, &entry.value);
    json.unwrap_or_else(|| key::shown(&entry.value)).into_owned()
}
