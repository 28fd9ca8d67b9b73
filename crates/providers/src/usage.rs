use llmopt_domain::TokenUsage;

/// Tokens as a provider reported them, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedUsage {
    /// The tokens. Where the report contradicts itself, the most that it can mean.
    pub tokens: TokenUsage,
    /// How the report contradicts itself, if it does.
    pub problem: Option<UsageProblem>,
}

/// How a report of tokens contradicts itself. Numbers are tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UsageProblem {
    /// The parts of the input are more than the input.
    CacheOverInput {
        /// What was read from caches or written to them.
        cached: u64,
        /// The input that these should be part of.
        input: u64,
    },
    /// More was thought than the whole output.
    ReasoningOverOutput {
        /// What was thought.
        reasoning: u64,
        /// The output.
        output: u64,
    },
    /// The total is not the sum of input and output.
    TotalDiffers {
        /// The total.
        total: u64,
        /// The sum.
        sum: u64,
    },
    /// What was written to caches is not the sum of what was written to each.
    CacheWritesDiffer {
        /// What was written.
        writes: u64,
        /// The sum.
        sum: u64,
    },
}

/// Counts as OpenAI's API has them: those of the cache are part of the input, and what was thought of the output.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InclusiveCounts {
    pub(crate) input: Option<u64>,
    pub(crate) cache_read: u64,
    pub(crate) cache_write: u64,
    pub(crate) output: Option<u64>,
    pub(crate) reasoning: u64,
    pub(crate) total: Option<u64>,
}

impl InclusiveCounts {
    /// Counts each token once; `None` where the input or the output was not told, which is not to be taken for nothing.
    ///
    /// Parts that are more than the whole come on top of it: so other servers than OpenAI's count (xAI has what was
    /// thought beside the output), and none is billed too low. A total that is more than the sum has what is missing there
    /// in the output, which is dearer.
    pub(crate) fn normalize(self) -> Option<ReportedUsage> {
        let (input, output) = (self.input?, self.output?);
        let (cached, cache_problem) = self.cached(input);
        let (uncached, cache_read_tokens, cache_write_tokens) = cached;
        let reasoning_problem = reasoning_problem(self.reasoning, output);
        let thought_beside = match reasoning_problem {
            Some(_) => self.reasoning,
            None => 0,
        };
        let sum = input.saturating_add(output);
        let missing = self.total.unwrap_or_default().saturating_sub(sum);
        let tokens = TokenUsage {
            input_tokens: uncached,
            cache_read_tokens,
            cache_write_tokens,
            cache_write_long_tokens: 0,
            output_tokens: output.saturating_add(thought_beside.max(missing)),
            reasoning_tokens: self.reasoning,
        };
        let total_problem = self
            .total
            .filter(|total| *total != sum)
            .map(|total| UsageProblem::TotalDiffers { total, sum });
        let problem = cache_problem.or(reasoning_problem).or(total_problem);
        Some(ReportedUsage { tokens, problem })
    }

    /// Returns what of the input no cache had, what was read from one, and what was written to one.
    fn cached(&self, input: u64) -> ((u64, u64, u64), Option<UsageProblem>) {
        let cached = self.cache_read.saturating_add(self.cache_write);
        let (uncached, problem) = match input.checked_sub(cached) {
            Some(uncached) => (uncached, None),
            None => (input, Some(UsageProblem::CacheOverInput { cached, input })),
        };
        ((uncached, self.cache_read, self.cache_write), problem)
    }
}

/// Counts as Anthropic's API has them: those of the cache come on top of the input. Each is known as soon as the
/// provider told it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ExclusiveCounts {
    pub(crate) input: Option<u64>,
    pub(crate) cache_read: Option<u64>,
    pub(crate) cache_write: Option<u64>,
    pub(crate) cache_write_short: Option<u64>,
    pub(crate) cache_write_long: Option<u64>,
    pub(crate) output: Option<u64>,
    pub(crate) reasoning: Option<u64>,
}

