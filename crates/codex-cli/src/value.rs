//! Values: JSON whose text is kept, or bytes.
//!
//! JSON is stored and shown as the text that it was written in, less the white space between tokens: so
//! numbers keep their digits (2^53 + 1, `1.10`, `1e400`) and members their order.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, Read};

use codex::{Batch, Codec, Expiry};
use serde_json::value::RawValue;

use crate::exit::Failure;

/// What is stored under a key.
#[derive(Debug)]
pub(crate) enum Value {
    /// JSON text without white space between tokens.
    Json(Box<RawValue>),
    /// Bytes, kept exactly.
    Bytes(Vec<u8>),
}

impl Value {
    /// The JSON text, or the bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Json(json) => json.get().as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Adds to a batch that `key` gets the value, bytes as those of `codec`.
    pub(crate) fn set_in(
        self,
        batch: &mut Batch,
        key: &[u8],
        codec: Codec,
        expiry: Expiry,
    ) -> codex::Result<()> {
        match self {
            Self::Json(json) => batch.set_encoded(Codec::Json, key, json.get(), expiry),
            Self::Bytes(bytes) => batch.set_encoded(codec, key, bytes, expiry),
        }
    }
}

/// How the bytes of a value are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON text.
    Json,
    /// The value itself.
    Raw,
}

/// The value that an argument gives, or standard input where the argument is `-`.
pub(crate) fn from_argument(argument: &OsStr, form: Form) -> Result<Value, Failure> {
    if argument == "-" {
        let mut input = io::stdin().lock().take(codex::VALUE_LEN_MAX as u64 + 1);
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).map_err(|error| Failure::io("read standard input", error))?;
        if input.limit() == 0 {
            return Err(Failure::validation("standard input holds more than 1 GiB, the largest value"));
        }
        return from_bytes(bytes, form);
    }
    from_bytes(argument.as_encoded_bytes().to_vec(), form)
}

/// The value that these bytes are.
fn from_bytes(bytes: Vec<u8>, form: Form) -> Result<Value, Failure> {
    match form {
        Form::Raw => Ok(Value::Bytes(bytes)),
        Form::Json => match std::str::from_utf8(&bytes) {
            Ok(text) => json(text).map(Value::Json).map_err(|fault| {
                Failure::validation(format!("the value is not JSON: {}", fault_of(&fault))).hint(QUOTING)
            }),
            Err(_) => Err(Failure::validation("the value is not UTF-8, so it is not JSON")
                .hint("--raw stores bytes as they are: codex set --raw name -")),
        },
    }
}

/// Checks JSON and takes out the white space between tokens.
pub(crate) fn json(text: &str) -> Result<Box<RawValue>, serde_json::Error> {
    let checked: &RawValue = serde_json::from_str(text)?;
    RawValue::from_string(compact(checked.get()).into_owned())
}

/// JSON text without the white space between tokens; borrowed if there is none. `text` is JSON.
pub(crate) fn compact(text: &str) -> Cow<'_, str> {
    let mut outside = Outside::default();
    if !text.bytes().any(|byte| outside.skips(byte)) {
        return Cow::Borrowed(text);
    }
    let mut outside = Outside::default();
    // Only ASCII is taken out, so characters of several bytes stay whole.
    Cow::Owned(
        text.chars().filter(|character| !u8::try_from(*character).is_ok_and(|b| outside.skips(b))).collect(),
    )
}

/// Where white space stands between tokens and not in a string.
#[derive(Debug, Default)]
struct Outside {
    in_string: bool,
    after_backslash: bool,
}

impl Outside {
    /// Takes the next byte, and says whether it is white space between tokens.
    fn skips(&mut self, byte: u8) -> bool {
        if self.in_string {
            if self.after_backslash {
                self.after_backslash = false;
            } else if byte == b'\\' {
                self.after_backslash = true;
            } else if byte == b'"' {
                self.in_string = false;
            }
            return false;
        }
        self.in_string = byte == b'"';
        matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
    }
}

/// What is wrong with JSON, and where, without quoting it.
pub(crate) fn fault_of(error: &serde_json::Error) -> String {
    let what = if error.is_eof() { "it ends too early" } else { "unexpected character" };
    match (error.line(), error.column()) {
        (0, _) | (_, 0) => what.to_owned(),
        (1, column) => format!("{what} at column {column}"),
        (line, column) => format!("{what} at line {line}, column {column}"),
    }
}

const QUOTING: &str = "a text is quoted for JSON and again for the shell: codex set name '\"hello\"'; \
                       --raw stores it as it stands: codex set --raw name hello";

#[cfg(test)]
mod tests {
    use super::*;

    fn compacted(text: &str) -> String {
        json(text).expect("the text is JSON").get().to_owned()
    }

    #[test]
    fn numbers_keep_their_digits() {
        for number in ["9007199254740993", "1.10", "1e400", "-0", "0.1e-7", "123456789012345678901234567890"]
        {
            assert_eq!(compacted(number), number);
        }
    }

    #[test]
    fn only_white_space_between_tokens_goes() {
        assert_eq!(
            compacted(" { \"a b\" : [ 1 ,\t2 ] ,\r\n \"a b\" : \" \\\" \\\\\" } \n"),
            "{\"a b\":[1,2],\"a b\":\" \\\" \\\\\"}"
        );
        assert_eq!(compacted("\"größe \u{85} 日本\""), "\"größe \u{85} 日本\"");
        assert_eq!(compacted("[ \"ä ö\" ]"), "[\"ä ö\"]");
    }

    #[test]
    fn unquoted_word_is_told_how_to_quote_and_not_quoted() {
        let failure = from_argument(OsStr::new("s3cret"), Form::Json).expect_err("a word is not JSON");
        let text = failure.text();
        assert!(text.contains("codex set name '\"hello\"'") && text.contains("--raw"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn faults_give_a_place() {
        for (text, fault) in [
            ("", "it ends too early at line 1, column 0"),
            ("[1,", "it ends too early at column 3"),
            ("[1,\n x]", "unexpected character at line 2, column 2"),
            ("1 2", "unexpected character at column 3"),
        ] {
            let error = json(text).expect_err("the text is not JSON");
            let said = fault_of(&error);
            assert!(said == fault || error.column() == 0, "{text}: {said}");
        }
    }

    #[test]
    fn deep_nesting_is_no_matter() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(compacted(&deep), deep);
    }
}
