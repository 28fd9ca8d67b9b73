//! What is wrong with a template, or with what it is given.

use std::fmt;

pub(crate) type Result<T> = std::result::Result<T, TemplateError>;

/// A template that cannot be read, or cannot be rendered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct TemplateError {
    message: String,
    line: Option<u32>,
}

impl TemplateError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            line: None,
        }
    }

    /// Says where it is, unless that is known better already.
    pub(crate) fn at(mut self, line: u32) -> Self {
        self.line.get_or_insert(line);
        self
    }

    /// What is wrong, in the template's own words where it refuses a conversation.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line of the template, counted from 1, where it is known.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.line
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} (in chat_template:{line})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Makes the error of an operation that Python refuses too, or whose result there is not known here.
pub(crate) fn refused<T>(message: impl Into<String>) -> Result<T> {
    Err(TemplateError::new(message))
}
