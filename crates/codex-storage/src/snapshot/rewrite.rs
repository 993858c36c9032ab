//! Reclaims space: writes what is live into a new file and puts it in place of the old one.
//!
//! 1. Under the I/O lock: the log's end is noted, with a view of what it holds.
//! 2. Without any lock: base frames are written from the view, and the commits made meanwhile are copied behind them,
//!    again and again until hardly any are left. All of this is synced, in steps, with some room of written zeros behind it.
//! 3. Under the I/O lock: the last few commits follow, the header with the floor is written, the new file is
//!    synced, renamed over the old one, and the folder is synced.
//!
//! Commits wait for step 3, which is why it writes into synced space only: its sync need not record where the file's
//! bytes are, nor need those of the first commits behind it.
//!
//! The predecessor's root in the new header is the one at step 1, where the base was taken: the first base
//! frame names it, so it must be known before the commits of step 2 are.

use std::path::PathBuf;

use crate::batch::Operation;
use crate::clock::Clock;
use crate::engine::{Maintenance, MaintenanceHost};
use crate::error::{Damage, Result, StorageError};
use crate::files::Files;
use crate::format::frame::{Kind, PAYLOAD_LEN_MAX};
use crate::format::header::{BLOCK_LEN, Header, Slots};
use crate::format::record;
use crate::keys::NewRoot;
use crate::log::reader::FrameReader;
use crate::log::seal::{GroupInfo, GroupSealer};
use crate::log::writer::{Log, LogParts};
use crate::log::{Durability, Position, Seals};
use crate::observe::{self, Event, Teller, Work};
use crate::progress::{Meter, Stage};
use crate::snapshot::rewritten_len;
use crate::sync::Arc;
use crate::vfs::replace::{Existing, Replacement, SteppedWriter, is_unsettled};
use crate::vfs::{File, Lock, Vfs};
use crate::view::View;

/// A rewrite that is planned.
pub(super) struct Rewrite {
    view: View,
    vfs: Arc<dyn Vfs>,
    files: Files,
    /// Of the new file.
    seals: Seals,
    old_seals: Seals,
    /// Of the new file, if its root key is another one.
    slots: Option<Slots>,
    clock: Arc<dyn Clock>,
    durability: Durability,
    teller: Arc<Teller>,
    old: Arc<dyn File>,
    /// Where the old log ended when the view was taken.
    from: Position,
    header: Header,
}

impl Rewrite {
    pub(super) fn plan(log: &mut Log, vfs: Arc<dyn Vfs>, files: Files, view: View) -> Result<Self> {
        log.write_out()?;
        let from = log.end().clone();
        if from.sequence != view.sequence() {
            return Err(StorageError::Internal("a rewrite was planned beside a commit"));
        }
        let header = Header {
            predecessor_root: from.frontier.root(),
            base_sequence: from.sequence,
            ..log.header().clone()
        };
        Ok(Self {
            view,
            vfs,
            files,
            seals: log.seals().clone(),
            old_seals: log.seals().clone(),
            slots: None,
            clock: log.clock().clone(),
            durability: log.durability(),
            teller: log.teller().clone(),
            old: log.file().clone(),
            from,
            header,
        })
    }

    /// Into a file under another root key.
    pub(super) fn with_new_root(self, new: NewRoot) -> Self {
        Self { seals: Seals::encrypted(self.seals.id, new.root), slots: Some(new.slots), ..self }
    }
}

