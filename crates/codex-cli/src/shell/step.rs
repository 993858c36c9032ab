//! What a command of the shell asks for.

use std::ffi::OsString;
use std::path::Path;

use super::words::{Word, quoted};
use crate::args::line::{Grammar, Line};
use crate::args::{Command, Set};
use crate::exit::Failure;
use crate::output::Format;

/// One step of a session.
#[derive(Debug)]
pub(super) enum Step {
    /// A verb of the command line.
    Verb(Box<Line>),
    /// Collect what changes from here on.
    Begin,
    /// Commit what was collected.
    Commit,
    /// Forget it.
    Rollback,
    /// Print a text.
    Print(String),
    /// How results look.
    Mode(Format),
    /// Whether the time is told that a command takes.
    Timer(bool),
    /// End the session.
    Quit,
}

impl Step {
    /// What these words ask for, of which there is at least one.
    pub(super) fn of(words: &[Word], grammar: &mut Grammar) -> Result<Self, Failure> {
        let sources: Vec<_> = words.iter().map(Word::source).collect();
        Ok(match sources.as_slice() {
            ["begin"] => Self::Begin,
            ["commit"] => Self::Commit,
            ["rollback"] => Self::Rollback,
            [".help"] => Self::Print(help(grammar)),
            [".help", verb] => return Self::verb(&[(*verb).into(), "--help".into()], words, grammar),
            [".mode", name] => Self::Mode(mode(name)?),
            [".timer", "on"] => Self::Timer(true),
            [".timer", "off"] => Self::Timer(false),
            [".quit" | ".exit"] => Self::Quit,
            [".timer", ..] => return Err(usage(".timer on, or .timer off")),
            [".mode", ..] => return Err(usage(MODES)),
            [name @ ("begin" | "commit" | "rollback" | ".quit" | ".exit"), ..] => {
                return Err(usage(&format!("{name} stands alone")));
            }
            // The value of a set is JSON with its quotes, so its words are given as they were typed.
            ["set", ..] => {
                let sources: Vec<_> = sources.iter().map(OsString::from).collect();
                return Self::verb(&sources, words, grammar);
            }
            [first, ..] if first.starts_with('.') => {
                return Err(
                    Failure::validation("there is no such command").hint("`.help` lists all commands")
                );
            }
            _ => {
                let texts = words.iter().map(|word| word.text().map_err(Failure::validation));
                return Self::verb(&texts.collect::<Result<Vec<_>, _>>()?, words, grammar);
            }
        })
    }

    fn verb(arguments: &[OsString], words: &[Word], grammar: &mut Grammar) -> Result<Self, Failure> {
        let mut line = match grammar.parse(arguments.to_vec())? {
            Ok(line) => line,
            Err(help) => return Ok(Self::Print(help.to_string().trim_end().to_owned())),
        };
        if let Command::Set(set) = &mut line.command {
            resolve(set, words)?;
        }
        refuse(&line.command)?;
        Ok(Self::Verb(Box::new(line)))
    }

    /// The line to keep for another time: never with a value.
    pub(super) fn kept(&self, words: &[Word]) -> String {
        if let Self::Verb(line) = self
            && let Command::Set(set) = &line.command
        {
            let raw = if set.raw { " --raw" } else { "" };
            let ttl = set.ttl.as_ref().map(|ttl| format!(" --ttl {}", quoted(ttl.as_encoded_bytes())));
            let key = quoted(set.key.as_encoded_bytes());
            return format!("set{raw}{} {key} ", ttl.unwrap_or_default());
        }
        words.iter().map(Word::source).collect::<Vec<_>>().join(" ")
    }
}

/// Puts in the place of what was typed what it stands for.
fn resolve(set: &mut Set, words: &[Word]) -> Result<(), Failure> {
    let word = |source: &OsString| words.iter().find(|word| *word.source() == **source);
    let text = |source: &OsString| word(source).map_or_else(|| Ok(source.clone()), Word::text);
    let json = |source: &OsString| word(source).map_or_else(|| Ok(source.clone()), Word::json);
    let value = if set.raw { text(&set.value) } else { json(&set.value) };
    set.value = value.map_err(Failure::validation)?;
    set.key = text(&set.key).map_err(Failure::validation)?;
    set.ttl = set.ttl.as_ref().map(text).transpose().map_err(Failure::validation)?;
    Ok(())
}

