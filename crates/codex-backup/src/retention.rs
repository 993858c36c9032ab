//! Which backups to keep: a pure decision over the times at which they were made.
//!
//! The rules are restic's (`forget --keep-last`, `--keep-daily`, ...): each rule walks the backups from the newest to
//! the oldest and keeps the newest of each of its first `n` periods that hold one; a backup stays if any rule keeps it.
//! Periods are those of UTC, so that the same backups give the same answer on every machine; a week begins on Monday.
//!
//! What holds at all times: the newest backup is kept, whatever the rules say, and so no retention empties a
//! repository.

/// How many backups to keep, rule by rule; a rule of 0 keeps none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The newest, whenever they were made.
    pub last: usize,
    /// The newest of each hour.
    pub hourly: usize,
    /// The newest of each day.
    pub daily: usize,
    /// The newest of each week.
    pub weekly: usize,
    /// The newest of each month.
    pub monthly: usize,
}

impl Retention {
    /// Says of each backup whether it stays, in the order given: `times_ns` are nanoseconds since 1970, newest backup
    /// first.
    ///
    /// The order is the backups' own, not that of their clocks: a clock that was set back makes a backup no older.
    #[must_use]
    pub fn keeps(&self, times_ns: &[u64]) -> Vec<bool> {
        let mut kept = vec![false; times_ns.len()];
        if let Some(newest) = kept.first_mut() {
            *newest = true;
        }
        for keep in kept.iter_mut().take(self.last) {
            *keep = true;
        }
        let rules: [(usize, PeriodOf); 4] =
            [(self.hourly, hour), (self.daily, day), (self.weekly, week), (self.monthly, month)];
        for (count, period_of) in rules {
            let mut periods = Vec::new();
            for (keep, &time_ns) in kept.iter_mut().zip(times_ns) {
                let period = period_of(time_ns);
                if periods.len() < count && !periods.contains(&period) {
                    periods.push(period);
                    *keep = true;
                }
            }
        }
        kept
    }
}

/// Numbers the period that a time falls into.
type PeriodOf = fn(u64) -> u64;

fn hour(time_ns: u64) -> u64 {
    time_ns / HOUR_NS
}

fn day(time_ns: u64) -> u64 {
    time_ns / DAY_NS
}

/// Weeks that begin on Monday: 1 January 1970 was a Thursday, three days after one.
fn week(time_ns: u64) -> u64 {
    (day(time_ns) + 3) / 7
}

/// Months since March of the year 0, by the proleptic Gregorian calendar. A year that begins in March has its leap
/// day last, and so each month begins at a day that one formula gives (Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", `civil_from_days`).
fn month(time_ns: u64) -> u64 {
    let days = day(time_ns) + DAYS_TO_1970;
    let era = days / DAYS_PER_ERA;
    let day_of_era = days % DAYS_PER_ERA;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    (era * 400 + year_of_era) * 12 + (5 * day_of_year + 2) / 153
}

const HOUR_NS: u64 = 60 * 60 * 1_000_000_000;
const DAY_NS: u64 = 24 * HOUR_NS;
/// From 1 March of the year 0 to 1 January 1970.
const DAYS_TO_1970: u64 = 719_468;
/// 400 years, after which the calendar repeats.
const DAYS_PER_ERA: u64 = 146_097;

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 January 2024, 00:00 UTC: a Monday.
    const MONDAY: u64 = 19_723 * DAY_NS;

    #[test]
    fn the_newest_backup_stays_whatever_the_rules_say() {
        assert_eq!(Retention::default().keeps(&[MONDAY + 2, MONDAY + 1, MONDAY]), [true, false, false]);
        assert_eq!(Retention::default().keeps(&[]), [false; 0]);
    }

    #[test]
    fn keep_last_counts_backups_and_not_times() {
        let rule = Retention { last: 2, ..Retention::default() };
        assert_eq!(rule.keeps(&[MONDAY, MONDAY + DAY_NS, MONDAY]), [true, true, false]);
    }

    #[test]
    fn a_period_keeps_its_newest_and_an_empty_one_counts_for_nothing() {
        let rule = Retention { daily: 2, ..Retention::default() };
        let times = [MONDAY + 9 * DAY_NS + 5, MONDAY + 9 * DAY_NS, MONDAY + DAY_NS - 1, MONDAY, MONDAY - 1];
        assert_eq!(rule.keeps(&times), [true, false, true, false, false]);
    }

    #[test]
    fn hours_weeks_and_months_end_where_the_calendar_says() {
        assert_ne!(hour(MONDAY), hour(MONDAY - 1));
        assert_eq!(hour(MONDAY), hour(MONDAY + HOUR_NS - 1));
        assert_ne!(week(MONDAY), week(MONDAY - 1));
        assert_eq!(week(MONDAY), week(MONDAY + 7 * DAY_NS - 1));
        // The months of 2024, a leap year, and the first of 2025.
        let mut start = MONDAY;
        for days in [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31] {
            assert_eq!(month(start - 1) + 1, month(start));
            assert_eq!(month(start), month(start + days * DAY_NS - 1));
            start += days * DAY_NS;
        }
    }

    #[test]
    fn each_rule_goes_by_its_own_period() {
        let newest = MONDAY + 8 * DAY_NS + HOUR_NS;
        let times = [newest, newest - 1, MONDAY + 7 * DAY_NS, MONDAY + 6 * DAY_NS, MONDAY - 1];
        let none = Retention::default();
        assert_eq!(Retention { hourly: 2, ..none }.keeps(&times), [true, true, false, false, false]);
        assert_eq!(Retention { daily: 2, ..none }.keeps(&times), [true, false, true, false, false]);
        assert_eq!(Retention { weekly: 2, ..none }.keeps(&times), [true, false, false, true, false]);
        assert_eq!(Retention { monthly: 2, ..none }.keeps(&times), [true, false, false, false, true]);
    }

    #[test]
    fn a_backup_stays_if_any_rule_keeps_it() {
        let rule = Retention { last: 1, monthly: 2, ..Retention::default() };
        let times = [MONDAY + 20 * DAY_NS, MONDAY, MONDAY - 1, MONDAY - 2];
        assert_eq!(rule.keeps(&times), [true, false, true, false]);
    }
}
