//! What seals a database, and what opens the older parts of its log.
//!
//! Everything is sealed under one root key. A ledger whose root key was changed keeps what came before: the log up to
//! an offset opens under a retired root key, and what is sealed from there on under the next. Which key belongs to a
//! frame is decided by the place where it stands, never by trying.

use std::fmt;

use codex_crypto::{Aes256GcmSealer, DatabaseId, KeyError, PlaintextSealer, RetiredKey, RootKey, Sealer};

use crate::sync::Arc;

/// The root keys of one database, as what seals and opens frames.
#[derive(Clone, Debug)]
pub(crate) struct Seals {
    pub(crate) id: DatabaseId,
    /// Seals all that is written, and the header.
    pub(crate) sealer: Arc<dyn Sealer>,
    /// What `sealer` is made of; none without encryption.
    root: Option<Arc<RootKey>>,
    /// Oldest first.
    retired: Vec<Retired>,
}

/// A root key that the log before an offset was sealed under.
#[derive(Clone)]
struct Retired {
    until: u64,
    root: Arc<RootKey>,
    sealer: Arc<dyn Sealer>,
}

impl Seals {
    /// Of a database without encryption.
    pub(crate) fn plaintext(id: DatabaseId) -> Self {
        Self { id, sealer: Arc::new(PlaintextSealer::new(id)), root: None, retired: Vec::new() }
    }

    /// Of a database whose root key is this one, and was never changed.
    pub(crate) fn encrypted(id: DatabaseId, root: RootKey) -> Self {
        let sealer = Arc::new(Aes256GcmSealer::new(&root, id));
        Self { id, sealer, root: Some(Arc::new(root)), retired: Vec::new() }
    }

    /// With the retired root keys that a header holds.
    pub(crate) fn with_retired(mut self, entries: &[RetiredKey]) -> Result<Self, KeyError> {
        let Some(root) = &self.root else { return Ok(self) };
        for entry in entries {
            let retired = entry.unwrap(root, self.id)?;
            let sealer = Arc::new(Aes256GcmSealer::new(&retired, self.id));
            self.retired.push(Retired { until: entry.until(), root: Arc::new(retired), sealer });
        }
        Ok(self)
    }

    /// The same log, sealed from the offset `until` on under another root key.
    pub(crate) fn renewed(&self, until: u64, root: RootKey) -> Self {
        let mut renewed = Self { retired: self.retired.clone(), ..Self::encrypted(self.id, root) };
        if let Some(root) = self.root.clone() {
            renewed.retired.push(Retired { until, root, sealer: self.sealer.clone() });
        }
        renewed
    }

    /// For a copy of the log up to `end`, behind which all is sealed anew.
    pub(crate) fn up_to(&self, end: u64) -> Self {
        let mut seals = self.clone();
        seals.retired.iter_mut().for_each(|retired| retired.until = retired.until.min(end));
        seals
    }

    /// For a file that was written as a whole, beside the log.
    pub(crate) fn current(&self) -> Self {
        Self { retired: Vec::new(), ..self.clone() }
    }

    /// What opens the frame of the log that stands at an offset.
    pub(crate) fn sealer_at(&self, offset: u64) -> &dyn Sealer {
        let retired = self.retired.partition_point(|retired| retired.until <= offset);
        self.retired.get(retired).map_or(&*self.sealer, |retired| &*retired.sealer)
    }

    /// What may have sealed an older copy of the header.
    pub(crate) fn all_sealers(&self) -> impl Iterator<Item = &dyn Sealer> {
        std::iter::once(&*self.sealer).chain(self.retired.iter().map(|retired| &*retired.sealer))
    }

    /// The root key behind all that is written; none without encryption.
    pub(crate) fn root(&self) -> Option<&Arc<RootKey>> {
        self.root.as_ref()
    }

    /// The retired root keys for a header, each wrapped anew.
    pub(crate) fn wrap_retired(&self) -> Result<Vec<RetiredKey>, KeyError> {
        let Some(root) = &self.root else { return Ok(Vec::new()) };
        let wrap = |retired: &Retired| RetiredKey::wrap(&retired.root, retired.until, root, self.id);
        self.retired.iter().map(wrap).collect()
    }
}

impl fmt::Debug for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retired").field("until", &self.until).finish_non_exhaustive()
    }
}
