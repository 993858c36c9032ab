//! The past of a ledger through the real command: what is shown is what was committed.

mod common;

use common::{Scratch, stderr, stdout};

/// A ledger of five commits.
fn ledger() -> Scratch {
    let scratch = Scratch::in_memory();
    scratch.ok("--file a.db --mode ledger -q set limit 100");
    scratch.ok("--file a.db set user:1 {\"name\":\"Ada\"}");
    scratch.ok("--file a.db set limit 250");
    scratch.ok("--file a.db delete limit");
    scratch.ok("--file a.db clear --yes");
    scratch
}

/// Lines without the times in them, which stand in the second column.
fn without_times(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let mut columns: Vec<_> = line.split('\t').collect();
        let time = columns.remove(1);
        assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{line}");
        columns.join(" ")
    };
    text.lines().map(line).collect()
}

/// The time of a commit, as `log --json` gives it.
fn time_of(scratch: &Scratch, commit: u64) -> String {
    let line = scratch.ok(&format!("--file a.db --json log --since {commit} --until {commit}"));
    let (_, behind) = line.split_once("\"time\":\"").expect("each commit has a time");
    behind.split_once('"').expect("a JSON text ends").0.to_owned()
}

#[test]
fn history_shows_each_version_of_a_key_newest_first() {
    let scratch = ledger();
    let shown = without_times(&scratch.ok("--file a.db history limit"));
    assert_eq!(shown, ["4 deleted", "3 set 250", "1 set 100"]);
    let shown = without_times(&scratch.ok("--file a.db history user:1"));
    assert_eq!(shown, ["5 cleared", "2 set {\"name\":\"Ada\"}"]);
    assert_eq!(without_times(&scratch.ok("--file a.db history limit --limit 1")), ["4 deleted"]);
    let json = scratch.ok("--file a.db --json history limit");
    let lines: Vec<_> = json.lines().collect();
    let time = time_of(&scratch, 3);
    assert_eq!(
        lines[1],
        format!("{{\"sequence\":3,\"time\":\"{time}\",\"change\":\"set\",\"key\":\"limit\",\"value\":250}}")
    );
    assert!(lines[0].ends_with("\"change\":\"deleted\",\"key\":\"limit\"}"), "{}", lines[0]);
    let (code, said) = scratch.fails("--file a.db history nobody");
    assert_eq!((code, said.contains("nobody")), (1, false), "{said}");
}

#[test]
fn every_reading_verb_takes_a_point_and_shows_the_state_there() {
    let scratch = ledger();
    assert_eq!(scratch.ok("--file a.db get limit --at 1"), "100\n");
    assert_eq!(scratch.ok("--file a.db get limit --at 3"), "250\n");
    assert_eq!(scratch.fails("--file a.db get limit --at 4").0, 1);
    assert_eq!(scratch.ok("--file a.db has user:1 --at 4"), "true\n");
    assert_eq!(scratch.fails("--file a.db has user:1 --at 5").0, 1);
    assert_eq!(scratch.ok("--file a.db keys --at 3"), "limit\nuser:1\n");
    assert_eq!(scratch.ok("--file a.db scan --at 2 --reverse --limit 1"), "user:1\t{\"name\":\"Ada\"}\n");
    assert_eq!(scratch.ok("--file a.db count --at 3"), "2\n");
    assert_eq!(scratch.ok("--file a.db count --at 0"), "0\n");
    assert_eq!(
        scratch.ok("--file a.db export --at 3"),
        "{\"key\":\"limit\",\"value\":250}\n{\"key\":\"user:1\",\"value\":{\"name\":\"Ada\"}}\n"
    );
    let time = time_of(&scratch, 3);
    assert_eq!(scratch.ok(&format!("--file a.db get limit --at {time}")), "250\n");
    assert_eq!(scratch.ok("--file a.db count --at 1970-01-01T00:00:00Z"), "0\n", "before the first commit");
    assert_eq!(scratch.ok("--file a.db count --at 2554-01-01T00:00:00+01:00"), "0\n", "as it is now");
}

#[test]
fn log_shows_commits_as_they_were_made_and_those_asked_for() {
    let scratch = ledger();
    scratch.write("ops", "{\"op\":\"set\",\"key\":\"a\",\"value\":[1]}\n{\"op\":\"delete\",\"key\":\"a\"}\n");
    scratch.ok("--file a.db -q batch ops");
    let log = |options: &str| without_times(&scratch.ok(&format!("--file a.db log {options}")));
    assert_eq!(
        log(""),
        [
            "1 set limit 100",
            "2 set user:1 {\"name\":\"Ada\"}",
            "3 set limit 250",
            "4 delete limit",
            "5 clear",
            "6 set a [1]",
            "6 delete a",
        ]
    );
    assert_eq!(log("--since 2 --until 3"), ["2 set user:1 {\"name\":\"Ada\"}", "3 set limit 250"]);
    assert_eq!(log("--key l* --since 2"), ["3 set limit 250", "4 delete limit", "5 clear"]);
    assert_eq!(log("--limit 1"), ["1 set limit 100"]);
    assert_eq!(log("--reverse --limit 2"), ["6 set a [1]", "6 delete a", "5 clear"]);
    assert_eq!(log("--since 7"), [""; 0], "nothing yet");
    let (second, fourth) = (time_of(&scratch, 2), time_of(&scratch, 4));
    assert_eq!(
        log(&format!("--since {second} --until {fourth} --key limit")),
        ["3 set limit 250", "4 delete limit"]
    );
    let json = scratch.ok("--file a.db --json log --since 5");
    let lines: Vec<_> =
        json.lines().map(|line| line.split_once("\"operations\":").expect("operations").1).collect();
    assert_eq!(
        lines,
        [
            "[{\"op\":\"clear\"}]}",
            "[{\"op\":\"set\",\"key\":\"a\",\"value\":[1]},{\"op\":\"delete\",\"key\":\"a\"}]}",
        ]
    );
}

