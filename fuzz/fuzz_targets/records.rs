//! The fuzz target `records`: see `fuzz/src/records.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::records::run);
