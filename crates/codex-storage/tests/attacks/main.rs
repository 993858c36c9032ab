//! Database files are flipped, cut, spliced, rolled back, forged and mixed with those of forks. Whatever is
//! done to them, opening gives the data of a whole acknowledged state, or an error with its place: never a
//! panic, never other data, never a shorter history without a word. `docs/threat-model.md` says which.
//!
//! `CODEX_ATTACKS=all` tries every bit and every length; by default these sweeps go in steps.
//! `-- --nocapture` shows how many attacks were tried and what became of them.
#![cfg(not(loom))]

mod damage;
mod forgeries;
mod referee;
mod specimen;
mod splices;
