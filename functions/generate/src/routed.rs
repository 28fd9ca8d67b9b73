use llmopt_commercial::Asker;
use llmopt_http::{Problem, now_ms};
use llmopt_prices::Day;
use llmopt_providers::Delivery;
use llmopt_service::Question;

use crate::{
    GenerateState,
    commercial::{CommercialQuestion, Naming},
    request::Asked,
};

/// A question on its way to who answers it.
#[derive(Clone)]
pub(crate) enum Routed {
    /// To a model that is here.
    Ours(Question),
    /// To a commercial one.
    Commercial(Box<CommercialQuestion>),
}

/// How an answer is to be, as the caller says: what is not said is not here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) max_tokens: Option<u32>,
    pub(crate) temperature: Option<f64>,
    pub(crate) top_p: Option<f64>,
}

impl Routed {
    /// Finds who is to answer the question of `asker`.
    ///
    /// # Errors
    /// If the question has what such a model does not take.
    pub(crate) fn of(
        state: &GenerateState,
        asked: Asked,
        asker: &Asker,
        delivery: Delivery,
    ) -> Result<Self, Problem> {
        let commercial = state.commercial.as_ref();
        let Some(commercial) = commercial.filter(|it| it.knows(asked.model())) else {
            return Ok(Self::Ours(asked.into_ours()?));
        };
        let question = asked.into_commercial(asker, delivery)?;
        Ok(Self::Commercial(Box::new(CommercialQuestion {
            commercial: commercial.clone(),
            question,
            naming: Naming::Drawn,
        })))
    }

    /// Returns who is likely to answer, if that is not us.
    pub(crate) fn provider(&self) -> Option<String> {
        let Self::Commercial(asked) = self else {
            return None;
        };
        let today = Day::of_unix_ms(now_ms());
        let targets = asked.commercial.resolve(&asked.question.model, today);
        let first = targets.ok()?.into_iter().next()?;
        Some(first.provider)
    }

    pub(crate) fn wanted(&self) -> Wanted {
        match self {
            Self::Ours(question) => {
                let sampling = &question.sampling;
                Wanted {
                    max_tokens: Some(sampling.max_tokens),
                    temperature: Some(f64::from(sampling.temperature)),
                    top_p: Some(f64::from(sampling.top_p)),
                }
            }
            Self::Commercial(asked) => {
                let question = &asked.question;
                Wanted {
                    max_tokens: question.max_tokens,
                    temperature: question.temperature,
                    top_p: question.top_p,
                }
            }
        }
    }
}
