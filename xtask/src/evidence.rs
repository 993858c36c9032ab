//! Heads and proofs of a ledger, held against a program that shares no line with ours: `docs/evidence/check.py`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{Workspace, step, tree};

/// A Python with what the program takes from the registry; or why there is none, so that the check cannot be run.
pub(crate) fn python(workspace: &Workspace) -> Result<PathBuf, &'static str> {
    let folder = workspace.target.join("xtask-evidence").join("venv");
    let python = folder.join("bin").join("python");
    let requirements = workspace.root.join("docs/evidence/requirements.txt");
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    if !succeeds(Command::new(&python).args(["-c", "import pymerkle, cryptography"])) {
        if !succeeds(Command::new("python3").args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]))
        {
            return Err("there is no python3, 3.11 or later");
        }
        if !succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)) {
            return Err("python3 cannot make a virtual environment");
        }
        let pip = ["-m", "pip", "install", "--quiet", "--retries", "1", "--requirement"];
        if !succeeds(Command::new(&python).args(pip).arg(requirements)) {
            return Err("the packages of docs/evidence/requirements.txt cannot be had");
        }
    }
    Ok(python)
}

/// Makes a ledger with heads and proofs, and has the other program check them, and refuse wrong ones.
pub(crate) fn run(workspace: &Workspace, python: &Path) -> Result<()> {
    step::run(&mut step::cargo(workspace, &["build", "--quiet", "--package", "codex-cli"]))?;
    let codex = workspace.target.join("debug").join("codex");
    let folder = workspace.target.join("xtask-evidence").join("ledger");
    tree::make_empty(&folder)?;
    let evidence = Evidence { folder, codex, check: workspace.root.join("docs/evidence/check.py"), python };
    evidence.make()?;
    evidence.check()
}

#[derive(Debug)]
struct Evidence<'a> {
    folder: PathBuf,
    codex: PathBuf,
    check: PathBuf,
    python: &'a Path,
}

impl Evidence<'_> {
    fn make(&self) -> Result<()> {
        self.codex("--quiet keygen key", "key.out")?;
        self.codex("--quiet keygen --signing sign --name example.com/audit", "sign.out")?;
        // A writer that is stopped after 1,300 commits: more than one run of the leaf index.
        let writer =
            "\"$CODEX\" --file app.db --key-file key --mode ledger tour-writer | head -n 1300 > writer.out";
        step::run(
            Command::new("sh").args(["-c", writer]).env("CODEX", &self.codex).current_dir(&self.folder),
        )?;
        let db = "--file app.db --key-file key";
        self.codex(&format!("{db} head --sign sign"), "older.head")?;
        for number in 0..5 {
            self.codex(&format!("{db} set key {number}"), "set.out")?;
        }
        self.codex(&format!("{db} head --sign sign"), "head")?;
        self.codex(&format!("{db} prove --since older.head --sign sign"), "since.proof")?;
        for (commit, file) in COMMITS {
            self.codex(&format!("{db} prove {commit} --sign sign"), file)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let proofs: Vec<_> = COMMITS.into_iter().map(|(_, file)| file).collect();
        let log = format!("log app.db head since.proof {}", proofs.join(" "));
        self.demand(&log, true)?;
        self.demand("proof since.proof --head older.head --public-key sign.pub", true)?;
        for proof in &proofs {
            self.demand(&format!("proof {proof} --head head --public-key sign.pub"), true)?;
        }
        // A check that refuses nothing would agree with everything.
        let text = fs::read_to_string(self.folder.join(proofs[1]))?;
        let hash = text.lines().nth(4).context("a proof has hashes")?;
        let wrong = [
            text.replacen(&format!("{hash}\n"), "", 1),
            text.replacen(hash, &format!("{hash}\n{hash}"), 1),
            text.replacen("index ", "index 1", 1),
        ];
        for wrong in wrong {
            fs::write(self.folder.join("wrong.proof"), wrong)?;
            self.demand("proof wrong.proof --head head", false)?;
        }
        self.demand("proof since.proof --head head", false)?;
        self.demand("log app.db key.out", false)?;
        Ok(())
    }

    /// Runs the command, and keeps what it prints in a file.
    fn codex(&self, words: &str, output: &str) -> Result<()> {
        let output = File::create(self.folder.join(output))?;
        let mut command = Command::new(&self.codex);
        step::run(command.args(words.split(' ')).current_dir(&self.folder).stdout(output))
    }

    /// Runs the other program, which must agree or refuse.
    fn demand(&self, words: &str, holds: bool) -> Result<()> {
        let mut command = Command::new(self.python);
        command.arg(&self.check).args(words.split(' ')).current_dir(&self.folder);
        let output = command.output().with_context(|| format!("starting {command:?}"))?;
        let said = String::from_utf8_lossy(if holds { &output.stdout } else { &output.stderr }).into_owned();
        println!("-- {words}: {}", said.trim_end());
        let refused = said.starts_with("refused: ");
        ensure!(output.status.success() == holds && refused != holds, "{words}: {output:?}");
        Ok(())
    }
}

/// At both ends of the log, and at both sides of the border between two runs of the leaf index.
const COMMITS: [(u64, &str); 4] =
    [(1, "1.proof"), (1024, "1024.proof"), (1025, "1025.proof"), (1303, "1303.proof")];
