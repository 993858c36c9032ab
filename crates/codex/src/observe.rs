//! What the store itself tells: the copies of the rotation that nobody asked for, when they fail. All else is told by the
//! layers below; `docs/observability.md` lists it. Without the features `tracing` and `metrics` this does nothing.

/// A copy of the rotation failed; `error` is the message with its causes.
pub(crate) fn backup_failed(error: &str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "codex::backup", error, "a backup by policy failed");
    #[cfg(feature = "metrics")]
    {
        use metrics::{Unit, counter, describe_counter};
        const NAME: &str = "codex_backup_failures_total";
        describe_counter!(NAME, Unit::Count, "Backups by policy that failed");
        counter!(NAME).increment(1);
    }
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}
