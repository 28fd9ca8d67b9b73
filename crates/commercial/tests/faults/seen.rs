//! What a caller sees, in a few words.

use llmopt_commercial::{Answer, AnswerEvent, Commercial, CommercialError, Question, Receipt};
use llmopt_providers::{FinishReason, ProviderError};

/// All that became of a question.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What came of the answer: its text, or `name(arguments)` for each call of a tool.
    pub(crate) said: String,
    pub(crate) receipt: Option<Receipt>,
    pub(crate) error: Option<CommercialError>,
}

/// Asks, and takes in everything.
pub(crate) async fn ask(commercial: &Commercial, question: Question) -> Seen {
    match commercial.ask(question).await {
        Ok(answer) => listen(answer).await,
        Err(error) => Seen {
            error: Some(error),
            ..Seen::default()
        },
    }
}

/// Takes in everything of an answer.
pub(crate) async fn listen(mut answer: Answer) -> Seen {
    let mut seen = Seen::default();
    while let Some(event) = answer.events.recv().await {
        assert!(
            seen.receipt.is_none() && seen.error.is_none(),
            "more after the end"
        );
        match event {
            Ok(AnswerEvent::Text(text)) => {
                assert!(!text.is_empty());
                seen.said.push_str(&text);
            }
            Ok(AnswerEvent::ToolCall(part)) => {
                if let Some(name) = part.name {
                    seen.said.push_str(&format!("{name}:"));
                }
                seen.said.push_str(&part.arguments);
            }
            Ok(AnswerEvent::Finished(receipt)) => seen.receipt = Some(*receipt),
            Err(error) => seen.error = Some(error),
        }
    }
    assert!(
        seen.receipt.is_some() || seen.error.is_some(),
        "it ends without an end"
    );
    seen
}

impl Seen {
    /// Says it in a few words: `"You said: " then Interrupted(Overloaded)`.
    pub(crate) fn words(&self) -> String {
        let mut words = Vec::new();
        if !self.said.is_empty() {
            words.push(format!("\"{}\"", self.said));
        }
        if let Some(receipt) = &self.receipt
            && receipt.finish_reason != FinishReason::Stop
        {
            words.push(format!("({:?})", receipt.finish_reason));
        }
        if let Some(error) = &self.error {
            if !words.is_empty() {
                words.push("then".to_owned());
            }
            words.push(kind(error));
        }
        words.join(" ")
    }
}

/// Returns the name of an error's variant; of a provider's failure, its own.
pub(crate) fn kind(error: &CommercialError) -> String {
    match error {
        CommercialError::Provider { source, .. } => kind_of_failure(source),
        other => variant(other),
    }
}

fn kind_of_failure(error: &ProviderError) -> String {
    match error {
        ProviderError::Interrupted { cause, .. } => {
            format!("Interrupted({})", kind_of_failure(cause))
        }
        ProviderError::Timeout { phase, .. } => format!("Timeout({phase:?})"),
        other => variant(other),
    }
}

fn variant(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    let name = text.split([' ', '(', '{']).next();
    name.unwrap_or_default().to_owned()
}
