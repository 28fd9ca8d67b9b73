//! The table: for each thing that can go wrong, what its caller sees, how often a provider is asked, and what is
//! billed, in millionths of a dollar. A token in costs one and a token out four; the question has 3 and the answer 5.

use std::time::Duration;

use expect_test::expect_file;
use futures::{StreamExt as _, stream};
use llmopt_commercial::Question;
use llmopt_provider_mock::{Api, Behaviour, Fault, Tokens};
use serde_json::json;
use tokio::time::Instant;

use crate::case::{
    ANSWER, ANTHROPIC, BOTH, Bill,
    Bill::{Bound, Measured, Most, Overrun},
    COST, Case, EITHER, FREE, OPENAI, STREAM, WHOLE, row,
};

/// The events of a stream that come before its first part.
fn silent(api: Api) -> usize {
    match api {
        Api::Openai => 1,
        Api::Anthropic => 3,
    }
}

/// Makes a stream go wrong after so many parts of its text.
fn after_parts(parts: usize, fault: fn(usize) -> Fault) -> impl Fn(Api) -> Behaviour + Send + Sync {
    move |api| Behaviour::failing(fault(silent(api) + parts))
}

fn cut(bytes: usize) -> Fault {
    Fault::CutAfter { bytes }
}

fn limited(retry_after: Option<&str>) -> Fault {
    let retry_after = retry_after.map(str::to_owned);
    Fault::RateLimited { retry_after }
}

/// A refusal with one more header.
fn refusal(status: u16, header: (&str, &str), body: &str) -> Fault {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let kind = ("content-type", "application/json");
    Fault::Raw {
        status,
        headers: [header, kind].map(owned).into(),
        body: body.to_owned(),
    }
}

/// A second from now, as HTTP writes it.
fn in_a_second() -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
    then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn counting(tokens: Tokens) -> impl Fn(Api) -> Behaviour + Send + Sync {
    move |_| Behaviour {
        tokens: Some(tokens),
        ..Behaviour::default()
    }
}

/// Makes an answer say where it was made.
fn made_in(place: &'static str) -> impl Fn(Api) -> Behaviour + Send + Sync {
    move |_| Behaviour {
        inference_geo: Some(place.to_owned()),
        ..Behaviour::default()
    }
}

/// What Anthropic's has that broke off: three tokens in, which it told, and the twenty that were asked for out.
const TOLD: &[Bill] = &[Most(3 + 20 * 4)];
const TOO_LONG: &str = r#"{"error": {"code": "context_length_exceeded", "message": "m", "type": "invalid_request_error"}}"#;
const PROMPT_TOO_LONG: &str = r#"{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}}"#;
const NO_CREDIT: &str = r#"{"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}}"#;
const BUSY: &str = r#"{"type": "error", "error": {"type": "overloaded_error", "message": "m"}}"#;
const BROKEN: &str = r#"{"error": {"type": "server_error", "message": "m"}}"#;
const CALL: &str = "\"weather:{\"city\": \"Zürich\", \"days\": 2}\" (ToolCalls)";
const DENSE_CALL: &str = "\"weather:{\"city\":\"Zürich\",\"days\":2}\" (ToolCalls)";
const HTML: &str = "<html>bad gateway</html>";
const NO_HEADER: (&str, &str) = ("x-nothing", "1");

fn with_tool(question: &mut Question) {
    let schema = json!({"type": "object"});
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": schema}});
    question.conversation.tools = vec![tool.as_object().cloned().unwrap()];
    question.tool_choice = Some(json!("required"));
}

