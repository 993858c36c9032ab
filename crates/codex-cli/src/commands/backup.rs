//! Backups, repositories of them, and restore.

use std::time::UNIX_EPOCH;

use codex::{Repository, RepositoryBackup, RestoreOptions, Retention};
use serde_json::{Value, json};

use super::files::hex;
use super::{Access, failed, open};
use crate::args::{Backup, Global, Prune, RepositoryWork, Restore};
use crate::confirm::{self, Consent, Unanswered};
use crate::exit::Failure;
use crate::output::Output;
use crate::point;
use crate::secret::Secret;

pub(super) fn backup(global: &Global, backup: &Backup, output: &mut Output) -> Result<(), Failure> {
    match (&backup.work, &backup.to, &backup.target) {
        (Some(RepositoryWork::List(list)), ..) => {
            for backup in Repository::open(&list.repository)?.list()? {
                output.result(&text(&backup), &object(&backup))?;
            }
            Ok(())
        }
        (Some(RepositoryWork::Verify(verify)), ..) => {
            let repository = Repository::open(&verify.within.repository)?.progress(output.bars().observer());
            let report = repository.verify(verify.receipt.as_deref())?;
            let text = format!("{} backups are whole, {} bytes", report.backups, report.bytes);
            let object = json!({"backups": report.backups, "pieces": report.pieces, "bytes": report.bytes});
            output.result(&text, &object)
        }
        (Some(RepositoryWork::Prune(wanted)), ..) => prune(wanted, output),
        (None, Some(folder), _) => {
            let store = open(global, Access::Change, output)?;
            let repository = Repository::open_or_create(folder)?.progress(output.bars().observer());
            let made = if backup.fork { repository.back_up_fork(&store) } else { repository.back_up(&store) };
            let made = made?;
            store.close()?;
            output.result(&text(&made), &object(&made))
        }
        (None, None, Some(target)) => {
            let store = open(global, Access::Change, output)?;
            store.backup(target)?;
            let head = store.head();
            store.close()?;
            let object = json!({"size": head.size, "root": hex(&head)});
            output.result(&format!("verified copy, head {} {}", head.size, hex(&head)), &object)
        }
        (None, None, None) => Err(Failure::validation("missing: the file or the repository to back up to")),
    }
}

fn prune(wanted: &Prune, output: &mut Output) -> Result<(), Failure> {
    let kept =
        [wanted.keep_last, wanted.keep_hourly, wanted.keep_daily, wanted.keep_weekly, wanted.keep_monthly];
    if kept == [0; 5] {
        return Err(Failure::validation("nothing says which backups to keep")
            .hint("give --keep-last, --keep-daily or another rule; a backup stays if any rule keeps it"));
    }
    let retention = Retention::new()
        .keep_last(wanted.keep_last)
        .keep_hourly(wanted.keep_hourly)
        .keep_daily(wanted.keep_daily)
        .keep_weekly(wanted.keep_weekly)
        .keep_monthly(wanted.keep_monthly);
    let repository = Repository::open(&wanted.within.repository)?.progress(output.bars().observer());
    let database = wanted.database.as_deref();
    if !wanted.dry_run {
        let planned = repository.prune(retention, database, true)?;
        let (removed, all) = (planned.removed.len(), planned.removed.len() + planned.kept.len());
        if removed > 0 {
            let question = format!("remove {removed} of {all} backups");
            confirm::ask(Consent::of(wanted.yes), &question, Unanswered::GoOn, output)?;
        }
    }
    let pruned = repository.prune(retention, database, wanted.dry_run)?;
    let done = if wanted.dry_run { "would remove" } else { "removed" };
    let text = format!("{done} {} backups, {} are kept", pruned.removed.len(), pruned.kept.len());
    let all = |backups: &[RepositoryBackup]| backups.iter().map(object).collect::<Vec<_>>();
    output.result(&text, &json!({"removed": all(&pruned.removed), "kept": all(&pruned.kept)}))
}

pub(super) fn restore(global: &Global, restore: &Restore, output: &mut Output) -> Result<(), Failure> {
    let secret = Secret::read(global)?;
    let encrypted = !matches!(secret, Secret::None);
    let mut options = RestoreOptions::new().overwrite(restore.overwrite).progress(output.bars().observer());
    if let Some(point) = &restore.at.at {
        options = options.at(point::parse(point)?);
    }
    if let Some(unlock) = secret.unlock() {
        options = options.unlock(unlock);
    }
    if restore.overwrite && restore.target.exists() {
        let question = format!("replace {}", restore.target.display());
        confirm::ask(Consent::of(restore.yes), &question, Unanswered::GoOn, output)?;
    }
    let restored = if restore.source.is_dir() {
        Repository::open(&restore.source)
            .and_then(|repository| repository.restore(restore.database.as_deref(), &restore.target, options))
    } else if restore.database.is_some() {
        return Err(Failure::validation("--database is for a repository, and this is no folder"));
    } else {
        codex::restore(&restore.source, &restore.target, options)
    };
    restored.map_err(|error| failed(error, encrypted))?;
    let path = restore.target.to_string_lossy();
    output.result(&format!("restored and verified {path}"), &json!({"restored": path}))
}

fn text(backup: &RepositoryBackup) -> String {
    let sent = backup.sent_bytes.map_or_else(String::new, |sent| format!(", {sent} sent"));
    format!(
        "{} {}\t{}\tcommit {}\t{} bytes{sent}\treceipt {}",
        backup.database,
        backup.number,
        point::shown(backup.time),
        backup.sequence,
        backup.bytes,
        backup.receipt
    )
}

fn object(backup: &RepositoryBackup) -> Value {
    let time = backup.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "database": backup.database, "number": backup.number, "time": point::shown(backup.time),
        "time_unix": time.as_secs(), "sequence": backup.sequence, "bytes": backup.bytes,
        "sent_bytes": backup.sent_bytes, "receipt": backup.receipt,
    })
}