impl ExclusiveCounts {
    /// Takes what a later report tells: its numbers are sums from the beginning, and what it leaves out stays.
    pub(crate) fn update(&mut self, later: Self) {
        let newer = |old: &mut Option<u64>, new: Option<u64>| *old = new.or(*old);
        newer(&mut self.input, later.input);
        newer(&mut self.cache_read, later.cache_read);
        newer(&mut self.cache_write, later.cache_write);
        newer(&mut self.cache_write_short, later.cache_write_short);
        newer(&mut self.cache_write_long, later.cache_write_long);
        newer(&mut self.output, later.output);
        newer(&mut self.reasoning, later.reasoning);
    }

    /// Counts each token once; `None` where nothing was told.
    pub(crate) fn normalize(self) -> Option<ReportedUsage> {
        self.input.or(self.output)?;
        let (short, long, writes_problem) = self.cache_writes();
        let output = self.output.unwrap_or_default();
        let reasoning = self.reasoning.unwrap_or_default();
        let problem = writes_problem.or_else(|| reasoning_problem(reasoning, output));
        let thought_beside = match reasoning > output {
            true => reasoning,
            false => 0,
        };
        let tokens = TokenUsage {
            input_tokens: self.input.unwrap_or_default(),
            cache_read_tokens: self.cache_read.unwrap_or_default(),
            cache_write_tokens: short,
            cache_write_long_tokens: long,
            output_tokens: output.saturating_add(thought_beside),
            reasoning_tokens: reasoning,
        };
        Some(ReportedUsage { tokens, problem })
    }

    /// Returns what was written for a short and for a long time. What no part accounts for is taken for short.
    fn cache_writes(&self) -> (u64, u64, Option<UsageProblem>) {
        let short = self.cache_write_short.unwrap_or_default();
        let long = self.cache_write_long.unwrap_or_default();
        let sum = short.saturating_add(long);
        let writes = self.cache_write.unwrap_or(sum);
        let is_split = self.cache_write_short.or(self.cache_write_long).is_some();
        let problem =
            (is_split && writes != sum).then_some(UsageProblem::CacheWritesDiffer { writes, sum });
        let missing = writes.saturating_sub(sum);
        (short.saturating_add(missing), long, problem)
    }
}

