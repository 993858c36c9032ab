//! The arguments of backups and restore.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::At;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Backup {
    /// The new file
    #[arg(required_unless_present = "to")]
    pub(crate) target: Option<PathBuf>,
    /// Add an incremental backup to the repository in this folder instead; it is made if it is missing
    #[arg(long, value_name = "DIR", conflicts_with = "target")]
    pub(crate) to: Option<PathBuf>,
    /// The database was restored to an earlier point and went on from there
    #[arg(long, requires = "to")]
    pub(crate) fork: bool,
    #[command(subcommand)]
    pub(crate) work: Option<RepositoryWork>,
}

/// What is done with a repository.
#[derive(Debug, Subcommand)]
pub(crate) enum RepositoryWork {
    /// List the backups in a repository, newest first
    List(InRepository),
    /// Check every file of a repository; no key is needed
    Verify(VerifyRepository),
    /// Remove old backups from a repository
    Prune(Prune),
}

#[derive(Debug, Args)]
pub(crate) struct InRepository {
    /// The folder of the repository
    #[arg(value_name = "DIR")]
    pub(crate) repository: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyRepository {
    #[command(flatten)]
    pub(crate) within: InRepository,
    /// The receipt of a backup that must be there, as `codex backup --to` printed it
    #[arg(long)]
    pub(crate) receipt: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    pub(crate) within: InRepository,
    /// Only backups of the database with this id
    #[arg(long, value_name = "ID")]
    pub(crate) database: Option<String>,
    /// Keep the newest COUNT
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) keep_last: usize,
    /// Keep the newest of each of COUNT hours
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) keep_hourly: usize,
    /// Keep the newest of each of COUNT days
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) keep_daily: usize,
    /// Keep the newest of each of COUNT weeks
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) keep_weekly: usize,
    /// Keep the newest of each of COUNT months
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) keep_monthly: usize,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Remove without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup, or the folder of a repository
    pub(crate) source: PathBuf,
    /// The new database file
    pub(crate) target: PathBuf,
    /// Of a repository with several databases, the id of the one that is meant
    #[arg(long, value_name = "ID")]
    pub(crate) database: Option<String>,
    /// Replace an existing database
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// With --overwrite: replace without asking
    #[arg(long, requires = "overwrite")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) at: At,
}
