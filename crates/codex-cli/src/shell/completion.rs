//! What can come next in a command: verbs, options, record keys; and which arguments are still to come.

use codex::Store;

use super::step::{MODE_NAMES, SHELL_COMMANDS};
use super::words::{Reader, Word, quoted};
use crate::args::line::Grammar;

/// What the words of a command may be.
#[derive(Debug)]
pub(super) struct Completion {
    verbs: Vec<Verb>,
    store: Store,
}

/// A verb, as far as completion knows it.
#[derive(Debug)]
struct Verb {
    name: String,
    /// Options by their long names, and whether a value comes behind them.
    options: Vec<(String, bool)>,
    /// How the usage names the arguments, in their order.
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    shown: String,
    is_key: bool,
    repeats: bool,
}

impl Completion {
    pub(super) fn new(store: Store, grammar: &Grammar) -> Self {
        Self { verbs: grammar.verbs().map(Verb::of).collect(), store }
    }

    /// Where the last word of the line begins, and what it can be.
    pub(super) fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let Some((words, last)) = Reader::unfinished(line) else { return (line.len(), Vec::new()) };
        let start = line.len() - last.len();
        let verbs = || self.verbs.iter().map(|verb| &*verb.name);
        let sources: Vec<_> = words.iter().map(Word::source).collect();
        let found = match sources.as_slice() {
            [] => beginning(verbs().chain(SHELL_COMMANDS), &last),
            [".mode"] => beginning(MODE_NAMES.into_iter(), &last),
            [".timer"] => beginning(["on", "off"].into_iter(), &last),
            [".help"] => beginning(verbs(), &last),
            [name, arguments @ ..] => match self.verb(name) {
                Some(verb) if last.starts_with('-') => {
                    beginning(verb.options.iter().map(|(name, _)| &**name), &last)
                }
                Some(verb) if verb.wants_key(arguments) => self.keys(&last),
                _ => Vec::new(),
            },
        };
        (start, found)
    }

    /// The arguments that are still to come, behind a space.
    pub(super) fn usage(&self, line: &str) -> Option<String> {
        let (words, last) = Reader::unfinished(line)?;
        let [name, arguments @ ..] = words.as_slice() else { return None };
        let verb = self.verb(name.source())?;
        let sources: Vec<_> = arguments.iter().map(Word::source).collect();
        if !last.is_empty() || !line.ends_with(' ') || verb.value_follows(&sources) {
            return None;
        }
        let given = verb.given(&sources);
        let rest: Vec<_> = verb.places.iter().skip(given).map(|place| &*place.shown).collect();
        (!rest.is_empty()).then(|| rest.join(" "))
    }

    fn verb(&self, name: &str) -> Option<&Verb> {
        self.verbs.iter().find(|verb| verb.name == name)
    }

    /// Keys of the open database that begin with what was typed, as words; the first [`KEYS_MAX`] of them.
    fn keys(&self, typed: &str) -> Vec<String> {
        let in_quotes = typed.starts_with('"');
        let prefix = if in_quotes {
            match serde_json::from_str::<String>(&format!("{typed}\"")) {
                Ok(text) => text,
                Err(_) => return Vec::new(),
            }
        } else if typed.starts_with('\'') || typed.starts_with("$'") {
            return Vec::new();
        } else {
            typed.to_owned()
        };
        let word = |key: &[u8]| match std::str::from_utf8(key) {
            Ok(text) if in_quotes => serde_json::to_string(text).expect("a text is always JSON"),
            _ => quoted(key).into_owned(),
        };
        // A key that cannot be read is no help; the command that is being typed will say so.
        let found = self.store.prefix(prefix).filter_map(Result::ok).take(KEYS_MAX);
        found.map(|(key, _)| word(&key)).collect()
    }
}

impl Verb {
    fn of(command: &clap::Command) -> Self {
        let options = command.get_arguments().filter_map(|argument| {
            let name = argument.get_long()?;
            Some((format!("--{name}"), argument.get_action().takes_values()))
        });
        let places = command.get_positionals().map(|argument| {
            let name = argument.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
            let repeats = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
            let name = format!("{name}{}", if repeats { "…" } else { "" });
            Place {
                shown: if argument.is_required_set() { name.clone() } else { format!("[{name}]") },
                is_key: name.trim_end_matches('…') == "KEY",
                repeats,
            }
        });
        let everywhere = ["--json", "--help"].map(|name| (name.to_owned(), false));
        let options = options.chain(everywhere).collect();
        Self { name: command.get_name().to_owned(), options, places: places.collect() }
    }

