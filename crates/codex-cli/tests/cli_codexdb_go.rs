//! `import --from codexdb-go` through the real command.

mod common;
#[path = "common/codexdb_go.rs"]
mod old;

use std::collections::BTreeMap;

use common::{Scratch, stderr, stdout};
use old::{KEY, Packing, bare_text, frame, ledger, samples, seal, set, snapshot_text};
use serde_json::{Value, json};

/// A file that only its owner can read.
fn private(scratch: &Scratch, name: &str, content: &[u8]) {
    scratch.write(name, content);
    assert!(scratch.sh(&format!("chmod 600 {name}")).status.success());
}

/// The one JSON object that the command printed.
fn object(printed: &str) -> Value {
    serde_json::from_str(printed).expect("one JSON object")
}

/// The error that the command reports with `--json`.
fn error(scratch: &Scratch, line: &str) -> (i32, Value) {
    let (code, said) = scratch.fails(&format!("--json {line}"));
    let said: Value = serde_json::from_str(&said).expect("one JSON object");
    (code, said["error"].clone())
}

/// Keys and values of a database.
fn records(scratch: &Scratch, file: &str) -> Value {
    let lines = scratch.ok(&format!("--file {file} export"));
    let records = lines.lines().map(|line| {
        let record: Value = serde_json::from_str(line).expect("a record");
        (record["key"].as_str().expect("a text").to_owned(), record["value"].clone())
    });
    records.collect::<serde_json::Map<_, _>>().into()
}

fn nothing_was_made(scratch: &Scratch) {
    assert!(!scratch.path("new.db").exists() && !scratch.path("new.db.lock").exists());
}

#[test]
fn every_sample_comes_over_into_either_mode() {
    for sample in samples() {
        let scratch = Scratch::in_memory();
        let key = sample.key().map_or_else(String::new, |key| {
            private(&scratch, "go.key", key);
            "--from-key-file go.key".to_owned()
        });
        let from = format!("--quiet --json import --from codexdb-go {key} {}", sample.path.display());
        let tried = object(&scratch.ok(&format!("{from} --dry-run")));
        let cipher = json!(sample.key().map(|key| format!("AES-{}-GCM", key.len() * 8)));
        for mode in ["snapshot", "ledger"] {
            let done = object(&scratch.ok(&format!("{from} --file {mode}.db --mode {mode}")));
            assert!(records(&scratch, &format!("{mode}.db")) == sample.expected, "{} as {mode}", sample.name);
            assert_eq!(done["records"], 11, "{}", sample.name);
            assert_eq!((&done["cipher"], &done["complete"]), (&cipher, &json!(true)), "{}", sample.name);
            for count in ["form", "cipher", "compression", "changes", "imported", "deleted", "cleared"] {
                assert_eq!(tried[count], done[count], "{}: a dry run says what comes", sample.name);
            }
            let (set, deleted) = if sample.is_ledger() { (14, 2) } else { (11, 0) };
            assert_eq!((&done["imported"], &done["deleted"]), (&set.into(), &deleted.into()));
            // A ledger's history comes over change by change.
            let commits = if sample.is_ledger() && mode == "ledger" { 16 } else { 1 };
            assert_eq!(
                (&done["commits"], &done["sequence"]),
                (&commits.into(), &commits.into()),
                "{}",
                sample.name
            );
            let verified = object(&scratch.ok(&format!("--file {mode}.db --json verify")));
            assert_eq!(verified["commits"], commits, "{} as {mode}", sample.name);
        }
        for part in [word(&tried["form"]), word(&tried["compression"])] {
            assert!(sample.name.contains(part), "{}: {tried}", sample.name);
        }
        assert!(
            sample.bytes == std::fs::read(&sample.path).expect("it is there"),
            "the original stays as it is"
        );
    }
}

fn word(value: &Value) -> &str {
    value.as_str().expect("a word")
}

