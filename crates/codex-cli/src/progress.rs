//! How far long work is, on the terminal: a bar for each stage that takes longer than a second, and is gone behind it.
//!
//! It is drawn on standard error, if that is a terminal and neither `--quiet` nor `--json` is given, and never among rows
//! that are printed on a terminal: there they show how far it is.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use codex::{Progress, Stage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows stages one behind the other. Clones show the same.
#[derive(Clone, Debug)]
pub(crate) struct Bars(Option<Arc<Mutex<Screen>>>);

#[derive(Debug, Default)]
struct Screen {
    /// The stage that goes on.
    shown: Option<Shown>,
    /// Whether rows are being printed there.
    is_held: bool,
}

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
        self.draw(what, None, done, total);
    }

    /// The same of what is counted: `things` is their name.
    pub(crate) fn count(&self, what: &'static str, things: &'static str, done: u64, total: Option<u64>) {
        self.draw(what, Some(things), done, total);
    }

    fn draw(&self, what: &'static str, things: Option<&'static str>, done: u64, total: Option<u64>) {
        let Some(mut screen) = self.lock().filter(|screen| !screen.is_held) else { return };
        if screen.shown.as_ref().is_some_and(|shown| shown.what != what || done == 0) {
            end(screen.shown.take());
        }
        let new = || Shown { what, begun: Instant::now(), bar: new_bar(what, things, total) };
        let Shown { begun, bar, .. } = screen.shown.get_or_insert_with(new);
        // Hidden before, it has counted the rate already.
        if bar.is_hidden() && begun.elapsed() >= PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_position(done);
    }

    /// Takes away what is shown.
    pub(crate) fn clear(&self) {
        if let Some(mut screen) = self.lock() {
            end(screen.shown.take());
        }
    }

    /// Takes away what is shown, and shows nothing before [`Bars::release`].
    pub(crate) fn hold(&self) {
        if let Some(mut screen) = self.lock() {
            end(screen.shown.take());
            screen.is_held = true;
        }
    }

    /// What goes on is shown again.
    pub(crate) fn release(&self) {
        if let Some(mut screen) = self.lock() {
            screen.is_held = false;
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Screen>> {
        self.0.as_ref().map(|screen| screen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn end(shown: Option<Shown>) {
    if let Some(shown) = shown {
        shown.bar.finish_and_clear();
    }
}

fn new_bar(what: &'static str, things: Option<&'static str>, total: Option<u64>) -> ProgressBar {
    let template = match (things, total) {
        (None, Some(_)) => {
            "{msg} [{wide_bar}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        }
        (None, None) => "{msg} {binary_bytes}, {binary_bytes_per_sec}",
        (Some(_), Some(_)) => "{msg} [{wide_bar}] {human_pos} of {human_len} {prefix}, {per_sec}, {eta} left",
        (Some(_), None) => "{msg} {human_pos} {prefix}, {per_sec}",
    };
    let style = ProgressStyle::with_template(template).expect("the template is right").progress_chars("=> ");
    ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden())
        .with_style(style)
        .with_message(what)
        .with_prefix(things.unwrap_or_default())
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
        let all =
            [None, Some(0), Some(7)].into_iter().flat_map(|total| [(None, total), (Some("records"), total)]);
        for (things, total) in all {
            let bar = new_bar("reading", things, total);
            assert!(bar.is_hidden(), "it is not shown before its time");
            bar.set_position(3);
        }
    }
}
