//! What a run leaves: tables on the terminal and in `figures.md`, everything in `figures.json`, and charts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::chart::{self, Axes, Line};
use crate::engines::{Kind, ROWS, is_built};
use crate::figures::Results;
use crate::goals::{self, Bound, Goal};
use crate::works::{READERS, Scale};

/// What the figures were measured on, and how.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) machine: String,
    pub(crate) date: String,
    pub(crate) command: String,
    /// The load average as the run began, and as it ended.
    pub(crate) load: [Option<f64>; 2],
    pub(crate) scale: Scale,
}

/// Writes everything to the folder `out`, and the tables to the terminal.
#[expect(clippy::print_stdout, reason = "a command that shows what it has measured")]
pub(crate) fn write(about: &About, results: &Results, out: &Path) -> Result<()> {
    let goals = goals::judged(results);
    let page = page(about, results, &goals);
    println!("{page}");
    fs::write(out.join("figures.md"), &page)?;
    let goals: Vec<_> = goals
        .iter()
        .map(|goal| json!({"work": goal.work, "figure": goal.figure, "bound": bound(goal.bound), "measured": goal.measured, "met": goal.is_met()}))
        .collect();
    let versions: Vec<_> =
        ROWS.iter().map(|row| json!({"row": row.name, "version": version(row.package)})).collect();
    let everything = json!({
        "machine": about.machine,
        "date": about.date,
        "command": about.command,
        "load": about.load,
        "versions": versions,
        "goals": goals,
        "works": results.works(),
    });
    fs::write(out.join("figures.json"), format!("{everything:#}\n"))?;
    charts(about.scale, results, out)
}

