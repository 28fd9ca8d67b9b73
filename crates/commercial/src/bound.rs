use llmopt_domain::Picodollars;

/// What a question is expected to cost, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Tokens of the prompt, as estimated from its length: providers count differently.
    pub estimated_prompt_tokens: u64,
    /// Tokens of the prompt at most.
    pub most_prompt_tokens: u64,
    /// Tokens of the answer at most.
    pub most_output_tokens: u64,
    /// What the estimated prompt and the longest answer cost.
    pub estimate: Picodollars,
    /// The most that it may cost: what is reserved.
    pub bound: Picodollars,
}