fn answers() -> Vec<Case> {
    vec![
        row("an answer", BOTH, EITHER),
        row("an answer cut to what was asked for", BOTH, EITHER)
            .ask(|question| question.max_tokens = Some(2))
            .is("\"You said: \" (Length)", 1, &[Measured(3 + 8)]),
        row("an answer ended by a text", BOTH, EITHER)
            .ask(|question| question.stop = vec!["two".to_owned()])
            .is("\"You said: one \"", 1, &[Measured(3 + 12)]),
        row("a call of a tool, in parts", BOTH, STREAM)
            .ask(with_tool)
            .is(CALL, 1, &[Measured(3 + 28)]),
        row("a call of a tool", OPENAI, WHOLE)
            .ask(with_tool)
            .is(CALL, 1, &[Measured(3 + 28)]),
        row(
            "a call of a tool, whose JSON is written anew",
            ANTHROPIC,
            WHOLE,
        )
        .ask(with_tool)
        .is(DENSE_CALL, 1, &[Measured(3 + 28)]),
        row("a prompt that a cache had in part", BOTH, EITHER)
            .then(counting(Tokens {
                input: 2,
                cache_read: 4,
                output: 5,
                ..Tokens::default()
            }))
            .is(ANSWER, 1, &[Measured(2 + 2 + 20)]),
        row("thinking, which is output", BOTH, EITHER)
            .then(counting(Tokens {
                input: 3,
                output: 11,
                reasoning: 6,
                ..Tokens::default()
            }))
            .is(ANSWER, 1, &[Measured(3 + 44)]),
        row("thinking that is counted beside the output", OPENAI, EITHER)
            .then(counting(Tokens {
                input: 3,
                output: 5,
                reasoning: 20,
                ..Tokens::default()
            }))
            .is(ANSWER, 1, &[Measured(3 + 100)]),
        row(
            "an address of a region, which is dearer by a tenth",
            OPENAI,
            EITHER,
        )
        .ask(|question| question.model = "eu/gpt-test".to_owned())
        .is(ANSWER, 1, &[Measured(25)]),
        row(
            "an answer that was made in a region, which is dearer by a tenth",
            ANTHROPIC,
            EITHER,
        )
        .then(made_in("us"))
        .is(ANSWER, 1, &[Measured(25)]),
        row(
            "an answer of a region's that was made anywhere",
            ANTHROPIC,
            EITHER,
        )
        .ask(|question| question.model = "us/claude-test".to_owned())
        .then(made_in("global")),
        row("a dearer tier than was asked for", OPENAI, EITHER)
            .then(|_| Behaviour {
                service_tier: Some("priority".to_owned()),
                ..Behaviour::default()
            })
            .is(ANSWER, 1, &[Measured(2 * 23)]),
        row("more tokens than the bound has", BOTH, EITHER)
            .then(counting(Tokens {
                input: 5_000,
                output: 5,
                ..Tokens::default()
            }))
            .is(ANSWER, 1, &[Overrun(5_000 + 20)]),
        row("no tokens told", BOTH, EITHER)
            .fault(Fault::NoUsage)
            .is(ANSWER, 1, &[Bound]),
        row("no text at all", BOTH, EITHER)
            .then(|_| Behaviour {
                text: Some(String::new()),
                ..Behaviour::default()
            })
            .is("", 1, &[Measured(3)]),
        row("a ceiling in place of a price", OPENAI, EITHER)
            .ask(|question| question.model = "spare/any".to_owned()),
        row("a server that is free", OPENAI, EITHER)
            .ask(|question| question.model = "free/any".to_owned())
            .is(ANSWER, 1, &[Measured(0)]),
    ]
}

fn refusals_before_anything() -> Vec<Case> {
    vec![
        row("a model that nobody has", BOTH, EITHER)
            .ask(|question| question.model = "nobody".to_owned())
            .is("UnknownModel", 0, &[]),
        row("a model without a price", OPENAI, EITHER)
            .ask(|question| question.model = "unpriced/any".to_owned())
            .is("NoPrice", 0, &[]),
        row("a model of a seller's that the table lacks", OPENAI, EITHER)
            .ask(|question| question.model = "openai/gpt-new".to_owned())
            .is("NoPrice", 0, &[]),
        row("a retired model", OPENAI, EITHER)
            .ask(|question| question.model = "gpt-retired".to_owned())
            .is("Retired", 0, &[]),
        row("a retired model of the other's", ANTHROPIC, EITHER)
            .ask(|question| question.model = "claude-retired".to_owned())
            .is("Retired", 0, &[]),
        row("a temperature that the model does not take", OPENAI, EITHER)
            .ask(|question| {
                question.model = "gpt-cool".to_owned();
                question.temperature = Some(0.5);
            })
            .is("Unfit", 0, &[]),
        row("more tokens than the model can answer with", BOTH, EITHER)
            .ask(|question| question.max_tokens = Some(1_001))
            .is("Unfit", 0, &[]),
        row("a budget that has less", BOTH, EITHER)
            .setup(|setup| setup.budget = 40)
            .is("Budget", 0, &[]),
        row("what the API has no form for", ANTHROPIC, EITHER)
            .ask(|question| question.response_format = Some(json!({"type": "json_object"})))
            .is("Unsendable", 0, &[FREE]),
    ]
}

