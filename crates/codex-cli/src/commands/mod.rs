//! The verbs, each a few lines over the library.

mod files;
mod records;
mod streams;
mod tour;

use std::path::PathBuf;

use codex::{Options, Store};

use crate::args::{Command, Global, Mode};
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::secret::{self, Purpose};

pub(crate) fn run(global: &Global, command: Command, output: &mut Output) -> Result<Outcome, Failure> {
    let done = match command {
        Command::Set(set) => records::set(global, &set, output),
        Command::Get(get) => return records::get(global, &get, output),
        Command::Delete(delete) => return records::delete(global, &delete, output),
        Command::Has(has) => return records::has(global, &has, output),
        Command::Keys(keys) => records::keys(global, &keys, output),
        Command::Scan(scan) => records::scan(global, &scan, output),
        Command::Count(count) => records::count(global, &count, output),
        Command::Clear(clear) => records::clear(global, &clear, output),
        Command::Batch(batch) => streams::batch(global, &batch, output),
        Command::Import(import) => streams::import(global, &import, output),
        Command::Export(export) => streams::export(global, &export, output),
        Command::Verify => files::verify(global, output),
        Command::Head => files::head(global, output),
        Command::Stats => files::stats(global, output),
        Command::Backup(backup) => files::backup(global, &backup, output),
        Command::Backups => files::backups(global, output),
        Command::Restore(restore) => files::restore(global, &restore, output),
        Command::Keygen(keygen) => secret::generate(&keygen.file, output),
        Command::Tour(tour) => tour::run(&tour, output),
        Command::TourWriter => tour::write_until_killed(global, output),
    };
    done.map(|()| Outcome::Done)
}

/// What a command does with the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
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

fn target(global: &Global) -> Result<Target, Failure> {
    if let Some(name) = &global.home {
        return Ok(Target::Home(name.clone()));
    }
    let named = global.file.clone().or_else(|| std::env::var_os("CODEX_DB").map(PathBuf::from));
    match named.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Ok(Target::File(path)),
        None => Err(Failure::validation("no database is named")
            .hint("give --file PATH, or --home[=NAME] for one in the home folder, or set CODEX_DB")),
    }
}

fn open(global: &Global, access: Access, output: &mut Output) -> Result<Store, Failure> {
    let target = target(global)?;
    let missing = matches!(&target, Target::File(path) if !path.exists());
    let purpose = if missing && access == Access::Create { Purpose::Create } else { Purpose::Open };
    let mut options = Options::new().create(access == Access::Create).read_only(access == Access::Read);
    if let Some(mode) = global.mode {
        options = options.mode(match mode {
            Mode::Ledger => codex::Mode::Ledger,
            Mode::Snapshot => codex::Mode::Snapshot,
        });
    }
    let unlock = secret::unlock(global, purpose)?;
    if purpose == Purpose::Create && unlock.is_none() {
        output.note("the new database is not encrypted; `codex keygen` and --key-file make an encrypted one");
    }
    if let Some(unlock) = unlock {
        options = options.unlock(unlock);
    }
    let opened = match &target {
        Target::File(path) => options.open(path),
        Target::Home(name) => options.open_home(name),
    };
    opened.map_err(|error| {
        let kind = error.kind();
        let failure = Failure::from(error);
        match kind {
            codex::ErrorKind::Encryption => {
                failure.hint("give the key with --key-file, CODEX_KEY or --passphrase; nothing was changed")
            }
            codex::ErrorKind::NotFound => failure.hint("`codex set` and `codex import` create a database"),
            _ => failure,
        }
    })
}
