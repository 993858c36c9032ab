//! Records as CSV through the real command.

mod common;

use common::{Scratch, stderr, stdout};

const PEOPLE: &str = "name,id,born,note\r\nAda,1,1815,\"said \"\"so\"\",\r\nand left\"\r\nGrace,2,01906,\r\n";

#[test]
fn a_row_becomes_an_object_of_texts_and_with_infer_of_what_json_has() {
    let scratch = Scratch::new();
    scratch.write("in.csv", PEOPLE);
    let import = "-q import in.csv --format csv --key-column id";
    assert_eq!(scratch.ok(&format!("--file a.db {import}")), "2 records imported\n");
    assert_eq!(
        scratch.ok("--file a.db get 1"),
        "{\"name\":\"Ada\",\"born\":\"1815\",\"note\":\"said \\\"so\\\",\\r\\nand left\"}\n"
    );
    scratch.ok(&format!("--file b.db {import} --infer"));
    assert_eq!(
        scratch.ok("--file b.db get 1"),
        "{\"name\":\"Ada\",\"born\":1815,\"note\":\"said \\\"so\\\",\\r\\nand left\"}\n"
    );
    assert_eq!(scratch.ok("--file b.db get 2"), "{\"name\":\"Grace\",\"born\":\"01906\"}\n");
}

#[test]
fn an_export_has_a_column_for_each_member_in_order_of_appearance() {
    let scratch = Scratch::new();
    for (key, value) in [
        ("a", "{\"x\":1.10,\"text\":\"one, \\\"two\\\"\"}"),
        ("b", "{\"y\":[1,{\"z\":2}],\"x\":true}"),
        ("c", "\"no object\""),
        ("d", "9007199254740993"),
        ("e", "{}"),
        ("f", "{\"x\":1,\"x\":2}"),
    ] {
        assert!(scratch.run(["--file", "a.db", "-q", "set", key, value]).status.success(), "{key}");
    }
    scratch.ok("--file a.db set --raw g bytes");
    let expected = concat!(
        "key,x,text,y,value\r\n",
        "a,1.10,\"one, \"\"two\"\"\",,\r\n",
        "b,true,,\"[1,{\"\"z\"\":2}]\",\r\n",
        "c,,,,no object\r\n",
        "d,,,,9007199254740993\r\n",
        "e,,,,\r\n",
        "f,,,,\"{\"\"x\"\":1,\"\"x\"\":2}\"\r\n",
        "g,,,,bytes\r\n",
    );
    assert_eq!(scratch.ok("--file a.db export --format csv"), expected);
    assert_eq!(scratch.ok("--file a.db export out.csv --format csv"), "7 records exported\n");
    assert_eq!(scratch.read("out.csv"), expected.as_bytes());
    let named = scratch.ok("--file a.db export --format csv --key-column id");
    assert_eq!(named.lines().next(), Some("id,x,text,y,value"));
}

#[test]
fn flat_objects_come_back_as_they_were() {
    let scratch = Scratch::new();
    let lines = "{\"key\":\"a\",\"value\":{\"n\":1.10,\"t\":\"x\\r\\ny\",\"b\":false,\"z\":null}}\n";
    scratch.write("in", lines);
    scratch.ok("--file a.db -q import in");
    let output = scratch
        .sh("$CODEX --file a.db export --format csv | $CODEX --file b.db -q import - --format csv --infer");
    assert_eq!(stdout(&output), "1 records imported\n", "{}", stderr(&output));
    assert_eq!(scratch.ok("--file b.db export"), lines);
}

#[test]
fn what_csv_cannot_hold_is_refused_before_anything_is_written() {
    let scratch = Scratch::new();
    let records = [
        ("{\"key_base64\":\"Y2Fm6Q==\",\"value\":1}", "a key is not text"),
        ("{\"key\":\"a\",\"value_base64\":\"AP8=\"}", "a value is not text"),
        ("{\"key\":\"a\",\"value\":{\"key\":1}}", "the name of the key column"),
    ];
    for (number, (record, message)) in records.into_iter().enumerate() {
        scratch.write("in", format!("{{\"key\":\"0\",\"value\":1}}\n{record}\n"));
        scratch.ok(&format!("--file {number}.db -q import in"));
        let output = scratch.run(["--file", &format!("{number}.db"), "export", "--format", "csv"]);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert_eq!(stdout(&output), "");
        assert!(stderr(&output).contains(message), "{message}: {}", stderr(&output));
        scratch.fails(&format!("--file {number}.db export out.csv --format csv"));
        assert!(!scratch.path("out.csv").exists());
    }
    scratch.write("in", "{\"key\":\"0\",\"value\":{\"a\":1},\"expires_unix_ms\":4000000000000}\n");
    scratch.ok("--file expiring.db -q import in");
    let output = scratch.run(["--file", "expiring.db", "export", "--format", "csv"]);
    assert_eq!(stdout(&output), "key,a\r\n0,1\r\n");
    assert!(stderr(&output).contains("1 records expire, which CSV does not say"), "{}", stderr(&output));
}

#[test]
fn a_bad_row_is_named_by_line_and_column_and_nothing_of_its_batch_is_written() {
    let scratch = Scratch::new();
    let mut rows = String::from("key,n\n");
    rows.extend((0..1500).map(|number| format!("{number:04},\"{number}\n\"\n")));
    rows.push_str(",s3cret\n");
    scratch.write("in", rows);
    let (code, said) = scratch.fails("--file a.db -q import in --format csv");
    assert_eq!(code, 2);
    assert!(said.contains("line 3002 is wrong: column 1 is no key"), "{said}");
    assert!(said.contains("the first 1000 records were committed and stay"), "{said}");
    assert_eq!(scratch.ok("--file a.db count"), "1000\n");
    let (_, said) = scratch.fails("--json --file b.db import in --format csv");
    let error: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(error["error"]["line"], 3002);
    assert_eq!(error["error"]["column"], 1);
    assert_eq!(error["error"]["committed"], 1000);
}

#[test]
fn a_file_that_was_cut_off_in_a_quoted_cell_is_not_taken_for_whole() {
    let scratch = Scratch::new();
    scratch.write("in", "key,note\n1,\"whole\"\n2,\"cut o");
    let (code, said) = scratch.fails("--file a.db -q import in --format csv");
    assert_eq!(code, 2);
    assert!(said.contains("line 3 is wrong: a quoted cell does not end"), "{said}");
}

#[test]
fn a_dry_run_reads_all_of_it_and_makes_no_database() {
    let scratch = Scratch::new();
    scratch.write("in.csv", PEOPLE);
    scratch.write("in.jsonl", "{\"key\":\"a\",\"value\":1}\n");
    let csv = "--file a.db import in.csv --dry-run --format csv --key-column id";
    assert_eq!(scratch.ok(csv), "2 records would be imported\n");
    assert_eq!(scratch.ok("--file a.db import in.jsonl --dry-run"), "1 records would be imported\n");
    let (code, said) = scratch.fails("--file a.db import in.csv --dry-run --format csv");
    assert_eq!(code, 2);
    assert!(said.contains("no column has the name of the key column"), "{said}");
    assert!(!scratch.path("a.db").exists());
}

#[test]
fn what_goes_with_csv_goes_with_nothing_else() {
    let scratch = Scratch::new();
    scratch.write("in", "");
    for line in [
        "--file a.db import in --infer",
        "--file a.db import in --key-column id",
        "--file a.db export --key-column id",
        "--file a.db import in --format csv --from codexdb-go",
    ] {
        assert_eq!(scratch.fails(line).0, 2, "{line}");
    }
}
