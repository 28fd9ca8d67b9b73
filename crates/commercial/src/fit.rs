//! What a model is known to refuse: who is asked for it would answer with an error, and so it is not.

use llmopt_prices::Refusal;
use serde_json::Value;

use crate::{CommercialError, Question, catalog::Candidate};

impl Candidate {
    /// Refuses a question that the model is known to answer with an error.
    pub(crate) fn check(&self, question: &Question) -> Result<(), CommercialError> {
        let problem = self
            .too_many_tokens(question)
            .or_else(|| self.refused(question));
        match problem {
            None => Ok(()),
            Some(problem) => Err(CommercialError::Unfit {
                model: self.model.clone(),
                problem,
            }),
        }
    }

    fn too_many_tokens(&self, question: &Question) -> Option<String> {
        let most = self.max_output_tokens?;
        let wanted = question.max_tokens.map(u64::from)?;
        (wanted > most).then(|| {
            format!("it answers with {most} tokens at most: expected `max_tokens` up to that, found {wanted}")
        })
    }

    fn refused(&self, question: &Question) -> Option<String> {
        let rejects = |refusal| self.rejects.contains(&refusal);
        let own = [
            ("temperature", question.temperature),
            ("top_p", question.top_p),
        ];
        // 1 is what it does anyway.
        let own = own
            .into_iter()
            .find(|(_, value)| value.is_some_and(|value| value != 1.0));
        if let Some((name, _)) = own.filter(|_| rejects(Refusal::SamplingParameters)) {
            return Some(format!("it takes no `{name}`: leave it out"));
        }
        let is_forced = question.tool_choice.as_ref().is_some_and(forces);
        (is_forced && rejects(Refusal::ForcedToolUse)).then(|| {
            "it cannot be made to use a tool: expected `tool_choice` to be `auto` or `none`, or to be left out"
                .to_owned()
        })
    }
}

/// Returns whether a tool has to be used.
fn forces(choice: &Value) -> bool {
    let kind = choice.as_str().or_else(|| choice.get("type")?.as_str());
    !matches!(kind, Some("auto" | "none"))
}
