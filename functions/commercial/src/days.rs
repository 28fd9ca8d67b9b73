use llmopt_http::from_timestamp;
use llmopt_prices::Day;
use llmopt_spending::Moment;
use thiserror::Error;

/// Days that are looked at where nobody says which: these, the last of them today.
const USUAL: u32 = 30;
/// The most days that are looked at together.
const MOST: u32 = 366;

/// Days that no usage can be told of.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected at most 366 days since 1970, the first not after the last, found {from} to {to}")]
pub struct NoDays {
    from: String,
    to: String,
}

/// Some days on end, in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Days {
    days: Vec<String>,
}

impl Days {
    /// Returns the days from `from` to `to`, both included: without `to` until today, and without `from` the
    /// last 30.
    ///
    /// # Errors
    /// If there are none, or more than 366.
    pub fn new(from: Option<Day>, to: Option<Day>, now_ms: u64) -> Result<Self, NoDays> {
        let to = to.unwrap_or_else(|| Day::of_unix_ms(now_ms));
        let count = from.map_or(i64::from(USUAL), |from| from.days_until(to) + 1);
        let refused = || NoDays {
            from: from.map_or_else(|| "the last days".to_owned(), |from| from.to_string()),
            to: to.to_string(),
        };
        let count = u32::try_from(count).ok();
        let count = count.filter(|count| (1..=MOST).contains(count));
        let begins_ms = from_timestamp(&format!("{to}T00:00:00Z"));
        let (Some(count), Some(begins_ms)) = (count, begins_ms) else {
            return Err(refused());
        };
        Ok(Self {
            days: Moment::new(begins_ms).last_days(count),
        })
    }

    /// Returns the days, `2026-11-26`, the first first.
    pub fn as_slice(&self) -> &[String] {
        &self.days
    }

    /// Returns the first day.
    pub fn first(&self) -> &str {
        self.days.first().map_or("", String::as_str)
    }

    /// Returns the last day.
    pub fn last(&self) -> &str {
        self.days.last().map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26T12:00:00Z.
    const NOON: u64 = 1_795_694_400_000;

    fn days(from: &str, to: &str) -> Result<Days, NoDays> {
        let day = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        Days::new(day(from), day(to), NOON)
    }

    #[test]
    fn without_a_word_they_are_the_last_thirty() {
        let usual = days("", "").unwrap();
        assert_eq!(
            (usual.first(), usual.last(), usual.as_slice().len()),
            ("2026-10-28", "2026-11-26", 30)
        );
        let named = days("2026-02-27", "2026-03-02").unwrap();
        assert_eq!(
            named.as_slice(),
            ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]
        );
    }

    #[test]
    fn a_year_is_the_most_and_a_day_the_least() {
        assert_eq!(days("2026-11-26", "").unwrap().as_slice().len(), 1);
        assert_eq!(
            days("2024-01-01", "2024-12-31").unwrap().as_slice().len(),
            366
        );
        for (from, to) in [
            ("2026-11-27", ""),
            ("2024-01-01", "2025-01-01"),
            ("0001-01-01", "9999-12-31"),
            ("1969-12-01", "1969-12-31"),
        ] {
            assert!(days(from, to).is_err(), "{from} {to}");
        }
    }
}