#[test]
fn the_key_comes_from_a_private_file_or_the_variable_as_the_original_took_it() {
    let scratch = Scratch::in_memory();
    let file = seal(snapshot_text(&[("a".to_owned(), b"1".to_vec())]).into_bytes(), Some(KEY), 1);
    scratch.write("old.db", file);
    let hex = base16ct::lower::encode_string(KEY);
    let import = "-q import --from codexdb-go old.db --dry-run";
    for content in
        [KEY.to_vec(), [KEY, b"\n"].concat(), hex.clone().into_bytes(), format!("{hex}\r\n").into()]
    {
        private(&scratch, "go.key", &content);
        scratch.ok(&format!("{import} --from-key-file go.key"));
        let output = scratch.codex().args(import.split(' ')).env("CODEXDB_GO_KEY", as_os(&content)).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let output = scratch.codex().args(import.split(' ')).env("CODEXDB_GO_KEY", "").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));

    private(&scratch, "go.key", b"s3cret");
    let (code, said) = scratch.fails(&format!("{import} --from-key-file go.key"));
    assert!(code == 2 && said.contains("16, 24 or 32 bytes") && !said.contains("s3cret"), "{said}");
    assert!(scratch.sh("chmod 644 go.key").status.success());
    let (code, said) = scratch.fails(&format!("{import} --from-key-file go.key"));
    assert!(code == 3 && said.contains("chmod 600 go.key"), "{said}");
}

fn as_os(bytes: &[u8]) -> std::ffi::OsString {
    String::from_utf8(bytes.to_vec()).expect("these keys are text").into()
}

#[test]
fn a_wrong_missing_or_needless_key_makes_no_database() {
    let scratch = Scratch::in_memory();
    private(&scratch, "wrong.key", &[1; 32]);
    for sample in samples() {
        let import = format!("--file new.db import --from codexdb-go {}", sample.path.display());
        let (code, _) = error(&scratch, &format!("{import} --from-key-file wrong.key"));
        assert_eq!(code, if sample.key().is_some() { 5 } else { 2 }, "{}", sample.name);
        if sample.key().is_some() {
            let (code, said) = error(&scratch, &format!("{import} --partial"));
            assert_eq!(code, 5, "{}", sample.name);
            assert!(said["hint"].as_str().expect("a hint").contains("--from-key-file"), "{said}");
        }
        nothing_was_made(&scratch);
    }
}

#[test]
fn nothing_is_written_from_a_damaged_file_and_with_partial_all_before_the_damage() {
    let changes = [set("a", "1"), set("b", "2"), set("a", "3"), set("c", "4")];
    let scratch = Scratch::in_memory();
    let mut file = ledger(&changes, Packing::Gzip, None);
    let third = ledger(&changes[..2], Packing::Gzip, None).len();
    let bytes = file.len() - third;
    file[third + 40] ^= 1;
    scratch.write("old.db", file);
    let import = "--file new.db --mode ledger import --from codexdb-go old.db";
    let (code, said) = error(&scratch, import);
    assert_eq!((code, &said["kind"], &said["offset"]), (6, &json!("Integrity"), &json!(third)));
    assert!(said["hint"].as_str().expect("a hint").contains("--partial"), "{said}");
    nothing_was_made(&scratch);

    let done = object(&scratch.ok(&format!("--json {import} --partial")));
    assert_eq!(
        (&done["complete"], &done["changes"], &done["commits"]),
        (&json!(false), &json!(2), &json!(2))
    );
    assert_eq!((&done["fault"]["offset"], &done["fault"]["bytes"]), (&json!(third), &json!(bytes)));
    assert_eq!(records(&scratch, "new.db"), json!({"a": 1, "b": 2}));
    let said = scratch.ok("-q --file other.db import --from codexdb-go old.db --partial");
    assert!(said.contains("NOT complete") && said.contains(&format!("byte {third}")), "{said}");
}

