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
const RESPONSES: &str = concat!(
    "event: response.created\ndata: {\"type\": \"response.created\", \"response\": {\"status\": \"in_progress\", \"usage\": null}}\n\n",
    "event: response.output_item.added\ndata: {\"type\": \"response.output_item.added\", \"output_index\": 0, \"item\": {\"type\": \"reasoning\", \"summary\": []}}\n\n",
    "event: response.output_text.delta\ndata: {\"type\": \"response.output_text.delta\", \"output_index\": 1, \"delta\": \"Gr\u{fc}\u{df}e \u{1f980}\"}\n\n",
    "event: response.output_item.added\ndata: {\"type\": \"response.output_item.added\", \"output_index\": 2, \"item\": {\"type\": \"function_call\", \"id\": \"i\", \"call_id\": \"c\", \"name\": \"f\", \"arguments\": \"\"}}\n\n",
    "event: response.function_call_arguments.delta\ndata: {\"type\": \"response.function_call_arguments.delta\", \"output_index\": 2, \"delta\": \"{}\"}\n\n",
    "event: response.completed\ndata: {\"type\": \"response.completed\", \"response\": {\"status\": \"completed\", \"model\": \"m\", \"usage\": {\"input_tokens\": 3, \"output_tokens\": 2, \"total_tokens\": 5}}}\n\n",
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

fn parsers() -> [(&'static str, MakeParser); 3] {
    [
        (OPENAI, AnswerParser::openai),
        (RESPONSES, AnswerParser::openai_responses),
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
        format!(r#"{{"id": "{id}", "function": {{"name": "{name}", "arguments": {{"a": 1}}}}}}"#)
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
fn an_event_of_another_shape_is_named() {
    let error = |mut parser: AnswerParser, data: &str| {
        parser.push(format!("data: {data}\n\n").as_bytes());
        let error = parser.next_event().unwrap().unwrap_err();
        error
            .to_string()
            .replace("the provider's answer is not one: ", "")
    };
    let said = error(
        AnswerParser::anthropic("m"),
        r#"{"type": "message_delta", "delta": {}, "usage": {"output_tokens": "many"}}"#,
    );
    let expected = "the event `message_delta` has something unexpected at `usage.output_tokens`";
    assert_eq!(said, expected);
    let said = error(
        AnswerParser::anthropic("m"),
        r#"{"type": "content_block_start", "content_block": {"type": "tool_use", "id": 7}}"#,
    );
    let expected = "the event `content_block_start` has something unexpected at `content_block`";
    assert_eq!(said, expected);
    let said = error(
        AnswerParser::openai("m"),
        r#"{"choices": [{"index": 0, "delta": {"content": 7}}]}"#,
    );
    let expected = "a chunk of the stream has something unexpected at `choices[0].delta.content`";
    assert_eq!(said, expected);
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

fn finished(text: &str) -> Finished {
    let mut parser = AnswerParser::anthropic("m");
    parser.push(text.as_bytes());
    let last = std::iter::from_fn(|| parser.next_event()).last().unwrap();
    match last.unwrap() {
        ProviderEvent::Finished(finished) => finished,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_counted_as_an_answer_begins_is_not_its_count() {
    let counted = finished(ANTHROPIC).usage.unwrap().tokens;
    assert_eq!((counted.input_tokens, counted.output_tokens), (3, 2));
    let last = ", \"usage\": {\"output_tokens\": 2}";
    assert_eq!(finished(&ANTHROPIC.replace(last, "")).usage, None);
}

#[test]
fn where_an_answer_was_made_is_told() {
    assert_eq!(finished(ANTHROPIC).place, None);
    let told = ANTHROPIC.replace(
        "\"input_tokens\": 3",
        "\"input_tokens\": 3, \"inference_geo\": \"us\"",
    );
    assert_eq!(finished(&told).place.as_deref(), Some("us"));
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
            .or(text.find("event: message_delta"))
            .or(text.find("event: response.completed"));
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
