//! Lines of JSON, as `codex import` and `codex batch` read them.

use codex_cli::input::{Stream, exported, lines};

/// The input is a stream of lines.
pub fn run(input: &[u8]) {
    let (operations, _) = lines(input, Stream::Operations);
    let (records, _) = lines(input, Stream::Records);
    assert!(operations.is_empty() || records.is_empty(), "a line is a record or an operation");
    for line in operations.iter().chain(&records) {
        if line.value.is_none() {
            continue;
        }
        let text = exported(line).expect("a vector takes all");
        assert!(text.split_last().is_some_and(|(last, line)| *last == b'\n' && !line.contains(&b'\n')));
        let (read, fault) = lines(&text, Stream::Records);
        assert_eq!(fault, None);
        assert!(read == [line.clone()], "what is exported is imported as it was");
    }
}
