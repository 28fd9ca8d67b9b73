use llmopt_domain::{Conversation, Role};
use serde::Serialize;
use utoipa::ToSchema;

/// How long prompts and responses are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Statistics {
    /// Characters in the system and user turns of a row together.
    pub prompt: Lengths,
    /// Characters in the assistant's turns of a row together.
    pub response: Lengths,
    /// Rows that say the same as an earlier one.
    pub duplicates: u64,
}

/// How lengths, in characters, are spread; zeros where there are no rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Lengths {
    /// The shortest.
    pub min: u64,
    /// The one in the middle.
    pub median: u64,
    /// At least as long as 95 in 100.
    pub p95: u64,
    /// The longest.
    pub max: u64,
}

impl Lengths {
    /// By nearest rank: every number is the length of some row.
    fn of(mut lengths: Vec<u64>) -> Self {
        lengths.sort_unstable();
        let rank = |percent: usize| {
            let rank = (lengths.len() * percent).div_ceil(100);
            lengths.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self {
            min: rank(0),
            median: rank(50),
            p95: rank(95),
            max: rank(100),
        }
    }
}

/// Gathers [`Statistics`] row by row.
#[derive(Debug, Default)]
pub(crate) struct Measurements {
    prompts: Vec<u64>,
    responses: Vec<u64>,
}

impl Measurements {
    pub(crate) fn add(&mut self, conversation: &Conversation) {
        let (mut prompt, mut response) = (0, 0);
        for turn in &conversation.messages {
            let length = turn.content.chars().count() as u64;
            match turn.role {
                Role::System | Role::User | Role::Tool => prompt += length,
                Role::Assistant => response += length,
            }
        }
        self.prompts.push(prompt);
        self.responses.push(response);
    }

    pub(crate) fn finish(self, duplicates: u64) -> Statistics {
        Statistics {
            prompt: Lengths::of(self.prompts),
            response: Lengths::of(self.responses),
            duplicates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_in_characters_by_nearest_rank() {
        let mut measurements = Measurements::default();
        for length in 1..=20 {
            measurements.add(&Conversation::from_pair("é".repeat(length), "x"));
        }
        let statistics = measurements.finish(0);
        let (min, median, p95, max) = (1, 10, 19, 20);
        assert_eq!(
            statistics.prompt,
            Lengths {
                min,
                median,
                p95,
                max
            }
        );
        assert_eq!(statistics.response.max, 1);
    }

    #[test]
    fn no_rows_give_zeros() {
        assert_eq!(Measurements::default().finish(0), Statistics::default());
    }
}
