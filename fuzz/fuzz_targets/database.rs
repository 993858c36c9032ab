//! The fuzz target `database`: see `fuzz/src/database.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::database::run);
