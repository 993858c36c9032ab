//! Where keys and passphrases come from: files, commands, the environment, the terminal; never an argument.
//!
//! Their text is wiped when it is no longer needed, and no message holds any of it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use base64ct::{Base64, Base64Unpadded, Encoding};
use codex::proof::SigningKey;
use codex::{EncryptionKey, ErrorKind, Unlock};
use zeroize::Zeroizing;

use crate::args::Global;
use crate::args::key::NewSecret;
use crate::codexdb_go::GoKey;
use crate::exit::Failure;
use crate::system;

/// What was given to unlock a database.
pub(crate) enum Secret {
    /// Nothing: a database without encryption.
    None,
    /// A key, or a passphrase from a file.
    Given(Unlock),
    /// A passphrase from the terminal, where it may be mistyped.
    Typed(Zeroizing<String>),
}

/// Where a secret is to come from, by the options for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a> {
    key_file: Option<&'a Path>,
    passphrase: bool,
    passphrase_file: Option<&'a Path>,
    passphrase_command: Option<&'a str>,
    prompt: &'static str,
}

impl<'a> Sources<'a> {
    /// Of what opens the database.
    pub(crate) fn of(global: &'a Global) -> Self {
        Self {
            key_file: global.key_file.as_deref(),
            passphrase: global.passphrase,
            passphrase_file: global.passphrase_file.as_deref(),
            passphrase_command: global.passphrase_command.as_deref(),
            prompt: "Passphrase: ",
        }
    }

    /// Of what is to open it.
    pub(crate) fn of_new(new: &'a NewSecret) -> Self {
        Self {
            key_file: new.new_key_file.as_deref(),
            passphrase: new.new_passphrase,
            passphrase_file: new.new_passphrase_file.as_deref(),
            passphrase_command: new.new_passphrase_command.as_deref(),
            prompt: "New passphrase: ",
        }
    }

    /// How many of the options are given; one is possible.
    pub(crate) fn count(self) -> usize {
        let Self { key_file, passphrase, passphrase_file, passphrase_command, .. } = self;
        let given = [key_file.is_some(), passphrase, passphrase_file.is_some(), passphrase_command.is_some()];
        given.into_iter().filter(|given| *given).count()
    }

    /// The secret; `None` if no option is given.
    pub(crate) fn read(self) -> Result<Option<Secret>, Failure> {
        let first_line = |text: Zeroizing<String>| {
            let line = not_empty(text.lines().next().unwrap_or_default())?;
            Ok(Some(Secret::Given(Unlock::passphrase(line))))
        };
        if let Some(path) = self.key_file {
            let key = encryption_key(&read(path)?, &path.display().to_string())?;
            Ok(Some(Secret::Given(key.into())))
        } else if let Some(path) = self.passphrase_file {
            first_line(read(path)?)
        } else if let Some(command) = self.passphrase_command {
            first_line(printed_by(command)?)
        } else if self.passphrase {
            let passphrase = ask(self.prompt)?;
            not_empty(&passphrase)?;
            Ok(Some(Secret::Typed(passphrase)))
        } else {
            Ok(None)
        }
    }
}

impl Secret {
    /// Reads it from where the options say, or else from `CODEX_KEY`.
    pub(crate) fn read(global: &Global) -> Result<Self, Failure> {
        if let Some(secret) = Sources::of(global).read()? {
            return Ok(secret);
        }
        match std::env::var_os("CODEX_KEY") {
            None => Ok(Self::None),
            // A script whose key could not be found must not make a database that anybody can read.
            Some(text) if text.is_empty() => {
                Err(Failure::validation("the variable CODEX_KEY is set and empty")
                    .hint("unset it for a database without encryption"))
            }
            Some(text) => {
                let text = Zeroizing::new(text.into_encoded_bytes());
                let text = std::str::from_utf8(&text).unwrap_or_default();
                encryption_key(text, "the variable CODEX_KEY").map(|key| Self::Given(key.into()))
            }
        }
    }

    /// What opens the database; none for one without encryption.
    pub(crate) fn unlock(self) -> Option<Unlock> {
        match self {
            Self::None => None,
            Self::Given(unlock) => Some(unlock),
            Self::Typed(passphrase) => Some(Unlock::passphrase(passphrase.as_str())),
        }
    }

