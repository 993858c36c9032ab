//! A checkpoint of any bytes beside a ledger that is as it was.

use codex_crypto::DatabaseId;
use codex_storage::vfs::sim::SimVfs;

use crate::image::{self, CHECKPOINT, COMMITS, PATH};
use crate::{database, repair};

/// Written by `examples/make_seeds.rs`, with the checkpoints that are this target's seeds.
const PLAINTEXT: &[u8] = include_bytes!("../images/ledger.db");
const ENCRYPTED: &[u8] = include_bytes!("../images/ledger-encrypted.db");

/// The first byte says whether checksums and links are repaired (1), and which ledger it is (2: the encrypted one); the
/// rest is the checkpoint.
pub fn run(input: &[u8]) {
    let Some((flags, checkpoint)) = input.split_first() else { return };
    let (repaired, encrypted) = (flags & 1 != 0, flags & 2 != 0);
    let ledger = if encrypted { ENCRYPTED } else { PLAINTEXT };
    let mut checkpoint = checkpoint.to_vec();
    if repaired {
        let id = ledger[96..112].try_into().expect("16 bytes");
        repair::checkpoint(&mut checkpoint, DatabaseId::from_bytes(id));
    }
    let disk = SimVfs::new(0);
    disk.write_file(PATH, ledger).expect("the disk is not full");
    disk.write_file(CHECKPOINT, &checkpoint).expect("the disk is not full");
    if repaired && !encrypted {
        forged(&disk);
        return;
    }
    if let Some((sequence, found)) = database::examine(&disk, encrypted) {
        assert_eq!(sequence, COMMITS, "a checkpoint hides no commit");
        assert!(found == image::state(sequence), "a checkpoint changes no record");
    }
}

/// Without encryption a checkpoint can be made that says anything about the past: it is believed, or the opening fails.
fn forged(disk: &SimVfs) {
    let shown = image::open_read_only(disk, false).map(|database| image::contents(&database));
    let opened = image::open(disk, false).map(|database| image::contents(&database));
    assert_eq!(shown.ok(), opened.ok());
}
