//! The fuzz target `slot`: see `fuzz/src/slot.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::slot::run);
