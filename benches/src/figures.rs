//! What cells measure, and the arithmetic over their repetitions.

use std::collections::BTreeMap;

/// What one cell has measured, by name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// The repetitions of one figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` where nothing was measured.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max })
    }
}

/// The smallest of the sorted values that at least `share` of them do not exceed (nearest rank); 0 of none.
pub(crate) fn percentile(sorted: &[u64], share: f64) -> u64 {
    let count = sorted.len();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the count")]
    let rank = (share * count as f64).ceil() as usize;
    sorted.get(rank.clamp(1, count.max(1)) - 1).copied().unwrap_or(0)
}

/// Everything that a run has measured: by work, row and figure, a value for each repetition.
#[derive(Debug, Default)]
pub(crate) struct Results(BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<f64>>>>);

impl Results {
    pub(crate) fn add(&mut self, work: &str, row: &str, figures: Figures) {
        let row = self.0.entry(work.to_owned()).or_default().entry(row.to_owned()).or_default();
        for (name, value) in figures {
            row.entry(name).or_default().push(value);
        }
    }

    pub(crate) fn spread(&self, work: &str, row: &str, figure: &str) -> Option<Spread> {
        Spread::of(self.0.get(work)?.get(row)?.get(figure)?.clone())
    }

    pub(crate) fn median(&self, work: &str, row: &str, figure: &str) -> Option<f64> {
        self.spread(work, row, figure).map(|spread| spread.median)
    }

    pub(crate) fn works(&self) -> &BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<f64>>>> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        let spread = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0]), Some(Spread { median: 3.0, min: 3.0, max: 3.0 }));
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 9.0 }));
        assert_eq!(spread(&[4.0, 1.0, 9.0, 2.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0 }));
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 0.5), 50);
        assert_eq!(percentile(&hundred, 0.99), 99);
        assert_eq!(percentile(&hundred, 0.999), 100);
        assert_eq!(percentile(&hundred, 1.0), 100);
        assert_eq!(percentile(&[7], 0.5), 7);
        assert_eq!(percentile(&[], 0.99), 0);
    }

    #[test]
    fn repetitions_of_a_figure_are_kept_apart_from_those_of_others() {
        let mut results = Results::default();
        for rate in [1.0, 3.0, 5.0] {
            results.add("sets", "a", Figures::from([("rate".into(), rate), ("p99".into(), 10.0 * rate)]));
        }
        results.add("sets", "b", Figures::from([("rate".into(), 100.0)]));
        assert_eq!(results.median("sets", "a", "rate"), Some(3.0));
        assert_eq!(results.median("sets", "a", "p99"), Some(30.0));
        assert_eq!(results.median("sets", "b", "p99"), None);
    }
}