fn refusals() -> Vec<Case> {
    vec![
        row("429, come again at once", BOTH, EITHER)
            .fault(limited(Some("0")))
            .is(ANSWER, 2, &[COST]),
        row("429, come again in milliseconds", BOTH, EITHER)
            .fault(refusal(429, ("retry-after-ms", "30"), HTML))
            .is(ANSWER, 2, &[COST]),
        row("429, come again at a time", BOTH, STREAM)
            .then(|_| Behaviour::failing(limited(Some(&in_a_second()))))
            .is(ANSWER, 2, &[COST]),
        row("429, come again at a time that has passed", BOTH, STREAM)
            .fault(limited(Some("Thu, 26 Nov 2020 12:00:00 GMT")))
            .is(ANSWER, 2, &[COST]),
        row("429, come again in an hour", BOTH, EITHER)
            .fault(limited(Some("3600")))
            .is("RateLimited", 1, &[FREE]),
        row("429, nobody says when", OPENAI, EITHER)
            .fault(limited(None))
            .is(ANSWER, 2, &[COST]),
        row(
            "429 without a time is a limit of spending",
            ANTHROPIC,
            EITHER,
        )
        .fault(limited(None))
        .is("QuotaExhausted", 1, &[FREE]),
        row("429 three times", BOTH, EITHER)
            .fault(limited(Some("0")))
            .fault(limited(Some("0")))
            .fault(limited(Some("0")))
            .is("RateLimited", 3, &[FREE]),
        row("429, no credit left", BOTH, EITHER)
            .fault(Fault::QuotaExhausted)
            .is("QuotaExhausted", 1, &[FREE]),
        row("400, no credit left", ANTHROPIC, EITHER)
            .fault(refusal(400, NO_HEADER, NO_CREDIT))
            .is("QuotaExhausted", 1, &[FREE]),
        row("400", BOTH, EITHER)
            .status(400, 1)
            .is("Invalid", 1, &[FREE]),
        row("400, turns too long", OPENAI, EITHER)
            .fault(refusal(400, NO_HEADER, TOO_LONG))
            .is("TooLarge", 1, &[FREE]),
        row("400, prompt too long", ANTHROPIC, EITHER)
            .fault(refusal(400, NO_HEADER, PROMPT_TOO_LONG))
            .is("TooLarge", 1, &[FREE]),
        row("401", BOTH, EITHER)
            .status(401, 1)
            .is("Authentication", 1, &[FREE]),
        row("402", BOTH, EITHER)
            .status(402, 1)
            .is("QuotaExhausted", 1, &[FREE]),
        row("403", BOTH, EITHER)
            .status(403, 1)
            .is("Permission", 1, &[FREE]),
        row("404", BOTH, EITHER)
            .status(404, 1)
            .is("NotFound", 1, &[FREE]),
        row("413", BOTH, EITHER)
            .status(413, 1)
            .is("TooLarge", 1, &[FREE]),
        row("422", BOTH, EITHER)
            .status(422, 1)
            .is("Invalid", 1, &[FREE]),
        row("408, then an answer", BOTH, EITHER)
            .status(408, 1)
            .is(ANSWER, 2, &[COST]),
        row("409, then an answer", BOTH, EITHER)
            .status(409, 1)
            .is(ANSWER, 2, &[COST]),
        row("500, then an answer", BOTH, EITHER)
            .status(500, 1)
            .is(ANSWER, 2, &[COST]),
        row("500 twice, then an answer", BOTH, EITHER)
            .status(500, 2)
            .is(ANSWER, 3, &[COST]),
        row("500 three times", BOTH, EITHER)
            .status(500, 3)
            .is("Server", 3, &[FREE]),
        row("500 of a proxy's, then an answer", BOTH, EITHER)
            .fault(refusal(500, NO_HEADER, HTML))
            .is(ANSWER, 2, &[COST]),
        row("500, do not ask again", BOTH, EITHER)
            .fault(refusal(500, ("x-should-retry", "false"), "{}"))
            .is("Server", 1, &[FREE]),
        row("501", BOTH, EITHER)
            .status(501, 1)
            .is("Server", 1, &[FREE]),
        row("501, do ask again", BOTH, EITHER)
            .fault(refusal(501, ("x-should-retry", "true"), "{}"))
            .is(ANSWER, 2, &[COST]),
        row("502, then an answer", BOTH, EITHER)
            .status(502, 1)
            .is(ANSWER, 2, &[COST]),
        row("503, then an answer", BOTH, EITHER)
            .status(503, 1)
            .is(ANSWER, 2, &[COST]),
        row("504, then an answer", BOTH, EITHER)
            .status(504, 1)
            .is(ANSWER, 2, &[COST]),
        row("529, then an answer", BOTH, EITHER)
            .status(529, 1)
            .is(ANSWER, 2, &[COST]),
        row("529 three times", BOTH, EITHER)
            .status(529, 3)
            .is("Overloaded", 3, &[FREE]),
        row("a redirect is not followed", BOTH, EITHER)
            .fault(refusal(302, ("location", "/mock/exchanges"), ""))
            .is("Protocol", 1, &[Bound]),
    ]
}

