//! `doctor`: what is wrong with a database, and what to do about it.
//!
//! It changes nothing and waits for nobody. What a check cannot see, for want of the key or because another process has
//! the database open, it says. `docs/cli.md`, "doctor", lists the checks.

mod holders;
mod inside;
mod outside;

use serde_json::{Map, Value, json};

use super::target;
use crate::args::Global;
use crate::color;
use crate::exit::{Failure, Outcome};
use crate::output::Output;

use inside::Inside;
use outside::Outside;

/// What one check has found.
#[derive(Debug)]
struct Finding {
    check: &'static str,
    state: State,
    text: String,
    /// What to do about it; nothing where nothing is wrong.
    advice: Option<String>,
    facts: Map<String, Value>,
}

/// How bad it is, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Nothing is wrong.
    Ok,
    /// It could not be looked at.
    Unchecked,
    /// It works, and deserves a look.
    Warn,
    /// It does not work, or not safely.
    Fail,
}

impl Finding {
    fn new(check: &'static str, state: State, text: impl Into<String>) -> Self {
        Self { check, state, text: text.into(), advice: None, facts: Map::new() }
    }

    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, State::Ok, text)
    }

    fn unchecked(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, State::Unchecked, text)
    }

    fn warn(check: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, State::Warn, text).advise(advice)
    }

    fn fail(check: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, State::Fail, text).advise(advice)
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        if output.is_json() {
            let mut object = self.facts.clone();
            object.insert("check".to_owned(), json!(self.check));
            object.insert("state".to_owned(), json!(self.state.name()));
            object.insert("finding".to_owned(), json!(self.text));
            object.insert("advice".to_owned(), json!(self.advice));
            return output.object(&object);
        }
        let (check, name, style) = (self.check, self.state.name(), color::on_stdout(self.state.style()));
        output.line(&format!("{style}{name:<9}{style:#} {check:<11} {}", self.text))?;
        match &self.advice {
            Some(advice) => output.line(&format!("{:22}to do: {advice}", "")),
            None => Ok(()),
        }
    }
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unchecked => "unchecked",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn style(self) -> anstyle::Style {
        match self {
            Self::Ok => color::GOOD,
            Self::Unchecked => color::HINT,
            Self::Warn => color::DOUBTFUL,
            Self::Fail => color::ERROR,
        }
    }
}

pub(super) fn doctor(global: &Global, output: &mut Output) -> Result<Outcome, Failure> {
    let path = target(global)?.path()?;
    let outside = Outside::look(&path)?;
    // Before anything else: opening the database below makes this process one that holds its lock.
    let lock = outside.lock();
    let inside = Inside::look(global, &outside);
    let findings = [
        vec![outside.file(), outside.header(), lock],
        outside.permissions(),
        vec![inside.key(), inside.log(), inside.checkpoint(), outside.leftovers()],
        vec![outside.space(), outside.backup(), inside.rewrite()],
    ];
    let mut worst = State::Ok;
    for finding in findings.iter().flatten() {
        finding.print(output)?;
        worst = worst.max(finding.state);
    }
    Ok(if worst == State::Fail { Outcome::Absent } else { Outcome::Done })
}
