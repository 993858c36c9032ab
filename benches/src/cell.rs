//! One measurement, in a process of its own, so that no other has warmed, filled or slowed what it runs in.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::figures::Figures;
use crate::works::{self, Place, Scale, Work};

/// The word that tells this program to be a cell.
pub(crate) const WORD: &str = "cell";

/// Measures a cell of `work` in a new process; `data` is the run's folder for databases.
pub(crate) fn spawn(work: &Work, row: &str, data: &Path, scale: Scale) -> Result<Figures> {
    let (own, kept) = (data.join("cell"), data.join("kept"));
    fs::create_dir_all(&own)?;
    fs::create_dir_all(&kept)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([WORD, &work.name, row, scale.name()]).args([&own, &kept]);
    let output = command.stderr(Stdio::inherit()).output().context("starting a cell")?;
    fs::remove_dir_all(&own)?;
    ensure!(output.status.success(), "{} of {row}: {}", work.name, output.status);
    serde_json::from_slice(&output.stdout).context("reading what a cell has measured")
}

/// What the new process does with the arguments behind [`WORD`].
#[expect(clippy::print_stdout, reason = "how a cell tells what it has measured")]
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [name, row, scale, own, kept] = arguments else { bail!("a cell has five arguments") };
    let scale = if scale == Scale::Full.name() { Scale::Full } else { Scale::Quick };
    let works = works::all(scale);
    let work = works.iter().find(|work| work.name == *name).context("no such work")?;
    let place = Place { row, folder: Path::new(own), kept: Path::new(kept), scale };
    println!("{}", serde_json::to_string(&works::measure(work, place)?)?);
    Ok(())
}
