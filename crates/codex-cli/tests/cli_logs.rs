//! Logs of the command: where they go, how they look, and what they leave alone.

mod common;

use common::{Scratch, stderr, stdout};
use serde_json::Value;

/// The members of each line of a log in JSON.
fn events(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
}

fn messages(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["fields"]["message"].as_str().expect("a message")).collect()
}

#[test]
fn nothing_is_logged_that_was_not_asked_for() {
    let scratch = Scratch::new();
    let output = scratch.run(["--file", "a.db", "--quiet", "set", "k", "1"]);
    assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
}

#[test]
fn a_log_in_json_is_one_object_a_line_beside_the_results() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db --quiet set k 1");
    let output = scratch.run("--file a.db --log json --log-level trace set k 2".split(' '));
    let events = events(&stderr(&output));
    let messages = messages(&events);
    assert_eq!(messages.first(), Some(&"recovered"));
    assert_eq!(messages.last(), Some(&"ended"));
    assert!(messages.contains(&"group written") && messages.contains(&"synced"), "{messages:?}");
    assert_eq!(events.last().expect("an event")["fields"]["exit_code"], 0);
    let output = scratch.run("--file a.db --log json get k".split(' '));
    assert_eq!(stdout(&output), "2\n");
}

#[test]
fn a_failure_is_the_last_event_with_its_exit_code() {
    let scratch = Scratch::new();
    let output = scratch.run("--file none.db --log-file log --log json get k".split(' '));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.starts_with("codex: there is no database at"), "{said}");
    let log = String::from_utf8(scratch.read("log")).expect("text");
    let events = events(&log);
    let last = events.last().expect("an event");
    assert_eq!((&last["level"], &last["fields"]["message"]), (&"ERROR".into(), &"failed".into()));
    assert_eq!(last["fields"]["exit_code"], 1);
    assert!(last["fields"]["error"].as_str().is_some_and(|error| error.contains("there is no database at")));
}

#[test]
fn levels_bound_what_is_logged() {
    let scratch = Scratch::new();
    let said =
        |level: &str| stderr(&scratch.run(["--file", "a.db", "-q", "--log-level", level, "set", "k", "1"]));
    assert_eq!(said("error"), "");
    assert_eq!(said("warn"), "");
    let info = said("info");
    assert!(info.contains(" INFO ") && info.contains("opened") && !info.contains("recovered"), "{info}");
    let debug = said("debug");
    assert!(debug.contains("recovered") && !debug.contains("group written"), "{debug}");
    assert!(said("trace").contains("group written"));
}

#[cfg(unix)]
#[test]
fn a_log_file_grows_and_is_for_its_owner_only() {
    let scratch = Scratch::new();
    let output = scratch.sh("umask 0; $CODEX --file a.db -q --log-file log set k 1");
    assert_eq!(stderr(&output), "");
    assert_eq!(common::mode(&scratch.path("log")), 0o600);
    let first = scratch.read("log");
    scratch.ok("--file a.db --log-file log get k");
    let both = scratch.read("log");
    assert!(!first.is_empty() && both.starts_with(&first) && both.len() > first.len());
}

#[test]
fn a_log_is_not_written_into_a_database_or_another_file() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set k 1");
    scratch.keygen("key");
    for file in ["a.db", "key"] {
        let before = scratch.read(file);
        let (code, said) = scratch.fails(&format!("--file a.db --log-file {file} set k 2"));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("is no log of this command"), "{said}");
        assert!(scratch.read(file) == before, "{file}");
    }
    assert_eq!(scratch.ok("--file a.db get k"), "1\n");
    scratch.write("empty", "");
    scratch.ok("--file a.db --log-file empty get k");
    assert!(!scratch.read("empty").is_empty());
}

#[test]
fn the_members_that_stats_prints_are_those_of_the_serialized_figures() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q --mode ledger set k 1");
    let printed: Value = serde_json::from_str(&scratch.ok("--file a.db --json stats")).expect("an object");
    let store = codex::Options::new().read_only(true).open(scratch.path("a.db")).expect("it is whole");
    let figures = serde_json::to_value(store.stats()).expect("figures");
    for (name, value) in printed.as_object().expect("an object") {
        assert_eq!(&figures[name], value, "{name}");
    }
    assert_eq!(figures["mode"], "ledger");
    let report = serde_json::to_value(store.verify().expect("it is whole")).expect("a report");
    let verified: Value = serde_json::from_str(&scratch.ok("--file a.db --json verify")).expect("an object");
    for (name, value) in report.as_object().expect("an object") {
        assert_eq!(&verified[name], value, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_log_that_is_emptied_while_it_is_written_goes_on_at_its_beginning() {
    let scratch = Scratch::new();
    // As logrotate's copytruncate does it, once something is logged and before the second commit.
    let output = scratch.sh("mkfifo commands
         $CODEX --file a.db -q --log json --log-level debug --log-file log interactive <commands &
         exec 3>commands
         echo 'set a 1' >&3; echo count >&3
         tries=0
         until [ -s log ]; do tries=$((tries + 1)); [ $tries -lt 3000 ] || exit 1; sleep 0.01; done
         cp log log.1; : >log
         echo 'set b 2' >&3; echo .quit >&3; exec 3>&-
         wait");
    assert!(output.status.success(), "{}", stderr(&output));
    let log = |name: &str| String::from_utf8(scratch.read(name)).expect("text");
    assert!(!events(&log("log.1")).is_empty());
    assert_eq!(messages(&events(&log("log"))).last(), Some(&"ended"), "each line of it is an event");
    // And it is taken for a log.
    scratch.ok("--file a.db --log json --log-file log get b");
}
