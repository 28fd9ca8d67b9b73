use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use llmopt_domain::Picodollars;
use serde_json::{Value, json};

use crate::{
    context::Context,
    failure::Failure,
    output::{Output, count_text, note},
    platform_client::{Reply, ServerFlags, problem_failure},
};

/// Asks a model, one of your own or a commercial one, and says what the answer took.
///
/// The answer goes to standard output, and what it took, in tokens and dollars, to standard error. Budgets and limits
/// hold as they do for a server.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt generate --model orders --prompt 'Two flat whites, please'
  llmopt generate --model gpt-5.6-luna --prompt 'Explain gradient descent' --max-tokens 200
  llmopt generate --model claude-haiku-5-5 --messages conversation.json --json
  cat letter.txt | llmopt generate --model openai/gpt-5.6-luna --system 'Summarise in one sentence'
  llmopt generate --model orders --prompt Hello --url https://llmopt.example.com --key-file my.key")]
pub(crate) struct GenerateArguments {
    /// Who is to answer: a model trained here, `base:NAME`, a commercial model, `PROVIDER/MODEL` or an alias
    #[arg(long)]
    model: String,
    /// What to say; where neither this nor --messages is given, standard input is read
    #[arg(long, value_name = "TEXT", conflicts_with = "messages")]
    prompt: Option<String>,
    /// The conversation so far: a JSON list of messages, each with `role` and `content`
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,
    /// Instructions before everything else
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Tokens of the answer at most
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<u32>,
    /// How freely tokens are drawn, 0 to 2
    #[arg(long)]
    temperature: Option<f64>,
    /// The share of probability that is drawn from
    #[arg(long)]
    top_p: Option<f64>,
    /// A text that ends the answer; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// What is drawn with, by models of your own: the same gives the same answer
    #[arg(long)]
    seed: Option<u64>,
    /// Write the answer as it comes, as a terminal always has it; with --json, one event a line
    #[arg(long)]
    stream: bool,
    #[command(flatten)]
    server: ServerFlags,
}

pub(super) async fn run(
    context: &mut Context,
    arguments: GenerateArguments,
) -> Result<(), Failure> {
    let streams = arguments.stream || (context.output.is_terminal() && !context.output.is_json());
    let body = body(&arguments, streams)?;
    let client = arguments.server.client(context).await?;
    let answered = async {
        let reply = client.post("/generate", &body).await?.succeeded().await?;
        if streams {
            show_stream(&mut context.output, reply).await
        } else {
            show_whole(&mut context.output, reply).await
        }
    };
    tokio::select! {
        answered = answered => return answered,
        _ = tokio::signal::ctrl_c() => {}
    }
    // The answer is given up by now.
    client.settled().await;
    Err(Failure::interrupted(
        "the answer was stopped: what was used of a commercial model is billed",
    ))
}

fn body(arguments: &GenerateArguments, streams: bool) -> Result<Value, Failure> {
    let mut messages = Vec::new();
    if let Some(system) = &arguments.system {
        messages.push(json!({ "role": "system", "content": system }));
    }
    match (&arguments.messages, &arguments.prompt) {
        (Some(path), _) => messages.extend(read_messages(path)?),
        (None, Some(prompt)) => messages.push(json!({ "role": "user", "content": prompt })),
        (None, None) => messages.push(json!({ "role": "user", "content": read_prompt()? })),
    }
    let mut body = json!({ "model_id": arguments.model, "messages": messages, "stream": streams });
    let stop = (!arguments.stop.is_empty()).then(|| json!(arguments.stop));
    for (name, value) in [
        ("max_tokens", arguments.max_tokens.map(Value::from)),
        ("temperature", arguments.temperature.map(Value::from)),
        ("top_p", arguments.top_p.map(Value::from)),
        ("seed", arguments.seed.map(Value::from)),
        ("stop", stop),
    ] {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    Ok(body)
}

fn read_messages(path: &Path) -> Result<Vec<Value>, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::input(format!("failed to read `{name}`: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::input(format!("`{name}` is no JSON list of messages: {error}"))
            .next(r#"expected `[{"role": "user", "content": "Hello"}]`"#)
    })
}

fn read_prompt() -> Result<String, Failure> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        return Err(Failure::input("there is nothing to ask")
            .next("add `--prompt TEXT` or `--messages FILE`, or give the text on standard input"));
    }
    let mut text = String::new();
    input
        .read_to_string(&mut text)
        .map_err(|error| Failure::input(format!("failed to read standard input: {error}")))?;
    if text.trim().is_empty() {
        return Err(Failure::input("standard input is empty")
            .next("add `--prompt TEXT` or `--messages FILE`, or give the text on standard input"));
    }
    Ok(text)
}

