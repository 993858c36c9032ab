//! Whole frames, header copies and checkpoints, all of them genuine, in places where they do not belong.

use codex_crypto::RetiredKey;
use codex_storage::Mode;
use codex_storage::format::header::{BLOCK_LEN, Header};

use crate::damage::{strike_all, thorough};
use crate::referee::{Frame, Refusal, Verdict, Wrong, newest_header};
use crate::specimen::{Files, Specimen, all, twins};

/// Something done with frames.
enum Splice {
    Remove(usize),
    Double(usize),
    Swap(usize, usize),
    /// Other bytes in place of a frame.
    Replace(usize, Vec<u8>),
    /// Bytes over whatever stands at an offset.
    Put(usize, Vec<u8>),
    /// Bytes behind all others.
    Append(Vec<u8>),
}

impl Splice {
    fn apply(&self, frames: &[Frame], files: &mut Files) -> String {
        let file = &mut files.database;
        let range = |index: usize| {
            let start = usize::try_from(frames[index].header.offset).expect("small");
            start..start + frames[index].bytes.len()
        };
        match self {
            Self::Remove(index) => {
                file.drain(range(*index));
                format!("frame {index} removed")
            }
            Self::Double(index) => {
                let end = range(*index).end;
                file.splice(end..end, frames[*index].bytes.clone());
                format!("frame {index} doubled")
            }
            Self::Swap(one, other) => {
                file.splice(range(*other), frames[*one].bytes.clone());
                file.splice(range(*one), frames[*other].bytes.clone());
                format!("frames {one} and {other} swapped")
            }
            Self::Replace(index, bytes) => {
                file.splice(range(*index), bytes.clone());
                format!("frame {index} replaced by {} bytes", bytes.len())
            }
            Self::Put(offset, bytes) => {
                file.resize(file.len().max(offset + bytes.len()), 0);
                file[*offset..offset + bytes.len()].copy_from_slice(bytes);
                format!("{} bytes put at {offset}", bytes.len())
            }
            Self::Append(bytes) => {
                file.extend_from_slice(bytes);
                format!("{} bytes appended", bytes.len())
            }
        }
    }
}

fn splice(specimen: &Specimen, what: &str, splices: &[Splice]) {
    let frames = specimen.referee.frames_of(&specimen.files.database);
    strike_all(specimen, what, splices, |splice, files| splice.apply(&frames, files), |_, _| ());
}

/// The specimens, and twins of each mode, with and without encryption.
fn with_twins() -> Vec<Specimen> {
    let mut specimens = all();
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for encrypted in [false, true] {
            specimens.extend(twins(mode, encrypted));
        }
    }
    specimens
}

#[test]
fn frames_that_are_removed_doubled_or_swapped_never_pass_for_the_log() {
    for specimen in with_twins() {
        let count = specimen.referee.frames_of(&specimen.files.database).len();
        let mut splices = Vec::new();
        for index in 0..count {
            splices.extend([Splice::Remove(index), Splice::Double(index)]);
            splices.extend((index + 1..count).map(|other| Splice::Swap(index, other)));
        }
        splice(&specimen, "removals, doublings and swaps", &splices);
    }
}

#[test]
fn frames_of_another_database_never_pass_for_the_log() {
    let specimens = all();
    for (index, specimen) in specimens.iter().enumerate() {
        let count = specimen.referee.frames_of(&specimen.files.database).len();
        let mut splices = Vec::new();
        for other in specimens.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, other)| other) {
            let foreign = other.referee.frames_of(&other.files.database);
            splices.extend(foreign.iter().map(|frame| Splice::Append(frame.bytes.clone())));
            for frame in &foreign {
                let offset = usize::try_from(frame.header.offset).unwrap();
                splices.push(Splice::Put(offset, frame.bytes.clone()));
            }
            let places = foreign.iter().take(count).enumerate();
            splices.extend(places.map(|(at, frame)| Splice::Replace(at, frame.bytes.clone())));
        }
        splice(specimen, "frames of other databases", &splices);
    }
}

