//! The main job in one command, on real data: every step says what it did and what that shows.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use codex::{EncryptionKey, ErrorKind, Mode, Options, RestoreOptions, Store};
use serde_json::{Value, json};

use super::streams::{Records, import_into, write_records};
use super::{Access, open, private_folder};
use crate::args::{Global, Tour};
use crate::exit::Failure;
use crate::lines::Lines;
use crate::output::Output;
use crate::progress::Bars;
use crate::secret;

pub(super) fn run(tour: &Tour, output: &mut Output) -> Result<(), Failure> {
    let folder = private_folder("codex-tour-", &std::env::temp_dir())
        .map_err(|error| Failure::io("make a folder for the tour", error))?;
    let key_file = folder.path().join("tour.key");
    say(output, &format!("The tour works in {}.", folder.path().display()))?;
    secret::write_new_key(&key_file)?;
    say(output, "Made a new encryption key in tour.key, which only its owner can read.")?;
    for mode in [Mode::Ledger, Mode::Snapshot] {
        let stop = Stop { path: folder.path().join(format!("{mode}.db")), mode, key_file: &key_file };
        stop.run(output)?;
    }
    if tour.keep {
        let kept = folder.keep();
        say(output, &format!("\nEverything held. All files are kept in {}.", kept.display()))
    } else {
        folder.close().map_err(|error| Failure::io("remove the folder of the tour", error))?;
        say(output, "\nEverything held. The folder is removed; --keep leaves it.")
    }
}

/// One database of the tour.
struct Stop<'a> {
    path: PathBuf,
    mode: Mode,
    key_file: &'a Path,
}

impl Stop<'_> {
    fn run(&self, output: &mut Output) -> Result<(), Failure> {
        say(output, &format!("\nAn encrypted database in {} mode", self.mode))?;
        self.fill(output)?;
        self.refuse_another_key(output)?;
        let store = self.survive_a_kill(output)?;
        self.back_up_and_restore(store, output)?;
        self.refuse_a_flipped_byte(output)
    }

    fn fill(&self, output: &mut Output) -> Result<(), Failure> {
        let store = self.open(&self.path)?;
        let records = import_into(&store, &mut Records::Lines(Lines::of(DATA)), &Bars::off())?;
        let bytes = store.stats().file_bytes;
        say(
            output,
            &format!("  Imported {records} names of Unicode characters; the file has {bytes} bytes."),
        )?;

        // The data stands in the order of its keys and in the form of an export.
        demand(export(&store)? == DATA, "an export is the imported file, byte for byte")?;
        let letter: Option<Value> = store.get("U+0041")?;
        let name = letter.as_ref().and_then(|letter| letter["name"].as_str());
        demand(name == Some("LATIN CAPITAL LETTER A"), "what was imported is read back")?;
        store.set("tour", &["set", "read", "deleted"])?;
        demand(store.delete("U+0000")? && !store.has("U+0000")?, "what is deleted is gone")?;
        store.close()?;
        let store = self.open(&self.path)?;
        demand(store.len() == records_of_data(), "the count is the same after reopening")?;
        store.close()?;
        let file = read(&self.path)?;
        demand(!contains(&file, b"LATIN CAPITAL") && !contains(&file, b"U+00"), "nothing stands in clear")?;
        say(
            output,
            "  Exported it again, byte for byte the same; read, changed, deleted, reopened: it is all there, \
             and no key or name stands in the file in clear.",
        )
    }

    fn refuse_another_key(&self, output: &mut Output) -> Result<(), Failure> {
        let before = read(&self.path)?;
        let other = EncryptionKey::generate().map_err(codex::Error::from)?;
        let refused = Options::new().encryption_key(other).open(&self.path).map(drop);
        let kind = refused.map_err(|error| error.kind());
        demand(kind == Err(ErrorKind::Encryption), "another key is refused")?;
        demand(read(&self.path)? == before, "a refused key changes nothing")?;
        say(output, "  Tried another key: it was refused, and not a byte of the file changed.")
    }

    fn survive_a_kill(&self, output: &mut Output) -> Result<Store, Failure> {
        let acknowledged = killed_writer(&self.path, self.key_file)?;
        let store = self.open(&self.path)?;
        let mut there = 0;
        for number in 1..=acknowledged {
            there += u64::from(store.get(killed_key(number))? == Some(number));
        }
        demand(there == acknowledged, "every acknowledged commit survives kill -9")?;
        say(
            output,
            &format!(
                "  Killed a writer (kill -9) that had acknowledged {acknowledged} commits, reopened: all are there."
            ),
        )?;
        let report = store.verify()?;
        say(
            output,
            &format!(
                "  Verified all {} bytes: {} frames and {} commits are whole, each linked to the one before.",
                report.bytes, report.frames, report.commits
            ),
        )?;
        Ok(store)
    }

    fn back_up_and_restore(&self, store: Store, output: &mut Output) -> Result<(), Failure> {
        store.backup(self.copy())?;
        let (head, before) = (store.head(), export(&store)?);
        store.clear()?;
        demand(store.is_empty(), "clear leaves nothing")?;
        store.close()?;
        drop(store);

        let restored = self.path.with_extension("restored.db");
        codex::restore(self.copy(), &restored, RestoreOptions::new().encryption_key(self.key()?))?;
        let store = self.open(&restored)?;
        demand(export(&store)? == before, "the restored database holds what was backed up")?;
        demand(self.mode != Mode::Ledger || store.head() == head, "the restored ledger has the same head")?;
        store.close()?;
        say(
            output,
            "  Backed up, cleared, restored: the restored database holds every record, byte for byte.",
        )
    }

    fn refuse_a_flipped_byte(&self, output: &mut Output) -> Result<(), Failure> {
        let failed = |error| Failure::io("change a byte of the backup", error);
        let mut bytes = read(&self.copy())?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(self.copy(), bytes).map_err(failed)?;
        let refused = self.open(&self.copy()).map(drop);
        let found =
            matches!(&refused, Err(failure) if crate::exit::kind_of(failure) == Some(ErrorKind::Integrity));
        demand(found, "a flipped byte is an Integrity error")?;
        say(output, &format!("  Flipped one bit of byte {middle} of the backup: it was refused, not read."))
    }

    fn open(&self, path: &Path) -> Result<Store, Failure> {
        Ok(Options::new().mode(self.mode).encryption_key(self.key()?).open(path)?)
    }

    fn key(&self) -> Result<EncryptionKey, Failure> {
        let text = zeroize::Zeroizing::new(
            fs::read_to_string(self.key_file)
                .map_err(|error| Failure::io("read the key of the tour", error))?,
        );
        Ok(EncryptionKey::from_hex(text.trim()).map_err(codex::Error::from)?)
    }

    fn copy(&self) -> PathBuf {
        self.path.with_extension("backup.db")
    }
}

