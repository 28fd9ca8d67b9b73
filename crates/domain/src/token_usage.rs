use serde::{Deserialize, Serialize};

/// Tokens of one answer, each counted once: no field but [`Self::reasoning_tokens`] is part of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenUsage {
    /// Input that no cache had and none was given.
    pub input_tokens: u64,
    /// Input that came from the provider's cache.
    pub cache_read_tokens: u64,
    /// Input that was put into the provider's cache for its short time (Anthropic 5 minutes, OpenAI 30).
    pub cache_write_tokens: u64,
    /// Input that was put into the provider's cache for its long time (Anthropic 1 hour, OpenAI 12).
    pub cache_write_long_tokens: u64,
    /// Output, what the model thought included.
    pub output_tokens: u64,
    /// The part of the output that the model thought and may not have shown.
    pub reasoning_tokens: u64,
}

impl TokenUsage {
    /// All the input: what a prompt's length is where prices depend on it.
    pub fn prompt_tokens(&self) -> u64 {
        self.input_tokens
            .saturating_add(self.cache_read_tokens)
            .saturating_add(self.cache_write_tokens)
            .saturating_add(self.cache_write_long_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_all_of_its_input_whatever_a_cache_had() {
        let usage = TokenUsage {
            input_tokens: 1,
            cache_read_tokens: 20,
            cache_write_tokens: 300,
            cache_write_long_tokens: 4000,
            output_tokens: 50_000,
            reasoning_tokens: 600_000,
        };
        assert_eq!(usage.prompt_tokens(), 4321);
    }
}
