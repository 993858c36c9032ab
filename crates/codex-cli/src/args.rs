//! The command line: which database, what unlocks it, and what to do with it.
//!
//! `docs/cli.md` describes all of it. A value or a record key may stand in any argument, so a usage
//! error names options and commands only, never what was given to them.

mod backup;
mod examples;
mod past;

pub(crate) mod key;
pub(crate) mod line;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};
use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use codex::Store;

pub(crate) use self::backup::{Backup, Prune, RepositoryWork, Restore};
pub(crate) use self::past::{At, Diff, History, Log};
use crate::exit::Failure;
use crate::secret::Sources;

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
pub(crate) struct Set {
    /// The record's key
    pub(crate) key: OsString,
    /// The value as JSON; `-` reads it from standard input
    // So that `-1e-5` is a value, which clap does not take for a number; `check` refuses options.
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: OsString,
    /// Store the value's bytes exactly, not as JSON
    #[arg(long)]
    pub(crate) raw: bool,
    /// For how long, as in 60s, '1h 30m' or 7d; then the key is absent
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Ttl {
    /// The record's key
    pub(crate) key: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The record's key
    pub(crate) key: OsString,
    /// Write the value's bytes exactly, without a newline
    #[arg(long)]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The records' keys
    #[arg(value_name = "KEY", required_unless_present = "range", conflicts_with = "range")]
    pub(crate) keys: Vec<OsString>,
    #[command(flatten)]
    pub(crate) range: Range,
    /// Delete what --prefix, --glob, --from or --to choose without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Only say how many would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Has {
    /// The record's key
    pub(crate) key: OsString,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// End each key with a zero byte, and write its bytes as they are
    #[arg(short = '0', long = "null")]
    pub(crate) null: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// End each key and each value with a zero byte, and write their bytes as they are
    #[arg(short = '0', long = "null")]
    pub(crate) null: bool,
}

/// Which records, and in which order.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    #[command(flatten)]
    pub(crate) range: Range,
    /// From the last to the first
    #[arg(long)]
    pub(crate) reverse: bool,
    /// At most this many
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) at: At,
}

/// Which records.
#[derive(Debug, Args)]
#[group(id = "range", multiple = true)]
pub(crate) struct Range {
    /// Only keys that begin with this
    #[arg(long)]
    pub(crate) prefix: Option<OsString>,
    /// Only keys that match, as in 'user:*': `*`, `?`, `[a-z]`, and `\` before one of these
    #[arg(long, value_name = "PATTERN")]
    pub(crate) glob: Option<OsString>,
    /// Only keys from this one on
    #[arg(long, value_name = "KEY")]
    pub(crate) from: Option<OsString>,
    /// Only keys before this one
    #[arg(long, value_name = "KEY")]
    pub(crate) to: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Count {
    /// Only keys that begin with this
    #[arg(long)]
    pub(crate) prefix: Option<OsString>,
    #[command(flatten)]
    pub(crate) at: At,
}

#[derive(Debug, Args)]
pub(crate) struct Clear {
    /// Say that every record shall go
    #[arg(long)]
    pub(crate) yes: bool,
    /// Only say how many would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Batch {
    /// The file with the operations; `-` is standard input
    #[arg(id = "stream", value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file with the records; `-` is standard input
    #[arg(id = "stream", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How the records are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "jsonl")]
    pub(crate) format: Form,
    /// Take the records out of what another program keeps
    #[arg(long, value_enum, value_name = "FORM", conflicts_with_all = ["format", "key_column", "infer"])]
    pub(crate) from: Option<Origin>,
    /// Check the whole file and report what it holds; no database is opened
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) csv: Csv,
    /// Take numbers, true, false and null as such where they are written as JSON has them, and leave out empty cells
    #[arg(long, help_heading = "With --format csv")]
    pub(crate) infer: bool,
    #[command(flatten)]
    pub(crate) go: ImportGo,
}

/// Where records come from that are not JSON Lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Origin {
    /// A database of the original CodexDB, the Go program
    CodexdbGo,
}

