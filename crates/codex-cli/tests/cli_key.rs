//! `codex key`, and commands that give a passphrase.

mod common;

use common::{Scratch, stderr, stdout};

const CHEAP: &str = "--memory 8 --passes 1 --lanes 1";

/// An encrypted database with one record, and files with keys and a passphrase.
fn database(mode: &str) -> Scratch {
    let scratch = Scratch::new();
    for name in ["one", "two", "three"] {
        scratch.keygen(name);
    }
    scratch.sh("umask 077; printf 'correct horse\nand more\n' > words");
    scratch.ok(&format!("--file a.db --mode {mode} --key-file one set k 1"));
    scratch
}

#[test]
fn keys_are_added_listed_and_removed() {
    let scratch = database("ledger");
    assert_eq!(
        scratch.ok("--file a.db --key-file one key add --new-key-file two --label backup"),
        "slot 2 opens the database too\n"
    );
    scratch.ok(&format!("--file a.db --key-file two key add --new-passphrase-file words {CHEAP}"));
    let expected = "1\tkey\n2\tkey, in use\tbackup\n3\tpassphrase, 8 MiB, 1 passes, 1 lanes\n";
    assert_eq!(scratch.ok("--file a.db --key-file two key list"), expected);
    // Without a key it says so, and does not know which one is in use.
    let unkeyed = scratch.run("--file a.db key list".split(' '));
    assert_eq!(stdout(&unkeyed), expected.replace(", in use", ""));
    assert!(stderr(&unkeyed).contains("nobody has checked"), "{}", stderr(&unkeyed));
    let json = scratch.ok("--file a.db --passphrase-file words key list --json");
    assert_eq!(
        json.lines().last().expect("three lines"),
        "{\"in_use\":true,\"kind\":\"passphrase\",\"label\":\"\",\"lanes\":1,\"memory_kib\":8192,\"passes\":1,\"slot\":3}"
    );
    for words in ["--key-file two", "--passphrase-file words"] {
        assert_eq!(scratch.ok(&format!("--file a.db {words} get k")), "1\n");
    }
    let (code, said) = scratch.fails("--file a.db --key-file one key remove 2");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("hint: codex key remove 2 --yes"), "{said}");
    scratch.ok("--file a.db --key-file one key remove 2 --yes");
    assert_eq!(scratch.fails("--file a.db --key-file two get k").0, 5);
    scratch.ok("--file a.db --key-file one key remove 3 --yes");
    for (line, text) in [("key remove 1 --yes", "the last"), ("key remove 2 --yes", "there is no key slot 2")]
    {
        let (code, said) = scratch.fails(&format!("--file a.db --key-file one {line}"));
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(text), "{said}");
    }
    assert_eq!(scratch.ok("--file a.db --key-file one get k"), "1\n");
}

#[test]
fn a_changed_key_opens_the_database_and_the_old_one_does_not() {
    for mode in ["ledger", "snapshot"] {
        let scratch = database(mode);
        scratch.ok("--file a.db --key-file one key add --new-key-file two");
        assert_eq!(
            scratch.ok("-q --file a.db --key-file one key change --new-key-file three"),
            "the key is changed, in slot 1\n"
        );
        assert_eq!(scratch.fails("--file a.db --key-file one get k").0, 5, "{mode}");
        // A deep change removes the other slot, and wants to hear that it may.
        let deep =
            format!("--file a.db --key-file three key change --deep --new-passphrase-file words {CHEAP}");
        let before = scratch.read("a.db");
        let (code, said) = scratch.fails(&deep);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("there are 1") && said.contains("--yes"), "{said}");
        assert!(scratch.read("a.db") == before, "{mode}");
        assert_eq!(
            scratch.ok(&format!("-q {deep} --yes")),
            "the key and the root key are changed, in slot 1\n"
        );
        for name in ["one", "two", "three"] {
            assert_eq!(scratch.fails(&format!("--file a.db --key-file {name} get k")).0, 5, "{mode} {name}");
        }
        assert_eq!(scratch.ok("--file a.db --passphrase-file words get k"), "1\n");
        scratch.ok("--file a.db --passphrase-file words verify");
    }
}

#[test]
fn what_cannot_be_a_new_key_is_refused_before_anything_is_changed() {
    let scratch = database("snapshot");
    scratch.ok("--file plain.db -q set k 1");
    scratch.sh("umask 077; : > empty");
    let before = scratch.read("a.db");
    for (words, code) in [
        ("key add", 2),
        ("key add --new-key-file two --new-passphrase-file words", 2),
        ("key add --new-key-file missing", 1),
        ("key add --new-key-file words", 2),
        ("key add --new-passphrase-file empty", 2),
        ("key add --new-passphrase-file words --memory 7", 2),
        ("key add --new-passphrase-file words --memory 4294967295", 2),
        ("key add --new-passphrase-file words --passes 17", 2),
        ("key change --new-passphrase", 2),
        ("key change --new-passphrase-command false", 2),
        ("--key-file two key change --new-key-file three", 5),
    ] {
        let key = if words.starts_with("--key-file") { "" } else { "--key-file one" };
        let (found, said) = scratch.fails(&format!("--file a.db {key} {words}"));
        assert_eq!(found, code, "{words}: {said}");
        assert!(!said.contains("correct horse"), "{said}");
    }
    let label = "two\nlines";
    let output = scratch
        .codex()
        .args([
            "--file",
            "a.db",
            "--key-file",
            "one",
            "key",
            "add",
            "--new-key-file",
            "two",
            "--label",
            label,
        ])
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(scratch.read("a.db") == before);
    let (code, said) = scratch.fails("--file plain.db key add --new-key-file two");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("not encrypted"), "{said}");
    assert_eq!(scratch.ok("-q --file plain.db key list"), "");
    assert_eq!(scratch.fails("--file missing.db key list").0, 1);
}

