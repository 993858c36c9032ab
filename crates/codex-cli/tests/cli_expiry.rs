//! Records that expire, through the real command. Nothing waits: what has expired has a time that has passed.

mod common;

use common::{Scratch, stderr, stdout};

#[test]
fn a_record_is_set_for_a_time_that_is_shown_and_a_plain_set_lets_it_live_for_ever() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set session 1 --ttl 7d");
    assert_eq!(scratch.ok("--file a.db get session"), "1\n");
    let left = scratch.ok("--file a.db ttl session");
    assert!(["168h\n", "167h 59m"].iter().any(|text| left.starts_with(text)), "{left}");
    let json = scratch.ok("--file a.db --json ttl session");
    assert!(json.starts_with("{\"expires_unix_ms\":") && json.contains(",\"ttl_ms\":604"), "{json}");
    scratch.ok("--file a.db set --raw --ttl 7d bytes x");
    assert!(
        scratch.ok("--file a.db --json get bytes").contains("\"value_base64\":\"eA==\",\"expires_unix_ms\":")
    );

    scratch.ok("--file a.db set session 2");
    assert_eq!(scratch.ok("--file a.db ttl session"), "never expires\n");
    assert_eq!(scratch.ok("--file a.db --json ttl session"), "{\"expires_unix_ms\":null,\"ttl_ms\":null}\n");
    assert_eq!(scratch.fails("--file a.db ttl absent").0, 1);
}

#[test]
fn an_expired_record_is_absent_for_every_command() {
    let scratch = Scratch::new();
    scratch.write(
        "in",
        concat!(
            "{\"key\":\"gone\",\"value\":1,\"expires_unix_ms\":1}\n",
            "{\"key\":\"there\",\"value\":2,\"expires_unix_ms\":9000000000000}\n",
        ),
    );
    for mode in ["snapshot", "ledger"] {
        let db = format!("--file {mode}.db");
        scratch.ok(&format!("{db} --mode {mode} -q import in"));
        for verb in ["get gone", "has gone", "ttl gone", "delete gone"] {
            assert_eq!(scratch.fails(&format!("{db} {verb}")).0, 1, "{mode}: {verb}");
        }
        assert_eq!(scratch.ok(&format!("{db} keys")), "there\n");
        assert_eq!(scratch.ok(&format!("{db} count")), "1\n");
        assert_eq!(scratch.ok(&format!("{db} scan --glob *")), "there\t2\n");
        let exported = scratch.ok(&format!("{db} export"));
        assert_eq!(exported, "{\"key\":\"there\",\"value\":2,\"expires_unix_ms\":9000000000000}\n");
    }
    // The past is what the log says.
    let versions = scratch.ok("--file ledger.db --json history gone");
    assert!(versions.ends_with("\"key\":\"gone\",\"value\":1,\"expires_unix_ms\":1}\n"), "{versions}");
    assert_eq!(scratch.ok("--file ledger.db get gone --at 1"), "1\n");
}

#[test]
fn deadlines_survive_export_import_and_batches() {
    let scratch = Scratch::new();
    let records = concat!(
        "{\"key\":\"json\",\"value\":{\"a\":1.10},\"expires_unix_ms\":9000000000000}\n",
        "{\"key\":\"packed\",\"codec\":\"bincode\",\"value_base64\":\"BWhlbGxv\",\"expires_unix_ms\":9000000000001}\n",
        "{\"key\":\"raw\",\"codec\":\"raw\",\"value_base64\":\"AAEC\",\"expires_unix_ms\":18446744073709}\n",
    );
    scratch.write("in", records);
    let output = scratch.sh(
        "$CODEX --file a.db -q import in >&2 && $CODEX --file a.db export - | $CODEX --file b.db -q import - >&2 && \
         sed 's/^{/{\"op\":\"set\",/' in | $CODEX --file c.db -q batch >&2 && \
         for db in a b c; do $CODEX --file $db.db export - | cmp - in && echo same; done",
    );
    assert_eq!(stdout(&output), "same\nsame\nsame\n", "{}", stderr(&output));
}

#[test]
fn a_time_to_live_that_is_none_is_refused_before_anything_is_created() {
    let scratch = Scratch::new();
    for ttl in ["60", "0s", "-5s", "600y", "s3cret"] {
        let (code, said) = scratch.fails(&format!("--file a.db set k 1 --ttl={ttl}"));
        assert_eq!(code, 2, "{ttl}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
        assert!(!scratch.path("a.db").exists(), "{ttl}");
    }
    scratch.write("in", "{\"key\":\"k\",\"value\":1,\"expires_unix_ms\":18446744073710}\n");
    let (code, said) = scratch.fails("--file imported.db import in");
    assert_eq!(code, 2);
    assert!(said.contains("line 1 is wrong: \"expires_unix_ms\" is beyond the year 2554"), "{said}");
    assert!(!scratch.path("a.db").exists());
    // Beyond that year only together with the time of the commit.
    let (code, said) = scratch.fails("--file a.db set k 1 --ttl 5000000h");
    assert_eq!(code, 2);
    assert!(said.contains("up to the year 2554"), "{said}");
    assert_eq!(scratch.fails("--file a.db get k").0, 1);
}
