//! Records as CSV (RFC 4180): a row for each, with its key in one column and the members of its value in the others.
//!
//! CSV has texts only, so it does not keep all that a record can be; what becomes of the rest is in `docs/cli.md`,
//! "Records as CSV". A fault is named by line and column, and nothing of the input is quoted.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::io::{self, Read, Write};
use std::mem;

use codex::{Entry, View};
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::exit::{Failure, Place};
use crate::key;
use crate::lines::{self, Input, LINE_LEN_MAX};
use crate::progress::Bars;
use crate::record::{self, Record};
use crate::value::Value;

/// What cells become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cells {
    /// Texts, all of them.
    Texts,
    /// Numbers, true, false and null where they are written as JSON has them; nothing where they are empty; else texts.
    Inferred,
}

/// The rows of a file or of standard input, as records.
pub(crate) struct Rows {
    reader: csv::Reader<Strict<Input>>,
    /// The names of the columns, as JSON texts.
    names: Vec<String>,
    key_column: usize,
    cells: Cells,
    row: csv::ByteRecord,
}

impl Rows {
    /// Reads the first row, which names the columns. The one called `key_column` holds the keys.
    pub(crate) fn open(input: Input, key_column: &str, cells: Cells) -> Result<Self, Failure> {
        let mut builder = csv::ReaderBuilder::new();
        let reader = builder.has_headers(false).buffer_capacity(64 * 1024).from_reader(Strict::new(input));
        let mut rows = Self { reader, names: Vec::new(), key_column: 0, cells, row: csv::ByteRecord::new() };
        let Some(line) = rows.advance()? else {
            return Err(lines::fault(1, "there is no row, and the first one names the columns"));
        };
        let names: Vec<_> =
            (0..rows.row.len()).map(|column| rows.cell(line, column)).collect::<Result<_, _>>()?;
        let mut seen = HashSet::new();
        if let Some(again) = names.iter().position(|name| !seen.insert(*name)) {
            return Err(fault(line, again, "has the name of another one"));
        }
        let key = names.iter().position(|name| *name == key_column).ok_or_else(|| {
            lines::fault(line, "no column has the name of the key column").hint(
                "the first row names the columns; --key-column says which holds the keys (default: key)",
            )
        })?;
        let names = names.iter().map(|name| json_text(name)).collect();
        (rows.names, rows.key_column) = (names, key);
        Ok(rows)
    }

    /// The next record, with the number of the line in which it begins; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Record)>, Failure> {
        let Some(line) = self.advance()? else { return Ok(None) };
        let key = self.cell(line, self.key_column)?;
        if let Some(refusal) = key::refusal(key.as_bytes()) {
            return Err(fault(line, self.key_column, &format!("is no key: {refusal}")));
        }
        let key = key.as_bytes().to_vec();
        let mut object = String::from("{");
        for column in (0..self.names.len()).filter(|column| *column != self.key_column) {
            let cell = self.cell(line, column)?;
            if self.cells == Cells::Inferred && cell.is_empty() {
                continue;
            }
            if object.len() > 1 {
                object.push(',');
            }
            object.push_str(&self.names[column]);
            object.push(':');
            match self.cells {
                Cells::Inferred if is_json_word(cell) => object.push_str(cell),
                _ => object.push_str(&json_text(cell)),
            }
        }
        object.push('}');
        let object = RawValue::from_string(object).expect("made of JSON");
        Ok(Some((line, Record::of(key, Value::Json(object)))))
    }

    /// How many bytes were read, and how many there are, if that is known.
    pub(crate) fn progress(&self) -> (u64, Option<u64>) {
        let input = &self.reader.get_ref().input;
        (input.read, input.len)
    }

    /// Reads the next row, and gives the number of its first line; none at the end.
    fn advance(&mut self) -> Result<Option<u64>, Failure> {
        self.reader.get_mut().left = LINE_LEN_MAX;
        let read = self.reader.read_byte_record(&mut self.row);
        let passed = self.reader.get_mut();
        let line = passed.rows.pop_front().unwrap_or(passed.line);
        match read {
            Ok(there) => Ok(there.then_some(line)),
            Err(error) => Err(match error.into_kind() {
                csv::ErrorKind::Io(error) => match Fault::of(&error) {
                    Some(fault) => lines::fault(fault.line, fault.what),
                    None => Failure::io(format!("read line {line}"), error),
                },
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    let what = format!("it has {len} cells, and the first row has {expected_len}");
                    lines::fault(line, &what)
                }
                _ => lines::fault(line, "not CSV"),
            }),
        }
    }

    fn cell(&self, line: u64, column: usize) -> Result<&str, Failure> {
        let cell = self.row.get(column).unwrap_or_default();
        std::str::from_utf8(cell).map_err(|_| fault(line, column, "is not UTF-8"))
    }
}

