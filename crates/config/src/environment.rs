use std::fmt;

/// Where llmopt runs; gives the other variables their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Environment {
    /// A developer's machine: debug logs, room to try things.
    Development,
    /// Automated tests: no rate limits, one model in memory.
    Testing,
    /// Serving users: JSON logs, strict limits.
    Production,
}

impl Environment {
    /// All environments, in the order in which the reference lists them.
    pub const ALL: [Self; 3] = [Self::Development, Self::Testing, Self::Production];

    /// Returns the name as `LLMOPT_ENVIRONMENT` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Testing => "testing",
            Self::Production => "production",
        }
    }

    pub(crate) fn parse(value: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|environment| environment.name() == value)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