fn broken_answers() -> Vec<Case> {
    let error = |events| Fault::ErrorAfter { events };
    let end = |events| Fault::EndAfter { events };
    let malformed = |events| Fault::MalformedAfter { events };
    let broken = |events| Fault::BreakAfter { events };
    vec![
        row("an error after 200, before a word", BOTH, STREAM)
            .then(after_parts(0, error))
            .is(ANSWER, 2, &[Bound, COST]),
        row("an error after 200, after two words", OPENAI, STREAM)
            .then(after_parts(2, error))
            .is("\"You said: \" then Interrupted(Server)", 1, &[Bound]),
        row("`overloaded_error` after two words", ANTHROPIC, STREAM)
            .then(after_parts(2, error))
            .is("\"You said: \" then Interrupted(Overloaded)", 1, TOLD),
        row("200 with an error in place of an answer", OPENAI, WHOLE)
            .fault(refusal(200, NO_HEADER, BROKEN))
            .is(ANSWER, 2, &[Bound, COST]),
        row("200 with what is no answer", ANTHROPIC, WHOLE)
            .fault(refusal(200, NO_HEADER, BUSY))
            .is("Protocol", 1, &[Bound]),
        row("cut off before a byte, then an answer", BOTH, EITHER)
            .fault(cut(0))
            .is(ANSWER, 2, &[Bound, COST]),
        row("cut off before a word, then an answer", BOTH, STREAM)
            .fault(cut(60))
            .is(ANSWER, 2, &[Bound, COST]),
        row("cut off after two words", BOTH, STREAM)
            .then(after_parts(2, broken))
            .is("\"You said: \" then Interrupted(Connection)", 1, &[Bound])
            .anthropic(TOLD),
        plain(row(
            "cut off after two words, of a model that does not think",
            ANTHROPIC,
            STREAM,
        ))
        .then(after_parts(2, broken))
        .is(
            "\"You said: \" then Interrupted(Connection)",
            1,
            // As many tokens as bytes came, and what may have been on its way.
            &[Most(3 + (10 + 64) * 4)],
        ),
        plain(row(
            "a line of five megabytes, of a model that does not think",
            BOTH,
            STREAM,
        ))
        .fault(Fault::HugeLine { bytes: 5 << 20 })
        .is("Protocol", 1, &[Bound]),
        row("cut off before a word, three times", BOTH, EITHER)
            .fault(cut(0))
            .fault(cut(0))
            .fault(cut(0))
            .is("Connection", 3, &[Bound; 3]),
        row("an end before a word, then an answer", BOTH, STREAM)
            .then(after_parts(0, end))
            .is(ANSWER, 2, &[Bound, COST]),
        row("an end after two words", BOTH, STREAM)
            .then(after_parts(2, end))
            .is("\"You said: \" then Interrupted(Connection)", 1, &[Bound])
            .anthropic(TOLD),
        row("no end mark, but all that it stands for", OPENAI, STREAM)
            .fault(Fault::EndAfter { events: 8 })
            .is(ANSWER, 1, &[COST]),
        row("no JSON before a word", BOTH, STREAM)
            .then(after_parts(0, malformed))
            .is("Protocol", 1, &[Bound]),
        row("no JSON after two words", BOTH, STREAM)
            .then(after_parts(2, malformed))
            .is("\"You said: \" then Interrupted(Protocol)", 1, &[Bound])
            .anthropic(TOLD),
        row("half an answer", BOTH, WHOLE)
            .fault(Fault::MalformedAfter { events: 0 })
            .is("Protocol", 1, &[Bound]),
        row("a line of five megabytes", BOTH, STREAM)
            .fault(Fault::HugeLine { bytes: 5 << 20 })
            .is("Protocol", 1, &[Bound]),
        row("an answer of another type", BOTH, EITHER)
            .fault(Fault::ContentType {
                value: "text/html".to_owned(),
            })
            .is("Protocol", 1, &[Bound]),
    ]
}

