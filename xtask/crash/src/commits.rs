//! Commits, alone and in flight together, and what they must come to.

use codex_storage::{Batch, Durability, Outcome, SequenceNumber, StorageError};

use crate::answers::{chain, is_unknown};
use crate::history::{Commit, Condition};
use crate::model::{Effect, State, batch, key};
use crate::world::{End, Taken, World, fail};

impl World {
    pub(crate) fn commit(&mut self, commit: &Commit) -> Taken {
        if !self.open()? {
            return Ok(());
        }
        let Some(database) = &self.database else { return Ok(()) };
        let before = database.head().offset;
        let (batch, expected) = self.prepare(commit, &self.timeline.state(), self.timeline.state());
        let result = database.commit(batch);
        let sequence = self.timeline.last();
        let unknown = matches!(&result, Err(error) if is_unknown(error));
        if unknown && let Some(effect) = expected {
            self.unknown = vec![effect.state];
        }
        if let Some(outcome) = self.answer("a commit", result)? {
            self.judge(&outcome, expected)?;
            if self.timeline.last() > sequence {
                self.protected = (self.durability == Durability::Sync).then_some(before);
            }
        } else if unknown && !self.stopped {
            return fail("a commit's outcome is unknown without a failed sync");
        }
        Ok(())
    }

    /// Commits in flight together. They are led when the background is tended.
    pub(crate) fn submit(&mut self, commits: &[Commit]) -> Taken {
        if !self.open()? {
            return Ok(());
        }
        let Some(database) = &self.database else { return Ok(()) };
        self.protected = None;
        let start = self.timeline.state();
        let mut now = start;
        let mut pending = Vec::new();
        for commit in commits {
            let (batch, expected) = self.prepare(commit, &start, now);
            now = expected.map_or(now, |effect| effect.state);
            let submitted = database.submit(batch).map_err(|error| End::Failure(chain(&error)))?;
            pending.push((submitted, commit));
        }
        let tended = database.tend();
        let results: Vec<_> = pending.into_iter().map(|(pending, commit)| (pending.wait(), commit)).collect();
        // One group fails as a whole; one before it may have succeeded, and one behind it where space came.
        let mut reported = tended.is_err();
        let mut unknown = Vec::new();
        let (mut failed, mut all) = (None, true);
        for (result, commit) in results {
            let state = unknown.last().copied().unwrap_or_else(|| self.timeline.state());
            match result {
                // What is unknown is not visible, so it does not count for who comes later.
                Ok(outcome) => {
                    let expected = expect(commit, &start, self.timeline.state());
                    self.judge(&outcome, expected)?;
                }
                Err(error) => {
                    reported = true;
                    all = false;
                    if is_unknown(&error)
                        && let Some(effect) = expect(commit, &start, state)
                        && effect.writes
                    {
                        unknown.push(effect.state);
                    }
                    failed.get_or_insert(error);
                }
            }
        }
        if !unknown.is_empty() {
            self.unknown = unknown;
        }
        if reported {
            let error = failed.or(tended.err()).expect("an error was reported");
            return self.answer_of_rewrite("submitted commits", Err::<(), _>(error)).map(drop);
        }
        self.answer("submitted commits", Ok::<(), StorageError>(()))?;
        if all && self.durability != Durability::Sync {
            self.tended();
        }
        Ok(())
    }

    /// A batch, and what it must come to; `None`: a conflict. `start` is the state that conditions speak of,
    /// `now` the one that the batch meets.
    pub(crate) fn prepare(&self, commit: &Commit, start: &State, now: State) -> (Batch, Option<Effect>) {
        let mut batch = batch(&commit.changes);
        let database = self.database.as_ref();
        let written_by = |number| database.and_then(|database| database.get(&key(number))).map(|(_, by)| by);
        let required = match commit.condition {
            None => Ok(()),
            Some(Condition::Unchanged(number)) => batch.require(&key(number), written_by(number)),
            Some(Condition::WrittenInTheFuture(number)) => {
                batch.require(&key(number), Some(SequenceNumber(u64::MAX)))
            }
        };
        required.expect("keys are within bounds");
        (batch, expect(commit, start, now))
    }

    /// Judges the outcome of a commit that returned, and takes it over.
    pub(crate) fn judge(&mut self, outcome: &Outcome, expected: Option<Effect>) -> Taken {
        let (sequence, removed, effect) = match (outcome, expected) {
            (Outcome::Conflict, None) => return Ok(()),
            (Outcome::Committed { sequence, removed }, Some(effect)) => (sequence.0, *removed, effect),
            _ => return fail(format!("{outcome:?} where {expected:?} was to be expected")),
        };
        if effect.writes {
            self.must_not_be_stopped("a commit")?;
            self.timeline.push(effect.state);
            match self.durability {
                Durability::Sync => self.all_is_durable(),
                Durability::Interval(_) => self.handed = self.timeline.last(),
                Durability::Buffered => {}
            }
        }
        if sequence != self.timeline.last() || removed != effect.removed {
            let expected = (self.timeline.last(), effect.removed);
            return fail(format!("{outcome:?} where commit and removed keys are {expected:?}"));
        }
        Ok(())
    }
}

/// What a commit must come to; `None`: a conflict. `start` is the state that its condition speaks of.
fn expect(commit: &Commit, start: &State, now: State) -> Option<Effect> {
    let holds = match commit.condition {
        None => true,
        Some(Condition::Unchanged(number)) => start.get(number) == now.get(number),
        Some(Condition::WrittenInTheFuture(_)) => false,
    };
    holds.then(|| now.after(&commit.changes))
}
