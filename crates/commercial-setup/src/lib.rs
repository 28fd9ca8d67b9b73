//! Commercial models as the settings of a process want them: who is asked, with which key, and who is told of budgets.
//!
//! Knows what each setting becomes. Does not know where budgets and rates are kept, nor how a secret is read:
//! whoever composes a process brings both.

mod error;
mod key_file;
mod parts;
mod price_refresh;
mod webhook;

pub use error::SetupError;
pub use key_file::KeyFile;
pub use parts::{SecretKeys, Sources, commercial};
pub use price_refresh::{PriceRefresh, Refreshed};
pub use webhook::WebhookAlerts;
