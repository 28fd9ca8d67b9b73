use llmopt_dataset::FileColumns;
use llmopt_domain::{Message, Place, Role, Weight};
use llmopt_tokenization::Encoder;

use crate::EncodedRow;

/// The token that tells a model to stop.
#[derive(Clone, Debug)]
pub(super) struct EndToken {
    pub(super) id: u32,
    pub(super) text: String,
}

impl EndToken {
    /// Returns the one that `encoder` ends answers with.
    pub(super) fn of(encoder: &Encoder) -> Self {
        Self {
            id: encoder.end_token_id(),
            text: encoder.end_token().to_owned(),
        }
    }
}

/// A row with what rules ask of it.
#[derive(Debug)]
pub(super) struct MeasuredRow<'a> {
    row: &'a EncodedRow,
    /// Its tokens.
    pub(super) length: usize,
    /// Those with loss.
    pub(super) response: usize,
    /// Where the first token with loss stands, counted from 0.
    pub(super) first_trained: Option<usize>,
    /// What training on its first tokens would come to.
    pub(super) fate: Fate,
}

/// What becomes of a row of which only the first tokens are trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// All of it is trained on as it should be.
    Whole,
    /// It is longer, but all that has loss is there.
    OnlyContextCut,
    /// Nothing has loss.
    NothingTrained,
    /// So many tokens of its last answer are missing.
    AnswerCut(usize),
    /// Its last answer is whole, but the token that ends it is missing.
    EndCut,
    /// Its last token with loss is this one, which does not end an answer.
    NoEnd(u32),
}

impl<'a> MeasuredRow<'a> {
    /// Measures `row`, of which the first `max_length` tokens are trained on, and of a text all of them.
    pub(super) fn of(row: &'a EncodedRow, max_length: usize, end: u32) -> Self {
        let max_length = if row.is_text() {
            usize::MAX
        } else {
            max_length
        };
        let mask = &row.encoded.loss_mask;
        Self {
            length: row.encoded.ids.len(),
            response: row.encoded.trainable_tokens(),
            first_trained: mask.iter().position(|&label| label),
            fate: fate(row, max_length, end),
            row,
        }
    }

    /// Tells whether it is plain text.
    pub(super) fn is_text(&self) -> bool {
        self.row.is_text()
    }

    /// Returns the tokens without loss.
    pub(super) fn prompt(&self) -> usize {
        self.length - self.response
    }

    /// Returns the first id that is not below `vocabulary`.
    pub(super) fn unknown_id(&self, vocabulary: usize) -> Option<u32> {
        let mut ids = self.row.encoded.ids.iter().copied();
        ids.find(|&id| id as usize >= vocabulary)
    }

    /// Returns the place of `part` of the row.
    pub(super) fn place(&self, file: &str, columns: Option<&FileColumns>, part: Part) -> Place {
        let conversation = &self.row.sample.conversation;
        let turn = part.turn(&conversation.messages);
        Place {
            file: file.to_owned(),
            row: Some(self.row.number),
            line: None,
            field: columns
                .zip(turn)
                .map(|(columns, turn)| columns.field_of(conversation, turn)),
        }
    }
}

fn fate(row: &EncodedRow, max_length: usize, end: u32) -> Fate {
    let (ids, mask) = (&row.encoded.ids, &row.encoded.loss_mask);
    let trained = || mask.iter().take(max_length).filter(|&&label| label);
    if trained().next().is_none() {
        return Fate::NothingTrained;
    }
    let last = mask.iter().rposition(|&label| label);
    let last = last.and_then(|at| ids.get(at)).copied();
    let beyond = row.encoded.trainable_tokens() - trained().count();
    match (beyond, last) {
        (0, Some(id)) if id != end => Fate::NoEnd(id),
        (0, _) if ids.len() > max_length => Fate::OnlyContextCut,
        (0, _) => Fate::Whole,
        (1, Some(id)) if id == end => Fate::EndCut,
        _ => Fate::AnswerCut(beyond),
    }
}

/// The part of a row that a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// No part of its own.
    Whole,
    /// The longest turn that is not the assistant's.
    Prompt,
    /// The longest turn that is trained on.
    Response,
    /// The last turn that is trained on, or the last.
    LastResponse,
}

impl Part {
    fn turn(self, turns: &[Message]) -> Option<usize> {
        let longest = |wanted: fn(&Message) -> bool| {
            let wanted = turns.iter().enumerate().filter(|(_, turn)| wanted(turn));
            // The first of several: `max_by_key` takes the last.
            let longest = wanted.rev().max_by_key(|(_, turn)| turn.content.len());
            longest.map(|(index, _)| index)
        };
        match self {
            Self::Whole => None,
            Self::Prompt => longest(|turn| turn.role != Role::Assistant),
            Self::Response => longest(is_trained),
            Self::LastResponse => {
                let last = turns.len().checked_sub(1);
                turns.iter().rposition(is_trained).or(last)
            }
        }
    }
}

fn is_trained(turn: &Message) -> bool {
    turn.role == Role::Assistant && turn.weight == Weight::One
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::testing::{END, row};

    #[test]
    fn a_row_is_whole_or_something_of_it_is_missing() {
        for (ids, mask, max_length, expected) in [
            (&[5, 6, 7, END][..], "..!!", 4, Fate::Whole),
            (&[5, 6, 7, END, 8], "..!!.", 4, Fate::OnlyContextCut),
            (&[5, 6, 7, END], "..!!", 3, Fate::EndCut),
            (&[5, 6, 7, 8, END], "..!!!", 3, Fate::AnswerCut(2)),
            // An answer of nothing but its end.
            (&[5, 6, 7, END], "...!", 3, Fate::NothingTrained),
            (&[5, 6, 7, END], "..!!", 2, Fate::NothingTrained),
            (&[5, 6, 7, END], "....", 4, Fate::NothingTrained),
            (&[5, 6, 7, 8], "..!!", 4, Fate::NoEnd(8)),
            (&[5, 6, 7, END], "..!.", 4, Fate::NoEnd(7)),
            // The first answer has its end, the second is cut.
            (&[5, 6, END, 7, 8, END], ".!!.!!", 4, Fate::AnswerCut(2)),
        ] {
            let found = MeasuredRow::of(&row(ids, mask), max_length, END).fate;
            assert_eq!(found, expected, "{ids:?} {mask} {max_length}");
        }
    }

    #[test]
    fn parts_are_found_by_who_speaks_and_whether_it_is_trained_on() {
        let turn = |role, content: &str, weight| Message {
            weight,
            ..Message::new(role, content)
        };
        let turns = [
            turn(Role::System, "short", Weight::One),
            turn(Role::User, "longest", Weight::One),
            turn(Role::Assistant, "an answer", Weight::One),
            turn(Role::User, "as long", Weight::One),
            turn(Role::Assistant, "a longer answer", Weight::Zero),
        ];
        assert_eq!(Part::Prompt.turn(&turns), Some(1));
        assert_eq!(Part::Response.turn(&turns), Some(2));
        assert_eq!(Part::LastResponse.turn(&turns), Some(2));
        assert_eq!(Part::LastResponse.turn(&turns[3..]), Some(1));
        assert_eq!(Part::LastResponse.turn(&[]), None);
        assert_eq!(Part::Whole.turn(&turns), None);
    }
}
