use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a price is multiplied by, exactly; written `1/2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ratio {
    numerator: u32,
    denominator: u32,
}

impl Ratio {
    /// The price as it is.
    pub const ONE: Self = Self {
        numerator: 1,
        denominator: 1,
    };

    /// What is multiplied with.
    pub fn numerator(self) -> u32 {
        self.numerator
    }

    /// What is divided by; never 0.
    pub fn denominator(self) -> u32 {
        self.denominator
    }
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let read = parts.and_then(|(numerator, denominator)| {
            Some((numerator.parse().ok()?, denominator.parse().ok()?))
        });
        match read {
            Some((numerator @ 1.., denominator @ 1..)) => Ok(Self {
                numerator,
                denominator,
            }),
            _ => Err(format!(
                "`{text}` is no ratio: expected two whole numbers above 0 such as `1/2`"
            )),
        }
    }
}

impl TryFrom<String> for Ratio {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Ratio> for String {
    fn from(ratio: Ratio) -> Self {
        ratio.to_string()
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.numerator, self.denominator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_read_as_it_is_written() {
        let ratio: Ratio = "11/10".parse().unwrap();
        assert_eq!((ratio.numerator(), ratio.denominator()), (11, 10));
        assert_eq!(ratio.to_string(), "11/10");
    }

    #[test]
    fn nothing_else_is_a_ratio() {
        for wrong in [
            "",
            "2",
            "0.5",
            "1/0",
            "0/2",
            "-1/2",
            "1/2/3",
            "1 / 2",
            "1/99999999999",
        ] {
            assert!(wrong.parse::<Ratio>().is_err(), "{wrong}");
        }
    }
}
