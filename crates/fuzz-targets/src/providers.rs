use llmopt_providers::{AnswerParser, ProviderError, ProviderEvent};

use crate::text::{check_error, check_message};

/// What an answer says, up to its end or its error.
type Said = (Vec<ProviderEvent>, Option<String>);

/// An answer of any API gives the same events wherever it is cut, ends once, and never shows in an error what it
/// says.
pub(crate) fn answer(bytes: &[u8]) {
    let parsers: [fn(&str) -> AnswerParser; 3] = [
        AnswerParser::openai,
        AnswerParser::openai_responses,
        AnswerParser::anthropic,
    ];
    for parser in parsers {
        let whole = streamed(parser("model"), bytes, bytes.len().max(1));
        check_events(&whole);
        for piece in [1, 3, 64] {
            let cut = streamed(parser("model"), bytes, piece);
            assert_eq!(whole, cut, "in pieces of {piece}");
        }
    }
    let readers = [
        AnswerParser::openai_whole,
        AnswerParser::openai_responses_whole,
        AnswerParser::anthropic_whole,
    ];
    for read in readers {
        let said = match read("model", bytes) {
            Ok(events) => (events, None),
            Err(error) => (Vec::new(), Some(said(&error))),
        };
        check_events(&said);
    }
}

fn streamed(mut parser: AnswerParser, bytes: &[u8], piece: usize) -> Said {
    bytes.chunks(piece).for_each(|piece| parser.push(piece));
    parser.end();
    let mut events = Vec::new();
    while let Some(event) = parser.next_event() {
        match event {
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(parser.next_event().is_none(), "more after an error");
                return (events, Some(said(&error)));
            }
        }
    }
    (events, None)
}

fn check_events((events, error): &Said) {
    let ends = events
        .iter()
        .filter(|it| matches!(it, ProviderEvent::Finished(_)));
    assert_eq!(ends.count(), usize::from(error.is_none()));
    if error.is_none() {
        let last = events.last().unwrap();
        assert!(matches!(last, ProviderEvent::Finished(_)), "{last:?}");
    }
    for event in events {
        match event {
            ProviderEvent::Text(text) => assert!(!text.is_empty()),
            ProviderEvent::Finished(finished) => {
                let tokens = finished.usage.unwrap_or_default().tokens;
                assert!(tokens.reasoning_tokens <= tokens.output_tokens);
            }
            ProviderEvent::ToolCall(_) => {}
        }
    }
}

/// Returns an error's text, which has nothing of the provider's words.
fn said(error: &ProviderError) -> String {
    let text = check_error(error);
    check_message(&text);
    if let Some(refusal) = error.refusal() {
        let words = refusal.said.as_str();
        // Short words may be ours too.
        assert!(words.len() < 40 || !text.contains(words), "{text}");
    }
    text
}
