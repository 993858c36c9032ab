//! Verbs for whoever must show or check what a database held: verify, head, prove, check-proof. `docs/evidence.md` walks
//! through them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use codex::ErrorKind;
use codex::proof::{
    CommitProof, Continuation, ContinuationProof, FrameFacts, HeadNote, LogHead, SigningKey, VerifyingKey,
};
use serde_json::{Map, Value, json};

use super::{Access, failed, open, target};
use crate::args::{CheckProof, Global, Head, Prove, Trust, Verify};
use crate::exit::{Failure, kind_of};
use crate::output::Output;
use crate::secret;

pub(super) fn verify(global: &Global, args: &Verify, output: &mut Output) -> Result<(), Failure> {
    let expected = args.trust.read(output)?;
    match open(global, Access::Read, output) {
        Ok(store) => {
            let report = store.verify()?;
            if report.torn_bytes > 0 {
                output.note(TORN);
            }
            let (head, continuation) =
                (store.log_head(), compare(expected, |head| store.compare_head(head))?);
            let text = format!(
                "{} bytes, {} frames and {} commits are whole",
                report.bytes, report.frames, report.commits
            );
            let object = json!({
                "bytes": report.bytes, "frames": report.frames, "commits": report.commits,
                "sequence": report.sequence, "torn_bytes": report.torn_bytes,
            });
            verified(text, object, head, continuation, output)
        }
        // The Merkle log is there for those who have no key, too.
        Err(failure) if kind_of(&failure) == Some(ErrorKind::Encryption) && !secret::is_given(global) => {
            verify_without_key(global, expected, output)
        }
        Err(failure) => Err(failure),
    }
}

fn verify_without_key(
    global: &Global,
    expected: Option<LogHead>,
    output: &mut Output,
) -> Result<(), Failure> {
    let log = target(global)?.open_unkeyed(output.bars()).map_err(|error| failed(error, false))?;
    let report = log.report();
    if report.torn_bytes > 0 {
        output.note(TORN);
    }
    let continuation = compare(expected, |head| log.compare_head(head))?;
    let text = format!(
        "{} frames and {} commits are linked, without the key\n\
         NOT checked: whether they were sealed with the key, nor what is in them",
        report.frames, report.commits
    );
    let object = json!({
        "bytes": report.bytes, "frames": report.frames, "commits": report.commits,
        "sequence": report.sequence, "torn_bytes": report.torn_bytes,
        "not_checked": ["header authentication", "frame authentication", "records"],
        "floor_size": report.floor_size,
    });
    verified(text, object, report.head, continuation, output)
}

fn verified(
    text: String,
    mut object: Value,
    head: LogHead,
    continuation: Option<(u64, Continuation)>,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut lines = vec![text, format!("head {} {}", head.size, head.root)];
    let members = object.as_object_mut().expect("an object");
    members.extend(head_members(head));
    if let Some((size, continuation)) = continuation {
        let (line, relation) = match continuation {
            Continuation::Same => ("it is the head that was given".to_owned(), "same"),
            Continuation::Extends { frames } => {
                (format!("it continues the head of {size} frames that was given, by {frames}"), "extends")
            }
            _ => ("it was rewritten from the head that was given".to_owned(), "replaces"),
        };
        lines.push(line);
        members.insert("given_head".into(), json!({"size": size, "relation": relation}));
    }
    output.result(&lines.join("\n"), &object)
}

/// Holds a database against a head, and gives the head's size with the answer.
fn compare(
    expected: Option<LogHead>,
    compare: impl FnOnce(LogHead) -> codex::Result<Continuation>,
) -> Result<Option<(u64, Continuation)>, Failure> {
    let Some(head) = expected else { return Ok(None) };
    match compare(head) {
        Ok(continuation) => Ok(Some((head.size, continuation))),
        Err(error) => {
            let kind = error.kind();
            let failure = Failure::from(error);
            Err(match kind {
                ErrorKind::Integrity => {
                    failure.hint("keep this file as it is, and look for the one that the head was taken of")
                }
                _ => failure,
            })
        }
    }
}

