use std::{fmt, iter::Sum};

use serde::{Deserialize, Serialize};

/// Picodollars in a dollar.
const PER_DOLLAR: u64 = 1_000_000_000_000;

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
        let digits = format!("{:012}", self.0 % PER_DOLLAR);
        let kept = digits.trim_end_matches('0').len().max(2);
        write!(f, "${}.{}", self.0 / PER_DOLLAR, &digits[..kept])
    }
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
