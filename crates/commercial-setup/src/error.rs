use llmopt_prices::TableError;
use llmopt_providers::{KeyUnavailable, SettingsError, TransportError};
use thiserror::Error;

/// Why commercial models cannot be asked as the settings say.
#[derive(Debug, Error)]
pub enum SetupError {
    /// No connection can be made.
    #[error("no provider can be asked")]
    Transport(#[from] TransportError),
    /// The table of prices is not one.
    #[error("no cost can be known")]
    Prices(#[from] TableError),
    /// A key cannot be one.
    #[error("the key of provider `{provider}` cannot be used")]
    Key {
        /// Whose.
        provider: String,
        /// Why.
        source: KeyUnavailable,
    },
    /// A key is in a secret, and this process reads none.
    #[error(
        "the key of provider `{provider}` is in the secret `{secret}`, and only the functions on AWS read secrets: \
         keep it in a file here"
    )]
    NoSecrets {
        /// Whose.
        provider: String,
        /// The name of the secret.
        secret: String,
    },
    /// A server cannot be spoken to like this.
    #[error("provider `{provider}` cannot be asked")]
    Endpoint {
        /// Which.
        provider: String,
        /// Why.
        source: SettingsError,
    },
    /// An amount is none.
    #[error(
        "the ceiling of provider `{provider}` is above what any cost can be: expected a lower one"
    )]
    Ceiling {
        /// Whose.
        provider: String,
    },
    /// The parts do not go together.
    #[error("commercial models are not set up")]
    Parts(#[from] llmopt_commercial::SetupError),
}