/// How a database of the original is imported.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --from codexdb-go")]
pub(crate) struct ImportGo {
    /// Which mode the original kept the file in, if it cannot be told
    #[arg(long, requires = "from", value_enum, value_name = "MODE")]
    pub(crate) from_mode: Option<Mode>,
    /// Read the key that the original used from this file: 16, 24 or 32 bytes, or their hex digits
    #[arg(long, requires = "from", value_name = "FILE")]
    pub(crate) from_key_file: Option<PathBuf>,
    /// Import what stands before the first damage, and say what is missing
    #[arg(long, requires = "from")]
    pub(crate) partial: bool,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// One JSON object a line
    Jsonl,
    /// Rows of cells; the first one names the columns
    Csv,
}

/// How records are written as CSV.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --format csv")]
pub(crate) struct Csv {
    /// The column that holds the keys (default: key)
    #[arg(long, value_name = "NAME")]
    pub(crate) key_column: Option<String>,
}

impl Csv {
    pub(crate) fn key_column(&self) -> &str {
        self.key_column.as_deref().unwrap_or("key")
    }
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The new file; `-` is standard output
    #[arg(id = "stream", value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// How the records are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "jsonl")]
    pub(crate) format: Form,
    #[command(flatten)]
    pub(crate) csv: Csv,
    #[command(flatten)]
    pub(crate) at: At,
}

/// What a database or a proof is held against.
#[derive(Debug, Args)]
pub(crate) struct Trust {
    /// A head that was kept, as `codex head` printed it
    #[arg(long, value_name = "FILE")]
    pub(crate) head: Option<PathBuf>,
    /// The public key of whoever must have signed the head
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) trust: Trust,
}

#[derive(Debug, Args)]
pub(crate) struct Head {
    /// Sign it with the key in this file (`codex keygen --signing`)
    #[arg(long, value_name = "FILE")]
    pub(crate) sign: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The number of the commit
    pub(crate) sequence: Option<u64>,
    /// Prove instead that the log continues the head in this file
    #[arg(long, value_name = "FILE", conflicts_with = "sequence")]
    pub(crate) since: Option<PathBuf>,
    /// Sign the head that is proven against with the key in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) sign: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckProof {
    /// The file with the proof; `-` is standard input
    pub(crate) proof: PathBuf,
    #[command(flatten)]
    pub(crate) trust: Trust,
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

/// Reads the command line, or says what is wrong with it. `--help` and `--version` are an `Ok(Err(_))`:
/// text for standard output.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Result<Cli, clap::Error>, Failure> {
    let escaped = words.iter().any(|word| word == "--");
    let read = definition().try_get_matches_from(name_of_home(words));
    match read.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => {
            check(&cli)?;
            if let (Command::Set(set), false) = (&cli.command, escaped) {
                refuse_option(&set.value)?;
            }
            Ok(Ok(cli))
        }
        Err(error) if !error.use_stderr() => Ok(Err(error)),
        Err(error) => Err(usage(&error, &LISTS)),
    }
}

/// Who lists what can be given, as a usage error says it.
struct Lists {
    /// Of all commands.
    commands: &'static str,
    /// What to do where there is no such command.
    unknown: &'static str,
    /// How one is used.
    usage: &'static str,
}

const LISTS: Lists = Lists {
    commands: "`codex --help` lists all commands and options",
    unknown: "`codex --help` lists all commands; a database in the home folder is named --home=NAME",
    usage: "`codex --help` lists all commands, `codex COMMAND --help` shows how one is used; \
            a key or value that begins with `-` goes behind `--`",
};

