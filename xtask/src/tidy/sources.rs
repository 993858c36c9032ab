//! What the sources may name, and what they may not leave behind.

use super::Offence;
use crate::lexer::{self, Kind, Token};
use crate::tree::Tree;

/// Who alone may name something, below a folder. Tests beside the code are held to it as well.
struct Rule {
    /// What is named: a module of the standard library, a crate, or any word.
    name: Name,
    /// The folders in which it may not be named, each ending in `/`.
    within: &'static [&'static str],
    /// The files in which it may.
    except: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Name {
    /// A module of `std`, `core` or `alloc`.
    Std(&'static str),
    /// A crate, at the beginning of a path.
    Crate(&'static str),
    /// A word, wherever it stands.
    Word(&'static str),
}

const RULES: [Rule; 9] = [
    // Storage sees files through `Vfs`, so that tests can make each operation fail; the others know none.
    Rule { name: Name::Std("fs"), within: &[CRYPTO, STORAGE, BACKUP, FACADE], except: &[OS] },
    Rule { name: Name::Crate("rustix"), within: &[CRYPTO, STORAGE, BACKUP, FACADE], except: &[OS, SIM] },
    // Loom must see every lock and every thread of the commit core.
    Rule { name: Name::Std("sync"), within: &[STORAGE], except: &[SYNC] },
    Rule { name: Name::Std("thread"), within: &[STORAGE], except: &[SYNC] },
    // Time is a parameter, so that tests can set it. A point is given as one.
    Rule { name: Name::Word("SystemTime"), within: &[STORAGE], except: &[CLOCK, POINT] },
    Rule { name: Name::Word("Instant"), within: &[STORAGE], except: &[CLOCK] },
    // Cryptography is functions over bytes.
    Rule { name: Name::Std("thread"), within: &[CRYPTO], except: &[] },
    Rule { name: Name::Std("net"), within: &[CRYPTO], except: &[] },
    Rule { name: Name::Std("time"), within: &[CRYPTO], except: &[] },
];

const CRYPTO: &str = "crates/codex-crypto/src/";
const STORAGE: &str = "crates/codex-storage/src/";
const BACKUP: &str = "crates/codex-backup/src/";
const FACADE: &str = "crates/codex/src/";
const OS: &str = "crates/codex-storage/src/vfs/os.rs";
/// The simulated disk fails with the error numbers of the system.
const SIM: &str = "crates/codex-storage/src/vfs/sim.rs";
const SYNC: &str = "crates/codex-storage/src/sync.rs";
const CLOCK: &str = "crates/codex-storage/src/clock.rs";
const POINT: &str = "crates/codex-storage/src/point.rs";

/// Files, locks, threads and the time are named only where the architecture has them.
pub(super) fn who_names_what(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, text) in tree.texts_of(".rs") {
        let tokens = lexer::tokens(text);
        let paths = lexer::paths(&tokens);
        for rule in RULES.iter().filter(|rule| rule.holds_for(path)) {
            let named = paths.iter().filter(|path| rule.name.is_in(&path.words));
            offences.extend(named.map(|named| {
                let what = format!("names {}, which only {} may", named.words.join("::"), rule.who());
                Offence::new(path, named.line, what)
            }));
        }
    }
    offences
}

/// No rule is about a folder or a file that has moved away, where it would hold nothing.
pub(super) fn rules_are_about_what_is_there(tree: &Tree) -> Vec<Offence> {
    let mut places: Vec<&str> =
        RULES.iter().flat_map(|rule| rule.within.iter().chain(rule.except)).copied().collect();
    places.sort_unstable();
    places.dedup();
    let missing = places.into_iter().filter(|place| !tree.has(place.trim_end_matches('/')));
    missing.map(|place| Offence::new(place, 1, "a rule is about it, and it is not there")).collect()
}

impl Rule {
    fn holds_for(&self, path: &str) -> bool {
        self.within.iter().any(|folder| path.starts_with(folder)) && !self.except.contains(&path)
    }

    fn who(&self) -> String {
        let elsewhere = || format!("code outside {}", self.within.join(", "));
        if self.except.is_empty() { elsewhere() } else { self.except.join(", ") }
    }
}

impl Name {
    fn is_in(self, words: &[&str]) -> bool {
        match (self, words) {
            (Self::Std(module), ["std" | "core" | "alloc", second, ..]) => *second == module,
            (Self::Std(_), _) => false,
            (Self::Crate(name), words) => words.first() == Some(&name),
            (Self::Word(word), words) => words.contains(&word),
        }
    }
}

/// Every lint that the code switches off says why.
pub(super) fn exceptions_give_a_reason(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, text) in tree.texts_of(".rs") {
        for attribute in attributes(&lexer::tokens(text)) {
            let called = |window: &[Token<'_>]| match window[0].kind {
                Kind::Word(word @ ("allow" | "expect")) if window[1].kind == Kind::Sign('(') => {
                    Some(word.to_owned())
                }
                _ => None,
            };
            let reason = |window: &[Token<'_>]| {
                window[0].kind == Kind::Word("reason") && window[1].kind == Kind::Sign('=')
            };
            if let Some(word) = attribute.windows(2).find_map(called)
                && !attribute.windows(2).any(reason)
            {
                offences.push(Offence::new(path, attribute[0].line, format!("{word} without a reason")));
            }
        }
    }
    offences
}

/// The contents of `#[…]` and `#![…]`.
fn attributes<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let after = match &tokens[index..] {
            [_, Token { kind: Kind::Sign('!'), .. }, after @ ..] | [_, after @ ..] => after,
            [] => &[],
        };
        let opens = after.first().is_some_and(|first| first.kind == Kind::Sign('['));
        if token.kind == Kind::Sign('#') && opens {
            found.push(&after[1..closing(after)]);
        }
    }
    found
}

