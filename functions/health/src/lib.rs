//! Answers whether the service is alive, ready and how it fares.
