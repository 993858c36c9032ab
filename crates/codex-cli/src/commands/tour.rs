//! The main job in one command, on real data: every step says what it did and what that shows.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use codex::{EncryptionKey, ErrorKind, Mode, Options, RestoreOptions, Store};

use super::streams::{export_text, file_len, import_into};
use super::{Access, open};
use crate::args::{Global, Tour};
use crate::exit::Failure;
use crate::output::Output;
use crate::secret;

/// Names of Unicode characters; `data/README.md` says where they are from.
const DATA: &[u8] = include_bytes!("../../data/unicode-names.jsonl");

/// The writer is killed when it has acknowledged so many commits.
const ACKNOWLEDGED_MIN: u64 = 200;

pub(super) fn run(tour: &Tour, output: &mut Output) -> Result<(), Failure> {
    let folder = tempfile::Builder::new()
        .prefix("codex-tour-")
        .tempdir()
        .map_err(|error| Failure::io("make a folder for the tour", error))?;
    let place = folder.path().to_path_buf();
    let kept = if tour.keep { Some(folder.keep()) } else { None };
    let key_file = place.join("tour.key");
    secret::generate(&key_file, &mut std::io::sink())?;
    say(output, "made a new encryption key, in a file that only its owner can read")?;
    for mode in [Mode::Ledger, Mode::Snapshot] {
        let path = place.join(format!("{mode}.db"));
        one_database(&path, mode, &key_file, output)?;
    }
    match kept {
        Some(folder) => say(output, &format!("kept all files in {}", folder.display())),
        None => say(output, "removed the folder of the tour; --keep leaves it"),
    }
}

fn say(output: &mut Output, text: &str) -> Result<(), Failure> {
    output.result(text, &serde_json::json!({"step": text}))?;
    output.flush()
}

/// A claim of the tour that does not hold is a bug of ours.
fn demand(holds: bool, claim: &str) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(Failure::new(ErrorKind::Internal, format!("the tour found that not: {claim}")))
    }
}

fn options(mode: Mode, key_file: &Path) -> Result<Options, Failure> {
    Ok(Options::new().mode(mode).encryption_key(key(key_file)?))
}

fn key(key_file: &Path) -> Result<EncryptionKey, Failure> {
    let text =
        fs::read_to_string(key_file).map_err(|error| Failure::io("read the key of the tour", error))?;
    Ok(EncryptionKey::from_hex(text.trim()).map_err(codex::Error::from)?)
}

fn one_database(path: &Path, mode: Mode, key_file: &Path, output: &mut Output) -> Result<(), Failure> {
    say(output, &format!("--- an encrypted database in {mode} mode"))?;
    let store = options(mode, key_file)?.open(path)?;
    let records = import_into(&store, DATA)?;
    let len = file_len(path);
    say(output, &format!("imported {records} names of Unicode characters: {len} bytes on disk"))?;
    store.set("tour", &["changed", "twice"])?;
    let removed = store.delete("U+0000")?;
    let letter: Option<serde_json::Value> = store.get("U+0041")?;
    let name = letter.as_ref().and_then(|letter| letter["name"].as_str());
    demand(removed && name == Some("LATIN CAPITAL LETTER A"), "what was imported is read back")?;
    store.close()?;
    let file = fs::read(path).map_err(|error| Failure::io("read the database of the tour", error))?;
    demand(!contains(&file, b"LATIN CAPITAL"), "no name stands in the file in clear")?;
    say(output, "read, changed and deleted records; no name stands in the file in clear")?;

    let acknowledged = killed_writer(path, key_file)?;
    let store = options(mode, key_file)?.open(path)?;
    let all_there = (1..=acknowledged).all(|number| store.has(format!("killed {number}")).unwrap_or(false));
    demand(all_there, "every acknowledged commit survives kill -9")?;
    say(output, &format!("killed a writer after {acknowledged} acknowledged commits: all are there"))?;
    let report = store.verify()?;
    say(
        output,
        &format!("verified all {} bytes: {} frames, {} commits", report.bytes, report.frames, report.commits),
    )?;

    let copy = path.with_extension("backup");
    store.backup(&copy)?;
    let before = export_text(&store)?;
    store.clear()?;
    demand(store.is_empty(), "clear leaves nothing")?;
    store.close()?;
    let restored = path.with_extension("restored");
    codex::restore(&copy, &restored, RestoreOptions::new().encryption_key(key(key_file)?))?;
    let store = options(mode, key_file)?.open(&restored)?;
    demand(export_text(&store)? == before, "the restored database holds what the backup held")?;
    store.close()?;
    say(output, "backed up, cleared, restored: the restored database holds every record")?;
    flipped_byte(&copy, mode, key_file)?;
    say(output, "flipped one byte in the middle of the backup: it was refused, not read")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn flipped_byte(path: &Path, mode: Mode, key_file: &Path) -> Result<(), Failure> {
    let io = |error| Failure::io("change a byte of the backup", error);
    let mut bytes = fs::read(path).map_err(io)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).map_err(io)?;
    let refused = options(mode, key_file)?.open(path).map(|_| ()).map_err(|error| error.kind());
    demand(refused == Err(ErrorKind::Integrity), "a flipped byte is an Integrity error")
}

/// Starts a process that commits as fast as it can, kills it, and returns how many commits it had reported.
fn killed_writer(path: &Path, key_file: &Path) -> Result<u64, Failure> {
    let io = |error| Failure::io("run a writer to kill", error);
    let program = std::env::current_exe().map_err(io)?;
    let mut child = Command::new(program)
        .arg("--file")
        .arg(path)
        .arg("--key-file")
        .arg(key_file)
        .arg("tour-writer")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(io)?;
    let mut last = 0;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            // The last line may be cut; only whole numbers count.
            match line.map(|line| line.parse::<u64>()) {
                Ok(Ok(number)) => last = number,
                _ => break,
            }
            if last == ACKNOWLEDGED_MIN {
                child.kill().map_err(io)?;
            }
        }
    }
    child.wait().map_err(io)?;
    demand(last >= ACKNOWLEDGED_MIN, "the writer commits until it is killed")?;
    Ok(last)
}

/// Commits without end, and prints the number of each commit once it is acknowledged.
pub(super) fn write_until_killed(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let store: Store = open(global, Access::Create, output)?;
    for number in 1_u64.. {
        store.set(format!("killed {number}"), &number)?;
        output.line(&number.to_string())?;
        output.flush()?;
    }
    Ok(())
}