impl fmt::Debug for Rows {
    // The row itself is a record: it is nobody's to see.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Rows").field("columns", &self.names.len()).finish_non_exhaustive()
    }
}

/// What is wrong with a cell; `column` counts from 0.
fn fault(line: u64, column: usize, what: &str) -> Failure {
    let column = column as u64 + 1;
    Failure::validation(format!("line {line} is wrong: column {column} {what}")).at(Place {
        line: Some(line),
        column: Some(column),
        ..Place::default()
    })
}

fn json_text(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}

/// Whether a cell is a number, true, false or null as JSON writes them, to the last character.
fn is_json_word(cell: &str) -> bool {
    let begins = cell.as_bytes().first().is_some_and(|byte| byte.is_ascii_digit() || b"-tfn".contains(byte));
    // The text of a word is the word: what has white space around it is a text.
    begins && serde_json::from_str::<&RawValue>(cell).is_ok_and(|word| word.get() == cell)
}

/// Passes bytes on as long as they are CSV as RFC 4180 has it. The parser behind it would forgive a quote that is never
/// closed, and take the rest of the file for one cell: then a file that was cut off would look whole.
struct Strict<R> {
    input: R,
    /// Nothing was read yet.
    begins: bool,
    at: At,
    line: u64,
    /// The first lines of the rows that were passed on and not parsed yet; blank lines are no rows.
    rows: VecDeque<u64>,
    /// Where the quoted cell began that is being read.
    quoted_at: u64,
    /// Bytes that may be read before the row must have ended.
    left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    RowStart,
    CellStart,
    Bare,
    Quoted,
    /// Behind a quote in a quoted cell: its end, or the first of two that stand for one.
    Quote,
}

impl<R> Strict<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            begins: true,
            at: At::RowStart,
            line: 1,
            rows: VecDeque::new(),
            quoted_at: 1,
            left: LINE_LEN_MAX,
        }
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for byte in bytes {
            if self.at == At::RowStart && !matches!(byte, b'\r' | b'\n') {
                self.rows.push_back(self.line);
                self.at = At::CellStart;
            }
            self.at = match (self.at, byte) {
                (At::CellStart, b'"') => {
                    self.quoted_at = self.line;
                    At::Quoted
                }
                (At::Quoted, b'"') => At::Quote,
                (At::Quoted, _) | (At::Quote, b'"') => At::Quoted,
                (_, b',') => At::CellStart,
                (_, b'\r' | b'\n') => At::RowStart,
                (At::Quote, _) => {
                    return Err(Fault { line: self.line, what: "a quoted cell goes on behind its quote" });
                }
                (At::RowStart | At::CellStart | At::Bare, _) => At::Bare,
            };
            self.line += u64::from(*byte == b'\n');
        }
        Ok(())
    }
}

