//! The fuzz target `proof`: see `fuzz/src/proof.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::proof::run);
