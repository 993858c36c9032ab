//! What runs short and what rots: memory, the disk behind an import, the reader of the output, any bit of the file.
#![cfg(unix)]

mod common;

use common::{DATA, DATA_RECORDS, Scratch, stderr, stdout};

#[cfg(target_os = "linux")]
#[test]
fn an_import_takes_no_more_memory_for_more_input() {
    let scratch = Scratch::new();
    // The values of one key replace each other, so that the database itself stays small.
    let line = format!("{{\"key\":\"k\",\"value\":\"{}\"}}\n", "x".repeat(100_000));
    scratch.write("in", line.repeat(800));
    let output = scratch.sh(
        "$CODEX --file a.db -q import in >/dev/null &
         while now=$(sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$!/status 2>/dev/null) && [ \"$now\" ]; do
             peak=$now
             sleep 0.01
         done
         wait $! && echo $peak",
    );
    let peak_kib: u64 = stdout(&output).trim().parse().expect("a number");
    assert!((1000..50_000).contains(&peak_kib), "{peak_kib} KiB for 80 MB of input");
}

#[test]
fn a_disk_that_fills_up_under_an_import_keeps_the_batches_that_were_committed() {
    for mode in ["ledger", "snapshot"] {
        let scratch = Scratch::new();
        scratch.keygen("key");
        let with = format!("--file a.db --mode {mode} --key-file key --json");
        // 400 blocks of 512 bytes: the data needs about 700.
        let full = format!("ulimit -f 400; trap '' XFSZ; $CODEX {with} import '{DATA}'");
        let output = scratch.sh(&full);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        let said: serde_json::Value = serde_json::from_str(&stderr(&output)).expect("one JSON object");
        assert_eq!(said["error"]["kind"], "Io");
        let committed = said["error"]["committed"].as_u64().expect("how many were committed");
        assert!((1000..3568).contains(&committed), "{committed}");

        let count = |records| format!("{{\"count\":{records}}}\n");
        scratch.ok(&format!("{with} verify"));
        assert_eq!(scratch.ok(&format!("{with} count")), count(committed));
        assert_eq!(scratch.sh(&full).status.code(), Some(4), "it is still full");
        assert_eq!(scratch.ok(&format!("{with} count")), count(committed));
        scratch.ok(&format!("{with} import {DATA}"));
        assert_eq!(scratch.ok(&format!("{with} count")), count(DATA_RECORDS as u64));
        scratch.ok(&format!("{with} verify"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set k 1");
    for verb in ["get k", "keys", "scan", "export", "stats", "keygen -", "--help"] {
        let output = scratch.sh(&format!("$CODEX --file a.db {verb} >/dev/full"));
        assert_eq!(output.status.code(), Some(4), "{verb}: {}", stderr(&output));
        assert!(stderr(&output).contains("write to standard output"), "{verb}: {}", stderr(&output));
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_never_shown_as_data() {
    for (mode, with) in [("ledger", "--key-file key"), ("ledger", ""), ("snapshot", "")] {
        let scratch = Scratch::new();
        scratch.keygen("key");
        for number in 0..5 {
            scratch.ok(&format!("--file a.db --mode {mode} {with} -q set key{number} {number}"));
        }
        let whole = scratch.read("a.db");
        let records = scratch.ok(&format!("--file a.db {with} scan"));
        // Both copies of the header, the first bytes behind them, and the last byte of all.
        for offset in (0..8192).step_by(233).chain(8192..8212).chain([whole.len() - 1]) {
            let mut damaged = whole.clone();
            damaged[offset] ^= 0x10;
            scratch.write("b.db", &damaged);
            let place = format!("{mode} {with}, byte {offset} of {}", whole.len());
            let (code, said) = scratch.fails(&format!("--file b.db {with} verify"));
            assert_eq!(code, 6, "{place}: {said}");
            // One copy of the header stands in for the other, so it may still be read, but never wrongly.
            let words = format!("--file b.db {with} scan");
            let output = scratch.run(words.split_whitespace());
            assert!(!output.status.success() || stdout(&output) == records, "{place}");
            assert!(scratch.read("b.db") == damaged, "{place}: a reader changed the file");
        }
    }
}

#[test]
fn a_database_behind_a_link_stays_behind_it() {
    let scratch = Scratch::new();
    scratch.ok("--file real.db -q set k 1");
    std::os::unix::fs::symlink("real.db", scratch.path("link.db")).expect("a link");
    scratch.ok("--file link.db set k 2");
    assert!(scratch.path("link.db").is_symlink());
    assert_eq!(scratch.ok("--file real.db get k"), "2\n");
}

#[test]
fn help_names_every_command_and_every_exit_code() {
    let scratch = Scratch::new();
    let help = scratch.ok("--help");
    let verbs = "set get delete has keys clear count scan import export batch verify head stats backup backups \
                 restore keygen tour";
    for verb in verbs.split_whitespace() {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb}");
        scratch.ok(&format!("{verb} --help"));
    }
    for code in [0, 1, 2, 3, 4, 5, 6, 7, 70, 141] {
        assert!(help.contains(&format!(" {code}  ")), "{code}");
    }
}
