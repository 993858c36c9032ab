//! Writes the databases that targets start from, and the seeds: `cargo run -p codex-fuzz --example make_seeds`.
//!
//! They hold random ids and salts, so that each run writes other bytes; what is committed stays as it is until the
//! format or a target's input changes.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use codex::proof::CommitProof;
use codex_crypto::head::ConsistencyText;
use codex_crypto::{HeadNote, KeySlot, SigningKey};
use codex_fuzz::image::{self, CHECKPOINT, Left, PATH};
use codex_storage::format::frame::FrameHeader;
use codex_storage::format::header::LOG_START;
use codex_storage::vfs::sim::Random;
use codex_storage::{Mode, SequenceNumber, StorageError};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seeds = Seeds { root: root.join("seeds") };
    for (encrypted, suffix) in [(false, ""), (true, "-encrypted")] {
        let flags = [1, 2][usize::from(encrypted)];
        let snapshot = file(Mode::Snapshot, encrypted, Left::Closed)?;
        seeds.add("database", &format!("snapshot{suffix}"), &[&[flags], &snapshot])?;
        let killed = file(Mode::Snapshot, encrypted, Left::Killed)?;
        seeds.add("database", &format!("killed{suffix}"), &[&[flags], &killed])?;
        seeds.add("header", &format!("snapshot{suffix}"), &[&[3], &snapshot[..8192]])?;
        seeds.add("slot", &format!("snapshot{suffix}"), &[&snapshot[2048..2048 + KeySlot::LEN], &[1]])?;
        let frame = &snapshot[usize::try_from(LOG_START)?..][..FrameHeader::LEN + 40];
        seeds.add("frame", &format!("snapshot{suffix}"), &[&[flags | 1], frame])?;

        let disk = image::make(Mode::Ledger, encrypted, Left::Closed)?;
        let (ledger, checkpoint) = (disk.read_file(PATH)?, disk.read_file(CHECKPOINT)?);
        seeds.add("database", &format!("ledger{suffix}"), &[&[flags], &ledger])?;
        seeds.add("checkpoint", &format!("ledger{suffix}"), &[&[flags], &checkpoint])?;
        put(&root.join("images").join(format!("ledger{suffix}.db")), &ledger)?;
        if !encrypted {
            let database = image::open_read_only(&disk, encrypted)?;
            let commit = CommitProof::from(database.prove(SequenceNumber(3))?).to_string();
            seeds.add("proof", "commit", &[commit.as_bytes()])?;
            let (proof, head) = database.prove_consistency(3, 6)?;
            let continuation = ConsistencyText { proof, head: head.into() }.to_string();
            seeds.add("proof", "continuation", &[continuation.as_bytes()])?;
            let mut head = HeadNote::from(head);
            head.sign(&SigningKey::generate("seed")?);
            seeds.add("proof", "head", &[head.to_string().as_bytes()])?;
        }
    }
    seeds.add("records", "each_kind", &[b"\x04\x00\x02\x05abxyz\x01\x01k\x02\x00\xfb\x05\x00\x05hello"])?;
    let lines = "{\"key\":\"user:1\",\"value\":{\"name\":\"Ada\",\"n\":[1.10,1e400,null]}}\n\n\
                 {\"key_base64\":\"Y2Fm6Q==\",\"codec\":\"bincode\",\"value_base64\":\"AAEC\"}\n";
    seeds.add("import", "records", &[lines.as_bytes()])?;
    let lines = "{\"op\":\"set\",\"key\":\"a\",\"codec\":\"raw\",\"value_base64\":\"\"}\r\n{\"op\":\"delete\",\"key\":\"\\u00e9\"}\n";
    seeds.add("import", "operations", &[lines.as_bytes()])?;
    let rows = "\u{feff}name,id,note\r\nAda,1,\"said \"\"so\"\",\r\nand left\"\r\n\r\n,2,-1.50e+3\n";
    seeds.add("csv", "rows", &[rows.as_bytes()])?;
    seeds.add("csv", "words", &[b"id,v\na,true\nb,007\nc,null\nd,\"1\"\ne,1e400\nf,0.\ng,\n"])?;
    seeds.add("csv", "unended", &[b"\"id\"\n1\n\"2"])?;
    let samples = root.join("../crates/codex-cli/tests/data/codexdb-go");
    for (name, key) in GO_SAMPLES {
        let sample = fs::read(samples.join(name).with_extension("db"))?;
        // A few frames of a ledger will do, the last one torn.
        seeds.add("codexdb_go", name, &[&[key], &sample[..sample.len().min(700)]])?;
    }
    let body = "{\"op\":0,\"key\":\"a\",\"value\":[1.10,\"\\u003c\",null]}";
    seeds.add("codexdb_go", "body", &[&[4], body.as_bytes()])?;
    seeds.add("codexdb_go", "bare", &[&[0], b"{\"a\":\"MQ==\",\"b\":\"e30=\"}"])?;
    seeds.add("secret", "hex", &[&"0123456789abcdefABCDEF".repeat(3).as_bytes()[..64], b"\n"])?;
    seeds.add("secret", "base64", &[b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n"])?;
    seeds.add("value", "json", &[b"\x01{\"a\":[1,-2],\"b\":[]}"])?;
    seeds.add("value", "bincode", &[b"\x02\x01\x02\x03"])?;
    let stored = codex_fuzz::value::stored(&[b'x'; 400]);
    for (name, bytes) in ["plain", "lz4", "zstd"].iter().zip(stored) {
        seeds.add("value", name, &[&bytes])?;
    }
    let mut random = Random::new(1);
    for number in 0..8 {
        let mut bytes = vec![0; 200 << (number % 3)];
        random.fill(&mut bytes);
        seeds.add("history", &format!("random-{number}"), &[&bytes])?;
    }
    Ok(())
}

/// Files of the original program, and which key of the target's opens them.
const GO_SAMPLES: [(&str, u8); 8] = [
    ("snapshot-plain-gzip", 0),
    ("snapshot-plain-zstd", 0),
    ("snapshot-plain-snappy", 0),
    ("snapshot-aes256-zstd", 3),
    ("ledger-plain-none", 0),
    ("ledger-plain-snappy", 0),
    ("ledger-aes192-none", 2),
    ("ledger-aes128-none", 1),
];

/// The database file of an image, without the space that was set aside.
fn file(mode: Mode, encrypted: bool, left: Left) -> Result<Vec<u8>, StorageError> {
    let disk = image::make(mode, encrypted, left)?;
    let mut file = disk.read_file(PATH).map_err(StorageError::io("read", Path::new(PATH)))?;
    file.truncate(file.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1));
    Ok(file)
}

struct Seeds {
    root: PathBuf,
}

impl Seeds {
    fn add(&self, target: &str, name: &str, parts: &[&[u8]]) -> std::io::Result<()> {
        put(&self.root.join(target).join(name), &parts.concat())
    }
}

fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes)
}
