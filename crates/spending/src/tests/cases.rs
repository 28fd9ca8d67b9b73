//! Single cases of the protocol, on SQLite.
