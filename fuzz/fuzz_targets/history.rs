//! The fuzz target `history`: see `fuzz/src/history.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::history::run);
