use std::{fmt, iter::Sum, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Picodollars in a dollar.
const PER_DOLLAR: u64 = 1_000_000_000_000;

/// Digits of a dollar amount after the point, and before it at most.
const DECIMALS: usize = 12;
const WHOLE: usize = 7;

/// A text that is no amount of money.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected dollars such as `12.50`, with at most 12 decimals and no more than 9223372, found `{0}`"
)]
pub struct NoAmount(String);

/// An amount of money in picodollars (10⁻¹² US dollars), exact; at most some nine million dollars, so that every
/// store's signed integers hold it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "u64")]
pub struct Picodollars(u64);

impl Picodollars {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The greatest amount.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// Returns the amount, if it is not above [`Self::MAX`].
    pub const fn new(picodollars: u64) -> Option<Self> {
        if picodollars <= Self::MAX.0 {
            Some(Self(picodollars))
        } else {
            None
        }
    }

    /// Returns whole dollars, if they are not above [`Self::MAX`].
    pub const fn dollars(dollars: u64) -> Option<Self> {
        match dollars.checked_mul(PER_DOLLAR) {
            Some(picodollars) => Self::new(picodollars),
            None => None,
        }
    }

    /// The amount in picodollars.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The amount in dollars as a float, for what shows it; never for what counts with it.
    pub fn as_dollars(self) -> f64 {
        self.0 as f64 / PER_DOLLAR as f64
    }

    /// Returns the amount in dollars as a decimal number, exact: `0.000125`, `12.50`.
    pub fn to_decimal(self) -> String {
        let digits = format!("{:012}", self.0 % PER_DOLLAR);
        let kept = digits.trim_end_matches('0').len().max(2);
        format!("{}.{}", self.0 / PER_DOLLAR, &digits[..kept])
    }

    /// Adds, if the sum is not above [`Self::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::new(self.0.checked_add(other.0)?)
    }

    /// Subtracts, if the rest is not below nothing.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Returns so many times the amount, if that is not above [`Self::MAX`].
    pub fn checked_mul(self, times: u64) -> Option<Self> {
        Self::new(self.0.checked_mul(times)?)
    }
}

impl TryFrom<u64> for Picodollars {
    type Error = &'static str;

    fn try_from(picodollars: u64) -> Result<Self, Self::Error> {
        Self::new(picodollars).ok_or("expected at most 9223372036854775807 picodollars")
    }
}

impl Sum for Picodollars {
    /// Adds all, and stays at [`Self::MAX`] once there.
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, |sum, amount| {
            sum.checked_add(amount).unwrap_or(Self::MAX)
        })
    }
}

/// Shows dollars with all the digits that are not zeros, two of them at least: `$0.000125`, `$12.50`.
impl fmt::Display for Picodollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", self.to_decimal())
    }
}

/// Reads dollars as a decimal number, exactly: nothing is rounded.
impl FromStr for Picodollars {
    type Err = NoAmount;

    fn from_str(text: &str) -> Result<Self, NoAmount> {
        parse(text).ok_or_else(|| NoAmount(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Picodollars> {
    let (whole, decimals) = match text.split_once('.') {
        Some((whole, decimals)) if !decimals.is_empty() => (whole, decimals),
        Some(_) => return None,
        None => (text, ""),
    };
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    let fits = (1..=WHOLE).contains(&whole.len()) && decimals.len() <= DECIMALS;
    if !fits || !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let dollars = Picodollars::dollars(whole.parse().ok()?)?;
    let rest = Picodollars::new(format!("{decimals:0<DECIMALS$}").parse().ok()?)?;
    dollars.checked_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_shown_in_dollars_with_every_digit_that_counts() {
        for (amount, shown) in [
            (0, "$0.00"),
            (1, "$0.000000000001"),
            (125_000_000, "$0.000125"),
            (12_500_000_000_000, "$12.50"),
            (3_000_000_000_000, "$3.00"),
        ] {
            assert_eq!(Picodollars::new(amount).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn dollars_are_read_as_they_are_shown_and_nothing_is_rounded() {
        for (text, amount) in [
            ("0", 0),
            ("12.50", 12_500_000_000_000),
            ("0.000000000001", 1),
            ("9223372.036854775807", Picodollars::MAX.get()),
        ] {
            let read: Picodollars = text.parse().unwrap();
            assert_eq!(read.get(), amount, "{text}");
            assert_eq!(read.to_decimal().parse(), Ok(read));
        }
        for wrong in [
            "",
            ".",
            ".5",
            "5.",
            "-1",
            "+1",
            "1e3",
            "$5",
            "1,000",
            " 1",
            "0.0000000000001",
            "9223372.036854775808",
            "99999999999999999999",
        ] {
            assert_eq!(
                wrong.parse::<Picodollars>(),
                Err(NoAmount(wrong.to_owned()))
            );
        }
    }

    #[test]
    fn no_sum_is_above_what_stores_hold() {
        let most = Picodollars::MAX;
        let one = Picodollars::new(1).unwrap();
        assert_eq!(most.checked_add(one), None);
        assert_eq!(most.checked_mul(2), None);
        assert_eq!(Picodollars::new(most.get() + 1), None);
        assert_eq!([most, one].into_iter().sum::<Picodollars>(), most);
        assert_eq!(Picodollars::ZERO.checked_sub(one), None);
        assert_eq!(Picodollars::dollars(10_000_000), None);
        assert!(serde_json::from_str::<Picodollars>("9223372036854775808").is_err());
    }
}
