//! What is seen in the database: with its key by opening it for reading, without it as far as the Merkle log goes.

use std::path::Path;

use codex::inspect::LogTail;
use codex::proof::{UnkeyedLog, UnkeyedReport};
use codex::{ErrorKind, KeySlot, Mode, Options, SlotKind, Stats};

use super::Finding;
use super::outside::{Outside, shell};
use crate::args::Global;
use crate::commands::{failed, mode_of};
use crate::exit::{Failure, kind_of};
use crate::secret::{Secret, is_given};

/// The database from inside, as far as it could be opened.
#[derive(Debug)]
pub(super) struct Inside<'a> {
    global: &'a Global,
    outside: &'a Outside,
    seen: Seen,
}

/// How far it was opened.
#[derive(Debug)]
enum Seen {
    /// There is no header that says what to open.
    Nothing,
    /// The key could not be read.
    NoSecret(Failure),
    /// It was opened, with its key if it has one.
    Opened { stats: Box<Stats>, head: codex::Head, slots: Vec<KeySlot> },
    /// Its key is needed and was not given; the log was read without it.
    Unkeyed(Result<UnkeyedReport, Failure>),
    /// It did not open.
    Refused(Failure),
}

impl<'a> Inside<'a> {
    pub(super) fn look(global: &'a Global, outside: &'a Outside) -> Self {
        Self { global, outside, seen: see(global, outside) }
    }

    pub(super) fn key(&self) -> Finding {
        const CHECK: &str = "key";
        let Ok(header) = &self.outside.header else {
            return Finding::unchecked(CHECK, "there is no header that says what opens it");
        };
        let slots = codex::key_slots(&self.outside.files.database).unwrap_or_default();
        let found = match &self.seen {
            Seen::NoSecret(failure) => of_failure(CHECK, failure),
            Seen::Refused(failure) if kind_of(failure) == Some(ErrorKind::Encryption) => {
                of_failure(CHECK, failure)
            }
            Seen::Refused(_) | Seen::Nothing if header.encrypted => Finding::unchecked(
                CHECK,
                format!("{}; whether the key is right was not tried", in_words(&slots)),
            ),
            Seen::Unkeyed(_) => {
                let text = format!("{}; whether a key is right shows only with it", in_words(&slots));
                Finding::unchecked(CHECK, text)
                    .advise("give it with --key-file, --passphrase or the variable CODEX_KEY")
            }
            Seen::Opened { slots, .. } if header.encrypted => self.of_opened(slots),
            _ => Finding::ok(CHECK, "it is not encrypted: whoever has the file can read it"),
        };
        found.fact("slots", slots.len())
    }

    fn of_opened(&self, slots: &[KeySlot]) -> Finding {
        let opened = slots.iter().find(|slot| slot.opened).map_or(0, |slot| slot.number);
        let text = format!("slot {opened} opens it; {}", in_words(slots));
        if let Some(key_file) = self.global.key_file.as_deref().filter(|file| self.is_beside(file)) {
            return Finding::warn(
                "key",
                format!("{text}. {} is in its folder: who copies that has both", key_file.display()),
                "keep the key elsewhere, and a copy of it where the database is not",
            );
        }
        Finding::ok("key", text)
    }

    fn is_beside(&self, key_file: &Path) -> bool {
        let file = std::fs::canonicalize(key_file).ok();
        file.is_some_and(|file| file.parent() == self.outside.files.database.parent())
    }

    pub(super) fn log(&self) -> Finding {
        const CHECK: &str = "log";
        match &self.seen {
            Seen::Opened { stats, head, .. } => {
                let text = format!(
                    "frames: {}, last commit: {}; what opening reads is whole, `codex verify` reads everything",
                    head.size, stats.sequence
                );
                self.of_log(text, stats.torn_bytes)
                    .fact("sequence", stats.sequence)
                    .fact("size", head.size)
                    .fact("root", crate::commands::files::hex(head))
            }
            Seen::Unkeyed(Ok(report)) => {
                let text = format!(
                    "frames: {}, last commit: {}; all are linked, whether they were sealed with the key was not checked",
                    report.frames, report.sequence
                );
                let head = codex::Head::from(report.head);
                self.of_log(text, report.torn_bytes)
                    .fact("sequence", report.sequence)
                    .fact("size", head.size)
                    .fact("root", crate::commands::files::hex(&head))
            }
            Seen::Unkeyed(Err(failure)) | Seen::Refused(failure) => match kind_of(failure) {
                Some(kind) => self.of_error(kind, &failure.message()),
                None => Finding::unchecked(CHECK, "it was not read"),
            },
            Seen::NoSecret(_) => Finding::unchecked(CHECK, "it takes the key, which could not be read"),
            Seen::Nothing => Finding::unchecked(CHECK, "there is no header that says where it is"),
        }
    }

    fn of_log(&self, text: String, torn_bytes: u64) -> Finding {
        let floor = self.outside.header.as_ref().map_or(0, |header| header.floor.size);
        let found = if torn_bytes > 0 {
            let text =
                format!("{text}; behind them {torn_bytes} bytes of a commit that was never acknowledged");
            Finding::warn("log", text, "the next command that writes puts them aside and goes on")
        } else {
            Finding::ok("log", text)
        };
        found.fact("torn_bytes", torn_bytes).fact("floor_size", floor)
    }

