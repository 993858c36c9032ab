//! What opening believes, cuts or refuses. The rules and their reasons: `docs/durability.md`, "Recovery".

use std::path::{Path, PathBuf};

use codex_crypto::{DatabaseId, KeySlot, Suite, Unlock};

use crate::error::{Damage, Result, StorageError};
use crate::files::Files;
use crate::format::VERSION;
use crate::format::frame::FrameHeader;
use crate::format::header::{self, BLOCK_LEN, Block, Choice, Floor, Header, LOG_START, NoChoice, Slots};
use crate::log::scan::{Found, LogFile, Scanned, acknowledged_beyond, scan};
use crate::log::search::{Claim, ClaimSearch};
use crate::log::{Position, Seals};
use crate::progress::Meter;
use crate::sync::Arc;
use crate::vfs::replace::{Existing, Replacement};
use crate::vfs::{Access, File, FileKind, Vfs};

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Bytes of an unacknowledged group that a crash had cut short. Opening for writing keeps them in
    /// [`Recovery::torn_file`] and cuts them off.
    pub torn_bytes: u64,
    /// Where those bytes were put.
    pub torn_file: Option<PathBuf>,
    /// One copy of the header was damaged or older. Opening for writing rewrites it.
    pub header_copy_stale: bool,
    /// There was a checkpoint, and it was damaged; the log was read instead.
    pub checkpoint_damaged: bool,
    /// The last commit that a checkpoint spared reading.
    pub checkpoint_sequence: Option<u64>,
    /// Frames of the log that were read.
    pub frames_read: u64,
}

/// A header that was read, and what it opens.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) header: Header,
    pub(crate) seals: Seals,
    /// The index of the key slot that was opened; `None` without encryption.
    pub(crate) slot: Option<usize>,
    /// Which copy the header comes from.
    pub(crate) copy: usize,
    /// The other copy is damaged or older.
    pub(crate) other_is_stale: bool,
}

/// Reads the header and unlocks the database. Touches nothing.
pub(crate) fn read_header(file: &dyn File, path: &Path, unlock: Option<&Unlock>) -> Result<Opened> {
    open_header(&read_blocks(file, path)?, path, unlock)
}

fn open_header(blocks: &[Block; 2], path: &Path, unlock: Option<&Unlock>) -> Result<Opened> {
    let damaged = |offset, damage| StorageError::damaged(path, offset, None, damage);
    let choice = choose_header(blocks, path)?;
    let (seals, slot) = unseal(&choice.header, path, unlock)?;
    let offset = (choice.index * BLOCK_LEN) as u64;
    header::authenticate(&blocks[choice.index], &*seals.sealer)
        .map_err(|error| damaged(offset, Damage::HeaderAuthentication(error)))?;
    let seals = seals
        .with_retired(&choice.header.retired)
        .map_err(|_| damaged(offset, Damage::HeaderField("retired root key")))?;
    let (header, copy, other_is_stale) = (choice.header, choice.index, choice.other_is_stale);
    Ok(Opened { header, seals, slot, copy, other_is_stale })
}

pub(crate) fn choose_header(blocks: &[Block; 2], path: &Path) -> Result<Choice> {
    header::choose(blocks).map_err(|reason| match reason {
        NoChoice::NotADatabase => StorageError::NotADatabase { path: path.to_path_buf() },
        NoChoice::Version(found) => {
            StorageError::UnsupportedVersion { path: path.to_path_buf(), found, supported: VERSION }
        }
        NoChoice::Damaged(damage) => StorageError::damaged(path, 0, None, damage),
    })
}

/// The header for whoever has no key: both copies must be intact, and nobody has authenticated them.
pub(crate) fn read_unkeyed_header(file: &dyn File, path: &Path) -> Result<Header> {
    let blocks = read_blocks(file, path)?;
    let choice = choose_header(&blocks, path)?;
    let other = 1 - choice.index;
    if Header::decode(&blocks[other]).is_err() {
        let offset = (other * BLOCK_LEN) as u64;
        return Err(StorageError::damaged(path, offset, None, Damage::HeaderCopy));
    }
    Ok(choice.header)
}

