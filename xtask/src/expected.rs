//! Output beside what it should be: lines of text in which `…` stands for whatever differs from run to run.

/// The two as a diff: lines that only one of them has stand behind `-` (expected) and `+` (printed). `None` where the
/// output is as expected.
pub(crate) fn diff(expected: &str, printed: &str) -> Option<String> {
    let expected: Vec<&str> = expected.lines().collect();
    let printed: Vec<&str> = printed.lines().collect();
    // common[e][p]: how many lines, at most, are common to what begins at the expected line e and the printed line p.
    let mut common = vec![vec![0_usize; printed.len() + 1]; expected.len() + 1];
    for (e, pattern) in expected.iter().enumerate().rev() {
        for (p, line) in printed.iter().enumerate().rev() {
            common[e][p] = if matches(line, pattern) {
                common[e + 1][p + 1] + 1
            } else {
                common[e + 1][p].max(common[e][p + 1])
            };
        }
    }
    if expected.len() == printed.len() && common[0][0] == printed.len() {
        return None;
    }
    let mut shown = Vec::new();
    let (mut e, mut p) = (0, 0);
    while e < expected.len() || p < printed.len() {
        if e < expected.len() && p < printed.len() && matches(printed[p], expected[e]) {
            shown.push(format!("  {}", printed[p]));
            (e, p) = (e + 1, p + 1);
        } else if p == printed.len() || (e < expected.len() && common[e + 1][p] >= common[e][p + 1]) {
            shown.push(format!("- {}", expected[e]));
            e += 1;
        } else {
            shown.push(format!("+ {}", printed[p]));
            p += 1;
        }
    }
    Some(shown.join("\n"))
}

/// Whether a line is what the pattern says, with any text where that has `…`.
fn matches(line: &str, pattern: &str) -> bool {
    let Some((first, others)) = pattern.split_once('…') else { return line == pattern };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = others.split('…').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_dots_stand_for_any_text_of_their_line_and_for_nothing_else() {
        for (line, pattern) in
            [("1 a9f0 b", "1 … b"), ("x", "…"), ("", "…"), ("a1b2c", "a…b…c"), ("12", "12")]
        {
            assert!(matches(line, pattern), "{line:?}, {pattern:?}");
        }
        for (line, pattern) in
            [("1 a9f0 c", "1 … b"), ("123", "12"), ("12", "123"), ("a b", "a…c…b"), ("ab", "ab…b")]
        {
            assert!(!matches(line, pattern), "{line:?}, {pattern:?}");
        }
    }

    #[test]
    fn output_as_expected_has_no_diff() {
        assert_eq!(diff("one\n… bytes\n", "one\n17 bytes\n"), None);
        assert_eq!(diff("", ""), None);
    }

    #[test]
    fn a_diff_shows_what_is_missing_and_what_is_there_instead() {
        let shown = diff("one\ntwo …\nthree\n", "zero\none\n2\nthree\nfour\n");
        assert_eq!(shown.as_deref(), Some("+ zero\n  one\n- two …\n+ 2\n  three\n+ four"));
        assert_eq!(diff("one\n", "").as_deref(), Some("- one"));
        assert_eq!(diff("", "one\n").as_deref(), Some("+ one"));
        // A line that is there twice, and a repeated end.
        assert_eq!(diff("a\nb\n", "a\nb\nb\n").as_deref(), Some("  a\n  b\n+ b"));
    }
}
