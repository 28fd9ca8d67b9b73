use std::{error::Error, fmt};

use async_trait::async_trait;
use reqwest::header::HeaderValue;
use thiserror::Error;

/// A key of a provider's API. Nothing that prints shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderKey(String);

impl ProviderKey {
    /// Takes a key, without the white space that is around it in many a file.
    ///
    /// # Errors
    /// If it is empty or has what no header can carry.
    pub fn new(text: &str) -> Result<Self, KeyUnavailable> {
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyUnavailable::new("the key is empty"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let expected = "the key has characters other than visible ASCII: expected it as the provider gave it";
            return Err(KeyUnavailable::new(expected));
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the key itself, to take it out of what a server repeats.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }

    /// Returns the value of a header that carries the key after `prefix`, marked as secret.
    pub(crate) fn header(&self, prefix: &str) -> Result<HeaderValue, KeyUnavailable> {
        let value = HeaderValue::from_str(&format!("{prefix}{}", self.0));
        let mut value = value.map_err(|_| KeyUnavailable::new("the key fits into no header"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for ProviderKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProviderKey(hidden)")
    }
}

/// Where the key comes from: asked before every request, so that a new key needs no restart.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// Returns the key to use now; `None` where the server wants none.
    ///
    /// # Errors
    /// If there should be one and it cannot be had.
    async fn key(&self) -> Result<Option<ProviderKey>, KeyUnavailable>;
}

/// Why there is no key. Its texts must not have a part of one.
#[derive(Debug, Error)]
#[error("{problem}")]
pub struct KeyUnavailable {
    problem: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl KeyUnavailable {
    /// Says what is wrong.
    pub fn new(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            source: None,
        }
    }

    /// Says what failed, and why.
    pub fn caused_by(
        problem: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            problem: problem.into(),
            source: Some(source.into()),
        }
    }
}

/// A key that stays the same, or none.
#[derive(Clone, Debug)]
pub struct FixedKey(pub Option<ProviderKey>);

#[async_trait]
impl KeySource for FixedKey {
    async fn key(&self) -> Result<Option<ProviderKey>, KeyUnavailable> {
        Ok(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_prints_shows_a_key() {
        let key = ProviderKey::new(" sk-secret\n").unwrap();
        assert_eq!(format!("{key:?}"), "ProviderKey(hidden)");
        let source = FixedKey(Some(key.clone()));
        assert!(!format!("{source:?}").contains("sk-secret"));
        let header = key.header("Bearer ").unwrap();
        assert_eq!(header, "Bearer sk-secret");
        assert!(!format!("{header:?}").contains("sk-secret"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for wrong in ["", "  \n", "sk-ä", "sk-a\nsk-b", "sk a"] {
            let error = ProviderKey::new(wrong).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("sk-"), "{error:?}");
        }
    }
}
