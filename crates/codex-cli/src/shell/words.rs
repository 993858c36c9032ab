//! A command of the shell as words. `docs/cli.md`, "interactive", has the rules for users.
//!
//! White space parts words. A word that begins with `"` is a JSON text; one in `'…'` stands for itself, and one in
//! `$'…'` is a key as [`key::shown`] writes it, so that whatever the shell prints can be given back to it. In a `set`, a
//! word behind the key that begins with `{` or `[` goes on to its closing bracket, white space and lines included. A line
//! that ends in a backslash goes on with the next one. A command that begins with `#` is a comment, and has no words.
//!
//! Lines are taken one by one and looked at once each, so a value of many lines costs what it is long.

use std::borrow::Cow;
use std::ffi::OsString;

use crate::key;

/// One word, as it was typed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Word {
    form: Form,
    source: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// It stands for itself; JSON in brackets does too.
    Plain,
    /// A JSON text.
    Text,
    /// `'…'`
    Literal,
    /// `$'…'`
    Escaped,
}

/// What is wrong with a line. Nothing of the line is in it.
pub(super) type Fault = &'static str;

impl Word {
    /// What was typed, quotes included.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// What it stands for.
    pub(super) fn text(&self) -> Result<OsString, Fault> {
        let inside = |opening: &str| {
            let inside = self.source.strip_prefix(opening).and_then(|rest| rest.strip_suffix('\''));
            inside.expect("a word in quotes begins and ends with them")
        };
        match self.form {
            Form::Plain => Ok(self.source.clone().into()),
            Form::Text => {
                serde_json::from_str::<String>(&self.source).map(Into::into).map_err(|_| NOT_A_TEXT)
            }
            Form::Literal => Ok(inside("'").into()),
            Form::Escaped => os_string(key::unescaped(inside("$'")).ok_or(NOT_ESCAPED)?),
        }
    }

    /// What it stands for in the place of a JSON value: a JSON text is one with its quotes.
    pub(super) fn json(&self) -> Result<OsString, Fault> {
        if self.form == Form::Text { Ok(self.source.clone().into()) } else { self.text() }
    }
}

impl std::fmt::Debug for Word {
    // A value may stand in it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Word").field("form", &self.form).finish_non_exhaustive()
    }
}

/// A word that stands for this key. One that is not text, or would move the cursor, has its bytes as escapes.
pub(super) fn quoted(key: &[u8]) -> Cow<'_, str> {
    let shown = key::shown(key);
    let is_plain = !shown.starts_with(['"', '\'', '#', '{', '[', '\\'])
        && !shown.ends_with('\\')
        && !shown.contains(|sign: char| sign.is_ascii_whitespace());
    match shown {
        Cow::Borrowed(text) if !is_plain => {
            Cow::Owned(serde_json::to_string(text).expect("a text is always JSON"))
        }
        shown => shown,
    }
}

/// A command that is being read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    words: Vec<Word>,
    /// Of the word that is being read.
    source: String,
    state: State,
    /// Bytes that were taken.
    len: usize,
}

/// Where the next character stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between words.
    #[default]
    Between,
    /// Behind a closing quote.
    Closed,
    Plain,
    /// Within so many brackets.
    Brackets(usize),
    /// Within a JSON text, in so many brackets.
    Text(usize),
    Literal,
    Escaped,
    /// Behind a backslash.
    Backslash(InText),
}

/// What a backslash may stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InText {
    Text(usize),
    Escaped,
}

impl Reader {
    /// Takes the next line, and gives the words of the command if it is complete with it. After a fault, the next line
    /// begins a new command.
    pub(super) fn line(&mut self, line: &str) -> Result<Option<Vec<Word>>, Fault> {
        let complete = self.take(line.strip_suffix('\r').unwrap_or(line));
        let complete = complete.inspect_err(|_| *self = Self::default())?;
        Ok(complete.then(|| std::mem::take(self).words))
    }