fn page(about: &About, results: &Results, goals: &[Goal]) -> String {
    let mut page = String::new();
    let [began, ended] = about.load.map(|load| load.map_or_else(|| "unknown".into(), short));
    let _ = writeln!(page, "# Figures\n");
    let _ = writeln!(page, "Measured on {} by `{}`: do not edit, run it again.\n", about.date, about.command);
    let _ = writeln!(
        page,
        "{}. The load average was {began} as the run began, and {ended} as it ended, its own last thread included.\n",
        about.machine
    );
    let _ = writeln!(
        page,
        "Records have keys of 16 and values of 100 bytes; databases that are read have {} of them. Cells show the median and, in \
         brackets, the least and the most of the repetitions; rates are a second.\n",
        count(about.scale.records())
    );
    goal_table(&mut page, goals);
    row_table(&mut page);
    for table in tables(about.scale) {
        table.write(&mut page, results);
    }
    limit_table(&mut page, results);
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn goal_table(page: &mut String, goals: &[Goal]) {
    if goals.iter().all(|goal| goal.measured.is_none()) {
        return;
    }
    let _ =
        writeln!(page, "## Goals\n\n| work | figure | goal | measured | |\n| --- | --- | --- | --- | --- |");
    for goal in goals {
        let verdict = match goal.is_met() {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        let measured = goal.measured.map_or_else(|| "–".into(), short);
        let (work, figure) = (goal.work, goal.figure);
        let _ = writeln!(page, "| {work} | {figure} | {} | {measured} | {verdict} |", bound(goal.bound));
    }
    let judged: Vec<bool> = goals.iter().filter_map(Goal::is_met).collect();
    let met = judged.iter().filter(|met| **met).count();
    let _ = writeln!(page, "\n{met} of {} are met.\n", judged.len());
}

fn row_table(page: &mut String) {
    let _ = writeln!(
        page,
        "## Rows\n\n| row | version | encrypts | how it is used, and what it syncs |\n| --- | --- | --- | --- |"
    );
    for row in ROWS.iter().filter(|row| is_built(row)) {
        let encrypts = match row.kind {
            Kind::Ours => "yes",
            _ if row.name == "emdb-encrypted" => "yes",
            _ => "no",
        };
        let (name, setting) = (row.name, row.setting);
        let version = version(row.package).unwrap_or("–");
        let _ = writeln!(page, "| {name} | {version} | {encrypts} | {setting} |");
    }
    let _ = writeln!(page);
}

/// A figure of a work, under a heading.
struct Column {
    heading: String,
    work: String,
    figure: String,
}

impl Column {
    fn new(heading: impl Into<String>, work: impl Into<String>, figure: impl Into<String>) -> Self {
        Self { heading: heading.into(), work: work.into(), figure: figure.into() }
    }
}

/// A table of one line for each row.
struct Table {
    title: &'static str,
    note: &'static str,
    columns: Vec<Column>,
}

impl Table {
    fn new(title: &'static str, note: &'static str, columns: Vec<Column>) -> Self {
        Self { title, note, columns }
    }

    fn write(&self, page: &mut String, results: &Results) {
        let lines: Vec<_> = ROWS
            .iter()
            .filter_map(|row| {
                let cells: Vec<_> =
                    self.columns.iter().map(|it| results.spread(&it.work, row.name, &it.figure)).collect();
                cells.iter().any(Option::is_some).then_some((row.name, cells))
            })
            .collect();
        if lines.is_empty() {
            return;
        }
        let _ = writeln!(page, "## {}\n", self.title);
        if !self.note.is_empty() {
            let _ = writeln!(page, "{}\n", self.note);
        }
        let headings: Vec<_> = self.columns.iter().map(|column| column.heading.as_str()).collect();
        let _ =
            writeln!(page, "| row | {} |\n| --- |{}", headings.join(" | "), " --- |".repeat(headings.len()));
        for (row, cells) in lines {
            let cells: Vec<_> = cells
                .into_iter()
                .map(|cell| match cell {
                    Some(it) if it.min < it.max => {
                        format!("{} ({}–{})", short(it.median), short(it.min), short(it.max))
                    }
                    Some(it) => short(it.median),
                    None => "–".into(),
                })
                .collect();
            let _ = writeln!(page, "| {row} | {} |", cells.join(" | "));
        }
        let _ = writeln!(page);
    }
}

/// By the number of writers of durable sets.
fn by_writers(scale: Scale, figure: &str) -> Vec<Column> {
    scale.writers().iter().map(|it| Column::new(it.to_string(), format!("sets-{it}"), figure)).collect()
}

/// By the number of threads that read, or mix reads and sets.
fn by_threads(work: &str, name: &str) -> Vec<Column> {
    READERS.iter().map(|it| Column::new(it.to_string(), work, format!("{name}-{it}"))).collect()
}

/// By the number of records in the database that is committed to.
fn by_size(scale: Scale, figure: &str) -> Vec<Column> {
    scale.sizes().iter().map(|it| Column::new(count(*it), format!("cost-{it}"), figure)).collect()
}

/// How long commits of a work wait, in microseconds.
fn waits(work: &str, beside: &str) -> Vec<Column> {
    let figures = ["p50", "p99", "p99.9", "max"];
    figures.map(|figure| Column::new(figure, work, format!("{beside}{figure}"))).into()
}

/// Some figures of one work, each with its heading.
fn of(work: &str, figures: &[(&str, &str)]) -> Vec<Column> {
    figures.iter().map(|(heading, figure)| Column::new(*heading, work, *figure)).collect()
}

fn tables(scale: Scale) -> Vec<Table> {
    vec![
        Table::new("Durable single sets, by writers", "", by_writers(scale, "rate")),
        Table::new("Their commits per sync", "", by_writers(scale, "commits per sync")),
        Table::new(
            "Flushes of the disk for each of them",
            "As the disk counts them, those of other programs included.",
            by_writers(scale, "flushes"),
        ),
        Table::new("How long they wait, 1 writer", "In microseconds.", waits("sets-1", "")),
        Table::new(
            "How long they wait, 32 writers",
            "In microseconds; of the rows for groups, each sync.",
            waits("sets-32", ""),
        ),
        Table::new(
            "`submit`, 64 in flight from one thread",
            "",
            of("submit", &[("commits", "rate"), ("commits per sync", "commits per sync")]),
        ),
        Table::new("Batches of 1,000", "", of("batches", &[("records", "rate")])),
        Table::new("Buffered sets, one flush at the end", "", of("buffered", &[("sets", "rate")])),
        Table::new("Random reads that hit, by threads", "", by_threads("reads", "hits")),
        Table::new("Random reads that miss, by threads", "", by_threads("reads", "misses")),
        Table::new("Scans", "", of("scans", &[("full", "full"), ("prefixes of 100", "prefixes")])),
        Table::new("19 reads and a durable set in turn, by threads", "", by_threads("mix", "rate")),
        Table::new(
            "Opening",
            "Up to the first read. The last column is of a database in which each record was a commit and a frame of \
             its own.",
            vec![
                Column::new("ms, warm", "open-warm", "milliseconds"),
                Column::new("ms, cold", "open-cold", "milliseconds"),
                Column::new("records, warm", "open-warm", "rate"),
                Column::new("single sets: records, warm", "open-singles", "rate"),
            ],
        ),
        Table::new(
            "Bytes a record, beyond key and value",
            "After a load in batches of 1,000: what the files take on disk once closed, a ledger's checkpoint included, \
             and by how much the process grew. Memory maps count as memory as far as they were read.",
            of("load", &[("disk", "disk"), ("memory", "memory")]),
        ),
        Table::new(
            "Cost of a durable commit, by records in the database",
            "Its rate as a multiple of the append loop's in the same seconds.",
            by_size(scale, "beside append"),
        ),
        Table::new(
            "How long commits wait beside nothing",
            "In microseconds, 1 writer; so in the next four.",
            waits("beside", "nothing "),
        ),
        Table::new(
            "How long beside a rewrite, or a ledger's checkpoint",
            "",
            waits("beside", "maintenance "),
        ),
        Table::new("How long beside scans of everything", "", waits("beside", "scan ")),
        Table::new("How long beside a thread that only computes", "", waits("beside", "computing ")),
        Table::new("The append loop of the same minute", "", waits("beside", "append ")),
        Table::new(
            "Opening a ledger, in milliseconds",
            "A fifth of the records; the second with ten times as many superseded commits, each by itself.",
            of("history", &[("without history", "without"), ("with", "with")]),
        ),
        Table::new(
            "Size of a snapshot in which everything was overwritten 10 times",
            "As a multiple of keys and values.",
            of("history", &[("in steady state", "steady"), ("closed", "closed")]),
        ),
    ]
}

fn limit_table(page: &mut String, results: &Results) {
    let figures: Vec<_> = ["crypto", "files"]
        .into_iter()
        .filter_map(|work| results.works().get(work)?.get("machine"))
        .flatten()
        .filter_map(|(name, values)| Some((name, crate::figures::Spread::of(values.clone())?)))
        .collect();
    if figures.is_empty() {
        return;
    }
    let _ = writeln!(page, "## The machine's own limits\n\n| what | MiB a second |\n| --- | --- |");
    for (name, spread) in figures {
        let mib = |bytes: f64| short(bytes / f64::from(1 << 20));
        let _ =
            writeln!(page, "| {name} | {} ({}–{}) |", mib(spread.median), mib(spread.min), mib(spread.max));
    }
    let _ = writeln!(page);
}

fn charts(scale: Scale, results: &Results, out: &Path) -> Result<()> {
    for (file, title, across, columns) in [
        ("sets.svg", "Durable single sets", "writers", by_writers(scale, "rate")),
        ("reads.svg", "Random reads that hit", "threads", by_threads("reads", "hits")),
        ("mix.svg", "19 reads and a durable set in turn", "threads", by_threads("mix", "rate")),
        ("cost.svg", "Durable single sets of one writer", "records in the database", by_size(scale, "rate")),
    ] {
        let lines = ROWS.iter().map(|row| {
            let rates = columns.iter().map(|it| results.median(&it.work, row.name, &it.figure));
            let points = rates.enumerate().filter_map(|(place, rate)| Some((place, rate?))).collect();
            Line { row: row.name, points }
        });
        let lines: Vec<_> = lines.filter(|line| line.points.len() > 1).collect();
        let places = columns.into_iter().map(|column| column.heading).collect();
        chart::lines(&out.join(file), &Axes { title, across, places }, &lines)?;
    }
    for (file, title, work, figure) in [
        ("batches.svg", "Records a second in batches of 1,000", "batches", "rate"),
        ("buffered.svg", "Buffered sets a second, one flush at the end", "buffered", "rate"),
        ("scans.svg", "Records a second in a full scan", "scans", "full"),
        ("open.svg", "Milliseconds to open, warm", "open-warm", "milliseconds"),
    ] {
        let bars: Vec<_> =
            ROWS.iter().filter_map(|row| Some((row.name, results.median(work, row.name, figure)?))).collect();
        chart::bars(&out.join(file), title, &bars)?;
    }
    Ok(())
}

/// Three digits, with k for thousands and M for millions.
pub(crate) fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 999_500.0 => (value / 1e6, " M"),
        size if size >= 9_995.0 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}{unit}"),
        size if size >= 9.995 => format!("{value:.1}{unit}"),
        _ => format!("{value:.2}{unit}"),
    }
}

