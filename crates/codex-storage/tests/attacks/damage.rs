//! What needs no knowledge of the format: bits that flip, files that are cut, sectors that are lost.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use codex_storage::format::header::{BLOCK_LEN, LOG_START};

use crate::referee::Verdict;
use crate::specimen::{Files, Specimen, all, spanning};

/// How attacks ended.
#[derive(Default)]
pub(crate) struct Tally {
    refused: AtomicU64,
    torn: AtomicU64,
    whole: AtomicU64,
}

impl Tally {
    pub(crate) fn count(&self, verdict: &Verdict) {
        let counter = match verdict {
            Verdict::Refused(_) => &self.refused,
            Verdict::Opens { torn_bytes: 1.., .. } => &self.torn,
            Verdict::Opens { .. } => &self.whole,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        [&self.refused, &self.torn, &self.whole].iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [refused, torn, whole] =
            [&self.refused, &self.torn, &self.whole].map(|counter| counter.load(Ordering::Relaxed));
        write!(f, "{refused} refused, {torn} reported as a torn end, {whole} harmless")
    }
}

const LOG_START_BYTE: usize = 2 * BLOCK_LEN;

/// Whether every bit is to be tried.
pub(crate) fn thorough() -> bool {
    std::env::var_os("CODEX_ATTACKS").is_some_and(|value| value == "all")
}

/// Tries all `attacks`, which turn the specimen's files into others, on all processors.
#[expect(clippy::print_stdout, reason = "figures to cite")]
pub(crate) fn strike_all<A: Sync>(
    specimen: &Specimen,
    what: &str,
    attacks: &[A],
    apply: impl Fn(&A, &mut Files) -> String + Sync,
    then: impl Fn(&A, &Verdict) + Sync,
) {
    let tally = Tally::default();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(attack) = attacks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut files = specimen.files.clone();
                    let place = apply(attack, &mut files);
                    let place = || format!("{}, {what} {place}", specimen.name);
                    let verdict = specimen.referee.strike(specimen.encrypted, &files, &place);
                    then(attack, &verdict);
                    tally.count(&verdict);
                }
            });
        }
    });
    assert_eq!(tally.total(), attacks.len() as u64);
    println!("{}: {} {what}: {tally}", specimen.name, attacks.len());
}

/// Damage in place may cost what it hit and nothing that a later frame calls durable; and, but for zeros, not
/// without a word.
fn only_what_was_hit_is_lost(specimen: &Specimen, hit: Range<u64>, verdict: &Verdict) {
    let Verdict::Opens { end, torn_bytes, .. } = verdict else { return };
    let mut lost = specimen.referee.frames_of(&specimen.files.database);
    lost.retain(|frame| frame.header.offset >= *end);
    for frame in &lost {
        let was_hit = frame.header.offset < hit.end && hit.start < frame.end();
        assert!(was_hit || frame.header.durable <= *end, "{}: {hit:?}", specimen.name);
    }
    let zeroed = hit.end - hit.start > 1;
    assert!(lost.is_empty() || *torn_bytes > 0 || zeroed, "{}: {hit:?}", specimen.name);
}

/// The bits to flip in a file of `len` bytes.
fn bits(len: usize) -> Vec<u64> {
    let step = |byte: usize| match byte {
        _ if thorough() => 1,
        0..LOG_START_BYTE => 7,
        _ => 2,
    };
    let chosen = |byte: usize| {
        let bits = if thorough() { 0..8 } else { byte / 2 % 8..byte / 2 % 8 + 1 };
        bits.map(move |bit| byte as u64 * 8 + bit as u64)
    };
    (0..len).filter(|byte| byte % step(*byte) == 0).flat_map(chosen).collect()
}

