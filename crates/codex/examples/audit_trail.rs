//! An audit trail that its owner cannot rewrite unseen: signed heads to publish, a proof for one commit, and what a
//! third party checks with a public key and without the database. `docs/evidence.md` says what each of it shows.
//!
//! Run with `cargo run -p codex --example audit_trail`.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use codex::proof::{CommitProof, ContinuationProof, HeadNote, LogHead, SigningKey, VerifyingKey};
use codex::{Batch, EncryptionKey, ErrorKind, Mode, Options};
use serde::Serialize;

#[derive(Serialize)]
struct Entry<'a> {
    who: &'a str,
    did: &'a str,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("audit.db");
    let options = || -> codex::Result<Options> {
        Ok(Options::new().mode(Mode::Ledger).encryption_key(EncryptionKey::from_bytes([7; 32])))
    };

    // The public half of a signing key goes to everybody who shall check.
    let signing = SigningKey::generate("example.com/audit")?;
    let public = signing.verifying_key().to_string();

    let store = options()?.open(&path)?;
    store.set("2026-03-02/1", &Entry { who: "ada", did: "opened the vault" })?;
    store.set("2026-03-02/2", &Entry { who: "ada", did: "closed the vault" })?;

    // Once a day the owner publishes the head: it fixes every byte of every commit so far.
    let mut monday = HeadNote::from(store.log_head());
    monday.sign(&signing);
    let monday = monday.to_string();
    println!("-- published on Monday\n{}", monday.trim_end());

    // An entry and the count of entries belong together: one commit.
    let mut batch = Batch::new();
    batch.set("2026-03-03/1", &Entry { who: "grace", did: "opened the vault" })?;
    batch.set("count", &3)?;
    let commit = store.commit(batch)?;

    // Grace wants it in writing that she is in the log, and the auditor that Monday still is.
    let mut receipt = store.prove(commit.sequence)?;
    receipt.sign(&signing);
    let receipt = receipt.to_string();
    let since = HeadNote::head(&monday.parse()?);
    let mut continuation = store.prove_consistency(since.size, store.log_head().size)?;
    continuation.sign(&signing);
    let continuation = continuation.to_string();
    store.close()?;

    println!("-- Grace, with her receipt and the public key");
    let sequence = check_receipt(&receipt, &public)?;
    println!("commit {sequence} is in the log that was signed");

    println!("-- the auditor, with Monday's head and the public key");
    let tuesday = check_continuation(&monday, &continuation, &public)?;
    println!("Tuesday's log begins with all {} commits of Monday, and has {}", since.size, tuesday.size);

    println!("-- somebody signs with another key, or changes the receipt");
    let forger = SigningKey::generate("example.com/audit")?.verifying_key().to_string();
    println!("{}", refused(check_receipt(&receipt, &forger))?);
    println!("{}", refused(check_continuation(&monday, &continuation, &forger))?);
    let of_another = receipt.replacen("\nindex 2\n", "\nindex 1\n", 1);
    println!("{}", refused(check_receipt(&of_another, &public))?);

    println!("-- the owner opens the log only if it goes on from the head that the auditor kept");
    let store = options()?.expect_head(tuesday).open(&path)?;
    println!("{} commits", store.verify()?.commits);
    store.close()?;
    Ok(())
}

/// The sequence number of the last commit that the receipt proves.
fn check_receipt(receipt: &str, public: &str) -> Result<u64, codex::Error> {
    let proof: CommitProof = receipt.parse()?;
    let public: VerifyingKey = public.parse()?;
    proof.head().verify(&public)?;
    Ok(proof.verify()?.last_sequence)
}

/// The newer head, which goes into the auditor's drawer.
fn check_continuation(older: &str, proof: &str, public: &str) -> Result<LogHead, codex::Error> {
    let (older, proof): (HeadNote, ContinuationProof) = (older.parse()?, proof.parse()?);
    let public: VerifyingKey = public.parse()?;
    older.verify(&public)?;
    proof.head().verify(&public)?;
    proof.verify(older.head())?;
    Ok(proof.head().head())
}

/// What a check says against something that must not pass.
fn refused<T>(checked: Result<T, codex::Error>) -> Result<String, Box<dyn Error>> {
    match checked {
        Err(error) if error.kind() == ErrorKind::Integrity => Ok(error.to_string()),
        Err(error) => Err(error.into()),
        Ok(_) => Err("a forgery has passed".into()),
    }
}
