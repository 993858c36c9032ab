//! Everything that CI runs, in its order; stops at the first failure.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::tidy;

pub(crate) fn run() -> Result<()> {
    step("formatting", cargo(&["fmt", "--all", "--check"]))?;
    println!("== tidy");
    tidy::run()?;
    let lints = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    step("lints", cargo(&lints))?;
    let mut documents = cargo(&["doc", "--workspace", "--no-deps"]);
    documents.env("RUSTDOCFLAGS", "-D warnings");
    step("documents", documents)?;
    loom()?;
    for (block, command) in readme_commands()?.iter().enumerate() {
        let mut shell = Command::new("sh");
        shell.args(["-ec", command]);
        step(&format!("README, block {}", block + 1), shell)?;
    }
    Ok(())
}

/// The models of the commit core, in a target folder of their own: everything is built with another flag.
pub(crate) fn loom() -> Result<()> {
    let mut models = cargo(&["test", "--release", "-p", "codex-storage", "--test", "loom_core"]);
    models.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", "target/loom");
    step("loom models", models)
}

/// The shell blocks of the README: its test command is among them.
fn readme_commands() -> Result<Vec<String>> {
    let readme = std::fs::read_to_string("README.md").context("read README.md")?;
    let blocks: Vec<_> = readme
        .split("\n```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .map(str::to_owned)
        .collect();
    ensure!(blocks.iter().any(|block| block.contains("cargo test")), "the README has no test command");
    Ok(blocks)
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments);
    command
}

fn step(name: &str, mut command: Command) -> Result<()> {
    println!("== {name}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("start {name}"))?;
    ensure!(status.success(), "{name} failed");
    println!("== {name}: {} s", start.elapsed().as_secs());
    Ok(())
}
