//! What is wrong with a template, or with what it is given.

use std::fmt;

pub(crate) type Result<T> = std::result::Result<T, TemplateError>;

/// Why a template cannot be read, or cannot be rendered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// The template refuses what it is given, with `raise_exception`.
    #[error("{0}")]
    Raised(Complaint),
    /// The template takes too long, makes too much, or is nested too deep.
    #[error("{0}")]
    TooLarge(Complaint),
    /// The template asks for something that is not known here, though Python or Jinja2 may know it.
    #[error("{0}")]
    Unknown(Complaint),
    /// The template is wrong in itself or for what it is given: Python or Jinja2 refuses it too.
    #[error("{0}")]
    Faulty(Complaint),
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    message: String,
    line: Option<u32>,
}

impl TemplateError {
    /// Makes the error of what Python refuses too.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Faulty(Complaint::new(message))
    }

    /// Says where it is, unless that is known better already.
    pub(crate) fn at(mut self, line: u32) -> Self {
        let (Self::Raised(it) | Self::TooLarge(it) | Self::Unknown(it) | Self::Faulty(it)) =
            &mut self;
        it.line.get_or_insert(line);
        self
    }

    fn complaint(&self) -> &Complaint {
        let (Self::Raised(it) | Self::TooLarge(it) | Self::Unknown(it) | Self::Faulty(it)) = self;
        it
    }

    /// What is wrong, in the template's own words where it refuses a conversation.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.complaint().message
    }

    /// The line of the template, counted from 1, where it is known.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.complaint().line
    }
}

impl Complaint {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            line: None,
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} (in chat_template:{line})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Makes the error of what Python refuses too.
pub(crate) fn refused<T>(message: impl Into<String>) -> Result<T> {
    Err(TemplateError::new(message))
}

/// Makes the error of what is not known here.
pub(crate) fn unknown<T>(message: impl Into<String>) -> Result<T> {
    Err(TemplateError::Unknown(Complaint::new(message)))
}

/// Makes the error of what takes too long, makes too much or is nested too deep.
pub(crate) fn too_large<T>(message: impl Into<String>) -> Result<T> {
    Err(TemplateError::TooLarge(Complaint::new(message)))
}