    fn of_error(&self, kind: ErrorKind, message: &str) -> Finding {
        const CHECK: &str = "log";
        match kind {
            ErrorKind::Concurrency => {
                let seen = LogTail::open(&self.outside.files.database).and_then(|mut tail| tail.poll());
                let seen = seen.map(|reading| reading.sequence).ok();
                let reached =
                    seen.map_or_else(String::new, |sequence| format!("; it reaches commit {sequence}"));
                let text =
                    format!("whoever has it open for writing has it alone, so it was not read{reached}");
                Finding::unchecked(CHECK, text).fact("sequence", seen)
            }
            ErrorKind::Encryption => Finding::unchecked(CHECK, "it takes the key of the database"),
            ErrorKind::Integrity => {
                let database = shell(&self.outside.files.database);
                let advice = match self.outside.files.backups.first() {
                    Some((_, backup)) => format!(
                        "keep a copy of it; then: codex restore {} NEW, or salvage what is whole: codex repair {database} NEW",
                        shell(backup)
                    ),
                    None => {
                        format!("keep a copy of it; then salvage what is whole: codex repair {database} NEW")
                    }
                };
                Finding::fail(CHECK, message, advice)
            }
            _ => Finding::fail(CHECK, message, "see the message; `codex verify` says more"),
        }
    }

    pub(super) fn checkpoint(&self) -> Finding {
        const CHECK: &str = "checkpoint";
        let Ok(header) = &self.outside.header else {
            return Finding::unchecked(CHECK, "there is no database that it could be of");
        };
        let path = &self.outside.files.checkpoint;
        let bytes = std::fs::metadata(path).map(|file| file.len()).ok();
        let found = match (bytes, &self.seen) {
            (None, _) if header.mode == Mode::Ledger => {
                Finding::ok(CHECK, "there is none yet; opening reads the whole log")
            }
            (None, _) => Finding::ok(CHECK, "none is needed in snapshot mode"),
            (Some(_), _) if header.mode != Mode::Ledger => {
                let text = format!("{} is beside a database that has none", path.display());
                Finding::warn(CHECK, text, format!("rm {}", shell(path)))
            }
            (Some(_), Seen::Opened { stats, .. }) if stats.checkpoint_damaged => {
                let advice = format!("rm {}; it is made anew in time", shell(path));
                Finding::warn(CHECK, "it is damaged; opening reads the whole log instead", advice)
            }
            (Some(_), Seen::Opened { .. }) => Finding::ok(CHECK, "it is whole, and the log agrees with it"),
            (Some(_), _) => {
                Finding::unchecked(CHECK, "there is one; whether it is whole shows only on opening")
            }
        };
        found.fact("checkpoint_bytes", bytes)
    }

    pub(super) fn rewrite(&self) -> Finding {
        const CHECK: &str = "rewrite";
        let Seen::Opened { stats, .. } = &self.seen else {
            return Finding::unchecked(CHECK, "how much of the file is live shows only on opening");
        };
        let gain = stats.file_bytes.saturating_sub(stats.rewritten_bytes);
        let percent = gain.saturating_mul(100) / stats.file_bytes.max(1);
        let text = match stats.mode {
            Mode::Ledger => "a ledger keeps every commit; there is nothing to reclaim".to_owned(),
            Mode::Snapshot => {
                format!("a rewrite would reclaim {gain} of {} bytes, {percent} %", stats.file_bytes)
            }
        };
        // A program that has it open for writing, and the end of each command that writes, rewrite it where that is due.
        Finding::ok(CHECK, text).fact("reclaimable_bytes", gain).fact("file_bytes", stats.file_bytes)
    }
}

fn see(global: &Global, outside: &Outside) -> Seen {
    let Ok(header) = &outside.header else { return Seen::Nothing };
    let database = &outside.files.database;
    if header.encrypted && !is_given(global) {
        return Seen::Unkeyed(UnkeyedLog::open(database).map(|log| log.report()).map_err(Failure::from));
    }
    let secret = match Secret::read(global) {
        Ok(secret) => secret,
        Err(failure) => return Seen::NoSecret(failure),
    };
    let mut options = Options::new().create(false).read_only(true);
    if let Some(mode) = global.mode {
        options = options.mode(mode_of(mode));
    }
    let with_key = !matches!(secret, Secret::None);
    if let Some(unlock) = secret.unlock() {
        options = options.unlock(unlock);
    }
    let opened = options.open(database).and_then(|store| {
        let (stats, head, slots) = (Box::new(store.stats()), store.head(), store.key_slots()?);
        store.close()?;
        Ok(Seen::Opened { stats, head, slots })
    });
    opened.unwrap_or_else(|error| Seen::Refused(failed(error, with_key)))
}

fn of_failure(check: &'static str, failure: &Failure) -> Finding {
    Finding::fail(check, failure.message(), failure.advice().unwrap_or("see the message"))
}

fn in_words(slots: &[KeySlot]) -> String {
    let passphrases = slots.iter().filter(|slot| slot.kind == SlotKind::Passphrase).count();
    let keys = slots.len() - passphrases;
    format!("key slots: {keys} for an encryption key, {passphrases} for a passphrase")
}
