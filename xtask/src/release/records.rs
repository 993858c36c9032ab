//! How much of the code the tests reach, and how many changes of it they notice, beside what was recorded.
//!
//! The records are in [`RECORDS`]. They are raised by hand with the figures that these checks print.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::tools;
use crate::step::{self, Done};
use crate::tree::read_json;
use crate::{Workspace, mutants};

const RECORDS: &str = "docs/analysis/records.json";

/// Each crate's lines, by its own tests.
pub(super) fn coverage(workspace: &Workspace) -> Result<Done> {
    tools::TARPAULIN.run(workspace, || {
        let mut covered = Vec::new();
        for (name, recorded) in records(workspace, "coverage")? {
            let folder = workspace.target.join("release-check").join("coverage").join(&name);
            fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
            let sources = format!("crates/{name}/src/*");
            let options =
                ["--engine", "llvm", "--package", &name, "--include-files", &sources, "--out", "Json"];
            let mut command = tools::TARPAULIN.command(workspace, &options);
            command.arg("--output-dir").arg(&folder);
            step::run(command.env("CARGO_TARGET_DIR", workspace.target.join("release-check/tarpaulin")))?;
            let report = read_json(&folder.join("tarpaulin-report.json"))?;
            let lines = |key: &str| report[key].as_f64().with_context(|| format!("the report has no {key}"));
            covered.push(Figure {
                name,
                recorded,
                measured: percent(lines("covered")?, lines("coverable")?),
            });
        }
        Ok(Done::Passed(vec![compared(&covered)?]))
    })
}

/// The changes of one part in forty, another one each day, because all of them take hours.
pub(super) fn mutants(workspace: &Workspace) -> Result<Done> {
    tools::MUTANTS.run(workspace, || {
        let days = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / (24 * 60 * 60);
        let shard = format!("{}/{SHARDS}", days % SHARDS);
        // That some were missed is judged by the records.
        let outcome = mutants::run(workspace, &["--shard", &shard]);
        let mut noticed = Vec::new();
        for (name, recorded) in records(workspace, "mutants")? {
            let (caught, tried) = mutants::noticed_of_tried(workspace, &name)?;
            println!("{name}: {caught} of {tried} noticed");
            // A part may hold no change that builds.
            if tried > 0 {
                let measured = percent(caught.into(), tried.into());
                noticed.push(Figure { name, recorded, measured });
            }
        }
        let told = format!("part {shard}: {}", compared(&noticed)?);
        outcome.with_context(|| told.clone())?;
        Ok(Done::Passed(vec![told]))
    })
}

const SHARDS: u64 = 40;

/// A crate's percentage beside what was recorded.
#[derive(Debug)]
struct Figure {
    name: String,
    recorded: f64,
    measured: f64,
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

/// All figures in a line; an error if there are none, or one has fallen by a tenth of a percent or more.
fn compared(figures: &[Figure]) -> Result<String> {
    ensure!(!figures.is_empty(), "nothing was measured");
    let line = |figure: &Figure| {
        format!("{} {:.1} %, recorded {:.1} %", figure.name, figure.measured, figure.recorded)
    };
    let told: Vec<String> = figures.iter().map(line).collect();
    let told = told.join("; ");
    if figures.iter().any(|figure| figure.measured <= figure.recorded - 0.1) {
        bail!("below what was recorded: {told}")
    }
    Ok(told)
}

/// The recorded percentages of `kind`, by crate.
fn records(workspace: &Workspace, kind: &str) -> Result<Vec<(String, f64)>> {
    let records = read_json(&workspace.root.join(RECORDS))?;
    let of_kind = records[kind].as_object().with_context(|| format!("{RECORDS} has no {kind}"))?;
    let figure = |(name, figure): (&String, &Value)| {
        let figure = figure.as_f64().with_context(|| format!("{RECORDS}: {name} has no percentage"))?;
        Ok((name.clone(), figure))
    };
    of_kind.iter().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, recorded: f64, measured: f64) -> Figure {
        Figure { name: name.to_owned(), recorded, measured }
    }

    #[test]
    fn a_figure_below_its_record_is_an_error_that_names_all() {
        let kept = [figure("a", 98.4, 98.36), figure("b", 90.0, 95.0)];
        assert_eq!(compared(&kept).unwrap(), "a 98.4 %, recorded 98.4 %; b 95.0 %, recorded 90.0 %");
        let fallen = [figure("a", 98.4, 98.4), figure("b", 90.0, 89.9)];
        assert_eq!(
            compared(&fallen).unwrap_err().to_string(),
            "below what was recorded: a 98.4 %, recorded 98.4 %; b 89.9 %, recorded 90.0 %"
        );
    }

    #[test]
    fn where_nothing_was_measured_nothing_passes() {
        assert_eq!(compared(&[]).unwrap_err().to_string(), "nothing was measured");
        assert!(percent(0.0, 0.0) < 1.0);
    }

    #[test]
    fn records_are_read_by_kind_and_one_that_is_missing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: folder.path().into(), target: folder.path().join("target") };
        fs::create_dir_all(folder.path().join("docs/analysis")).unwrap();
        fs::write(folder.path().join(RECORDS), r#"{"coverage": {"a": 98.4}, "mutants": {"a": "all"}}"#)
            .unwrap();
        assert_eq!(records(&workspace, "coverage").unwrap(), [("a".to_owned(), 98.4)]);
        let refused = |kind| records(&workspace, kind).unwrap_err().to_string();
        assert_eq!(refused("mutants"), format!("{RECORDS}: a has no percentage"));
        assert_eq!(refused("speed"), format!("{RECORDS} has no speed"));
    }
}
