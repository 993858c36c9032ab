//! `codex interactive` on a terminal, which `script` (util-linux) plays.
#![cfg(target_os = "linux")]

mod common;

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{DATA, Scratch, skipped};

/// A shell on a terminal.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<(Mutex<String>, Condvar)>,
    /// What nobody looks at the screen behind, so that the shell has to wait.
    blind: Arc<(Mutex<Option<&'static str>>, Condvar)>,
}

impl Terminal {
    /// Starts a shell on `a.db`; none where nothing plays a terminal.
    fn start(scratch: &Scratch, options: &str) -> Option<Self> {
        if !scratch.sh("command -v script").status.success() {
            skipped("the shell was not tried, since there is no `script` to play a terminal");
            return None;
        }
        let command =
            format!("stty cols 200; echo $$ >pid; exec \"$CODEX\" --file a.db {options} interactive");
        let mut shell = scratch.shell(&format!("exec script -qefc '{command}' /dev/null"));
        shell.env("TERM", "xterm").env_remove("NO_COLOR");
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
        let keys = child.stdin.take().expect("its input is piped");
        let mut shown = child.stdout.take().expect("its output is piped");
        let screen = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let blind = Arc::<(Mutex<Option<&str>>, Condvar)>::default();
        let (seen, sight) = (screen.clone(), blind.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = shown.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..len]);
                seen.0.lock().expect("no panic").push_str(&text);
                seen.1.notify_all();
                let behind = sight.0.lock().expect("no panic");
                let blind = |behind: &mut Option<&str>| behind.is_some_and(|behind| text.contains(behind));
                drop(sight.1.wait_while(behind, blind).expect("no panic"));
            }
        });
        Some(Self { child, keys, screen, blind })
    }

    fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits until this is seen behind what was waited for before, and gives what was seen before it.
    fn until(&mut self, text: &str) -> String {
        let (screen, changed) = &*self.screen;
        let mut screen = screen.lock().expect("no panic");
        loop {
            if let Some(at) = screen.find(text) {
                let rest = screen.split_off(at + text.len());
                screen.truncate(at);
                return std::mem::replace(&mut screen, rest);
            }
            let (seen, waited) = changed.wait_timeout(screen, WAIT_MAX).expect("no panic");
            screen = seen;
            assert!(!waited.timed_out(), "{text:?} is not seen in {screen:?}");
        }
    }

    /// Waits until the shell takes keys: then it has the terminal to itself, and Ctrl-C is one of them.
    fn ready(&mut self) -> String {
        self.until("\x1b[?2004h")
    }

    /// Types a command, and gives what it shows.
    fn command(&mut self, line: &str) -> String {
        self.keys(&format!("{line}\r"));
        self.until("\x1b[?2004l");
        self.ready()
    }

    /// The code that the shell ends with.
    fn end(mut self) -> Option<i32> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            // The terminal stays until the shell has gone.
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.code();
            }
            if Instant::now() > deadline {
                let killed = self.child.kill();
                panic!("it has not ended, {killed:?}: {:?}", self.screen.0.lock().expect("no panic"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Longer than any of it takes on a machine that is busy.
const WAIT_MAX: Duration = Duration::from_mins(1);

#[test]
fn a_session_on_a_terminal_goes_on_behind_errors_and_ends_with_ctrl_d() {
    let scratch = Scratch::new();
    let Some(mut terminal) = Terminal::start(&scratch, "") else { return };
    let greeting = terminal.ready();
    assert!(greeting.contains("closed to other processes"), "{greeting}");
    terminal.until("codex> ");
    assert_eq!(terminal.command("set user:1 {\"name\": \"Ada  L\"}").trim(), "");
    let said = terminal.command("get nobody");
    assert!(said.contains("there is no such key"), "{said}");
    let said = terminal.command("nonsense");
    assert!(said.contains("there is no such command"), "{said}");
    let shown = terminal.command("scan");
    assert!(shown.contains("user:1  {\"name\":\"Ada  L\"}"), "{shown}");
    // A value goes on over lines, and Ctrl-C drops all of it.
    terminal.keys("set k [1,\r2,");
    terminal.until("2,");
    terminal.keys("\x03");
    terminal.ready();
    assert_eq!(terminal.command("set k [3,\r4]").trim(), "");
    let shown = terminal.command("get k");
    assert!(shown.contains("[3,4]"), "{shown}");
    terminal.keys("\x04");
    assert_eq!(terminal.end(), Some(0));
    assert_eq!(scratch.ok("--file a.db keys"), "k\nuser:1\n");
}

#[test]
fn commands_options_and_keys_are_completed() {
    let scratch = Scratch::new();
    scratch.ok("--file a.db -q set user:ada 1");
    scratch.ok("--file a.db set user:bob 2");
    let Some(mut terminal) = Terminal::start(&scratch, "") else { return };
    terminal.ready();
    terminal.keys("hist\t");
    terminal.until("history ");
    // The arguments that are still to come are shown, and not typed.
    terminal.until("KEY");
    terminal.keys("\x03");
    terminal.ready();
    let shown = terminal.command("sc\t--lim\t1 --prefix us\tb\t");
    assert!(shown.contains("user:bob  2") && !shown.contains("ada"), "{shown}");
    terminal.command("set \"a b\" \"found\"");
    let shown = terminal.command("ge\t\"a\t");
    assert!(shown.contains("\"found\""), "{shown}");
    terminal.keys(".q\t\r");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn the_history_holds_no_value_on_the_terminal_or_on_disk() {
    let scratch = Scratch::new();
    scratch.keygen("key");
    let Some(mut terminal) = Terminal::start(&scratch, "--key-file key") else { return };
    terminal.ready();
    terminal.command("set --raw --ttl '1h 30m' \"user 1\" \"s3cret\"");
    terminal.command("set user:2 s3cret");
    terminal.command("st user:3 \"s3cret\"");
    terminal.command("count");
    let up = "\x1b[A";
    for (times, line) in [(1, "count"), (2, "set user:2 "), (3, "set --raw --ttl \"1h 30m\" \"user 1\" ")] {
        terminal.keys(&up.repeat(times));
        let seen = terminal.until(line);
        assert!(!seen.contains("s3cret"), "{seen}");
        terminal.keys("\x03");
        let seen = terminal.ready();
        assert!(!seen.contains("s3cret"), "{seen}");
    }
    // Nothing is before the first command, and what comes back can be gone on with.
    let seen = terminal.command(&format!("{}1", up.repeat(20)));
    assert!(!seen.contains("s3cret"), "{seen}");
    let shown = terminal.command("get \"user 1\"");
    assert!(shown.lines().any(|line| line.trim() == "1"), "{shown:?}");
    terminal.keys("\x04");
    assert_eq!(terminal.end(), Some(0));
    let mut names: Vec<_> = std::fs::read_dir(scratch.folder())
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["a.db", "a.db.lock", "key", "pid"], "a history is written");
}

#[test]
fn ctrl_c_ends_what_is_printed_and_not_the_session() {
    let scratch = Scratch::new();
    scratch.ok(&format!("--file a.db -q import {DATA}"));
    let Some(mut terminal) = Terminal::start(&scratch, "") else { return };
    terminal.ready();
    terminal.command("begin");
    // More than all the buffers between the shell and this test hold, so that the shell waits in the middle.
    *terminal.blind.0.lock().expect("no panic") = Some("U+00");
    terminal.keys("scan\r");
    terminal.until("U+00");
    let interrupt = scratch.sh("kill -s INT \"$(cat pid)\"");
    assert!(interrupt.status.success(), "{interrupt:?}");
    *terminal.blind.0.lock().expect("no panic") = None;
    terminal.blind.1.notify_all();
    let seen = terminal.ready();
    assert!(seen.contains("codex: interrupted") && !seen.contains("U+0FDA"), "all of it was printed");
    // What was begun is still there.
    terminal.until("codex*> ");
    terminal.command("set a 1");
    let said = terminal.command("commit");
    assert!(said.contains("1 operations in commit"), "{said}");
    terminal.keys("\x04");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn what_was_begun_and_not_committed_is_said_to_be_gone() {
    let scratch = Scratch::new();
    let Some(mut terminal) = Terminal::start(&scratch, "") else { return };
    terminal.ready();
    terminal.command("begin");
    terminal.command("set a 1");
    terminal.keys("\x04");
    terminal.until("1 operations were not committed, and are gone");
    assert_eq!(terminal.end(), Some(0));
    assert_eq!(scratch.ok("--file a.db count"), "0\n");
}
