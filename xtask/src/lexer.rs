//! As much of Rust's grammar as the checks need: words and signs without comments and literals, and the paths
//! that they form.
//!
//! Macro bodies are words and signs as well, so that nothing hides in them. What cannot be seen without the
//! compiler is a crate that is renamed (`use std as other`).

/// A word, a sign or the place of a literal, with its line in the file, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind<'a>,
    pub(crate) line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// An identifier or a keyword.
    Word(&'a str),
    /// One character of punctuation.
    Sign(char),
    /// `::`, which paths are read by.
    PathSign,
    /// A string, a character, a number or a lifetime.
    Literal,
}

/// Splits `text` into its words and signs. What is not Rust gives tokens without meaning, never a panic.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { rest: text, line: 1 };
    let mut found = Vec::new();
    while let Some(token) = lexer.next_token() {
        found.push(token);
    }
    found
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    fn next_token(&mut self) -> Option<Token<'a>> {
        loop {
            let before = self.rest.len();
            self.skip(self.rest.len() - self.rest.trim_start().len());
            self.skip(comment_len(self.rest));
            if self.rest.len() == before {
                break;
            }
        }
        let first = self.rest.chars().next()?;
        let line = self.line;
        let literal = literal_len(self.rest);
        let kind = if literal > 0 {
            self.skip(literal);
            Kind::Literal
        } else if is_word(first) {
            self.skip(if self.rest.starts_with("r#") { 2 } else { 0 });
            Kind::Word(self.skip(len_while(self.rest, is_word)))
        } else if self.rest.starts_with("::") {
            self.skip(2);
            Kind::PathSign
        } else {
            self.skip(first.len_utf8());
            Kind::Sign(first)
        };
        Some(Token { kind, line })
    }

    /// Goes on by `len` bytes and returns them.
    fn skip(&mut self, len: usize) -> &'a str {
        let (skipped, rest) = self.rest.split_at(len);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
        skipped
    }
}

/// The length in bytes of the comment that `text` begins with, or 0.
fn comment_len(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if !text.starts_with("/*") {
        return 0;
    }
    // Comments of this kind nest.
    let (mut len, mut depth) = (2, 1);
    while depth > 0 {
        let Some(step) = text[len..].find(['*', '/']) else { return text.len() };
        len += step;
        let sign = text.get(len..len + 2).unwrap_or_default();
        match sign {
            "/*" => depth += 1,
            "*/" => depth -= 1,
            _ => {}
        }
        len += if matches!(sign, "/*" | "*/") { 2 } else { 1 };
    }
    len
}

/// The length in bytes of the literal or lifetime that `text` begins with, or 0.
fn literal_len(text: &str) -> usize {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let quoted = text.strip_prefix(prefix).unwrap_or_default();
        let raw = prefix.ends_with('r');
        let hashes = if raw { len_while(quoted, |sign| sign == '#') } else { 0 };
        let character = matches!(*prefix, "" | "b") && quoted.starts_with('\'');
        quoted[hashes..].starts_with('"') || character
    });
    let Some(prefix) = prefix else {
        return if text.starts_with(|first: char| first.is_ascii_digit()) {
            len_while(text, is_word)
        } else {
            0
        };
    };
    let quoted = &text[prefix.len()..];
    prefix.len()
        + if prefix.ends_with('r') {
            raw_string_len(quoted)
        } else if quoted.starts_with('"') {
            quoted_len(quoted, '"')
        } else {
            character_or_lifetime_len(quoted)
        }
}

/// The length of `#"…"#` with any number of `#`.
fn raw_string_len(text: &str) -> usize {
    let hashes = len_while(text, |sign| sign == '#');
    let end = format!("\"{}", &text[..hashes]);
    text[hashes + 1..].find(&end).map_or(text.len(), |content| hashes + 1 + content + end.len())
}

/// The length of what stands between two `quote`s, both included, where `\` takes the next character along.
fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (offset, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if sign == quote => return offset + quote.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn character_or_lifetime_len(text: &str) -> usize {
    let mut signs = text.chars().skip(1);
    let first = signs.next();
    // `'a'` is a character and `'a` a lifetime.
    if first == Some('\\') || signs.next() == Some('\'') {
        quoted_len(text, '\'')
    } else {
        1 + len_while(&text[1..], is_word)
    }
}

fn is_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

fn len_while(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|sign| !belongs(sign)).unwrap_or(text.len())
}

