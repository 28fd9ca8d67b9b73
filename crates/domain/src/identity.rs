use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is no model name or id.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum IdentityError {
    /// The name has a character or a length that is not allowed.
    #[error(
        "`{0}` is no model name: expected 1 to 64 of a-z, A-Z, 0-9, `.`, `_`, `-`, beginning with a letter or digit"
    )]
    Name(String),
    /// The id does not have the form `ft:BASE:NAME`.
    #[error("`{0}` is no fine-tuned model's id: expected `ft:BASE:NAME` or `ft:BASE:NAME:VERSION`")]
    Id(String),
}

/// The name a user gives a fine-tuned model: 1 to 64 of `[A-Za-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(String);

impl ModelName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ModelName {
    type Error = IdentityError;

    fn try_from(name: String) -> Result<Self, IdentityError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let begins = name
            .chars()
            .next()
            .is_some_and(|c| c.is_ascii_alphanumeric());
        if begins && name.len() <= 64 && name.chars().all(plain) {
            Ok(Self(name))
        } else {
            Err(IdentityError::Name(name))
        }
    }
}

impl FromStr for ModelName {
    type Err = IdentityError;

    fn from_str(name: &str) -> Result<Self, IdentityError> {
        Self::try_from(name.to_owned())
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A fine-tuned model: `ft:{base}:{name}`, whatever its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId {
    /// The base model's short name (the last part of a Hub name, or a folder's name).
    pub base: ModelName,
    /// The name its owner gave it.
    pub name: ModelName,
}

impl FromStr for ModelId {
    type Err = IdentityError;

    fn from_str(id: &str) -> Result<Self, IdentityError> {
        let malformed = || IdentityError::Id(id.to_owned());
        let (base, name) = id
            .strip_prefix("ft:")
            .and_then(|rest| rest.split_once(':'))
            .ok_or_else(malformed)?;
        match (base.parse(), name.parse()) {
            (Ok(base), Ok(name)) => Ok(Self { base, name }),
            _ => Err(malformed()),
        }
    }
}

impl TryFrom<String> for ModelId {
    type Error = IdentityError;

    fn try_from(id: String) -> Result<Self, IdentityError> {
        id.parse()
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ft:{}:{}", self.base, self.name)
    }
}
