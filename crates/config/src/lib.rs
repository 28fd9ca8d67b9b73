//! Typed settings from the process environment and `.env`, and the logs they configure.
//!
//! Knows every environment variable, its type, its default in each environment and what reads it;
//! `docs/CONFIGURATION.md` and `.env.example` are generated from that one table. Does not know what
//! the settings are used for, opens no store and checks no path: whoever uses a setting does.

mod dotenv;
mod environment;
mod error;
mod providers;
#[cfg(test)]
mod reference;
mod routes;
mod secret;
mod settings;
mod source;
mod suggestion;
pub mod telemetry;
pub mod variables;

pub use environment::Environment;
pub use error::{ConfigError, Origin};
pub use providers::{
    CeilingSettings, KeySettings, LimitSettings, MaxTokensField, ProviderApi, ProviderRegion,
    ProviderSettings,
};
pub use routes::ROUTES;
pub use secret::Secret;
pub use settings::{
    Device, LogFormat, Metrics, ModelWeights, Responses, RouteRate, Settings, SpendingSync, Store,
};