impl<R: Read> Read for Strict<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = self.input.read(buffer)?;
        // The parser takes a byte order mark away where the first piece that it gets is longer and begins with it, and
        // nowhere else. A pipe may give less at first.
        let begins = mem::take(&mut self.begins);
        while begins && read > 0 && BYTE_ORDER_MARK.starts_with(&buffer[..read]) {
            match self.input.read(&mut buffer[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if read == 0 && self.at == At::Quoted {
            return Err(Fault { line: self.quoted_at, what: "a quoted cell does not end" }.into());
        }
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or(Fault { line: self.line, what: "longer than any record can be" })?;
        let passed = &buffer[..read];
        self.pass(if begins { passed.strip_prefix(BYTE_ORDER_MARK).unwrap_or(passed) } else { passed })?;
        Ok(read)
    }
}

/// What [`Strict`] does not pass on.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{what}")]
struct Fault {
    line: u64,
    what: &'static str,
}

impl Fault {
    fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

/// What could not be written of a view.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) records: u64,
    /// Records that expire, which their rows do not say.
    pub(crate) expiring: u64,
}

/// Writes every record of a view, in two passes: the first finds the columns, in the order in which they appear.
pub(crate) fn write(
    view: &View,
    key_column: &str,
    bars: &Bars,
    target: &mut impl Write,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<Written, Failure> {
    let columns = Columns::of(view, key_column, bars)?;
    let total = Some(view.len() as u64);
    let csv_failed = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => failed(error),
        _ => failed(io::Error::other("a row has another length than the first")),
    };
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(target);
    writer.write_record(&columns.names).map_err(csv_failed)?;
    let mut written = Written::default();
    let mut cells = vec![String::new(); columns.names.len()];
    for entry in view.entries(..) {
        bars.count("exporting", "records", written.records, total);
        let entry = entry?;
        cells.iter_mut().for_each(String::clear);
        text_of(&entry.key, "key")?.clone_into(&mut cells[0]);
        for (name, cell) in cells_of(&entry)? {
            let column = columns.index.get(&*name).expect("found in the first pass, of the same view");
            cells[*column] = cell;
        }
        writer.write_record(&cells).map_err(csv_failed)?;
        written.records += 1;
        written.expiring += u64::from(entry.expires_at.is_some());
    }
    writer.flush().map_err(&failed)?;
    Ok(written)
}

/// The columns of a view: the key's, and one for each name of a member.
struct Columns {
    names: Vec<String>,
    index: HashMap<String, usize>,
}

impl Columns {
    fn of(view: &View, key_column: &str, bars: &Bars) -> Result<Self, Failure> {
        let mut columns = Self { names: vec![key_column.to_owned()], index: HashMap::new() };
        for (done, entry) in (0..).zip(view.entries(..)) {
            bars.count("finding the columns", "records", done, Some(view.len() as u64));
            let entry = entry?;
            text_of(&entry.key, "key")?;
            for (name, _) in cells_of(&entry)? {
                if name == key_column {
                    return Err(Failure::validation("a value has a member with the name of the key column")
                        .hint("--key-column NAME gives that column another name"));
                }
                if !columns.index.contains_key(&name) {
                    columns.index.insert(name.clone(), columns.names.len());
                    columns.names.push(name);
                }
            }
            if columns.names.len() > COLUMNS_MAX {
                return Err(Failure::validation(format!("the records have more than {COLUMNS_MAX} columns"))
                    .hint(ANY_RECORD));
            }
        }
        Ok(columns)
    }
}

/// The cells of a record beside its key: those of an object's members, or one that is called `value`.
fn cells_of(entry: &Entry) -> Result<Vec<(String, String)>, Failure> {
    let Some(text) = record::text_of(entry.codec, &entry.value) else {
        return Ok(vec![(VALUE.to_owned(), text_of(&entry.value, "value")?.to_owned())]);
    };
    let members = members_of(&text).unwrap_or_else(|| vec![(VALUE.to_owned(), cell_of(&text))]);
    Ok(members)
}

/// The members of an object, as cells; `None` if it is none, or one with two members of a name.
fn members_of(text: &str) -> Option<Vec<(String, String)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, String)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                members.push((name, cell_of(value.get())));
            }
            Ok(members)
        }
    }
    let members = serde_json::Deserializer::from_str(text).deserialize_map(Members).ok()?;
    let mut seen = HashSet::new();
    members.iter().all(|(name, _)| seen.insert(name.as_str())).then_some(members)
}

