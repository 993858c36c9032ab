//! Where there is colour: on a terminal, unless the variable `NO_COLOR` is set and not empty, or `--color` says otherwise.
//!
//! Colour marks what is said in words as well; nothing is lost without it. JSON has none.

use std::ffi::OsString;
use std::io;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

/// The word before an error.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The word before advice.
pub(crate) const HINT: Style = Style::new().bold();
/// Nothing is wrong.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Something deserves a look.
pub(crate) const DOUBTFUL: Style = AnsiColor::Yellow.on_default().bold();

/// Heeds `--color` wherever it stands, before the command line is understood: an error in that is coloured as well.
pub(crate) fn choose(words: &[OsString]) {
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let text = word.to_str().unwrap_or_default();
        let value = match text.strip_prefix("--color=") {
            Some(value) => Some(value),
            None if text == "--color" => words.next().and_then(|value| value.to_str()),
            None => None,
        };
        match value {
            Some("always") => ColorChoice::Always.write_global(),
            Some("never") => ColorChoice::Never.write_global(),
            // Anything else is refused when the command line is read.
            _ => {}
        }
    }
}

/// A style as standard output takes it: none where that has no colour.
pub(crate) fn on_stdout(style: Style) -> Style {
    if AutoStream::choice(&io::stdout()) == ColorChoice::Never { Style::new() } else { style }
}
