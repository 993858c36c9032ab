//! Records through the real command: what is stored is what is shown.

mod common;

use common::{Scratch, stderr, stdout};

#[test]
fn what_is_set_is_got_by_the_next_process() {
    let scratch = Scratch::new();
    assert_eq!(scratch.ok("--file a.db --quiet set user:1 {\"name\":\"Ada\"}"), "");
    assert_eq!(scratch.ok("--file a.db get user:1"), "{\"name\":\"Ada\"}\n");
    assert_eq!(scratch.ok("--file a.db has user:1"), "true\n");
    assert_eq!(scratch.ok("--file a.db count"), "1\n");
    assert_eq!(scratch.ok("--file a.db delete user:1"), "1 deleted\n");
    assert_eq!(scratch.fails("--file a.db get user:1").0, 1);
    assert_eq!(scratch.fails("--file a.db has user:1").0, 1);
}

#[test]
fn numbers_keep_their_digits() {
    let scratch = Scratch::new();
    for number in ["9007199254740993", "18446744073709551617", "1.10", "1e400", "-0", "-1.5E-7"] {
        scratch.ok(&format!("--file a.db -q set n {number}"));
        assert_eq!(scratch.ok("--file a.db get n"), format!("{number}\n"));
        assert_eq!(scratch.ok("--file a.db --json get n"), format!("{{\"key\":\"n\",\"value\":{number}}}\n"));
    }
}

#[test]
fn an_unquoted_word_is_refused_with_the_quoting_that_works() {
    let scratch = Scratch::new();
    let (code, said) = scratch.fails("--file a.db set name hello");
    assert_eq!(code, 2);
    assert!(said.contains("codex set name '\"hello\"'") && said.contains("--raw"), "{said}");
    assert!(!scratch.path("a.db").exists(), "nothing is created for a bad value");
    assert!(scratch.sh("$CODEX -q --file a.db set name '\"hello\"'").status.success());
    assert_eq!(scratch.ok("--file a.db get name"), "\"hello\"\n");
}

#[test]
fn raw_bytes_come_back_exactly_and_as_base64_in_json() {
    let scratch = Scratch::new();
    let output = scratch.sh("printf 'a\\000b\\377\\n' | $CODEX -q --file a.db set --raw k -");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(scratch.run(["--file", "a.db", "get", "--raw", "k"]).stdout, b"a\0b\xff\n");
    assert_eq!(
        scratch.ok("--file a.db --json get k"),
        "{\"key\":\"k\",\"codec\":\"raw\",\"value_base64\":\"YQBi/wo=\"}\n"
    );
    let shown = scratch.run(["--file", "a.db", "get", "k"]);
    assert_eq!(shown.stdout, b"a\0b\xff\n\n");
    assert!(stderr(&shown).contains("raw"), "{}", stderr(&shown));
}

