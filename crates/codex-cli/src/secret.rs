//! Where keys and passphrases come from: files, the environment, the terminal; never an argument.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use codex::{EncryptionKey, Unlock};
use zeroize::Zeroizing;

use crate::args::Global;
use crate::exit::Failure;

/// A key file or passphrase file is short; more is another file, given by mistake.
const SECRET_LEN_MAX: u64 = 64 * 1024;

/// Whether the database is being created, so that a typed passphrase is asked for twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Open,
    Create,
}

/// What unlocks the database, if anything was given.
pub(crate) fn unlock(global: &Global, purpose: Purpose) -> Result<Option<Unlock>, Failure> {
    if let Some(path) = &global.key_file {
        return encryption_key(&read(path)?, "the key file").map(|key| Some(key.into()));
    }
    if let Some(path) = &global.passphrase_file {
        let text = read(path)?;
        let line = text.lines().next().unwrap_or_default();
        return Ok(Some(Unlock::passphrase(line)));
    }
    if global.passphrase {
        return ask(purpose).map(Some);
    }
    match std::env::var_os("CODEX_KEY") {
        Some(text) if !text.is_empty() => {
            let text = Zeroizing::new(text.into_string().unwrap_or_default());
            encryption_key(&text, "the variable CODEX_KEY").map(|key| Some(key.into()))
        }
        _ => Ok(None),
    }
}

fn ask(purpose: Purpose) -> Result<Unlock, Failure> {
    let prompt = |text| {
        rpassword::prompt_password(text).map(Zeroizing::new).map_err(|error| {
            Failure::validation(format!("the passphrase cannot be asked for: {}", error.kind()))
                .hint("--passphrase needs a terminal; scripts use --passphrase-file or --key-file")
        })
    };
    let passphrase = prompt("Passphrase: ")?;
    if purpose == Purpose::Create && prompt("The same again: ")? != passphrase {
        return Err(Failure::validation("the two passphrases differ"));
    }
    Ok(Unlock::passphrase(passphrase.as_str()))
}

fn encryption_key(text: &str, place: &str) -> Result<EncryptionKey, Failure> {
    use base64ct::{Base64, Encoding};
    let text = text.trim();
    if let Ok(key) = EncryptionKey::from_hex(text) {
        return Ok(key);
    }
    let mut bytes = Zeroizing::new([0; 32]);
    match Base64::decode(text, &mut *bytes) {
        Ok(decoded) if decoded.len() == 32 => Ok(EncryptionKey::from_bytes(*bytes)),
        _ => Err(Failure::validation(format!("{place} holds no encryption key"))
            .hint("a key is 64 hexadecimal digits, or base64 of 32 bytes; `codex keygen FILE` makes one")),
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| Failure::io(format!("open {shown}"), error))?;
    let metadata = file.metadata().map_err(|error| Failure::io(format!("look at {shown}"), error))?;
    if !metadata.is_file() || metadata.len() > SECRET_LEN_MAX {
        return Err(Failure::validation(format!("{shown} is no file that holds a key or a passphrase")));
    }
    refuse_shared(path, &metadata)?;
    let mut text = Zeroizing::new(String::new());
    file.take(SECRET_LEN_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::io(format!("read {shown}"), error))?;
    Ok(text)
}

#[cfg(unix)]
fn refuse_shared(path: &Path, metadata: &fs::Metadata) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let shown = path.display();
    Err(Failure::new(codex::ErrorKind::Permission, format!("others can read {shown}"))
        .hint(format!("chmod 600 {shown}")))
}

#[cfg(not(unix))]
fn refuse_shared(_: &Path, _: &fs::Metadata) -> Result<(), Failure> {
    Ok(())
}

/// Writes a new key to a new file, or to standard output.
pub(crate) fn generate(path: &Path, output: &mut impl Write) -> Result<(), Failure> {
    let key = EncryptionKey::generate().map_err(codex::Error::from)?;
    let text = key.to_hex();
    if path.as_os_str() == "-" {
        return writeln!(output, "{}", text.as_str()).map_err(Failure::output);
    }
    let shown = path.display();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| {
        Failure::io(format!("create {shown}"), error).hint("an existing file is never overwritten by keygen")
    })?;
    writeln!(file, "{}", text.as_str())
        .and_then(|()| file.sync_all())
        .map_err(|error| Failure::io(format!("write {shown}"), error))
}