/// The key slots of the header that counts, authenticated by nobody.
pub(crate) fn read_slots(file: &dyn File, path: &Path) -> Result<Slots> {
    Ok(choose_header(&read_blocks(file, path)?, path)?.header.slots)
}

/// The header for a repair, and whether it is another copy than the one that counts: opening never falls back to
/// the other copy, but to salvage from, an authentic one that may be older is better than none. Touches nothing.
pub(crate) fn salvage_header(
    file: &dyn File,
    path: &Path,
    unlock: Option<&Unlock>,
) -> Result<(Opened, bool)> {
    let blocks = read_blocks(file, path)?;
    let error = match open_header(&blocks, path, unlock) {
        Ok(opened) => return Ok((opened, false)),
        Err(error @ StorageError::UnsupportedVersion { .. }) => return Err(error),
        Err(error) => error,
    };
    let mut found = Vec::new();
    for index in 0..blocks.len() {
        let mut alone = blocks;
        alone[1 - index] = [0; BLOCK_LEN];
        found.extend(open_header(&alone, path, unlock));
    }
    // One key may open copies of two databases: the first frame says whose file this is.
    let owner = found.iter().position(|opened| begins_with_frame_of(file, opened.header.id));
    if !found.is_empty() {
        return Ok((found.swap_remove(owner.unwrap_or(0)), true));
    }
    let lost = match &error {
        StorageError::Damaged { source: Damage::NoHeader, .. } => true,
        StorageError::NotADatabase { .. } => holds_frames(file, path)?,
        _ => false,
    };
    Err(if lost { StorageError::damaged(path, 0, None, Damage::HeaderLost) } else { error })
}

fn begins_with_frame_of(file: &dyn File, id: DatabaseId) -> bool {
    let mut bytes = [0; FrameHeader::LEN];
    let read = file.read_exact_at(&mut bytes, LOG_START);
    read.is_ok() && FrameHeader::decode(&bytes, LOG_START, id).is_some()
}

/// Whether something in the file claims to be a frame where it stands: then it was a database.
fn holds_frames(file: &dyn File, path: &Path) -> Result<bool> {
    let len = file.len().map_err(StorageError::io("read the length of", path))?;
    let mut search = ClaimSearch::new(file, path, LOG_START, len);
    let claim = search.next(LOG_START, |bytes, at| FrameHeader::names_offset(bytes, at).then_some(0))?;
    Ok(claim != Claim::None)
}

/// Demands that both copies of the header are intact and authenticate, and returns the newer one. A crash between the
/// writing of the two leaves one that is older: that is no damage. If the root key was changed there, the older one is
/// under a retired key.
pub(crate) fn verify_header(file: &dyn File, path: &Path, seals: &Seals) -> Result<Header> {
    let blocks = read_blocks(file, path)?;
    let damaged =
        |index: usize, damage| StorageError::damaged(path, (index * BLOCK_LEN) as u64, None, damage);
    let decode =
        |index: usize| Header::decode(&blocks[index]).map_err(|_| damaged(index, Damage::HeaderCopy));
    let [first, second] = [decode(0)?, decode(1)?];
    let newest = first.generation.max(second.generation);
    for (index, generation) in [first.generation, second.generation].into_iter().enumerate() {
        let mut judged = header::authenticate(&blocks[index], &*seals.sealer);
        if generation < newest {
            judged = judged.or_else(|error| {
                let authentic = |sealer| header::authenticate(&blocks[index], sealer).is_ok();
                if seals.all_sealers().any(authentic) { Ok(()) } else { Err(error) }
            });
        }
        judged.map_err(|error| damaged(index, Damage::HeaderAuthentication(error)))?;
    }
    if first.generation == second.generation && blocks[0] != blocks[1] {
        return Err(damaged(1, Damage::HeaderCopiesDiffer));
    }
    Ok(if first.generation >= second.generation { first } else { second })
}

