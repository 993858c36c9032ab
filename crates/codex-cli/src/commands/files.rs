//! Verbs on the file: verify, head, stats, backup, backups, restore.

use std::time::UNIX_EPOCH;

use codex::{Head, RestoreOptions};
use serde_json::json;

use super::{Access, open};
use crate::args::{Backup, Global, Restore};
use crate::exit::Failure;
use crate::output::Output;
use crate::secret::{self, Purpose};

fn hex(head: &Head) -> String {
    base16ct::lower::encode_string(&head.root)
}

pub(super) fn verify(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let store = open(global, Access::Read, output)?;
    let report = store.verify()?;
    let text = format!(
        "{} bytes, {} frames and {} commits are whole\nhead {} {}",
        report.bytes,
        report.frames,
        report.commits,
        report.head.size,
        hex(&report.head)
    );
    if report.torn_bytes > 0 {
        output.note("a commit that was never acknowledged ends the file; the next write cuts it off");
    }
    let object = json!({
        "bytes": report.bytes, "frames": report.frames, "commits": report.commits,
        "sequence": report.sequence, "size": report.head.size, "root": hex(&report.head),
        "torn_bytes": report.torn_bytes,
    });
    output.result(&text, &object)
}

pub(super) fn head(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let head = open(global, Access::Read, output)?.head();
    let object = json!({"size": head.size, "root": hex(&head)});
    output.result(&format!("{} {}", head.size, hex(&head)), &object)
}

pub(super) fn stats(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let stats = open(global, Access::Read, output)?.stats();
    let fields = [
        ("mode", json!(stats.mode.to_string())),
        ("encrypted", json!(stats.encrypted)),
        ("records", json!(stats.records)),
        ("sequence", json!(stats.sequence)),
        ("live_bytes", json!(stats.live_bytes)),
        ("memory_bytes", json!(stats.memory_bytes)),
        ("log_bytes", json!(stats.log_bytes)),
        ("file_bytes", json!(stats.file_bytes)),
        ("rewritten_bytes", json!(stats.rewritten_bytes)),
        ("torn_bytes", json!(stats.torn_bytes)),
        ("header_copy_stale", json!(stats.header_copy_stale)),
        ("checkpoint_damaged", json!(stats.checkpoint_damaged)),
    ];
    let text: Vec<_> = fields
        .iter()
        .map(|(name, value)| {
            format!("{name:<18} {}", value.as_str().map_or(value.to_string(), str::to_owned))
        })
        .collect();
    let object: serde_json::Map<_, _> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    output.result(&text.join("\n"), &object)
}

pub(super) fn backup(global: &Global, backup: &Backup, output: &mut Output) -> Result<(), Failure> {
    let store = open(global, Access::Change, output)?;
    store.backup(&backup.target)?;
    let head = store.head();
    store.close()?;
    let object = json!({"size": head.size, "root": hex(&head)});
    output.result(&format!("verified copy, head {} {}", head.size, hex(&head)), &object)
}

pub(super) fn backups(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let store = open(global, Access::Read, output)?;
    for backup in store.backups()? {
        let modified = backup.modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let text = format!("{}\t{} bytes\t{}", backup.number, backup.bytes, backup.path.display());
        let path = backup.path.to_string_lossy();
        let object =
            json!({"number": backup.number, "bytes": backup.bytes, "modified_unix": modified, "path": path});
        output.result(&text, &object)?;
    }
    Ok(())
}

pub(super) fn restore(global: &Global, restore: &Restore, output: &mut Output) -> Result<(), Failure> {
    let mut options = RestoreOptions::new().overwrite(restore.overwrite);
    if let Some(unlock) = secret::unlock(global, Purpose::Open)? {
        options = options.unlock(unlock);
    }
    codex::restore(&restore.source, &restore.target, options)?;
    output.result("restored and verified", &json!({"restored": true}))
}
