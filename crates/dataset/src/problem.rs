use llmopt_domain::{Finding, Place, Severity};
use serde_json::Value;

/// What a problem makes unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One row.
    Row,
    /// The file as a whole.
    File,
}

/// An error of a row or a file whose place is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) scope: Scope,
    pub(crate) field: Option<String>,
    pub(crate) expected: String,
    pub(crate) found: String,
    pub(crate) fix: String,
}

impl Problem {
    /// A problem of one row.
    pub(crate) fn row(
        code: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            code,
            scope: Scope::Row,
            field: None,
            expected: expected.into(),
            found: found.into(),
            fix: fix.into(),
        }
    }

    /// A problem of the file as a whole.
    pub(crate) fn file(
        code: &'static str,
        expected: impl Into<String>,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::row(code, expected, found, fix).of_file()
    }

    /// Makes it a problem of the file as a whole.
    pub(crate) fn of_file(mut self) -> Self {
        self.scope = Scope::File;
        self
    }

    /// Names the field.
    pub(crate) fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Makes it a finding at `place`, of which a problem of the file keeps no row.
    pub(crate) fn at(self, mut place: Place) -> Finding {
        if self.scope == Scope::File {
            place.row = None;
        }
        place.field = self.field;
        Finding {
            code: self.code.to_owned(),
            severity: Severity::Error,
            place,
            expected: self.expected,
            found: self.found,
            fix: self.fix,
        }
    }
}

/// Says what a value is, for people.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "`null`".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(value) => format!("the number `{value}`"),
        Value::String(value) => format!("the text `{}`", shortened(value)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Cuts `text` to what fits into a message.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Lists names in backticks, the first of many.
pub(crate) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 20;
    let mut names = names.into_iter();
    let first = names.by_ref().take(MOST);
    let first: Vec<_> = first.map(|name| format!("`{}`", shortened(name))).collect();
    match names.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
