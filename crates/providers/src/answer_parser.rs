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
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const OPENAI: &str = concat!(
        "data: {\"model\": \"m\", \"choices\": [{\"index\": 0, \"delta\": {\"content\": \"Gr\u{fc}\u{df}e \u{1f980}\"}}]}\r\n\r\n",
        ": padding\n\n",
        "data: {\"choices\": [{\"delta\": {\"tool_calls\": [{\"index\": 0, \"id\": \"c\", \"function\": {\"name\": \"f\"}}]}}]}\n\n",
        "data: {\"choices\": [{\"delta\": {\"tool_calls\": [{\"index\": 0, \"function\": {\"arguments\": \"{}\"}}]}}]}\n\n",
        "data: {\"choices\": [{\"delta\": {}, \"finish_reason\": \"tool_calls\"}]}\n\n",
        "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 3, \"completion_tokens\": 2, \"total_tokens\": 5}}\n\n",
        "data: [DONE]\n\n",
    );
    const ANTHROPIC: &str = concat!(
        "event: message_start\ndata: {\"type\": \"message_start\", \"message\": {\"model\": \"m\", \"usage\": {\"input_tokens\": 3, \"output_tokens\": 1}}}\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        "event: content_block_start\ndata: {\"type\": \"content_block_start\", \"index\": 0, \"content_block\": {\"type\": \"text\", \"text\": \"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\": \"content_block_delta\", \"index\": 0, \"delta\": {\"type\": \"text_delta\", \"text\": \"Gr\u{fc}\u{df}e \u{1f980}\"}}\n\n",
        "event: content_block_stop\ndata: {\"type\": \"content_block_stop\", \"index\": 0}\n\n",
        "event: message_delta\ndata: {\"type\": \"message_delta\", \"delta\": {\"stop_reason\": \"end_turn\"}, \"usage\": {\"output_tokens\": 2}}\n\n",
        "event: message_stop\ndata: {\"type\": \"message_stop\"}\n\n",
    );

    /// Everything that comes of pieces, in words.
    fn read<'a>(mut parser: AnswerParser, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
        for piece in pieces {
            parser.push(piece);
        }
        parser.end();
        let events = std::iter::from_fn(|| parser.next_event());
        events.map(|event| format!("{event:?}")).collect()
    }

    type MakeParser = fn(&str) -> AnswerParser;

    fn parsers() -> [(&'static str, MakeParser); 2] {
        [
            (OPENAI, AnswerParser::openai),
            (ANTHROPIC, AnswerParser::anthropic),
        ]
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        for (text, parser) in parsers() {
            let events = read(parser("m"), std::iter::once(text.as_bytes()));
            assert!(events[0].contains("Grüße 🦀"), "{events:#?}");
            let last = events.last().unwrap();
            assert!(
                last.contains("Finished") && last.contains("output_tokens: 2"),
                "{last}"
            );
        }
    }

    #[test]
    fn calls_without_numbers_are_told_apart_by_their_ids() {
        let call = |id: &str, name: &str| {
            format!(
                r#"{{"id": "{id}", "function": {{"name": "{name}", "arguments": {{"a": 1}}}}}}"#
            )
        };
        let (first, second) = (call("1", "f"), call("2", "g"));
        let text = format!(
            "data: {{\"choices\": [{{\"delta\": {{\"tool_calls\": [{first}, {second}]}}}}]}}\n\n"
        );
        let mut parser = AnswerParser::openai("m");
        parser.push(text.as_bytes());
        let mut next = || match parser.next_event() {
            Some(Ok(ProviderEvent::ToolCall(part))) => (part.index, part.arguments),
            other => panic!("{other:?}"),
        };
        assert_eq!(next(), (0, r#"{"a":1}"#.to_owned()));
        assert_eq!(next(), (1, r#"{"a":1}"#.to_owned()));
    }

    #[test]
    fn habits_of_other_servers_are_understood() {
        // Thoughts in a field of their own, numbers of its own, tokens beside the last choice, and no end mark.
        let text = concat!(
            "data: {\"choices\": [{\"index\": 0, \"delta\": {\"role\": \"assistant\", \"reasoning_content\": \"hm\"}}], \"usage\": null}\n\n",
            "data: {\"choices\": [{\"index\": 1, \"delta\": {\"content\": \"another choice\"}}]}\n\n",
            "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"Hi\"}, \"finish_reason\": \"stop\", \"stop_reason\": null}], \"usage\": {\"prompt_tokens\": 3, \"completion_tokens\": 2}, \"timings\": {\"prompt_n\": 3}}\n\n",
        );
        let mut parser = AnswerParser::openai("m");
        parser.push(text.as_bytes());
        parser.end();
        let text = parser.next_event().unwrap().unwrap();
        assert_eq!(text, ProviderEvent::Text("Hi".to_owned()));
        let Some(Ok(ProviderEvent::Finished(finished))) = parser.next_event() else {
            panic!("no end");
        };
        let usage = finished.usage.unwrap();
        let counted = (usage.tokens.input_tokens, usage.tokens.output_tokens);
        assert_eq!((counted, usage.problem), ((3, 2), None));
    }

    #[test]
    fn what_a_model_refuses_with_is_text() {
        let text = concat!(
            "data: {\"choices\": [{\"delta\": {\"refusal\": \"No.\"}}]}\n\n",
            "data: {\"choices\": [{\"delta\": {}, \"finish_reason\": \"stop\"}]}\n\ndata: [DONE]\n\n",
        );
        let events = read(AnswerParser::openai("m"), std::iter::once(text.as_bytes()));
        assert_eq!(events[0], "Ok(Text(\"No.\"))");
        assert!(events[1].contains("finish_reason: Refusal"), "{events:?}");
    }

    #[test]
    fn what_a_providers_own_tools_and_thoughts_say_is_no_part_of_the_answer() {
        let block = |kind: &str, delta: &str| {
            format!(
                "data: {{\"type\": \"content_block_start\", \"index\": 0, \"content_block\": {{\"type\": \"{kind}\", \"id\": \"x\", \"name\": \"n\"}}}}\n\ndata: {{\"type\": \"content_block_delta\", \"index\": 0, \"delta\": {delta}}}\n\n"
            )
        };
        let thought = block(
            "thinking",
            r#"{"type": "thinking_delta", "thinking": "hm"}"#,
        );
        let search = block(
            "server_tool_use",
            r#"{"type": "input_json_delta", "partial_json": "{}"}"#,
        );
        let text = format!("{thought}{search}data: {{\"type\": \"something_new\"}}\n\n");
        let mut parser = AnswerParser::anthropic("m");
        parser.push(text.as_bytes());
        assert!(parser.next_event().is_none());
        assert!(!parser.is_over());
    }

    #[test]
    fn an_end_without_a_reason_is_none() {
        for (text, parser) in parsers() {
            for cut in 0..text.len() {
                let events = read(parser("m"), std::iter::once(&text.as_bytes()[..cut]));
                let last = events.last().unwrap();
                let has_reason = text[..text.floor_char_boundary(cut)].contains("_reason\": \"")
                    && text.as_bytes()[..cut].ends_with(b"\n\n");
                if !has_reason && !last.starts_with("Ok(Finished") {
                    assert!(last.starts_with("Err("), "{last}");
                }
            }
            let before = text
                .find("finish_reason")
                .or(text.find("event: message_delta"));
            let events = read(
                parser("m"),
                std::iter::once(&text.as_bytes()[..before.unwrap()]),
            );
            assert!(
                events.last().unwrap().contains("Interrupted"),
                "{events:#?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_events(
            sizes in vec(1..40_usize, 1..12), broken in prop::option::of((0..900_usize, any::<u8>())),
        ) {
            for (text, parser) in parsers() {
                let mut bytes = text.as_bytes().to_vec();
                if let Some((place, byte)) = broken {
                    let place = place % bytes.len();
                    bytes[place] = byte;
                }
                let mut rest = bytes.as_slice();
                let pieces = sizes.iter().cycle().map_while(|size| {
                    let (piece, after) = rest.split_at((*size).min(rest.len()));
                    rest = after;
                    (!piece.is_empty()).then_some(piece)
                });
                let cut = read(parser("m"), pieces);
                let whole = read(parser("m"), std::iter::once(bytes.as_slice()));
                prop_assert_eq!(cut, whole);
            }
        }
    }
}
