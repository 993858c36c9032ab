//! `stats --watch`: what happens to a database that another process has open.
//!
//! A writer has its database alone, so its figures cannot be asked for. Its file can be read: the headers of its frames
//! stand in clear and say which commits they end. Reads, and what is in memory, leave no trace there.

use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use codex::inspect::{LogTail, TailReading};
use serde_json::json;

use super::{failed, float, target};
use crate::args::{Global, Stats};
use crate::exit::Failure;
use crate::output::Output;
use crate::point;

pub(super) fn watch(global: &Global, stats: &Stats, output: &mut Output) -> Result<(), Failure> {
    let interval = stats.watch.unwrap_or_default();
    let mut tail = LogTail::open(target(global)?.path()?).map_err(|error| failed(error, true))?;
    let (mut before, mut since) = (tail.poll()?, Instant::now());
    if !output.is_json() {
        output.line(&format!(
            "{:<20} {:>12} {:>10} {:>10} {:>12} {:>14} {:>14}",
            "time", "commit", "commits/s", "groups/s", "bytes/s", "log bytes", "file bytes"
        ))?;
        output.flush()?;
    }
    let mut printed = 0;
    while stats.count.is_none_or(|count| printed < count) {
        thread::sleep(interval);
        let (now, seconds) = (tail.poll()?, since.elapsed().as_secs_f64());
        since = Instant::now();
        print(&before, &now, seconds, output)?;
        output.flush()?;
        (before, printed) = (now, printed + 1);
    }
    Ok(())
}

fn print(before: &TailReading, now: &TailReading, seconds: f64, output: &mut Output) -> Result<(), Failure> {
    let rate = |from: u64, to: u64| (float(to - from) / seconds * 10.0).round() / 10.0;
    let commits = rate(before.commits, now.commits);
    let groups = rate(before.groups, now.groups);
    let bytes = rate(before.group_bytes, now.group_bytes).round();
    let replaced = now.replaced > before.replaced;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = point::shown(UNIX_EPOCH + std::time::Duration::from_secs(unix.as_secs()));
    let text = format!(
        "{time:<20} {:>12} {commits:>10} {groups:>10} {bytes:>12} {:>14} {:>14}{}",
        now.sequence,
        now.log_bytes,
        now.file_bytes,
        if replaced { "  the file was replaced" } else { "" }
    );
    let object = json!({
        "time": time, "time_unix": unix.as_secs(), "sequence": now.sequence,
        "commits": now.commits - before.commits, "groups": now.groups - before.groups,
        "bytes": now.group_bytes - before.group_bytes, "seconds": (seconds * 1e3).round() / 1e3,
        "commits_per_second": commits, "groups_per_second": groups, "bytes_per_second": bytes,
        "log_bytes": now.log_bytes, "file_bytes": now.file_bytes, "replaced": replaced,
    });
    output.result(&text, &object)
}
