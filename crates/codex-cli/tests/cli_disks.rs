//! Real file systems that are full, out of files, or read-only: small ones in memory, mounted for each test in a
//! namespace of its own, which needs no rights and leaves nothing behind.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use common::{DATA, DATA_RECORDS, Scratch, skipped, stderr, stdout};

/// A mounted file system, as long as the process that holds its namespace lives.
struct Disk {
    scratch: Scratch,
    holder: Child,
}

impl Disk {
    /// A new file system in memory; none, and a line on the terminal, where this user may not mount any.
    fn mount(options: &str) -> Option<Self> {
        let scratch = Scratch::new();
        fs::create_dir(scratch.path("disk")).expect("the scratch folder takes folders");
        scratch.keygen("key");
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--map-root-user", "sh", "-c"]).current_dir(scratch.folder());
        // `cat` ends with the test, since its input does.
        unshare.arg(format!("mount -t tmpfs -o {options} tmpfs disk && echo mounted && exec cat"));
        unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = match unshare.spawn() {
            Ok(holder) => holder,
            Err(error) => {
                skipped(&format!("no disk was mounted, since unshare (util-linux) does not run: {error}"));
                return None;
            }
        };
        let mut said = [0; 8];
        let output = holder.stdout.as_mut().expect("its output is piped");
        if output.read_exact(&mut said).is_err() || &said != b"mounted\n" {
            let output = holder.wait_with_output().expect("it ends by itself");
            skipped(&format!(
                "no disk was mounted, since it is not permitted here: {}",
                stderr(&output).trim()
            ));
            return None;
        }
        Some(Self { scratch, holder })
    }

    /// Runs a shell script in the mounted folder, with the command as `$CODEX`.
    fn sh(&self, script: &str) -> Output {
        let target = self.holder.id();
        let place = self.scratch.path("disk");
        let enter = format!("nsenter --target {target} --user --preserve-credentials --mount");
        fs::write(self.scratch.path("script"), script).expect("the scratch folder takes files");
        self.scratch.sh(&format!(
            "exec {enter} sh -c 'cd {place} && . {script}'",
            place = place.display(),
            script = self.scratch.path("script").display()
        ))
    }

    /// The same, and what it prints; it succeeds.
    fn ok(&self, script: &str) -> String {
        let output = self.sh(script);
        assert_eq!(output.status.code(), Some(0), "{script}: {}{}", stdout(&output), stderr(&output));
        stdout(&output)
    }

    /// The same; it fails with this code, and what it says is returned.
    fn fails(&self, code: i32, script: &str) -> String {
        let output = self.sh(script);
        assert_eq!(output.status.code(), Some(code), "{script}: {}{}", stdout(&output), stderr(&output));
        stderr(&output)
    }

    /// Changes an option of the mounted file system.
    fn remount(&self, option: &str) {
        // The options that it has are left out: the owner's number among them may have no meaning in the namespace.
        let place = self.scratch.path("disk");
        self.ok(&format!(
            "cd .. && mount --options-mode ignore --source tmpfs --target {} -o remount,{option}",
            place.display()
        ));
    }

    /// What stands in the mounted folder, each with its content.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = format!("/proc/{}/root{}", self.holder.id(), self.scratch.path("disk").display());
        let entries = fs::read_dir(folder).expect("it is mounted");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> =
            paths.map(|path| (path.clone(), fs::read(path).expect("it can be read"))).collect();
        files.sort();
        files
    }

    fn names(&self) -> Vec<String> {
        let name = |path: PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        self.files().into_iter().map(|(path, _)| name(path)).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        self.holder.wait().expect("it is ours");
    }
}

const MODES: [&str; 2] = ["ledger", "snapshot"];

fn words(mode: &str) -> String {
    format!("--file a.db --key-file ../key --mode {mode}")
}

#[test]
fn a_full_disk_loses_nothing_and_writing_goes_on_when_there_is_space() {
    for mode in MODES {
        let Some(disk) = Disk::mount("size=228k") else { return };
        let codex = format!("$CODEX {} --json", words(mode));
        let said = disk.fails(4, &format!("{codex} import '{DATA}'"));
        let said: serde_json::Value = serde_json::from_str(&said).expect("one JSON object");
        assert_eq!(said["error"]["kind"], "Io");
        assert!(said["error"]["message"].as_str().is_some_and(|text| text.contains("os error 28")), "{said}");
        let committed = said["error"]["committed"].as_u64().expect("how many were committed");
        assert!((1000..DATA_RECORDS as u64).contains(&committed), "{committed}");
        assert_eq!(disk.names(), ["a.db", "a.db.lock"], "{mode}");

        disk.ok(&format!("{codex} verify"));
        let count = |records| format!("{{\"count\":{records}}}\n");
        assert_eq!(disk.ok(&format!("{codex} count")), count(committed), "{mode}");
        // Small commits fill what is left to the last page; then each is refused and changes nothing.
        let filling =
            "n=0; while $CODEX $WORDS set fill$n $n 2>../said || { code=$?; false; }; do n=$((n+1)); done
             dd if=/dev/zero of=rest bs=1k status=none 2>/dev/null; echo $n $code";
        let filled = disk.ok(&format!("WORDS='{}'; {filling}", words(mode)));
        let (stored, code) = filled.trim_end().split_once(' ').expect("two numbers");
        assert_eq!(code, "4", "{filled}");
        let stored: u64 = stored.parse().expect("a number");
        assert_eq!(disk.ok(&format!("{codex} count")), count(committed + stored), "{mode}");

        // A disk without a single free page: reading and verifying need none.
        let before = disk.files();
        disk.ok(&format!("{codex} verify"));
        for verb in ["backup copy.db", "export out"] {
            let said = disk.fails(4, &format!("{codex} {verb}"));
            assert!(said.contains("os error 28"), "{verb}: {said}");
        }
        assert_eq!(disk.names(), before.iter().map(|(path, _)| name(path)).collect::<Vec<_>>(), "{mode}");
        disk.ok(&format!("{codex} verify"));

        disk.remount("size=4m");
        disk.ok("rm rest");
        disk.ok(&format!("{codex} import '{DATA}' && {codex} verify && {codex} backup copy.db"));
        assert_eq!(disk.ok(&format!("{codex} count")), count(DATA_RECORDS as u64 + stored), "{mode}");
        assert_eq!(disk.names(), ["a.db", "a.db.lock", "copy.db"], "{mode}");
    }
}