/// Whether the file begins as a database does, whatever its state; read before anything is created beside it.
pub(crate) fn looks_like_a_database(file: &dyn File, path: &Path) -> Result<bool> {
    let blocks = read_blocks(file, path)?;
    Ok(!matches!(header::choose(&blocks), Err(NoChoice::NotADatabase)))
}

pub(crate) fn read_blocks(file: &dyn File, path: &Path) -> Result<[Block; 2]> {
    let mut blocks = [[0; BLOCK_LEN]; 2];
    for (index, block) in blocks.iter_mut().enumerate() {
        // What a short file lacks reads as zeros, and fails the checksum.
        file.read_at(block, (index * BLOCK_LEN) as u64).map_err(StorageError::io("read", path))?;
    }
    Ok(blocks)
}

/// The root key, without those before it, and the slot that holds it.
fn unseal(header: &Header, path: &Path, unlock: Option<&Unlock>) -> Result<(Seals, Option<usize>)> {
    let id = header.id;
    let path = || path.to_path_buf();
    match (header.suite, unlock) {
        (Suite::Plaintext, None) => Ok((Seals::plaintext(id), None)),
        (Suite::Plaintext, Some(_)) => Err(StorageError::NotEncrypted { path: path() }),
        (Suite::Aes256Gcm, None) => Err(StorageError::KeyRequired { path: path() }),
        (Suite::Aes256Gcm, Some(unlock)) => {
            let mut failure = StorageError::WrongKey { path: path() };
            for (index, slot) in header.slots.iter().enumerate() {
                let opened = KeySlot::decode(slot).and_then(|slot| match slot {
                    Some(slot) => slot.unwrap(unlock, id),
                    None => Ok(None),
                });
                match opened {
                    Ok(Some(root)) => return Ok((Seals::encrypted(id, root), Some(index))),
                    Ok(None) => {}
                    Err(source) => failure = StorageError::Key { path: path(), source },
                }
            }
            Err(failure)
        }
    }
}

/// The log as far as it is believed.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) end: Position,
    pub(crate) frames: u64,
    /// What stands behind the end: nothing, zeros, or the torn end of an unacknowledged group.
    pub(crate) behind: Behind,
    /// Everything before this offset is known to be durable.
    pub(crate) durable: u64,
}

/// What stands behind the last whole group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    Nothing,
    Zeros,
    /// Up to this offset; from there on zeros.
    Torn(u64),
}

