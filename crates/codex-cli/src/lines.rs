//! Lines of an input of any length, in bounded memory.

use std::io::{BufRead, Read};

use crate::exit::{Failure, Place};
use crate::value::Line;

/// A value is at most 1 GiB; in base64 or with escapes a line may be some times as long.
const LINE_LEN_MAX: u64 = 4 << 30;

/// Gives each line that is not blank, with its number from 1.
pub(crate) fn for_each(
    mut input: impl BufRead,
    mut each: impl FnMut(u64, Line, usize) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut text = Vec::new();
    let mut number = 0;
    loop {
        text.clear();
        number += 1;
        let len = input
            .by_ref()
            .take(LINE_LEN_MAX)
            .read_until(b'\n', &mut text)
            .map_err(|error| Failure::io(format!("read line {number}"), error))?;
        if len == 0 {
            return Ok(number - 1);
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let place = Place { line: Some(number), committed: None };
        // A message of the parser could quote the line, which may hold a secret.
        let line = serde_json::from_slice(&text).map_err(|error| {
            let what = format!("line {number} is no record in JSON (column {})", error.column());
            Failure::validation(what).at(place).hint("a line looks like {\"key\":\"name\",\"value\":\"Ada\"}")
        })?;
        each(number, line, len).map_err(|failure| failure.context(&format!("line {number}")).at(place))?;
    }
}
