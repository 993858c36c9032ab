//! How far long work is, on the terminal: a bar for each stage that takes longer than a second, and is gone behind it.
//!
//! It is drawn on standard error, if that is a terminal and neither `--quiet` nor `--json` is given.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codex::{Progress, Stage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows stages one behind the other. Clones show the same.
#[derive(Clone, Debug)]
pub(crate) struct Bars(Option<Arc<Mutex<Option<Shown>>>>);

/// The stage that goes on.
#[derive(Debug)]
struct Shown {
    what: &'static str,
    begun: Instant,
    bar: ProgressBar,
}

impl Bars {
    /// Shows something only on a terminal.
    pub(crate) fn on_terminal() -> Self {
        Self(io::stderr().is_terminal().then(Arc::default))
    }

    /// Shows nothing.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// What the library tells its progress to.
    pub(crate) fn observer(&self) -> impl Fn(Progress) + Send + Sync + 'static {
        let bars = self.clone();
        move |progress| {
            if progress.done == progress.total {
                bars.clear();
            } else {
                bars.show(name(progress.stage), progress.done, Some(progress.total));
            }
        }
    }

    /// So many bytes of a stage are done, of how many if that is known.
    pub(crate) fn show(&self, what: &'static str, done: u64, total: Option<u64>) {
        let Some(mut shown) = self.lock() else { return };
        if shown.as_ref().is_some_and(|shown| shown.what != what || done == 0) {
            end(shown.take());
        }
        let Shown { begun, bar, .. } =
            shown.get_or_insert_with(|| Shown { what, begun: Instant::now(), bar: new_bar(what, total) });
        // Hidden before, it has counted the rate already.
        if bar.is_hidden() && begun.elapsed() >= PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_position(done);
    }

    /// Takes away what is shown.
    pub(crate) fn clear(&self) {
        if let Some(mut shown) = self.lock() {
            end(shown.take());
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Option<Shown>>> {
        self.0.as_ref().map(|shown| shown.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn end(shown: Option<Shown>) {
    if let Some(shown) = shown {
        shown.bar.finish_and_clear();
    }
}

fn new_bar(what: &'static str, total: Option<u64>) -> ProgressBar {
    let template = match total {
        Some(_) => {
            "{msg} [{wide_bar}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        }
        None => "{msg} {binary_bytes}, {binary_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is right").progress_chars("=> ");
    ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_style(style).with_message(what)
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::ReadingCheckpoint | Stage::ReadingLog => "reading",
        Stage::Verifying => "verifying",
        Stage::Copying => "copying",
        Stage::Comparing => "comparing",
        Stage::Rewriting => "rewriting",
        Stage::Salvaging => "salvaging",
        Stage::Removing => "removing",
        _ => "working",
    }
}

/// What takes no longer is not worth a bar.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_can_be_drawn() {
        for total in [None, Some(0), Some(7)] {
            let bar = new_bar("reading", total);
            assert!(bar.is_hidden(), "it is not shown before its time");
            bar.set_position(3);
        }
    }
}
