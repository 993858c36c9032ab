//! Help, manual pages and completions speak of every command.

mod common;

use std::fs;

use common::{Scratch, skipped, stderr, stdout};

/// The commands that `--help` lists.
fn commands(scratch: &Scratch) -> Vec<String> {
    let help = scratch.ok("--help");
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<_> = listed
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().expect("a name").to_owned())
        .collect();
    assert!(names.len() > 30, "{help}");
    names
}

#[test]
fn every_command_has_a_manual_page_with_an_example_and_the_main_one_lists_it() {
    let scratch = Scratch::new();
    let names = commands(&scratch);
    scratch.ok("man pages/man1");
    let main = String::from_utf8(scratch.read("pages/man1/codex.1")).expect("text");
    assert!(scratch.ok("man").trim_end() == main.trim_end());
    for name in names {
        let file = format!("codex-{name}.1");
        let page = String::from_utf8(scratch.read(&format!("pages/man1/{file}"))).expect("text");
        assert!(page.contains("Examples:") && page.contains(".SH OPTIONS"), "{file}: {page}");
        let roff = file.trim_end_matches(".1").replace('-', "\\-");
        assert!(main.contains(&format!("{roff}(1)")), "{roff} is not in {main}");
    }
    let pages: Vec<_> = fs::read_dir(scratch.path("pages/man1"))
        .expect("it is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(pages.iter().any(|page| page == "codex-key-add.1"), "{pages:?}");
    assert!(!pages.iter().any(|page| page.contains("writer")), "{pages:?}");
}

#[test]
fn manual_pages_are_free_of_faults() {
    let scratch = Scratch::new();
    scratch.ok("man pages");
    if !scratch.sh("command -v man").status.success() {
        skipped("no manual page was formatted, since there is no `man`");
        return;
    }
    let output = scratch.sh("for page in pages/*.1; do man --warnings -E UTF-8 -l -Tutf8 $page >formatted || exit; done; cat formatted");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    assert!(stdout(&output).contains("codex"), "{}", stdout(&output));
}

#[test]
fn a_shell_completes_commands_from_what_it_is_given() {
    let scratch = Scratch::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = scratch.ok(&format!("completions {shell}"));
        assert!(script.contains("check-proof") && script.contains("passphrase-file"), "{shell}: {script}");
    }
    assert_eq!(scratch.fails("completions s3cret").0, 2);
    if !scratch.sh("command -v bash").status.success() {
        skipped("nothing was completed, since there is no `bash`");
        return;
    }
    let script = "eval \"$($CODEX completions bash)\"
        COMP_WORDS=(codex che) COMP_CWORD=1; _codex codex che codex; echo ${COMPREPLY[@]}
        COMP_WORDS=(codex key ad) COMP_CWORD=2; _codex codex ad key; echo ${COMPREPLY[@]}";
    scratch.write("complete", script);
    let output = scratch.sh("bash complete");
    assert_eq!(stdout(&output), "check-proof\nadd\n", "{}", stderr(&output));
}