fn name(path: &std::path::Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn a_full_disk_stops_a_rewrite_or_checkpoint_at_closing_and_no_commit() {
    // What the close would write does not fit beside the log; see the marks in the two engines.
    for (mode, megabytes, live) in [("snapshot", 17, 3), ("ledger", 5, 2)] {
        let Some(disk) = Disk::mount(&format!("size={}m", megabytes + live + 1)) else { return };
        let value = "x".repeat(1 << 20);
        let line = |key: usize| format!("{{\"key\":\"k{key}\",\"value\":\"{value}\"}}\n");
        // The values of a few keys replace each other.
        let lines: Vec<_> = (0..megabytes).map(|number| line(number % live)).collect();
        disk.scratch.write("in", lines.concat());
        let codex = format!("$CODEX {}", words(mode));
        disk.ok(&format!("{codex} -q set first 1"));
        let filler = "dd if=/dev/zero of=rest bs=64k status=none 2>/dev/null; true";
        // Held while the import closes, so that nothing else fits beside the log.
        let out = disk.ok(&format!(
            "fallocate -l {live}m rest; {codex} -q import ../in && {filler} && {codex} count && {codex} verify"
        ));
        assert!(out.contains(&format!("{}\n", live + 1)), "{mode}: {out}");
        let names = ["a.db", "a.db.lock", "rest"];
        assert_eq!(disk.names(), names, "{mode}: no temporary and no checkpoint");
        disk.scratch.write("more", line(live));
        disk.fails(4, &format!("{codex} -q import ../more"));
        assert_eq!(disk.names(), names, "{mode}");
        disk.remount("size=64m");
        disk.ok(&format!("{codex} verify && rm rest && {codex} -q set k 2"));
        assert_eq!(
            disk.ok(&format!("{codex} get k && {codex} get first && {codex} count")),
            format!("2\n1\n{}\n", live + 2)
        );
        disk.ok(&format!("{codex} verify"));
    }
}

#[test]
fn without_a_free_file_number_what_needs_a_new_file_fails_and_commits_go_on() {
    for mode in MODES {
        // The folder, the database, its lock, and one more.
        let Some(disk) = Disk::mount("size=4m,nr_inodes=4") else { return };
        let codex = format!("$CODEX {}", words(mode));
        disk.ok(&format!("{codex} -q set k 1 && touch rest"));
        for verb in ["backup copy.db", "export out"] {
            let said = disk.fails(4, &format!("{codex} {verb}"));
            assert!(said.contains("os error 28"), "{verb}: {said}");
        }
        let said = disk.fails(4, &format!("$CODEX --file b.db --mode {mode} -q set k 1"));
        assert!(said.contains("b.db") && said.contains("os error 28"), "{said}");
        disk.ok(&format!("{codex} -q set k 2 && {codex} verify"));
        assert_eq!(disk.names(), ["a.db", "a.db.lock", "rest"], "{mode}");
        disk.ok(&format!(
            "rm rest && {codex} backup copy.db && $CODEX --file copy.db --key-file ../key verify"
        ));
    }
}

#[test]
fn a_read_only_file_system_is_read_without_a_change_and_refuses_writers() {
    for mode in MODES {
        let Some(disk) = Disk::mount("size=4m") else { return };
        let codex = format!("$CODEX {}", words(mode));
        disk.ok(&format!("{codex} -q import '{DATA}' "));
        disk.remount("ro");
        let before = disk.files();
        for verb in [
            "set k 1",
            "delete U+0041",
            "import ../key",
            "clear --yes",
            "backup copy.db",
            "backup ../copy.db",
        ] {
            let said = disk.fails(3, &format!("{codex} {verb}"));
            assert!(said.contains("a.db") && said.contains("os error 30"), "{verb}: {said}");
            assert!(said.contains("hint: "), "{verb}: {said}");
        }
        let said = disk.fails(3, &format!("$CODEX --file b.db --mode {mode} set k 1"));
        assert!(said.contains("b.db"), "{said}");
        let out = disk.ok(&format!(
            "{codex} get U+0041 && {codex} has U+0041 && {codex} stats && {codex} head && {codex} verify && {codex} backups"
        ));
        assert!(out.contains("LATIN CAPITAL LETTER A"), "{out}");
        assert!(
            disk.ok(&format!("{codex} export")).into_bytes() == fs::read(DATA).expect("the data is shipped")
        );
        let out = disk.ok("$CODEX --key-file ../key restore a.db ../restored.db");
        assert!(out.contains("restored"), "{out}");
        assert!(disk.files() == before, "{mode}: a byte or a name has changed");
    }
}