#[test]
fn a_label_never_moves_the_cursor_of_a_terminal() {
    let scratch = database("ledger");
    scratch.sh("$CODEX --file a.db --key-file one key add --new-key-file two --label \"Ada's größe\"");
    let listed = scratch.ok("-q --file a.db key list");
    assert!(listed.ends_with("2\tkey\tAda's größe\n"), "{listed}");
    // A forger cannot either: such a slot is no slot.
    let mut file = scratch.read("a.db");
    let place = file.windows(4).position(|bytes| bytes == b"Ada'").expect("it is readable");
    for copy in [0, 4096] {
        file[place + copy] = 0x1b;
        let mut summed = file[copy..copy + 4096].to_vec();
        summed[16..48].fill(0);
        let sum = codex::proof::Digest::from_bytes(sha256(&summed));
        file[copy + 16..copy + 48].copy_from_slice(sum.as_bytes());
    }
    scratch.write("a.db", file);
    let (code, said) = scratch.fails("--file a.db key list");
    assert_eq!(code, 5, "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

/// With the system's own program: the command has no use for one.
fn sha256(bytes: &[u8]) -> [u8; 32] {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sha256sum is there");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let mut digest = [0; 32];
    base16ct::lower::decode(&output.stdout[..64], &mut digest).expect("hexadecimal digits");
    digest
}

#[test]
fn a_passphrase_comes_from_the_first_line_that_a_command_prints() {
    let scratch = database("ledger");
    let script = "
        set -eu
        $CODEX --file a.db --key-file one key change --new-passphrase-command 'cat words' --memory 8 --passes 1 -q
        $CODEX --file a.db --passphrase-command 'cat words' get k
        $CODEX --passphrase-command 'head -n 1 words' --file a.db get k
        $CODEX --file a.db --passphrase-file words get k
        # It takes nothing of what the command itself is to read.
        printf '%s\\n' '{\"key\":\"b\",\"value\":2}' |
            $CODEX --file a.db --passphrase-command 'cat > /dev/null; cat words' -q import -
        $CODEX --file a.db --passphrase-command 'cat words' get b";
    let output = scratch.sh(script);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "the key is changed, in slot 1\n1\n1\n1\n1 records imported\n2\n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_passphrase_command_that_fails_or_prints_nothing_of_use_is_refused() {
    let scratch = database("ledger");
    let before = scratch.read("a.db");
    for (command, text) in [
        ("echo s3cret; exit 3", "failed"),
        ("kill -9 $$", "failed"),
        ("true", "empty"),
        ("echo; echo s3cret", "empty"),
        ("printf '\\377s3cret'", "not text"),
        ("yes s3cret", "longer"),
        ("no-such-command-s3cret 2> /dev/null", "failed"),
    ] {
        let output = scratch
            .codex()
            .args(["--file", "a.db", "--passphrase-command", command, "get", "k"])
            .output()
            .expect("the command runs");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        assert!(said.contains(text) && !said.contains("s3cret"), "{command}: {said}");
    }
    assert!(scratch.read("a.db") == before);
}

#[test]
fn calibration_gives_options_that_key_add_takes() {
    let scratch = database("ledger");
    let options = scratch.ok("key calibrate --target 1");
    scratch.ok(&format!(
        "--file a.db --key-file one key add --new-passphrase-file words {}",
        options.trim_end()
    ));
    let listed = scratch.ok("-q --file a.db key list");
    assert!(listed.contains("2\tpassphrase, 8 MiB, 1 passes, 4 lanes"), "{listed}");
    let json = scratch.ok("--json key calibrate --target 1");
    assert_eq!(json, "{\"lanes\":4,\"memory_mib\":8,\"passes\":1}\n");
}

#[test]
fn without_a_terminal_nobody_is_asked_for_a_new_passphrase() {
    let scratch = database("ledger");
    // In a session of its own there is no terminal, wherever the tests run.
    let output =
        scratch.sh("setsid $CODEX --file a.db --key-file one key change --new-passphrase < /dev/null");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--new-passphrase-file"), "{}", stderr(&output));
    assert_eq!(scratch.ok("--file a.db --key-file one get k"), "1\n");
}
