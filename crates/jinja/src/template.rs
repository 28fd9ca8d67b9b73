//! A template, ready to render.

use crate::{
    Data, TemplateError, parser, run,
    tree::{Symbol, Tree},
};

/// A template that has been read.
#[derive(Debug)]
pub struct Template {
    tree: Tree,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        let tree = parser::parse(source)?;
        Ok(Self { tree })
    }

    /// Renders the template with these variables.
    ///
    /// `fuel` is what it may cost: each statement, operation, step of a loop and value that is looked at takes 1, and so
    /// do 64 bytes that are made or looked through.
    ///
    /// # Errors
    /// What the template refuses, what Python would refuse, what is not known here, or that the fuel is used up.
    pub fn render<'a>(
        &self,
        variables: impl IntoIterator<Item = (&'a str, Data)>,
        fuel: u64,
    ) -> Result<String, TemplateError> {
        let variables = variables.into_iter();
        let named = variables.filter_map(|(name, value)| Some((self.symbol(name)?, value.0)));
        run::render(&self.tree, named.collect(), fuel)
    }

    /// Returns the number of a name that the template has.
    fn symbol(&self, name: &str) -> Option<Symbol> {
        let at = self.tree.names.iter().position(|it| **it == *name)?;
        u32::try_from(at).ok().map(Symbol)
    }
}

/// One template renders in many threads.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Template>();
};
