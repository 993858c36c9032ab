//! Passphrases from a terminal, which `script` (util-linux) plays.
#![cfg(target_os = "linux")]

mod common;

use std::process::Output;

use common::{Scratch, stderr, stdout};

/// Types lines on a terminal, each at its prompt, and returns what was seen there.
fn type_at(scratch: &Scratch, lines: &[&str], verb: &str) -> Output {
    // What is typed before its prompt may be thrown away, and the second prompt comes behind a look for the database.
    let keys: Vec<_> = lines.iter().map(|line| format!("sleep 1; echo '{line}'; ")).collect();
    let command = format!("\"$CODEX\" --file a.db --passphrase {verb}");
    scratch.sh(&format!("{{ {} sleep 2; }} | script -qec '{command}' /dev/null", keys.concat()))
}

#[test]
fn a_passphrase_is_typed_unseen_and_twice_for_a_new_database() {
    let scratch = Scratch::new();
    if !scratch.sh("command -v script").status.success() {
        return; // Without it there is no terminal to type at.
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
