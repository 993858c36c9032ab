//! A folder of its own for each test, and the real command in it.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code, reason = "shared by several test programs")]

pub(crate) mod secrets;

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;

/// Real records: one JSON Lines record for each character of Unicode up to U+0FFF.
pub(crate) const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/unicode-names.jsonl");

/// How many records [`DATA`] has.
pub(crate) const DATA_RECORDS: usize = 3568;

/// A folder that is removed behind the test.
#[derive(Debug)]
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("codex-cli-test-").tempdir().expect("a folder"))
    }

    /// The same in memory where the system has a place for that: syncs cost nothing there, and a test of many runs is
    /// over sooner.
    pub(crate) fn in_memory() -> Self {
        let mut folder = tempfile::Builder::new();
        folder.prefix("codex-cli-test-");
        Self(folder.tempdir_in("/dev/shm").or_else(|_| folder.tempdir()).expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("the scratch folder takes files");
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("the file is there")
    }

    /// The command, in this folder, with nothing from outside that it listens to.
    pub(crate) fn codex(&self) -> Command {
        self.clean(Command::new(cargo_bin("codex")))
    }

    /// A shell script with the command as `$CODEX`, in this folder.
    pub(crate) fn sh(&self, script: &str) -> Output {
        self.shell(script).output().expect("sh runs")
    }

    /// The same, to be started.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut sh = self.clean(Command::new("sh"));
        sh.arg("-c").arg(script).env("CODEX", cargo_bin("codex"));
        sh
    }

    fn clean(&self, mut command: Command) -> Command {
        for name in ["CODEX_KEY", "CODEXDB_GO_KEY", "CODEX_DB", "CREDENTIALS_DIRECTORY", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.env("CODEX_HOME", self.path("home")).env("HOME", self.folder());
        command.current_dir(self.folder());
        command
    }

    /// Runs the command with these words.
    pub(crate) fn run<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Output {
        self.codex().args(words).output().expect("the command runs")
    }

    /// Runs the command with words that stand in one line, and takes what it prints.
    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.run(line.split_whitespace());
        assert_eq!(output.status.code(), Some(0), "{line}: {}", stderr(&output));
        stdout(&output)
    }

    /// Runs the command with words that stand in one line; it fails, and this is its code and what it says.
    pub(crate) fn fails(&self, line: &str) -> (i32, String) {
        let output = self.run(line.split_whitespace());
        assert!(!output.status.success(), "{line}: {}", stdout(&output));
        (output.status.code().expect("the command ends by itself"), stderr(&output))
    }

    /// An encryption key in `name`.
    pub(crate) fn keygen(&self, name: &str) -> PathBuf {
        self.ok(&format!("--quiet keygen {name}"));
        self.path(name)
    }
}

/// Says on the terminal, past the test harness, which would keep it to itself, that something was not tested.
pub(crate) fn skipped(why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).expect("standard error");
}

/// What the command printed.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What the command said beside it.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The permissions of a file.
#[cfg(unix)]
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).expect("the file is there").permissions().mode() & 0o7777
}
