//! Points of the past, as they are given and as times are shown.

use std::ffi::OsStr;
use std::time::SystemTime;

use codex::Point;
use jiff::Timestamp;

use crate::exit::Failure;

/// The point that an argument names: a sequence number, or a time as RFC 3339 has it.
pub(crate) fn parse(argument: &OsStr) -> Result<Point, Failure> {
    let not_a_point = || {
        Failure::validation("a point is a sequence number, or a time with its offset from UTC")
            .hint("for instance 17, 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00")
    };
    let text = argument.to_str().ok_or_else(not_a_point)?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Point::Sequence).map_err(|_| not_a_point());
    }
    let time: Timestamp = text.parse().map_err(|_| not_a_point())?;
    SystemTime::try_from(time).map(Point::Time).map_err(|_| not_a_point())
}

/// A time as RFC 3339 has it, in UTC.
pub(crate) fn shown(time: SystemTime) -> String {
    // A frame records nanoseconds since 1970 in 64 bits, which end in the year 2554.
    Timestamp::try_from(time).expect("a recorded time is within jiff's range").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn parsed(text: &str) -> Option<Point> {
        parse(OsStr::new(text)).ok()
    }

    #[test]
    fn a_number_is_a_sequence_number_and_a_time_is_one_with_its_offset() {
        assert_eq!(parsed("0"), Some(Point::Sequence(0)));
        assert_eq!(parsed("18446744073709551615"), Some(Point::Sequence(u64::MAX)));
        let noon = Some(Point::Time(UNIX_EPOCH + Duration::from_hours(12)));
        for text in ["1970-01-01T12:00:00Z", "1970-01-01t12:00:00z", "1970-01-01 13:00:00+01:00"] {
            assert_eq!(parsed(text), noon, "{text}");
        }
        let before = Some(Point::Time(UNIX_EPOCH - Duration::from_millis(500)));
        assert_eq!(parsed("1969-12-31T23:59:59.5Z"), before);
    }

    #[test]
    fn what_is_no_point_is_refused_and_not_quoted() {
        for text in ["", "-1", "1.5", "18446744073709551616", "2026-01-31", "2026-01-31T12:00:00", "s3cret"] {
            let said = parse(OsStr::new(text)).expect_err(text).text();
            assert!(said.contains("sequence number") && !said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn a_time_is_shown_as_it_is_read() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_500_000_000, "1970-01-01T00:00:01.5Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_nanos(ns);
            assert_eq!(shown(time), text);
            assert_eq!(parsed(text), Some(Point::Time(time)));
        }
    }
}
