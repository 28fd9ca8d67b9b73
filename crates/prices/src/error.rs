use thiserror::Error;

/// Why a table of prices is not taken. Nothing of it is used then.
#[derive(Debug, Error)]
pub enum TableError {
    /// The bytes are not the JSON of a table.
    #[error("the price table is not read: something is wrong at `{place}`")]
    Json {
        /// Where, such as `models[3].periods[0].price.rates.input`.
        place: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A row breaks a rule.
    #[error("the price table is not taken: {place}: expected {expected}, found {found}; {fix}")]
    Rule {
        /// The model, and the row's first day where it is about one.
        place: String,
        /// What a table must have there.
        expected: String,
        /// What it has.
        found: String,
        /// What to do about it.
        fix: &'static str,
    },
}

/// Why there is no cost. What was reserved is then what to settle at: never nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CostError {
    /// The price says nothing of these terms.
    #[error(
        "the model has no price for `{terms}` requests: expected a multiplier of that name in the price table"
    )]
    NoTerms {
        /// The tier's name, or `regional`.
        terms: &'static str,
    },
    /// The cost is above what an amount can be.
    #[error(
        "the cost is above what any budget holds: expected at most 9223372036854775807 picodollars"
    )]
    TooMuch,
}