fn slow_answers() -> Vec<Case> {
    let stall = |events| Fault::StallAfter { events };
    const NEVER_MS: u64 = 3_600_000;
    const SHORT: Duration = Duration::from_millis(300);
    let slow = |_: Api| Behaviour {
        head_ms: NEVER_MS,
        ..Behaviour::default()
    };
    vec![
        row("a slow head, then an answer", BOTH, STREAM)
            .setup(|setup| setup.policy.timeouts.first_byte = SHORT)
            .then(slow)
            .is(ANSWER, 2, &[Bound, COST]),
        row("no head three times", BOTH, STREAM)
            .setup(|setup| setup.policy.timeouts.first_byte = SHORT)
            .then(slow)
            .then(slow)
            .then(slow)
            .is("Timeout(FirstByte)", 3, &[Bound; 3]),
        row(
            "a slow head, of the only model of an alias that is not retired",
            OPENAI,
            STREAM,
        )
        .setup(|setup| setup.policy.timeouts.first_byte = SHORT)
        .ask(|question| question.model = "retired-next".to_owned())
        .then(slow)
        .is(ANSWER, 2, &[Bound, COST]),
        row("no answer in all the time there is", BOTH, WHOLE)
            .setup(|setup| {
                setup.policy.timeouts.total = SHORT;
            })
            .then(slow)
            .is("Timeout(Total)", 1, &[Bound]),
        row(
            "no head in half the time there is, then an answer",
            BOTH,
            STREAM,
        )
        .setup(|setup| {
            setup.policy.timeouts.total = 2 * SHORT;
        })
        .then(slow)
        .is(ANSWER, 2, &[Bound, COST]),
        row("no answer while its caller waits", BOTH, WHOLE)
            .ask(|question| question.answer_by = Some(Instant::now() + SHORT))
            .then(slow)
            .is("Timeout(Total)", 1, &[Bound]),
        plain(row(
            "silence before a word, of a model that does not think",
            BOTH,
            STREAM,
        ))
        .setup(|setup| setup.policy.timeouts.first_byte = SHORT)
        .then(slow)
        .is(ANSWER, 2, &[Bound, COST]),
        plain(row(
            "silence after two words, of a model that does not think",
            BOTH,
            STREAM,
        ))
        .setup(|setup| setup.policy.timeouts.idle = SHORT)
        .then(after_parts(2, stall))
        .is(
            "\"You said: \" then Interrupted(Timeout(Idle))",
            1,
            &[Bound],
        )
        .anthropic(&[Most(3 + 500 * 4)]),
        row("silence before a word, then an answer", BOTH, STREAM)
            .setup(|setup| setup.policy.timeouts.idle = SHORT)
            .then(after_parts(0, stall))
            .is(ANSWER, 2, &[Bound, COST]),
        row("silence after two words", BOTH, STREAM)
            .setup(|setup| setup.policy.timeouts.idle = SHORT)
            .then(after_parts(2, stall))
            .is(
                "\"You said: \" then Interrupted(Timeout(Idle))",
                1,
                &[Bound],
            )
            .anthropic(TOLD),
    ]
}

/// Asks a model that does not think for more than can have been on its way.
fn plain(row: Case) -> Case {
    row.ask(|question| {
        question.max_tokens = Some(500);
        question.model = match question.model.as_str() {
            "gpt-test" => "gpt-plain".to_owned(),
            _ => "claude-plain".to_owned(),
        };
    })
}