fn bound(bound: Bound) -> String {
    match bound {
        Bound::AtLeast(bound) => format!("≥ {}", short(bound)),
        Bound::AtMost(bound) => format!("≤ {}", short(bound)),
        Bound::Above(bound) => format!("> {}", short(bound)),
    }
}

/// With a comma between thousands.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// The version of a package that this program was built with.
fn version(package: &str) -> Option<&'static str> {
    let lock = include_str!("../../Cargo.lock");
    let versions = lock.split("[[package]]").filter_map(|entry| {
        let field =
            |name: &str| entry.lines().find_map(|line| line.strip_prefix(name)?.trim_matches('"').into());
        (field("name = ")? == package).then(|| field("version = "))?
    });
    // Of a package that is there in several versions, ours is the newest.
    versions.last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_shown_with_three_digits() {
        let small = [0.0, 0.123, 9.994, 9.996, 99.96, 1234.4, 9994.0].map(short);
        assert_eq!(small, ["0.00", "0.12", "9.99", "10.0", "100", "1234", "9994"]);
        let large = [9996.0, 12_345.0, 999_400.0, 999_600.0, 12_345_678.0].map(short);
        assert_eq!(large, ["10.0 k", "12.3 k", "999 k", "1.00 M", "12.3 M"]);
    }

    #[test]
    fn thousands_are_parted() {
        assert_eq!([0, 999, 1_000, 10_000_000].map(count), ["0", "999", "1,000", "10,000,000"]);
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        assert_eq!(version("codex"), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(version("no such package"), None);
    }
}
