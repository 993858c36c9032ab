//! The programs that the book in `docs/` shows, run as documentation tests.
//!
//! A page is listed here once it shows Rust. The sessions of the command on the same pages are run by `tests/docs.rs` of
//! `codex-cli`.

#[doc = include_str!("../../../docs/tutorial.md")]
struct Tutorial;
