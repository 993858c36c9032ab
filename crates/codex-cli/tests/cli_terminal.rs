//! Passphrases from a terminal, which `script` (util-linux) plays.
#![cfg(target_os = "linux")]

mod common;

use std::process::Output;

use common::{Scratch, skipped, stderr, stdout};

/// Types lines on a terminal, each at its prompt, and returns what was seen there.
fn type_at(scratch: &Scratch, lines: &[&str], verb: &str) -> Output {
    // A line is typed when its prompt is there and the terminal no longer shows what is typed: before, it may be thrown
    // away or be seen. The terminal is held open until the command has ended.
    let wait =
        "tries=0; until ready; do tries=$((tries + 1)); [ $tries -lt 3000 ] || exit 1; sleep 0.01; done";
    let typed: Vec<_> = (1..)
        .zip(lines)
        .map(|(number, line)| {
            format!(
                "ready() {{ [ \"$(grep -ao assphrase seen | wc -l)\" -eq {number} ] &&
                     stty -a -F \"$(cat tty)\" | grep -q -e ' -echo '; }}
                 {wait}; echo '{line}'\n"
            )
        })
        .collect();
    let command =
        format!("tty >tty; \"$CODEX\" --file a.db --passphrase {verb}; code=$?; touch ended; exit $code");
    scratch.sh(&format!(
        "rm -f ended; : >seen; {{ {} ready() {{ [ -e ended ]; }}; {wait}; }} |
         script -qefc '{command}' /dev/null >seen; code=$?; cat seen; exit $code",
        typed.concat()
    ))
}

/// What the command says on a terminal, with these settings of variables and these words.
fn on_a_terminal(scratch: &Scratch, variables: &str, words: &str) -> String {
    let command = format!("env TERM=xterm {variables} \"$CODEX\" {words}");
    stdout(&scratch.sh(&format!("script -qec '{command}' /dev/null </dev/null")))
}

#[test]
fn errors_and_help_have_colour_on_a_terminal_only_and_no_color_and_the_option_decide() {
    let scratch = Scratch::new();
    if !scratch.sh("command -v script").status.success() {
        skipped("nothing was printed on a terminal, since there is no `script` to play one");
        return;
    }
    let coloured = "\u{1b}[";
    for words in ["--file none get k", "--help", "get --help", "--limit"] {
        for (variables, option, wanted) in [
            ("", "", true),
            ("NO_COLOR=1", "", false),
            ("NO_COLOR=", "", true),
            ("", "--color never", false),
            ("NO_COLOR=1", "--color=always", true),
        ] {
            let said = on_a_terminal(&scratch, variables, &format!("{option} {words}"));
            assert_eq!(said.contains(coloured), wanted, "{variables} {option} {words}: {said:?}");
        }
        for (option, wanted) in [("", false), ("--color auto", false), ("--color always", true)] {
            let output = scratch.run(format!("{option} {words}").split_whitespace());
            let said = stdout(&output) + &stderr(&output);
            assert_eq!(said.contains(coloured), wanted, "piped, {option} {words}: {said:?}");
        }
    }
    for words in ["--json --color always --file none get k", "--file none get k -- --color always"] {
        assert!(!on_a_terminal(&scratch, "NO_COLOR=1", words).contains(coloured), "{words}");
    }
}

#[test]
fn a_passphrase_is_typed_unseen_and_twice_for_a_new_database() {
    let scratch = Scratch::new();
    if !scratch.sh("command -v script").status.success() {
        skipped("nothing was typed, since there is no `script` to play a terminal");
        return;
    }
    let output = type_at(&scratch, &["s3cret", "s3crets"], "set k 1");
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stdout(&output).contains("the two passphrases differ"), "{}", stdout(&output));
    assert!(!scratch.path("a.db").exists(), "two passphrases made a database");

    let output = type_at(&scratch, &["s3cret", "s3cret"], "set k 1");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(!stdout(&output).contains("s3cret"), "{}", stdout(&output));

    let output = type_at(&scratch, &["s3cret"], "get k");
    assert!(stdout(&output).lines().any(|line| line.trim_end() == "1"), "{}", stdout(&output));
    let before = scratch.read("a.db");
    let output = type_at(&scratch, &["s3cre"], "set k 2");
    assert_eq!(output.status.code(), Some(5), "{} {}", stdout(&output), stderr(&output));
    assert!(scratch.read("a.db") == before);
}

