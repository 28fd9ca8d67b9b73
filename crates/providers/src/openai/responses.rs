//! OpenAI's other route, at which some models answer alone.

mod answer;
mod body;

use crate::{answer_parser::Decoder, endpoint::Head};

pub(crate) use answer::read;
pub(crate) use body::write;

/// Makes sense of a stream with this head.
pub(crate) fn decoder(head: Head) -> Box<dyn Decoder> {
    Box::new(answer::EventDecoder::new(head))
}
