//! Verbs on whole files: stats, compact, backups, keygen.

use std::path::Path;
use std::time::UNIX_EPOCH;

use codex::Head;
use codex::proof::SigningKey;
use serde_json::json;

use super::{Access, open};
use crate::args::{Global, Keygen};
use crate::exit::Failure;
use crate::output::Output;
use crate::secret;

pub(super) fn hex(head: &Head) -> String {
    base16ct::lower::encode_string(&head.root)
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

pub(super) fn compact(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let store = open(global, Access::Change, output)?;
    let before = store.stats().file_bytes;
    store.compact()?;
    let after = store.stats().file_bytes;
    store.close()?;
    let text = format!("{after} bytes, {before} before");
    output.result(&text, &json!({"file_bytes": after, "file_bytes_before": before}))
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

pub(super) fn keygen(keygen: &Keygen, output: &mut Output) -> Result<(), Failure> {
    if keygen.signing {
        return signing_keygen(keygen, output);
    }
    if keygen.file.as_deref() == Some(Path::new("-")) {
        let key = secret::new_key()?;
        return output.result(&key, &json!({"key": key.as_str()}));
    }
    let file = keygen.file.as_deref().unwrap_or(Path::new("codex.key"));
    secret::write_new_key(file)?;
    let path = file.to_string_lossy();
    output.note(&format!("wrote a new key to {path}; without it, what it encrypts is lost"));
    output.result("", &json!({"key_file": path}))
}

fn signing_keygen(keygen: &Keygen, output: &mut Output) -> Result<(), Failure> {
    let key = SigningKey::generate(&keygen.name).map_err(codex::Error::from)?;
    let file = keygen.file.as_deref().unwrap_or(Path::new("codex.signing-key"));
    if file == Path::new("-") {
        return Err(Failure::validation("a signing key is written to a file, with its public key beside it")
            .hint("codex keygen --signing FILE"));
    }
    let public = key.verifying_key().to_string();
    let mut public_file = file.as_os_str().to_owned();
    public_file.push(".pub");
    secret::write_new_pair(file, &key, Path::new(&public_file), &public)?;
    let (path, public_path) = (file.to_string_lossy(), public_file.to_string_lossy());
    output
        .note(&format!("wrote a new signing key to {path}, and what checks its signatures to {public_path}"));
    output.result(&public, &json!({"key_file": path, "public_key_file": public_path, "public_key": public}))
}
