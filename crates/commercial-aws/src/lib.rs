//! What commercial models need of AWS: their providers' keys from Secrets Manager, newer prices from a bucket, and
//! a topic of SNS for what budgets have to tell.
//!
//! Knows for how long what was read holds, and what is made of it where it cannot be read again. Does not know how a
//! model is asked, nor what a function answers.

#[cfg(feature = "asking")]
mod account;
#[cfg(feature = "alerts")]
mod alerts;
#[cfg(feature = "asking")]
mod prices;
#[cfg(feature = "asking")]
mod secrets;

#[cfg(feature = "asking")]
pub use account::{Account, OpenError};
#[cfg(feature = "alerts")]
pub use alerts::{SnsAlerts, alerts};
#[cfg(feature = "asking")]
pub use secrets::SecretKey;
