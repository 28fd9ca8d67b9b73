use std::num::NonZeroU32;

use async_trait::async_trait;
use llmopt_domain::{NoSlot, Rate, Slots};

use crate::StorageError;

/// Keeps who may do something how often: for each id when its first free slot begins.
///
/// **Exactness.** However many processes take slots at once, no two get the same one: all of them together
/// keep to the rate, as far as their clocks agree.
#[async_trait]
pub trait RateStore: Send + Sync {
    /// Takes `count` slots of `id` at `now_us` (microseconds since 1970), one after the other, or none.
    /// What was never asked for has all of its burst; what nobody asked for in an hour may be forgotten.
    ///
    /// # Errors
    /// After [`StorageError::Unavailable`] slots may have been taken: nobody has them.
    async fn take(
        &self,
        id: &str,
        rate: Rate,
        now_us: u64,
        count: NonZeroU32,
    ) -> Result<Result<Slots, NoSlot>, StorageError>;

    /// Makes no slot of `id` free before `until_us`, as somebody else's limit may ask, for an hour at most
    /// ([`LONGEST_HOLD_US`](llmopt_domain::LONGEST_HOLD_US)): what asks for more is not kept to.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn hold(&self, id: &str, until_us: u64) -> Result<(), StorageError>;
}