#[test]
fn work_of_more_than_a_second_has_a_bar_on_a_terminal_that_is_gone_behind_it() {
    let scratch = Scratch::new();
    if !scratch.sh("command -v script").status.success() {
        skipped("no bar was looked for, since there is no `script` to play a terminal");
        return;
    }
    let batch = (0..1000).map(|number| format!("{{\"key\":\"{number}\",\"value\":1}}\n"));
    scratch.write("batch", batch.collect::<Vec<_>>().concat());
    // Three imports begin, and go on until the one has shown its bar: by then the others would have shown theirs.
    let output = scratch.sh(
        "export TERM=xterm
         mkfifo bar quiet json
         start() { script -qefc \"\\\"\\$CODEX\\\" --file $1.db $2 import $1\" /dev/null >seen.$1 </dev/null & }
         start quiet --quiet; start json --json; start bar
         exec 3>quiet 4>json 5>bar
         tries=0
         until grep -q importing seen.bar; do
             cat batch >&3; cat batch >&4; cat batch >&5
             tries=$((tries + 1)); [ $tries -lt 3000 ] || exit 1
             sleep 0.01
         done
         exec 3>&- 4>&- 5>&-
         wait",
    );
    assert!(output.status.success(), "no bar was shown: {}", stderr(&output));
    let seen = |name: &str| String::from_utf8_lossy(&scratch.read(&format!("seen.{name}"))).into_owned();
    let bar = seen("bar");
    assert!(bar.contains("importing") && bar.contains("iB/s"), "{bar}");
    let behind = bar.rsplit("\x1b[2K").next().expect("it was cleared");
    assert!(behind.contains("records imported") && !behind.contains("importing"), "{bar}");
    for name in ["quiet", "json"] {
        assert!(!seen(name).contains("importing"), "{name}: {}", seen(name));
        assert!(seen(name).contains("imported"), "{name}: {}", seen(name));
    }
}

#[test]
fn what_prints_for_more_than_a_second_has_a_bar_where_its_rows_go_elsewhere() {
    let scratch = Scratch::in_memory();
    if !scratch.sh("command -v script").status.success() {
        skipped("no bar was looked for, since there is no `script` to play a terminal");
        return;
    }
    let value = "7".repeat(500);
    let sets = (0..2000).map(|number| format!("begin\nset k {value}\nset k{number} {value}\ncommit\n"));
    scratch.write("sets", sets.collect::<Vec<_>>().concat());
    let filled = scratch.sh("$CODEX --file a.db -q --mode ledger --json interactive <sets >acknowledged");
    assert!(filled.status.success(), "{}", stderr(&filled));
    // The rows are taken slowly until the bar is seen, and then all that are left.
    let run = |verb: &str| {
        let output = scratch.sh(&format!(
            "export TERM=xterm
             rm -f rows; mkfifo rows; : >seen
             script -qefc '\"$CODEX\" --file a.db {verb} >rows' /dev/null >seen </dev/null &
             exec 3<rows
             tries=0
             until grep -q 'iB\\|/s' seen; do
                 dd bs=1000 count=1 <&3 >>taken 2>/dev/null
                 tries=$((tries + 1)); [ $tries -lt 3000 ] || exit 1
                 sleep 0.01
             done
             cat <&3 >>taken
             wait"
        ));
        let seen = String::from_utf8_lossy(&scratch.read("seen")).into_owned();
        assert!(output.status.success(), "{verb}: no bar was shown: {seen:?} {}", stderr(&output));
        seen
    };
    for (verb, parts) in [
        ("log", &["reading", " of 2,000 commits, "][..]),
        ("history k", &["reading", " versions, "]),
        ("export", &["exporting", " of 2,001 records, "]),
    ] {
        let seen = run(verb);
        assert!(parts.iter().all(|part| seen.contains(part)), "{verb}: {seen:?}");
        let behind = seen.rsplit("\x1b[2K").next().expect("it was cleared");
        assert!(!behind.contains(parts[0]), "{verb}: {seen:?}");
    }
}

#[test]
fn what_nothing_brings_back_is_asked_for_on_a_terminal() {
    let scratch = Scratch::new();
    if !scratch.sh("command -v script").status.success() {
        skipped("nothing was answered, since there is no `script` to play a terminal");
        return;
    }
    scratch.ok("--file a.db -q set user:1 1");
    scratch.ok("--file a.db -q set user:2 2");
    scratch.ok("--file a.db backup copy.db");
    let answer = |answer: &str, verb: &str| {
        // The terminal is held open until the command has ended.
        let wait = "tries=0; until [ -e ended ]; do tries=$((tries + 1)); [ $tries -lt 3000 ] || exit 1; sleep 0.01; done";
        let command = format!("\"$CODEX\" --file a.db {verb}; code=$?; touch ended; exit $code");
        scratch
            .sh(&format!("rm -f ended; {{ echo '{answer}'; {wait}; }} | script -qefc '{command}' /dev/null"))
    };
    for (verb, question) in [
        ("clear", "delete every record? [y/N]"),
        ("delete --prefix user:", "delete 2 records? [y/N]"),
        ("restore copy.db a.db --overwrite", "replace a.db? [y/N]"),
    ] {
        let before = scratch.read("a.db");
        for no in ["n", "", "yesterday"] {
            let output = answer(no, verb);
            assert_eq!(output.status.code(), Some(2), "{verb}: {}", stdout(&output));
            assert!(stdout(&output).contains(question), "{verb}: {}", stdout(&output));
            assert!(stdout(&output).contains("nothing was changed"), "{verb}: {}", stdout(&output));
            assert!(scratch.read("a.db") == before, "{verb}");
        }
    }
    let output = answer("y", "delete --prefix user:");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(scratch.ok("--file a.db count"), "0\n");
    let output = answer("yes", "restore copy.db a.db --overwrite");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(scratch.ok("--file a.db count"), "2\n");
    let output = answer("n", "clear --yes");
    assert_eq!(output.status.code(), Some(0), "it asks although it was told: {}", stdout(&output));
}
