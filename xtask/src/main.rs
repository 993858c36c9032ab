//! The project's chores: `cargo xtask ci` runs every check that CI runs, in CI's order.
//!
//! Each check can also be called alone, so that a failure is repeated without the steps before it.
#![expect(clippy::print_stdout, reason = "a command that reports its progress")]

mod bench;
mod book;
mod ci;
mod crash;
mod evidence;
mod examples;
mod expected;
mod fuzz;
mod lexer;
mod loom;
mod mutants;
mod platforms;
mod readme;
mod release;
mod step;
mod tidy;
mod tree;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  ci         every check that CI runs, in CI's order, up to the first failure
  crash      the crash search: scripts and random histories on a simulated disk; `crash --help` tells its options
  loom       the models of the commit core, over all interleavings
  fuzz [TARGET] [--seconds S | --runs N] [--seed S]
             the fuzz targets, or one; without a limit CI's small share
  mutants [ARGUMENTS]
             mutation testing of the cryptography and the core, with cargo-mutants
  tidy       the architecture's invariants, checked over the sources
  evidence   heads and proofs, checked by a Python program that shares no line with ours
  examples   every example of every crate, and whether it prints what it should
  book       docs/ as a book in target/book, with the library's documentation inside
  readme     the README's commands, tests left out, as on a fresh checkout
  bench peers [OPTIONS]
             us beside other databases and the machine's limits; `--help` lists its options
  platforms  builds for every platform whose target and C compiler are there, and tests where its programs can be run
  release-check [OPTIONS]
             everything that must hold before a release; `--list` tells what, and each check can be run alone";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["ci"] => ci::run(&Workspace::find()?),
        ["crash", ref options @ ..] => step::run(&mut crash::command(&Workspace::find()?, options)),
        ["loom"] => step::run(&mut loom::command(&Workspace::find()?)),
        ["fuzz", ref rest @ ..] => fuzz::run(&Workspace::find()?, rest),
        ["mutants", ref rest @ ..] => mutants::run(&Workspace::find()?, rest),
        ["tidy"] => tidy::run(&Workspace::find()?),
        ["evidence"] => {
            let workspace = Workspace::find()?;
            let python = evidence::python(&workspace).map_err(|why| anyhow::anyhow!("not run: {why}"))?;
            evidence::run(&workspace, &python)
        }
        ["book"] => book::run(&Workspace::find()?),
        ["examples"] => examples::run(&Workspace::find()?),
        ["readme"] => readme::run(&Workspace::find()?),
        ["bench", "peers", ref options @ ..] => step::run(&mut bench::peers(&Workspace::find()?, options)),
        ["platforms"] => platforms::run(&Workspace::find()?),
        ["release-check", ref options @ ..] => release::run(&Workspace::find()?, options),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        [] => bail!("no command given\n\n{USAGE}"),
        _ => bail!("{arguments:?} is not a command\n\n{USAGE}"),
    }
}

/// The folders that the checks work in.
#[derive(Debug)]
struct Workspace {
    /// Holds the workspace's `Cargo.toml`.
    root: PathBuf,
    /// Cargo's target folder; the checks keep their own scratch folders in it.
    target: PathBuf,
}

impl Workspace {
    fn find() -> Result<Self> {
        // Cargo sets the variable for `cargo run`, which is how the alias starts this program.
        let package = env::var_os("CARGO_MANIFEST_DIR").context("start this program as `cargo xtask`")?;
        let root = Path::new(&package).parent().context("a package of a workspace lies in its folder")?;
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => env::current_dir()?.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root: root.to_path_buf(), target })
    }
}
