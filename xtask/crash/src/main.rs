//! `cargo xtask crash`: the crash search from the command line.
#![expect(clippy::print_stdout, reason = "a command that reports what it found")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use codex_crash::history::History;
use codex_crash::run::{Failure, run, shrink};
use codex_crash::search::{Found, search};
use codex_crash::systematic::{self, Depth};
use codex_crash::world::Counts;

const USAGE: &str = "\
Usage: cargo xtask crash [OPTIONS]

Without options: every case of the scripts, then 100,000 random histories.

  --seeds N      as many random histories, and no scripts
  --minutes M    random histories for so long, and no scripts
  --seed S       the first seed; a random one if left out
  --scripts      the scripts only
  --script K     only script K
  --case C       only case C of that script
  --only A,B     only these steps of the one history that is run
  --jobs J       as many at a time; as many as there are processors if left out";

fn main() -> ExitCode {
    // A panic in the database is a failure that is reported with its history.
    std::panic::set_hook(Box::new(|_| {}));
    match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options.run(),
        Err(why) => {
            if why.is_empty() {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            eprintln!("{why}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Default)]
struct Options {
    seeds: Option<u64>,
    minutes: Option<f64>,
    seed: Option<u64>,
    scripts: bool,
    script: Option<usize>,
    case: Option<usize>,
    only: Option<Vec<usize>>,
    jobs: Option<usize>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(name) = arguments.next() {
            if name == "--help" {
                return Err(String::new());
            }
            if name == "--scripts" {
                options.scripts = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value, or is not known"))?;
            let wrong = |error: &dyn std::fmt::Display| format!("{name} {value}: {error}");
            match name.as_str() {
                "--seeds" => options.seeds = Some(value.parse().map_err(|error| wrong(&error))?),
                "--minutes" => options.minutes = Some(value.parse().map_err(|error| wrong(&error))?),
                "--seed" => options.seed = Some(value.parse().map_err(|error| wrong(&error))?),
                "--script" => options.script = Some(value.parse().map_err(|error| wrong(&error))?),
                "--case" => options.case = Some(value.parse().map_err(|error| wrong(&error))?),
                "--jobs" => options.jobs = Some(value.parse().map_err(|error| wrong(&error))?),
                "--only" => {
                    let steps = value.split(',').map(str::parse).collect::<Result<_, _>>();
                    options.only = Some(steps.map_err(|error| wrong(&error))?);
                }
                _ => return Err(format!("{name} is not known")),
            }
        }
        Ok(options)
    }

    fn run(&self) -> ExitCode {
        let start = Instant::now();
        let mut counts = Counts::default();
        let outcome = match &self.only {
            Some(only) => self.replay(only),
            None => self.search(&mut counts),
        };
        report(counts, start.elapsed());
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                println!("\nFAILED\n{why}");
                ExitCode::FAILURE
            }
        }
    }

    fn search(&self, counts: &mut Counts) -> Result<(), String> {
        let random = self.seeds.is_some() || self.minutes.is_some() || self.seed.is_some();
        if self.scripts || self.script.is_some() || !random {
            self.search_scripts(counts)?;
        }
        if random || !self.scripts && self.script.is_none() {
            self.search_seeds(counts)?;
        }
        Ok(())
    }

    fn search_scripts(&self, counts: &mut Counts) -> Result<(), String> {
        for (number, script) in systematic::scripts().iter().enumerate() {
            if self.script.is_some_and(|only| only != number) {
                continue;
            }
            let cases = systematic::cases(script, Depth::Recoveries).enumerate();
            let cases = Mutex::new(cases.filter(|(case, _)| self.case.is_none_or(|only| only == *case)));
            let numbers = Mutex::new(Vec::new());
            let found = search(
                &|number| {
                    let (case, history) = cases.lock().ok()?.next()?;
                    numbers.lock().ok()?.push((number, case));
                    Some(history)
                },
                self.jobs(),
                None,
            );
            println!("script {number}, {}: {} cases", script.setup, found.counts.histories);
            let numbers = numbers.into_inner().unwrap_or_default();
            let case = |number| numbers.iter().find(|(of, _)| *of == number).map_or(0, |(_, case)| *case);
            take(found, counts, |failed| format!("--script {number} --case {}", case(failed)))?;
        }
        Ok(())
    }

    fn search_seeds(&self, counts: &mut Counts) -> Result<(), String> {
        let first = match self.seed {
            Some(seed) => seed,
            // Short enough to be typed.
            None => u64::from(u32::from_le_bytes(
                codex_crypto::random::bytes().map_err(|error| error.to_string())?,
            )),
        };
        let count = match (self.seeds, self.minutes) {
            (Some(count), _) => count,
            (None, Some(_)) => u64::MAX,
            (None, None) => SEEDS,
        };
        println!("random histories from seed {first} on");
        let deadline = self.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
        let histories = |number| (number < count).then(|| History::random(first.wrapping_add(number)));
        let found = search(&histories, self.jobs(), deadline);
        take(found, counts, |number| format!("--seed {}", first.wrapping_add(number)))
    }

    /// One history, with the steps that are listed.
    fn replay(&self, only: &[usize]) -> Result<(), String> {
        let whole = match (self.seed, self.script) {
            (Some(seed), _) => Some(History::random(seed)),
            (None, Some(script)) => systematic::scripts().get(script).and_then(|script| {
                systematic::cases(script, Depth::Recoveries).nth(self.case.unwrap_or_default())
            }),
            (None, None) => None,
        };
        let whole = whole.ok_or("--only needs the seed, or a script and a case, of the history")?;
        let short = whole.only(only);
        let failed = |failure: Failure| shrink_nothing(whole.clone(), only, failure);
        run(&short).map(drop).map_err(failed)
    }

    fn jobs(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.unwrap_or_else(processors)
    }
}

/// Adds what passed, and makes a failure short.
fn take(found: Found, counts: &mut Counts, name: impl Fn(u64) -> String) -> Result<(), String> {
    counts.add(found.counts);
    let Some((number, history, failure)) = found.failure else { return Ok(()) };
    let shrunk = shrink(&history, failure);
    let kept: Vec<_> = shrunk.kept.iter().map(ToString::to_string).collect();
    Err(format!("{shrunk}Again: cargo xtask crash {} --only {}", name(number), kept.join(",")))
}

fn shrink_nothing(whole: History, only: &[usize], failure: Failure) -> String {
    codex_crash::run::Shrunk { whole, kept: only.to_vec(), failure }.to_string()
}

fn report(counts: Counts, took: Duration) {
    let Counts { histories, steps, operations, crashes, errors, rot, sealings } = counts;
    let seconds = took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = histories as f64 / seconds.max(0.001);
    println!(
        "{histories} histories with {steps} steps and {operations} operations of the disk in {seconds:.1} s"
    );
    println!(
        "{crashes} crashes, {errors} errors and {rot} pieces of rot; {sealings} sealings, no key and nonce twice"
    );
    println!("{rate:.0} histories a second");
}

/// Takes some minutes.
const SEEDS: u64 = 100_000;
