//! The verbs, each a few lines over the library.

mod backup;
mod bench;
mod doctor;
mod evidence;
mod files;
mod import_go;
mod key;
mod manual;
mod past;
mod records;
mod repair;
mod streams;
mod tour;
mod watching;

use std::ops::Deref;
use std::path::{Path, PathBuf};

use codex::proof::UnkeyedLog;
use codex::{Batch, ErrorKind, KeySlot, Options, Store};

pub(crate) use self::streams::commit;
use crate::args::{Command, Global, Mode};
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::progress::Bars;
use crate::secret::Secret;
use crate::shell;

pub(crate) fn run(global: &Global, command: Command, output: &mut Output) -> Result<Outcome, Failure> {
    let done = match command {
        Command::Set(set) => records::set(global, &set, output),
        Command::Get(get) => records::get(global, &get, output),
        Command::Delete(delete) => return records::delete(global, &delete, output),
        Command::Has(has) => return records::has(global, &has, output),
        Command::Ttl(ttl) => records::ttl(global, &ttl, output),
        Command::Keys(keys) => records::keys(global, &keys, output),
        Command::Scan(scan) => records::scan(global, &scan, output),
        Command::Count(count) => records::count(global, &count, output),
        Command::Clear(clear) => records::clear(global, &clear, output),
        Command::Batch(batch) => streams::batch(global, &batch, output),
        Command::Import(import) => streams::import(global, &import, output),
        Command::Export(export) => streams::export(global, &export, output),
        Command::History(history) => past::history(global, &history, output),
        Command::Log(log) => past::log(global, &log, output),
        Command::Diff(diff) => past::diff(global, &diff, output),
        Command::Verify(verify) => evidence::verify(global, &verify, output),
        Command::Head(head) => evidence::head(global, &head, output),
        Command::Prove(prove) => evidence::prove(global, &prove, output),
        Command::CheckProof(check) => evidence::check_proof(&check, output),
        Command::Bench(args) => bench::bench(global, &args, output),
        Command::Doctor => return doctor::doctor(global, output),
        Command::Stats(stats) if stats.watch.is_some() => watching::watch(global, &stats, output),
        Command::Stats(_) => files::stats(global, output),
        Command::Backup(backup) => backup::backup(global, &backup, output),
        Command::Backups => files::backups(global, output),
        Command::Restore(restore) => backup::restore(global, &restore, output),
        Command::Repair(repair) => repair::repair(global, &repair, output),
        Command::Keygen(keygen) => files::keygen(&keygen, output),
        Command::Key(key) => key::key(global, &key, output),
        Command::Completions(args) => manual::completions(&args, output),
        Command::Man(args) => manual::man(&args, output),
        Command::Compact => files::compact(global, output),
        Command::Interactive(interactive) => return shell::run(global, &interactive, output),
        Command::Tour(tour) => tour::run(&tour, output),
        Command::TourWriter => tour::write_until_killed(global, output),
    };
    done.map(|()| Outcome::Done)
}

/// Adds to a batch what a verb does, if it can be a part of one.
pub(crate) fn stage(command: &Command, batch: &mut Batch) -> Result<bool, Failure> {
    match command {
        Command::Set(set) => records::set_in(batch, set)?,
        Command::Delete(delete) => records::delete_in(batch, delete)?,
        Command::Clear(clear) => records::clear_in(batch, clear)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// What a command does with the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads it; nothing is created or changed.
    Read,
    /// Changes it, and it must be there.
    Change,
    /// Changes it, and creates it if it is missing.
    Create,
}

/// The database that the options name.
#[derive(Debug)]
enum Target {
    File(PathBuf),
    Home(String),
}

impl Target {
    /// Where it is, or would be.
    fn path(self) -> codex::Result<PathBuf> {
        match self {
            Self::File(path) => Ok(path),
            Self::Home(name) => codex::inspect::path_of_home(&name),
        }
    }

    fn open(&self, options: &Options) -> codex::Result<Store> {
        match self {
            Self::File(path) => options.open(path),
            Self::Home(name) => options.open_home(name),
        }
    }

    fn key_slots(&self) -> codex::Result<Vec<KeySlot>> {
        match self {
            Self::File(path) => codex::key_slots(path),
            Self::Home(name) => codex::key_slots_home(name),
        }
    }

    fn open_unkeyed(&self, bars: &Bars) -> codex::Result<UnkeyedLog> {
        match self {
            Self::File(path) => UnkeyedLog::open_with_progress(path, bars.observer()),
            Self::Home(name) => UnkeyedLog::open_home_with_progress(name, bars.observer()),
        }
    }
}

fn target(global: &Global) -> Result<Target, Failure> {
    if let Some(name) = &global.home {
        return Ok(Target::Home(name.clone()));
    }
    let named = global.file.clone().or_else(|| std::env::var_os("CODEX_DB").map(PathBuf::from));
    match named.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Ok(Target::File(path)),
        None => Err(Failure::validation("no database is named").hint(
            "give --file PATH, or --home[=NAME] for one in the home folder; or set CODEX_DB to a path",
        )),
    }
}

