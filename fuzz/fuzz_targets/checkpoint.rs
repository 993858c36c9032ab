//! The fuzz target `checkpoint`: see `fuzz/src/checkpoint.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::checkpoint::run);
