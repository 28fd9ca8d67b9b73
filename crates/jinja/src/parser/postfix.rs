//! What follows a value: attributes, items, calls, filters and tests.

use std::sync::Arc;

use num_traits::ToPrimitive;

use super::Parser;
use crate::{
    calls::{Filter, Test},
    error::{Result, refused},
    filters,
    lexer::Token,
    tests,
    tree::{Applied, Arguments, Call, Expression, ExpressionKind},
};

impl Parser {
    pub(super) fn postfix(&mut self, mut value: Expression) -> Result<Expression> {
        loop {
            value = match self.peek() {
                Token::Operator(".") => self.attribute(value)?,
                Token::Operator("[") => self.item(value)?,
                Token::Operator("(") => self.call(value)?,
                _ => return Ok(value),
            };
        }
    }

    pub(super) fn filtered(&mut self, mut value: Expression) -> Result<Expression> {
        loop {
            value = match self.peek() {
                Token::Operator("|") => {
                    self.next();
                    let filter = self.filter()?;
                    self.make(ExpressionKind::Filter(Box::new(value), Box::new(filter)))?
                }
                Token::Name(name) if name == "is" => self.test(value)?,
                Token::Operator("(") => self.call(value)?,
                _ => return Ok(value),
            };
        }
    }

    fn attribute(&mut self, value: Expression) -> Result<Expression> {
        self.next();
        match self.next() {
            Token::Name(name) => self.make(ExpressionKind::Attribute(Box::new(value), name.into())),
            Token::Int(number) => {
                let number = number
                    .to_i64()
                    .map_or(ExpressionKind::Big(number), ExpressionKind::Int);
                let key = self.make(number)?;
                self.make(ExpressionKind::Item(Box::new(value), Box::new(key)))
            }
            token => refused(format!(
                "expected a name or a number after `.`, found {}",
                super::described(&token)
            )),
        }
    }

    fn item(&mut self, value: Expression) -> Result<Expression> {
        self.next();
        let mut keys = Vec::new();
        while !self.is_operator("]") {
            if !keys.is_empty() {
                self.expect(",")?;
            }
            keys.push(self.nested(Self::subscript)?);
        }
        self.expect("]")?;
        let key = match keys.len() {
            1 => keys
                .pop()
                .map_or_else(|| self.unexpected("an expression"), Ok)?,
            _ => self.make(ExpressionKind::Tuple(keys))?,
        };
        self.make(ExpressionKind::Item(Box::new(value), Box::new(key)))
    }

    /// Reads an expression or a slice.
    fn subscript(&mut self) -> Result<Expression> {
        let start = match self.is_operator(":") {
            true => None,
            false => {
                let value = self.expression()?;
                if !self.is_operator(":") {
                    return Ok(value);
                }
                Some(value)
            }
        };
        self.expect(":")?;
        let stop = self.slice_part()?;
        let step = match self.takes(":") {
            true => self.slice_part()?,
            false => None,
        };
        self.make(ExpressionKind::Slice(Box::new([start, stop, step])))
    }

    fn slice_part(&mut self) -> Result<Option<Expression>> {
        match self.peek() {
            Token::Operator(":" | "]" | ",") => Ok(None),
            _ => self.expression().map(Some),
        }
    }

    fn call(&mut self, callee: Expression) -> Result<Expression> {
        let arguments = self.arguments()?;
        self.make(ExpressionKind::Call(Box::new(Call { callee, arguments })))
    }

    fn arguments(&mut self) -> Result<Arguments> {
        self.expect("(")?;
        let mut arguments = Arguments::default();
        while !self.is_operator(")") {
            self.argument(&mut arguments)?;
            if !self.takes(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(arguments)
    }

    fn argument(&mut self, arguments: &mut Arguments) -> Result<()> {
        let (is_last, is_starred) = (arguments.more_named.is_some(), arguments.more.is_some());
        let is_named =
            matches!(self.peek(), Token::Name(_)) && *self.peek_second() == Token::Operator("=");
        let is_misplaced = match self.peek() {
            Token::Operator("*") => is_last || is_starred,
            Token::Operator("**") => is_last,
            _ if is_named => is_last,
            _ => is_last || is_starred || !arguments.named.is_empty(),
        };
        if is_misplaced {
            return refused("an argument stands after those that have to come last");
        }
        if self.takes("*") {
            arguments.more = Some(Box::new(self.expression()?));
        } else if self.takes("**") {
            arguments.more_named = Some(Box::new(self.expression()?));
        } else if is_named {
            let name: Arc<str> = self.expect_name()?.into();
            self.next();
            if arguments.named.iter().any(|(it, _)| *it == name) {
                return refused(format!("the argument `{name}` is given twice"));
            }
            arguments.named.push((name, self.expression()?));
        } else {
            arguments.positional.push(self.expression()?);
        }
        Ok(())
    }

    /// Reads a filter's name and arguments.
    pub(super) fn filter(&mut self) -> Result<Applied<Filter>> {
        let name = self.dotted_name()?;
        let arguments = match self.is_operator("(") {
            true => self.arguments()?,
            false => Arguments::default(),
        };
        let function = self.known("filter", &name, filters::find(&name))?;
        Ok(Applied {
            name,
            function,
            arguments,
            line: self.line,
        })
    }

    fn dotted_name(&mut self) -> Result<Arc<str>> {
        let mut name = self.expect_name()?;
        while self.takes(".") {
            name.push('.');
            name.push_str(&self.expect_name()?);
        }
        Ok(name.into())
    }

    fn test(&mut self, value: Expression) -> Result<Expression> {
        self.next();
        let is_negated = self.takes_name("not");
        let test = self.named_test()?;
        let tested = self.make(ExpressionKind::Test(Box::new(value), Box::new(test)))?;
        match is_negated {
            true => self.make(ExpressionKind::Not(Box::new(tested))),
            false => Ok(tested),
        }
    }

    fn named_test(&mut self) -> Result<Applied<Test>> {
        let name = self.dotted_name()?;
        let arguments = match self.peek() {
            Token::Operator("(") => self.arguments()?,
            Token::Name(word) if matches!(word.as_str(), "else" | "or" | "and") => {
                Arguments::default()
            }
            Token::Name(word) if word == "is" => {
                return refused("tests cannot be chained with `is`");
            }
            Token::Name(_)
            | Token::Text(_)
            | Token::Int(_)
            | Token::Float(_)
            | Token::Operator("[" | "{") => {
                let value = self.nested(Self::primary)?;
                Arguments {
                    positional: vec![self.postfix(value)?],
                    ..Arguments::default()
                }
            }
            _ => Arguments::default(),
        };
        let function = self.known("test", &name, tests::find(&name))?;
        Ok(Applied {
            name,
            function,
            arguments,
            line: self.line,
        })
    }

    fn known<F>(&self, what: &str, name: &str, function: Option<F>) -> Result<Option<F>> {
        match function.is_some() || self.place.is_conditional {
            true => Ok(function),
            false => refused(format!("there is no {what} named `{name}`")),
        }
    }
}