/// A JSON value in a cell: a text as what it says, all else as JSON.
fn cell_of(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

fn text_of<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Failure> {
    std::str::from_utf8(bytes).map_err(|_| {
        Failure::validation(format!("a {what} is not text, which CSV cannot hold")).hint(ANY_RECORD)
    })
}

/// Of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The column of what is no object.
const VALUE: &str = "value";
/// What spreadsheets take. The names of the columns are in memory.
const COLUMNS_MAX: usize = 16_384;
const ANY_RECORD: &str = "JSON Lines hold any record: codex export all.jsonl";

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8], cells: Cells) -> Result<Rows, Failure> {
        Rows::open(Input::of(io::Cursor::new(text.to_vec())), "id", cells)
    }

    /// Every record, or what is wrong.
    fn read(text: &[u8], cells: Cells) -> Result<Vec<(u64, String, String)>, String> {
        let mut rows = rows(text, cells).map_err(|failure| failure.text())?;
        let mut read = Vec::new();
        while let Some((line, record)) = rows.next().map_err(|failure| failure.text())? {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
            read.push((line, text(&record.key), text(record.value.as_bytes())));
        }
        Ok(read)
    }

    #[test]
    fn a_row_is_an_object_of_texts() {
        let text = b"name,id,note\r\nAda,1,\"said \"\"so\"\",\r\nand left\"\r\n007,2,\r\n";
        let read = read(text, Cells::Texts).expect("it is right");
        assert_eq!(read[0], (2, "1".into(), r#"{"name":"Ada","note":"said \"so\",\r\nand left"}"#.into()));
        assert_eq!(read[1], (4, "2".into(), r#"{"name":"007","note":""}"#.into()));
    }

    #[test]
    fn what_is_written_as_json_is_inferred_with_its_digits_and_nothing_else_is() {
        for word in ["1", "-0", "1.10", "9007199254740993", "1e400", "true", "false", "null"] {
            let text = format!("id,v\nk,{word}\n");
            let read = read(text.as_bytes(), Cells::Inferred).expect("it is right");
            assert_eq!(read[0].2, format!("{{\"v\":{word}}}"));
        }
        for text in ["007", "+1", ".5", "1.", " 1", "1 ", "True", "nul", "NaN", "[1]", "0x1", "1,5", "-"] {
            let row = format!("id,v\nk,\"{text}\"\n");
            let read = read(row.as_bytes(), Cells::Inferred).expect("it is right");
            assert_eq!(read[0].2, format!("{{\"v\":\"{text}\"}}"));
        }
        let empty = read(b"id,v,w\nk,,1\n", Cells::Inferred).expect("it is right");
        assert_eq!(empty[0].2, "{\"w\":1}", "nothing is no member");
    }

    #[test]
    fn a_byte_order_mark_belongs_to_no_column() {
        for text in [&b"\xef\xbb\xbfid,v\nk,1\n"[..], b"\xef\xbb\xbf\"id\",v\nk,1\n"] {
            let read = read(text, Cells::Inferred).expect("it is right");
            assert_eq!(read[0].1, "k");
        }
    }

    #[test]
    fn a_byte_order_mark_that_comes_in_pieces_belongs_to_no_column() {
        struct OneByOne(io::Cursor<&'static [u8]>);
        impl Read for OneByOne {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let len = buffer.len().min(1);
                self.0.read(&mut buffer[..len])
            }
        }
        for (text, expected) in
            [(&b"\xef\xbb\xbfid,v"[..], &b"id"[..]), (b"\xef\xbb", b"\xef\xbb"), (b"id", b"id")]
        {
            let strict = Strict::new(OneByOne(io::Cursor::new(text)));
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(strict);
            let mut row = csv::ByteRecord::new();
            assert!(reader.read_byte_record(&mut row).expect("it is right"));
            assert_eq!(row.get(0), Some(expected));
        }
    }

    #[test]
    fn only_where_the_file_begins_is_a_byte_order_mark_none_of_its_text() {
        let inside = read("id,\u{feff}\"v\nk,1\n".as_bytes(), Cells::Inferred).expect("it is right");
        assert_eq!(inside[0], (2, "k".into(), "{\"\u{feff}\\\"v\":1}".into()), "its quote is no quoting");
        let blank = read("\u{feff}\nid,v\nk,1\n".as_bytes(), Cells::Inferred).expect("it is right");
        assert_eq!(blank[0], (3, "k".into(), "{\"v\":1}".into()), "it begins no row");
    }

    #[test]
    fn a_fault_is_named_by_line_and_column_and_not_quoted() {
        for (text, fault) in [
            (&b""[..], "line 1 is wrong: there is no row"),
            (b"s3cret,b\n1,2\n", "line 1 is wrong: no column has the name of the key column"),
            (b"id,s3cret,s3cret\n", "line 1 is wrong: column 3 has the name of another one"),
            (b"\n\nid,s3cret,s3cret\n", "line 3 is wrong: column 3 has the name of another one"),
            (b"\r\ns3cret\n", "line 2 is wrong: no column has the name of the key column"),
            (b"\nid,\xff\n", "line 2 is wrong: column 2 is not UTF-8"),
            (b"id,v\nk,1\n\nk2,s3cret,3\n", "line 4 is wrong: it has 3 cells, and the first row has 2"),
            (b"v,id\ns3cret,\n", "line 2 is wrong: column 2 is no key: a key has at least one byte"),
            (b"id,v\n\"s3\ncret\",1\nk,\xff\n", "line 4 is wrong: column 2 is not UTF-8"),
            (b"id,v\nk,\"s3cret\nk2,1\n", "line 2 is wrong: a quoted cell does not end"),
            (b"id,v\nk,\"s3\"cret\n", "line 2 is wrong: a quoted cell goes on behind its quote"),
        ] {
            let text = read(text, Cells::Texts).expect_err("it is wrong");
            assert!(text.contains(fault) && !text.contains("s3cret"), "{fault}: {text}");
        }
    }

    #[test]
    fn an_object_is_a_cell_for_each_member_and_keeps_what_is_nested_as_json() {
        let members =
            |text| members_of(text).map(|cells| cells.into_iter().map(|(_, cell)| cell).collect::<Vec<_>>());
        assert_eq!(members(r#"{"b":"x\n","a":1.10}"#), Some(vec!["x\n".into(), "1.10".into()]));
        assert_eq!(members(r#"{"a":[1,"x"],"b":null}"#), Some(vec![r#"[1,"x"]"#.into(), "null".into()]));
        assert_eq!(members("{}"), Some(vec![]));
        assert_eq!(members(r#"{"a":1,"a":2}"#), None, "a name twice is no row");
        assert_eq!(members("[1]"), None);
        assert_eq!(members(r#""text""#), None);
    }

    #[test]
    fn a_row_without_an_end_is_not_read_into_memory() {
        struct Endless(u64);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer.fill(b'x');
                self.0 += buffer.len() as u64;
                Ok(buffer.len())
            }
        }
        let mut strict = Strict { left: 1000, ..Strict::new(Endless(0)) };
        let error = io::copy(&mut strict, &mut io::sink()).expect_err("it has no end");
        assert_eq!(Fault::of(&error).expect("a fault").what, "longer than any record can be");
    }
}
