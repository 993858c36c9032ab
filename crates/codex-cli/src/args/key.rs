//! The arguments of `key`: which slot, what the new key is, and what a guess at it costs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    pub(crate) action: KeyAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// List the key slots; without a key, as the file says
    List,
    /// Add an encryption key or passphrase that opens the database too
    Add(Add),
    /// Remove a key slot
    Remove(Remove),
    /// Put another encryption key or passphrase in place of the one that opens the database now
    Change(Change),
    /// Print the passphrase cost that takes a given time on this machine
    Calibrate(Calibrate),
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    #[command(flatten)]
    pub(crate) new: NewSecret,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Its number in `key list`
    pub(crate) slot: usize,
    /// Say that what opens this slot shall open the database no more
    #[arg(long)]
    pub(crate) yes: bool,
    /// Only say which slot would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Change {
    #[command(flatten)]
    pub(crate) new: NewSecret,
    /// Change the root key as well, for all that is written from now on; all other slots go
    #[arg(long)]
    pub(crate) deep: bool,
    /// With --deep: say that the other slots shall go
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Calibrate {
    /// How long one opening is to take, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub(crate) target: u64,
}

/// A key or passphrase that is to open the database, beside the one that opens it now.
#[derive(Debug, Args)]
pub(crate) struct NewSecret {
    /// Read the new encryption key from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// Ask for the new passphrase on the terminal, twice
    #[arg(long)]
    pub(crate) new_passphrase: bool,
    /// Read the new passphrase from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Take the new passphrase from the first line that this shell command prints
    #[arg(long, value_name = "COMMAND")]
    pub(crate) new_passphrase_command: Option<String>,
    /// One line about the slot; anybody who has the file can read it
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Memory that a guess at the new passphrase takes (default: 64)
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u32>,
    /// How often it is gone through (default: 3)
    #[arg(long, value_name = "COUNT")]
    pub(crate) passes: Option<u32>,
    /// In how many lanes (default: 4)
    #[arg(long, value_name = "COUNT")]
    pub(crate) lanes: Option<u32>,
}
