//! Values of Rust's, and back.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use num_bigint::BigInt;
use num_traits::{ToPrimitive, Zero};

use super::Value;
use crate::error::{Result, TemplateError, refused};

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<BigInt> for Value {
    fn from(value: BigInt) -> Self {
        match value.to_i64() {
            Some(small) => Self::Int(small),
            None => Self::Big(Rc::new(value)),
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl From<Cow<'_, str>> for Value {
    fn from(value: Cow<'_, str>) -> Self {
        Self::Text(value.into())
    }
}

impl From<Arc<str>> for Value {
    fn from(value: Arc<str>) -> Self {
        Self::Text(value)
    }
}

/// Makes a list.
impl FromIterator<Self> for Value {
    fn from_iter<I: IntoIterator<Item = Self>>(values: I) -> Self {
        Self::list(values.into_iter().collect())
    }
}

/// What a value is to Rust.
impl Value {
    /// Returns a whole number; `bool`s are 0 and 1.
    pub(crate) fn to_big(&self) -> Option<BigInt> {
        match self {
            Self::Bool(it) => Some(BigInt::from(u8::from(*it))),
            Self::Int(it) => Some(BigInt::from(*it)),
            Self::Big(it) => Some(BigInt::clone(it)),
            _ => None,
        }
    }

    /// Returns a whole number that fits; `bool`s are 0 and 1.
    pub(crate) fn to_i64(&self) -> Option<i64> {
        match self {
            Self::Bool(it) => Some(i64::from(*it)),
            Self::Int(it) => Some(*it),
            _ => None,
        }
    }

    /// Returns the character that a whole number is the number of.
    pub(crate) fn to_char(&self) -> Option<char> {
        let code = self.to_i64().and_then(|it| u32::try_from(it).ok());
        code.and_then(char::from_u32)
    }

    /// Returns Python's `float(value)` of a number.
    ///
    /// # Errors
    /// A whole number that is too large for one, or no number.
    pub(crate) fn to_f64(&self) -> Result<f64> {
        match self {
            Self::Bool(it) => Ok(f64::from(u8::from(*it))),
            #[expect(clippy::cast_precision_loss, reason = "as in Python")]
            Self::Int(it) => Ok(*it as f64),
            Self::Float(it) => Ok(*it),
            Self::Big(it) => it
                .to_f64()
                .filter(|it| it.is_finite())
                .ok_or_else(|| TemplateError::new("a whole number is too large for a float")),
            _ => refused(format!(
                "expected a number, found a value of type {}",
                self.kind()
            )),
        }
    }

    /// Returns the text, or says what it is instead.
    pub(crate) fn expect_text(&self) -> Result<&str> {
        self.as_str().ok_or_else(|| {
            TemplateError::new(format!(
                "expected a text, found a value of type {}",
                self.kind()
            ))
        })
    }

    /// Returns the whole number, and refuses one that does not fit.
    pub(crate) fn expect_index(&self) -> Result<i64> {
        match self {
            Self::Big(_) => refused("a whole number is too large for a size or a count"),
            _ => self.expect_i64(),
        }
    }

    /// Returns the whole number, or says what it is instead.
    pub(crate) fn expect_i64(&self) -> Result<i64> {
        match self {
            Self::Big(number) if **number > BigInt::zero() => Ok(i64::MAX),
            Self::Big(_) => Ok(i64::MIN),
            _ => self.to_i64().ok_or_else(|| {
                TemplateError::new(format!(
                    "expected a whole number, found a value of type {}",
                    self.kind()
                ))
            }),
        }
    }
}