#[test]
fn frames_of_a_fork_or_an_older_copy_join_the_log_only_where_they_continue_it() {
    for specimen in with_twins() {
        let file = &specimen.files.database;
        let here = specimen.referee.frames_of(file);
        let mut splices = Vec::new();
        for frame in specimen.referee.all_frames() {
            splices.push(Splice::Append(frame.bytes.clone()));
            let offset = usize::try_from(frame.header.offset).unwrap();
            splices.push(Splice::Put(offset, frame.bytes.clone()));
            let index = here.iter().position(|other| other.header.offset == frame.header.offset);
            splices.extend(index.map(|index| Splice::Replace(index, frame.bytes.clone())));
        }
        splice(&specimen, "frames of forks and older copies", &splices);
    }
}

#[test]
fn a_log_that_goes_over_to_its_fork_is_refused_where_it_does() {
    for mode in [Mode::Snapshot, Mode::Ledger] {
        for encrypted in [false, true] {
            let [one, other] = twins(mode, encrypted);
            let (ours, theirs) =
                (one.referee.frames_of(&one.files.database), other.referee.frames_of(&other.files.database));
            let forked =
                ours.iter().zip(&theirs).position(|(ours, theirs)| ours.leaf != theirs.leaf).unwrap();
            let mut files = Files { checkpoint: None, ..one.files.clone() };
            for (index, frame) in theirs.iter().enumerate().skip(forked + 1) {
                Splice::Put(usize::try_from(frame.header.offset).unwrap(), frame.bytes.clone())
                    .apply(&ours, &mut files);
                // The log goes over at frame `forked + 1`, whether back again at some later frame or not.
                let verdict = one.referee.strike(encrypted, &files, &|| format!("{mode} up to {index}"));
                let Verdict::Refused(Refusal::Damaged { offset, wrong, .. }) = verdict else {
                    panic!("{verdict:?}")
                };
                assert_eq!((offset, wrong), (theirs[forked + 1].header.offset, Wrong::NotContinued));
            }
        }
    }
}

#[test]
fn header_copies_of_other_times_and_forks_count_only_if_the_log_reaches_their_floor() {
    for specimen in with_twins() {
        let blocks: Vec<_> = specimen.referee.blocks().into_iter().map(|(_, block)| block).collect();
        let mut pairs: Vec<(usize, Option<usize>)> = Vec::new();
        for first in 0..blocks.len() {
            pairs.push((first, None));
            pairs.extend((0..blocks.len()).map(|second| (first, Some(second))));
        }
        let one_copy: Vec<(usize, usize)> =
            (0..blocks.len()).flat_map(|block| [(block, 0), (block, BLOCK_LEN)]).collect();
        strike_all(
            &specimen,
            "exchanges of one header copy",
            &one_copy,
            |&(block, offset), files| {
                Splice::Put(offset, blocks[block].clone()).apply(&[], files);
                format!("with block {block} at {offset}")
            },
            |_, _| (),
        );
        strike_all(
            &specimen,
            "exchanges of both header copies",
            &pairs,
            |&(first, second), files| {
                Splice::Put(0, blocks[first].clone()).apply(&[], files);
                let second = second.map_or_else(|| vec![0; BLOCK_LEN], |second| blocks[second].clone());
                Splice::Put(BLOCK_LEN, second).apply(&[], files);
                format!("with block {first} first")
            },
            |_, _| (),
        );
    }
}

#[test]
fn both_header_copies_rolled_back_lower_the_floor_and_lose_nothing() {
    for specimen in with_twins() {
        let whole = specimen.referee.judge(&specimen.files);
        let Verdict::Opens { sequence: expected, .. } = whole else { panic!("{whole:?}") };
        // Older blocks of this file: those before it was rewritten belong to another one.
        let frames = specimen.referee.frames_of(&specimen.files.database);
        let newest = newest_header(&specimen.files.database);
        for (generation, block) in specimen.referee.blocks() {
            let header = Header::decode(block.first_chunk().expect("a block")).expect("a whole header");
            // From there on other root keys are needed than that header holds: an earlier state, put back as a whole.
            let until = newest.retired.get(header.retired.len()).map(RetiredKey::until);
            let mut files = specimen.files.clone();
            Splice::Put(0, [&block[..], &block].concat()).apply(&[], &mut files);
            let place = || format!("{} with both copies of generation {generation}", specimen.name);
            match specimen.referee.strike(specimen.encrypted, &files, &place) {
                Verdict::Opens { end, torn_bytes, .. } if until.is_some() => {
                    assert_eq!(Some(end), until, "{}", place());
                    assert!(torn_bytes > 0, "{}: what follows is reported, and kept", place());
                }
                Verdict::Opens { sequence, .. } => assert_eq!(sequence, expected, "{}", place()),
                Verdict::Refused(Refusal::Damaged { offset, wrong, .. }) => {
                    let first = frames[0].header.offset;
                    let replaced = wrong == Wrong::NotContinued && offset == first;
                    assert!(replaced || wrong == Wrong::Floor, "{}: {wrong:?} at {offset}", place());
                }
                Verdict::Refused(Refusal::NotADatabase) => panic!("{}", place()),
            }
        }
    }
}

