//! How the command line is read, and what is said of one that is wrong.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind as ClapKind};
use clap::{CommandFactory, FromArgMatches};

use super::{Cli, Command, definition};
use crate::exit::Failure;
use crate::secret::Sources;

/// Reads the command line, or says what is wrong with it. `--help` and `--version` are an `Ok(Err(_))`:
/// text for standard output.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Result<Cli, clap::Error>, Failure> {
    let escaped = words.iter().any(|word| word == "--");
    let read = definition().try_get_matches_from(name_of_home(words));
    match read.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => {
            check(&cli)?;
            if let (Command::Set(set), false) = (&cli.command, escaped) {
                refuse_option(&set.value)?;
            }
            Ok(Ok(cli))
        }
        Err(error) if !error.use_stderr() => Ok(Err(error)),
        Err(error) => Err(usage(&error, &LISTS)),
    }
}

/// Who lists what can be given, as a usage error says it.
pub(super) struct Lists {
    /// Of all commands.
    pub(super) commands: &'static str,
    /// What to do where there is no such command.
    pub(super) unknown: &'static str,
    /// How one is used.
    pub(super) usage: &'static str,
}

const LISTS: Lists = Lists {
    commands: "`codex --help` lists all commands and options",
    unknown: "`codex --help` lists all commands; a database in the home folder is named --home=NAME",
    usage: "`codex --help` lists all commands, `codex COMMAND --help` shows how one is used; \
            a key or value that begins with `-` goes behind `--`",
};

/// `--home NAME` before the command becomes `--home=NAME`. A command's name or an option behind `--home`
/// is no NAME; a database that is named like a command is written `--home=NAME`.
fn name_of_home(words: Vec<OsString>) -> Vec<OsString> {
    const WITH_VALUE: [&str; 9] = [
        "--file",
        "--mode",
        "--key-file",
        "--passphrase-file",
        "--passphrase-command",
        "--color",
        "--log",
        "--log-file",
        "--log-level",
    ];
    let definition = Cli::command();
    let is_command = |word: &OsStr| definition.get_subcommands().any(|command| word == command.get_name());

    let mut joined = Vec::with_capacity(words.len());
    let mut words = words.into_iter().peekable();
    joined.extend(words.next());
    while let Some(word) = words.next() {
        let is_option = word.as_encoded_bytes().starts_with(b"-");
        if !is_option || word == "--" {
            joined.push(word);
            break;
        }
        let takes_value = WITH_VALUE.iter().any(|option| word == *option);
        let names_home = word == "--home"
            && words
                .peek()
                .is_some_and(|next| !next.as_encoded_bytes().starts_with(b"-") && !is_command(next));
        joined.push(word);
        if let (true, Some(next)) = (names_home || takes_value, words.peek().cloned()) {
            words.next();
            if let (true, Some(home)) = (names_home, joined.last_mut()) {
                home.push("=");
                home.push(next);
            } else {
                joined.push(next);
            }
        }
    }
    joined.extend(words);
    joined
}

/// What the definition above cannot say of options that stand before or behind the command.
fn check(cli: &Cli) -> Result<(), Failure> {
    let global = &cli.global;
    if global.file.is_some() && global.home.is_some() {
        return Err(Failure::validation("--file and --home name two databases").hint("give one of them"));
    }
    if Sources::of(global).count() > 1 {
        return Err(Failure::validation(
            "--key-file, --passphrase, --passphrase-file and --passphrase-command exclude each other",
        )
        .hint("give the one that unlocks this database"));
    }
    check_output(&cli.command, global.json)
}

/// JSON, and bytes as they are, exclude each other.
pub(super) fn check_output(command: &Command, json: bool) -> Result<(), Failure> {
    let bytes_as_they_are = match command {
        Command::Get(get) => get.raw,
        Command::Keys(keys) => keys.null,
        Command::Scan(scan) => scan.null,
        _ => false,
    };
    if bytes_as_they_are && json {
        return Err(Failure::validation("--json cannot be used where bytes are written as they are")
            .hint("leave out --json, or --raw and -0"));
    }
    Ok(())
}

/// A value that begins with `-` is a number, or it is `-` itself; else it is an option that does not exist.
pub(super) fn refuse_option(value: &OsStr) -> Result<(), Failure> {
    match value.as_encoded_bytes() {
        [b'-', next, ..] if !next.is_ascii_digit() => {
            Err(Failure::validation("there is an option that this command does not know")
                .hint("a value that begins with `-` goes behind `--`: codex set --raw name -- -v"))
        }
        _ => Ok(()),
    }
}

