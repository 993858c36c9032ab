//! Keys and passphrases: where they may come from, what they protect, and that they are never shown.

mod common;

use std::process::Stdio;

use common::secrets::{ENCRYPTION_KEY, KEY, PASSPHRASE, VALUE, assert_untold};
use common::{DATA, Scratch, stderr, stdout};

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn the_same_key_unlocks_from_file_and_variable_in_both_forms() {
    let scratch = Scratch::new();
    scratch.ok("-q keygen key");
    std::fs::write(scratch.path("key"), HEX).expect("the key file can be written");
    scratch.ok("--file a.db --key-file key set k 1");
    for text in [HEX, BASE64, &format!(" {BASE64}\n")] {
        let output = scratch.codex().env("CODEX_KEY", text).args(["--file", "a.db", "get", "k"]).output();
        assert_eq!(stdout(&output.expect("the command runs")), "1\n");
    }
    let json = scratch.ok("--file a.db --key-file key --json stats");
    assert!(json.contains("\"encrypted\":true"), "{json}");
}

#[test]
fn a_wrong_or_missing_key_leaves_the_file_as_it_was() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    scratch.keygen("other");
    scratch.ok("--file a.db --key-file key set k 1");
    let before = scratch.read("a.db");
    for words in ["", "--key-file other", "--passphrase-file other"] {
        for verb in ["get k", "set k 2", "delete k", "clear --yes", "verify", "backup b.db"] {
            // Without any key it goes as far as the Merkle log does (cli_evidence.rs).
            if (words, verb) == ("", "verify") {
                scratch.ok("--file a.db verify");
                assert!(scratch.read("a.db") == before);
                continue;
            }
            let (code, said) = scratch.fails(&format!("--file a.db {words} {verb}"));
            assert_eq!(code, 5, "{words} {verb}: {said}");
            assert!(said.contains("hint: "), "{said}");
            assert!(scratch.read("a.db") == before, "{words} {verb}");
        }
    }
    assert!(!scratch.path("b.db").exists());
    assert_eq!(scratch.ok("--file a.db --key-file key get k"), "1\n");

    scratch.ok("--file plain.db -q set k 1");
    let before = scratch.read("plain.db");
    let (code, said) = scratch.fails("--file plain.db --key-file key set k 2");
    assert_eq!(code, 2, "{said}");
    assert!(scratch.read("plain.db") == before);
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_use_is_refused_with_the_command_that_mends_it() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let key = scratch.keygen("key");
    for mode in [0o640, 0o604, 0o622] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("it is ours");
        let (code, said) = scratch.fails("--file a.db --key-file key set k 1");
        assert_eq!(code, 3, "{mode:o}: {said}");
        assert!(said.contains("hint: chmod 600 key"), "{said}");
        assert!(!scratch.path("a.db").exists());
    }
    assert!(scratch.sh("chmod 600 key && $CODEX --file a.db --key-file key set k 1").status.success());
}

