//! `codex interactive` with a script on standard input.

mod common;

use std::io::Write as _;
use std::process::{Output, Stdio};

use common::{DATA, DATA_RECORDS, Scratch, stderr, stdout};

/// Gives a script to the shell.
fn script(scratch: &Scratch, options: &str, script: &str) -> Output {
    let mut command = scratch.codex();
    command.args(["--file", "a.db", "--quiet", "interactive"]).args(options.split_whitespace());
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = piped.spawn().expect("the shell starts");
    // Few bytes fit into a pipe that nobody reads any more: then the write may fail, and what the shell says counts.
    let _ = shell.stdin.take().expect("its input is piped").write_all(script.as_bytes());
    shell.wait_with_output().expect("the shell ends")
}

/// The same; it does all of it, and this is what it prints.
fn ok(scratch: &Scratch, options: &str, lines: &str) -> String {
    let output = script(scratch, options, lines);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""), "{lines}\n{}", stdout(&output));
    stdout(&output)
}

#[test]
fn a_script_prints_what_the_same_commands_print_outside() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db --mode ledger -q set user:1 \"Ada\"");
    scratch.ok("--file a.db set n [1.10,1e400]");
    scratch.ok("--file a.db delete n");
    for verb in [
        "get user:1",
        "get user:1 --at 1",
        "has user:1",
        "keys",
        "keys -0",
        "scan --reverse",
        "scan --glob *:[0-9]",
        "count --prefix user:",
        "ttl user:1",
        "history n",
        "log",
        "diff 1 2",
        "verify",
        "head",
        "stats",
        "prove 1",
        "export",
        "backups",
    ] {
        for line in [verb.to_owned(), format!("{verb} --json")] {
            if line != "keys -0 --json" {
                assert_eq!(ok(&scratch, "", &line), scratch.ok(&format!("--file a.db {line}")), "{line}");
            }
        }
    }
}

#[test]
fn values_and_keys_of_a_script_are_kept_as_they_were_written() {
    let scratch = Scratch::new();
    let lines = concat!(
        "# what follows is a comment: set {\n",
        "\n",
        "set a {\"name\": \"Ada  Lovelace\",\n",
        "\n",
        "       \"n\": [9007199254740993, 1.10, 1e400]}\n",
        "set \"b b\" \"x\\ty  z\"\r\n",
        "set c '{\"a\": 1}'\n",
        "set \\\n",
        "  --raw d \"two words\"\n",
        "set --raw e 'one\n",
        "\n",
        "two'\n",
        "set {user}:1 -1e-5\n",
        "set $'caf\\xe9' \"\\ud800\"\n",
        "set f true --ttl '1h 30m'",
    );
    assert_eq!(ok(&scratch, "", lines), "");
    let expected = concat!(
        "{\"key\":\"a\",\"value\":{\"name\":\"Ada  Lovelace\",\"n\":[9007199254740993,1.10,1e400]}}\n",
        "{\"key\":\"b b\",\"value\":\"x\\ty  z\"}\n",
        "{\"key\":\"c\",\"value\":{\"a\":1}}\n",
        "{\"key_base64\":\"Y2Fm6Q==\",\"value\":\"\\ud800\"}\n",
        "{\"key\":\"d\",\"codec\":\"raw\",\"value_base64\":\"dHdvIHdvcmRz\"}\n",
        "{\"key\":\"e\",\"codec\":\"raw\",\"value_base64\":\"b25lCgp0d28=\"}\n",
    );
    let exported = scratch.ok("--file a.db export");
    assert!(exported.starts_with(expected), "{exported}");
    assert!(exported.ends_with("{\"key\":\"{user}:1\",\"value\":-1e-5}\n"), "{exported}");
    assert!(exported.contains("{\"key\":\"f\",\"value\":true,\"expires_unix_ms\":"), "{exported}");
}

#[test]
fn a_line_is_of_any_length() {
    let scratch = Scratch::new();
    let long = "x ".repeat(8 << 20);
    let many = "1,\n".repeat(200_000);
    ok(&scratch, "", &format!("set long \"{long}\"\nset many [{many}0]\n"));
    assert_eq!(scratch.ok("--file a.db get long").len(), long.len() + 3);
    assert_eq!(scratch.ok("--file a.db get many").matches(',').count(), 200_000);
}

