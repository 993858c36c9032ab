//! The fuzz target `csv`: see `fuzz/src/csv.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::csv::run);