/// Reads the log from `from`, which is known to be durable, and judges its end. Touches nothing.
/// `meter` counts from `from` on.
pub(crate) fn read_log(
    log: LogFile<'_>,
    from: Position,
    meter: &mut Meter,
    visit: impl FnMut(Found<'_>),
) -> Result<Recovered> {
    let len = log.file.len().map_err(StorageError::io("read the length of", log.path))?;
    let known = from.offset;
    let Scanned { end, stop, durable, frames, .. } = scan(log, from, len, meter, visit)?;
    let damaged = |damage| StorageError::damaged(log.path, stop, Some(end.sequence.0), damage);
    // A file that ends inside its header has lost its log: it was created with both copies.
    if end.offset.min(len) < log.header.floor.offset {
        return Err(damaged(Damage::Floor));
    }
    if acknowledged_beyond(log, &end, stop, len)? {
        return Err(damaged(Damage::AcknowledgedFrame));
    }
    let behind = match last_nonzero(log.file, log.path, end.offset, len)? {
        Some(last) => Behind::Torn(last + 1),
        None if len > end.offset => Behind::Zeros,
        None => Behind::Nothing,
    };
    let durable = durable.max(log.header.floor.offset).max(known);
    Ok(Recovered { end, frames, behind, durable })
}

/// Makes the file what [`read_log`] believed: the torn end is put aside and cut off, and what nothing
/// says is durable is written again. Durable when this returns.
pub(crate) fn settle(
    log: LogFile<'_>,
    recovered: &Recovered,
    vfs: &Arc<dyn Vfs>,
    files: &Files,
) -> Result<Option<PathBuf>> {
    let end = recovered.end.offset;
    let io = |action| StorageError::io(action, log.path);
    let mut torn_file = None;
    if let Behind::Torn(to) = recovered.behind {
        let torn = files.torn();
        keep_torn(log, vfs, &torn, end, to).map_err(StorageError::io("keep the torn end in", &torn))?;
        torn_file = Some(torn);
    }
    if recovered.behind != Behind::Nothing {
        log.file.set_len(end).and_then(|()| log.file.sync()).map_err(io("cut the torn end of"))?;
    }
    // An earlier sync may have failed and left these bytes in memory only; a sync now would say nothing
    // about them, a new write does.
    if recovered.durable < end {
        copy(log.file, log.file, recovered.durable, end, recovered.durable)
            .and_then(|()| log.file.sync())
            .map_err(io("make durable again the end of"))?;
    }
    Ok(torn_file)
}

/// Rewrites the header copy that is not the chosen one, and before it the chosen one: whoever wrote that may have been
/// killed, or met a failing sync, before it was durable, and a power loss must never find both torn.
pub(crate) fn rewrite_stale_copy(file: &dyn File, path: &Path, opened: &Opened) -> Result<()> {
    let block = opened.header.encode(&*opened.seals.sealer);
    for copy in [opened.copy, 1 - opened.copy] {
        file.write_all_at(&block, (copy * BLOCK_LEN) as u64)
            .and_then(|()| file.sync())
            .map_err(StorageError::io("rewrite a header copy of", path))?;
    }
    Ok(())
}

fn keep_torn(log: LogFile<'_>, vfs: &Arc<dyn Vfs>, torn: &Path, from: u64, to: u64) -> std::io::Result<()> {
    let kept = Replacement::create(vfs, torn)?;
    copy(log.file, &**kept.file(), from, to, 0)?;
    kept.persist(Existing::Replace)?;
    Ok(())
}

/// Copies the bytes `from..to` of one file to `target_offset` of another, or of itself.
pub(crate) fn copy(
    source: &dyn File,
    target: &dyn File,
    from: u64,
    to: u64,
    target_offset: u64,
) -> std::io::Result<()> {
    let mut buffer = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX).min(COPY_LEN)];
    let mut offset = from;
    while offset < to {
        let len = usize::try_from(to - offset).unwrap_or(usize::MAX).min(buffer.len());
        source.read_exact_at(&mut buffer[..len], offset)?;
        target.write_all_at(&buffer[..len], target_offset + (offset - from))?;
        offset += len as u64;
    }
    Ok(())
}

/// The offset of the last byte in `from..to` that is not zero.
pub(crate) fn last_nonzero(file: &dyn File, path: &Path, from: u64, to: u64) -> Result<Option<u64>> {
    let mut buffer = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX).min(COPY_LEN)];
    let mut last = None;
    let mut offset = from;
    while offset < to {
        let len = usize::try_from(to - offset).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(&mut buffer[..len], offset).map_err(StorageError::io("read", path))?;
        if let Some(index) = buffer[..len].iter().rposition(|&byte| byte != 0) {
            last = Some(offset + index as u64);
        }
        offset += len as u64;
    }
    Ok(last)
}

/// Files are copied in pieces of this many bytes.
const COPY_LEN: usize = 1 << 20;

/// The floor that the database at `path` records, not authenticated: good for telling whether a backup is
/// current, and nothing else. `None` where no database stands.
pub fn recorded_floor(vfs: &dyn Vfs, path: &Path) -> Result<Option<Floor>> {
    if vfs.kind(path).map_err(StorageError::io("look at", path))? != Some(FileKind::Regular) {
        return Ok(None);
    }
    let file = vfs.open(path, Access::Read).map_err(StorageError::io("open", path))?;
    let choice = header::choose(&read_blocks(&*file, path)?);
    Ok(choice.ok().map(|choice| choice.header.floor))
}