#[test]
fn a_script_stops_at_its_first_error_and_names_its_line() {
    let scratch = Scratch::new();
    let lines = "set a 1\nset b [1,\n2,\noops]\nset c 3\n";
    let output = script(&scratch, "", lines);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("codex: line 2: the value is not JSON: "), "{}", stderr(&output));
    assert_eq!(scratch.ok("--file a.db keys"), "a\n");

    // The code is that of the error, and the place is in the JSON.
    let output = script(&scratch, "--json", "has nobody\ndelete nobody\n\nget nobody\ncount\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "{\"has\":false}\n{\"deleted\":0,\"sequence\":1}\n");
    let said: serde_json::Value = serde_json::from_str(&stderr(&output)).expect("errors are JSON, too");
    assert_eq!((&said["error"]["kind"], &said["error"]["line"]), (&"NotFound".into(), &4.into()));

    for (lines, code, said) in [
        ("get \"open\n", 2, "line 1: a quote is not closed on its line"),
        ("count\nset k {\"a\":\n1\n", 2, "line 2: the command does not end"),
        ("count\nbegin\nset x 1\n", 2, "line 2: there is no commit for this begin"),
        ("gett a\n", 2, "line 1: there is no such command"),
        (".mod json\n", 2, "line 1: there is no such command"),
        (".mode xml\n", 2, "line 1: the command is not used rightly"),
        ("keys --file b.db\n", 2, "line 1: there is an option that this command does not know"),
        ("commit\n", 2, "line 1: there is nothing to end"),
    ] {
        let output = script(&scratch, "", lines);
        assert_eq!(output.status.code(), Some(code), "{lines}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{lines}: {}", stderr(&output));
    }
    assert_eq!(scratch.ok("--file a.db keys"), "a\n");
}

#[test]
fn with_keep_going_every_error_is_told_and_the_first_one_is_the_exit_code() {
    let scratch = Scratch::new();
    let output = script(&scratch, "--keep-going", "set a 1\nget b\nset c oops\nset d 4\nbegin\nset e 5");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    for said in
        ["line 2: there is no such key", "line 3: the value is not JSON", "line 5: there is no commit"]
    {
        assert!(stderr(&output).contains(said), "{said}: {}", stderr(&output));
    }
    assert_eq!(scratch.ok("--file a.db keys"), "a\nd\n");
}

#[test]
fn what_is_between_begin_and_commit_is_one_commit_or_none() {
    let scratch = Scratch::new();
    let lines =
        "set old 0\nbegin\nclear --yes\nset a 1\nset b 2\ndelete a\ncount\ncommit\nscan\n.quit\nset late 1";
    assert_eq!(ok(&scratch, "", lines), "1\n4 operations in commit 2\nb\t2\n");
    assert_eq!(ok(&scratch, "", "begin\nset c 3\nrollback\nkeys"), "b\n");
    for verb in ["begin", "batch ops", "import ops"] {
        let output = script(&scratch, "", &format!("begin\nset c 3\n{verb}\ncommit"));
        assert_eq!(output.status.code(), Some(2), "{verb}: {}", stderr(&output));
        assert!(stderr(&output).contains("line 3: "), "{verb}: {}", stderr(&output));
    }
    assert_eq!(scratch.ok("--file a.db scan"), "b\t2\n");
}

#[test]
fn the_database_stays_shut_to_others_for_the_session_and_is_free_behind_it() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set k 1");
    let session = |options: &str, verb: &str| {
        let shell = format!(
            "{{ echo count; while [ ! -e done ]; do sleep 0.01; done; }} | $CODEX --file a.db interactive {options} >out &
             while [ ! -s out ]; do sleep 0.01; done
             $CODEX --file a.db {verb} 2>&1; code=$?; touch done; wait; rm -f done out; exit $code"
        );
        scratch.sh(&shell).status.code()
    };
    assert_eq!(session("", "get k"), Some(7));
    assert_eq!(session("--read-only", "get k"), Some(0));
    assert_eq!(session("--read-only", "set k 2"), Some(7));
    scratch.ok("--file a.db set k 2");
    let output = script(&scratch, "--read-only", "get k\nset k 3");
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(3), "2\n"), "{}", stderr(&output));
    assert_eq!(
        script(&scratch, "--read-only --file b.db", "count").status.code(),
        Some(1),
        "nothing is made"
    );
}

