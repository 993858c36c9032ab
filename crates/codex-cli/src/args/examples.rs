//! An example or two of each command, for its help and its manual page. Tests read every line as the command does.

use clap::Command;

/// The definition with its examples.
pub(super) fn added_to(mut definition: Command) -> Command {
    for (path, examples) in EXAMPLES {
        let lines: Vec<_> = examples.iter().map(|example| format!("  {example}")).collect();
        let text = format!("Examples:\n{}", lines.join("\n"));
        let names: Vec<_> = path.split(' ').collect();
        definition = at(definition, &names, |command| command.after_help(text));
    }
    definition
}

/// Changes the command that these names lead to.
fn at(definition: Command, names: &[&str], change: impl FnOnce(Command) -> Command) -> Command {
    match names {
        [] => change(definition),
        [name, deeper @ ..] => {
            // `mut_subcommand` takes one that is not there for a new one.
            assert!(definition.find_subcommand(name).is_some(), "an example of {name}, which is no command");
            let change: Box<dyn FnOnce(Command) -> Command> = Box::new(change);
            definition.mut_subcommand(*name, |command| at(command, deeper, change))
        }
    }
}

/// By command.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "set",
        &[
            "codex --file app.db set user:1 '{\"name\":\"Ada\"}'",
            "codex --file app.db set session '\"Ada\"' --ttl 1h",
        ],
    ),
    ("get", &["codex --file app.db get user:1", "codex --file app.db get --raw logo > logo.png"]),
    (
        "delete",
        &[
            "codex --file app.db delete user:1 user:2",
            "codex --file app.db delete --prefix session: --dry-run",
        ],
    ),
    ("has", &["codex --file app.db has user:1"]),
    ("ttl", &["codex --file app.db ttl session"]),
    ("keys", &["codex --file app.db keys --prefix user:", "codex --file app.db keys --glob 'user:*:name'"]),
    ("scan", &["codex --file app.db scan --from user: --limit 10", "codex --file app.db --json scan"]),
    ("count", &["codex --file app.db count --prefix user:"]),
    ("clear", &["codex --file app.db clear --yes"]),
    ("batch", &["codex --file app.db batch operations.jsonl"]),
    (
        "import",
        &[
            "codex --file app.db import all.jsonl",
            "codex --file app.db import people.csv --format csv --key-column id --infer",
            "codex --file app.db import --from codexdb-go old.db --dry-run",
        ],
    ),
    ("export", &["codex --file app.db export all.jsonl", "codex --file app.db export > all.jsonl"]),
    ("history", &["codex --file app.db history user:1 --limit 5"]),
    ("log", &["codex --file app.db log --since 2026-01-31T12:00:00Z --key 'user:*'"]),
    ("diff", &["codex --file app.db diff 100 200", "codex --file app.db diff 2026-01-31T12:00:00Z"]),
    (
        "verify",
        &["codex --file app.db --key-file app.key verify", "codex --file app.db verify --head app.head"],
    ),
    ("head", &["codex --file app.db head > app.head", "codex --file app.db head --sign codex.signing-key"]),
    ("prove", &["codex --file app.db prove 7 > commit.proof", "codex --file app.db prove --since app.head"]),
    ("check-proof", &["codex check-proof commit.proof --head app.head --public-key codex.signing-key.pub"]),
    ("bench", &["codex bench", "codex bench --dir /mnt/data --seconds 30"]),
    ("doctor", &["codex --file app.db --key-file app.key doctor"]),
    ("stats", &["codex --file app.db --key-file app.key stats", "codex --file app.db stats --watch=2"]),
    (
        "backup",
        &[
            "codex --file app.db --key-file app.key backup app.copy",
            "codex --file app.db --key-file app.key backup --to backups",
        ],
    ),
    ("backup list", &["codex backup list backups"]),
    ("backup verify", &["codex backup verify backups"]),
    ("backup prune", &["codex backup prune backups --keep-daily 7 --keep-weekly 4"]),
    ("backups", &["codex --file app.db --key-file app.key backups"]),
    (
        "restore",
        &[
            "codex --key-file app.key restore app.copy app.db",
            "codex --key-file app.key restore backups app.db --at 2026-01-31T12:00:00Z",
        ],
    ),
    ("repair", &["codex --key-file app.key repair broken.db salvaged.db --dry-run"]),
    ("keygen", &["codex keygen app.key", "codex keygen --signing --name example.com/audit"]),
    ("key list", &["codex --file app.db key list"]),
    ("key add", &["codex --file app.db --key-file app.key key add --new-passphrase --label 'for Ada'"]),
    ("key remove", &["codex --file app.db --key-file app.key key remove 2 --yes"]),
    ("key change", &["codex --file app.db --key-file app.key key change --new-key-file new.key"]),
    ("key calibrate", &["codex key calibrate --target 1000"]),
    (
        "key",
        &[
            "codex --file app.db key list",
            "codex --file app.db --key-file app.key key add --new-key-file backup.key",
        ],
    ),
    ("compact", &["codex --file app.db --key-file app.key compact"]),
    (
        "interactive",
        &[
            "codex --file app.db --key-file app.key interactive",
            "codex --file app.db interactive --keep-going < script",
        ],
    ),
    ("tour", &["codex tour", "codex tour --keep"]),
    ("completions", &["codex completions bash > ~/.local/share/bash-completion/completions/codex"]),
    ("man", &["codex man ~/.local/share/man/man1"]),
];

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    /// The words of an example, as a shell has them, up to a redirection.
    fn words(line: &str) -> Vec<OsString> {
        let mut words = Vec::new();
        let (mut word, mut quoted) = (String::new(), false);
        for character in line.chars() {
            match character {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(std::mem::take(&mut word)),
                _ => word.push(character),
            }
        }
        assert!(!quoted, "{line}: a quote is open");
        words.push(word);
        words.into_iter().take_while(|word| word != ">" && word != "<").map(OsString::from).collect()
    }

    #[test]
    fn every_command_that_is_shown_says_what_it_does_and_gives_an_example_that_is_understood() {
        fn look(path: &str, command: &Command, seen: &mut usize) {
            for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
                let path = format!("{path} {}", command.get_name());
                assert!(
                    command.get_about().is_some_and(|about| !about.to_string().is_empty()),
                    "{path}: no about"
                );
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                let examples: Vec<_> = help.lines().filter_map(|line| line.strip_prefix("  ")).collect();
                assert!(!examples.is_empty(), "{path}: no example");
                for example in examples {
                    let words = words(example);
                    let names = words.iter().any(|word| word == command.get_name());
                    assert!(names, "{path}: an example of something else: {example}");
                    let read = super::super::parse(words);
                    assert!(matches!(read, Ok(Ok(_))), "{path}: {example}: {read:?}");
                }
                *seen += 1;
                look(&path, command, seen);
            }
        }
        let mut seen = 0;
        look("codex", &super::super::definition(), &mut seen);
        assert_eq!(seen, EXAMPLES.len(), "an example stands twice");
    }
}