    /// Asks a second time for what was typed, before anything is encrypted with it.
    pub(crate) fn confirm(typed: &str) -> Result<(), Failure> {
        if ask("The same new passphrase again: ")?.as_str() == typed {
            Ok(())
        } else {
            Err(Failure::validation("the two passphrases differ").hint("nothing was changed; try again"))
        }
    }
}

/// Whether anything was given to unlock a database.
pub(crate) fn is_given(global: &Global) -> bool {
    Sources::of(global).count() > 0 || std::env::var_os("CODEX_KEY").is_some()
}

fn not_empty(passphrase: &str) -> Result<&str, Failure> {
    if passphrase.is_empty() { Err(Failure::validation("the passphrase is empty")) } else { Ok(passphrase) }
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| {
        Failure::validation("there is no terminal to ask for the passphrase")
            .with_source(error)
            .hint("in scripts, use a file: --passphrase-file or --key-file; of a new key --new-passphrase-file or --new-key-file")
    })
}

/// The key in a text; `place` is where that stands.
pub(crate) fn encryption_key(text: &str, place: &str) -> Result<EncryptionKey, Failure> {
    let text = text.trim_ascii();
    if let Ok(key) = EncryptionKey::from_hex(text) {
        return Ok(key);
    }
    let mut bytes = Zeroizing::new([0; 32]);
    let decoded = if text.ends_with('=') {
        Base64::decode(text, &mut *bytes).map(<[u8]>::len)
    } else {
        Base64Unpadded::decode(text, &mut *bytes).map(<[u8]>::len)
    };
    if decoded == Ok(32) {
        return Ok(EncryptionKey::from_bytes(*bytes));
    }
    Err(Failure::validation(format!("{place} holds no encryption key"))
        .hint("a key is 64 hexadecimal digits, or base64 of 32 bytes; `codex keygen FILE` makes one"))
}

/// The text of a file that only its owner can read, or that systemd handed to this service.
fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    text(&read_bytes(path)?, &path.display().to_string())
}

/// The same as bytes. A pipe will do: `--key-file <(pass show app)`.
fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| Failure::io(format!("open {shown}"), error))?;
    let metadata = file.metadata().map_err(|error| Failure::io(format!("open {shown}"), error))?;
    if metadata.is_dir() {
        return Err(Failure::validation(format!("{shown} is a folder, not a key file")));
    }
    refuse_shared(path, &metadata)?;
    bytes_of(file, &shown.to_string())
}

/// What a shell command prints. It gets no input: that may be records for a database.
fn printed_by(command: &str) -> Result<Zeroizing<String>, Failure> {
    let what = "the passphrase command";
    let failed = |error| Failure::io(format!("run {what}"), error);
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // The pipe is closed behind this, so that a command which prints on and on ends.
    let text = child.stdout.take().map(|stdout| text_of(stdout, what)).transpose();
    let status = child.wait().map_err(failed)?;
    let text = text?;
    if !status.success() {
        return Err(Failure::validation(format!("{what} failed, with {status}"))
            .hint("it is run by `sh -c`, and its first line is the passphrase"));
    }
    Ok(text.unwrap_or_default())
}

/// All of a short text. `what` is where it comes from.
fn text_of(source: impl Read, what: &str) -> Result<Zeroizing<String>, Failure> {
    text(&bytes_of(source, what)?, what)
}

fn text(bytes: &[u8], what: &str) -> Result<Zeroizing<String>, Failure> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Failure::validation(format!("{what} is not text"))
            .hint("a key is 64 hexadecimal digits, or base64 of 32 bytes; `codex keygen FILE` makes one")),
    }
}

fn bytes_of(source: impl Read, what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // At its full size from the start, so that no copy stays behind where it grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_LEN_MAX + 1));
    source
        .take(SECRET_LEN_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io(format!("read {what}"), error))?;
    if bytes.len() > SECRET_LEN_MAX {
        return Err(Failure::validation(format!("{what} is longer than any key or passphrase file")));
    }
    Ok(bytes)
}

