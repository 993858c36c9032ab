//! The fuzz target `frame`: see `fuzz/src/frame.rs`.
#![cfg_attr(fuzzing, no_main)]

codex_fuzz::target!(codex_fuzz::frame::run);
