//! The fuzz target `header`: see `fuzz/src/header.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::header::run);
