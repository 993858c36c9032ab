//! Many records through the real command: import, export, batch.

mod common;

use common::{DATA, DATA_RECORDS, Scratch, stderr, stdout};

#[test]
fn real_data_goes_through_import_and_export_unchanged() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    let imported = scratch.ok(&format!("--file a.db --key-file key import {DATA}"));
    assert_eq!(imported, format!("{DATA_RECORDS} records imported\n"));
    assert_eq!(
        scratch.ok("--file a.db --key-file key export out"),
        format!("{DATA_RECORDS} records exported\n")
    );
    let data = std::fs::read(DATA).expect("the data is shipped");
    assert!(scratch.read("out") == data, "the records are in the order of their keys, as the data is");
    assert!(scratch.run(["--file", "a.db", "--key-file", "key", "export"]).stdout == data);

    scratch.ok("--file b.db --quiet import out");
    assert!(scratch.run(["--file", "b.db", "export", "-"]).stdout == data);
}

#[test]
fn every_key_and_value_survives_export_and_import() {
    let scratch = Scratch::new();
    scratch.write(
        "in",
        concat!(
            "{\"key\":\"a\\nb\",\"value\":[1.10, 1e400, \"\\u00e9 \"]}\n",
            "\n",
            "{\"key\":\"nothing\",\"value\":null}\n",
            "{\"key_base64\":\"Y2Fm6Q==\",\"value_base64\":\"AP8=\"}\n",
            "{\"key\":\"packed\",\"codec\":\"bincode\",\"value_base64\":\"BWhlbGxv\"}\n",
            "{\"key\":\"raw\",\"codec\":\"raw\",\"value_base64\":\"\"}",
        ),
    );
    assert_eq!(scratch.ok("--file a.db -q import in"), "5 records imported\n");
    let expected = concat!(
        "{\"key\":\"a\\nb\",\"value\":[1.10,1e400,\"\\u00e9 \"]}\n",
        "{\"key_base64\":\"Y2Fm6Q==\",\"codec\":\"raw\",\"value_base64\":\"AP8=\"}\n",
        "{\"key\":\"nothing\",\"value\":null}\n",
        "{\"key\":\"packed\",\"codec\":\"bincode\",\"value_base64\":\"BWhlbGxv\"}\n",
        "{\"key\":\"raw\",\"codec\":\"raw\",\"value_base64\":\"\"}\n",
    );
    assert_eq!(scratch.ok("--file a.db export"), expected);
    let output = scratch.sh("$CODEX --file a.db export - | $CODEX --file b.db -q import -");
    assert_eq!(stdout(&output), "5 records imported\n");
    assert_eq!(scratch.ok("--file b.db export"), expected);
}

