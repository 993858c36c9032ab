//! Times to live, as they are given and shown.

use std::ffi::OsStr;
use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};

use crate::exit::Failure;

/// A time to live from an argument: `60s`, `1h 30m`, `7d`. That it is one at all, and not too long, the library says.
pub(crate) fn parse(argument: &OsStr) -> Result<Duration, Failure> {
    let not_a_time =
        || Failure::validation("--ttl takes a time with its units").hint("for instance 60s, '1h 30m' or 7d");
    let span: Span = argument.to_str().and_then(|text| text.parse().ok()).ok_or_else(not_a_time)?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| not_a_time())?;
    Duration::try_from(duration).map_err(|_| not_a_time())
}

/// A time to live in whole seconds, rounded up: what has not passed is not shown as nothing.
pub(crate) fn shown(ttl: Duration) -> String {
    let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    format!("{:#}", SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::kind_of;

    #[test]
    fn a_time_to_live_has_units_and_is_shown_as_it_is_read() {
        for (text, seconds, shown_as) in [
            ("60s", 60, "1m"),
            ("1h 30m", 5400, "1h 30m"),
            ("7d", 604_800, "168h"),
            ("1h30m5s", 5405, "1h 30m 5s"),
        ] {
            let ttl = parse(OsStr::new(text)).expect(text);
            assert_eq!((ttl, shown(ttl).as_str()), (Duration::from_secs(seconds), shown_as));
            assert_eq!(parse(OsStr::new(&shown(ttl))).expect(text), ttl);
        }
        assert_eq!(parse(OsStr::new("1500ms")).ok(), Some(Duration::from_millis(1500)));
        assert_eq!(shown(Duration::from_millis(1001)), "2s");
        for text in ["", "60", "s", "-60s", "60 s3cret", "1 month", "2027-01-01"] {
            let failure = parse(OsStr::new(text)).expect_err(text);
            assert_eq!(kind_of(&failure), Some(codex::ErrorKind::Validation));
            assert!(!failure.text().contains("s3cret"));
        }
    }
}
