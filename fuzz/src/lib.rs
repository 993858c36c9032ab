//! What the fuzz targets run: one ordinary function over bytes for each, which panics where a promise is broken.
//!
//! `cargo xtask fuzz TARGET` lets libFuzzer look for such bytes. `fuzz/tests/replay.rs` gives the seeds, and every input
//! that once broke something, to the very same functions under plain `cargo test`.
//!
//! A target accepts any bytes. Errors are expected, for hostile input; panics, other data than was written, and memory or
//! time out of proportion are not.

pub mod checkpoint;
pub mod codexdb_go;
pub mod csv;
pub mod database;
pub mod frame;
pub mod header;
pub mod history;
pub mod image;
pub mod import;
pub mod proof;
pub mod records;
pub mod repair;
pub mod secret;
pub mod slot;
pub mod value;

use std::path::Path;
use std::process::ExitCode;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by name.
pub const TARGETS: [Target; 13] = [
    ("checkpoint", checkpoint::run),
    ("codexdb_go", codexdb_go::run),
    ("csv", csv::run),
    ("database", database::run),
    ("frame", frame::run),
    ("header", header::run),
    ("history", history::run),
    ("import", import::run),
    ("proof", proof::run),
    ("records", records::run),
    ("secret", secret::run),
    ("slot", slot::run),
    ("value", value::run),
];

/// The program of a target: libFuzzer's under `cargo fuzz`, otherwise [`replay`].
#[macro_export]
macro_rules! target {
    ($run:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $run(input));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::replay($run)
        }
    };
}

/// Runs a target on each file that the arguments name.
#[must_use]
pub fn replay(run: fn(&[u8])) -> ExitCode {
    for path in std::env::args_os().skip(1) {
        match std::fs::read(&path) {
            Ok(input) => run(&input),
            Err(error) => {
                eprintln!("{}: {error}", Path::new(&path).display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
