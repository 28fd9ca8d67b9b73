use std::{fmt, num::NonZeroU32, str::FromStr};

use llmopt_dataset::{Shares, Split};
use serde::{Serialize, Serializer};

use super::{SPLITS, name};

/// How many of all rows each split has, as a user writes it: `train=0.9,validation=0.1` or `train=8,test=2`.
///
/// Only their proportions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitShares(Shares);

/// Shares are counted in millionths, so that the greatest is 4,294.
const PARTS: u32 = 1_000_000;
const DIGITS: usize = 6;

impl SplitShares {
    pub(super) fn parts(self) -> Shares {
        self.0
    }

    /// Returns whether any rows go to `split`.
    pub(super) fn has(self, split: Split) -> bool {
        self.of(split) > 0
    }

    fn of(self, split: Split) -> u32 {
        match split {
            Split::Train => self.0.train.get(),
            Split::Validation => self.0.validation,
            Split::Test => self.0.test,
        }
    }
}

impl FromStr for SplitShares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts: [Option<u32>; 3] = [None; 3];
        for share in text.split(',') {
            let (split, number) = share.split_once('=').ok_or_else(|| unknown(share))?;
            let known = SPLITS.iter().position(|it| name(*it) == split.trim());
            let part = &mut parts[known.ok_or_else(|| unknown(share))?];
            if part.is_some() {
                return Err(format!("there are two shares of `{}`", split.trim()));
            }
            *part = Some(millionths(number.trim()).ok_or_else(|| unknown(share))?);
        }
        let [train, validation, test] = parts.map(Option::unwrap_or_default);
        let train =
            NonZeroU32::new(train).ok_or("expected a share to train on, such as `train=0.9`")?;
        if validation == 0 && test == 0 {
            return Err("expected a share to hold out, such as `validation=0.1`".to_owned());
        }
        Ok(Self(Shares {
            train,
            validation,
            test,
        }))
    }
}

fn unknown(share: &str) -> String {
    format!(
        "`{share}` is no share: expected `train`, `validation` or `test`, `=` and a number from 0 to 4294 with at \
         most {DIGITS} decimals, such as `train=0.9`"
    )
}

/// Reads a decimal number, exactly.
fn millionths(number: &str) -> Option<u32> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + decimals.len() == 0 || decimals.len() > DIGITS {
        return None;
    }
    if !is_digits(whole) || !is_digits(decimals) {
        return None;
    }
    let whole: u32 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let decimals: u32 = format!("{decimals:0<DIGITS$}").parse().ok()?;
    whole.checked_mul(PARTS)?.checked_add(decimals)
}

impl fmt::Display for SplitShares {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares = SPLITS.into_iter().filter(|split| self.has(*split));
        let shares = shares.map(|split| {
            let share = f64::from(self.of(split)) / f64::from(PARTS);
            format!("{}={share}", name(split))
        });
        formatter.write_str(&shares.collect::<Vec<_>>().join(","))
    }
}

impl Serialize for SplitShares {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_exactly() {
        let parts = |text: &str| {
            let shares: SplitShares = text.parse().unwrap();
            SPLITS.map(|split| shares.of(split))
        };
        assert_eq!(parts("train=0.9,validation=0.1"), [900_000, 100_000, 0]);
        assert_eq!(
            parts("test = 1, train=8,validation=1"),
            [8_000_000, 1_000_000, 1_000_000]
        );
        assert_eq!(parts("train=.333333,test=0.000001"), [333_333, 0, 1]);
        let shares: SplitShares = "test=0.25,train=0.75".parse().unwrap();
        assert_eq!(shares.to_string(), "train=0.75,test=0.25");
    }

    #[test]
    fn what_is_no_share_is_named() {
        for (text, said) in [
            ("train=0.9,dev=0.1", "`dev=0.1` is no share"),
            ("train", "`train` is no share"),
            ("train=-1,test=1", "`train=-1` is no share"),
            ("train=0.1234567,test=1", "at most 6 decimals"),
            ("train=9999,test=1", "from 0 to 4294"),
            ("train=.,test=1", "is no share"),
            ("train=1,train=2,test=1", "two shares of `train`"),
            ("validation=1", "a share to train on"),
            ("train=1,test=0", "a share to hold out"),
            ("", "`` is no share"),
        ] {
            let refused = text.parse::<SplitShares>().unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }
}
