use std::{fmt, time::Duration};

use crate::RateHeaders;

/// What a provider says when it refuses a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the response; 200 where the refusal came after the head.
    pub status: u16,
    /// The kind of error, as the provider spells it; empty where it says none.
    pub kind: String,
    /// The code, which is more exact than the kind.
    pub code: Option<String>,
    /// The part of the request that is to blame.
    pub param: Option<String>,
    /// What the provider says in words.
    pub said: ProviderText,
    /// What the provider calls the request.
    pub request_id: Option<String>,
    /// How long the provider wants it to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether the provider wants to be asked again, where it says so.
    pub should_retry: Option<ShouldRetry>,
    /// What is left of its rate limits.
    pub rate: RateHeaders,
}

/// What the header `x-should-retry` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShouldRetry {
    /// Another try may work.
    Yes,
    /// Another try is of no use.
    No,
}

impl ShouldRetry {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        match value {
            "true" => Some(Self::Yes),
            "false" => Some(Self::No),
            _ => None,
        }
    }
}

/// Words of a provider's: for who asked, and for nobody else, because they may repeat the prompt. Printing it
/// for a log only tells how long it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProviderText(String);

impl ProviderText {
    /// The longest text that is kept, in bytes.
    const LONGEST: usize = 4096;

    /// Keeps a text; the end of one that is too long is left out.
    pub fn new(mut text: String) -> Self {
        text.truncate(text.floor_char_boundary(Self::LONGEST));
        Self(text)
    }

    /// Returns the words.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes out a text that must not be seen, such as a key that a server repeats.
    pub(crate) fn without(&self, secret: &str) -> Self {
        match secret {
            "" => self.clone(),
            secret => Self(self.0.replace(secret, "***")),
        }
    }
}

impl fmt::Debug for ProviderText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProviderText({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_provider_are_only_for_who_asks_for_them() {
        let said = ProviderText::new("your prompt was: hunter2".to_owned());
        let refusal = Refusal {
            said: said.clone(),
            ..Refusal::default()
        };
        assert!(!format!("{refusal:?}").contains("hunter2"));
        assert_eq!(said.as_str(), "your prompt was: hunter2");
        let without = said.without("hunter2");
        assert_eq!(without.as_str(), "your prompt was: ***");
    }

    #[test]
    fn long_words_are_cut_at_a_character() {
        let said = ProviderText::new("\u{fc}".repeat(5000));
        assert_eq!(said.as_str().len(), ProviderText::LONGEST);
        let odd = ProviderText::new(format!("a{}", "\u{fc}".repeat(5000)));
        assert_eq!(odd.as_str().len(), ProviderText::LONGEST - 1);
    }
}