#[test]
fn diff_shows_what_was_added_changed_and_deleted() {
    let scratch = ledger();
    scratch.ok("--file a.db set new null");
    assert_eq!(
        scratch.ok("--file a.db diff 1 3"),
        "-\tlimit\t100\n+\tlimit\t250\n+\tuser:1\t{\"name\":\"Ada\"}\n"
    );
    assert_eq!(
        scratch.ok("--file a.db diff 3"),
        "-\tlimit\t250\n+\tnew\tnull\n-\tuser:1\t{\"name\":\"Ada\"}\n"
    );
    assert_eq!(scratch.ok("--file a.db diff 4 4"), "");
    assert_eq!(
        scratch.ok("--file a.db --json diff 1 3"),
        "{\"change\":\"changed\",\"key\":\"limit\",\"before\":{\"value\":100},\"after\":{\"value\":250}}\n\
         {\"change\":\"added\",\"key\":\"user:1\",\"after\":{\"value\":{\"name\":\"Ada\"}}}\n"
    );
    assert_eq!(
        scratch.ok("--file a.db --json diff 3 4"),
        "{\"change\":\"deleted\",\"key\":\"limit\",\"before\":{\"value\":250}}\n"
    );
    let output = scratch.sh("printf 'a\\000' | $CODEX --file a.db set --raw new -");
    assert!(output.status.success(), "{}", stderr(&output));
    let same_bytes = scratch.ok("--file a.db --json diff 6");
    assert_eq!(
        same_bytes,
        "{\"change\":\"changed\",\"key\":\"new\",\"before\":{\"value\":null},\
         \"after\":{\"codec\":\"raw\",\"value_base64\":\"YQA=\"}}\n"
    );
}

#[test]
fn a_snapshot_is_told_how_to_become_a_ledger_and_becomes_one() {
    let scratch = Scratch::in_memory();
    scratch.ok("--file app.db -q set k 1");
    for verb in ["history k", "log", "get k --at 1", "diff 1"] {
        let (code, said) = scratch.fails(&format!("--file app.db {verb}"));
        assert_eq!(code, 2, "{verb}: {said}");
        assert!(said.contains("snapshot mode keeps no history"), "{verb}: {said}");
        assert!(said.contains("--mode ledger import all.jsonl"), "{verb}: {said}");
    }
    let output = scratch.sh("export CODEX_DB=app.db
         $CODEX export all.jsonl && $CODEX -q --file ledger.db --mode ledger import all.jsonl &&
         $CODEX --file ledger.db get k --at 1");
    assert_eq!(stdout(&output), "1 records exported\n1 records imported\n1\n", "{}", stderr(&output));
}

#[test]
fn a_point_that_does_not_exist_is_not_found_and_what_is_no_point_is_refused() {
    let scratch = ledger();
    for line in ["get limit --at 6", "diff 1 6", "diff 6"] {
        let (code, said) = scratch.fails(&format!("--file a.db {line}"));
        assert_eq!(code, 1, "{line}: {said}");
        assert!(said.contains("no commit 6") && said.contains("1 to 5"), "{line}: {said}");
    }
    for line in [
        "get limit --at s3cret",
        "log --since s3cret",
        "diff s3cret",
        "log --key s3cret[",
        "keys --glob s3cret[",
    ] {
        let (code, said) = scratch.fails(&format!("--file a.db {line}"));
        assert_eq!((code, said.contains("s3cret")), (2, false), "{line}: {said}");
    }
}

#[test]
fn a_pattern_selects_keys_beside_prefix_and_bounds() {
    let scratch = Scratch::in_memory();
    let set = |key| format!("{{\"op\":\"set\",\"key\":\"{key}\",\"value\":0}}\n");
    scratch.write("ops", ["a", "user:1:mail", "user:1:name", "user:2:name", "v"].map(set).concat());
    scratch.ok("--file a.db -q batch ops");
    let keys = |words: &str| scratch.ok(&format!("--file a.db keys {words}")).replace('\n', " ");
    assert_eq!(keys("--glob user:*:name"), "user:1:name user:2:name ");
    assert_eq!(keys("--glob *:name --from user:2"), "user:2:name ");
    assert_eq!(keys("--glob *1* --prefix user: --reverse --limit 1"), "user:1:name ");
    assert_eq!(keys("--glob ?"), "a v ");
    assert_eq!(keys("--glob user:* --prefix v"), "");
}