#[test]
fn a_snapshot_that_is_cut_gives_with_partial_the_records_before_the_cut() {
    let scratch = Scratch::in_memory();
    let record = |number: u32| (format!("{number:03}"), number.to_string().into_bytes());
    let text = snapshot_text(&(0..100).map(record).collect::<Vec<_>>());
    for packing in Packing::ALL {
        let file = packing.pack(text.as_bytes());
        scratch.write("old.db", &file[..file.len() - 40]);
        let import = format!("--file {packing:?}.db import --from codexdb-go old.db");
        let (code, said) = error(&scratch, &import);
        assert_eq!((code, &said["kind"]), (6, &json!("Integrity")), "{packing:?}");
        // What a decompressor has not let out is not known; snappy's block lets out all or nothing.
        if packing == Packing::Snappy {
            assert_eq!(error(&scratch, &format!("{import} --partial")).0, 6);
            continue;
        }
        let partly = scratch.run(format!("--json {import} --partial").split(' '));
        if partly.status.success() {
            let done = object(&stdout(&partly));
            assert_eq!(done["complete"], false);
            let count = done["records"].as_u64().expect("a number");
            let expected: BTreeMap<_, _> =
                (0..count).map(|number| (format!("{number:03}"), number)).collect();
            assert_eq!(records(&scratch, &format!("{packing:?}.db")), json!(expected), "{packing:?}");
        }
        assert!(partly.status.success() || packing == Packing::Zstd, "{packing:?}: {}", stderr(&partly));
    }
}

#[test]
fn numbers_keep_their_digits_and_texts_their_characters() {
    let scratch = Scratch::in_memory();
    let values =
        ["9007199254740993", "1.10", "1e400", "-0", "123456789012345678901234567890", "\"<a&b>\u{2028}\""];
    let changes: Vec<_> = values.iter().map(|value| set(value, value)).collect();
    scratch.write("old.db", ledger(&changes, Packing::Snappy, None));
    scratch.ok("--file new.db -q import --from codexdb-go old.db");
    for value in values {
        let output = scratch.run(["--file", "new.db", "get", "--", value]);
        assert_eq!(stdout(&output), format!("{value}\n"));
    }
}

#[test]
fn a_clear_in_a_ledger_clears_and_a_database_that_holds_records_takes_no_import() {
    let scratch = Scratch::in_memory();
    let changes = [set("a", "1"), codex_cli::input::GoChange::Clear, set("b", "2")];
    scratch.write("old.db", ledger(&changes, Packing::Absent, None));
    let import = "import --from codexdb-go old.db";
    for mode in ["snapshot", "ledger"] {
        let done = object(&scratch.ok(&format!("--json --file {mode}.db --mode {mode} {import}")));
        assert_eq!(
            (&done["cleared"], &done["commits"]),
            (&json!(1), &json!(if mode == "ledger" { 3 } else { 1 }))
        );
        assert_eq!(records(&scratch, &format!("{mode}.db")), json!({"b": 2}));
    }
    scratch.ok("--file kept.db -q set precious 1");
    let head = scratch.ok("--file kept.db head");
    let (code, said) = scratch.fails(&format!("--file kept.db {import}"));
    assert!(code == 2 && said.contains("new database"), "{said}");
    assert_eq!(scratch.ok("--file kept.db head"), head);
}

#[test]
fn a_key_that_no_record_can_have_is_counted_and_left_out_only_when_told() {
    let scratch = Scratch::in_memory();
    let long = "k".repeat(codex::KEY_LEN_MAX + 1);
    let changes = [set("", "1"), set(&long, "2"), set(&long[1..], "3"), set("a", "4")];
    scratch.write("old.db", ledger(&changes, Packing::Gzip, None));
    let import = "--file new.db import --from codexdb-go old.db";
    let (code, said) = error(&scratch, import);
    assert_eq!((code, &said["kind"]), (2, &json!("Validation")));
    nothing_was_made(&scratch);
    let done = object(&scratch.ok(&format!("--json {import} --partial")));
    assert_eq!(
        (&done["skipped"], &done["imported"], &done["complete"]),
        (&json!(2), &json!(2), &json!(false))
    );
    assert_eq!(scratch.ok("--file new.db count"), "2\n");
}

