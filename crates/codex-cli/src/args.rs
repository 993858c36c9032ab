//! The command line: which database, what unlocks it, and what to do with it.
//!
//! `docs/cli.md` describes all of it. A value or a record key may stand in any argument, so a usage
//! error names options and commands only, never what was given to them.

mod backup;
mod evidence;
mod examples;
mod parse;
mod past;
mod records;
mod streams;

pub(crate) mod key;
pub(crate) mod line;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use codex::Store;

pub(crate) use self::backup::{Backup, Prune, RepositoryWork, Restore};
pub(crate) use self::evidence::{CheckProof, Head, Prove, Trust, Verify};
pub(crate) use self::parse::parse;
pub(crate) use self::past::{At, Diff, History, Log};
pub(crate) use self::records::{Clear, Count, Delete, Get, Has, Keys, Range, Scan, Selection, Set, Ttl};
pub(crate) use self::streams::{Batch, Csv, Export, Form, Import, Origin};

/// An encrypted, tamper-evident key-value database in one file.
#[derive(Debug, Parser)]
#[command(name = "codex", version, about, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What goes with every command, before or behind its name.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Database")]
pub(crate) struct Global {
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help = "The database file; without it, what the variable CODEX_DB says"
    )]
    pub(crate) file: Option<PathBuf>,

    #[arg(
        long,
        global = true,
        value_name = "NAME",
        help = "The database NAME in the home folder ($CODEX_HOME, else ~/.codex); without NAME, \"default\"",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "default"
    )]
    pub(crate) home: Option<String>,

    /// What a new database keeps (default: snapshot); an existing one must agree
    #[arg(long, global = true, value_enum, value_name = "MODE")]
    pub(crate) mode: Option<Mode>,

    /// Read the encryption key from this file: 64 hex digits, or base64 of 32 bytes
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// Ask for the passphrase on the terminal
    #[arg(long, global = true)]
    pub(crate) passphrase: bool,

    /// Read the passphrase from the first line of this file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// Take the passphrase from the first line that this shell command prints
    #[arg(long, global = true, value_name = "COMMAND")]
    pub(crate) passphrase_command: Option<String>,

    /// Print JSON: one object a line, errors too
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,

    // `color::choose` has read it, before anything could be printed.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        help_heading = "Output",
        help = "When to colour errors, help and states; auto heeds the variable NO_COLOR"
    )]
    pub(crate) color: Option<ColorChoice>,

    /// Print no notes on standard error
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,

    /// Log what goes on, on standard error or to --log-file (default: text)
    #[arg(long, global = true, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub(crate) log: Option<LogFormat>,

    /// Append the log to this file; a new one is readable for its owner only
    #[arg(long, global = true, value_name = "FILE", help_heading = "Output")]
    pub(crate) log_file: Option<PathBuf>,

    /// How much is logged (default: info)
    #[arg(long, global = true, value_enum, value_name = "LEVEL", help_heading = "Output")]
    pub(crate) log_level: Option<LogLevel>,

    /// The database that the shell has open, which its commands work on.
    #[arg(skip)]
    pub(crate) open: Option<Store>,
}

/// How a log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people
    Text,
    /// One JSON object a line
    Json,
}

/// From which level on events are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// Writes have stopped, or the command failed
    Error,
    /// Something needed mending, or failed in the background
    Warn,
    /// Openings, rewrites, checkpoints, backups, changes of keys
    Info,
    /// What opening found, conflicts
    Debug,
    /// Every group and every sync
    Trace,
}

