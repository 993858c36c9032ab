//! What is planted where nobody may see it, and the search for it in every form that a program might print.

use base64ct::{Base64, Encoding};

pub(crate) const KEY: &str = "planted-k3y";
pub(crate) const VALUE: &str = "planted-v4lue";
pub(crate) const PASSPHRASE: &str = "planted-p4ssphrase";
pub(crate) const ENCRYPTION_KEY: &[u8; 32] = b"planted-3ncryption-key-of-32-byt";

/// Neither any of them, nor a part that tells it, as text, in hexadecimal, in base64 or as a list of numbers.
pub(crate) fn assert_untold(told: &str) {
    let lower = told.to_lowercase();
    let dense: String = lower.split_whitespace().collect();
    let secrets = [KEY.as_bytes(), VALUE.as_bytes(), PASSPHRASE.as_bytes(), ENCRYPTION_KEY];
    for secret in secrets {
        let telling = &secret[b"planted".len()..];
        let text = String::from_utf8_lossy(telling).to_lowercase();
        let hex = base16ct::lower::encode_string(telling);
        let numbers = telling.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        for (form, told) in [(text, &lower), (hex, &lower), (numbers, &dense)] {
            if let Some(at) = told.find(&form) {
                panic!("{form} is told: …{}…", excerpt(told, at));
            }
        }
        // Three bytes are four signs of base64, so there are three ways in which it can lie.
        for skip in 0..3 {
            let whole = &secret[skip..][..(secret.len() - skip) / 3 * 3];
            let form = Base64::encode_string(whole);
            if let Some(at) = told.find(&form) {
                panic!("{form} is told: …{}…", excerpt(told, at));
            }
        }
    }
}

fn excerpt(text: &str, at: usize) -> String {
    text.get(at.saturating_sub(300)..).unwrap_or(&text[at..]).chars().take(500).collect()
}
