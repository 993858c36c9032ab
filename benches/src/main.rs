//! CodexDB beside what else a program could use, on the same work in one run: `cargo xtask bench peers`.
//!
//! Each cell of the tables is measured in a process of its own; repetitions of the rows take turns, so that a disk
//! whose speed changes treats them alike. The tables, the charts and the goals are computed from what was measured.

#![expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]

mod cell;
mod chart;
mod data;
mod engines;
mod figures;
mod goals;
mod limits;
mod machine;
mod report;
mod threads;
mod works;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::figures::Results;
use crate::works::{Scale, Work};

const USAGE: &str = "\
Usage: cargo xtask bench peers [OPTIONS]

  --quick            small databases and short cells: shows that everything works
  --only WORK,…      these works only, such as sets-32, or sets for all that begin so
  --engines ROW,…    these rows only, such as codex,emdb
  --out FOLDER       where tables and charts go, target/bench by default; databases go there too while they are used";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((word, _)) if ["--help", "-h"].contains(&word.as_str()) => {
            eprintln!("{USAGE}");
            Ok(())
        }
        Some((word, rest)) if word == cell::WORD => cell::run(rest),
        _ => Arguments::parse(&arguments).and_then(|arguments| run(&arguments)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug)]
struct Arguments {
    scale: Scale,
    only: Vec<String>,
    engines: Vec<String>,
    out: PathBuf,
    /// As they were given, for the report.
    words: Vec<String>,
}

impl Arguments {
    fn parse(words: &[String]) -> Result<Self> {
        let mut arguments = Self {
            scale: Scale::Full,
            only: Vec::new(),
            engines: Vec::new(),
            out: PathBuf::from("target/bench"),
            words: words.to_vec(),
        };
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{word} lacks its value\n\n{USAGE}"));
            let list = |value: &String| value.split(',').map(str::to_owned).collect();
            match word.as_str() {
                "--quick" => arguments.scale = Scale::Quick,
                "--only" => arguments.only = list(value()?),
                "--engines" => arguments.engines = list(value()?),
                "--out" => arguments.out = PathBuf::from(value()?),
                other => bail!("{other} is no option\n\n{USAGE}"),
            }
        }
        for row in &arguments.engines {
            ensure!(
                row == "machine" || engines::row(row).map(engines::is_built)?,
                "{row} is not in this build"
            );
        }
        Ok(arguments)
    }

    /// The works that were asked for, with the rows that were.
    fn works(&self) -> Result<Vec<Work>> {
        let mut works = works::all(self.scale);
        let names: Vec<_> = works.iter().map(|work| work.name.clone()).collect();
        let asked = |only: &str, name: &str| {
            name.strip_prefix(only).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        for only in &self.only {
            ensure!(
                names.iter().any(|name| asked(only, name)),
                "{only} is no work; there are: {}",
                names.join(", ")
            );
        }
        works.retain(|work| self.only.is_empty() || self.only.iter().any(|only| asked(only, &work.name)));
        for work in &mut works {
            work.rows.retain(|row| self.engines.is_empty() || self.engines.iter().any(|name| name == row));
        }
        works.retain(|work| !work.rows.is_empty());
        Ok(works)
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let works = arguments.works()?;
    fs::create_dir_all(&arguments.out).with_context(|| format!("creating {}", arguments.out.display()))?;
    let data = tempfile::tempdir_in(&arguments.out)?;
    let machine = machine::description(data.path())?;
    let load = machine::load_average();
    let (results, failures) = measure(&works, data.path(), arguments.scale)?;
    data.close()?;
    let about = report::About {
        machine,
        date: machine::date(),
        command: ["cargo xtask bench peers"]
            .into_iter()
            .chain(arguments.words.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" "),
        load: [load, machine::load_average()],
        scale: arguments.scale,
    };
    report::write(&about, &results, &arguments.out)?;
    ensure!(
        failures.is_empty(),
        "some cells failed, and their figures are missing:\n{}",
        failures.join("\n")
    );
    Ok(())
}

/// Measures every cell, the rows in turn. A cell that fails is told about, and the others are measured all the same.
fn measure(works: &[Work], data: &Path, scale: Scale) -> Result<(Results, Vec<String>)> {
    let load = works::all(scale)
        .into_iter()
        .find(|work| work.name == "load")
        .context("there is a work that loads")?;
    let mut loaded: Vec<&str> = Vec::new();
    let (mut results, mut failures) = (Results::default(), Vec::new());
    for work in works {
        let start = Instant::now();
        for _ in 0..work.repetitions {
            for row in &work.rows {
                let source = works::loaded_by(row);
                if work.needs_load && load.rows.contains(&source) && !loaded.contains(&source) {
                    loaded.push(source);
                    if let Err(error) = cell::spawn(&load, source, data, scale) {
                        failures.push(format!("{error:#}"));
                    }
                }
                match cell::spawn(work, row, data, scale) {
                    Ok(figures) => results.add(&work.name, row, figures),
                    Err(error) => failures.push(format!("{error:#}")),
                }
                if work.name == load.name {
                    loaded.push(row);
                }
            }
        }
        eprintln!("{:<14} {:>6.1} s", work.name, start.elapsed().as_secs_f64());
    }
    Ok((results, failures))
}