/// The index of the bracket that closes the one which `tokens` begins with.
fn closing(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Sign('[') => depth += 1,
            Kind::Sign(']') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len()
}

/// No code that only promises to be written, that is left from a search for a fault, or a test that is not run.
pub(super) fn nothing_is_left_undone(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (path, text) in tree.texts_of(".rs") {
        let tokens = lexer::tokens(text);
        for window in tokens.windows(3) {
            if let [word, sign, bracket] = window
                && let (Kind::Word(word), line) = (word.kind, word.line)
                && sign.kind == Kind::Sign('!')
                && matches!(bracket.kind, Kind::Sign('(' | '[' | '{'))
                && ["todo", "unimplemented", "dbg"].contains(&word)
            {
                offences.push(Offence::new(path, line, format!("calls {word}!")));
            }
        }
        for attribute in attributes(&tokens) {
            if let Some(Token { kind: Kind::Word("ignore"), line }) = attribute.first() {
                offences.push(Offence::new(path, *line, "ignores a test"));
            }
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::super::listed;
    use super::*;

    fn offences_in(path: &str, text: &str) -> Vec<String> {
        listed(who_names_what, &Tree::from([(path, text)]))
    }

    #[test]
    fn files_are_named_by_the_os_module_only() {
        let code = "use std::{fs, io};\nfn f() { ::std::fs::read(p) }\n";
        let offences = offences_in("crates/codex-storage/src/log/writer.rs", code);
        assert_eq!(
            offences,
            [
                "crates/codex-storage/src/log/writer.rs:1: names std::fs, which only crates/codex-storage/src/vfs/os.rs may",
                "crates/codex-storage/src/log/writer.rs:2: names std::fs::read, which only crates/codex-storage/src/vfs/os.rs may",
            ]
        );
        for path in
            ["crates/codex-crypto/src/key.rs", "crates/codex-backup/src/copy.rs", "crates/codex/src/store.rs"]
        {
            assert_eq!(offences_in(path, code).len(), 2, "{path}");
        }
        for path in [OS, "crates/codex-storage/tests/vfs_os.rs", "crates/codex-cli/src/main.rs"] {
            assert_eq!(offences_in(path, code), [""; 0], "{path}");
        }
    }

    #[test]
    fn the_system_is_called_by_the_os_module_only() {
        assert_eq!(offences_in("crates/codex-storage/src/lock.rs", "use rustix::fs::flock;").len(), 1);
        assert_eq!(offences_in(OS, "use rustix::fs::flock;"), [""; 0]);
    }

    #[test]
    fn locks_and_threads_are_named_by_the_sync_module_only() {
        let code = "use std::sync::Mutex; use alloc::sync::Arc; fn f() { std::thread::sleep(t) }";
        assert_eq!(offences_in("crates/codex-storage/src/group.rs", code).len(), 3);
        assert_eq!(offences_in(SYNC, code), [""; 0]);
        assert_eq!(offences_in("crates/codex/src/store.rs", code), [""; 0]);
    }

    #[test]
    fn the_time_is_named_by_the_clock_module_only() {
        let code = "use std::time::{Duration, Instant};\nfn f() -> SystemTime { SystemTime::now() }";
        assert_eq!(offences_in("crates/codex-storage/src/pacing.rs", code).len(), 3);
        assert_eq!(offences_in(CLOCK, code), [""; 0]);
        assert_eq!(offences_in("crates/codex-storage/src/pacing.rs", "use std::time::Duration;"), [""; 0]);
    }

    #[test]
    fn cryptography_names_no_thread_network_or_time() {
        for code in ["use std::thread;", "use std::net::TcpStream;", "use std::time::Duration;"] {
            assert_eq!(offences_in("crates/codex-crypto/src/seal.rs", code).len(), 1, "{code}");
        }
    }

    #[test]
    fn a_rule_does_not_outlive_what_it_is_about() {
        let tree = Tree::from([(OS, ""), (SIM, ""), (SYNC, ""), ("crates/codex-crypto/src/lib.rs", "")]);
        let missing = [FACADE, BACKUP, CLOCK, POINT]
            .map(|place| format!("{place}:1: a rule is about it, and it is not there"));
        let mut offences = listed(rules_are_about_what_is_there, &tree);
        offences.sort();
        let mut expected = missing.to_vec();
        expected.sort();
        assert_eq!(offences, expected);
    }

    #[test]
    fn comments_and_strings_may_name_anything() {
        assert_eq!(
            offences_in("crates/codex/src/lib.rs", "//! use std::fs;\nconst A: &str = \"std::fs\";"),
            [""; 0]
        );
    }

    #[test]
    fn a_lint_is_switched_off_only_with_a_reason() {
        let code = "#![allow(missing_docs)]\n#[cfg_attr(loom, expect(dead_code))]\n#[expect(\n dead_code,\n reason = \"\")]";
        let offences = listed(exceptions_give_a_reason, &Tree::from([("a.rs", code)]));
        assert_eq!(offences, ["a.rs:1: allow without a reason", "a.rs:2: expect without a reason"]);
        let calls = Tree::from([("a.rs", "#[cfg(test)]\nfn f() { g().expect(\"h\") }")]);
        assert_eq!(listed(exceptions_give_a_reason, &calls), [""; 0]);
    }

    #[test]
    fn nothing_may_be_left_undone() {
        let code = "todo!()\nstd::unimplemented!()\ndbg!(a)\n#[ignore = \"slow\"]\nfn todo() { dbg != a }";
        let offences = listed(nothing_is_left_undone, &Tree::from([("a.rs", code)]));
        assert_eq!(
            offences,
            [
                "a.rs:1: calls todo!",
                "a.rs:2: calls unimplemented!",
                "a.rs:3: calls dbg!",
                "a.rs:4: ignores a test"
            ]
        );
    }
}