fn chains() -> Vec<Case> {
    let error = |events| Fault::ErrorAfter { events };
    let silence = |_: Api| Behaviour {
        head_ms: 3_600_000,
        ..Behaviour::default()
    };
    fn chain(row: Case) -> Case {
        row.ask(|question| {
            question.model = match question.model.as_str() {
                "gpt-test" => "openai-first".to_owned(),
                _ => "anthropic-first".to_owned(),
            };
        })
    }
    vec![
        chain(row("a chain whose first answers", BOTH, EITHER)),
        chain(row("a chain whose first fails", BOTH, EITHER))
            .status(500, 3)
            .is(ANSWER, 4, &[FREE, COST]),
        chain(row("a chain whose first has no credit", BOTH, EITHER))
            .fault(Fault::QuotaExhausted)
            .is(ANSWER, 2, &[FREE, COST]),
        chain(row(
            "a chain whose first does not take the key",
            BOTH,
            EITHER,
        ))
        .status(401, 1)
        .is(ANSWER, 2, &[FREE, COST]),
        chain(row(
            "a chain whose first is overloaded before a word",
            BOTH,
            STREAM,
        ))
        .then(after_parts(0, error))
        .then(after_parts(0, error))
        .then(after_parts(0, error))
        .is(ANSWER, 4, &[Bound, Bound, Bound, COST]),
        chain(row("a chain whose first says nothing", BOTH, STREAM))
            .setup(|setup| setup.policy.timeouts.first_byte = Duration::from_millis(300))
            .then(silence)
            .is(ANSWER, 2, &[Bound, COST]),
        row("a chain whose first takes no temperature", OPENAI, EITHER).ask(|question| {
            question.model = "cool-first".to_owned();
            question.temperature = Some(0.5);
        }),
        row("a chain whose first cannot say so much", OPENAI, EITHER).ask(|question| {
            question.model = "cool-first".to_owned();
            question.max_tokens = Some(60);
        }),
        chain(row(
            "a chain whose first breaks off after a word",
            OPENAI,
            STREAM,
        ))
        .then(after_parts(1, error))
        .is("\"You \" then Interrupted(Server)", 1, &[Bound]),
        chain(row("a chain that fails to its end", BOTH, EITHER))
            .status(500, 6)
            .is("Server", 6, &[FREE; 2]),
        chain(row("a chain with a question that is none", BOTH, EITHER))
            .status(400, 1)
            .is("Invalid", 1, &[FREE]),
        row("a server that is not there", OPENAI, EITHER)
            .ask(|question| question.model = "gone/any".to_owned())
            .is("Connection", 0, &[FREE]),
        row("a chain whose first is not there", OPENAI, EITHER)
            .ask(|question| question.model = "gone-first".to_owned())
            .is(ANSWER, 1, &[FREE, COST]),
    ]
}

fn all() -> Vec<Case> {
    [
        answers(),
        refusals_before_anything(),
        refusals(),
        broken_answers(),
        slow_answers(),
        chains(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const BEGIN: &str = "<!-- Generated from crates/commercial/tests/faults/table.rs; `UPDATE_EXPECT=1 cargo test -p llmopt-commercial --test faults` writes it anew. -->\n";
const END: &str = "<!-- End of what is generated. -->\n";

#[test]
fn the_table_is_in_the_documentation() {
    let page = include_str!("../../../../docs/COMMERCIAL.md");
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let rows: Vec<String> = all().iter().map(Case::to_string).collect();
    let head = "| what happens | API | delivery | its caller gets | calls | billed |\n|---|---|---|---|---|---|";
    let text = format!(
        "{before}{BEGIN}\n{head}\n{}\n\n{END}{after}",
        rows.join("\n")
    );
    expect_file!["../../../../docs/COMMERCIAL.md"].assert_eq(&text);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_has_its_answer_its_calls_and_its_bill() {
    let cases = all();
    let tried = stream::iter(&cases).map(Case::wrong).buffer_unordered(8);
    let wrong: Vec<String> = tried.collect::<Vec<_>>().await.concat();
    let ways: usize = cases.iter().map(Case::ways).sum();
    println!("{} rows, tried in {ways} ways", cases.len());
    assert!(cases.len() >= 40);
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
