use llmopt_dataset::FileColumns;
use llmopt_domain::{Finding, Place, Severity};

use super::{
    report::TokenOptions,
    row::{EndToken, Fate, MeasuredRow, Part},
};

/// What the code of a finding of a tokenizer stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenReference {
    /// The code.
    pub code: &'static str,
    /// How bad its findings are.
    pub severity: Severity,
    /// What is found.
    pub description: &'static str,
    /// What the user can do about it.
    pub fix: &'static str,
    /// What such a finding says.
    pub example: &'static str,
}

/// What all rows of a dataset are checked against.
#[derive(Debug)]
pub(super) struct Limits<'a> {
    pub(super) file: &'a str,
    pub(super) columns: Option<FileColumns>,
    pub(super) options: &'a TokenOptions,
    pub(super) end: EndToken,
}

/// Something that a row must keep to, or had better, once it is tokens.
struct TokenRule {
    reference: TokenReference,
    part: Part,
    /// Returns what was expected and what was found instead.
    check: fn(&MeasuredRow<'_>, &Limits<'_>) -> Option<(String, String)>,
}

/// Returns every code that a finding of a tokenizer may have, the worst first.
pub fn token_references() -> Vec<TokenReference> {
    let rules = RULES.iter().map(|rule| rule.reference);
    std::iter::once(UNTOKENIZABLE).chain(rules).collect()
}

/// Returns what is wrong with `row`.
pub(super) fn check(row: &MeasuredRow<'_>, limits: &Limits<'_>) -> Vec<Finding> {
    let found = RULES.iter().filter_map(|rule| {
        let (expected, found) = (rule.check)(row, limits)?;
        let place = row.place(limits.file, limits.columns.as_ref(), rule.part);
        Some(rule.reference.finding(place, expected, found))
    });
    found.collect()
}

/// Says that the row at `place` could not be tokenized, and why.
pub(super) fn untokenizable(place: Place, found: String) -> Finding {
    let expected = "a row that the chat template renders and the tokenizer takes".to_owned();
    UNTOKENIZABLE.finding(place, expected, found)
}

impl TokenReference {
    fn finding(&self, place: Place, expected: String, found: String) -> Finding {
        Finding {
            code: self.code.to_owned(),
            severity: self.severity,
            place,
            expected,
            found,
            fix: self.fix.to_owned(),
        }
    }
}

const UNTOKENIZABLE: TokenReference = TokenReference {
    code: "untokenizable_row",
    severity: Severity::Error,
    description: "a row that the model's chat template refuses, or a text with one of the tokenizer's special tokens",
    fix: "do what the message says, or delete the row",
    example: "expected a row that the chat template renders and the tokenizer takes, found the user message at turn 1 contains `<|endoftext|>`: …",
};

