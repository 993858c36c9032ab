//! Records as CSV, as `codex import --format csv` reads them, beside a reader that is as simple as RFC 4180.

use std::collections::HashSet;

use codex::KEY_LEN_MAX;
use codex_cli::input::{Line, csv};

/// The input is a file, whose column `id` holds the keys.
pub fn run(input: &[u8]) {
    for infers in [false, true] {
        let (read, fault) = csv(input, "id", infers);
        let (expected, expected_fault) = expected(input, infers);
        let fault_line = fault.as_ref().map(|fault| line_of(fault));
        assert_eq!(fault_line, expected_fault.map(|fault| fault.line), "{fault:?}");
        if expected_fault.is_some_and(|fault| fault.hides_rows) {
            assert!(expected.starts_with(&read));
        } else {
            assert!(read == expected, "it is read as it stands");
        }
    }
}

/// Which line a fault names.
fn line_of(fault: &str) -> u64 {
    let line = fault.split_once("line ").and_then(|(_, rest)| rest.split_once(" is wrong: "));
    line.and_then(|(number, _)| number.parse().ok()).expect("a fault names its line")
}

/// What is wrong in the end.
#[derive(Clone, Copy, Debug)]
struct Fault {
    line: u64,
    hides_rows: bool,
}

/// The records up to the first fault, each with the line in which it begins.
type Records = Vec<(u64, Line)>;

fn expected(text: &[u8], infers: bool) -> (Records, Option<Fault>) {
    let (rows, quote) = rows(text);
    // The file is read whole before its first row is, and so refused, unless only its end tells that a quote is missing.
    let hiding = quote.filter(|fault| fault.hides_rows);
    let mut records = Records::new();
    let at = |line| hiding.or(Some(Fault { line, hides_rows: false }));
    let mut rows = rows.into_iter();
    let Some((line, names)) = rows.next() else { return (records, quote.or(at(1))) };
    let mut seen = HashSet::new();
    let names: Option<Vec<_>> = names.into_iter().map(|name| String::from_utf8(name).ok()).collect();
    let Some(names) = names.filter(|names| names.iter().all(|name| seen.insert(name.clone()))) else {
        return (records, at(line));
    };
    let Some(key_column) = names.iter().position(|name| name == "id") else {
        return (records, at(line));
    };
    for (line, cells) in rows {
        let cells: Option<Vec<_>> = cells.into_iter().map(|cell| String::from_utf8(cell).ok()).collect();
        let Some(cells) = cells.filter(|cells| cells.len() == names.len()) else {
            return (records, at(line));
        };
        let key = cells[key_column].clone().into_bytes();
        if !(1..=KEY_LEN_MAX).contains(&key.len()) {
            return (records, at(line));
        }
        let others = names.iter().zip(&cells).filter(|(name, _)| *name != "id");
        let members = others.filter(|(_, cell)| !(infers && cell.is_empty())).map(|(name, cell)| {
            let text = if infers && is_word(cell) { cell.clone() } else { quoted(cell) };
            format!("{}:{text}", quoted(name))
        });
        let value = format!("{{{}}}", members.collect::<Vec<_>>().join(",")).into_bytes();
        let record = Line { key, value: Some((codex::Codec::Json, value)), expires_unix_ms: None };
        records.push((line, record));
    }
    (records, quote)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}

/// Whether a text is a number as RFC 8259 writes it, true, false or null.
fn is_word(text: &str) -> bool {
    fn digits(text: &str) -> (usize, &str) {
        let rest = text.trim_start_matches(|sign: char| sign.is_ascii_digit());
        (text.len() - rest.len(), rest)
    }
    if ["true", "false", "null"].contains(&text) {
        return true;
    }
    let text = text.strip_prefix('-').unwrap_or(text);
    let (count, mut rest) = digits(text);
    if count == 0 || (count > 1 && text.starts_with('0')) {
        return false;
    }
    if let Some(behind) = rest.strip_prefix('.') {
        let (count, behind) = digits(behind);
        if count == 0 {
            return false;
        }
        rest = behind;
    }
    if let Some(behind) = rest.strip_prefix(['e', 'E']) {
        let (count, behind) = digits(behind.strip_prefix(['+', '-']).unwrap_or(behind));
        return count > 0 && behind.is_empty();
    }
    rest.is_empty()
}

/// The line in which a row begins, and its cells.
type Row = (u64, Vec<Vec<u8>>);

/// The rows up to the first quote that is wrong.
fn rows(text: &[u8]) -> (Vec<Row>, Option<Fault>) {
    let mut rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let (mut rows, mut line) = (Vec::new(), 1);
    while let Some(first) = rest.first() {
        if matches!(first, b'\r' | b'\n') {
            line += u64::from(*first == b'\n');
            rest = &rest[1..];
            continue;
        }
        let (begin, mut cells) = (line, Vec::new());
        loop {
            let mut cell = Vec::new();
            if let Some(mut quoted) = rest.strip_prefix(b"\"") {
                let quote = line;
                loop {
                    let Some(len) = quoted.iter().position(|byte| *byte == b'"') else {
                        return (rows, Some(Fault { line: quote, hides_rows: false }));
                    };
                    cell.extend_from_slice(&quoted[..len]);
                    line += quoted[..len].split(|byte| *byte == b'\n').count() as u64 - 1;
                    quoted = &quoted[len + 1..];
                    let Some(behind) = quoted.strip_prefix(b"\"") else { break };
                    cell.push(b'"');
                    quoted = behind;
                }
                rest = quoted;
                if rest.first().is_some_and(|byte| !b",\r\n".contains(byte)) {
                    return (rows, Some(Fault { line, hides_rows: true }));
                }
            } else {
                let len = rest.iter().position(|byte| b",\r\n".contains(byte)).unwrap_or(rest.len());
                cell.extend_from_slice(&rest[..len]);
                rest = &rest[len..];
            }
            cells.push(cell);
            let Some(behind) = rest.strip_prefix(b",") else { break };
            rest = behind;
        }
        rows.push((begin, cells));
    }
    (rows, None)
}