/// Refuses what is not for the shell.
fn refuse(command: &Command) -> Result<(), Failure> {
    let input: &Path = match command {
        Command::Set(set) => Path::new(&set.value),
        Command::Batch(batch) => &batch.file,
        Command::Import(import) => &import.file,
        Command::CheckProof(check) => &check.proof,
        Command::Restore(_)
        | Command::Repair(_)
        | Command::Keygen(_)
        | Command::Key(_)
        | Command::Interactive(_)
        | Command::Doctor
        | Command::Bench(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Tour(_)
        | Command::TourWriter => {
            return Err(Failure::validation("the shell works on the database that it has open")
                .hint("this command is for outside: leave the shell with .quit first"));
        }
        _ => return Ok(()),
    };
    if input == Path::new("-") {
        return Err(Failure::validation("`-` is standard input, where the commands of the shell come from")
            .hint("give a file, or the value itself"));
    }
    Ok(())
}

fn mode(name: &str) -> Result<Format, Failure> {
    match name {
        "line" => Ok(Format::Text),
        "table" => Ok(Format::Table),
        "json" => Ok(Format::Json),
        _ => Err(usage(MODES)),
    }
}

fn usage(how: &str) -> Failure {
    Failure::validation("the command is not used rightly").hint(how)
}

fn help(grammar: &Grammar) -> String {
    let about = |verb: &clap::Command| verb.get_about().map(ToString::to_string).unwrap_or_default();
    let verbs = grammar.verbs().map(|verb| format!("  {:<13}{}\n", verb.get_name(), about(verb)));
    format!("{}{SHELL_HELP}", verbs.collect::<String>())
}

/// The shell's own commands.
pub(super) const SHELL_COMMANDS: [&str; 7] =
    ["begin", "commit", "rollback", ".help", ".mode", ".timer", ".quit"];

/// What `.mode` takes.
pub(super) const MODE_NAMES: [&str; 3] = ["table", "line", "json"];

const MODES: &str = ".mode table, .mode line or .mode json";

const SHELL_HELP: &str = "
  begin        Collect what set, delete and clear do, to be committed together
  commit       Commit all of it, or nothing
  rollback     Forget it
  .help VERB   Show how a command is used
  .mode MODE   How results look: table, line or json
  .timer on    Tell how long each command takes; .timer off
  .quit        End the session, as Ctrl-D does

A value is JSON, over as many lines as it needs: set user:1 {\"name\": \"Ada\"}
A key with white space stands in quotes, as a text of JSON: get \"user 1\"";

#[cfg(test)]
mod tests {
    use super::super::words::Reader;
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<Word> {
        Reader::default().line(line).expect("no fault").expect("complete")
    }

    fn set(line: &str) -> Set {
        match Step::of(&words(line), &mut Grammar::new()).expect(line) {
            Step::Verb(line) => match line.command {
                Command::Set(set) => set,
                command => panic!("{command:?}"),
            },
            step => panic!("{step:?}"),
        }
    }

    #[test]
    fn a_set_takes_json_as_it_is_typed_and_everything_else_without_its_quotes() {
        for (line, key, value) in [
            ("set k \"a b\"", "k", "\"a b\""),
            ("set \"a b\" '\"a b\"'", "a b", "\"a b\""),
            ("set \"k\" \"k\"", "k", "\"k\""),
            ("set --raw k \"a b\"", "k", "a b"),
            ("set k 'a b' --raw", "k", "a b"),
            ("set \"-k\" -1", "-k", "-1"),
            ("set k {\"a\": [1]} --ttl '1h 30m'", "k", "{\"a\": [1]}"),
            ("set --ttl=1h $'\\x41' null", "A", "null"),
        ] {
            let set = set(line);
            assert_eq!((set.key.to_str(), set.value.to_str()), (Some(key), Some(value)), "{line}");
        }
        assert_eq!(set("set k 1 --ttl '1h 30m'").ttl.as_deref(), Some("1h 30m".as_ref()));
    }

    proptest! {
        #[test]
        fn what_is_kept_holds_no_value(
            key in "[a-z ]{1,8}",
            value in "s3cret[ -~]{0,20}",
            raw in any::<bool>(),
            literal in any::<bool>(),
        ) {
            prop_assume!(!value.contains('\''));
            let text = serde_json::to_string(&value).expect("JSON");
            let typed = if literal { format!("'{value}'") } else { text };
            let key = serde_json::to_string(&key).expect("JSON");
            let words = words(&format!("set{} {key} {typed} --ttl 1h", if raw { " --raw" } else { "" }));
            let kept = Step::of(&words, &mut Grammar::new()).expect("a set").kept(&words);
            prop_assert!(!kept.contains("s3cret"), "{}", kept);
            // It can be gone on with.
            let again = set(&format!("{kept}1"));
            prop_assert_eq!((again.raw, again.ttl.is_some()), (raw, true));
        }
    }
}