fn reasoning_problem(reasoning: u64, output: u64) -> Option<UsageProblem> {
    (reasoning > output).then_some(UsageProblem::ReasoningOverOutput { reasoning, output })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn openai_counts_cached_tokens_inside_the_input() {
        let counts = InclusiveCounts {
            input: Some(1000),
            cache_read: 600,
            cache_write: 300,
            output: Some(50),
            reasoning: 20,
            total: Some(1050),
        };
        let expected = TokenUsage {
            input_tokens: 100,
            cache_read_tokens: 600,
            cache_write_tokens: 300,
            cache_write_long_tokens: 0,
            output_tokens: 50,
            reasoning_tokens: 20,
        };
        let usage = counts.normalize().unwrap();
        assert_eq!(usage.tokens, expected);
        assert_eq!(usage.problem, None);
    }

    #[test]
    fn anthropic_counts_cached_tokens_outside_the_input() {
        let counts = ExclusiveCounts {
            input: Some(100),
            cache_read: Some(600),
            cache_write: Some(300),
            cache_write_short: Some(200),
            cache_write_long: Some(100),
            output: Some(50),
            reasoning: Some(20),
        };
        let expected = TokenUsage {
            input_tokens: 100,
            cache_read_tokens: 600,
            cache_write_tokens: 200,
            cache_write_long_tokens: 100,
            output_tokens: 50,
            reasoning_tokens: 20,
        };
        let usage = counts.normalize().unwrap();
        assert_eq!(usage.tokens, expected);
        assert_eq!(usage.problem, None);
    }

    #[test]
    fn a_report_that_contradicts_itself_is_said_to() {
        let cached = InclusiveCounts {
            input: Some(10),
            cache_read: 25,
            output: Some(0),
            ..InclusiveCounts::default()
        };
        let usage = cached.normalize().unwrap();
        assert_eq!(usage.tokens.prompt_tokens(), 35);
        let expected = UsageProblem::CacheOverInput {
            cached: 25,
            input: 10,
        };
        assert_eq!(usage.problem, Some(expected));

        let total = InclusiveCounts {
            input: Some(10),
            output: Some(5),
            total: Some(16),
            ..InclusiveCounts::default()
        };
        let usage = total.normalize().unwrap();
        assert_eq!(usage.tokens.output_tokens, 6);
        let expected = UsageProblem::TotalDiffers { total: 16, sum: 15 };
        assert_eq!(usage.problem, Some(expected));

        let writes = ExclusiveCounts {
            input: Some(1),
            cache_write: Some(9),
            cache_write_long: Some(5),
            ..ExclusiveCounts::default()
        };
        let usage = writes.normalize().unwrap();
        assert_eq!(usage.tokens.cache_write_tokens, 4);
        assert_eq!(usage.tokens.cache_write_long_tokens, 5);
        let expected = UsageProblem::CacheWritesDiffer { writes: 9, sum: 5 };
        assert_eq!(usage.problem, Some(expected));
    }

    #[test]
    fn what_is_thought_beside_the_output_is_billed() {
        // As xAI counts: its total is the sum of all three.
        let beside = InclusiveCounts {
            input: Some(32),
            output: Some(9),
            reasoning: 94,
            total: Some(135),
            ..InclusiveCounts::default()
        };
        let usage = beside.normalize().unwrap();
        assert_eq!(usage.tokens.output_tokens, 103);
        assert_eq!(usage.tokens.reasoning_tokens, 94);
        let less = InclusiveCounts {
            output: Some(100),
            total: Some(226),
            ..beside
        };
        assert_eq!(less.normalize().unwrap().tokens.output_tokens, 194);
        let without_total = InclusiveCounts {
            total: None,
            ..beside
        };
        assert_eq!(without_total.normalize().unwrap().tokens.output_tokens, 103);
    }

    #[test]
    fn what_is_not_told_is_not_nothing() {
        let whole = InclusiveCounts {
            input: Some(1),
            output: Some(1),
            ..InclusiveCounts::default()
        };
        assert!(whole.normalize().is_some());
        let no_input = InclusiveCounts {
            input: None,
            ..whole
        };
        assert_eq!(no_input.normalize(), None);
        let no_output = InclusiveCounts {
            output: None,
            ..whole
        };
        assert_eq!(no_output.normalize(), None);
    }

    #[test]
    fn a_later_report_stands_in_place_of_an_earlier_one() {
        let mut counts = ExclusiveCounts {
            input: Some(100),
            cache_read: Some(7),
            output: Some(1),
            ..ExclusiveCounts::default()
        };
        counts.update(ExclusiveCounts {
            output: Some(90),
            ..ExclusiveCounts::default()
        });
        let tokens = counts.normalize().unwrap().tokens;
        assert_eq!(tokens.output_tokens, 90, "not the sum of both");
        assert_eq!(tokens.prompt_tokens(), 107);
        assert_eq!(ExclusiveCounts::default().normalize(), None);
    }

    proptest! {
        #[test]
        fn no_token_is_lost_or_counted_twice(
            input in 0..1000_u64, cache_read in 0..2000_u64, cache_write in 0..1000_u64, output: u64, reasoning: u64,
        ) {
            let counts = InclusiveCounts {
                input: Some(input), cache_read, cache_write, output: Some(output), reasoning, total: None,
            };
            let usage = counts.normalize().unwrap();
            let (is_beside, cached) = (reasoning > output, cache_read + cache_write);
            let outside = if cached > input { cached } else { 0 };
            prop_assert_eq!(usage.tokens.prompt_tokens(), input + outside);
            let thought = if is_beside { reasoning } else { 0 };
            prop_assert_eq!(usage.tokens.output_tokens, output.saturating_add(thought));
            prop_assert!(usage.tokens.reasoning_tokens <= usage.tokens.output_tokens);
            prop_assert_eq!(usage.problem.is_some(), cached > input || is_beside);
        }
    }
}