#[cfg(unix)]
#[test]
fn a_credential_of_systemd_is_taken_though_a_group_can_read_it() {
    let scratch = Scratch::new();
    let output = scratch.sh(
        "mkdir credentials && $CODEX -q keygen credentials/app.key && (umask 077; echo words >credentials/words)
         chmod 440 credentials/* && ln -s credentials of-the-service && ln -s credentials/app.key app.key
         export CREDENTIALS_DIRECTORY=$PWD/of-the-service
         $CODEX --file a.db --key-file credentials/app.key set k 1 &&
         $CODEX --file a.db --key-file $CREDENTIALS_DIRECTORY/app.key get k &&
         $CODEX --file a.db --key-file app.key get k &&
         chmod 400 credentials/app.key && $CODEX --file a.db --key-file credentials/app.key get k &&
         $CODEX --file b.db --passphrase-file credentials/words set k 2 &&
         $CODEX --file b.db --passphrase-file credentials/words get k",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "1\n1\n1\n2\n");
}

#[cfg(unix)]
#[test]
fn what_others_can_use_or_lies_elsewhere_is_no_credential() {
    let scratch = Scratch::new();
    let prepared = scratch.sh(
        "mkdir -p credentials/deeper other && $CODEX -q keygen other/app.key && chmod 440 other/app.key
         for mode in 444 441 460 442 446; do
             cp other/app.key credentials/$mode && chmod $mode credentials/$mode
         done
         cp -p other/app.key credentials/deeper/ && cp -p other/app.key credentials/app.key
         ln -s ../other/app.key credentials/out && ln -s deeper/app.key credentials/down
         CODEX_KEY=$(cat other/app.key) $CODEX --file a.db set k 1",
    );
    assert!(prepared.status.success(), "{}", stderr(&prepared));
    let run = |folder: &str, key: &str| {
        let mut codex = scratch.codex();
        codex.env("CREDENTIALS_DIRECTORY", folder).args(["--file", "a.db", "--key-file", key, "get", "k"]);
        codex.output().expect("the command runs")
    };
    for (folder, key) in [
        ("credentials", "other/app.key"),
        ("credentials", "credentials/../other/app.key"),
        ("credentials", "credentials/out"),
        ("credentials", "credentials/down"),
        ("credentials", "credentials/deeper/app.key"),
        ("credentials", "credentials/444"),
        ("credentials", "credentials/441"),
        ("credentials", "credentials/460"),
        ("credentials", "credentials/442"),
        ("credentials", "credentials/446"),
        ("", "credentials/app.key"),
        ("missing", "credentials/app.key"),
        ("credentials/app.key", "credentials/app.key"),
    ] {
        let output = run(folder, key);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{folder}, {key}: {said}");
        assert!(said.contains("others than its owner can use"), "{said}");
    }
    let output = run("credentials", "credentials/app.key");
    assert_eq!(stdout(&output), "1\n", "what is refused above opens it: {}", stderr(&output));
}

#[test]
fn keygen_makes_different_keys_and_overwrites_none() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    let first = scratch.read("key");
    let text = String::from_utf8(first.clone()).expect("text");
    assert!(text.len() == 65 && text.trim_end().bytes().all(|digit| digit.is_ascii_hexdigit()));
    let (code, said) = scratch.fails("keygen key");
    assert_eq!(code, 2, "{said}");
    assert!(scratch.read("key") == first);
    let other = scratch.ok("keygen -");
    assert!(other.len() == 65 && other != text);
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_part_of_a_key() {
    let scratch = Scratch::new();
    let output = scratch.sh("ulimit -f 0; trap '' XFSZ; $CODEX keygen key");
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(!scratch.path("key").exists());
    scratch.keygen("key");
}

#[test]
fn a_passphrase_file_unlocks_with_its_first_line() {
    let scratch = Scratch::new();
    let output = scratch.sh(
        "umask 077; printf 'correct horse\\nsecond line\\n' >words; printf 'correct horse' >bare
         $CODEX --file a.db --passphrase-file words set k 1 && $CODEX --file a.db --passphrase-file bare get k",
    );
    assert_eq!(stdout(&output), "1\n", "{}", stderr(&output));
    let output =
        scratch.sh("umask 077; echo battery >wrong; $CODEX --file a.db --passphrase-file wrong get k");
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
}

#[cfg(target_os = "linux")]
#[test]
fn a_passphrase_without_a_terminal_is_refused_and_says_what_else_works() {
    let scratch = Scratch::new();
    // setsid: the command has no terminal, even if the tests have one.
    let output = scratch.sh("echo words | setsid -w $CODEX --file a.db --passphrase set k 1");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--passphrase-file"), "{}", stderr(&output));
    assert!(!scratch.path("a.db").exists());
}

#[test]
fn a_bad_key_or_an_empty_variable_makes_no_database() {
    let scratch = Scratch::new();
    for text in ["", "s3cret", &HEX[1..], &BASE64[4..]] {
        let output = scratch
            .codex()
            .env("CODEX_KEY", text)
            .args(["--file", "a.db", "set", "k", "1"])
            .stdin(Stdio::null())
            .output()
            .expect("the command runs");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(text.is_empty() || !said.contains(text), "{said}");
    }
    assert!(!scratch.path("a.db").exists());
}

#[test]
fn a_new_database_without_a_key_is_noted_once() {
    let scratch = Scratch::new();
    let first = scratch.run(["--file", "a.db", "set", "k", "1"]);
    assert_eq!(stderr(&first).lines().count(), 1, "{}", stderr(&first));
    assert!(stderr(&first).contains("without encryption"), "{}", stderr(&first));
    assert_eq!(stderr(&scratch.run(["--file", "a.db", "set", "k", "1"])), "");
    assert_eq!(stderr(&scratch.run(["--file", "b.db", "--json", "set", "k", "1"])), "");
}

#[test]
fn nothing_that_was_stored_stands_in_any_file_of_an_encrypted_database() {
    let scratch = Scratch::new();
    let key = scratch.keygen("key");
    let key = std::fs::read_to_string(key).expect("a key");
    for mode in ["ledger", "snapshot"] {
        scratch.ok(&format!("--file {mode}.db --mode {mode} --key-file key import {DATA}"));
        scratch.ok(&format!("--file {mode}.db --key-file key set s3cret-key \"s3cret-value\""));
        scratch.ok(&format!("--file {mode}.db --key-file key backup {mode}.copy"));
    }
    let mut files = 0;
    for entry in std::fs::read_dir(scratch.folder()).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.ends_with("key") || path.is_dir() {
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for secret in [b"s3cret".as_slice(), b"LATIN", b"U+00", key.trim().as_bytes()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
        }
        files += 1;
    }
    assert!(files >= 4, "both databases and both copies were looked at");
}

#[test]
fn no_error_shows_a_value_a_record_key_or_a_secret() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    std::fs::write(scratch.path("key"), format!("{HEX}\n")).expect("the key file can be written");
    scratch.ok("--file a.db --key-file key set s3cret 1");
    scratch.write("lines", "{\"key\":\"s3cret\",\"value\":s3cret}\n");
    for line in [
        "--file a.db set s3cret s3cret",
        "--file a.db get s3cret",
        "--file a.db --key-file key get s3cret-not-there",
        "--file a.db --key-file key set s3cret s3cret",
        "--file a.db --key-file key set s3cret 1 s3cret",
        "--file a.db --key-file key --mode ledger set s3cret 1",
        "--file a.db --key-file key import lines",
        "--file a.db --key-file key batch lines",
        "--file a.db --key-file key get s3cret --s3cret",
        "--file a.db --key-file key s3cret",
        "--file a.db --key-file a.db get s3cret",
    ] {
        for output in ["", "--json ", "--log text --log-level trace ", "--log json --log-level trace "] {
            let (_, said) = scratch.fails(&format!("{output}{line}"));
            assert!(!said.contains("s3cret") && !said.contains(HEX), "{line}: {said}");
            assert!(!said.is_empty(), "{line}");
        }
    }
}

#[test]
fn no_log_of_the_command_holds_what_is_stored_or_what_unlocks() {
    let scratch = Scratch::new();
    let output = scratch.sh(&format!(
        "umask 077; printf '%s\\n' {} >key; printf '%s\\n' '{PASSPHRASE}' >words; printf '%s 2\\n' '{PASSPHRASE}' >more",
        base16ct::lower::encode_string(ENCRYPTION_KEY)
    ));
    assert!(output.status.success(), "{}", stderr(&output));
    scratch.write("lines", format!("{{\"key\":\"{KEY}:1\",\"value\":\"{VALUE}\"}}\n"));
    scratch.write("operations", format!("{{\"op\":\"set\",\"key\":\"{KEY}:2\",\"value\":\"{VALUE}\"}}\n"));
    let set = format!("set {KEY} \"{VALUE}\"");
    let mut told = String::new();
    // A line that begins with `!` fails.
    for format in ["text", "json"] {
        for (line, unlock) in [
            (&*set, "--mode ledger --key-file key"),
            (&format!("get {KEY}"), "--key-file key"),
            (&format!("set --ttl 1h {KEY}:ttl \"{VALUE}\""), "--key-file key"),
            ("import lines", "--key-file key"),
            ("batch operations", "--key-file key"),
            (&format!("scan --prefix {KEY}"), "--key-file key"),
            (&format!("history {KEY}"), "--key-file key"),
            ("log", "--key-file key"),
            ("diff 0 1", "--key-file key"),
            ("export lines.out", "--key-file key"),
            ("verify", "--key-file key"),
            ("stats", "--key-file key"),
            (&format!("delete {KEY}:2"), "--key-file key"),
            ("backup copy.db", "--key-file key"),
            ("backup --to repository", "--key-file key"),
            ("restore copy.db restored.db", "--key-file key"),
            ("repair a.db repaired.db", "--key-file key"),
            ("key add --new-passphrase-file words --memory 8 --label on-call", "--key-file key"),
            ("key list", "--passphrase-file words"),
            (&format!("get {KEY}"), "--passphrase-file words"),
            ("key change --new-passphrase-file more --memory 8", "--passphrase-file words"),
            (&format!("!get {KEY}"), "--passphrase-file words"),
            (&format!("!get {KEY}:missing"), "--passphrase-file more"),
            (&format!("!set {KEY} {VALUE}"), "--key-file key"),
            (&format!("!get {KEY}"), ""),
            ("!import words", "--key-file key"),
            ("clear --yes", "--key-file key"),
        ] {
            let options = format!("--file {format}.db --log {format} --log-level trace");
            let line = line.replace("a.db", &format!("{format}.db"));
            let line = line
                .replace("copy.db", &format!("{format}.copy"))
                .replace("lines.out", &format!("{format}.out"));
            let line = line.replace("restored.db", &format!("{format}.restored"));
            let line = line.replace("repaired.db", &format!("{format}.repaired"));
            let words = format!("{options} {unlock} {}", line.trim_start_matches('!'));
            let output = scratch.run(words.split_whitespace());
            assert_eq!(output.status.success(), !line.starts_with('!'), "{words}: {}", stderr(&output));
            let said = stderr(&output);
            assert!(said.contains("codex::cli"), "{words}: {said}");
            assert_untold(&said);
            told.push_str(&said);
        }
    }
    for event in [
        "opened",
        "recovered",
        "group written",
        "synced",
        "keys changed",
        "copied",
        "backed up",
        "restored",
        "failed",
    ] {
        assert!(told.matches(event).count() >= 2, "{event} is in both formats");
    }
}
