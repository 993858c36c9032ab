//! What an auditor sees: heads and proofs go from one machine to another as text, a check needs neither database nor
//! key, and whatever is wrong with them has its own message and exit code.

mod common;

use common::{Scratch, stderr, stdout};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON object")
}

/// An encrypted ledger of five commits, `app.db`, with `key`, and a signing key `sign` beside it.
fn ledger() -> Scratch {
    let scratch = Scratch::in_memory();
    scratch.keygen("key");
    scratch.ok("--quiet keygen --signing sign --name example.com/audit");
    commits(&scratch, "app.db", 1..=5);
    scratch
}

fn commits(scratch: &Scratch, file: &str, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        scratch.ok(&format!("--file {file} --mode ledger --key-file key set k{number} {number}"));
    }
}

fn write(scratch: &Scratch, name: &str, line: &str) {
    let printed = scratch.ok(line);
    scratch.write(name, printed);
}

const DB: &str = "--file app.db --key-file key";

#[test]
fn a_signed_head_and_proofs_are_checked_on_a_machine_that_has_nothing_else() {
    let scratch = ledger();
    write(&scratch, "head", &format!("{DB} head --sign sign"));
    commits(&scratch, "app.db", 6..=9);
    write(&scratch, "proof", &format!("{DB} prove 3 --sign sign"));
    write(&scratch, "since", &format!("{DB} prove --since head --sign sign"));

    let elsewhere = Scratch::in_memory();
    for name in ["head", "proof", "since", "sign.pub"] {
        elsewhere.write(name, scratch.read(name));
    }
    let said = elsewhere.ok("check-proof proof --public-key sign.pub");
    assert!(said.starts_with("commit 3 is in the log of codex/"), "{said}");
    let object = json(&elsewhere.ok("--json check-proof proof --public-key sign.pub"));
    assert_eq!((object["first_sequence"].as_u64(), object["last_sequence"].as_u64()), (Some(3), Some(3)));
    assert_eq!((object["index"].as_u64(), object["size"].as_u64()), (Some(2), Some(9)));
    assert!(object["signed_by"].as_str().is_some_and(|key| key.starts_with("example.com/audit+")));
    let object = json(&elsewhere.ok("--json check-proof since --head head --public-key sign.pub"));
    assert_eq!((object["from"].as_u64(), object["size"].as_u64()), (Some(5), Some(9)));
    let said = elsewhere.sh("\"$CODEX\" check-proof - --public-key sign.pub < proof");
    assert!(stdout(&said).starts_with("commit 3 is"), "{}", stderr(&said));

    let head = json(&scratch.ok(&format!("{DB} --json head --sign sign")));
    assert_eq!(head["origin"], object["origin"]);
    assert_eq!((head["size"].as_u64(), head["sequence"].as_u64()), (Some(9), Some(9)));
    assert!(head["note"].as_str().is_some_and(|note| note.contains("\u{2014} example.com/audit ")));
}

#[test]
fn verify_says_whether_the_database_continues_a_head_and_notices_a_rollback_and_a_fork() {
    let scratch = ledger();
    scratch.write("older.db", scratch.read("app.db"));
    write(&scratch, "first", &format!("{DB} head"));
    commits(&scratch, "app.db", 6..=7);
    write(&scratch, "head", &format!("{DB} head --sign sign"));
    let verify = |file: &str, options: &str| format!("--file {file} --key-file key verify {options}");
    let last = |text: String| text.lines().last().expect("a line").to_owned();
    assert_eq!(
        last(scratch.ok(&verify("app.db", "--head first"))),
        "it continues the head of 5 frames that was given, by 2"
    );
    let same = "it is the head that was given";
    assert_eq!(last(scratch.ok(&verify("app.db", "--head head --public-key sign.pub"))), same);
    let object = json(&scratch.ok(&verify("app.db", "--head first --json")));
    assert_eq!(object["given_head"], serde_json::json!({"size": 5, "relation": "extends"}));

    let (code, said) = scratch.fails(&verify("older.db", "--head head"));
    assert_eq!(code, 6);
    assert!(said.contains("the head has 7 frames and the log only 5: this is an older copy"), "{said}");
    assert!(said.contains("hint: keep this file as it is"), "{said}");
    scratch.write("fork.db", scratch.read("older.db"));
    commits(&scratch, "fork.db", 8..=10);
    let (code, said) = scratch.fails(&verify("fork.db", "--head head"));
    assert_eq!(code, 6);
    assert!(said.contains("the log has other frames than the head's 7"), "{said}");
    commits(&scratch, "other.db", 1..=7);
    let (code, said) = scratch.fails(&verify("other.db", "--head head"));
    assert_eq!(code, 2);
    assert!(said.contains("the head is that of another database, codex/"), "{said}");
    // The same without the key.
    for (file, code) in [("older.db", 6), ("fork.db", 6), ("other.db", 2)] {
        assert_eq!(scratch.fails(&format!("--file {file} verify --head head")).0, code, "{file}");
    }
    assert_eq!(last(scratch.ok("--file app.db verify --head head")), same);
}