    /// Whether the next line begins a command.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The words of a command whose last one is still being typed, and that word; none within lines that go on.
    pub(super) fn unfinished(lines: &str) -> Option<(Vec<Word>, String)> {
        let (before, last) = lines.rsplit_once('\n').unwrap_or(("", lines));
        let mut reader = Self::default();
        for line in before.split('\n') {
            reader.line(line).ok()?;
        }
        if !reader.is_empty() {
            return None;
        }
        last.chars().try_for_each(|sign| reader.sign(sign)).ok()?;
        (reader.state != State::Closed).then_some((reader.words, reader.source))
    }

    fn take(&mut self, line: &str) -> Result<bool, Fault> {
        if self.is_empty() && line.trim_start().starts_with('#') {
            return Ok(true);
        }
        self.len = self.len.saturating_add(line.len() + 1);
        if self.len > COMMAND_LEN_MAX {
            return Err("the command is longer than any record can be");
        }
        let goes_on = line.strip_suffix('\\');
        for sign in goes_on.unwrap_or(line).chars() {
            self.sign(sign)?;
        }
        match self.state {
            // Here a backslash is a sign like others.
            State::Literal | State::Escaped | State::Backslash(_) if goes_on.is_some() => {
                self.sign('\\')?;
            }
            _ if goes_on.is_some() => return Ok(false),
            _ => {}
        }
        match self.state {
            State::Between | State::Closed => Ok(true),
            State::Plain => {
                self.state = self.end_word(Form::Plain);
                Ok(true)
            }
            State::Brackets(_) | State::Literal => {
                self.source.push('\n');
                Ok(false)
            }
            State::Text(_) | State::Escaped | State::Backslash(_) => Err(NOT_CLOSED),
        }
    }

    fn sign(&mut self, sign: char) -> Result<(), Fault> {
        let is_space = sign.is_ascii_whitespace();
        match self.state {
            State::Between | State::Closed if is_space => {
                self.state = State::Between;
                return Ok(());
            }
            State::Closed => return Err(NO_SPACE),
            State::Plain if is_space => {
                self.state = self.end_word(Form::Plain);
                return Ok(());
            }
            _ => {}
        }
        self.source.push(sign);
        self.state = match (self.state, sign) {
            (State::Between, '"') => State::Text(0),
            (State::Between, '\'') => State::Literal,
            (State::Between, '{' | '[') if self.takes_value() => State::Brackets(1),
            (State::Plain, '\'') if self.source == "$'" => State::Escaped,
            (State::Brackets(open), '{' | '[') => State::Brackets(open + 1),
            (State::Brackets(open @ 2..), '}' | ']') => State::Brackets(open - 1),
            // Whether it is the right bracket, the parser of JSON says; and what stands right behind the last one is
            // its matter too.
            (State::Brackets(_), '}' | ']') | (State::Between | State::Closed | State::Plain, _) => {
                State::Plain
            }
            (State::Text(open), '\\') => State::Backslash(InText::Text(open)),
            (State::Escaped, '\\') => State::Backslash(InText::Escaped),
            (State::Text(0), '"') => self.end_word(Form::Text),
            (State::Text(open), '"') => State::Brackets(open),
            (State::Brackets(open), '"') | (State::Backslash(InText::Text(open)), _) => State::Text(open),
            (State::Literal, '\'') => self.end_word(Form::Literal),
            (State::Escaped, '\'') => self.end_word(Form::Escaped),
            (State::Backslash(InText::Escaped), _) => State::Escaped,
            (state, _) => state,
        };
        Ok(())
    }

    fn takes_value(&self) -> bool {
        self.words.len() > 1 && self.words[0].source == "set"
    }

    /// Ends the word, and gives what stands behind it.
    fn end_word(&mut self, form: Form) -> State {
        self.words.push(Word { form, source: std::mem::take(&mut self.source) });
        if form == Form::Plain { State::Between } else { State::Closed }
    }
}