/// `--home NAME` before the command becomes `--home=NAME`. A command's name or an option behind `--home`
/// is no NAME; a database that is named like a command is written `--home=NAME`.
fn name_of_home(words: Vec<OsString>) -> Vec<OsString> {
    const WITH_VALUE: [&str; 9] = [
        "--file",
        "--mode",
        "--key-file",
        "--passphrase-file",
        "--passphrase-command",
        "--color",
        "--log",
        "--log-file",
        "--log-level",
    ];
    let definition = Cli::command();
    let is_command = |word: &OsStr| definition.get_subcommands().any(|command| word == command.get_name());

    let mut joined = Vec::with_capacity(words.len());
    let mut words = words.into_iter().peekable();
    joined.extend(words.next());
    while let Some(word) = words.next() {
        let is_option = word.as_encoded_bytes().starts_with(b"-");
        if !is_option || word == "--" {
            joined.push(word);
            break;
        }
        let takes_value = WITH_VALUE.iter().any(|option| word == *option);
        let names_home = word == "--home"
            && words
                .peek()
                .is_some_and(|next| !next.as_encoded_bytes().starts_with(b"-") && !is_command(next));
        joined.push(word);
        if let (true, Some(next)) = (names_home || takes_value, words.peek().cloned()) {
            words.next();
            if let (true, Some(home)) = (names_home, joined.last_mut()) {
                home.push("=");
                home.push(next);
            } else {
                joined.push(next);
            }
        }
    }
    joined.extend(words);
    joined
}

/// What the definition above cannot say of options that stand before or behind the command.
fn check(cli: &Cli) -> Result<(), Failure> {
    let global = &cli.global;
    if global.file.is_some() && global.home.is_some() {
        return Err(Failure::validation("--file and --home name two databases").hint("give one of them"));
    }
    if Sources::of(global).count() > 1 {
        return Err(Failure::validation(
            "--key-file, --passphrase, --passphrase-file and --passphrase-command exclude each other",
        )
        .hint("give the one that unlocks this database"));
    }
    check_output(&cli.command, global.json)
}

/// JSON, and bytes as they are, exclude each other.
fn check_output(command: &Command, json: bool) -> Result<(), Failure> {
    let bytes_as_they_are = match command {
        Command::Get(get) => get.raw,
        Command::Keys(keys) => keys.null,
        Command::Scan(scan) => scan.null,
        _ => false,
    };
    if bytes_as_they_are && json {
        return Err(Failure::validation("--json cannot be used where bytes are written as they are")
            .hint("leave out --json, or --raw and -0"));
    }
    Ok(())
}

/// A value that begins with `-` is a number, or it is `-` itself; else it is an option that does not exist.
fn refuse_option(value: &OsStr) -> Result<(), Failure> {
    match value.as_encoded_bytes() {
        [b'-', next, ..] if !next.is_ascii_digit() => {
            Err(Failure::validation("there is an option that this command does not know")
                .hint("a value that begins with `-` goes behind `--`: codex set --raw name -- -v"))
        }
        _ => Ok(()),
    }
}

