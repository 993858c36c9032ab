//! The records in a payload.

use codex_storage::Batch;
use codex_storage::format::record::{RecordBytes, read_commit, write_commit};

/// The input is a payload.
pub fn run(input: &[u8]) {
    let Some((read, rest)) = commit_in(input) else { return };
    assert!(input.ends_with(rest), "what is behind a commit is left as it is");
    let written = encoded(&read);
    // Numbers have longer encodings than the one that we write, so the bytes need not be the same; the meaning is.
    assert!(written.len() <= input.len() - rest.len(), "we write the shortest encoding");
    assert!(commit_in(&written) == Some((read, &[])), "what was read is written, and reads the same");
}

fn commit_in(payload: &[u8]) -> Option<(Vec<RecordBytes<'_>>, &[u8])> {
    let mut records = Vec::new();
    let rest = read_commit(payload, |record| {
        records.push(record);
        Ok(())
    });
    rest.ok().map(|rest| (records, rest))
}

fn encoded(records: &[RecordBytes<'_>]) -> Vec<u8> {
    let mut batch = Batch::new();
    for record in records {
        match record {
            RecordBytes::Set { key_len, record } => {
                let (key, value) = record.split_at(usize::from(*key_len));
                batch.set(key, &[value]).expect("a record that was read is within bounds");
            }
            RecordBytes::SetExpiring { key_len, record, deadline_ns } => {
                let (key, value) = record.split_at(usize::from(*key_len));
                batch
                    .set_until(key, &[value], *deadline_ns)
                    .expect("a record that was read is within bounds");
            }
            RecordBytes::Delete { key } => batch.delete(key).expect("a key that was read is within bounds"),
            RecordBytes::Clear => batch.clear(),
        }
    }
    let mut bytes = Vec::new();
    write_commit(batch.operations().iter(), &mut bytes).expect("a vector takes all");
    bytes
}