#[test]
fn a_rewritten_database_says_so_and_knows_its_predecessor_only() {
    let scratch = Scratch::in_memory();
    let set = |key: usize| scratch.ok(&format!("--file s.db -q set k{key} 1"));
    set(1);
    write(&scratch, "first", "--file s.db head");
    // Superseded values until closing finds that a rewrite pays.
    let value = format!("\"{}\"", "x".repeat(1 << 20));
    let lines = format!("{{\"key\":\"k\",\"value\":{value}}}\n").repeat(40);
    scratch.write("lines", lines);
    scratch.ok("--file s.db import lines");
    let (code, said) = scratch.fails("--file s.db verify --head first");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("the database was rewritten since the head was taken"), "{said}");
}

#[test]
fn without_its_key_a_database_is_verified_as_far_as_that_goes_and_says_what_was_not() {
    let scratch = ledger();
    let with_key = json(&scratch.ok(&format!("{DB} --json verify")));
    let said = scratch.ok("--file app.db verify");
    assert!(said.starts_with("5 frames and 5 commits are linked, without the key\nNOT checked: "), "{said}");
    let without = json(&scratch.ok("--file app.db --json verify"));
    for member in ["root", "size", "origin", "frames", "commits", "sequence"] {
        assert_eq!(without[member], with_key[member], "{member}");
    }
    assert_eq!(with_key["not_checked"], Value::Null);
    assert!(without["not_checked"].as_array().is_some_and(|all| !all.is_empty()));
    let mut bytes = scratch.read("app.db");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    scratch.write("damaged.db", bytes);
    assert_eq!(scratch.fails("--file damaged.db verify").0, 6);
    // A wrong key is no missing one.
    scratch.keygen("wrong");
    assert_eq!(scratch.fails("--file app.db --key-file wrong verify").0, 5);
    assert_eq!(scratch.fails("--file missing.db verify").0, 1);
}

#[test]
fn a_proof_against_a_head_that_nobody_vouches_for_is_no_proof() {
    let scratch = ledger();
    write(&scratch, "proof", &format!("{DB} prove 3"));
    write(&scratch, "head", &format!("{DB} head"));
    let (code, said) = scratch.fails("check-proof proof");
    assert_eq!(code, 2);
    assert!(said.contains("nothing vouches for the head"), "{said}");
    scratch.ok("check-proof proof --head head");
    // Unsigned, where a signature is asked for; and signed by somebody else.
    let (code, said) = scratch.fails("check-proof proof --public-key sign.pub");
    assert_eq!(code, 6);
    assert!(said.contains("example.com/audit+") && said.contains(" has not signed it"), "{said}");
    scratch.ok("-q keygen --signing other --name example.com/audit");
    write(&scratch, "proof", &format!("{DB} prove 3 --sign other"));
    assert_eq!(scratch.fails("check-proof proof --public-key sign.pub").0, 6);
    scratch.ok("check-proof proof --public-key other.pub");
}

