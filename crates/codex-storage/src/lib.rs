//! x
pub mod sync;
pub mod vfs;
