//! The Jinja of Hugging Face's chat templates: Jinja2's language, Python's values and methods, and what
//! `transformers` adds, so that a template renders here what it renders there, to the last space.
//!
//! Knows templates and values. Does not know conversations, tokens or models. What it does not know of
//! Jinja2 or Python it refuses by name; it never renders something else instead.

mod access;
mod calls;
mod clock;
mod data;
mod dict;
mod disposal;
mod error;
mod evaluate;
mod filters;
mod formatting;
mod fuel;
mod functions;
mod hiding;
mod iteration;
mod json;
mod lexer;
mod literal;
mod loops;
mod macros;
mod methods;
mod numbers;
mod objects;
mod operators;
mod parser;
mod printing;
mod run;
mod scope;
mod strings;
mod template;
mod tests;
mod text_methods;
mod tree;
mod value;

pub use data::Data;
pub use error::{Complaint, TemplateError};
pub use template::Template;
