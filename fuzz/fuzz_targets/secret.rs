//! The fuzz target `secret`: see `fuzz/src/secret.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::secret::run);