#[test]
fn a_bad_line_is_named_and_nothing_of_its_batch_is_written() {
    let scratch = Scratch::new();
    let record = |number| format!("{{\"key\":\"{number:04}\",\"value\":{number}}}\n");
    let mut lines = (0..2500).map(record).collect::<Vec<_>>().concat();
    lines.push_str("{\"key\":\"s3cret\",\"value\":s3cret}\n");
    scratch.write("in", lines);
    let (code, said) = scratch.fails("--file a.db -q import in");
    assert_eq!(code, 2);
    assert!(said.contains("line 2501 ") && said.contains("first 2000 records"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    assert_eq!(scratch.ok("--file a.db count"), "2000\n");

    let (_, said) = scratch.fails("--file a.db --json import in");
    let error: serde_json::Value = serde_json::from_str(&said).expect("errors are JSON, too");
    assert_eq!(error["error"]["kind"], "Validation");
    assert_eq!((&error["error"]["line"], &error["error"]["committed"]), (&2501.into(), &2000.into()));
}

#[test]
fn bad_lines_of_every_kind_leave_the_database_as_it_was() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set kept 1");
    let before = scratch.ok("--file a.db head");
    for line in [
        "[]",
        "{\"key\":\"k\"}",
        "{\"value\":1}",
        "{\"key\":\"\",\"value\":1}",
        "{\"key\":\"k\",\"value\":1,\"more\":2}",
        "{\"key\":\"k\",\"value\":1}{\"key\":\"l\",\"value\":1}",
        "{\"key\":\"k\",\"value\":1,\"value_base64\":\"AA==\"}",
        "{\"key_base64\":\"?\",\"value\":1}",
        "{\"op\":\"set\",\"key\":\"k\",\"value\":1}",
    ] {
        scratch.write("in", format!("{{\"key\":\"good\",\"value\":1}}\n{line}\n"));
        let (code, said) = scratch.fails("--file a.db import in");
        assert_eq!(code, 2, "{line}: {said}");
        assert!(said.contains("line 2 ") && said.contains("nothing was imported"), "{line}: {said}");
    }
    assert_eq!(scratch.ok("--file a.db head"), before);
}

#[test]
fn a_batch_is_one_commit_or_none() {
    let scratch = Scratch::new();
    scratch.write(
        "good",
        concat!(
            "{\"op\":\"set\",\"key\":\"a\",\"value\":1}\n",
            "{\"op\":\"set\",\"key\":\"b\",\"value\":2}\n",
            "{\"op\":\"delete\",\"key\":\"a\"}\n",
        ),
    );
    assert_eq!(scratch.ok("--file a.db --json batch good"), "{\"operations\":3,\"sequence\":1}\n");
    assert_eq!(scratch.ok("--file a.db scan"), "b\t2\n");

    scratch.write("bad", "{\"op\":\"set\",\"key\":\"c\",\"value\":1}\n{\"op\":\"drop\",\"key\":\"b\"}\n");
    let (code, said) = scratch.fails("--file a.db batch bad");
    assert_eq!(code, 2);
    assert!(said.contains("line 2 "), "{said}");
    assert_eq!(scratch.ok("--file a.db scan"), "b\t2\n");

    let piped = scratch.sh("echo '{\"op\":\"delete\",\"key\":\"b\"}' | $CODEX --file a.db batch");
    assert_eq!(stdout(&piped), "1 operations in commit 2\n");
}

#[test]
fn an_export_replaces_a_file_only_when_told_and_leaves_no_pieces() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set k 1");
    scratch.write("out", "precious");
    let (code, said) = scratch.fails("--file a.db export out");
    assert_eq!((code, scratch.read("out")), (2, b"precious".to_vec()));
    assert!(said.contains("--overwrite"), "{said}");
    scratch.ok("--file a.db export out --overwrite");
    assert_eq!(scratch.read("out"), b"{\"key\":\"k\",\"value\":1}\n");
    let mut names: Vec<_> = std::fs::read_dir(scratch.folder())
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.db", "a.db.lock", "out"]);
}

#[test]
fn an_export_never_replaces_a_database() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    scratch.ok("--file plain.db -q set k 1");
    scratch.ok("--file sealed.db --key-file key set k 1");
    scratch.write("damaged.db", &scratch.read("plain.db")[..8200]);
    for target in ["plain.db", "sealed.db", "damaged.db"] {
        let before = scratch.read(target);
        let (code, said) = scratch.fails(&format!("--file plain.db export {target} --overwrite"));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("is a database") && scratch.read(target) == before, "{target}: {said}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let scratch = Scratch::new();
    scratch.ok(&format!("--file a.db -q import {DATA}"));
    for verb in ["export", "keys", "scan", "--json scan"] {
        let script = format!("{{ $CODEX --file a.db {verb}; echo $? >code; }} | head -n 1");
        let output = scratch.sh(&script);
        assert_eq!(stdout(&output).lines().count(), 1, "{verb}");
        assert_eq!(stderr(&output), "", "{verb}");
        // 141: what a shell reports for a program that SIGPIPE ended. A few bytes may fit into the pipe.
        let code = String::from_utf8(scratch.read("code")).expect("a number");
        assert!(["141\n", "0\n"].contains(&code.as_str()), "{verb}: {code}");
    }
    assert_eq!(scratch.read("code"), b"141\n", "the data is larger than a pipe");
}
