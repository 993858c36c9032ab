//! What is measured: each work with the rows that take part in it.

mod batches;
mod beside;
mod buffered;
mod cost;
mod history;
mod load;
mod mix;
mod open;
mod reads;
mod scans;
mod sets;
mod submit;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::engines;
use crate::figures::Figures;
use crate::limits;

/// How much is measured, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Shows that everything works; its figures are rough.
    Quick,
    Full,
}

impl Scale {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// Records of a database that is read.
    pub(crate) const fn records(self) -> u64 {
        match self {
            Self::Quick => 100_000,
            Self::Full => 1_000_000,
        }
    }

    /// How long one figure is measured.
    pub(crate) const fn duration(self) -> Duration {
        match self {
            Self::Quick => Duration::from_millis(200),
            Self::Full => Duration::from_millis(700),
        }
    }

    const fn repetitions(self) -> usize {
        match self {
            Self::Quick => 1,
            Self::Full => 3,
        }
    }

    /// Writers of durable single sets.
    pub(crate) const fn writers(self) -> &'static [usize] {
        match self {
            Self::Quick => &[1, 2, 8, 32, 64],
            Self::Full => &[1, 2, 4, 8, 16, 32, 64],
        }
    }

    /// Sizes of the databases in which the cost of a commit is measured.
    pub(crate) const fn sizes(self) -> &'static [u64] {
        match self {
            Self::Quick => &[1_000, 10_000, 100_000],
            Self::Full => &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
        }
    }
}

/// Threads that read, and that mix reads and sets.
pub(crate) const READERS: [usize; 4] = [1, 2, 8, 32];

/// A work and its rows.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) name: String,
    pub(crate) rows: Vec<&'static str>,
    pub(crate) repetitions: usize,
    /// Whether it needs the database that `load` leaves.
    pub(crate) needs_load: bool,
    task: Task,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Crypto,
    Files,
    Sets(usize),
    Submit,
    Batches,
    Buffered,
    Load,
    Open(open::Cache),
    OpenSingles,
    Reads,
    Scans,
    Beside,
    Mix,
    Cost(u64),
    History,
}

/// Where and how one cell is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) row: &'a str,
    /// The cell's own folder, empty at first.
    pub(crate) folder: &'a Path,
    /// The folder of what cells leave for later ones.
    pub(crate) kept: &'a Path,
    pub(crate) scale: Scale,
}

/// Every work, in the order in which it is measured.
pub(crate) fn all(scale: Scale) -> Vec<Work> {
    const OURS: &[&str] = &["codex", "codex-ledger"];
    const PEERS: &[&str] = &["emdb", "emdb-encrypted", "fjall", "heed", "redb", "sled", "sqlite"];
    const MAPS: &[&str] = &["map-rwlock", "map-papaya"];
    const APPENDS: &[&str] = &["append", "append-group", "written-group"];
    const GROUPS: &[&str] = &["append-group", "written-group"];
    let many = scale.repetitions();
    let work = |name: String, rows: &[&[&'static str]], repetitions, task| {
        let needs_load = matches!(task, Task::Open(_) | Task::Reads | Task::Scans | Task::Beside | Task::Mix);
        Work { name, rows: rows.concat(), repetitions, needs_load, task }
    };
    let mut works = vec![
        work("crypto".into(), &[&["machine"]], many, Task::Crypto),
        work("files".into(), &[&["machine"]], many, Task::Files),
    ];
    for writers in scale.writers() {
        works.push(work(format!("sets-{writers}"), &[OURS, PEERS, APPENDS], many, Task::Sets(*writers)));
    }
    let batched: &[&[&str]] = &[OURS, PEERS, &["emdb-ordered"], GROUPS];
    works.extend([
        work("submit".into(), &[OURS], many, Task::Submit),
        work("batches".into(), batched, many, Task::Batches),
        work("buffered".into(), &[OURS, PEERS], many, Task::Buffered),
        work("load".into(), &[OURS, PEERS], 1, Task::Load),
        work("open-warm".into(), &[OURS, PEERS], many, Task::Open(open::Cache::Warm)),
        work("open-cold".into(), &[OURS, PEERS], many, Task::Open(open::Cache::Cold)),
        work("open-singles".into(), &[OURS], many, Task::OpenSingles),
        work("reads".into(), &[&["codex"], PEERS, MAPS], many, Task::Reads),
        work(
            "scans".into(),
            &[&["codex", "codex-iterator", "emdb-ordered", "fjall", "heed", "redb", "sled", "sqlite"]],
            many,
            Task::Scans,
        ),
        work("beside".into(), &[OURS], many, Task::Beside),
        // Last of what uses the loaded databases, because it changes them.
        work("mix".into(), &[OURS, PEERS, MAPS], many, Task::Mix),
    ]);
    for size in scale.sizes() {
        let repetitions = if *size > 1_000_000 { 1 } else { many };
        works.push(work(format!("cost-{size}"), &[OURS], repetitions, Task::Cost(*size)));
    }
    works.push(work("history".into(), &[OURS], 1, Task::History));
    for work in &mut works {
        work.rows.retain(|row| engines::row(row).map_or(true, engines::is_built));
    }
    works
}

/// Measures one cell, in this process.
pub(crate) fn measure(work: &Work, place: Place<'_>) -> Result<Figures> {
    match work.task {
        Task::Crypto => limits::crypto(place.scale),
        Task::Files => limits::files(place),
        Task::Sets(writers) => sets::measure(place, writers),
        Task::Submit => submit::measure(place),
        Task::Batches => batches::measure(place),
        Task::Buffered => buffered::measure(place),
        Task::Load => load::measure(place),
        Task::Open(cache) => open::loaded(place, cache),
        Task::OpenSingles => open::singles(place),
        Task::Reads => reads::measure(place),
        Task::Scans => scans::measure(place),
        Task::Beside => beside::measure(place),
        Task::Mix => mix::measure(place),
        Task::Cost(size) => cost::measure(place, size),
        Task::History => history::measure(place),
    }
}

/// The row whose loaded database this one reads: the files of these are the same.
pub(crate) fn loaded_by(row: &str) -> &str {
    match row {
        "codex-iterator" => "codex",
        "emdb-ordered" => "emdb",
        other => other,
    }
}