pub(super) fn head(global: &Global, args: &Head, output: &mut Output) -> Result<(), Failure> {
    let key = signing_key(args.sign.as_deref())?;
    let store = open(global, Access::Read, output)?;
    let (head, sequence) = (store.log_head(), store.view().sequence());
    let mut note = HeadNote::from(head);
    if let Some(key) = &key {
        note.sign(key);
    }
    let mut object = head_members(head);
    object.extend([("sequence".into(), json!(sequence)), ("note".into(), json!(note.to_string()))]);
    output.result(note.to_string().trim_end(), &object)
}

pub(super) fn prove(global: &Global, args: &Prove, output: &mut Output) -> Result<(), Failure> {
    let key = signing_key(args.sign.as_deref())?;
    let since = args.since.as_deref().map(read_head).transpose()?;
    let store = open(global, Access::Read, output)?;
    let (proof, mut object, head) = match (args.sequence, since) {
        (Some(sequence), _) => {
            let mut proof = store.prove(sequence)?;
            key.iter().for_each(|key| proof.sign(key));
            (proof.to_string(), json!({"index": proof.inclusion().index}), proof.head().head())
        }
        (None, Some(older)) => {
            let (older, head) = (older.head(), store.log_head());
            compare(Some(older), |older| store.compare_head(older))?;
            if older.size > head.size {
                // The head is that of the file that this one replaced: two logs, of which neither is a part of the other.
                return Err(Failure::validation("the database was rewritten since the head was taken")
                    .hint("`codex verify --head` says that it names the head as its predecessor's"));
            }
            let mut proof = store.prove_consistency(older.size, head.size)?;
            key.iter().for_each(|key| proof.sign(key));
            (proof.to_string(), json!({"from": older.size}), head)
        }
        (None, None) => {
            return Err(Failure::validation("nothing is asked to be proven")
                .hint("give the number of a commit, or --since FILE with an older head"));
        }
    };
    let members = object.as_object_mut().expect("an object");
    members.extend(head_members(head));
    members.insert("proof".into(), json!(proof));
    output.result(proof.trim_end(), &object)
}

pub(super) fn check_proof(args: &CheckProof, output: &mut Output) -> Result<(), Failure> {
    let text = read_text(&args.proof)?;
    let kept = args.trust.head.as_deref().map(read_head).transpose()?.map(|note| note.head());
    let key = args.trust.public_key.as_deref().map(read_public_key).transpose()?;
    if text.starts_with("old ") {
        check_continuation(&text.parse()?, kept, key.as_ref(), output)
    } else {
        check_commit(&text.parse()?, kept, key.as_ref(), output)
    }
}

fn check_commit(
    proof: &CommitProof,
    kept: Option<LogHead>,
    key: Option<&VerifyingKey>,
    output: &mut Output,
) -> Result<(), Failure> {
    let head = proof.head().head();
    if kept.is_none() && key.is_none() {
        return Err(Failure::validation("nothing vouches for the head that the proof leads to")
            .hint("give the same head from a place that you trust with --head FILE, or who signed it with --public-key FILE"));
    }
    if let Some(kept) = kept {
        if kept.id != head.id {
            return Err(Failure::validation(format!(
                "the proof is for the log of another database, {}",
                head.origin()
            )));
        }
        if kept.size != head.size {
            return Err(Failure::validation(format!(
                "the proof leads to a head of {} frames, and the head that was given has {}",
                head.size, kept.size
            ))
            .hint(
                "a proof of the continuation of one by the other closes the gap: codex prove --since FILE",
            ));
        }
        if kept.root != head.root {
            return Err(Failure::new(
                ErrorKind::Integrity,
                "the proof leads to another head of the same size: there was a fork",
            ));
        }
    }
    if let Some(key) = key {
        proof.head().verify(key).map_err(codex::Error::from).map_err(Failure::from).map_err(refused)?;
    }
    let facts = proof.verify().map_err(Failure::from).map_err(refused)?;
    let FrameFacts { first_sequence: first, last_sequence: last, time_ns, .. } = facts;
    let (index, size) = (proof.inclusion().index, head.size);
    let commits =
        if first == last { format!("commit {first} is") } else { format!("commits {first} to {last} are") };
    let text = format!(
        "{commits} in the log of {}\nframe {index} of {size}, written at {} seconds of Unix time",
        head.origin(),
        time_ns / 1_000_000_000
    );
    let mut object = head_members(head);
    object.extend([
        ("first_sequence".into(), json!(first)),
        ("last_sequence".into(), json!(last)),
        ("time_ns".into(), json!(time_ns)),
        ("index".into(), json!(index)),
        ("signed_by".into(), json!(key.map(VerifyingKey::label))),
    ]);
    output.result(&text, &object)
}

