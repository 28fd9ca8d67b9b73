//! What commercial models cost, exactly.
//!
//! Knows the table of prices, which price holds for a model on a day, what an answer's tokens cost, and what an
//! answer costs at most. Does not know how tokens are counted, who pays, or where a newer table is kept: nothing
//! here reads or writes anything but the bytes it is given.

mod day;
mod error;
mod model;
mod period;
mod price;
mod rates;
mod ratio;
mod rules;
mod table;
mod terms;

pub use day::{Day, NoDay};
pub use error::{CostError, TableError};
pub use model::{Api, Model, Provider, Refusal, Shutdown};
pub use period::Period;
pub use price::{Ceiling, Price, TokenLimits};
pub use rates::{LongPrompt, Rates};
pub use ratio::Ratio;
pub use table::{Lookup, PriceTable, TableVersion};
pub use terms::{AskedTerms, AskedTier, Multipliers, Region, ServiceTier, Terms};
