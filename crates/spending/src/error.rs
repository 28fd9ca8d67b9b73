use llmopt_domain::Picodollars;
use llmopt_storage::{
    StorageError,
    spend::{RequestId, RowKey},
};
use thiserror::Error;

/// Why a step of a request's spending was not done.
#[derive(Debug, Error)]
pub enum SpendingError {
    /// The reservation expired and was swept, so the request must not be sent, or was settled at its bound.
    #[error(
        "the reservation of request `{request}` is gone: it expired before this; reserve for longer, and under another id"
    )]
    Gone {
        /// The request.
        request: RequestId,
    },
    /// The request is settled or released, but it was not marked as sent, or it was.
    #[error("{0}")]
    OutOfOrder(OutOfOrder),
    /// The cost is above the bound, and nobody said why.
    #[error(
        "request `{request}` cost {cost}, more than the {bound} that were reserved for it: expected at most that, or a reason"
    )]
    AboveBound {
        /// The request.
        request: RequestId,
        /// What it cost.
        cost: Picodollars,
        /// What was reserved.
        bound: Picodollars,
    },
    /// So many requests are open that the budget's row has no room for another.
    #[error("too many requests are open in budget `{row}`: try again when some have ended")]
    Crowded {
        /// The row.
        row: RowKey,
    },
    /// The budget changed all the time.
    #[error("budget `{row}` is changed all the time: try again")]
    Unsteady {
        /// The row.
        row: RowKey,
    },
    /// The alert that a request cost more than its bound could not be told. Its cost is spent.
    #[error("nobody could be told that request `{request}` cost more than was reserved for it")]
    Untold {
        /// The request.
        request: RequestId,
    },
    /// The store failed. What was asked for may be done: it counts as reserved until it is swept.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Which step is missing, or was done already.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OutOfOrder {
    /// It was never marked as sent.
    #[error(
        "request `{0}` was not marked as sent: expected that before the provider is called; release it if it was not"
    )]
    NotSent(RequestId),
    /// It was marked as sent.
    #[error(
        "request `{0}` may have been sent: expected what it cost, which is nothing if it was not, and no release"
    )]
    Sent(RequestId),
}
