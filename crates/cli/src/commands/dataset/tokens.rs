use std::path::PathBuf;

use clap::Args;
use llmopt_dataset::read_samples;
use llmopt_domain::{Conversation, Lesson, Message, Sample};
use llmopt_service::{open_encoder, token_statistics};
use serde::Serialize;
use tiktoken_rs::{
    CoreBPE, cl100k_base_singleton, o200k_base_singleton,
    tokenizer::{Tokenizer, get_tokenizer},
};

use crate::{
    commands::columns::ColumnFlags,
    context::Context,
    failure::Failure,
    output::{Output, count_text},
};

/// Counts the tokens of a dataset as a provider's model does, or a model of one's own.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt dataset tokens orders.jsonl
  llmopt dataset tokens orders.jsonl --model cl100k --json
  llmopt dataset tokens orders.jsonl --model claude-sonnet-4-5
  llmopt dataset tokens orders.jsonl --model distilgpt2

For OpenAI's models the count is exact for messages of text; what tools add is an estimate, because how they
are rendered is not published. Anthropic publishes no tokenizer: the count is an estimate, one token for every
3.5 characters.")]
pub(crate) struct TokensArguments {
    /// The dataset
    file: PathBuf,
    #[command(flatten)]
    columns: ColumnFlags,
    /// A model of OpenAI's or Anthropic's; `o200k` or `cl100k`; or a folder, a published model, or a Hub name
    #[arg(long, default_value = "gpt-4o")]
    model: String,
}

/// What a dataset comes to.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Counted {
    model: String,
    /// What it was counted with.
    tokenizer: &'static str,
    /// Whether it is what the model's owner counts.
    is_exact: bool,
    rows: u64,
    /// Those with tools or calls of tools, whose tokens are estimated.
    tool_rows: u64,
    tokens: u64,
    longest: u64,
}

/// How tokens are counted where there is no model's folder to count with.
enum Counter {
    /// OpenAI's byte pairs.
    OpenAi(&'static str, &'static CoreBPE),
    /// By the number of characters.
    Anthropic,
}

pub(super) async fn run(context: &mut Context, arguments: &TokensArguments) -> Result<(), Failure> {
    let counted = match Counter::of(&arguments.model)? {
        Some(counter) => counter.count(arguments)?,
        None => count_own(context, arguments).await?,
    };
    match context.output.is_json() {
        true => context.output.json(&counted),
        false => show(&mut context.output, &counted),
    }
}

/// Counts with the tokenizer and the template of a model's folder, as training does.
async fn count_own(context: &Context, arguments: &TokensArguments) -> Result<Counted, Failure> {
    let store = context.store()?;
    let model = context.resolve(&store, &arguments.model).await?;
    let encoder = open_encoder(&model, None)?;
    let statistics = token_statistics(
        &arguments.file,
        &arguments.columns.options(),
        &encoder,
        usize::MAX,
    )?;
    Ok(Counted {
        model: arguments.model.clone(),
        tokenizer: "the model's own",
        is_exact: true,
        rows: statistics.rows,
        tool_rows: 0,
        tokens: statistics.tokens,
        longest: statistics.row.max as u64,
    })
}

impl Counter {
    /// Returns how `model` counts; `None` where it is no name of a provider's.
    fn of(model: &str) -> Result<Option<Self>, Failure> {
        // A model that was fine-tuned is called `ft:`, its base, and more.
        let base = model.strip_prefix("ft:").unwrap_or(model);
        let base = base.split(':').next().unwrap_or_default();
        let o200k = || Self::OpenAi("o200k_base", o200k_base_singleton());
        let cl100k = || Self::OpenAi("cl100k_base", cl100k_base_singleton());
        Ok(match base {
            "o200k" | "o200k_base" => Some(o200k()),
            "cl100k" | "cl100k_base" => Some(cl100k()),
            name if name.starts_with("claude-") => Some(Self::Anthropic),
            // The folders of these are on the Hub, and have a template of their own.
            "gpt2" => None,
            name => match get_tokenizer(name) {
                Some(Tokenizer::O200kBase | Tokenizer::O200kHarmony) => Some(o200k()),
                Some(Tokenizer::Cl100kBase) => Some(cl100k()),
                Some(_) => {
                    return Err(Failure::input(format!("`{name}` takes no messages"))
                        .next("name a model of chats, such as `gpt-4o`"));
                }
                None => None,
            },
        })
    }

    fn count(&self, arguments: &TokensArguments) -> Result<Counted, Failure> {
        let (tokenizer, is_exact) = match self {
            Self::OpenAi(name, _) => (*name, true),
            Self::Anthropic => ("characters / 3.5", false),
        };
        let mut counted = Counted {
            model: arguments.model.clone(),
            tokenizer,
            is_exact,
            rows: 0,
            tool_rows: 0,
            tokens: 0,
            longest: 0,
        };
        let failed = |error| Failure::input_from(&error);
        for row in read_samples(&arguments.file, &arguments.columns.options()).map_err(failed)? {
            let (_, sample) = row.map_err(failed)?;
            let tokens = self.sample(&sample);
            counted.rows += 1;
            counted.tool_rows += u64::from(has_tools(&sample.conversation));
            counted.tokens += tokens;
            counted.longest = counted.longest.max(tokens);
        }
        counted.is_exact &= counted.tool_rows == 0;
        Ok(counted)
    }

