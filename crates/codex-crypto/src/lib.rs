//! codex-crypto
