use std::collections::BTreeMap;

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

/// How often each length was met. There are far fewer lengths than rows, so that memory does not grow with these.
#[derive(Debug, Default)]
struct Counts {
    rows: u64,
    by_length: BTreeMap<u64, u64>,
}

impl Counts {
    fn add(&mut self, length: u64) {
        self.rows += 1;
        *self.by_length.entry(length).or_default() += 1;
    }

    /// Returns the length that this percentage of the rows does not exceed, by nearest rank: that of some row.
    fn rank(&self, percent: u64) -> u64 {
        let rank = (self.rows * percent).div_ceil(100).max(1);
        let mut rows = 0;
        let mut lengths = self.by_length.iter();
        let found = lengths.find(|(_, count)| {
            rows += **count;
            rows >= rank
        });
        found.map_or(0, |(length, _)| *length)
    }

    fn lengths(&self) -> Lengths {
        Lengths {
            min: self.rank(0),
            median: self.rank(50),
            p95: self.rank(95),
            max: self.rank(100),
        }
    }
}

/// Gathers [`Statistics`] row by row.
#[derive(Debug, Default)]
pub(crate) struct Measurements {
    prompts: Counts,
    responses: Counts,
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
        self.prompts.add(prompt);
        self.responses.add(response);
    }

    pub(crate) fn finish(self, duplicates: u64) -> Statistics {
        Statistics {
            prompt: self.prompts.lengths(),
            response: self.responses.lengths(),
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
