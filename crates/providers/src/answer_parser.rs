use std::{collections::VecDeque, fmt};

use llmopt_domain::TokenUsage;

use crate::{
    Finished, ProviderError, ProviderEvent, SseEvent, SseLimits, SseParser, anthropic,
    endpoint::Head, openai,
};

/// Makes sense of one provider's stream.
pub(crate) trait Decoder: Send {
    /// Takes the next event, and adds what it says to `said`.
    ///
    /// # Errors
    /// If it is an error, or makes no sense.
    fn take(
        &mut self,
        event: &SseEvent,
        said: &mut VecDeque<ProviderEvent>,
    ) -> Result<Progress, ProviderError>;

    /// Returns how the answer ended; `None` while it has not.
    fn finished(&mut self) -> Option<Finished>;

    /// Returns the tokens that the provider has counted so far.
    fn usage(&self) -> Option<TokenUsage>;
}

/// Whether more of an answer is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    GoesOn,
    IsWhole,
}

/// Reads a streamed answer from the bytes of a response, in pieces that are cut anywhere.
pub struct AnswerParser {
    sse: SseParser,
    decoder: Box<dyn Decoder>,
    said: VecDeque<ProviderEvent>,
    /// What went wrong, to be told after what was said before it.
    failed: Option<ProviderError>,
    told: Told,
    stage: Stage,
}

/// Whether something of an answer was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Something,
}

/// How far an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Reading,
    Whole,
    Failed,
}

impl AnswerParser {
    pub(crate) fn new(decoder: Box<dyn Decoder>) -> Self {
        Self {
            sse: SseParser::new(SseLimits::default()),
            decoder,
            said: VecDeque::new(),
            failed: None,
            told: Told::Nothing,
            stage: Stage::Reading,
        }
    }

    /// Makes a reader of what OpenAI streams, for `model`.
    pub fn openai(model: &str) -> Self {
        Self::new(openai::decoder(Head::unknown(model, openai::CONVENTION)))
    }

    /// Makes a reader of what OpenAI streams at its Responses API, for `model`.
    pub fn openai_responses(model: &str) -> Self {
        let head = Head::unknown(model, openai::CONVENTION);
        Self::new(openai::response_decoder(head))
    }

    /// Makes a reader of what Anthropic streams, for `model`.
    pub fn anthropic(model: &str) -> Self {
        Self::new(anthropic::decoder(Head::unknown(
            model,
            anthropic::CONVENTION,
        )))
    }

    /// Reads an answer that OpenAI sent at once.
    ///
    /// # Errors
    /// If it is an error, or makes no sense.
    pub fn openai_whole(model: &str, body: &[u8]) -> Result<Vec<ProviderEvent>, ProviderError> {
        openai::read(body, &Head::unknown(model, openai::CONVENTION))
    }

    /// Reads an answer that OpenAI sent at once at its Responses API.
    ///
    /// # Errors
    /// If it is an error, or makes no sense.
    pub fn openai_responses_whole(
        model: &str,
        body: &[u8],
    ) -> Result<Vec<ProviderEvent>, ProviderError> {
        openai::read_response(body, &Head::unknown(model, openai::CONVENTION))
    }

    /// Reads an answer that Anthropic sent at once.
    ///
    /// # Errors
    /// If it is an error, or makes no sense.
    pub fn anthropic_whole(model: &str, body: &[u8]) -> Result<Vec<ProviderEvent>, ProviderError> {
        anthropic::read(body, &Head::unknown(model, anthropic::CONVENTION))
    }

    /// Takes the next piece of the response. What comes after the answer's end, or after a failure, is passed over.
    pub fn push(&mut self, piece: &[u8]) {
        if self.is_over() {
            return;
        }
        let mut events = Vec::new();
        let parsed = self.sse.push(piece, &mut events);
        for event in &events {
            match self.decoder.take(event, &mut self.said) {
                Ok(Progress::GoesOn) => {}
                Ok(Progress::IsWhole) => {
                    let missing = "it ends without saying why it ended";
                    return self.finish(ProviderError::Protocol(missing.to_owned()));
                }
                Err(error) => return self.fail(error),
            }
        }
        if let Err(error) = parsed {
            self.fail(ProviderError::Protocol(error.to_string()));
        }
    }

    /// Says that the response has ended. An answer that said why it ended is whole then, even where the end mark
    /// is missing; any other was cut off.
    pub fn end(&mut self) {
        if !self.is_over() {
            self.finish(ProviderError::ended());
        }
    }

    /// Says that the response cannot be read any further.
    pub(crate) fn fail(&mut self, error: ProviderError) {
        self.stage = Stage::Failed;
        self.failed = Some(error);
    }

    /// Returns the next event, if there is one yet. An error is the last.
    pub fn next_event(&mut self) -> Option<Result<ProviderEvent, ProviderError>> {
        if let Some(event) = self.said.pop_front() {
            self.told = Told::Something;
            return Some(Ok(event));
        }
        let error = self.failed.take()?;
        Some(Err(self.broken_off(error)))
    }

    /// Returns whether no more bytes are wanted.
    pub fn is_over(&self) -> bool {
        self.stage != Stage::Reading
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns the tokens that the provider has counted so far.
    pub fn usage(&self) -> Option<TokenUsage> {
        self.decoder.usage()
    }

    fn finish(&mut self, otherwise: ProviderError) {
        match self.decoder.finished() {
            Some(finished) => {
                self.stage = Stage::Whole;
                self.said.push_back(ProviderEvent::Finished(finished));
            }
            None => self.fail(otherwise),
        }
    }

    fn broken_off(&self, cause: ProviderError) -> ProviderError {
        match self.told {
            Told::Nothing => cause,
            Told::Something => ProviderError::Interrupted {
                cause: Box::new(cause),
                usage: self.usage(),
            },
        }
    }
}

impl fmt::Debug for AnswerParser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AnswerParser")
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
