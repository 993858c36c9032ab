//! How long durable commits wait beside a rewrite or checkpoint, beside a long scan, beside a thread that only computes,
//! and beside nothing.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use codex::{Mode, Store};

use super::{Place, load, sets};
use crate::data::{Keys, Random, value};
use crate::engines;
use crate::figures::Figures;
use crate::threads::{Counted, together};
use crate::{limits, machine};

pub(super) fn measure(place: Place<'_>) -> Result<Figures> {
    let mode = load::mode(place.row)?;
    machine::copy_all(&load::loaded(place), place.folder)?;
    let path = place.folder.join("database");
    let checkpoint = place.folder.join("database.ckpt");
    if mode == Mode::Ledger {
        // Without its checkpoint a ledger writes one with the first commits.
        fs::remove_file(&checkpoint).context("closing the loaded ledger left a checkpoint")?;
    }
    let store = engines::options(mode).open(&path)?;
    let mut figures = Figures::new();
    let mut note = |name: &str, counted: &Counted| {
        figures.extend(
            sets::latencies(counted).into_iter().map(|(what, value)| (format!("{name} {what}"), value)),
        );
    };
    note("maintenance", &beside_maintenance(place, &store, &checkpoint)?);
    note("nothing", &commits(place, &store)?);
    note("scan", &beside_scan(place, &store)?);
    note("computing", &beside_computing(place, &store)?);
    // A sync of the same minute, as the measure of how much more than beside nothing a commit may wait.
    note("append", &limits::append_alone(place.folder, place.scale.duration())?);
    if let Some(error) = store.stats().background_error {
        anyhow::bail!("in the background: {error}");
    }
    Ok(figures)
}

/// Commits as long as the cell lasts.
fn commits(place: Place<'_>, store: &Store) -> Result<Counted> {
    commits_while(place, store, || false)
}

/// Commits as long as the cell lasts, and then as long as `goes_on`.
fn commits_while(place: Place<'_>, store: &Store, goes_on: impl Fn() -> bool + Sync) -> Result<Counted> {
    let records = place.scale.records();
    let keys = Keys::of(records);
    let mut random = Random::of(1);
    let mut all: Option<Counted> = None;
    loop {
        let seed = random.next();
        let part = together(1, place.scale.duration(), |_| {
            let mut random = Random::of(seed);
            Ok(move || {
                store.set_bytes(keys.key(random.below(records)), value(random.next()))?;
                Ok(1)
            })
        })?;
        let all = match &mut all {
            Some(all) => {
                all.count += part.count;
                all.elapsed += part.elapsed;
                all.steps.extend(part.steps);
                all
            }
            none => none.insert(part),
        };
        if !goes_on() {
            all.steps.sort_unstable();
            break;
        }
    }
    all.context("at least one part")
}

fn beside_maintenance(place: Place<'_>, store: &Store, checkpoint: &Path) -> Result<Counted> {
    match load::mode(place.row)? {
        Mode::Ledger => {
            let counted = commits_while(place, store, || !checkpoint.exists())?;
            ensure!(checkpoint.exists(), "no checkpoint was written");
            Ok(counted)
        }
        Mode::Snapshot => thread::scope(|scope| {
            let rewrite = scope.spawn(|| store.compact());
            let counted = commits_while(place, store, || !rewrite.is_finished())?;
            rewrite.join().expect("a panic ends the cell")?;
            Ok(counted)
        }),
    }
}

fn beside_scan(place: Place<'_>, store: &Store) -> Result<Counted> {
    commits_beside(place, store, || {
        store.view().for_each(.., |key, value| {
            black_box((key, value));
        })
    })
}

/// What a thread that wants nothing of the store costs: the processor's share of what the others cost.
fn beside_computing(place: Place<'_>, store: &Store) -> Result<Counted> {
    let mut random = Random::of(1);
    commits_beside(place, store, move || {
        for _ in 0..1 << 16 {
            black_box(random.next());
        }
        Ok(())
    })
}

/// Commits beside a thread that does one piece of work after the other.
fn commits_beside(
    place: Place<'_>,
    store: &Store,
    mut piece: impl FnMut() -> codex::Result<()> + Send,
) -> Result<Counted> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| -> codex::Result<()> {
            while !done.load(Ordering::Acquire) {
                piece()?;
            }
            Ok(())
        });
        let counted = commits(place, store);
        done.store(true, Ordering::Release);
        other.join().expect("a panic ends the cell")?;
        counted
    })
}
