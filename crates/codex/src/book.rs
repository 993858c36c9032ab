//! The programs that the book in `docs/` shows, run as documentation tests.
//!
//! Every page that shows Rust is listed here; `cargo xtask tidy` sees to that. The sessions of the command on the same pages
//! are run by `tests/docs.rs` of `codex-cli`.

#[doc = include_str!("../../../docs/tutorial.md")]
struct Tutorial;

#[doc = include_str!("../../../docs/how-to/choosing.md")]
struct Choosing;

#[doc = include_str!("../../../docs/how-to/keys.md")]
struct Keys;

#[doc = include_str!("../../../docs/how-to/recovering.md")]
struct Recovering;

#[doc = include_str!("../../../docs/how-to/programs.md")]
struct Programs;

#[doc = include_str!("../../../docs/how-to/auditing.md")]
struct Auditing;

#[doc = include_str!("../../../docs/how-to/operating.md")]
struct Operating;

#[doc = include_str!("../../../docs/reference/errors.md")]
struct Errors;
