//! What can come next in a command: verbs, options, record keys, files; and which arguments are still to come.

use std::fs;
use std::path::Path;

use clap::ValueHint;
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
    /// Options by their long names, and what comes behind those that take a value.
    options: Vec<(String, Option<Wanted>)>,
    /// How the usage names the arguments, in their order.
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    shown: String,
    wanted: Wanted,
    repeats: bool,
}

/// What an argument is, or the value of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Key,
    File,
    /// Nothing that could be listed.
    Other,
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
                Some(verb) => match verb.wanted(arguments) {
                    Wanted::Key => self.keys(&last),
                    Wanted::File => files(&last),
                    Wanted::Other => Vec::new(),
                },
                None => Vec::new(),
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
        if !last.is_empty() || !line.ends_with(' ') || verb.value_behind(&sources).is_some() {
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
        let Some(prefix) = meant(typed) else { return Vec::new() };
        // A key that cannot be read is no help; the command that is being typed will say so.
        let found = self.store.prefix(prefix).filter_map(Result::ok).take(KEYS_MAX);
        found.map(|(key, _)| word(&key, typed)).collect()
    }
}

impl Verb {
    fn of(command: &clap::Command) -> Self {
        let options = command.get_arguments().filter_map(|argument| {
            let name = format!("--{}", argument.get_long()?);
            let wanted = if KEY_OPTIONS.contains(&&*name) { Wanted::Key } else { file_or_other(argument) };
            Some((name, argument.get_action().takes_values().then_some(wanted)))
        });
        let places = command.get_positionals().map(|argument| {
            let name = argument.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str());
            let repeats = argument.get_num_args().is_some_and(|range| range.max_values() > 1);
            let name = format!("{name}{}", if repeats { "…" } else { "" });
            Place {
                shown: if argument.is_required_set() { name.clone() } else { format!("[{name}]") },
                wanted: if name.trim_end_matches('…') == "KEY" {
                    Wanted::Key
                } else {
                    file_or_other(argument)
                },
                repeats,
            }
        });
        let everywhere = ["--json", "--help"].map(|name| (name.to_owned(), None));
        let options = options.chain(everywhere).collect();
        Self { name: command.get_name().to_owned(), options, places: places.collect() }
    }

    /// What the last word, an option, takes next.
    fn value_behind(&self, words: &[&str]) -> Option<Wanted> {
        let last = words.last()?;
        self.options.iter().find(|(name, _)| name == last)?.1
    }

    /// How many of the arguments are given.
    fn given(&self, words: &[&str]) -> usize {
        let is_value = |index: usize| self.value_behind(&words[..index]).is_some();
        (0..words.len()).filter(|index| !words[*index].starts_with('-') && !is_value(*index)).count()
    }

    /// What the next word is.
    fn wanted(&self, words: &[&str]) -> Wanted {
        self.value_behind(words).unwrap_or_else(|| {
            let given = self.given(words);
            let place = self.places.get(given).or_else(|| self.places.last().filter(|place| place.repeats));
            place.map_or(Wanted::Other, |place| place.wanted)
        })
    }
}

fn file_or_other(argument: &clap::Arg) -> Wanted {
    if argument.get_value_hint() == ValueHint::AnyPath { Wanted::File } else { Wanted::Other }
}

/// What a word means that is being typed; `None` where it is in quotes of which the rest cannot be told.
fn meant(typed: &str) -> Option<String> {
    if typed.starts_with('"') {
        serde_json::from_str(&format!("{typed}\"")).ok()
    } else if typed.starts_with('\'') || typed.starts_with("$'") {
        None
    } else {
        Some(typed.to_owned())
    }
}

/// What the shell takes for `meant`, in the quotes in which it was begun.
fn word(meant: &[u8], typed: &str) -> String {
    match std::str::from_utf8(meant) {
        Ok(text) if typed.starts_with('"') => serde_json::to_string(text).expect("a text is always JSON"),
        _ => quoted(meant).into_owned(),
    }
}

/// Files and folders whose path begins with what was typed, as words, in order; hidden ones only where their dot was
/// typed. A folder ends with `/`, and its quotes stay open, so that it can be gone on with.
fn files(typed: &str) -> Vec<String> {
    let Some(path) = meant(typed) else { return Vec::new() };
    let (folder, begun) = path.rfind('/').map_or(("", &*path), |slash| path.split_at(slash + 1));
    // A folder that cannot be read is no help; the command that is being typed will say so.
    let Ok(entries) = fs::read_dir(if folder.is_empty() { Path::new(".") } else { Path::new(folder) }) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let is_wanted = name.starts_with(begun) && (!name.starts_with('.') || begun.starts_with('.'));
            let is_folder = is_wanted && fs::metadata(entry.path()).is_ok_and(|file| file.is_dir());
            is_wanted.then(|| format!("{folder}{name}{}", if is_folder { "/" } else { "" }))
        })
        .collect();
    found.sort_unstable();
    let word_of = |path: String| {
        let word = word(path.as_bytes(), typed);
        if path.ends_with('/') { word.strip_suffix('"').map(str::to_owned).unwrap_or(word) } else { word }
    };
    found.into_iter().map(word_of).collect()
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
    fn a_file_is_completed_where_a_command_takes_one() {
        let (folder, completion) = completion([]);
        for name in ["a b.csv", "all.jsonl", ".hidden"] {
            fs::write(folder.path().join(name), "").expect("it takes files");
        }
        fs::create_dir_all(folder.path().join("sub folder/deeper")).expect("it takes folders");
        let root = folder.path().to_str().expect("text");
        let complete = |line: &str| {
            let (start, words) = completion.complete(&line.replace('@', root));
            let words: Vec<_> = words.into_iter().map(|word| word.replace(root, "@")).collect();
            (line.replace('@', root).len() - start, words)
        };
        let len = |typed: &str| typed.replace('@', root).len();
        for (verb, typed, expected) in [
            ("import ", "@/al", vec!["@/all.jsonl"]),
            ("export --format csv ", "@/a", vec!["\"@/a b.csv\"", "@/a.db", "@/a.db.lock", "@/all.jsonl"]),
            ("backup ", "\"@/all", vec!["\"@/all.jsonl\""]),
            ("import ", "@/s", vec!["\"@/sub folder/"]),
            ("import ", "\"@/sub folder/", vec!["\"@/sub folder/deeper/"]),
            ("batch ", "@/.", vec!["@/.hidden"]),
            ("verify --head ", "@/al", vec!["@/all.jsonl"]),
            ("import ", "@/nothing/", vec![]),
            ("import ", "'@/al", vec![]),
            ("get ", "@/al", vec![]),
            ("import --format ", "@/al", vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(complete(&format!("{verb}{typed}")), (len(typed), expected), "{verb}{typed}");
        }
        let (_, here) = completion.complete("import Car");
        assert_eq!(here, ["Cargo.toml"], "without a folder it is the current one, which is the package's");
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