#[test]
fn a_flipped_bit_is_reported_or_harmless_wherever_it_is() {
    for specimen in all() {
        let flip = |bytes: &mut [u8], bit: u64| bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
        strike_all(
            &specimen,
            "flipped bits",
            &bits(specimen.files.database.len()),
            |&bit, files| {
                flip(&mut files.database, bit);
                format!("at {}.{}", bit / 8, bit % 8)
            },
            |&bit, verdict| only_what_was_hit_is_lost(&specimen, bit / 8..bit / 8 + 1, verdict),
        );
        let Some(checkpoint) = &specimen.files.checkpoint else { continue };
        let whole = specimen.referee.judge(&specimen.files);
        strike_all(
            &specimen,
            "flipped bits of the checkpoint",
            &bits(checkpoint.len()),
            |&bit, files| {
                flip(files.checkpoint.as_mut().unwrap(), bit);
                format!("at {}.{}", bit / 8, bit % 8)
            },
            |_, verdict| assert!(only_the_checkpoint_differs(&whole, verdict)),
        );
    }
}

/// Whether a verdict is that of the whole files, but for what is said of the checkpoint.
fn only_the_checkpoint_differs(whole: &Verdict, verdict: &Verdict) -> bool {
    let mut verdict = verdict.clone();
    if let Verdict::Opens { checkpoint_damaged, .. } = &mut verdict {
        *checkpoint_damaged = false;
    }
    verdict == *whole
}

#[test]
fn a_cut_file_is_an_earlier_state_with_its_torn_end_reported_or_refused() {
    for specimen in all() {
        let step = |len: usize| match len {
            _ if thorough() => 1,
            0..LOG_START_BYTE => 13,
            _ => 3,
        };
        let len = specimen.files.database.len();
        let lens: Vec<usize> = (0..len).filter(|len| len % step(*len) == 0).collect();
        strike_all(
            &specimen,
            "cuts",
            &lens,
            |&len, files| {
                files.database.truncate(len);
                format!("to {len} bytes")
            },
            |_, _| (),
        );
        let Some(checkpoint) = &specimen.files.checkpoint else { continue };
        let whole = specimen.referee.judge(&specimen.files);
        strike_all(
            &specimen,
            "cuts of the checkpoint",
            &(0..checkpoint.len()).collect::<Vec<_>>(),
            |&len, files| {
                files.checkpoint.as_mut().unwrap().truncate(len);
                format!("to {len} bytes")
            },
            |_, verdict| assert!(only_the_checkpoint_differs(&whole, verdict)),
        );
    }
}

#[test]
fn a_lost_sector_of_acknowledged_frames_is_never_the_end_of_the_log() {
    for specimen in all().into_iter().chain(spanning()) {
        let sectors: Vec<usize> = (0..specimen.files.database.len().div_ceil(512)).collect();
        let step = if thorough() { 1 } else { sectors.len().div_ceil(30) };
        let sectors: Vec<usize> = sectors.into_iter().step_by(step).collect();
        strike_all(
            &specimen,
            "sectors of zeros",
            &sectors,
            |&sector, files| {
                let end = files.database.len().min((sector + 1) * 512);
                files.database[sector * 512..end].fill(0);
                format!("at {}", sector * 512)
            },
            |&sector, verdict| {
                let start = sector as u64 * 512;
                only_what_was_hit_is_lost(&specimen, start..start + 512, verdict);
            },
        );
    }
}

#[test]
fn damage_to_a_commit_over_several_frames_is_reported_wherever_it_is() {
    let count = if thorough() { 4000 } else { 10 };
    for specimen in spanning() {
        let frames = specimen.referee.frames_of(&specimen.files.database);
        let len = specimen.files.database.len();
        // Around every border, and scattered over the rest.
        let borders = frames.iter().flat_map(|frame| {
            let (start, end) = (frame.header.offset, frame.end());
            [start, start + 4, start + 40, start + 127, start + 128, end - 16, end - 1]
        });
        let scattered = (0..count).map(|index| LOG_START + index * (len as u64 - LOG_START) / count);
        let bytes: Vec<u64> = borders.chain(scattered).collect();
        strike_all(
            &specimen,
            "flipped bits",
            &bytes,
            |&byte, files| {
                files.database[usize::try_from(byte).unwrap()] ^= 1 << (byte % 8);
                format!("at {byte}")
            },
            |&byte, verdict| only_what_was_hit_is_lost(&specimen, byte..byte + 1, verdict),
        );
        strike_all(
            &specimen,
            "cuts",
            &bytes,
            |&byte, files| {
                files.database.truncate(usize::try_from(byte).unwrap());
                format!("to {byte} bytes")
            },
            |_, _| (),
        );
    }
}