#[cfg(unix)]
#[test]
fn keys_are_any_bytes_and_no_two_look_alike() {
    let scratch = Scratch::new();
    let output = scratch.sh(
        "for key in \"$(printf 'caf\\351')\" \"$(printf 'a\\nb')\" 'größe' \"\\$'caf\\\\xe9'\"; do
            $CODEX -q --file a.db set \"$key\" 1 || exit 1
         done",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = scratch.ok("--file a.db keys");
    assert_eq!(shown, "$'$\\'caf\\\\xe9\\''\n$'a\\nb'\n$'caf\\xe9'\ngröße\n");
    assert_eq!(
        scratch.run(["--file", "a.db", "keys", "-0"]).stdout,
        [&b"$'caf\\xe9'"[..], b"a\nb", b"caf\xe9", "größe".as_bytes(), b""].join(&0)
    );
    assert!(scratch.ok("--file a.db --json keys").contains("{\"key_base64\":\"Y2Fm6Q==\"}\n"));
}

#[test]
fn ranges_prefixes_limits_and_reverse_select_the_same_records_everywhere() {
    let scratch = Scratch::new();
    let set = |key| format!("{{\"op\":\"set\",\"key\":\"{key}\",\"value\":0}}\n");
    let lines = ["a", "b:1", "b:2", "b:3", "c"].map(set).concat();
    scratch.write("ops", lines);
    assert_eq!(scratch.ok("--file a.db -q batch ops"), "5 operations in commit 1\n");
    let keys = |words: &str| scratch.ok(&format!("--file a.db keys {words}")).replace('\n', " ");
    assert_eq!(keys("--prefix b:"), "b:1 b:2 b:3 ");
    assert_eq!(keys("--prefix b: --reverse --limit 2"), "b:3 b:2 ");
    assert_eq!(keys("--from b:2 --to c"), "b:2 b:3 ");
    assert_eq!(keys("--from b:2 --reverse"), "c b:3 b:2 ");
    assert_eq!(keys("--from c --to b"), "");
    assert_eq!(keys("--limit 0"), "");
    assert_eq!(scratch.ok("--file a.db count --prefix b:"), "3\n");
    assert_eq!(scratch.ok("--file a.db scan --from c"), "c\t0\n");
    assert_eq!(scratch.run(["--file", "a.db", "scan", "-0", "--from", "c"]).stdout, b"c\x000\0");
}

#[test]
fn delete_is_one_commit_and_counts_what_was_there() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set a 1");
    scratch.ok("--file a.db set b 1");
    assert_eq!(scratch.ok("--file a.db --json delete a b c a"), "{\"deleted\":2,\"sequence\":3}\n");
    let none = scratch.run(["--file", "a.db", "delete", "c"]);
    assert_eq!((none.status.code(), stdout(&none)), (Some(1), "0 deleted\n".to_owned()));
}

#[test]
fn clear_needs_yes() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set a 1");
    let (code, said) = scratch.fails("--file a.db clear");
    assert_eq!(code, 2);
    assert!(said.contains("codex clear --yes"), "{said}");
    assert_eq!(scratch.ok("--file a.db clear --yes"), "1 deleted\n");
    assert_eq!(scratch.ok("--file a.db count"), "0\n");
}

#[test]
fn reading_and_deleting_create_nothing() {
    let scratch = Scratch::new();
    for verb in [
        "get k", "has k", "keys", "scan", "count", "head", "stats", "verify", "backups", "export -",
        "delete k",
    ] {
        let (code, said) = scratch.fails(&format!("--file no/a.db {verb}"));
        assert_eq!(code, 1, "{verb}: {said}");
    }
    assert_eq!(scratch.fails("--file no/a.db clear --yes").0, 1);
    assert_eq!(scratch.fails("--file no/a.db backup b.db").0, 1);
    assert!(!scratch.path("no").exists());
}

#[test]
fn a_database_is_named_by_option_home_or_variable_and_never_by_chance() {
    let scratch = Scratch::new();
    let (code, said) = scratch.fails("keys");
    assert_eq!(code, 2);
    assert!(said.contains("--file") && said.contains("--home"), "{said}");

    scratch.ok("--home -q set k 1");
    scratch.ok("--home=notes -q set k 2");
    assert!(scratch.path("home/default.db").is_file() && scratch.path("home/notes.db").is_file());
    assert_eq!(scratch.ok("--home=notes get k"), "2\n");
    assert_eq!(scratch.fails("--home=../notes get k").0, 2);
    let named = scratch.codex().env("CODEX_DB", "home/default.db").args(["get", "k"]).output().expect("runs");
    assert_eq!(stdout(&named), "1\n");
}

#[test]
fn the_mode_is_chosen_once() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db --mode ledger -q set k 1");
    assert_eq!(scratch.ok("--file a.db get k"), "1\n");
    assert!(scratch.ok("--file a.db --json stats").contains("\"mode\":\"ledger\""));
    assert_eq!(scratch.fails("--file a.db --mode snapshot set k 2").0, 2);
    assert_eq!(scratch.ok("--file a.db get k"), "1\n");
}
