//! The crash search: random histories of a database on a simulated disk, and a referee that knows what must be
//! there after each crash, error and piece of rot.
//!
//! | module | subject |
//! | --- | --- |
//! | [`history`] | what is done, decided by a seed |
//! | [`model`] | the state behind each commit |
//! | [`world`] | one database and its disk, and the referee |
//! | [`watch`] | the file system between them: errors that nobody reports, keys that are used twice |
//! | [`run`] | one history, and making a failing one short |
//! | [`systematic`] | scripts that are stopped and made to fail at each of their operations |
//! | [`search`] | many histories on several threads |
//!
//! `cargo xtask crash` runs as many as it is told; a small share runs with the tests. The same seed gives the same
//! operations and crashes; only random bytes (salts, ids) differ from run to run, and nothing is decided by them.

mod answers;
mod commits;
mod copies;
mod crashes;
pub mod history;
mod keys;
pub mod model;
mod repository;
mod rot;
pub mod run;
pub mod search;
pub mod systematic;
pub mod watch;
pub mod world;
