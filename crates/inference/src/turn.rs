use parking_lot::{FairMutex, FairMutexGuard};

/// Held while a batch is decoded, by whichever model: each uses all threads there are.
static TURN: FairMutex<()> = FairMutex::new(());

/// Waits for the turn to compute, which is given in the order of asking. An answer gives it back after
/// every token, so that a long one delays the others by a token at a time.
pub(crate) fn take() -> FairMutexGuard<'static, ()> {
    TURN.lock()
}
