use llmopt_dataset::{suggested_epochs, suggested_held_out};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    lengths::LengthCounts,
    statistics::{TokenStatistics, rounded},
};

/// The shortest `max_length` that is suggested; the others are its doubles.
const SHORTEST: usize = 128;
/// Rows of an optimizer step: what a job takes where nothing else is said.
const USUAL_BATCH: u64 = 16;
/// Fewer steps in an epoch are too few to follow a learning rate that rises and falls.
const FEWEST_STEPS: u64 = 10;
/// Tokens computed at once: 4 rows of 1,024, which is what a job of GPT-2 takes where nothing else is said.
const TOKENS_AT_ONCE: u64 = 4_096;

/// What to set for training, and why.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Suggestion {
    /// The setting, as a training configuration spells it; `validation_share` is for whoever splits the dataset.
    pub setting: &'static str,
    /// What to set it to.
    #[schema(value_type = f64, minimum = 0)]
    pub value: SuggestedValue,
    /// Why, in one sentence.
    pub reason: String,
}

/// The value of a [`Suggestion`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SuggestedValue {
    /// So many.
    Count(u64),
    /// A share, 0 to 1.
    Share(f64),
}

/// What a job would compute with the suggested batch size and epochs, on every row that is at most `max_length`
/// tokens long. How long that takes depends on the machine, and is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TrainingEstimate {
    /// Optimizer steps.
    pub steps: u64,
    /// Tokens computed, prompts included.
    pub tokens: u64,
    /// Tokens with loss.
    pub trained_tokens: u64,
}

/// What suggestions go by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) lengths: &'a LengthCounts,
    pub(super) statistics: &'a TokenStatistics,
    /// The longest row that the model takes, in tokens.
    pub(super) context: usize,
    /// The rows that say the same as an earlier one.
    pub(super) duplicates: u64,
}

impl Seen<'_> {
    /// Returns what to set, nothing where there are no rows.
    pub(super) fn suggestions(&self) -> Vec<Suggestion> {
        let mut all = Vec::new();
        if self.statistics.rows > 0 {
            all.push(self.max_length());
        }
        if self.kept() > 0 {
            all.extend([
                self.batch_size(),
                self.micro_batch_size(),
                self.epochs(),
                self.validation_share(),
            ]);
        }
        all
    }

    /// Counts what a job would compute.
    pub(super) fn estimate(&self) -> Option<TrainingEstimate> {
        let kept = self.kept();
        let epochs = suggested_epochs(self.distinct());
        let statistics = self.statistics;
        (kept > 0).then(|| TrainingEstimate {
            steps: epochs * kept.div_ceil(batch_size(kept)),
            tokens: epochs * (statistics.tokens - statistics.overlong.tokens),
            trained_tokens: epochs * statistics.kept_trainable_tokens(),
        })
    }

    fn kept(&self) -> u64 {
        self.statistics.kept_rows()
    }

    /// The rows to learn from, of which one that is repeated teaches no more: at least one.
    fn distinct(&self) -> u64 {
        self.kept().saturating_sub(self.duplicates).max(1)
    }

    fn max_length(&self) -> Suggestion {
        let rows = self.statistics.rows;
        let longest = self.lengths.longest();
        let value = step(longest, self.context);
        let (longer, their_tokens) = self.lengths.above(value);
        let mut reason = if longer == 0 {
            format!("the longest of {rows} rows has {longest} tokens, so none is left out")
        } else {
            format!(
                "the model takes no more, and {longer} of {rows} rows with {their_tokens} of {} tokens are longer",
                self.statistics.tokens
            )
        };
        let shorter = step(self.lengths.at(99), self.context);
        if shorter < value {
            let (longer, _) = self.lengths.above(shorter);
            reason += &format!("; {shorter} would leave out {longer}");
        }
        Suggestion {
            setting: "max_length",
            value: SuggestedValue::Count(value as u64),
            reason,
        }
    }

    fn batch_size(&self) -> Suggestion {
        let kept = self.kept();
        let value = batch_size(kept);
        let steps = kept.div_ceil(value);
        Suggestion {
            setting: "batch_size",
            value: SuggestedValue::Count(value),
            reason: format!(
                "{kept} rows make {steps} steps of an epoch; {USUAL_BATCH} is usual, and less where an epoch would have fewer than {FEWEST_STEPS}"
            ),
        }
    }

    fn micro_batch_size(&self) -> Suggestion {
        let longest = self.lengths.longest().min(self.statistics.max_length);
        let value = power_of_two(TOKENS_AT_ONCE / longest.max(1) as u64);
        Suggestion {
            setting: "micro_batch_size",
            value: SuggestedValue::Count(value.min(batch_size(self.kept()))),
            reason: format!(
                "rows have up to {longest} tokens, and about {TOKENS_AT_ONCE} at once take the memory that defaults do; results change by rounding only"
            ),
        }
    }

    fn epochs(&self) -> Suggestion {
        let distinct = self.distinct();
        Suggestion {
            setting: "epochs",
            value: SuggestedValue::Count(suggested_epochs(distinct)),
            reason: format!(
                "3 are usual; fewer rows are seen more often, until about 300 were seen, and more than 10,000 less often: there are {distinct} different ones"
            ),
        }
    }

    fn validation_share(&self) -> Suggestion {
        let distinct = self.distinct();
        let held_out = suggested_held_out(distinct);
        let reason = if held_out == 0 {
            format!("of {distinct} rows none can be spared: write a few more to evaluate on")
        } else {
            format!(
                "{held_out} of {distinct} rows tell how well a model does; more than 1,000 tell it no better"
            )
        };
        Suggestion {
            setting: "validation_share",
            value: SuggestedValue::Share(rounded(held_out as f64 / distinct as f64)),
            reason,
        }
    }
}