/// Bytes as an argument, which on some systems must be text.
fn os_string(bytes: Vec<u8>) -> Result<OsString, Fault> {
    #[cfg(unix)]
    let argument = Ok(std::os::unix::ffi::OsStringExt::from_vec(bytes));
    #[cfg(not(unix))]
    let argument = String::from_utf8(bytes).map(OsString::from).map_err(|_| NOT_ESCAPED);
    argument
}

/// As long as the longest line of a stream of records (`lines.rs`).
const COMMAND_LEN_MAX: usize = 1_500_000_000;

const NOT_A_TEXT: Fault = "what stands in double quotes is no text of JSON";
const NOT_ESCAPED: Fault = "what stands in $'…' has an escape that is not understood";
const NOT_CLOSED: Fault = "a quote is not closed on its line";
const NO_SPACE: Fault = "there is no white space behind a closing quote";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The commands of these lines; none where the last one is not complete.
    fn commands(lines: &str) -> Result<Option<Vec<Vec<Word>>>, Fault> {
        let mut reader = Reader::default();
        let mut commands = Vec::new();
        for line in lines.split('\n') {
            commands.extend(reader.line(line)?);
        }
        Ok(reader.is_empty().then_some(commands))
    }

    /// What the words of one command stand for.
    fn texts(lines: &str) -> Vec<String> {
        let commands = commands(lines).expect("no fault").expect("complete");
        let [words] = commands.as_slice() else { panic!("{} commands", commands.len()) };
        let texts = words.iter().map(|word| word.text().expect("a text").into_string().expect("UTF-8"));
        texts.collect()
    }

    fn value(lines: &str) -> String {
        let commands = commands(lines).expect("no fault").expect("complete");
        let value = commands[0].last().expect("a value").json().expect("a text");
        value.into_string().expect("UTF-8")
    }

    #[test]
    fn white_space_parts_words_and_stays_in_quotes() {
        assert_eq!(texts(" get \t user:1 "), ["get", "user:1"]);
        assert_eq!(texts("get \"with  space \\u0041\""), ["get", "with  space A"]);
        assert_eq!(texts("get 'it \"is\" \\n'"), ["get", "it \"is\" \\n"]);
        assert_eq!(texts("get $'a\\tb'"), ["get", "a\tb"]);
        assert_eq!(texts("get it's 5\"x"), ["get", "it's", "5\"x"]);
        assert_eq!(texts("keys --glob [a-z]*"), ["keys", "--glob", "[a-z]*"]);
        assert_eq!(texts("get \u{a0}x"), ["get", "\u{a0}x"]);
        assert_eq!(texts(""), Vec::<String>::new());
        assert_eq!(texts("  # set k {"), Vec::<String>::new());
        assert_eq!(texts("get #1"), ["get", "#1"]);
    }

    #[test]
    fn a_value_in_brackets_goes_on_to_its_end() {
        assert_eq!(value("set k {\"a b\": [1, {\"}\": \"]\"}]}"), "{\"a b\": [1, {\"}\": \"]\"}]}");
        assert_eq!(value("set k [1,\n\n2]"), "[1,\n\n2]");
        assert_eq!(texts("set {user}:1 [1] --ttl 1h"), ["set", "{user}:1", "[1]", "--ttl", "1h"]);
        assert_eq!(value("set k '{\"a\": 1}'"), "{\"a\": 1}");
        assert_eq!(value("set k \"a \\\" b\""), "\"a \\\" b\"");
        for open in ["set k [", "set k {\"a\":\n1", "set k 'one\ntwo", "get \\"] {
            assert!(commands(open).expect("no fault").is_none(), "{open}");
        }
    }

    #[test]
    fn a_backslash_at_the_end_goes_on_with_the_next_line() {
        assert_eq!(texts("get \\\n  key"), ["get", "key"]);
        assert_eq!(texts("get ke\\\ny"), ["get", "key"]);
        assert_eq!(texts("get \"a\\\nb\""), ["get", "ab"]);
        assert_eq!(value("set k [\"a\\\nb\"]"), "[\"ab\"]");
        // Between these quotes it is a sign like others.
        assert_eq!(texts("get 'a\\\nb'"), ["get", "a\\\nb"]);
    }

    #[test]
    fn a_fault_ends_the_command_and_not_the_reader() {
        let mut reader = Reader::default();
        for (line, fault) in [
            ("get \"s3cret", NOT_CLOSED),
            ("get \"s3cret\\\\", NOT_CLOSED),
            ("set k [\"s3cret", NOT_CLOSED),
            ("get $'s3cret", NOT_CLOSED),
            ("get $'s3cret\\\\", NOT_CLOSED),
            ("get \"s3cret\"s3cret", NO_SPACE),
            ("get 's3cret''s3cret'", NO_SPACE),
        ] {
            assert_eq!(reader.line(line), Err(fault), "{line}");
            let words = reader.line("count").expect("a new command").expect("complete");
            assert_eq!(words.len(), 1, "{line}");
        }
        let words = reader.line("get \"\\x\" $'\\q'").expect("no fault").expect("complete");
        assert_eq!((words[1].text(), words[2].text()), (Err(NOT_A_TEXT), Err(NOT_ESCAPED)));
    }

    #[test]
    fn what_is_read_is_not_shown_in_debug_output() {
        let mut reader = Reader::default();
        let words = reader.line("set k \"s3cret\" s3cret").expect("no fault");
        assert!(!format!("{words:?}").contains("s3cret"));
    }

    /// Any JSON value, with any white space between its tokens.
    fn any_json() -> impl Strategy<Value = String> {
        let space = || "[ \n\t\r]{0,2}";
        let text = || any::<String>().prop_map(|text| serde_json::to_string(&text).expect("JSON"));
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
            text(),
            "\"(\\\\u[dD][89abAB][0-9a-fA-F]{2}|\\\\[\"\\\\/bfnrt]|[\\\\]u[0-9a-f]{4}|[{}\\[\\] '#$])*\"",
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            let item = (space(), inner, space()).prop_map(|(before, item, behind)| before + &item + &behind);
            let member = (space(), text(), space(), item.clone())
                .prop_map(|(before, name, behind, item)| format!("{before}{name}{behind}:{item}"));
            prop_oneof![
                prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_value_survives(json in any_json(), ttl in any::<bool>()) {
            let line = format!("set k {json}{}", if ttl { " --ttl 1h" } else { "" });
            let commands = commands(&line).expect("no fault").expect("complete");
            prop_assert_eq!(commands.len(), 1);
            let value = commands[0][2].json().expect("a text").into_string().expect("UTF-8");
            // The end of a line is white space there, whatever it looked like.
            let same = |text: &str| text.replace("\r\n", "\n");
            prop_assert_eq!(same(&value), same(&json));
        }

        #[test]
        fn any_key_that_is_printed_or_completed_can_be_given_back(key in prop::collection::vec(any::<u8>(), 1..40)) {
            let quoted = quoted(&key);
            for line in [format!("get {quoted}"), format!("set {quoted} 1"), format!("keys --from x --to {quoted} -0")] {
                let commands = commands(&line).expect("no fault").expect("complete");
                let found = commands[0].iter().any(|word| word.text().expect("a text").as_encoded_bytes() == key);
                prop_assert!(found, "{}", line);
            }
        }

        #[test]
        fn no_input_panics(lines in "[ \\\\\"'$\\[\\]{}a\n#\r]{0,60}|set k [ \\\\\"'$\\[\\]{}a\n#\r]{0,60}") {
            if let Ok(Some(commands)) = commands(&lines) {
                for word in commands.iter().flatten() {
                    let _ = (word.text(), word.json());
                }
            }
        }
    }
}