    /// Whether the last word is an option whose value comes next.
    fn value_follows(&self, words: &[&str]) -> bool {
        words.last().is_some_and(|last| self.options.iter().any(|(name, takes)| name == last && *takes))
    }

    /// How many of the arguments are given.
    fn given(&self, words: &[&str]) -> usize {
        let is_value = |index: usize| self.value_follows(&words[..index]);
        (0..words.len()).filter(|index| !words[*index].starts_with('-') && !is_value(*index)).count()
    }

    fn wants_key(&self, words: &[&str]) -> bool {
        if self.value_follows(words) {
            return words.last().is_some_and(|last| KEY_OPTIONS.contains(last));
        }
        let given = self.given(words);
        let place = self.places.get(given).or_else(|| self.places.last().filter(|place| place.repeats));
        place.is_some_and(|place| place.is_key)
    }
}

/// Which of the words begin with what was typed.
fn beginning<'a>(words: impl Iterator<Item = &'a str>, typed: &str) -> Vec<String> {
    words.filter(|word| word.starts_with(typed)).map(str::to_owned).collect()
}

/// Options whose value is a record key, or the beginning of one.
const KEY_OPTIONS: [&str; 3] = ["--prefix", "--from", "--to"];

/// More keys than these are no help, and would take time to find and to show.
const KEYS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(keys: impl IntoIterator<Item = String>) -> (tempfile::TempDir, Completion) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path().join("a.db")).expect("a new database");
        store.set_many(keys.into_iter().map(|key| (key, &1))).expect("it takes them");
        (folder, Completion::new(store, &Grammar::new()))
    }

    #[test]
    fn what_comes_next_is_a_verb_an_option_or_a_key_in_its_place() {
        let (_folder, completion) = completion(["user:1", "user two", "x"].map(str::to_owned));
        for (line, start, expected) in [
            ("cou", 0, vec!["count"]),
            (".m", 0, vec![".mode"]),
            ("# co", 2, vec![]),
            ("get u", 4, vec!["\"user two\"", "user:1"]),
            ("get \"us", 4, vec!["\"user two\"", "\"user:1\""]),
            ("get x ", 6, vec![]),
            ("delete x us", 9, vec!["\"user two\"", "user:1"]),
            ("set --ttl ", 10, vec![]),
            ("set --ttl 1h x", 13, vec!["x"]),
            ("set x u", 6, vec![]),
            ("set x [1,\nu", 11, vec![]),
            ("count\nget x", 10, vec!["x"]),
            ("scan --from x", 12, vec!["x"]),
            ("scan --re", 5, vec!["--reverse"]),
            ("scan --limit x", 13, vec![]),
            ("get \"x\"", 7, vec![]),
            (".mode j", 6, vec!["json"]),
            ("restore ", 8, vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(completion.complete(line), (start, expected), "{line}");
        }
    }

    #[test]
    fn only_so_many_keys_are_looked_at() {
        let (_folder, completion) = completion((0..500).map(|number| format!("k{number:03}")));
        let (_, found) = completion.complete("get k");
        assert_eq!((found.len(), found[0].as_str()), (KEYS_MAX, "k000"));
    }

    #[test]
    fn the_usage_shows_what_is_still_to_come() {
        let (_folder, completion) = completion([]);
        for (line, usage) in [
            ("set ", Some("KEY VALUE")),
            ("set k ", Some("VALUE")),
            ("set --raw k ", Some("VALUE")),
            ("set --ttl ", None),
            ("set --ttl 1h ", Some("KEY VALUE")),
            ("set k", None),
            ("set k 1 ", None),
            ("diff ", Some("A [B]")),
            ("delete ", Some("[KEY…]")),
            ("count ", None),
            ("nonsense ", None),
        ] {
            assert_eq!(completion.usage(line).as_deref(), usage, "{line}");
        }
    }
}
