//! Expressions, with Jinja2's precedence.

use num_traits::ToPrimitive;

use super::Parser;
use crate::{
    error::{Result, refused},
    lexer::Token,
    tree::{Comparison, Expression, ExpressionKind, Operator},
};

/// Whether what follows `if` belongs to an expression.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Conditions {
    Allowed,
    Left,
}

impl Parser {
    /// Reads one expression, or several with commas, which are a tuple. Ends where `ends` says, too.
    pub(super) fn tuple(&mut self, conditions: Conditions, ends: &[&str]) -> Result<Expression> {
        let (items, is_tuple) = self.items(conditions, ends)?;
        match is_tuple {
            true => self.make(ExpressionKind::Tuple(items)),
            false => match items.into_iter().next() {
                Some(only) => Ok(only),
                None => self.unexpected("an expression"),
            },
        }
    }

    /// Returns expressions with commas between them, and whether there was a comma.
    fn items(&mut self, conditions: Conditions, ends: &[&str]) -> Result<(Vec<Expression>, bool)> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        while !self.is_tuple_end(ends) {
            items.push(self.nested(|it| it.expression_with(conditions))?);
            match self.takes(",") {
                true => is_tuple = true,
                false => break,
            }
        }
        Ok((items, is_tuple))
    }

    pub(super) fn is_tuple_end(&self, ends: &[&str]) -> bool {
        match self.peek() {
            Token::VariableEnd | Token::BlockEnd | Token::Operator(")") => true,
            Token::Name(name) => ends.contains(&name.as_str()),
            _ => false,
        }
    }

    pub(super) fn expression(&mut self) -> Result<Expression> {
        self.nested(|it| it.expression_with(Conditions::Allowed))
    }

    fn expression_with(&mut self, conditions: Conditions) -> Result<Expression> {
        match conditions {
            Conditions::Allowed => self.conditional(),
            Conditions::Left => self.or(),
        }
    }

    fn conditional(&mut self) -> Result<Expression> {
        // What stands before `if` is conditional, too; only what comes after says so.
        let mut place = self.place;
        place.is_conditional |= self.has_condition();
        self.at(place, |parser| {
            let mut value = parser.or()?;
            while parser.takes_name("if") {
                let condition = parser.or()?;
                let otherwise = match parser.takes_name("else") {
                    true => Some(parser.nested(Self::conditional)?),
                    false => None,
                };
                let parts = (condition, value, otherwise);
                value = parser.make(ExpressionKind::Conditional(Box::new(parts)))?;
            }
            Ok(value)
        })
    }

    /// Returns whether the expression that begins here has a condition.
    fn has_condition(&self) -> bool {
        let mut depth = 0_i32;
        for (token, _) in &self.tokens {
            match token {
                Token::Operator("(" | "[" | "{") => depth += 1,
                Token::Operator(")" | "]" | "}") if depth == 0 => return false,
                Token::Operator(")" | "]" | "}") => depth -= 1,
                Token::Operator(",") if depth == 0 => return false,
                Token::VariableEnd | Token::BlockEnd | Token::End => return false,
                Token::Name(name) if depth == 0 && name == "if" => return true,
                _ => {}
            }
        }
        false
    }

    fn or(&mut self) -> Result<Expression> {
        let mut left = self.and()?;
        while self.takes_name("or") {
            let right = self.and()?;
            left = self.make(ExpressionKind::Or(Box::new([left, right])))?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression> {
        let mut left = self.not()?;
        while self.takes_name("and") {
            let right = self.not()?;
            left = self.make(ExpressionKind::And(Box::new([left, right])))?;
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expression> {
        if self.takes_name("not") {
            let value = self.nested(Self::not)?;
            return self.make(ExpressionKind::Not(Box::new(value)));
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expression> {
        let first = self.sum()?;
        let mut others = Vec::new();
        while let Some(comparison) = self.comparison() {
            others.push((comparison, self.sum()?));
        }
        match others.is_empty() {
            true => Ok(first),
            false => self.make(ExpressionKind::Compare(Box::new(first), others)),
        }
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let comparison = match self.peek() {
            Token::Operator("==") => Comparison::Equal,
            Token::Operator("!=") => Comparison::NotEqual,
            Token::Operator("<") => Comparison::Less,
            Token::Operator("<=") => Comparison::LessOrEqual,
            Token::Operator(">") => Comparison::Greater,
            Token::Operator(">=") => Comparison::GreaterOrEqual,
            Token::Name(name) if name == "in" => Comparison::In,
            Token::Name(name) if name == "not" => match self.peek_second() {
                Token::Name(name) if name == "in" => Comparison::NotIn,
                _ => return None,
            },
            _ => return None,
        };
        self.next();
        if comparison == Comparison::NotIn {
            self.next();
        }
        Some(comparison)
    }

    fn sum(&mut self) -> Result<Expression> {
        let operator = |token: &Token| match token {
            Token::Operator("+") => Some(Operator::Add),
            Token::Operator("-") => Some(Operator::Subtract),
            _ => None,
        };
        self.operations(operator, Self::concatenation)
    }

    fn concatenation(&mut self) -> Result<Expression> {
        let mut parts = vec![self.product()?];
        while self.takes("~") {
            parts.push(self.product()?);
        }
        match parts.len() {
            1 => parts
                .pop()
                .map_or_else(|| self.unexpected("an expression"), Ok),
            _ => self.make(ExpressionKind::Concatenate(parts)),
        }
    }

    fn product(&mut self) -> Result<Expression> {
        let operator = |token: &Token| match token {
            Token::Operator("*") => Some(Operator::Multiply),
            Token::Operator("/") => Some(Operator::Divide),
            Token::Operator("//") => Some(Operator::FloorDivide),
            Token::Operator("%") => Some(Operator::Remainder),
            _ => None,
        };
        self.operations(operator, Self::power)
    }

    /// Goes from the left to the right, unlike in Python.
    fn power(&mut self) -> Result<Expression> {
        let mut base = self.unary()?;
        while self.takes("**") {
            let exponent = self.unary()?;
            let is_worked_out = base.is_constant() && !self.place.is_volatile;
            let operator = match is_worked_out && !exponent.is_constant() {
                true => Operator::PowerOfConstant,
                false => Operator::Power,
            };
            let parts = Box::new([base, exponent]);
            base = self.make(ExpressionKind::Binary(operator, parts))?;
        }
        Ok(base)
    }

    /// Reads operands with operators between them that bind alike.
    fn operations(
        &mut self,
        operator: impl Fn(&Token) -> Option<Operator>,
        operand: impl Fn(&mut Self) -> Result<Expression>,
    ) -> Result<Expression> {
        let mut left = operand(self)?;
        while let Some(operator) = operator(self.peek()) {
            self.next();
            let right = operand(self)?;
            left = self.make(ExpressionKind::Binary(operator, Box::new([left, right])))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression> {
        let value = self.signed()?;
        self.filtered(value)
    }

    /// Reads a value with its signs, which bind closer than filters.
    fn signed(&mut self) -> Result<Expression> {
        let value = if self.takes("-") {
            let value = self.nested(Self::signed)?;
            self.make(ExpressionKind::Negate(Box::new(value)))?
        } else if self.takes("+") {
            let value = self.nested(Self::signed)?;
            self.make(ExpressionKind::Positive(Box::new(value)))?
        } else {
            self.primary()?
        };
        self.postfix(value)
    }

    pub(super) fn primary(&mut self) -> Result<Expression> {
        let kind = match self.next() {
            Token::Name(name) => match name.as_str() {
                "true" | "True" => ExpressionKind::Bool(true),
                "false" | "False" => ExpressionKind::Bool(false),
                "none" | "None" => ExpressionKind::None,
                name => ExpressionKind::Name(self.read(name)),
            },
            Token::Text(mut text) => {
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.next();
                }
                ExpressionKind::Text(text.into())
            }
            Token::Int(number) => match number.to_i64() {
                Some(small) => ExpressionKind::Int(small),
                None => ExpressionKind::Big(number),
            },
            Token::Float(number) => {
                self.has_infinity |= number.is_infinite();
                ExpressionKind::Float(number)
            }
            Token::Operator("(") => return self.parenthesised(),
            Token::Operator("[") => ExpressionKind::List(self.list_items()?),
            Token::Operator("{") => ExpressionKind::Dict(self.dict_items()?),
            token => {
                let found = super::described(&token);
                return refused(format!("expected an expression, found {found}"));
            }
        };
        self.make(kind)
    }

    fn parenthesised(&mut self) -> Result<Expression> {
        let (mut items, is_tuple) = self.items(Conditions::Allowed, &[])?;
        self.expect(")")?;
        match (is_tuple, items.len()) {
            (false, 1) => items
                .pop()
                .map_or_else(|| self.unexpected("an expression"), Ok),
            _ => self.make(ExpressionKind::Tuple(items)),
        }
    }

    fn list_items(&mut self) -> Result<Vec<Expression>> {
        let mut items = Vec::new();
        while !self.is_operator("]") {
            items.push(self.expression()?);
            if !self.takes(",") {
                break;
            }
        }
        self.expect("]")?;
        Ok(items)
    }

    fn dict_items(&mut self) -> Result<Vec<(Expression, Expression)>> {
        let mut items = Vec::new();
        while !self.is_operator("}") {
            let key = self.expression()?;
            self.expect(":")?;
            items.push((key, self.expression()?));
            if !self.takes(",") {
                break;
            }
        }
        self.expect("}")?;
        Ok(items)
    }
}