/// The database of a verb: opened for it alone, or the one that the shell keeps open.
#[derive(Debug)]
pub(crate) struct Database {
    store: Store,
    stays_open: bool,
}

impl Database {
    /// Closes what was opened for the verb, and reports what that finds.
    pub(crate) fn close(&self) -> codex::Result<()> {
        if self.stays_open { Ok(()) } else { self.store.close() }
    }
}

impl Deref for Database {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

/// The open database, or else the one that the options name. A new one is made only where the verb makes one.
fn open(global: &Global, access: Access, output: &mut Output) -> Result<Database, Failure> {
    match &global.open {
        Some(store) => Ok(Database { store: store.clone(), stays_open: true }),
        None => open_named(global, access, output).map(|store| Database { store, stays_open: false }),
    }
}

/// Opens the database that the options name.
pub(crate) fn open_named(global: &Global, access: Access, output: &mut Output) -> Result<Store, Failure> {
    let target = target(global)?;
    let secret = Secret::read(global)?;
    let encrypted = !matches!(secret, Secret::None);
    let typed = if let Secret::Typed(typed) = &secret { Some(typed.clone()) } else { None };

    let mut options = Options::new().create(false).read_only(access == Access::Read);
    options = options.progress(output.bars().observer());
    if let Some(mode) = global.mode {
        options = options.mode(mode_of(mode));
    }
    if let Some(unlock) = secret.unlock() {
        options = options.unlock(unlock);
    }
    match target.open(&options) {
        Err(error) if access == Access::Create && error.kind() == ErrorKind::NotFound => {
            if let Some(typed) = typed {
                Secret::confirm(&typed)?;
            }
            let store = target.open(&options.create(true)).map_err(|error| failed(error, encrypted))?;
            if !encrypted {
                output.note(
                    "created a database without encryption; `codex keygen` makes a key for one with it",
                );
            }
            Ok(store)
        }
        opened => opened.map_err(|error| failed(error, encrypted)),
    }
}

fn mode_of(mode: Mode) -> codex::Mode {
    match mode {
        Mode::Ledger => codex::Mode::Ledger,
        Mode::Snapshot => codex::Mode::Snapshot,
    }
}

/// A failure to open, with what to do next.
fn failed(error: codex::Error, with_key: bool) -> Failure {
    let kind = error.kind();
    let failure = Failure::from(error);
    match kind {
        ErrorKind::Encryption if with_key => failure.hint("this is not its key; the file was left as it is"),
        ErrorKind::Encryption => {
            failure.hint("give its key with --key-file, --passphrase or the variable CODEX_KEY")
        }
        ErrorKind::NotFound => failure.hint("`codex set` and `codex import` create a database"),
        _ => failure,
    }
}

/// A new folder that only its owner can use, whatever the umask; removed when it is dropped.
fn private_folder(prefix: &str, beside: &Path) -> std::io::Result<tempfile::TempDir> {
    let mut folder = tempfile::Builder::new();
    folder.prefix(prefix);
    #[cfg(unix)]
    folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    folder.tempdir_in(beside)
}

/// A count, for rates and ratios.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and nobody reads so many digits")]
fn float(count: u64) -> f64 {
    count as f64
}