/// A path as code names it, such as `std::fs::File`, with the line of its last word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path<'a> {
    pub(crate) words: Vec<&'a str>,
    pub(crate) line: usize,
}

/// Every path in `tokens`. What `use` lists in braces is one path for each entry.
pub(crate) fn paths<'a>(tokens: &[Token<'a>]) -> Vec<Path<'a>> {
    let mut found = Vec::new();
    let mut rest = tokens;
    while let Some(token) = rest.first() {
        rest = if matches!(token.kind, Kind::Word(_)) { path(&[], rest, &mut found) } else { &rest[1..] };
    }
    found
}

/// Reads the path or the list of paths that `tokens` begins with, below `prefix`, and returns what follows.
fn path<'a, 't>(prefix: &[&'a str], tokens: &'t [Token<'a>], found: &mut Vec<Path<'a>>) -> &'t [Token<'a>] {
    let mut words = prefix.to_vec();
    let mut rest = tokens;
    while let [Token { kind: Kind::Word(word), line }, after @ ..] = rest {
        words.push(word);
        let [Token { kind: Kind::PathSign, .. }, next @ ..] = after else {
            found.push(Path { words, line: *line });
            return after;
        };
        rest = next;
    }
    let [first, after @ ..] = rest else { return rest };
    if first.kind != Kind::Sign('{') {
        // `std::fs::*`, or the types of `Vec::<u8>`.
        found.push(Path { words, line: first.line });
        return rest;
    }
    rest = after;
    while let Some(token) = rest.first() {
        rest = match token.kind {
            Kind::Sign('}') => return &rest[1..],
            Kind::Word("as") => rest.get(2..).unwrap_or_default(),
            Kind::Word(_) | Kind::Sign('{') => path(&words, rest, found),
            _ => &rest[1..],
        };
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let words = tokens(text).into_iter().filter_map(|token| match token.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        });
        words.collect()
    }

    fn named(text: &str) -> Vec<String> {
        paths(&tokens(text)).into_iter().map(|path| path.words.join("::")).collect()
    }

    #[test]
    fn comments_are_no_code() {
        assert_eq!(words("a // b\nc /* d /* e */ f */ g /** h */ /// i"), ["a", "c", "g"]);
        assert_eq!(words("a /* never closed"), ["a"]);
    }

    #[test]
    fn literals_are_no_code() {
        assert_eq!(
            words(r##"a "b \" c" d r#"e " f"# g b"h" i br"j" k c"l" m"##),
            ["a", "d", "g", "i", "k", "m"]
        );
        assert_eq!(words(r"a 'b' c '\'' d b'e' f '\u{7f}' g"), ["a", "c", "d", "f", "g"]);
        assert_eq!(words("a 0xff_u8 b 1.0 c \"never closed"), ["a", "b", "c"]);
    }

    #[test]
    fn a_lifetime_does_not_hide_the_code_behind_it() {
        assert_eq!(words("fn f<'a>(x: &'a str) -> &'static str"), ["fn", "f", "x", "str", "str"]);
    }

    #[test]
    fn words_that_begin_like_a_literal_are_words() {
        assert_eq!(words("brown r#type crate b c r"), ["brown", "type", "crate", "b", "c", "r"]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let tokens = tokens("/* 1\n2 */ \"\n3\"\n\nlast");
        assert_eq!(tokens.last(), Some(&Token { kind: Kind::Word("last"), line: 5 }));
    }

    #[test]
    fn a_list_of_paths_is_one_path_for_each_entry() {
        assert_eq!(
            named("use std::{fs::{self, File}, io::*, sync as primitives, time::Instant};"),
            ["use", "std::fs::self", "std::fs::File", "std::io", "std::sync", "std::time::Instant"]
        );
        assert_eq!(named("use {std::fs, std::io};"), ["use", "std::fs", "std::io"]);
    }

    #[test]
    fn paths_in_expressions_macros_and_types_are_found() {
        assert_eq!(named("vec![::std::fs::read(p)]"), ["vec", "std::fs::read", "p"]);
        assert_eq!(named("Vec::<std::fs::File>::new()"), ["Vec", "std::fs::File", "new"]);
    }

    #[test]
    fn code_that_ends_too_early_does_not_panic() {
        let code = "use std::{fs::{self as r#f, File}, io::*}; /* c */ r#\"s\"# b'\\'' '\\u{1}' 'a 1 \"s\\\"";
        for end in 0..=code.len() {
            paths(&tokens(&code[..end]));
        }
    }
}
