use std::ops::ControlFlow;

use llmopt_llama::{Cancelled, Context, LlamaError};
use llmopt_service::FinishReason;

use crate::{sampler::Sampler, turn};

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
    let last = request.prompt.len().saturating_sub(1) / BATCH_TOKENS as usize * BATCH_TOKENS as usize;
    let (before, last) = request.prompt.split_at(last);
    for batch in before.chunks(BATCH_TOKENS as usize) {
        let _turn = turn::take();
        context.decode(batch, request.cancelled)?;
    }
    step(context, last, request)
}

fn step(
    context: &mut Context,
    batch: &[u32],
    request: &mut TokenRequest<'_>,
) -> Result<u32, LlamaError> {
    let turn = turn::take();
    if (request.cancelled)() {
        return Err(LlamaError::Cancelled);
    }
    let logits = context.decode(batch, request.cancelled)?;
    drop(turn);
    let known = logits.get(..request.vocabulary).unwrap_or(logits);
    Ok(request.sampler.next(known))
}