#[test]
fn the_mode_can_be_said_where_it_cannot_be_told() {
    let scratch = Scratch::in_memory();
    scratch.write("empty", "");
    let import = "--file new.db import --from codexdb-go";
    assert_eq!(error(&scratch, &format!("{import} empty")).0, 2);
    nothing_was_made(&scratch);
    scratch.ok(&format!("-q {import} empty --from-mode ledger"));
    assert_eq!(scratch.ok("--file new.db count"), "0\n");

    // A ledger whose first frame is damaged beyond recognition is damaged once it is said to be one.
    scratch.write("old.db", [frame(b"{}", None, 0), vec![0; 10]].concat().split_off(1));
    let dry = "import --dry-run --from codexdb-go old.db";
    assert_eq!(error(&scratch, &format!("{dry} --from-mode ledger")).0, 6);
    assert_eq!(error(&scratch, &format!("{dry} --from-mode snapshot")).0, 6);
    assert_eq!(error(&scratch, dry).0, 5);
}

#[test]
fn the_oldest_form_is_noted_to_have_no_checksum() {
    let scratch = Scratch::in_memory();
    scratch.write("old.db", bare_text(&[("a".to_owned(), b"1".to_vec())]));
    let output = scratch.run([
        "--file",
        "new.db",
        "--key-file",
        "k",
        "import",
        "--from",
        "codexdb-go",
        "old.db",
        "--dry-run",
    ]);
    assert_eq!(output.status.code(), Some(0), "a dry run needs no database: {}", stderr(&output));
    assert!(stderr(&output).contains("no checksum"), "{}", stderr(&output));
    let done = object(&scratch.ok("--json --file new.db import --from codexdb-go old.db"));
    assert_eq!((&done["checksum"], &done["imported"]), (&json!(false), &json!(1)));
}

#[test]
fn what_is_no_file_and_what_says_nothing_is_refused() {
    let scratch = Scratch::in_memory();
    scratch.write("lines", "{\"key\":\"a\",\"value\":1}\n");
    std::fs::create_dir(scratch.path("folder")).expect("a folder");
    for (line, code) in [
        ("import --from codexdb-go -", 2),
        ("import --from codexdb-go folder", 2),
        ("import --from codexdb-go missing", 1),
        ("import --from codexdb-go lines", 6),
        ("import --from other lines", 2),
        ("import lines --partial", 2),
        ("import lines --from-key-file k", 2),
        ("import lines --from-mode ledger", 2),
    ] {
        assert_eq!(error(&scratch, &format!("--file new.db {line}")).0, code, "{line}");
        nothing_was_made(&scratch);
    }
}

#[test]
fn no_message_holds_what_the_file_holds() {
    let scratch = Scratch::in_memory();
    for body in ["{\"op\":7,\"key\":\"s3cret\"}", "{\"op\":0,\"key\":\"s3cret\",\"value\":s3cret}"] {
        scratch.write("old.db", frame(body.as_bytes(), None, 0));
        for json in ["", "--json "] {
            let (code, said) = scratch.fails(&format!("{json}--file new.db import --from codexdb-go old.db"));
            assert!(code == 2 && !said.contains("s3cret"), "{said}");
        }
    }
}

