//! The fuzz target `codexdb_go`: see `fuzz/src/codexdb_go.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::codexdb_go::run);
