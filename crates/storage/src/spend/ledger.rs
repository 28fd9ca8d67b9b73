use llmopt_domain::{Format, Picodollars, TokenUsage};
use serde::{Deserialize, Serialize};

use super::{RequestId, RowKey};

/// Who asks for what, as it is known before an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The id of the key that asks; empty where none is needed.
    pub key: String,
    /// The model that is asked for.
    pub model: String,
    /// The provider that is to answer.
    pub provider: String,
    /// The version of the prices that the bound was computed with.
    pub price_version: String,
}

/// One call to a provider, of those that a request took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Who was called.
    pub provider: String,
    /// The model there.
    pub model: String,
    /// What it used, as far as the provider said so.
    pub usage: TokenUsage,
    /// What that cost.
    pub cost: Picodollars,
    /// Why it gave no answer, where it gave none.
    pub failure: Option<String>,
}

/// How the cost of a request is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// By what the provider said was used.
    Measured,
    /// In the same way, and it is more than the bound.
    Overrun {
        /// How that could be.
        reason: String,
    },
    /// Nobody said what was used, or not all of it: it is the most that it can have been.
    Assumed,
}

/// What one request cost: it is written once and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The version of this format.
    pub format: Format<1>,
    /// The request.
    pub request: RequestId,
    /// The day that it is counted in, `2026-11-26`: that of its reservation, in UTC.
    pub day: String,
    /// When its reservation was made, in milliseconds since 1970.
    pub reserved_ms: u64,
    /// When its cost was known, in milliseconds since 1970.
    pub settled_ms: u64,
    /// Who asked for what; the provider and prices are those of the answer.
    pub asked: Asked,
    /// What was reserved.
    pub bound: Picodollars,
    /// What it cost, all attempts together.
    pub cost: Picodollars,
    /// What it used, all attempts together.
    pub usage: TokenUsage,
    /// How that is known.
    pub basis: Basis,
    /// The calls that it took, where they are known.
    pub attempts: Vec<Attempt>,
    /// The budgets that it was spent from.
    pub rows: Vec<RowKey>,
}

/// A place in a list of what requests have, right after one of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The time that the list goes by, in milliseconds since 1970.
    pub at_ms: u64,
    /// The request.
    pub request: RequestId,
}

impl LedgerEntry {
    /// Returns its place in its day.
    pub fn place(&self) -> Place {
        Place {
            at_ms: self.reserved_ms,
            request: self.request.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_written_as_it_always_was() {
        let json = r#"{"format":1,"request":"r1","day":"2026-11-26","reserved_ms":1,"settled_ms":2,"asked":{"key":"k","model":"gpt","provider":"openai","price_version":"7"},"bound":10,"cost":12,"usage":{"input_tokens":3,"cache_read_tokens":0,"cache_write_tokens":0,"cache_write_long_tokens":0,"output_tokens":4,"reasoning_tokens":0},"basis":{"overrun":{"reason":"a tool was called"}},"attempts":[{"provider":"openai","model":"gpt","usage":{"input_tokens":3,"cache_read_tokens":0,"cache_write_tokens":0,"cache_write_long_tokens":0,"output_tokens":4,"reasoning_tokens":0},"cost":12,"failure":null}],"rows":[{"scope":"all","window":"2026-11"}]}"#;
        let entry: LedgerEntry = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&entry).unwrap(), json);
        for basis in ["\"measured\"", "\"assumed\""] {
            let known: Basis = serde_json::from_str(basis).unwrap();
            assert_eq!(serde_json::to_string(&known).unwrap(), basis);
        }
    }
}
