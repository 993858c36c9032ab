//! The platforms that the project builds for, and what of that can be looked at from here.
//!
//! Clippy compiles for a platform without linking, which takes the standard library of its target and a C compiler for
//! it (ring and zstd bring C code). Where programs of the target can also be run, the tests of what differs between
//! systems are. What holds on which platform: `docs/platforms.md`.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::Workspace;
use crate::step::{self, Done};

/// Looks at each platform, and tells what was found of it.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    match check(workspace)? {
        Done::Passed(told) => told.iter().for_each(|line| println!("{line}")),
        Done::NotRun(why) => println!("NOT RUN: {why}"),
    }
    Ok(())
}

/// All platforms; not run if one of them could not be built for. That its programs cannot be run here is only told.
pub(crate) fn check(workspace: &Workspace) -> Result<Done> {
    let mut found = Vec::new();
    for platform in PLATFORMS {
        println!("-- {}", platform.target);
        let seen = platform.look(workspace)?;
        println!("{}: {seen}", platform.target);
        found.push((platform.target, seen));
    }
    together(&found)
}

/// A platform that the project builds for.
#[derive(Debug)]
struct Platform {
    target: &'static str,
    /// The C compiler for it, where `CC_` and the target do not name another one.
    compiler: &'static str,
    /// What runs its programs on another machine.
    runner: Option<&'static str>,
}

const PLATFORMS: [Platform; 5] = [
    Platform { target: "x86_64-unknown-linux-gnu", compiler: "cc", runner: None },
    Platform { target: "x86_64-unknown-linux-musl", compiler: "musl-gcc", runner: None },
    Platform {
        target: "aarch64-unknown-linux-gnu",
        compiler: "aarch64-linux-gnu-gcc",
        runner: Some("qemu-aarch64 -L /usr/aarch64-linux-gnu"),
    },
    Platform { target: "aarch64-apple-darwin", compiler: "aarch64-apple-darwin-clang", runner: None },
    Platform { target: "x86_64-pc-windows-gnu", compiler: "x86_64-w64-mingw32-gcc", runner: None },
];

/// What is known of a platform.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// It builds, and its tests were run, to this many binaries; or why they cannot be.
    Builds(Result<usize, String>),
    /// Nothing is known, and why.
    Nothing(String),
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Builds(Ok(binaries)) => write!(f, "builds, and {binaries} test binaries pass"),
            Self::Builds(Err(why)) => write!(f, "builds; tests not run: {why}"),
            Self::Nothing(why) => write!(f, "not checked: {why}"),
        }
    }
}

fn together(found: &[(&str, Seen)]) -> Result<Done> {
    ensure!(!found.is_empty(), "there are no platforms");
    let told: Vec<String> = found.iter().map(|(target, seen)| format!("{target}: {seen}")).collect();
    let missing = found.iter().any(|(_, seen)| matches!(seen, Seen::Nothing(_)));
    Ok(if missing { Done::NotRun(told.join("; ")) } else { Done::Passed(vec![told.join("; ")]) })
}

impl Platform {
    fn look(&self, workspace: &Workspace) -> Result<Seen> {
        let rustc =
            Command::new("rustc").args(["--print", "target-libdir", "--target", self.target]).output();
        let library = rustc.context("starting rustc")?;
        if !library.status.success() || !Path::new(String::from_utf8(library.stdout)?.trim()).exists() {
            return Ok(Seen::Nothing(format!("rustup target add {}", self.target)));
        }
        let Some(compiler) = self.compiler() else {
            return Ok(Seen::Nothing(format!(
                "there is no {}; {} can name another",
                self.compiler,
                self.variable()
            )));
        };
        let mut lint = self.cargo(workspace, "clippy", &compiler);
        let packages = PACKAGES.iter().flat_map(|name| ["--package", name]);
        step::run(lint.args(packages).args(["--", "--deny", "warnings"]))?;
        Ok(Seen::Builds(match self.runner() {
            Ok(runner) => Ok(self.test(workspace, &compiler, runner)?),
            Err(why) => Err(why),
        }))
    }

    /// How many test binaries passed, of those that show where systems differ.
    fn test(&self, workspace: &Workspace, compiler: &str, runner: Option<&str>) -> Result<usize> {
        let mut binaries = 0;
        for (package, tests) in TESTS {
            let mut test = self.cargo(workspace, "test", compiler);
            test.args(["--quiet", "--package", package]);
            let tests = tests.iter().filter(|test| runner.is_none() || !START_THEMSELVES.contains(test));
            test.args(tests.flat_map(|test| ["--test", test]));
            if let Some(runner) = runner {
                test.env(format!("CARGO_TARGET_{}_RUNNER", self.upper()), runner);
                test.env(format!("CARGO_TARGET_{}_LINKER", self.upper()), compiler);
            }
            binaries += step::run_tests(&mut test)?.len();
        }
        Ok(binaries)
    }