#[test]
fn a_checkpoint_counts_only_if_the_log_holds_what_it_covers() {
    for encrypted in [false, true] {
        let specimens = twins(Mode::Ledger, encrypted);
        for specimen in &specimens {
            let checkpoints = specimen.referee.checkpoints();
            assert_eq!(checkpoints.len(), 3, "one before the fork, and one of each twin");
            let len = specimen.files.database.len();
            let step = if thorough() { 1 } else { 23 };
            let cuts: Vec<(usize, usize)> = (0..checkpoints.len())
                .flat_map(|at| (2 * BLOCK_LEN..=len).step_by(step).map(move |len| (at, len)))
                .collect();
            strike_all(
                specimen,
                "checkpoints beside cut logs",
                &cuts,
                |&(checkpoint, len), files| {
                    files.checkpoint = Some(checkpoints[checkpoint].clone());
                    files.database.truncate(len);
                    format!("{checkpoint}, {len} bytes")
                },
                |_, _| (),
            );
            let beside = |checkpoint: Option<&Vec<u8>>| {
                let files = Files { checkpoint: checkpoint.cloned(), ..specimen.files.clone() };
                specimen.referee.strike(encrypted, &files, &|| specimen.name.into())
            };
            let whole = beside(None);
            assert!(matches!(whole, Verdict::Opens { .. }));
            assert_eq!(beside(checkpoints.first()), whole, "an older one of the same history is harmless");
            let ours = specimen.files.checkpoint.as_ref();
            assert_eq!(beside(ours), whole);
            let of_the_fork = checkpoints[1..].iter().find(|other| Some(*other) != ours);
            let refused = beside(of_the_fork);
            let contradicted =
                matches!(refused, Verdict::Refused(Refusal::Damaged { wrong: Wrong::Checkpoint, .. }));
            assert!(contradicted, "{refused:?}");
        }
        let foreign = twins(Mode::Ledger, encrypted)[0].files.checkpoint.clone();
        let files = Files { checkpoint: foreign, ..specimens[0].files.clone() };
        let verdict = specimens[0].referee.strike(encrypted, &files, &|| "of another database".into());
        assert!(matches!(verdict, Verdict::Opens { checkpoint_damaged: true, .. }), "{verdict:?}");
    }
}

#[test]
fn bytes_behind_the_log_are_kept_aside_and_zeros_are_cut_off() {
    for specimen in all() {
        let frames = specimen.referee.frames_of(&specimen.files.database);
        let mut garbage = Vec::new();
        for len in [1, 15, 127, 128, 129, 511, 4096, 10_000] {
            garbage
                .push(Splice::Append((0..len).map(|index: u32| (index * 7 + 1).to_le_bytes()[0]).collect()));
            garbage.push(Splice::Append(vec![0; usize::try_from(len).unwrap()]));
            garbage.push(Splice::Append(b"CdxF".repeat(usize::try_from(len).unwrap())));
        }
        garbage.extend(frames.iter().map(|frame| Splice::Append(frame.bytes[..100].to_vec())));
        strike_all(
            &specimen,
            "appendages",
            &garbage,
            |splice, files| splice.apply(&frames, files),
            |_, verdict| assert!(matches!(verdict, Verdict::Opens { .. }), "{verdict:?}"),
        );
    }
}