/// All of them that look at tokens. A row has at most one of those that are about what is cut.
const RULES: [TokenRule; 7] = [
    TokenRule {
        reference: TokenReference {
            code: "nothing_trained",
            severity: Severity::Error,
            description: "a row in which no token has loss, or none of its first `max_length` ones",
            fix: "give the answer to learn from the `weight` 1, shorten the prompt, raise `max_length`, or delete the row",
            example: "expected a token with loss among the first 512, found the first one after 600 tokens",
        },
        part: Part::LastResponse,
        check: nothing_trained,
    },
    TokenRule {
        reference: TokenReference {
            code: "cut_answer",
            severity: Severity::Error,
            description: "a row longer than `max_length` of which an answer would be cut",
            fix: "shorten the row, raise `max_length` up to the model's context, or have jobs leave it out with `overlong` as `drop`: nothing is cut silently",
            example: "expected at most 512 tokens, found 700, 188 of the answers' beyond that",
        },
        part: Part::LastResponse,
        check: cut_answer,
    },
    TokenRule {
        reference: TokenReference {
            code: "no_end_token",
            severity: Severity::Error,
            description: "a last answer whose end token has no loss, or stands beyond `max_length`: a model would not learn to stop",
            fix: "raise `max_length`, shorten the row, or use a chat template whose answers end with the tokenizer's end token",
            example: "expected `<|endoftext|>` with loss among the first 512 tokens, found it beyond them, in a row of 513",
        },
        part: Part::LastResponse,
        check: no_end_token,
    },
    TokenRule {
        reference: TokenReference {
            code: "overlong_row",
            severity: Severity::Error,
            description: "a row longer than `max_length` whose answers are all within it",
            fix: "shorten what follows the last answer that is learnt, raise `max_length`, or set `overlong` to `drop`",
            example: "expected at most 512 tokens, found 530",
        },
        part: Part::Whole,
        check: overlong_row,
    },
    TokenRule {
        reference: TokenReference {
            code: "unknown_ids",
            severity: Severity::Error,
            description: "a token that the tokenizer has and the model does not",
            fix: "put the tokenizer and the weights into one folder that belong together",
            example: "expected ids below 50257, found `50260`",
        },
        part: Part::Whole,
        check: unknown_ids,
    },
    TokenRule {
        reference: TokenReference {
            code: "long_prompt",
            severity: Severity::Warning,
            description: "more than 2,048 tokens without loss in a row, unless another limit is given",
            fix: "shorten the prompt to what the answer needs: every epoch computes all of it",
            example: "expected at most 2048 tokens without loss, found 3120",
        },
        part: Part::Prompt,
        check: long_prompt,
    },
    TokenRule {
        reference: TokenReference {
            code: "long_response",
            severity: Severity::Warning,
            description: "more than 2,048 tokens with loss in a row, unless another limit is given",
            fix: "split the answer, unless the model is to write as much: an answer counts by its tokens, and outweighs short ones",
            example: "expected at most 2048 tokens with loss, found 2500",
        },
        part: Part::Response,
        check: long_response,
    },
];

fn nothing_trained(row: &MeasuredRow<'_>, limits: &Limits<'_>) -> Option<(String, String)> {
    if row.fate != Fate::NothingTrained {
        return None;
    }
    let longest = limits.options.max_length;
    Some(match row.first_trained {
        Some(before) => (
            format!("a token with loss among the first {longest}"),
            format!("the first one after {before} tokens"),
        ),
        None => (
            "a token with loss".to_owned(),
            format!("none among {} tokens", row.length),
        ),
    })
}

fn cut_answer(row: &MeasuredRow<'_>, limits: &Limits<'_>) -> Option<(String, String)> {
    let Fate::AnswerCut(beyond) = row.fate else {
        return None;
    };
    let found = format!("{}, {beyond} of the answers' beyond that", row.length);
    Some((at_most(limits.options.max_length), found))
}

fn no_end_token(row: &MeasuredRow<'_>, limits: &Limits<'_>) -> Option<(String, String)> {
    let EndToken { text, .. } = &limits.end;
    let longest = limits.options.max_length;
    match row.fate {
        Fate::EndCut => Some((
            format!("`{text}` with loss among the first {longest} tokens"),
            format!("it beyond them, in a row of {}", row.length),
        )),
        Fate::NoEnd(id) => Some((
            format!("`{text}` as the last token with loss"),
            format!("the id `{id}`"),
        )),
        _ => None,
    }
}

fn overlong_row(row: &MeasuredRow<'_>, limits: &Limits<'_>) -> Option<(String, String)> {
    let is_cut = row.fate == Fate::OnlyContextCut;
    is_cut.then(|| (at_most(limits.options.max_length), row.length.to_string()))
}

fn unknown_ids(row: &MeasuredRow<'_>, limits: &Limits<'_>) -> Option<(String, String)> {
    let vocabulary = limits.options.model.vocabulary;
    let id = row.unknown_id(vocabulary)?;
    Some((format!("ids below {vocabulary}"), format!("`{id}`")))
}

fn long_prompt(row: &MeasuredRow<'_>, limits: &Limits<'_>) -> Option<(String, String)> {
    let most = limits.options.long_prompt;
    let prompt = row.prompt();
    (prompt > most).then(|| (at_most(most) + " without loss", prompt.to_string()))
}

fn long_response(row: &MeasuredRow<'_>, limits: &Limits<'_>) -> Option<(String, String)> {
    let most = limits.options.long_response;
    let response = row.response;
    // A text may be as long as it likes.
    (response > most && !row.is_text())
        .then(|| (at_most(most) + " with loss", response.to_string()))
}

fn at_most(tokens: usize) -> String {
    format!("at most {tokens} tokens")
}

#[cfg(test)]
mod tests;