/// Returns the least of 128, 256, 512 and so on that `length` fits into, or what the model takes if that is less.
fn step(length: usize, context: usize) -> usize {
    let mut step = SHORTEST;
    while step < length.min(context) {
        step *= 2;
    }
    step.min(context)
}

/// Has an epoch of `rows` take a few steps at least.
fn batch_size(rows: u64) -> u64 {
    power_of_two(rows / FEWEST_STEPS).min(USUAL_BATCH)
}

/// Returns the greatest power of two that is at most `number`, and 1 for 0.
fn power_of_two(number: u64) -> u64 {
    1 << number.max(1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::{TokenMeasurements, testing::row};

    /// What is suggested for rows of these lengths, of which half have loss, and the estimate.
    fn suggested(lengths: &[usize], context: usize) -> (Vec<String>, Option<TrainingEstimate>) {
        let mut measurements = TokenMeasurements::new(50, context);
        for &length in lengths {
            let mask = ".".repeat(length / 2) + &"!".repeat(length - length / 2);
            measurements.add(&row(&vec![1; length], &mask));
        }
        let statistics = measurements.statistics();
        let seen = Seen {
            lengths: measurements.lengths(),
            statistics: &statistics,
            context,
            duplicates: 0,
        };
        let said = seen.suggestions().into_iter().map(|it| {
            let value = serde_json::to_string(&it.value).unwrap();
            format!("{} {value}: {}", it.setting, it.reason)
        });
        (said.collect(), seen.estimate())
    }

    #[test]
    fn every_setting_has_a_value_and_a_reason() {
        let (said, estimate) = suggested(&[100; 200], 1024);
        assert_eq!(
            said,
            [
                "max_length 128: the longest of 200 rows has 100 tokens, so none is left out",
                "batch_size 16: 200 rows make 13 steps of an epoch; 16 is usual, and less where an epoch would have fewer than 10",
                "micro_batch_size 16: rows have up to 100 tokens, and about 4096 at once take the memory that defaults do; results change by rounding only",
                "epochs 3: 3 are usual; fewer rows are seen more often, until about 300 were seen, and more than 10,000 less often: there are 200 different ones",
                "validation_share 0.1: 20 of 200 rows tell how well a model does; more than 1,000 tell it no better",
            ]
        );
        let expected = TrainingEstimate {
            steps: 39,
            tokens: 60_000,
            trained_tokens: 30_000,
        };
        assert_eq!(estimate, Some(expected));
    }

    #[test]
    fn a_few_long_rows_are_kept_and_what_a_shorter_limit_would_cost_is_said() {
        let mut lengths = vec![100; 500];
        lengths.extend([700; 3]);
        assert_eq!(
            suggested(&lengths, 1024).0[0],
            "max_length 1024: the longest of 503 rows has 700 tokens, so none is left out; 128 would leave out 3"
        );
    }

    #[test]
    fn what_the_model_does_not_take_is_counted() {
        let (said, estimate) = suggested(&[100, 100, 300], 200);
        assert_eq!(
            said[0],
            "max_length 200: the model takes no more, and 1 of 3 rows with 300 of 500 tokens are longer"
        );
        // 10 epochs of the two rows that are short enough.
        let expected = TrainingEstimate {
            steps: 20,
            tokens: 2_000,
            trained_tokens: 1_000,
        };
        assert_eq!(estimate, Some(expected));
        let (said, estimate) = suggested(&[300], 200);
        assert_eq!((said.len(), estimate), (1, None));
    }

    #[test]
    fn lengths_step_from_128_in_doubles_up_to_what_the_model_takes() {
        for (length, context, expected) in [
            (1, 1024, 128),
            (128, 1024, 128),
            (129, 1024, 256),
            (513, 1000, 1000),
            (60, 64, 64),
            (5_000, 1024, 1024),
        ] {
            assert_eq!(step(length, context), expected, "{length} of {context}");
        }
    }

    #[test]
    fn small_sets_have_small_batches_and_long_rows_few_at_once() {
        assert_eq!(
            [0, 9, 20, 79, 80, 1_000_000].map(batch_size),
            [1, 1, 2, 4, 8, 16]
        );
        let (said, _) = suggested(&[1024; 400], 1024);
        assert!(said[2].starts_with("micro_batch_size 4:"), "{said:?}");
        assert!(said[4].starts_with("validation_share 0.1:"), "{said:?}");
    }

    #[test]
    fn of_few_rows_none_are_held_out() {
        let (said, _) = suggested(&[10; 20], 64);
        assert!(
            said[4].starts_with("validation_share 0.0: of 20 rows none"),
            "{said:?}"
        );
        assert!(said[3].starts_with("epochs 10:"), "{said:?}");
    }
}