async fn show_whole(output: &mut Output, mut reply: Reply) -> Result<(), Failure> {
    let answer = reply.json().await?;
    if output.is_json() {
        return output.json(&answer);
    }
    output.part(answer["text"].as_str().unwrap_or_default())?;
    show_end(output, &answer)
}

async fn show_stream(output: &mut Output, mut reply: Reply) -> Result<(), Failure> {
    while let Some((event, data)) = reply.event().await? {
        if output.is_json() {
            output.json(&json!({ "event": event, "data": data }))?;
        } else if event == "text" {
            output.part(data["text"].as_str().unwrap_or_default())?;
        }
        match event.as_str() {
            "done" if output.is_json() => return Ok(()),
            "done" => return show_end(output, &data),
            "error" => {
                output.end_line()?;
                return Err(problem_failure(&data));
            }
            _ => {}
        }
    }
    output.end_line()?;
    Err(Failure::failed("the answer broke off").next("ask again"))
}

/// Ends the text with the tools that are to be called, and says what it took.
fn show_end(output: &mut Output, answer: &Value) -> Result<(), Failure> {
    output.end_line()?;
    for call in answer["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let arguments = function["arguments"].as_str().unwrap_or_default();
        output.line(format!("call {name} {arguments}"))?;
    }
    note(summary(answer));
    Ok(())
}

fn summary(answer: &Value) -> String {
    let (metrics, metadata) = (&answer["metrics"], &answer["metadata"]);
    let count = |name: &str| count_text(metrics[name].as_u64().unwrap_or_default());
    let cost = metadata["cost_picodollars"].as_u64();
    let cost = match cost.and_then(Picodollars::new) {
        Some(cost) => cost.to_string(),
        None => "no cost by the token".to_owned(),
    };
    let seconds = metrics["latency_ms"].as_f64().unwrap_or_default() / 1e3;
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    let mut line = format!(
        "{} of {}: {} tokens in, {} out, {cost}, {seconds:.1} s",
        text("model"),
        text("provider"),
        count("input_tokens"),
        count("output_tokens"),
    );
    match text("finish_reason") {
        "" | "stop" | "tool_calls" => {}
        "length" => line.push_str("; cut at the tokens that were allowed"),
        reason => {
            let _ = write!(line, "; ended for {reason}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(metadata: Value) -> Value {
        json!({
            "metrics": { "latency_ms": 1_250, "input_tokens": 1_015, "output_tokens": 85 },
            "metadata": metadata,
        })
    }

    #[test]
    fn a_summary_has_the_exact_cost_where_there_is_one() {
        let commercial = answer(json!({
            "model": "gpt-5.6-luna", "provider": "openai", "cost_picodollars": 305_000_000_u64,
            "finish_reason": "stop",
        }));
        assert_eq!(
            summary(&commercial),
            "gpt-5.6-luna of openai: 1,015 tokens in, 85 out, $0.000305, 1.2 s"
        );
        let ours = answer(json!({
            "model": "ft:tiny:orders:1", "provider": "llmopt", "finish_reason": "length",
        }));
        assert_eq!(
            summary(&ours),
            "ft:tiny:orders:1 of llmopt: 1,015 tokens in, 85 out, no cost by the token, 1.2 s; cut at the tokens that were allowed"
        );
    }
}