impl Maintenance for Rewrite {
    fn run(self: Box<Self>, host: &dyn MaintenanceHost) -> Result<()> {
        let _span = observe::begin(Work::Rewrite);
        let start = self.clock.monotonic();
        let path = self.files.database().to_path_buf();
        let io = |action| StorageError::io(action, self.files.database());
        let replacement = Replacement::create(&self.vfs, &path).map_err(io("write a new file beside"))?;
        // The lock goes with the file, so that there is no moment without one.
        if !replacement.file().try_lock(Lock::Exclusive).map_err(io("lock the new file beside"))? {
            return Err(StorageError::Locked { path: replacement.path().to_path_buf() });
        }
        let mut copy = Copy {
            file: SteppedWriter::new(replacement.file().clone()),
            path: replacement.path().to_path_buf(),
            seals: &self.seals,
            end: Position::start(&self.header),
            old: &*self.old,
            old_seals: &self.old_seals,
            old_path: path.clone(),
            read_to: self.from.offset,
            room_to: 0,
            buffer: Vec::new(),
        };
        let records = self.view.totals().records;
        let mut meter = host.observer().begin(Stage::Rewriting, rewritten_len(self.view.totals()));
        copy.write_base(&self.view, self.clock.wall_ns(), host, &mut meter)?;
        drop(self.view);
        for _ in 0..CATCH_UP_ROUNDS {
            let mut to = 0;
            host.with_engine(&mut |engine| {
                engine.log_mut().write_out()?;
                to = engine.log().end().offset;
                Ok(())
            })?;
            let behind = to - copy.read_to;
            copy.catch_up(to, host)?;
            copy.make_room()?;
            if behind <= CATCH_UP_LEN {
                break;
            }
        }
        let mut replacement = Some(replacement);
        let mut lens = (0, 0);
        host.with_engine(&mut |engine| {
            let log = engine.log_mut();
            log.write_out()?;
            copy.catch_up(log.end().offset, host)?;
            let replacement = replacement.take().ok_or(StorageError::Internal("a rewrite ended twice"))?;
            let slots = self.slots.unwrap_or(log.header().slots);
            let mut header = Header { slots, ..self.header.clone() };
            header.generation = log.header().generation + 1;
            header.floor = copy.end.floor();
            let block = header.encode(&*self.seals.sealer);
            let file = replacement.file();
            file.write_all_at(&block, 0)
                .and_then(|()| file.write_all_at(&block, BLOCK_LEN as u64))
                .map_err(io("write the header of the new file beside"))?;
            match replacement.persist(Existing::Replace) {
                Ok(file) => {
                    let mut renewed = Log::new(LogParts {
                        file,
                        path: path.clone(),
                        header,
                        seals: self.seals.clone(),
                        clock: self.clock.clone(),
                        durability: self.durability,
                        teller: self.teller.clone(),
                        end: copy.end.clone(),
                        allocated: copy.room_to.max(copy.end.offset),
                    });
                    renewed.continue_counting(log.counters());
                    lens = (log.end().offset, copy.end.offset);
                    engine.replace_log(renewed);
                    Ok(())
                }
                Err(error) if is_unsettled(&error) => {
                    // After a crash either file may stand there; both hold everything that was
                    // acknowledged, but nothing more may be.
                    Err(log.stop(io("make durable the rewrite of")(error)))
                }
                Err(error) => Err(io("put the new file in place of")(error)),
            }
        })?;
        let (bytes_before, bytes) = lens;
        let took = self.clock.monotonic().saturating_sub(start);
        self.teller.tell(&Event::Rewritten { records, bytes_before, bytes, took });
        meter.finish();
        Ok(())
    }
}

/// The new file as far as it is written.
struct Copy<'a> {
    file: SteppedWriter,
    path: PathBuf,
    seals: &'a Seals,
    end: Position,
    old: &'a dyn File,
    old_seals: &'a Seals,
    old_path: PathBuf,
    /// Everything of the old log before this offset is in the new file.
    read_to: u64,
    /// Zeros stand between the end and this offset.
    room_to: u64,
    buffer: Vec<u8>,
}