/// A usage error in the command's own words: clap's would quote the argument.
fn usage(error: &clap::Error, lists: &Lists) -> Failure {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    // What a wrong word may be is decided here: an option's name, and nothing that was given to it.
    let argument = text(ContextKind::InvalidArg).map_or_else(String::new, |argument| {
        let name = argument.split(['=', ' ']).next().unwrap_or_default();
        if name.starts_with('-') { name.to_owned() } else { String::new() }
    });
    let message = match error.kind() {
        ClapKind::UnknownArgument if argument.is_empty() => "there is an argument too many".to_owned(),
        ClapKind::UnknownArgument => "there is an option that this command does not know".to_owned(),
        ClapKind::InvalidSubcommand => "there is no such command".to_owned(),
        ClapKind::MissingSubcommand | ClapKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "no command is given".to_owned()
        }
        ClapKind::MissingRequiredArgument => {
            let missing = text(ContextKind::InvalidArg).unwrap_or_default();
            format!("missing: {missing}")
        }
        ClapKind::InvalidValue if !argument.is_empty() => match text(ContextKind::ValidValue) {
            Some(valid) if !valid.is_empty() => format!("{argument} takes one of: {valid}"),
            _ => format!("{argument} needs a value"),
        },
        ClapKind::NoEquals => format!("{argument} takes its value behind an equals sign"),
        ClapKind::ValueValidation if argument == "--limit" => "--limit takes a count".to_owned(),
        ClapKind::ValueValidation if argument == "--watch" => {
            "--watch takes a number of seconds, from 0.01 to 86400, behind an equals sign".to_owned()
        }
        ClapKind::ArgumentConflict => {
            let other = text(ContextKind::PriorArg).unwrap_or_default();
            format!("{argument} cannot be used with {other}")
        }
        ClapKind::InvalidUtf8 => "an option's value is not UTF-8".to_owned(),
        _ if argument.is_empty() => "the arguments are not understood".to_owned(),
        _ => format!("{argument} is not used rightly"),
    };
    let hint = match (text(ContextKind::SuggestedSubcommand), text(ContextKind::SuggestedArg)) {
        (Some(suggested), _) | (None, Some(suggested)) => {
            format!("perhaps {suggested} is meant; {}", lists.commands)
        }
        _ if error.kind() == ClapKind::InvalidSubcommand => lists.unknown.to_owned(),
        _ => lists.usage.to_owned(),
    };
    Failure::validation(message).hint(hint)
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
    use crate::exit::kind_of;
    use codex::ErrorKind;

    fn words(line: &str) -> Vec<OsString> {
        std::iter::once("codex").chain(line.split(' ')).map(OsString::from).collect()
    }

    fn home(line: &str) -> Option<String> {
        parse(words(line)).expect("the line is right").expect("the line is a command").global.home
    }

    fn refusal(line: &str) -> String {
        let failure = parse(words(line)).expect_err("the line is wrong");
        assert_eq!(kind_of(&failure), Some(ErrorKind::Validation));
        failure.to_string()
    }

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

    #[test]
    fn home_takes_a_name_with_equals_sign_or_before_the_command() {
        assert_eq!(home("--home=notes keys").as_deref(), Some("notes"));
        assert_eq!(home("--home notes keys").as_deref(), Some("notes"));
        assert_eq!(home("--json --home notes keys").as_deref(), Some("notes"));
        assert_eq!(home("keys --home=notes").as_deref(), Some("notes"));
        assert_eq!(home("--home=keys keys").as_deref(), Some("keys"));
    }

    #[test]
    fn home_without_a_name_is_default_and_eats_no_command() {
        assert_eq!(home("--home keys").as_deref(), Some("default"));
        assert_eq!(home("--home --json keys").as_deref(), Some("default"));
        assert_eq!(home("--mode ledger --home get keys").as_deref(), Some("default"));
        assert_eq!(home("get --home keys").as_deref(), Some("default"));
    }

    #[test]
    fn negative_numbers_are_values() {
        for value in ["-5", "-1.50", "-1e400", "-1e-5", "-"] {
            let cli = parse(words(&format!("set key {value}"))).expect("right").expect("a command");
            let Command::Set(set) = cli.command else { panic!("a set") };
            assert_eq!(set.value, value);
        }
    }

    #[test]
    fn flags_are_flags_on_both_sides_of_a_value() {
        for line in ["set --raw key v", "set key --raw v", "set key v --raw", "set --raw key -- --json"] {
            let cli = parse(words(line)).expect("right").expect("a command");
            let Command::Set(set) = cli.command else { panic!("a set") };
            assert!(set.raw && (set.value == "v" || set.value == "--json"), "{line}");
            assert!(!cli.global.json);
        }
    }

    #[test]
    fn usage_errors_do_not_quote_what_was_given() {
        for line in [
            "set name s3cret s3cret",
            "s3cret",
            "set --s3cret=s3cret name 1",
            "set name 1 --s3cret",
            "set name -s3cret",
            "set --raw name --s3cret",
            "--mode s3cret keys",
            "--limit=s3cret keys",
            "keys --limit s3cret",
            "get",
            "get name --json=s3cret",
            "key s3cret",
            "key remove s3cret",
            "key add --memory s3cret",
            "key change --s3cret",
            "stats --watch=s3cret",
            "bench --seconds s3cret",
        ] {
            assert!(!refusal(line).contains("s3cret"), "{line}: {}", refusal(line));
        }
    }

    #[test]
    fn options_that_exclude_each_other_are_refused_on_both_sides_of_the_command() {
        refusal("--file a keys --home");
        refusal("--key-file a keys --passphrase");
        refusal("--passphrase-command a keys --passphrase-file b");
        refusal("keys -0 --json");
        refusal("--json keys -0");
        refusal("--json get name --raw");
    }
}