#[test]
fn verbs_for_outside_and_standard_input_are_refused() {
    let scratch = Scratch::new();
    for line in [
        "restore a b",
        "repair a b",
        "keygen",
        "key list",
        "tour",
        "doctor",
        "bench",
        "completions bash",
        "man",
        "interactive",
        "tour-writer",
        "set k -",
        "batch",
        "import -",
        "check-proof -",
    ] {
        let output = script(&scratch, "", line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stderr(&output));
        assert!(stderr(&output).starts_with("codex: line 1: "), "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains("hint: "), "{line}: {}", stderr(&output));
    }
    assert_eq!(std::fs::read_dir(scratch.folder()).expect("it is there").count(), 2, "a.db and its lock");
}

#[test]
fn modes_change_how_results_look_and_nothing_else() {
    let scratch = Scratch::new();
    let lines = "set a [1,2]\nset longer \"x\"\nset \"日 本\" 3\n.mode table\nscan\nscan --prefix none\ncount\nget a --json\ncount\n\
                 .mode json\ncount\nget longer\n.mode line\nscan --limit 1\n";
    let expected = concat!(
        "key     value\n",
        "------  -----\n",
        "a       [1,2]\n",
        "longer  \"x\"\n",
        "日 本   3\n",
        "3\n",
        "{\"key\":\"a\",\"value\":[1,2]}\n",
        "3\n",
        "{\"count\":3}\n",
        "{\"key\":\"longer\",\"value\":\"x\"}\n",
        "a\t[1,2]\n",
    );
    assert_eq!(ok(&scratch, "", lines), expected);
}

#[test]
fn help_lists_what_there_is_and_how_it_is_used() {
    let scratch = Scratch::new();
    let help = ok(&scratch, "", ".help");
    for line in ["  set          Store a value", "  .mode MODE", "  begin "] {
        assert!(help.lines().any(|shown| shown.starts_with(line)), "{line}: {help}");
    }
    for outside in ["restore", "keygen", "tour"] {
        assert!(!help.contains(outside), "{outside}: {help}");
    }
    for ask in [".help set", "set --help"] {
        let help = ok(&scratch, "", ask);
        assert!(
            help.contains("Usage: set [OPTIONS] <KEY> <VALUE>") && help.contains("--ttl"),
            "{ask}: {help}"
        );
    }
}

#[test]
fn the_timer_speaks_beside_the_results() {
    let scratch = Scratch::new();
    let output =
        scratch.sh("printf '.timer on\\ncount\\n.timer off\\ncount\\n' | $CODEX --file a.db interactive");
    assert_eq!(stdout(&output), "0\n0\n");
    assert_eq!(stderr(&output).matches("codex: took ").count(), 2, "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_ends_the_session_quietly_and_leaves_a_sound_database() {
    let scratch = Scratch::new();
    scratch.ok(&format!("--file a.db -q import {DATA}"));
    let script = "{ echo scan; echo set late 1; } | { $CODEX --file a.db interactive --keep-going; echo $? >code; } | head -n 1";
    let output = scratch.sh(script);
    assert_eq!((stdout(&output).lines().count(), &*stderr(&output)), (1, ""));
    assert_eq!(scratch.read("code"), b"141\n");
    assert_eq!(scratch.ok("--file a.db count"), format!("{DATA_RECORDS}\n"));
}

#[test]
fn compact_reclaims_what_was_replaced() {
    let scratch = Scratch::new();
    ok(&scratch, "", &format!("set a \"{}\"\nset a 1\n", "x".repeat(5_000_000)));
    let before = std::fs::metadata(scratch.path("a.db")).expect("it is there").len();
    let said = ok(&scratch, "", "compact --json");
    let after = std::fs::metadata(scratch.path("a.db")).expect("it is there").len();
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(after < before / 2, "{before} bytes, then {after}");
    assert!(said["file_bytes"].as_u64() < said["file_bytes_before"].as_u64(), "{said}");
    assert_eq!(scratch.ok("--file a.db get a"), "1\n");
    scratch.ok("--file l.db --mode ledger -q set a 1");
    let (code, said) = scratch.fails("--file l.db compact");
    assert_eq!(code, 2, "{said}");
}
