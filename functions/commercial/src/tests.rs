//! The routes over SQLite and a server that stands in for the providers.

mod budgets;
mod compare;
mod place;
mod providers;
mod usage;
