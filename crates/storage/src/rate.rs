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
    /// After [`StorageError::Unavailable`] the slots may have been taken, once at most: nobody has them.
    async fn take(
        &self,
        id: &str,
        rate: Rate,
        now_us: u64,
        count: NonZeroU32,
    ) -> Result<Result<Slots, NoSlot>, StorageError>;

    /// Makes no slot of `id` free before `until_us`, as somebody else's limit may ask.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn hold(&self, id: &str, until_us: u64) -> Result<(), StorageError>;
}
