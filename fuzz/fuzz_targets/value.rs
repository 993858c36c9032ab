//! The fuzz target `value`: see `fuzz/src/value.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::value::run);