/// A usage error in the command's own words: clap's would quote the argument.
pub(super) fn usage(error: &clap::Error, lists: &Lists) -> Failure {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    // What a wrong word may be is decided here: an option's name, and nothing that was given to it.
    let argument = text(ContextKind::InvalidArg).map_or_else(String::new, |argument| {
        let name = argument.split(['=', ' ']).next().unwrap_or_default();
        if name.starts_with('-') { name.to_owned() } else { String::new() }
    });
    let message = match error.kind() {
        ClapKind::UnknownArgument if argument.is_empty() => "there is an argument too many".to_owned(),
        ClapKind::UnknownArgument => "there is an option that this command does not know".to_owned(),
        ClapKind::InvalidSubcommand => "there is no such command".to_owned(),
        ClapKind::MissingSubcommand | ClapKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "no command is given".to_owned()
        }
        ClapKind::MissingRequiredArgument => {
            let missing = text(ContextKind::InvalidArg).unwrap_or_default();
            format!("missing: {missing}")
        }
        ClapKind::InvalidValue if !argument.is_empty() => match text(ContextKind::ValidValue) {
            Some(valid) if !valid.is_empty() => format!("{argument} takes one of: {valid}"),
            _ => format!("{argument} needs a value"),
        },
        ClapKind::NoEquals => format!("{argument} takes its value behind an equals sign"),
        ClapKind::ValueValidation if argument == "--limit" => "--limit takes a count".to_owned(),
        ClapKind::ValueValidation if argument == "--watch" => {
            "--watch takes a number of seconds, from 0.01 to 86400, behind an equals sign".to_owned()
        }
        ClapKind::ArgumentConflict => {
            let other = text(ContextKind::PriorArg).unwrap_or_default();
            format!("{argument} cannot be used with {other}")
        }
        ClapKind::InvalidUtf8 => "an option's value is not UTF-8".to_owned(),
        _ if argument.is_empty() => "the arguments are not understood".to_owned(),
        _ => format!("{argument} is not used rightly"),
    };
    let hint = match (text(ContextKind::SuggestedSubcommand), text(ContextKind::SuggestedArg)) {
        (Some(suggested), _) | (None, Some(suggested)) => {
            format!("perhaps {suggested} is meant; {}", lists.commands)
        }
        _ if error.kind() == ClapKind::InvalidSubcommand => lists.unknown.to_owned(),
        _ => lists.usage.to_owned(),
    };
    Failure::validation(message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::kind_of;
    use codex::ErrorKind;

    fn words(line: &str) -> Vec<OsString> {
        std::iter::once("codex").chain(line.split(' ')).map(OsString::from).collect()
    }

    fn home(line: &str) -> Option<String> {
        parse(words(line)).expect("the line is right").expect("the line is a command").global.home
    }

    fn refusal(line: &str) -> String {
        let failure = parse(words(line)).expect_err("the line is wrong");
        assert_eq!(kind_of(&failure), Some(ErrorKind::Validation));
        failure.to_string()
    }

    #[test]
    fn home_takes_a_name_with_equals_sign_or_before_the_command() {
        assert_eq!(home("--home=notes keys").as_deref(), Some("notes"));
        assert_eq!(home("--home notes keys").as_deref(), Some("notes"));
        assert_eq!(home("--json --home notes keys").as_deref(), Some("notes"));
        assert_eq!(home("keys --home=notes").as_deref(), Some("notes"));
        assert_eq!(home("--home=keys keys").as_deref(), Some("keys"));
    }

    #[test]
    fn home_without_a_name_is_default_and_eats_no_command() {
        assert_eq!(home("--home keys").as_deref(), Some("default"));
        assert_eq!(home("--home --json keys").as_deref(), Some("default"));
        assert_eq!(home("--mode ledger --home get keys").as_deref(), Some("default"));
        assert_eq!(home("get --home keys").as_deref(), Some("default"));
    }

    #[test]
    fn negative_numbers_are_values() {
        for value in ["-5", "-1.50", "-1e400", "-1e-5", "-"] {
            let cli = parse(words(&format!("set key {value}"))).expect("right").expect("a command");
            let Command::Set(set) = cli.command else { panic!("a set") };
            assert_eq!(set.value, value);
        }
    }

    #[test]
    fn flags_are_flags_on_both_sides_of_a_value() {
        for line in ["set --raw key v", "set key --raw v", "set key v --raw", "set --raw key -- --json"] {
            let cli = parse(words(line)).expect("right").expect("a command");
            let Command::Set(set) = cli.command else { panic!("a set") };
            assert!(set.raw && (set.value == "v" || set.value == "--json"), "{line}");
            assert!(!cli.global.json);
        }
    }

    #[test]
    fn usage_errors_do_not_quote_what_was_given() {
        for line in [
            "set name s3cret s3cret",
            "s3cret",
            "set --s3cret=s3cret name 1",
            "set name 1 --s3cret",
            "set name -s3cret",
            "set --raw name --s3cret",
            "--mode s3cret keys",
            "--limit=s3cret keys",
            "keys --limit s3cret",
            "get",
            "get name --json=s3cret",
            "key s3cret",
            "key remove s3cret",
            "key add --memory s3cret",
            "key change --s3cret",
            "stats --watch=s3cret",
            "bench --seconds s3cret",
        ] {
            assert!(!refusal(line).contains("s3cret"), "{line}: {}", refusal(line));
        }
    }

    #[test]
    fn options_that_exclude_each_other_are_refused_on_both_sides_of_the_command() {
        refusal("--file a keys --home");
        refusal("--key-file a keys --passphrase");
        refusal("--passphrase-command a keys --passphrase-file b");
        refusal("keys -0 --json");
        refusal("--json keys -0");
        refusal("--json get name --raw");
    }
}
