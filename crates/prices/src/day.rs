use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A day in UTC, written `2026-11-26`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(Date);

/// Text that is no day.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no day: expected one such as `2026-11-26`")]
pub struct NoDay {
    text: String,
}

impl Day {
    /// Returns the day of a moment, given in milliseconds since 1970.
    pub fn of_unix_ms(ms: u64) -> Self {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        let moment = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
        Self(TimeZone::UTC.to_datetime(moment).date())
    }

    /// Returns how many days `later` is after this one; less than zero where it is before.
    pub fn days_until(self, later: Self) -> i64 {
        self.0.duration_until(later.0).as_hours() / 24
    }
}

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let day = text.parse().map(Self).ok();
        // The library also takes moments and other spellings.
        let exact = day.filter(|day| day.to_string() == text);
        exact.ok_or_else(|| NoDay {
            text: text.to_owned(),
        })
    }
}

impl TryFrom<String> for Day {
    type Error = NoDay;

    fn try_from(text: String) -> Result<Self, NoDay> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn a_moment_is_on_its_day_in_utc() {
        assert_eq!(Day::of_unix_ms(0), day("1970-01-01"));
        assert_eq!(Day::of_unix_ms(1_793_664_000_000 - 1), day("2026-11-02"));
        assert_eq!(Day::of_unix_ms(1_793_664_000_000), day("2026-11-03"));
        assert!(Day::of_unix_ms(u64::MAX) > day("9000-01-01"));
    }

    #[test]
    fn days_are_counted_over_months_and_backwards() {
        assert_eq!(day("2026-11-26").days_until(day("2026-12-11")), 15);
        assert_eq!(day("2026-03-01").days_until(day("2026-02-28")), -1);
        assert_eq!(day("2028-02-28").days_until(day("2028-03-01")), 2);
    }

    #[test]
    fn only_one_spelling_is_a_day() {
        for wrong in ["", "20261126", "2026-11-26T00:00", "2026-11-31", "soon"] {
            let error = wrong.parse::<Day>().unwrap_err();
            assert!(error.to_string().contains("2026-11-26"), "{error}");
        }
    }
}