fn say(output: &mut Output, text: &str) -> Result<(), Failure> {
    output.result(text, &json!({"step": text.trim()}))?;
    output.flush()
}

/// A claim of the tour that does not hold is a bug of ours.
fn demand(holds: bool, claim: &str) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(Failure::new(ErrorKind::Internal, format!("the tour found this claim to be wrong: {claim}")))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::io("read a file of the tour", error))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// How many records the data has: one a line. One is deleted on the tour, and one is added.
fn records_of_data() -> usize {
    DATA.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()
}

/// What `codex export` would write.
fn export(store: &Store) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    write_records(&store.view(), &Bars::off(), &mut text, Failure::output)?;
    Ok(text)
}

/// Starts a process that commits as fast as it can, kills it, and returns how many commits it had acknowledged.
fn killed_writer(path: &Path, key_file: &Path) -> Result<u64, Failure> {
    let failed = |error: io::Error| Failure::io("run a writer to kill", error);
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .arg("--file")
        .arg(path)
        .arg("--key-file")
        .arg(key_file)
        .arg("tour-writer")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut last = 0;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut line = String::new();
        // A line without its newline was cut short; its number is not complete.
        while lines.read_line(&mut line).map_err(failed)? > 0 && line.ends_with('\n') {
            last = line.trim_end().parse().unwrap_or(last);
            line.clear();
            if last == ACKNOWLEDGED_MIN {
                // It writes on meanwhile: what it has acknowledged by then is read from the pipe.
                child.kill().map_err(failed)?;
            }
        }
    }
    child.wait().map_err(failed)?;
    demand(last >= ACKNOWLEDGED_MIN, "the writer commits until it is killed")?;
    Ok(last)
}

/// Commits without end, and prints the number of each commit once it is acknowledged.
pub(super) fn write_until_killed(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let store = open(global, Access::Create, output)?;
    for number in 1_u64.. {
        store.set(killed_key(number), &number)?;
        output.line(&number.to_string())?;
        output.flush()?;
    }
    Ok(())
}

fn killed_key(number: u64) -> String {
    format!("killed {number}")
}

/// Names of Unicode characters; `data/README.md` says where they are from.
const DATA: &[u8] = include_bytes!("../../data/unicode-names.jsonl");

/// The writer is killed when it has acknowledged so many commits.
const ACKNOWLEDGED_MIN: u64 = 200;