impl Copy<'_> {
    fn write_base(
        &mut self,
        view: &View,
        time_ns: u64,
        host: &dyn MaintenanceHost,
        meter: &mut Meter,
    ) -> Result<()> {
        // The place of the header, which comes last.
        let header = [0; 2 * BLOCK_LEN];
        self.file.write_all_at(&header, 0).map_err(StorageError::io("write", &self.path))?;
        write_state(
            view,
            Kind::Base,
            time_ns,
            self.seals,
            &mut self.end,
            &mut self.buffer,
            |frame, offset| {
                host.check_wanted()?;
                meter.reach(offset);
                self.file.write_all_at(frame, offset).map_err(StorageError::io("write", &self.path))
            },
        )
    }

    /// Sees to it that zeros stand behind the end, and makes durable all that is written.
    fn make_room(&mut self) -> Result<()> {
        let end = self.end.offset;
        if self.room_to < end + ROOM_LEN as u64 / 2 {
            let room = vec![0; ROOM_LEN];
            self.file.write_all_at(&room, end).map_err(StorageError::io("write", &self.path))?;
            self.room_to = end + ROOM_LEN as u64;
        }
        self.file.sync().map_err(StorageError::io("sync", &self.path))
    }

    /// Copies the groups of the old log up to `to`, each sealed anew for its new place.
    fn catch_up(&mut self, to: u64, host: &dyn MaintenanceHost) -> Result<()> {
        let mut reader = FrameReader::new(self.old, to);
        while self.read_to < to {
            host.check_wanted()?;
            let mut payload = Vec::new();
            let (info, last) = loop {
                let frame = reader
                    .frame_at(self.read_to, self.old_seals)
                    .map_err(StorageError::io("read", &self.old_path))?;
                let Some(frame) = frame else {
                    let sequence = Some(self.end.sequence.0);
                    return Err(StorageError::damaged(
                        &self.old_path,
                        self.read_to,
                        sequence,
                        Damage::LogChanged,
                    ));
                };
                payload.extend_from_slice(frame.payload);
                self.read_to = frame.end;
                if frame.header.ends {
                    let header = frame.header;
                    let info = GroupInfo {
                        kind: Kind::Commit,
                        first_sequence: header.first_sequence,
                        commit_count: header.commit_count,
                        time_ns: header.time_ns,
                        // Nothing of the new file is durable before its floor says so.
                        durable: 0,
                    };
                    break (info, header.first_sequence.plus(u64::from(header.commit_count) - 1));
                }
            };
            let tip = self.end.tip();
            let mut sealer = GroupSealer::new(self.seals, info, tip, &mut self.buffer, |frame, offset| {
                self.file.write_all_at(frame, offset).map_err(StorageError::io("write", &self.path))
            });
            std::io::Write::write_all(&mut sealer, &payload).map_err(|error| sealer.explain(&error))?;
            sealer.finish(&mut self.end, last)?;
        }
        Ok(())
    }
}

/// Writes all records of a view as groups of base or checkpoint frames behind `end`.
pub(crate) fn write_state(
    view: &View,
    kind: Kind,
    time_ns: u64,
    seals: &Seals,
    end: &mut Position,
    buffer: &mut Vec<u8>,
    mut emit: impl FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let sequence = view.sequence();
    let info = GroupInfo { kind, first_sequence: sequence, commit_count: 0, time_ns, durable: 0 };
    let mut records = view.range((std::ops::Bound::Unbounded, std::ops::Bound::Unbounded)).peekable();
    while records.peek().is_some() {
        let mut operations = Vec::new();
        let mut len = 0;
        while let Some(record) = records.next_if(|record| {
            len += record.bytes().len() + RECORD_OVERHEAD_MAX;
            operations.is_empty() || len <= PAYLOAD_LEN_MAX
        }) {
            operations.push(Operation::Set(record));
        }
        let mut sealer = GroupSealer::new(seals, info, end.tip(), buffer, &mut emit);
        record::write_commit(operations.iter(), &mut sealer).map_err(|error| sealer.explain(&error))?;
        sealer.finish(end, sequence)?;
    }
    Ok(())
}

/// Bounds what the encoding adds to a record, in bytes.
const RECORD_OVERHEAD_MAX: usize = 22;
/// After a round that copied no more than this, the I/O lock is taken for what came meanwhile, in bytes.
const CATCH_UP_LEN: u64 = 4 << 10;
/// Writers that are faster than the copy are caught up with under the I/O lock in the end.
const CATCH_UP_ROUNDS: usize = 8;
/// Zeros behind the new log's end, in bytes.
const ROOM_LEN: usize = 64 << 10;
