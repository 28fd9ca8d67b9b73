//! What every HTTP route stands behind: request ids, problems, limits, the listener.
