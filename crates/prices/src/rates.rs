use llmopt_domain::Picodollars;
use serde::{Deserialize, Serialize};

/// What one token costs, in picodollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Input that no cache had and none was given.
    pub input: Picodollars,
    /// Output, what the model thought included.
    pub output: Picodollars,
    /// Input from the cache; `None` where it costs what other input costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Picodollars>,
    /// Input put into the cache for the short time; `None` where it costs what other input costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Picodollars>,
    /// Input put into the cache for the long time; `None` where it costs what the short time costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_long: Option<Picodollars>,
}

impl Rates {
    /// What a token from the cache costs.
    pub fn cache_read(&self) -> Picodollars {
        self.cache_read.unwrap_or(self.input)
    }

    /// What a token put into the cache for the short time costs.
    pub fn cache_write(&self) -> Picodollars {
        self.cache_write.unwrap_or(self.input)
    }

    /// What a token put into the cache for the long time costs.
    pub fn cache_write_long(&self) -> Picodollars {
        self.cache_write_long.unwrap_or_else(|| self.cache_write())
    }

    /// What a token of input costs at most, whatever a cache does with it.
    pub fn dearest_input(&self) -> Picodollars {
        self.input
            .max(self.cache_read())
            .max(self.cache_write())
            .max(self.cache_write_long())
    }
}

/// What all the tokens of a request cost whose prompt is long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LongPrompt {
    /// The prompt, cached input included, has more tokens than this; with just as many it is not long.
    pub above_prompt_tokens: u64,
    /// The whole request's rates: not only those of what is above.
    pub rates: Rates,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pico(amount: u64) -> Picodollars {
        Picodollars::new(amount).unwrap()
    }

    #[test]
    fn what_is_not_charged_apart_costs_what_is_next_to_it() {
        let mut rates = Rates {
            input: pico(5),
            output: pico(9),
            cache_read: None,
            cache_write: None,
            cache_write_long: None,
        };
        assert_eq!(rates.cache_read(), pico(5));
        assert_eq!(rates.cache_write(), pico(5));
        assert_eq!(rates.cache_write_long(), pico(5));
        rates.cache_write = Some(pico(6));
        assert_eq!(rates.cache_write_long(), pico(6));
        assert_eq!(rates.dearest_input(), pico(6));
        rates.cache_write_long = Some(pico(8));
        assert_eq!(rates.dearest_input(), pico(8));
    }
}