    /// Returns the tokens of a row: of a preference, with the answer that was chosen.
    fn sample(&self, sample: &Sample) -> u64 {
        /// What asks for an answer, once in each conversation.
        const ASKING: u64 = 3;
        let turns = &sample.conversation.messages;
        if sample.lesson == Lesson::Text {
            return turns.iter().map(|turn| self.text(&turn.content)).sum();
        }
        let turns: u64 = turns.iter().map(|turn| self.message(turn)).sum();
        let tools = sample.conversation.tools.iter();
        let tools: u64 = tools.map(|tool| self.json(tool)).sum();
        turns + tools + ASKING
    }

    /// Returns the tokens of a message, as OpenAI's cookbook counts them ("How to count tokens with tiktoken").
    fn message(&self, message: &Message) -> u64 {
        /// What stands around a message.
        const FRAME: u64 = 3;
        /// What a name costs beside its text.
        const NAMING: u64 = 1;
        let name = message.name.as_deref();
        let name = name.map_or(0, |name| self.text(name) + NAMING);
        let calls = message.tool_calls.iter();
        let calls: u64 = calls
            .map(|call| self.text(&call.name) + self.json(&call.arguments) + NAMING)
            .sum();
        FRAME + self.text(message.role.as_str()) + self.text(&message.content) + name + calls
    }

    fn json(&self, value: &impl Serialize) -> u64 {
        self.text(&serde_json::to_string(value).unwrap_or_default())
    }

    fn text(&self, text: &str) -> u64 {
        match self {
            Self::OpenAi(_, tokenizer) => tokenizer.count_ordinary(text) as u64,
            // Anthropic's glossary, "Tokens": about 3.5 characters of English.
            Self::Anthropic => (text.chars().count() as u64 * 2).div_ceil(7),
        }
    }
}

fn has_tools(conversation: &Conversation) -> bool {
    let mut turns = conversation.messages.iter();
    !conversation.tools.is_empty() || turns.any(|turn| !turn.tool_calls.is_empty())
}

fn show(output: &mut Output, counted: &Counted) -> Result<(), Failure> {
    let count = match counted.is_exact {
        true => "exact",
        false => "an estimate",
    };
    output.facts(&[
        ("model", counted.model.clone()),
        ("counted with", counted.tokenizer.to_owned()),
        ("the count is", count.to_owned()),
        ("rows", count_text(counted.rows)),
        ("tokens", count_text(counted.tokens)),
        ("longest row", count_text(counted.longest)),
    ])?;
    match counted.tool_rows {
        0 => Ok(()),
        rows => output.line(format!(
            "{} rows have tools, whose tokens are estimated from their JSON",
            count_text(rows)
        )),
    }
}

#[cfg(test)]
mod tests {
    use llmopt_domain::Role;

    use super::*;

    fn counter(model: &str) -> Counter {
        Counter::of(model).unwrap().unwrap()
    }

    #[test]
    fn messages_cost_what_openai_says() {
        // The example of the cookbook's "How to count tokens with tiktoken", with what its API answered.
        let example = [
            (
                None,
                "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
            ),
            (
                Some("example_user"),
                "New synergies will help drive top-line growth.",
            ),
            (
                Some("example_assistant"),
                "Things working well together will increase revenue.",
            ),
            (
                Some("example_user"),
                "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
            ),
            (
                Some("example_assistant"),
                "Let's talk later when we're less busy about how to do better.",
            ),
        ];
        let system = example.map(|(name, text)| Message {
            name: name.map(str::to_owned),
            ..Message::new(Role::System, text)
        });
        let asked = "This late pivot means we don't have time to boil the ocean for the client deliverable.";
        let mut messages = system.to_vec();
        messages.push(Message::new(Role::User, asked));
        let sample = Sample::of_responses(Conversation::new(messages));
        for (model, tokens) in [("gpt-4-0613", 129), ("gpt-4o", 124), ("gpt-3.5-turbo", 129)] {
            assert_eq!(counter(model).sample(&sample), tokens, "{model}");
        }
    }

    #[test]
    fn text_that_spells_a_special_token_is_text() {
        assert!(counter("o200k").text("<|endoftext|>") > 1);
    }

    #[test]
    fn models_are_told_by_their_names() {
        let name = |model: &str| match Counter::of(model) {
            Ok(Some(Counter::OpenAi(name, _))) => name,
            Ok(Some(Counter::Anthropic)) => "anthropic",
            Ok(None) => "own",
            Err(_) => "refused",
        };
        for (model, expected) in [
            ("o200k", "o200k_base"),
            ("gpt-4o-mini", "o200k_base"),
            ("gpt-4.1", "o200k_base"),
            ("ft:gpt-4o-mini-2024-07-18:acme::abc", "o200k_base"),
            ("gpt-4-turbo", "cl100k_base"),
            ("claude-sonnet-4-5", "anthropic"),
            ("distilgpt2", "own"),
            ("gpt2", "own"),
            ("./my-model", "own"),
            ("base:acme/model", "own"),
            ("text-davinci-003", "refused"),
        ] {
            assert_eq!(name(model), expected, "{model}");
        }
    }

    #[test]
    fn characters_stand_for_tokens_where_no_tokenizer_is_known() {
        assert_eq!(counter("claude-opus-4-1").text("seven characters each"), 6);
    }
}