/// What a database keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Every commit, for ever
    Ledger,
    /// The current state
    Snapshot,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Store a value under a key
    Set(Set),
    /// Print the value of a key
    Get(Get),
    /// Delete keys, all in one commit
    Delete(Delete),
    /// Exit with 0 if the key is there, with 1 if it is not
    Has(Has),
    /// Print how long a record will live
    Ttl(Ttl),
    /// Print keys, in order
    Keys(Keys),
    /// Print keys and values, in the order of the keys
    Scan(Scan),
    /// Print how many records there are
    Count(Count),
    /// Delete every record
    Clear(Clear),
    /// Apply operations from JSON Lines, all in one commit
    Batch(Batch),
    /// Store records from JSON Lines or CSV, or from a database of the original Go program
    Import(Import),
    /// Write records as JSON Lines or CSV
    Export(Export),
    /// Print the versions that a key has had, newest first (ledger)
    History(History),
    /// Print commits as they were made (ledger)
    Log(Log),
    /// Print what was added, changed and deleted between two points (ledger)
    Diff(Diff),
    /// Check every byte of the file, and whether it continues a head that was kept
    Verify(Verify),
    /// Print the head of the Merkle log, to be kept elsewhere
    Head(Head),
    /// Print a proof that a commit is in the log, or that the log continues an older head
    Prove(Prove),
    /// Check a proof; neither the database nor its key is needed
    CheckProof(CheckProof),
    /// Measure this machine and this disk beside their own limits, in about ten seconds
    Bench(Bench),
    /// Look for what is wrong with the database and its files, and say what to do; changes nothing
    Doctor,
    /// Print what the database holds and needs, or with --watch what is committed to it
    Stats(Stats),
    /// Copy the database to a new file, verified, or what is new of it into a repository
    Backup(Backup),
    /// List the rotated backups beside the database, newest first
    Backups,
    /// Make a database from a backup or a repository, verified
    Restore(Restore),
    /// Salvage what is whole of a damaged database into a new one
    Repair(Repair),
    /// Write a new encryption key to a new file
    Keygen(Keygen),
    /// List, add, remove and change what opens the database
    Key(key::Key),
    /// Print what lets a shell complete commands and options
    Completions(Completions),
    /// Print the manual page, or write one for each command to a folder
    Man(Man),
    /// Reclaim the space of what was replaced and deleted (snapshot)
    Compact,
    /// Work on one database, which stays open, command by command
    Interactive(Interactive),
    /// See it all at work on real data, in a folder of its own
    Tour(Tour),
    /// Write until killed, and print the number of each acknowledged commit
    #[command(hide = true)]
    TourWriter,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Print every so often what was committed meanwhile, also beside the process that writes; needs no key
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        value_parser = seconds
    )]
    pub(crate) watch: Option<Duration>,
    /// End after so many lines
    #[arg(long, requires = "watch")]
    pub(crate) count: Option<u64>,
}

/// How long to wait: from a hundredth of a second to a day.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    let wanted = "a number of seconds, from 0.01 to 86400";
    let seconds: f64 = text.parse().map_err(|_| wanted)?;
    if (0.01..=86_400.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wanted) }
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Measure in this folder (default: that of the database that is named, else the current one)
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// About how long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// The damaged database; it is left as it is
    pub(crate) source: PathBuf,
    /// The new database file
    pub(crate) target: PathBuf,
    /// Only report what would be salvaged, and create nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// The new file (default: codex.key, or codex.signing-key); `-` is standard output
    #[arg(id = "stream", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Make a key that signs heads, with its public key in FILE.pub
    #[arg(long)]
    pub(crate) signing: bool,
    /// The name that goes with the signatures
    #[arg(long, default_value = "codex", requires = "signing")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder for the pages; it is made if it is missing
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Interactive {
    /// Change nothing, and let others read at the same time
    #[arg(long)]
    pub(crate) read_only: bool,
    /// In a script on standard input: go on behind a command that fails
    #[arg(long)]
    pub(crate) keep_going: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Tour {
    /// Keep the folder with all files of the tour
    #[arg(long)]
    pub(crate) keep: bool,
}

/// All that can be said on the command line, with its examples.
pub(crate) fn definition() -> clap::Command {
    examples::added_to(Cli::command())
}

const AFTER_HELP: &str = "\
Encryption key: from --key-file, else from the variable CODEX_KEY (the same text), or a passphrase.
A new database is encrypted if one of them is given.

Exit codes:
   0  done                              4  the disk is full or fails, other input or output
   1  not there; a check that failed    5  no key, or not the key of this database
   2  bad argument, input or file       6  damage or tampering
   3  not permitted                     7  open in another process
  70  an error of codex itself        141  the reader of the output has gone";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_argument_of_a_command_takes_the_place_of_a_global_option() {
        // clap tells arguments apart by their id, and `--file` and `import FILE` may both be given.
        let definition = Cli::command();
        let globals: Vec<_> = definition.get_arguments().map(clap::Arg::get_id).collect();
        for command in definition.get_subcommands() {
            let deeper = command.get_subcommands().flat_map(clap::Command::get_arguments);
            for argument in command.get_arguments().chain(deeper) {
                assert!(
                    !globals.contains(&argument.get_id()),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
        }
    }
}
