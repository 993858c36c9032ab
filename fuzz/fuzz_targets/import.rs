//! The fuzz target `import`: see `fuzz/src/import.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::import::run);