fn check_continuation(
    proof: &ContinuationProof,
    kept: Option<LogHead>,
    key: Option<&VerifyingKey>,
    output: &mut Output,
) -> Result<(), Failure> {
    let Some(older) = kept else {
        return Err(Failure::validation("the proof continues an older head, which is not given")
            .hint("give it with --head FILE"));
    };
    if let Some(key) = key {
        proof.head().verify(key).map_err(codex::Error::from).map_err(Failure::from).map_err(refused)?;
    }
    proof.verify(older).map_err(Failure::from).map_err(refused)?;
    let head = proof.head().head();
    let text = format!(
        "the log of {} with {} frames continues the head of {} frames that was given",
        head.origin(),
        head.size,
        older.size
    );
    if key.is_none() {
        output.note("whether anybody signed the newer head was not checked");
    }
    let mut object = head_members(head);
    object.extend([
        ("from".into(), json!(older.size)),
        ("signed_by".into(), json!(key.map(VerifyingKey::label))),
    ]);
    output.result(&text, &object)
}

/// The hint of damaged databases does not fit a proof.
fn refused(failure: Failure) -> Failure {
    failure.hint("nothing is proven; ask whoever made the proof for another one")
}

fn head_members(head: LogHead) -> Map<String, Value> {
    let root = head.root.to_hex();
    [("origin", json!(head.origin())), ("size", json!(head.size)), ("root", json!(root))]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

impl Trust {
    /// The head that was given, after its signature was checked if a key was given too.
    fn read(&self, output: &mut Output) -> Result<Option<LogHead>, Failure> {
        let key = self.public_key.as_deref().map(read_public_key).transpose()?;
        let Some(path) = self.head.as_deref() else {
            return match key {
                None => Ok(None),
                Some(_) => {
                    Err(Failure::validation("--public-key checks who signed a head, and none is given")
                        .hint("give it with --head FILE"))
                }
            };
        };
        let note = read_head(path)?;
        if let Some(key) = key {
            let verified = note.verify(&key).map_err(codex::Error::from).map_err(Failure::from);
            verified.map_err(|failure| {
                failure.hint("the head is not used; take it from where it was kept first")
            })?;
        } else if note.is_signed() {
            output.note("the head is signed, and nobody checked by whom: --public-key FILE does");
        }
        Ok(Some(note.head()))
    }
}

fn signing_key(path: Option<&Path>) -> Result<Option<SigningKey>, Failure> {
    path.map(secret::read_signing_key).transpose()
}

fn read_head(path: &Path) -> Result<HeadNote, Failure> {
    let note = read_text(path)?.parse::<HeadNote>().map_err(codex::Error::from);
    note.map_err(|error| Failure::from(error).context(&path.display().to_string()))
}

fn read_public_key(path: &Path) -> Result<VerifyingKey, Failure> {
    let key = read_text(path)?.trim_ascii().parse::<VerifyingKey>().map_err(codex::Error::from);
    key.map_err(|error| {
        Failure::from(error)
            .context(&path.display().to_string())
            .hint("`codex keygen --signing FILE` writes it to FILE.pub")
    })
}

/// The text of a file, or of standard input for `-`.
fn read_text(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let failed = |error| Failure::io(format!("read {shown}"), error);
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    let mut bytes = Vec::new();
    source.take(TEXT_LEN_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > TEXT_LEN_MAX {
        return Err(Failure::validation(format!("{shown} is longer than any head or proof")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::validation(format!("{shown} is not text")))
}

const TORN: &str = "a commit that was never acknowledged ends the file; the next write cuts it off";
/// A proof holds a frame of a little more than 1 MiB in base64; more is another file, given by mistake.
const TEXT_LEN_MAX: u64 = 4 << 20;
