use llmopt_spending::Spending;

use crate::{
    Answer, Commercial, CommercialError, CommercialParts, PriceBook, Question, Quote, SetupError,
};

impl Commercial {
    /// Puts the parts together.
    ///
    /// # Errors
    /// If two providers have one name, or an alias is a model's or names none.
    pub fn new(parts: CommercialParts) -> Result<Self, SetupError> {
        todo!()
    }

    /// Asks a question and returns with the first part of the answer in hand; before that, other attempts and
    /// other models of the alias may have been tried.
    ///
    /// # Errors
    /// Whatever [`CommercialError`] says; nothing stays reserved.
    pub async fn ask(&self, question: Question) -> Result<Answer, CommercialError> {
        todo!()
    }

    /// Says what a question would cost, without asking it: one quote for each model that could answer.
    ///
    /// # Errors
    /// As [`Commercial::ask`], where no model could be asked.
    pub fn quote(&self, question: &Question) -> Result<Quote, CommercialError> {
        todo!()
    }

    /// Returns the budgets and the ledger.
    pub fn spending(&self) -> &Spending {
        &self.inner.spending
    }

    /// Returns the prices.
    pub fn prices(&self) -> &PriceBook {
        &self.inner.prices
    }
}
