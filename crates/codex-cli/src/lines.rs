//! Input as a stream, and as lines, each bounded, one at a time in memory.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::exit::{Failure, Place};

/// A file or standard input. Counts what is read.
pub(crate) struct Input {
    source: Box<dyn Read>,
    /// Bytes that were read, and how many there are, if that is known.
    pub(crate) read: u64,
    pub(crate) len: Option<u64>,
}

impl Input {
    /// Opens the file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::of(io::stdin().lock()));
        }
        let file =
            File::open(path).map_err(|error| Failure::io(format!("read {}", path.display()), error))?;
        let len = file.metadata().ok().filter(fs::Metadata::is_file).map(|file| file.len());
        Ok(Self { len, ..Self::of(file) })
    }

    pub(crate) fn of(source: impl Read + 'static) -> Self {
        Self { source: Box::new(source), read: 0, len: None }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// The lines of a file or of standard input, with their numbers.
pub(crate) struct Lines {
    source: BufReader<Input>,
    /// Number of the last line that was read, from 1.
    number: u64,
    line: Vec<u8>,
    len_max: u64,
}

impl Lines {
    /// Opens the file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        Input::open(path).map(Self::new)
    }

    /// The lines of what is in memory.
    pub(crate) fn of(text: impl Read + 'static) -> Self {
        Self::new(Input::of(text))
    }

    /// The lines of an input.
    pub(crate) fn new(input: Input) -> Self {
        Self::bounded(input, LINE_LEN_MAX)
    }

    fn bounded(input: Input, len_max: u64) -> Self {
        let source = BufReader::with_capacity(64 * 1024, input);
        Self { source, number: 0, line: Vec::new(), len_max }
    }

    /// How many bytes were read, and how many there are, if that is known.
    pub(crate) fn progress(&self) -> (u64, Option<u64>) {
        let input = self.source.get_ref();
        (input.read, input.len)
    }

    /// The next line that is not blank, with its number; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &str)>, Failure> {
        while self.fill()? {
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                return self.text().map(Some);
            }
        }
        Ok(None)
    }

    /// The next line, with its number; none at the end.
    pub(crate) fn next_or_blank(&mut self) -> Result<Option<(u64, &str)>, Failure> {
        if self.fill()? { self.text().map(Some) } else { Ok(None) }
    }

    /// Reads the next line; false at the end.
    fn fill(&mut self) -> Result<bool, Failure> {
        self.line.clear();
        // A line that was long does not hold its memory for the rest of the input.
        self.line.shrink_to(KEPT_LEN_MAX);
        self.number += 1;
        let mut bounded = self.source.by_ref().take(self.len_max + 1);
        let read = bounded
            .read_until(b'\n', &mut self.line)
            .map_err(|error| Failure::io(format!("read line {}", self.number), error))?;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if bounded.limit() == 0 {
            return Err(self.fault("longer than any record can be"));
        }
        Ok(read > 0)
    }

    fn text(&self) -> Result<(u64, &str), Failure> {
        match std::str::from_utf8(&self.line) {
            Ok(line) => Ok((self.number, line)),
            Err(_) => Err(self.fault("not UTF-8")),
        }
    }

    fn fault(&self, what: &str) -> Failure {
        fault(self.number, what)
    }
}

impl std::fmt::Debug for Lines {
    // The line itself is a record: it is nobody's to see.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}

/// What is wrong with a line.
pub(crate) fn fault(number: u64, what: &str) -> Failure {
    Failure::validation(format!("line {number} is wrong: {what}"))
        .at(Place { line: Some(number), ..Place::default() })
}

/// The longest line: a value of 1 GiB as base64, a key of 65,535 bytes as escapes, and their names.
pub(crate) const LINE_LEN_MAX: u64 = 1_500_000_000;
const _: () = assert!(LINE_LEN_MAX > (1 << 30) / 3 * 4 + 65_535 * 6 + 1024);

const KEPT_LEN_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn lines(text: &'static [u8], len_max: u64) -> Lines {
        Lines::bounded(Input::of(Cursor::new(text)), len_max)
    }

    fn next(lines: &mut Lines) -> Option<(u64, String)> {
        lines.next().expect("the line is right").map(|(number, line)| (number, line.to_owned()))
    }

    #[test]
    fn blank_lines_are_counted_and_passed_over() {
        let mut lines = lines(b"a\n\n \t\r\nb\r\nc", 100);
        assert_eq!(next(&mut lines), Some((1, "a".to_owned())));
        assert_eq!(next(&mut lines), Some((4, "b\r".to_owned())));
        assert_eq!(next(&mut lines), Some((5, "c".to_owned())));
        assert_eq!(next(&mut lines), None);
    }

    #[test]
    fn blank_lines_are_given_where_they_matter() {
        let mut lines = lines(b"a\n\n \n", 100);
        for expected in [(1, "a"), (2, ""), (3, " ")] {
            assert_eq!(lines.next_or_blank().expect("the line is right"), Some(expected));
        }
        assert_eq!(lines.next_or_blank().expect("the end is right"), None);
    }

    #[test]
    fn a_line_over_the_bound_is_refused_with_its_number() {
        let mut lines = lines(b"12345\n123456\n", 5);
        assert_eq!(next(&mut lines), Some((1, "12345".to_owned())));
        let failure = lines.next().expect_err("the line is too long");
        assert!(failure.text().contains("line 2 is wrong: longer"), "{}", failure.text());
    }

    #[test]
    fn the_last_line_may_fill_the_bound_without_a_newline() {
        let mut lines = lines(b"12345", 5);
        assert_eq!(next(&mut lines), Some((1, "12345".to_owned())));
    }

    #[test]
    fn a_line_that_is_not_utf8_is_refused() {
        let failure = lines(b"\xff\n", 5).next().expect_err("not UTF-8");
        assert!(failure.text().contains("line 1 is wrong: not UTF-8"), "{}", failure.text());
    }
}