/// The key of a file of the original program: from this file, else from `CODEXDB_GO_KEY`; none for one without
/// encryption.
pub(crate) fn read_go_key(path: Option<&Path>) -> Result<Option<GoKey>, Failure> {
    if let Some(path) = path {
        return GoKey::read(&read_bytes(path)?, &path.display().to_string()).map(Some);
    }
    match std::env::var_os("CODEXDB_GO_KEY") {
        None => Ok(None),
        Some(bytes) if bytes.is_empty() => {
            Err(Failure::validation("the variable CODEXDB_GO_KEY is set and empty")
                .hint("unset it for a file without encryption"))
        }
        Some(bytes) => {
            let bytes = Zeroizing::new(bytes.into_encoded_bytes());
            GoKey::read(&bytes, "the variable CODEXDB_GO_KEY").map(Some)
        }
    }
}

fn refuse_shared(path: &Path, metadata: &Metadata) -> Result<(), Failure> {
    if !system::others_can_use(metadata) || system::is_credential(path, metadata) {
        return Ok(());
    }
    let shown = path.display();
    Err(Failure::new(ErrorKind::Permission, format!("others than its owner can use {shown}"))
        .hint(format!("chmod 600 {}", quoted(&shown.to_string()))))
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "/._-+:,@%".contains(character);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// The key that signs heads, from a file like that of any secret.
pub(crate) fn read_signing_key(path: &Path) -> Result<SigningKey, Failure> {
    let text = read(path)?;
    SigningKey::from_text(text.trim_ascii()).map_err(|_| {
        // Its error says no more, and the text may be almost a key.
        Failure::validation(format!("{} holds no signing key", path.display()))
            .hint("`codex keygen --signing FILE` makes one")
    })
}

/// Writes a new key to a new file that only its owner can read and write.
pub(crate) fn write_new_key(path: &Path) -> Result<(), Failure> {
    write_new(path, &new_key()?)
}

/// Writes a signing key and its public half to two new files, both or none.
pub(crate) fn write_new_pair(
    path: &Path,
    key: &SigningKey,
    public_path: &Path,
    public: &str,
) -> Result<(), Failure> {
    write_new(public_path, public)?;
    write_new(path, &key.to_text()).inspect_err(|_| {
        // A public key without the other half is of no use; the first failure is the one to report.
        let _ = fs::remove_file(public_path);
    })
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let shown = path.display();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    system::for_the_owner(&mut options);
    let mut file = options.open(path).map_err(|error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let failure = Failure::io(format!("create {shown}"), error);
        if exists {
            failure.hint("a key is never overwritten: what it encrypts would be lost")
        } else {
            failure
        }
    })?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        // Without its key file a database is lost.
        .and_then(|()| system::sync_folder_of(path));
    written.map_err(|error| {
        // A part of a key would look like one. It has encrypted nothing yet; the first failure is the one to report.
        let _ = fs::remove_file(path);
        Failure::io(format!("write {shown}"), error)
    })
}

/// A new key, as 64 hexadecimal digits.
pub(crate) fn new_key() -> Result<Zeroizing<String>, Failure> {
    let key = EncryptionKey::generate().map_err(codex::Error::from)?;
    Ok(key.to_hex())
}

/// A key file or passphrase file is short; more is another file, given by mistake.
const SECRET_LEN_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn hex_and_base64_with_a_newline_are_the_same_key() {
        for text in [
            HEX,
            &format!("{HEX}\n"),
            &HEX.to_uppercase(),
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ] {
            let key = encryption_key(text, "the test").expect("a key");
            assert_eq!(key.to_hex().as_str(), HEX);
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        for text in
            ["", "s3cret", &HEX[1..], &format!("{HEX}00"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg=="]
        {
            let failure = encryption_key(text, "the test").expect_err("no key");
            assert!(text.is_empty() || !failure.text().contains(text), "{}", failure.text());
        }
    }

    #[test]
    fn the_chmod_command_can_be_pasted() {
        assert_eq!(quoted("/home/ada/app.key"), "/home/ada/app.key");
        assert_eq!(quoted("Ada's key; rm"), "'Ada'\\''s key; rm'");
    }
}
