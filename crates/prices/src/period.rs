use serde::{Deserialize, Serialize};

use crate::{Day, Price};

/// A price, when it holds, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// The first day on which it is known to hold.
    pub from: Day,
    /// The first day on which it does not hold any more; open where it is not known to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Day>,
    /// The price.
    pub price: Price,
    /// The day on which the source was last read.
    pub verified: Day,
    /// Where the price is from.
    pub source: String,
    /// Where sources differ, or how a value was derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What a person has to look up before relying on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

impl Period {
    /// Returns whether the price holds on a day.
    pub fn holds(&self, day: Day) -> bool {
        self.from <= day && self.until.is_none_or(|until| day < until)
    }
}
