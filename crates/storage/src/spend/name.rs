use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name, in bytes: a row of a budget has one for each open request.
const LONGEST: usize = 128;

/// A text that names no request or scope.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` names nothing: expected 1 to 128 of a-z, A-Z, 0-9, `.`, `_`, `-`, `:`, `/`, `@`, `+`"
)]
pub struct NameError(String);

/// Names one request of a client, whatever tries and processes it takes: what it costs is billed once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(String);

/// Names whom a budget is for, such as `key/abc`, `team/search` or `all`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BudgetScope(String);

fn checked(name: String) -> Result<String, NameError> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-:/@+".contains(&c);
    if (1..=LONGEST).contains(&name.len()) && name.bytes().all(plain) {
        Ok(name)
    } else {
        Err(NameError(name))
    }
}

impl RequestId {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RequestId {
    /// Names the part of the request that comes after `nth` others.
    ///
    /// # Errors
    /// If the name is too long for that.
    pub fn part(&self, nth: u32) -> Result<Self, NameError> {
        match nth {
            0 => Ok(self.clone()),
            nth => Self::try_from(format!("{}.{nth}", self.0)),
        }
    }
}

impl BudgetScope {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RequestId {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        checked(name).map(Self)
    }
}

impl TryFrom<String> for BudgetScope {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        checked(name).map(Self)
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.0
    }
}

impl From<BudgetScope> for String {
    fn from(scope: BudgetScope) -> Self {
        scope.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for BudgetScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_key_is_no_name() {
        for name in ["", "a b", "a#b", "a\n", "ä", &"a".repeat(129)] {
            let error = RequestId::try_from(name.to_owned()).unwrap_err();
            assert_eq!(error, NameError(name.to_owned()));
            assert!(BudgetScope::try_from(name.to_owned()).is_err());
        }
        let longest = "a".repeat(128);
        for name in ["key/a1", "req_1.2-3:4@x+y", &longest] {
            let id = RequestId::try_from(name.to_owned()).unwrap();
            assert_eq!(id.as_str(), name);
        }
    }
}