    fn cargo(&self, workspace: &Workspace, subcommand: &str, compiler: &str) -> Command {
        let mut command = step::cargo(workspace, &[subcommand, "--target", self.target]);
        command.env(self.variable(), compiler);
        command.env("CARGO_TARGET_DIR", workspace.target.join("platforms"));
        command
    }

    /// How the C compiler is called, if there is one.
    fn compiler(&self) -> Option<String> {
        let named = env::var(self.variable()).ok();
        named.or_else(|| is_in_path(self.compiler).then(|| self.compiler.to_owned()))
    }

    /// The variable in which the build of C code looks for its compiler.
    fn variable(&self) -> String {
        format!("CC_{}", self.target.replace('-', "_"))
    }

    fn upper(&self) -> String {
        self.target.replace('-', "_").to_uppercase()
    }

    /// What runs its programs here: nothing where they run by themselves. Or why none can be run.
    fn runner(&self) -> Result<Option<&'static str>, String> {
        if self.runs_by_itself(env::consts::ARCH, env::consts::OS) {
            return Ok(None);
        }
        let Some(runner) = self.runner else { return Err(format!("this is {}", env::consts::OS)) };
        let program = runner.split(' ').next().unwrap_or(runner);
        if is_in_path(program) { Ok(Some(runner)) } else { Err(format!("there is no {program}")) }
    }

    fn runs_by_itself(&self, arch: &str, system: &str) -> bool {
        let system = if system == "macos" { "darwin" } else { system };
        self.target.starts_with(arch) && self.target.split('-').any(|part| part == system)
    }
}

fn is_in_path(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| {
        folder.join(program).is_file()
            || folder.join(format!("{program}{}", env::consts::EXE_SUFFIX)).is_file()
    })
}

const PACKAGES: [&str; 5] = ["codex-crypto", "codex-storage", "codex-backup", "codex", "codex-cli"];

/// The tests of real files and of kept databases, and those of the cryptography, whose code is chosen by the processor.
const TESTS: [(&str, &[&str]); 3] = [
    ("codex-crypto", &["vectors", "proofs"]),
    ("codex-storage", &["vfs_os", "vfs_modes", "vfs_replace", "locks", "opening"]),
    ("codex", &["golden", "format"]),
];

/// Tests that start their own program once more, which a system does only with programs for its own processor.
const START_THEMSELVES: [&str; 1] = ["vfs_modes"];

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(target: &str) -> &'static Platform {
        PLATFORMS.iter().find(|platform| platform.target == target).unwrap()
    }

    #[test]
    fn a_platform_that_cannot_be_built_for_counts_as_not_run() {
        let builds = |tests| Seen::Builds(tests);
        let all = [("a", builds(Ok(3))), ("b", builds(Err("this is linux".to_owned())))];
        let told = "a: builds, and 3 test binaries pass; b: builds; tests not run: this is linux";
        assert_eq!(together(&all).unwrap(), Done::Passed(vec![told.to_owned()]));
        let one = [("a", builds(Ok(3))), ("b", Seen::Nothing("rustup target add b".to_owned()))];
        let told = "a: builds, and 3 test binaries pass; b: not checked: rustup target add b";
        assert_eq!(together(&one).unwrap(), Done::NotRun(told.to_owned()));
        assert_eq!(together(&[]).unwrap_err().to_string(), "there are no platforms");
    }

    #[test]
    fn programs_run_by_themselves_on_their_own_processor_and_system_only() {
        let runs = |target, arch, system| platform(target).runs_by_itself(arch, system);
        assert!(runs("x86_64-unknown-linux-musl", "x86_64", "linux"));
        assert!(runs("aarch64-apple-darwin", "aarch64", "macos"));
        assert!(runs("x86_64-pc-windows-gnu", "x86_64", "windows"));
        assert!(!runs("x86_64-pc-windows-gnu", "x86_64", "linux"));
        assert!(!runs("aarch64-unknown-linux-gnu", "x86_64", "linux"));
        assert!(!runs("aarch64-apple-darwin", "aarch64", "linux"));
    }

    #[test]
    fn the_compiler_is_named_as_the_build_of_c_code_looks_for_it() {
        let platform = platform("aarch64-apple-darwin");
        assert_eq!(platform.variable(), "CC_aarch64_apple_darwin");
        assert_eq!(platform.upper(), "AARCH64_APPLE_DARWIN");
    }
}
