//! The text of key files and of `CODEX_KEY`.

use codex_cli::input::encryption_key;

/// The input is the text, if it is one.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match encryption_key(text) {
        Ok(key) => {
            let hex = key.to_hex();
            let again = encryption_key(&hex).expect("a key reads back");
            assert!(again.to_hex() == hex, "in every form it is the same key");
            assert!(text.trim_ascii().len() >= 43, "32 bytes take as much in any form");
        }
        // The text is a secret also where it is not right.
        Err(told) => {
            assert_eq!(Err(told), encryption_key("").map(|_| ()), "what is told is the same for every text");
        }
    }
}