#[test]
fn a_proof_that_does_not_fit_is_refused_with_the_reason() {
    let scratch = ledger();
    write(&scratch, "head", &format!("{DB} head"));
    write(&scratch, "proof", &format!("{DB} prove 3"));
    let refused = |proof: &[u8], options: &str| {
        scratch.write("wrong", proof);
        scratch.fails(&format!("check-proof wrong {options}"))
    };
    let proof = scratch.read("proof");
    let text = String::from_utf8(proof.clone()).expect("text");
    let hash = text.lines().nth(3).expect("a hash");
    for (wrong, code, reason) in [
        (text.replacen(&format!("{hash}\n"), "", 1), 6, "the proof has too few hashes"),
        (text.replacen(hash, &format!("{hash}\n{hash}"), 1), 6, "the proof has too many hashes"),
        (text.replacen("index 2", "index 1", 1), 6, "does not lead from the frame to the head"),
        (text.replacen("index 2", "index 5", 1), 6, "a log of 5 frames has no frame 5"),
        (text.replacen("index 2", "index -2", 1), 2, "its index is not as it must be"),
        (text.replacen("c2sp.org", "example.com", 1), 2, "not a proof of this kind"),
        (text[..text.len() / 2].to_owned(), 2, ""),
        (String::new(), 2, "not a proof of this kind"),
        ("\u{0}".repeat(5 << 20), 2, "longer than any head or proof"),
    ] {
        let (got, said) = refused(wrong.as_bytes(), "--head head");
        assert!(got == code && said.contains(reason), "{reason}: {got}, {said}");
    }
    assert_eq!(refused(b"\xff\xfe", "--head head").0, 2);
    commits(&scratch, "other.db", 1..=5);
    write(&scratch, "other-head", "--file other.db --key-file key head");
    let (code, said) = refused(&proof, "--head other-head");
    assert!(code == 2 && said.contains("the log of another database, codex/"), "{said}");
    commits(&scratch, "app.db", 6..=6);
    write(&scratch, "newer", &format!("{DB} head"));
    let (code, said) = refused(&proof, "--head newer");
    assert!(code == 2 && said.contains("a head of 5 frames, and the head that was given has 6"), "{said}");
    // A fork of the same length.
    scratch.write("fork.db", scratch.read("app.db"));
    commits(&scratch, "app.db", 7..=7);
    commits(&scratch, "fork.db", 8..=8);
    write(&scratch, "fork-head", "--file fork.db --key-file key head");
    let fresh = scratch.ok(&format!("{DB} prove 3"));
    let (code, said) = refused(fresh.as_bytes(), "--head fork-head");
    assert!(code == 6 && said.contains("another head of the same size: there was a fork"), "{said}");
    write(&scratch, "since", &format!("{DB} prove --since head"));
    let (code, said) = scratch.fails("check-proof since");
    assert!(code == 2 && said.contains("continues an older head, which is not given"), "{said}");
    let (code, said) = scratch.fails("check-proof since --head newer");
    assert!(code == 2 && said.contains("it begins at 5 frames, and the head has 6"), "{said}");
    let (code, said) = scratch.fails("check-proof since --head other-head");
    assert!(code == 2 && said.contains("are of two databases"), "{said}");
}

#[test]
fn what_cannot_be_proven_says_why() {
    let scratch = ledger();
    let (code, said) = scratch.fails(&format!("{DB} prove 6"));
    assert!(
        code == 1 && said.contains("there is no commit 6 in the log, whose commits are 1 to 5"),
        "{said}"
    );
    assert_eq!(scratch.fails(&format!("{DB} prove")).0, 2);
    write(&scratch, "head", &format!("{DB} head"));
    assert_eq!(scratch.fails(&format!("{DB} prove 3 --since head")).0, 2);
    commits(&scratch, "other.db", 1..=2);
    let (code, said) = scratch.fails("--file other.db --key-file key prove --since head");
    assert!(code == 2 && said.contains("of another database"), "{said}");
    scratch.write("text", "no head");
    assert_eq!(scratch.fails(&format!("{DB} verify --head text")).0, 2);
    assert_eq!(scratch.fails(&format!("{DB} verify --head missing")).0, 1);
    assert_eq!(scratch.fails(&format!("{DB} verify --public-key sign.pub")).0, 2);
    assert_eq!(scratch.fails(&format!("{DB} verify --head head --public-key head")).0, 2);
}

#[test]
fn a_signing_key_is_private_never_replaced_and_never_shown() {
    let scratch = ledger();
    #[cfg(unix)]
    assert_eq!(common::mode(&scratch.path("sign")), 0o600);
    let before = scratch.read("sign");
    assert_eq!(scratch.fails("keygen --signing sign").0, 2);
    assert!(scratch.read("sign") == before);
    // A public key alone is left, too: whose it was is not known.
    std::fs::remove_file(scratch.path("sign")).expect("it is there");
    assert_eq!(scratch.fails("keygen --signing sign").0, 2);
    assert!(!scratch.path("sign").exists());
    scratch.write("sign", "PRIVATE+KEY+s3cret+00000000+AAAA");
    #[cfg(unix)]
    {
        let (code, said) = scratch.fails(&format!("{DB} head --sign sign"));
        assert!(code == 3 && said.contains("chmod 600 sign"), "{said}");
        scratch.sh("chmod 600 sign");
    }
    let (code, said) = scratch.fails(&format!("{DB} head --sign sign"));
    assert!(code == 2 && !said.contains("s3cret"), "{said}");
    assert_eq!(scratch.fails("keygen --signing -").0, 2);
    assert_eq!(scratch.fails("keygen --name x").0, 2);
    assert_eq!(scratch.fails("keygen --signing new --name a+b").0, 2);
    assert!(!scratch.path("new").exists() && !scratch.path("new.pub").exists());
}
