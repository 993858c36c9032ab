//! The machine: what it is, what it has in memory and on disk, and how often its disk was asked to flush.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};

/// Resident memory of this process, in bytes; `None` where the system does not say.
pub(crate) fn resident() -> Option<u64> {
    field("/proc/self/status", "VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// How often the disk below `path` was flushed since the system began; `None` where the system does not say.
pub(crate) fn flushes(path: &Path) -> Option<u64> {
    let device = fs::metadata(path).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let device = format!("/sys/dev/block/{major}:{minor}");
    // Flushes are counted for the whole disk.
    let whole = if Path::new(&device).join("partition").exists() { format!("{device}/..") } else { device };
    // The field is the sixteenth: Documentation/ABI/stable/sysfs-block of Linux.
    fs::read_to_string(format!("{whole}/stat")).ok()?.split_whitespace().nth(15)?.parse().ok()
}

/// Writes everything out and makes the system forget what files it has in memory; `false` if it does not let us.
pub(crate) fn drop_caches() -> bool {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// Reads every file in `folder`, so that the system has it in memory.
pub(crate) fn read_all(folder: &Path) -> Result<()> {
    each_file(folder, &mut |path| {
        std::io::copy(&mut File::open(path)?, &mut std::io::sink())?;
        Ok(())
    })
}

/// Copies the files in `from`, which has no folders, and waits until the disk has them.
pub(crate) fn copy_all(from: &Path, to: &Path) -> Result<()> {
    each_file(from, &mut |path| {
        let target = to.join(path.file_name().context("a file has a name")?);
        fs::copy(path, &target)?;
        Ok(File::open(target)?.sync_all()?)
    })
}

/// What the files in `folder` take on disk, in bytes.
pub(crate) fn allocated(folder: &Path) -> Result<u64> {
    let mut blocks = 0;
    each_file(folder, &mut |path| {
        blocks += fs::metadata(path)?.blocks();
        Ok(())
    })?;
    Ok(blocks * 512)
}

fn each_file(folder: &Path, each: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() { each_file(&path, each)? } else { each(&path)? }
    }
    Ok(())
}

/// The machine in a line, with `folder`'s file system.
pub(crate) fn description(folder: &Path) -> Result<String> {
    let cpu = field("/proc/cpuinfo", "model name")
        .map_or_else(|| "unknown CPU".into(), |name| name.trim_start_matches([' ', '\t', ':']).to_owned());
    let memory = field("/proc/meminfo", "MemTotal:")
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .map_or_else(String::new, |kib| format!(", {:.0} GiB of memory", kib / f64::from(1 << 20)));
    Ok(format!(
        "{cpu}, {} cores{memory}, {}, {}, {}",
        thread::available_parallelism()?,
        said_by("uname", &["-sr"]),
        file_system(folder)?,
        said_by("rustc", &["--version"]),
    ))
}

/// Today, in UTC.
pub(crate) fn date() -> String {
    said_by("date", &["-u", "+%Y-%m-%d"])
}

/// The load average of the last minute.
pub(crate) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

fn file_system(folder: &Path) -> Result<String> {
    let folder = folder.canonicalize()?;
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let below = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (device, point, kind) = (words.next()?, words.next()?, words.next()?);
        folder.starts_with(point).then_some((point.len(), kind, device))
    });
    let closest = below.max_by_key(|(len, ..)| *len);
    Ok(closest
        .map_or_else(|| "unknown file system".into(), |(_, kind, device)| format!("{kind} on {device}")))
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
}

fn said_by(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => format!("unknown {program}"),
    }
}
