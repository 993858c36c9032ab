//! Record keys: from arguments, and as they are shown.
//!
//! A key is any 1 to 65,535 bytes. As text it is shown as it is when it is UTF-8 without control
//! characters; otherwise in the form that bash and zsh read as an argument, `$'caf\xe9'`. A key that
//! itself begins with `$'` is shown in that form too, so that no two keys look alike.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;

use codex::KEY_LEN_MAX;

use crate::exit::Failure;

/// The key that an argument names: its bytes, UTF-8 or not.
pub(crate) fn from_argument(argument: &OsStr) -> Result<&[u8], Failure> {
    let key = argument.as_encoded_bytes();
    match refusal(key) {
        None => Ok(key),
        Some(reason) => Err(Failure::validation(reason)),
    }
}

/// Why no record can have this key; none if one can.
pub(crate) fn refusal(key: &[u8]) -> Option<String> {
    if key.is_empty() {
        Some("a key has at least one byte".to_owned())
    } else if key.len() > KEY_LEN_MAX {
        Some(format!("a key has at most {KEY_LEN_MAX} bytes"))
    } else {
        None
    }
}

/// Bytes as text in one line.
pub(crate) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) && !text.starts_with("$'") => Cow::Borrowed(text),
        _ => Cow::Owned(escaped(bytes)),
    }
}

/// `$'…'`: printable characters as they are, everything else byte by byte.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 16);
    text.push_str("$'");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' | '\'' => text.extend(['\\', character]),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\r' => text.push_str("\\r"),
                _ if character.is_control() => {
                    character.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_byte(&mut text, byte));
                }
                _ => text.push(character),
            }
        }
        chunk.invalid().iter().for_each(|byte| push_byte(&mut text, *byte));
    }
    text.push('\'');
    text
}

/// The bytes that [`escaped`] text stands for, without its quotes; none if it has another escape.
pub(crate) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend(before.bytes());
        let mut signs = escape.chars();
        bytes.push(match signs.next()? {
            sign @ ('\\' | '\'') => sign as u8,
            'n' => b'\n',
            't' => b'\t',
            'r' => b'\r',
            'x' => {
                let digits =
                    escape.get(1..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
                signs = escape.get(3..)?.chars();
                u8::from_str_radix(digits?, 16).ok()?
            }
            _ => return None,
        });
        rest = signs.as_str();
    }
    bytes.extend(rest.bytes());
    Some(bytes)
}

fn push_byte(text: &mut String, byte: u8) {
    write!(text, "\\x{byte:02x}").expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_utf8_is_shown_as_it_is() {
        for key in ["user:1", "größe", "with space", "back\\slash", "it's", "日本"] {
            assert_eq!(shown(key.as_bytes()), key);
        }
    }

    #[test]
    fn everything_else_is_shown_as_a_shell_argument() {
        assert_eq!(shown(b"caf\xe9"), "$'caf\\xe9'");
        assert_eq!(shown(b"a\nb\tc\r"), "$'a\\nb\\tc\\r'");
        assert_eq!(shown(b"\x00\x1b[31m"), "$'\\x00\\x1b[31m'");
        assert_eq!(shown("\u{9b}31m".as_bytes()), "$'\\xc2\\x9b31m'");
        assert_eq!(shown(b"it's \\ \xff"), "$'it\\'s \\\\ \\xff'");
        assert_eq!(shown(b"$'caf\\xe9'"), "$'$\\'caf\\\\xe9\\''");
    }

    #[test]
    fn what_is_shown_with_escapes_is_read_back() {
        for key in
            [b"caf\xe9".as_slice(), b"a\nb\tc\r", b"\x00\x1b[31m", b"it's \\ \xff", "\u{9b}31m".as_bytes()]
        {
            let shown = shown(key);
            let inside = shown.strip_prefix("$'").and_then(|rest| rest.strip_suffix('\'')).expect("escapes");
            assert_eq!(unescaped(inside).as_deref(), Some(key));
        }
        for wrong in ["\\", "\\x", "\\x1", "\\x+1", "\\xé", "\\q"] {
            assert_eq!(unescaped(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn keys_are_1_to_65535_bytes() {
        assert_eq!(refusal(b""), Some("a key has at least one byte".to_owned()));
        assert_eq!(refusal(&vec![b'k'; KEY_LEN_MAX]), None);
        assert_eq!(refusal(&vec![b'k'; KEY_LEN_MAX + 1]), Some("a key has at most 65535 bytes".to_owned()));
    }
}
