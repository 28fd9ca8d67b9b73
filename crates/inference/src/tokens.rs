use std::ops::ControlFlow;

use llmopt_llama::{Cancelled, Context, LlamaError};
use llmopt_service::FinishReason;

use crate::{sampler::Sampler, turn::Turns};

/// Tokens of a prompt that are decoded at once. Always the same, because the order of sums in a
/// product depends on it; larger ones are not faster, and hold up other models for longer.
pub(crate) const BATCH_TOKENS: u32 = 64;

/// Why tokens end without the caller's wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The model's end token, or the caller, or the limit.
    Finished(FinishReason),
    /// Nobody wants more.
    Cancelled,
}

/// What tokens are generated from.
pub(crate) struct TokenRequest<'a> {
    /// At least one token.
    pub(crate) prompt: &'a [u32],
    pub(crate) sampler: Sampler,
    /// Tokens that may be chosen: those with a lower id.
    pub(crate) vocabulary: usize,
    pub(crate) end_token: u32,
    /// Tokens at most.
    pub(crate) limit: usize,
    pub(crate) cancelled: Cancelled<'a>,
    pub(crate) turns: &'a Turns,
}

/// Generates tokens and gives each to `take`, the end token too, until one of them ends it.
///
/// The context is cleared before: what comes depends on the request alone.
pub(crate) fn generate<E: From<LlamaError>>(
    context: &mut Context,
    mut request: TokenRequest<'_>,
    mut take: impl FnMut(u32) -> Result<ControlFlow<FinishReason>, E>,
) -> Result<End, E> {
    context.clear();
    let mut next = match prefill(context, &mut request) {
        Err(LlamaError::Cancelled) => return Ok(End::Cancelled),
        token => token?,
    };
    for count in 1..=request.limit {
        if let ControlFlow::Break(reason) = take(next)? {
            return Ok(End::Finished(reason));
        }
        if next == request.end_token {
            return Ok(End::Finished(FinishReason::Stop));
        }
        if count < request.limit {
            next = match step(context, &[next], &mut request) {
                Err(LlamaError::Cancelled) => return Ok(End::Cancelled),
                token => token?,
            };
        }
    }
    Ok(End::Finished(FinishReason::Length))
}

/// Decodes the prompt and chooses the token after it.
fn prefill(context: &mut Context, request: &mut TokenRequest<'_>) -> Result<u32, LlamaError> {
    let last =
        request.prompt.len().saturating_sub(1) / BATCH_TOKENS as usize * BATCH_TOKENS as usize;
    let (before, last) = request.prompt.split_at(last);
    for batch in before.chunks(BATCH_TOKENS as usize) {
        let _turn = request.turns.take();
        context.decode(batch, request.cancelled)?;
    }
    step(context, last, request)
}

fn step(
    context: &mut Context,
    batch: &[u32],
    request: &mut TokenRequest<'_>,
) -> Result<u32, LlamaError> {
    let turn = request.turns.take();
    if (request.cancelled)() {
        return Err(LlamaError::Cancelled);
    }
    let logits = context.decode(batch, request.cancelled)?;
    drop(turn);
    let known = logits.get(..request.vocabulary).unwrap_or(logits);
    Ok(request.sampler.next(known))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::{Path, PathBuf};

    use llmopt_artifact::{AdapterFolder, ModelFolder};
    use llmopt_gguf::{WeightType, write_adapter, write_model};
    use llmopt_llama::{Adapter, ContextOptions, Gelu, Model};
    use llmopt_service::Sampling;
    use serde::Deserialize;

    use super::*;

    /// What transformers and peft generated at temperature 0.
    #[derive(Deserialize)]
    struct Greedy {
        max_new_tokens: usize,
        eos_token_id: u32,
        base: Vec<Row>,
        lora: Vec<Row>,
    }

    #[derive(Deserialize)]
    struct Row {
        prompt_ids: Vec<u32>,
        generated_ids: Vec<u32>,
    }

    fn fixture(name: &str) -> PathBuf {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/tests/fixtures");
        fixtures.join(name)
    }

    fn greedy() -> Greedy {
        let json = std::fs::read_to_string(fixture("greedy.json")).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    fn model(weights: WeightType) -> Context {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        let model = ModelFolder::open(&fixture("tiny-gpt2")).unwrap();
        write_model(&model, model.path(), weights, &path).unwrap();
        let model = Model::load(&path).unwrap();
        let context_tokens = model.context_tokens();
        let options = ContextOptions {
            context_tokens,
            batch_tokens: BATCH_TOKENS.min(context_tokens),
            threads: 1,
            gelu: match weights {
                WeightType::F32 => Gelu::Exact,
                WeightType::F16 | WeightType::Q8_0 => Gelu::Table,
            },
        };
        Context::new(model, options).unwrap()
    }

    fn put_adapter(context: &mut Context) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adapter.gguf");
        write_adapter(&AdapterFolder::open(&fixture("tiny-lora")).unwrap(), &path).unwrap();
        let adapter = Adapter::load(context.model(), &path).unwrap();
        context.set_adapter(Some(adapter)).unwrap();
    }

    fn answer(context: &mut Context, prompt: &[u32], greedy: &Greedy) -> Vec<u32> {
        let sampling = Sampling {
            max_tokens: 1,
            temperature: 0.0,
            top_p: 1.0,
            stop: Vec::new(),
            seed: 0,
        };
        let request = TokenRequest {
            prompt,
            sampler: Sampler::new(&sampling),
            vocabulary: usize::MAX,
            end_token: greedy.eos_token_id,
            limit: greedy.max_new_tokens.min(96 - prompt.len()),
            cancelled: &|| false,
            turns: &Turns::new(NonZeroU32::MIN),
        };
        let mut ids = Vec::new();
        let end = generate::<LlamaError>(context, request, |token| {
            ids.push(token);
            Ok(ControlFlow::Continue(()))
        });
        assert!(matches!(end, Ok(End::Finished(_))));
        ids
    }

    fn check(context: &mut Context, rows: &[Row], greedy: &Greedy) {
        assert_eq!(rows.len(), 20);
        for row in rows {
            let found = answer(context, &row.prompt_ids, greedy);
            assert_eq!(found, row.generated_ids);
        }
    }

    #[test]
    fn greedy_tokens_are_those_of_transformers() {
        let greedy = greedy();
        check(&mut model(WeightType::F32), &greedy.base, &greedy);
    }

    #[test]
    fn a_prompt_of_several_batches_goes_on_as_it_was_generated() {
        let greedy = Greedy {
            max_new_tokens: 60,
            ..greedy()
        };
        let mut context = model(WeightType::F32);
        for row in &greedy.base {
            let whole = answer(&mut context, &row.prompt_ids, &greedy);
            let (before, after) = whole.split_at(50);
            let prompt = [&row.prompt_ids, before].concat();
            assert!(prompt.len() > BATCH_TOKENS as usize);
            let found = answer(&mut context, &prompt, &greedy);
            assert_eq!(found[..after.len()], *after);
        }
    }

    #[test]
    fn greedy_tokens_with_an_adapter_are_those_of_peft() {
        let greedy = greedy();
        let mut context = model(WeightType::F32);
        put_adapter(&mut context);
        check(&mut context, &greedy.lora, &greedy);
        context.set_adapter(None).unwrap();
        check(&mut context, &greedy.base, &greedy);
    }
}
