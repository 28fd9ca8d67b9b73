use llmopt_domain::{Finding, Message, Severity};

use super::{Example, Rule, Totals, is_share};
use crate::{
    problem::shortened,
    text::{is_private, visible},
};

/// Which end of which text is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    PromptStart,
    PromptEnd,
    ResponseStart,
    ResponseEnd,
}

impl Edge {
    pub(super) const ALL: [Self; 4] = [
        Self::PromptStart,
        Self::PromptEnd,
        Self::ResponseStart,
        Self::ResponseEnd,
    ];

    /// Returns the edge of the example's last prompt or response, from the outside to the inside.
    fn of(self, example: &Example<'_>) -> Vec<char> {
        const LONGEST: usize = 200;
        let (prompt, response) = example.prompt_and_response();
        let prompt = prompt.last().map_or("", |turn: &Message| &turn.content);
        let text = match self {
            Self::PromptStart | Self::PromptEnd => prompt,
            Self::ResponseStart | Self::ResponseEnd => response,
        };
        match self {
            Self::PromptStart | Self::ResponseStart => text.chars().take(LONGEST).collect(),
            Self::PromptEnd | Self::ResponseEnd => text.chars().rev().take(LONGEST).collect(),
        }
    }
}

/// What stands in nearly every row teaches little and has to stand in every request. Keeps the edges of the first
/// rows, and then the longest that is common.
pub(super) struct CommonText {
    edge: Edge,
    first: Vec<Vec<char>>,
    common: Option<Vec<char>>,
    rows: u64,
    agreeing: u64,
}

impl CommonText {
    /// Fewer characters are a coincidence.
    const SHORTEST: usize = 12;
    /// Among so many rows what is common to nearly all shows.
    const SAMPLE: usize = 20;

    pub(super) fn new(edge: Edge) -> Self {
        Self {
            edge,
            first: Vec::new(),
            common: None,
            rows: 0,
            agreeing: 0,
        }
    }

    /// Takes the edge that most of the first rows have for the common one.
    fn choose(&mut self) {
        let first = std::mem::take(&mut self.first);
        let agree = |edge: &Vec<char>| {
            let others = first.iter();
            others
                .filter(|other| shared(edge, other) >= Self::SHORTEST)
                .count()
        };
        let chosen = first.iter().max_by_key(|edge| agree(edge)).cloned();
        self.common = Some(chosen.unwrap_or_default());
        first.into_iter().for_each(|edge| self.compare(&edge));
    }

    fn compare(&mut self, edge: &[char]) {
        let Some(common) = &mut self.common else {
            return;
        };
        let shared = shared(common, edge);
        // A text that is all of it is a label, not a frame.
        if shared >= Self::SHORTEST && edge.len() > shared {
            self.agreeing += 1;
            common.truncate(shared);
        }
    }

    fn shown(&self) -> String {
        let mut common = self.common.clone().unwrap_or_default();
        if matches!(self.edge, Edge::PromptEnd | Edge::ResponseEnd) {
            common.reverse();
        }
        let text: String = common.into_iter().collect();
        match is_private(&text) {
            true => format!("{} characters", text.chars().count()),
            false => format!("`{}`", visible(&shortened(&text))),
        }
    }
}

fn shared(one: &[char], other: &[char]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

impl Rule for CommonText {
    fn code(&self) -> &'static str {
        match self.edge {
            Edge::PromptStart => "common_prompt_start",
            Edge::PromptEnd => "common_prompt_end",
            Edge::ResponseStart => "common_response_start",
            Edge::ResponseEnd => "common_response_end",
        }
    }

    fn severity(&self) -> Severity {
        Severity::Info
    }

    fn description(&self) -> &'static str {
        match self.edge {
            Edge::PromptStart => "at least 95 in 100 prompts begin with the same words",
            Edge::PromptEnd => "at least 95 in 100 prompts end with the same words",
            Edge::ResponseStart => "at least 95 in 100 responses begin with the same words",
            Edge::ResponseEnd => "at least 95 in 100 responses end with the same words",
        }
    }

    fn fix(&self) -> &'static str {
        match self.edge {
            Edge::PromptStart | Edge::PromptEnd => {
                "leave it out, or see that every request will have it, too"
            }
            Edge::ResponseStart | Edge::ResponseEnd => {
                "leave it out, unless every answer is to have it"
            }
        }
    }

    fn check(&mut self, example: &Example<'_>, _findings: &mut Vec<Finding>) {
        let edge = self.edge.of(example);
        self.rows += 1;
        if self.common.is_some() {
            return self.compare(&edge);
        }
        self.first.push(edge);
        if self.first.len() == Self::SAMPLE {
            self.choose();
        }
    }

    fn finish(&mut self, totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        const FEWEST: u64 = 10;
        if self.common.is_none() {
            self.choose();
        }
        if self.rows >= FEWEST && is_share(self.agreeing, self.rows, 95) {
            let found = format!(
                "{} in {} of {} rows",
                self.shown(),
                self.agreeing,
                self.rows
            );
            say(self.finding(totals.place(), "texts that differ", found));
        }
    }
}

#[cfg(test)]
mod tests {
    use llmopt_domain::Conversation;

    use super::*;
    use crate::testing::findings_of;

    fn codes(rows: &[Conversation]) -> Vec<String> {
        let found = Edge::ALL.map(|edge| findings_of(&mut CommonText::new(edge), rows));
        found
            .into_iter()
            .flatten()
            .map(|it| it.to_string())
            .collect()
    }

    #[test]
    fn a_frame_around_every_row_is_said_once_for_each_end() {
        let row = |i| {
            let prompt = format!("Classify this review: nice {i} stars. Answer in one word:");
            let response = format!("The review is {i} and that is all I can say.");
            Conversation::from_pair(prompt, response)
        };
        let mut rows: Vec<_> = (10..50).map(row).collect();
        rows[3] = Conversation::from_pair("Hello", "Hi!");
        let said = codes(&rows);
        let [start, end, response_start, response_end] = &said[..] else {
            panic!("{said:?}")
        };
        assert!(
            start.contains(
                "found `Classify this review: nice ` in 39 of 40 rows [common_prompt_start]"
            ),
            "{start}"
        );
        assert!(end.contains("` stars. Answer in one word:`"), "{end}");
        assert!(
            response_start.contains("`The review is `"),
            "{response_start}"
        );
        assert!(
            response_end.contains("` and that is all I can say.`"),
            "{response_end}"
        );
    }

    #[test]
    fn labels_and_texts_that_differ_have_nothing_in_common() {
        let labels = ["very positive", "very positive", "neutral"];
        let row = |i: usize| Conversation::from_pair(format!("{i} review"), labels[i % 3]);
        assert!(codes(&(0..40).map(row).collect::<Vec<_>>()).is_empty());
    }

    #[test]
    fn a_secret_that_is_common_is_not_shown() {
        let row =
            |i| Conversation::from_pair(format!("{i}"), format!("password=hunter2!x and {i}"));
        let said = codes(&(0..20).map(row).collect::<Vec<_>>());
        assert!(
            said[0].contains("23 characters in 20 of 20") && !said[0].contains("hunter"),
            "{said:?}"
        );
    }
}
