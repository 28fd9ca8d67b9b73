//! The command line as a user runs it, with a trainer that computes nothing.

mod dataset;
mod evaluate;
mod help;
mod models;
mod support;
mod train;
