//! The arguments of what checks a database, and of heads and proofs.

use std::path::PathBuf;

use clap::Args;

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
