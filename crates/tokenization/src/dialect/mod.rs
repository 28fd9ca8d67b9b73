//! What Hugging Face's chat templates expect of Jinja: Jinja2's behaviour, Python's values and methods, and
//! what `transformers` adds.

mod arguments;
mod clock;
mod concatenation;
mod data;
mod filters;
mod formatting;
mod functions;
mod json;
mod literal;
mod methods;
mod numbers;
mod objects;
mod order;
mod printing;
#[cfg(test)]
mod reference;
mod source;
mod strings;
mod tags;
mod tests;
mod text_methods;
mod token;

pub(crate) use data::data;
use minijinja::{Environment, Error, ErrorKind, syntax::SyntaxConfig};

/// Makes an environment that renders what [`rewrite`] returns.
pub(crate) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    // White space control is done when a template is rewritten.
    let syntax = SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()?;
    environment.set_syntax(syntax);
    environment.set_formatter(printing::format);
    environment.set_unknown_method_callback(methods::call);
    environment.add_function("strftime_now", clock::strftime_now);
    functions::install(&mut environment);
    filters::install(&mut environment);
    tests::install(&mut environment);
    Ok(environment)
}

/// Returns what a template means to `transformers`, in minijinja's words.
pub(crate) fn rewrite(template: &str) -> Result<String, Error> {
    source::rewrite(template).map_err(|problem| Error::new(ErrorKind::SyntaxError, problem))
}
