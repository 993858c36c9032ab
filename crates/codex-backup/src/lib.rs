//! codex-backup
