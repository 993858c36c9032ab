//! Verbs on whole files: verify, head, stats, backup, backups, restore, keygen.

use std::path::Path;
use std::time::UNIX_EPOCH;

use codex::{Head, RestoreOptions};
use serde_json::json;

use super::{Access, failed, open};
use crate::args::{Backup, Global, Keygen, Restore};
use crate::exit::Failure;
use crate::output::Output;
use crate::secret::{self, Secret};

pub(super) fn hex(head: &Head) -> String {
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
    let store = open(global, Access::Read, output)?;
    let (head, sequence) = (store.head(), store.view().sequence());
    let object = json!({"size": head.size, "root": hex(&head), "sequence": sequence});
    output.result(&format!("{} {} {sequence}", head.size, hex(&head)), &object)
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
    let secret = Secret::read(global)?;
    let encrypted = !matches!(secret, Secret::None);
    let mut options = RestoreOptions::new().overwrite(restore.overwrite);
    if let Some(unlock) = secret.unlock() {
        options = options.unlock(unlock);
    }
    codex::restore(&restore.source, &restore.target, options).map_err(|error| failed(error, encrypted))?;
    let path = restore.target.to_string_lossy();
    output.result(&format!("restored and verified {path}"), &json!({"restored": path}))
}

pub(super) fn keygen(keygen: &Keygen, output: &mut Output) -> Result<(), Failure> {
    if keygen.file == Path::new("-") {
        let key = secret::new_key()?;
        return output.result(&key, &json!({"key": key.as_str()}));
    }
    secret::write_new_key(&keygen.file)?;
    let path = keygen.file.to_string_lossy();
    output.note(&format!("wrote a new key to {path}; without it, what it encrypts is lost"));
    output.result("", &json!({"key_file": path}))
}
