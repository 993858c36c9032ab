//! Checks of the project: `cargo xtask ci` runs what CI runs.

#![expect(clippy::print_stdout, reason = "a program that reports to people")]

mod ci;
mod tidy;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("ci") => ci::run(),
        Some("loom") => ci::loom(),
        Some("tidy") => tidy::run(),
        _ => bail!("usage: cargo xtask ci | loom | tidy"),
    }
}