#[test]
fn a_disk_that_fills_up_says_how_much_is_in_the_database() {
    let scratch = Scratch::new();
    let value = format!("\"{}\"", "x".repeat(1000));
    let changes: Vec<_> = (0..2000).map(|number| set(&number.to_string(), &value)).collect();
    scratch.write("old.db", ledger(&changes, Packing::Absent, None));
    // 2,000 blocks of 512 bytes: the data needs four times that.
    let output = scratch.sh(
        "ulimit -f 2000; trap '' XFSZ; $CODEX --file new.db --mode ledger --json import --from codexdb-go old.db",
    );
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let said = object(&stderr(&output));
    assert_eq!(said["error"]["kind"], "Io");
    let committed = said["error"]["committed"].as_u64().expect("a number");
    let count: u64 = scratch.ok("--file new.db count").trim().parse().expect("a number");
    assert!((1..2000).contains(&committed) && (committed..2000).contains(&count), "{committed} of {count}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_bomb_takes_no_memory_that_its_length_does_not_account_for() {
    let scratch = Scratch::in_memory();
    // White space, of which a snapshot keeps nothing, and one text without end.
    let white = [b"{".to_vec(), vec![b' '; 256 << 20]].concat();
    let text = [&b"{\"data\": {\"key\": \""[..], &vec![b'x'; 256 << 20]].concat();
    for packing in [Packing::Gzip, Packing::Zstd] {
        for (name, content) in [("white", &white), ("text", &text)] {
            let snapshot = packing.pack(content);
            let first = frame(b"{\"op\":0,\"key\":\"k\",\"value\":1}", None, 0);
            let ledger = [first, frame(&snapshot, None, 0)].concat();
            for (form, bomb) in [("snapshot", snapshot), ("ledger", ledger)] {
                // 1,024 bytes for each of the file, and 1 MiB; one record at a time.
                let kept_kib =
                    if (name, form) == ("white", "snapshot") { 0 } else { bomb.len() as u64 + 1024 };
                scratch.write("bomb", &bomb);
                let (peak_kib, said) = peak_of(&scratch, "bomb");
                let place =
                    format!("{name}, {form}, {packing:?}, {} bytes: {peak_kib} KiB; {said}", bomb.len());
                assert!(said.contains("\"kind\":\"Integrity\""), "{place}");
                assert!(form == "snapshot" || said.contains("expands to more"), "{place}");
                assert!((1000..COMMAND_KIB + kept_kib).contains(&peak_kib), "{place}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_few_bytes_that_claim_gigabytes_take_no_memory() {
    let scratch = Scratch::in_memory();
    let zstd = |rest: &[u8]| [&[2, 3, 0x28, 0xb5, 0x2f, 0xfd], rest].concat();
    let claims = [
        vec![0xff; 40],
        [&[0xff; 4][..], &[0; 60]].concat(),
        // A snappy block of 4 GiB, of 1 GiB, and of what three bytes cannot yield.
        b"\x03\x03\xff\xff\xff\xff\x0f\x04{\"".to_vec(),
        b"\x03\x03\x80\x80\x80\x80\x04\x04{\"".to_vec(),
        b"\x03\x03\x80\x80\x01\x04{\"".to_vec(),
        // A zstd frame with a window of 3.75 TiB, one with 128 MiB, one with a content of 2^64 - 1 bytes.
        zstd(&[0x00, 0xff, 0x01, 0x00, 0x00]),
        zstd(&[0x00, 0x88, 0x01, 0x00, 0x00]),
        zstd(&[0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00, 0x00]),
    ];
    for claim in claims {
        for file in [claim.clone(), frame(&claim, None, 0)] {
            scratch.write("claim", &file);
            // A command that wanted more than 100 MB would be ended by its allocator, and say nothing of this.
            let output =
                scratch.sh("ulimit -v 100000; $CODEX --json import --dry-run --from codexdb-go claim");
            let said = object(&stderr(&output));
            let code = output.status.code().expect("it ends by itself");
            assert!([2, 5, 6].contains(&code), "{file:x?}: {said}");
        }
    }
}

/// What the command itself takes, with its buffers.
const COMMAND_KIB: u64 = 20_000;

/// Memory that a dry run took at its peak, and what it said.
fn peak_of(scratch: &Scratch, file: &str) -> (u64, String) {
    let output = scratch.sh(&format!(
        "$CODEX --json import --dry-run --from codexdb-go {file} 2>said &
         while now=$(sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$!/status 2>/dev/null) && [ \"$now\" ]; do
             peak=$now
         done
         echo $peak"
    ));
    let said = String::from_utf8(scratch.read("said")).expect("JSON is text");
    (stdout(&output).trim().parse().expect("a number"), said)
}
