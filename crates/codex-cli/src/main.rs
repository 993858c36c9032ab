//! The `codex` command. All of it is in the library beside this file, where the fuzz targets reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    codex_cli::main()
}
