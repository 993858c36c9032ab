//! The verb repair, and its report as text and as JSON. Fields: `docs/cli.md`, "repair".

use codex::{ErrorKind, Gap, RepairOptions, RepairReport};
use serde_json::{Value, json};

use super::failed;
use super::files::hex;
use crate::args::{Global, Repair};
use crate::exit::{Failure, kind_of};
use crate::output::Output;
use crate::secret::Secret;

pub(super) fn repair(global: &Global, repair: &Repair, output: &mut Output) -> Result<(), Failure> {
    let secret = Secret::read(global)?;
    let encrypted = !matches!(secret, Secret::None);
    let mut options = RepairOptions::new().dry_run(repair.dry_run).progress(output.bars().observer());
    if let Some(unlock) = secret.unlock() {
        options = options.unlock(unlock);
    }
    let report = codex::repair(&repair.source, &repair.target, options).map_err(|error| {
        let failure = failed(error, encrypted);
        match kind_of(&failure) {
            Some(ErrorKind::Integrity) => {
                failure.hint("the file was left as it is; `codex restore` a backup to a new path")
            }
            _ => failure,
        }
    })?;
    notes(&report).for_each(|note| output.note(note));
    let path = (!repair.dry_run).then(|| repair.target.to_string_lossy());
    output.result(&text(&report, path.as_deref()), &object(&report, path.as_deref()))
}

fn notes(report: &RepairReport) -> impl Iterator<Item = &'static str> {
    let notes = [
        (
            !report.gaps.is_empty(),
            "a key that a missing commit had changed or deleted has its older value again",
        ),
        (
            report.torn_bytes > 0,
            "the file ends in a commit that was never acknowledged; the new one is without it",
        ),
        (report.header_fallback, "the header that counts does not authenticate; its other copy was taken"),
        (report.header_copy_stale && !report.header_fallback, "one copy of the header was damaged or older"),
        (report.floor_contradicted, "the header speaks of another log than the one that is there"),
        (report.search_ended.is_some(), "the file is full of forged frames, and was not searched to its end"),
    ];
    notes.into_iter().filter_map(|(applies, note)| applies.then_some(note))
}

/// `path`: where the new file is, if one was made.
fn text(report: &RepairReport, path: Option<&str>) -> String {
    let (done, into) = match path {
        Some(path) => ("salvaged", format!(" into {path}, verified")),
        None => ("would salvage", String::new()),
    };
    let verdict = if report.complete { "nothing is missing" } else { "the result is NOT complete" };
    let summary = format!(
        "{done} {} frames and {} commits with {} records{into}; {verdict}",
        report.frames, report.commits, report.records
    );
    let lines: Vec<_> = std::iter::once(summary).chain(report.gaps.iter().map(gap_text)).collect();
    lines.join("\n")
}

fn gap_text(gap: &Gap) -> String {
    let commits = match (gap.first_missing, gap.last_missing) {
        (Some(first), Some(last)) if first == last => format!(", commit {first}"),
        (Some(first), Some(last)) => format!(", commits {first} to {last}"),
        (Some(first), None) => format!(", from commit {first} on"),
        (None, _) => String::new(),
    };
    let mut parts = vec![format!("missing: bytes {} to {}{commits}", gap.from, gap.to)];
    if gap.foreign_frames > 0 {
        parts.push(format!("{} frames there belong to another continuation", gap.foreign_frames));
    }
    if gap.unfit_frames > 0 {
        parts.push(format!("{} frames there are of groups that are not whole", gap.unfit_frames));
    }
    if let Some(resumed) = gap.resumed.filter(|resumed| resumed.original != resumed.renumbered) {
        parts.push(format!("commit {} is commit {} now", resumed.original, resumed.renumbered));
    }
    parts.join("; ")
}

fn object(report: &RepairReport, path: Option<&str>) -> Value {
    json!({
        "repaired": path, "complete": report.complete,
        "frames": report.frames, "commits": report.commits, "records": report.records,
        "sequence": report.sequence, "size": report.head.map(|head| head.size),
        "root": report.head.as_ref().map(hex), "source_bytes": report.source_bytes,
        "kept_bytes": report.kept_bytes, "gaps": report.gaps.iter().map(gap_object).collect::<Vec<_>>(),
        "torn_bytes": report.torn_bytes, "header_copy_stale": report.header_copy_stale,
        "header_fallback": report.header_fallback, "floor_contradicted": report.floor_contradicted,
        "search_ended": report.search_ended,
    })
}

fn gap_object(gap: &Gap) -> Value {
    json!({
        "from": gap.from, "to": gap.to,
        "first_missing": gap.first_missing, "last_missing": gap.last_missing,
        "resumed_original": gap.resumed.map(|resumed| resumed.original),
        "resumed_renumbered": gap.resumed.map(|resumed| resumed.renumbered),
        "unfit_frames": gap.unfit_frames, "foreign_frames": gap.foreign_frames,
    })
}
