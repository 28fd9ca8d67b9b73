use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use llmopt_storage::spend::{BudgetScope, RowKey};

/// The window of what may be spent ever.
const TOTAL: &str = "total";

/// A moment, and the day and month that it is in, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// The day, `2026-11-26`.
    pub day: String,
    /// The month, `2026-11`.
    pub month: String,
}

impl Moment {
    /// Returns the moment that is `now_ms` milliseconds after 1970 began.
    pub fn new(now_ms: u64) -> Self {
        Self::of(now_ms, date(now_ms))
    }

    /// Returns the same time of the day before, and of a day in the month before.
    pub(crate) fn before(&self) -> Self {
        let today = date(self.now_ms);
        let yesterday = today.yesterday().unwrap_or(today);
        let last_month = today.first_of_month().yesterday().unwrap_or(today);
        Self {
            month: Self::of(self.now_ms, last_month).month,
            ..Self::of(self.now_ms, yesterday)
        }
    }

    /// Returns the days, `2026-11-26`, from the one `count - 1` days ago to this one.
    pub fn last_days(&self, count: u32) -> Vec<String> {
        let mut days = vec![date(self.now_ms)];
        while (days.len() as u64) < u64::from(count) {
            match days[days.len() - 1].yesterday() {
                Ok(day) => days.push(day),
                Err(_) => break,
            }
        }
        days.truncate(count as usize);
        days.iter().rev().map(Date::to_string).collect()
    }

    /// Returns the rows that a scope has at this moment if all its periods have limits, the shortest window first.
    pub(crate) fn rows(&self, scope: &BudgetScope) -> [RowKey; 3] {
        [&self.day, &self.month, TOTAL].map(|window| RowKey {
            scope: scope.clone(),
            window: window.to_owned(),
        })
    }

    fn of(now_ms: u64, date: Date) -> Self {
        Self {
            now_ms,
            day: date.to_string(),
            month: format!("{:04}-{:02}", date.year(), date.month()),
        }
    }
}

/// Returns when a window ends and the next begins, in milliseconds since 1970; `None` where it never does.
pub fn resets_ms(window: &str) -> Option<u64> {
    let next = match window.parse::<Date>() {
        Ok(day) => day.tomorrow().ok()?,
        Err(_) => {
            let first: Date = format!("{window}-01").parse().ok()?;
            first.checked_add(1.month()).ok()?
        }
    };
    let begins = next.to_zoned(TimeZone::UTC).ok()?;
    u64::try_from(begins.timestamp().as_millisecond()).ok()
}

fn date(ms: u64) -> Date {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let moment = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    moment.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-02-29T23:59:59.999Z.
    const LEAP: u64 = 1_709_251_199_999;

    #[test]
    fn windows_are_those_of_utc_and_end_when_the_next_begins() {
        let last = Moment::new(LEAP);
        assert_eq!((&last.day[..], &last.month[..]), ("2024-02-29", "2024-02"));
        let next = Moment::new(LEAP + 1);
        assert_eq!((&next.day[..], &next.month[..]), ("2024-03-01", "2024-03"));
        let before = next.before();
        assert_eq!(
            (&before.day[..], &before.month[..]),
            ("2024-02-29", "2024-02")
        );
        assert_eq!(resets_ms("2024-02-29"), Some(LEAP + 1));
        assert_eq!(resets_ms("2024-02"), Some(LEAP + 1));
        assert_eq!(resets_ms("2023-12"), Some(1_704_067_200_000));
        assert_eq!(resets_ms(TOTAL), None);
    }

    #[test]
    fn the_last_days_end_with_today() {
        let days = Moment::new(LEAP + 1).last_days(3);
        assert_eq!(days, ["2024-02-28", "2024-02-29", "2024-03-01"]);
        assert_eq!(Moment::new(0).last_days(0), [""; 0]);
    }
}
