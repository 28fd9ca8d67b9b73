//! Statements and what stands between them.

use std::sync::Arc;

use super::{Parser, Place, expressions::Conditions};
use crate::{
    calls::Filter,
    error::{Result, refused},
    lexer::Token,
    tree::{
        Applied, Body, Definition, Expression, ExpressionKind, For, Scope, Statement,
        StatementKind, Symbol, Target,
    },
};

/// Names that mean something in a macro's body.
const MACRO_NAMES: &[&str] = &["caller", "varargs", "kwargs"];

impl Parser {
    /// Reads up to a tag that begins with one of `ends`, whose name comes next then; or to the end of the template.
    pub(super) fn body(&mut self, ends: &[&str]) -> Result<Vec<Statement>> {
        let mut body = Vec::new();
        loop {
            let line = self.tokens.front().map_or(self.line, |(_, line)| *line);
            let kind = match self.next() {
                Token::End if ends.is_empty() => return Ok(body),
                Token::End => return refused(format!("`{}` is missing", ends.join("` or `"))),
                Token::Data(text) => StatementKind::Data(text),
                Token::VariableBegin => {
                    let value = self.tuple(Conditions::Allowed, &[])?;
                    self.has_infinity &= !value.is_constant();
                    self.expect_end(&Token::VariableEnd)?;
                    StatementKind::Print(value)
                }
                _ => {
                    if matches!(self.peek(), Token::Name(name) if ends.contains(&name.as_str())) {
                        return Ok(body);
                    }
                    let kind = self.nested(Self::statement)?;
                    self.expect_end(&Token::BlockEnd)?;
                    kind
                }
            };
            body.push(Statement { kind, line });
        }
    }

    fn expect_end(&mut self, end: &Token) -> Result<()> {
        if self.has_infinity {
            return refused("a number is too large for a float");
        }
        match self.peek() == end {
            true => {
                self.next();
                Ok(())
            }
            false => self.unexpected("the end of the tag"),
        }
    }

    fn statement(&mut self) -> Result<StatementKind> {
        let name = self.expect_name()?;
        match name.as_str() {
            "set" => self.set(),
            "for" => self.for_loop(),
            "if" => self.if_block(),
            "with" => self.with(),
            "macro" => self.definition(),
            "call" => self.call_block(),
            "filter" => {
                let mut filters = vec![self.filter()?];
                filters.extend(self.filters()?);
                let body = self.inner_body("endfilter")?;
                Ok(StatementKind::FilterBlock(filters, body))
            }
            "generation" => Ok(StatementKind::Generation(
                self.function_body("endgeneration")?,
            )),
            "block" => self.block(),
            "autoescape" => {
                let value = self.expression()?;
                let mut place = self.place;
                place.is_volatile |= !value.is_constant();
                let body = self.at(place, |it| it.inner_body("endautoescape"))?;
                Ok(StatementKind::Autoescape(value, body))
            }
            "print" => self.print(),
            "break" | "continue" if !self.place.is_in_loop => {
                refused(format!("`{name}` stands in no loop"))
            }
            "break" => Ok(StatementKind::Break),
            "continue" => Ok(StatementKind::Continue),
            "include" | "import" | "from" | "extends" => self.load(),
            _ => refused(format!("there is no statement `{name}`")),
        }
    }

    /// Reads the body of a tag that has ended, up to the tag `end`, which is taken but for its end.
    fn body_until(&mut self, end: &str) -> Result<Vec<Statement>> {
        self.takes(":");
        self.expect_end(&Token::BlockEnd)?;
        let body = self.body(&[end])?;
        self.next();
        Ok(body)
    }

    /// Reads a body with variables of its own.
    fn inner_body(&mut self, end: &str) -> Result<Body> {
        let place = Place {
            is_conditional: false,
            ..self.place
        };
        let statements = self.at(place, |it| it.body_until(end))?;
        Ok(self.made(statements))
    }

    /// Reads a body that no loop around it can be left from.
    fn function_body(&mut self, end: &str) -> Result<Body> {
        let statements = self.at(self.place.in_function(), |it| it.body_until(end))?;
        Ok(self.made(statements))
    }

    fn print(&mut self) -> Result<StatementKind> {
        let mut values = Vec::new();
        while *self.peek() != Token::BlockEnd {
            if !values.is_empty() {
                self.expect(",")?;
            }
            values.push(self.expression()?);
        }
        Ok(StatementKind::PrintAll(values))
    }

    fn set(&mut self) -> Result<StatementKind> {
        let target = self.target(&[])?;
        if self.takes("=") {
            let value = self.tuple(Conditions::Allowed, &[])?;
            return Ok(StatementKind::Set(target, value));
        }
        let filters = self.filters()?;
        let body = self.inner_body("endset")?;
        Ok(StatementKind::SetBlock(target, filters, body))
    }

    /// Reads filters, each with `|` before it.
    fn filters(&mut self) -> Result<Vec<Applied<Filter>>> {
        let mut filters = Vec::new();
        while self.takes("|") {
            filters.push(self.filter()?);
        }
        Ok(filters)
    }

    /// Reads names that are given values: one, or several with commas. Ends where `ends` says, too.
    fn target(&mut self, ends: &[&str]) -> Result<Target> {
        let mut targets = Vec::new();
        let mut is_tuple = false;
        while !self.is_tuple_end(ends) {
            targets.push(self.nested(Self::one_target)?);
            match self.takes(",") {
                true => is_tuple = true,
                false => break,
            }
        }
        match (is_tuple, targets.len()) {
            (false, 1) => targets.pop().map_or_else(|| self.unexpected("a name"), Ok),
            (false, _) => self.unexpected("a name"),
            (true, _) => Ok(Target::Tuple(targets)),
        }
    }

    fn one_target(&mut self) -> Result<Target> {
        match self.next() {
            Token::Name(name) if self.takes(".") => {
                let namespace = self.read(&name);
                Ok(Target::Attribute(namespace, self.expect_name()?.into()))
            }
            Token::Name(name) => self.given(&name).map(Target::Name),
            Token::Operator("(") => self.targets_in_parentheses(),
            Token::Operator("[") => refused("a list cannot be given a value"),
            token => refused(format!(
                "{} cannot be given a value",
                super::described(&token)
            )),
        }
    }

    fn targets_in_parentheses(&mut self) -> Result<Target> {
        let mut targets = Vec::new();
        let mut is_tuple = false;
        while !self.is_operator(")") {
            targets.push(self.nested(Self::one_target)?);
            match self.takes(",") {
                true => is_tuple = true,
                false => break,
            }
        }
        self.expect(")")?;
        match (is_tuple, targets.len()) {
            (false, 1) => targets.pop().map_or_else(|| self.unexpected("a name"), Ok),
            _ => Ok(Target::Tuple(targets)),
        }
    }

    fn for_loop(&mut self) -> Result<StatementKind> {
        let target = self.target(&["in"])?;
        if target.has_attribute() {
            return refused("a loop cannot give a namespace's name a value");
        }
        if !self.takes_name("in") {
            return self.unexpected("`in`");
        }
        let iterated = self.tuple(Conditions::Left, &["recursive"])?;
        let inner = Place {
            is_in_loop: true,
            is_conditional: false,
            ..self.place
        };
        let condition = match self.takes_name("if") {
            true => Some(self.at(inner, Self::expression)?),
            false => None,
        };
        let is_recursive = self.takes_name("recursive");
        self.takes(":");
        self.expect_end(&Token::BlockEnd)?;
        let (body, asked) = self.asking(&["loop"], |parser| {
            parser.at(inner, |it| it.body(&["endfor", "else"]))
        })?;
        let outer = Place {
            is_conditional: false,
            ..self.place
        };
        let otherwise = match self.expect_name()?.as_str() {
            "else" => self.at(outer, |it| it.body_until("endfor"))?,
            _ => Vec::new(),
        };
        let (body, otherwise) = (self.made(body), self.made(otherwise));
        let state = (is_recursive || !asked.is_empty()).then(|| self.symbol("loop"));
        if let Some(state) = state
            && target.names(state)
        {
            return refused("a loop cannot give `loop` a value");
        }
        Ok(StatementKind::For(Arc::new(For {
            target,
            iterated,
            condition,
            is_recursive,
            state,
            body,
            otherwise,
        })))
    }

    fn if_block(&mut self) -> Result<StatementKind> {
        let place = Place {
            is_conditional: true,
            ..self.place
        };
        self.at(place, |parser| {
            let mut branches = Vec::new();
            loop {
                let condition = parser.tuple(Conditions::Left, &[])?;
                parser.takes(":");
                parser.expect_end(&Token::BlockEnd)?;
                let body = parser.body(&["elif", "else", "endif"])?;
                branches.push((condition, body));
                let otherwise = match parser.expect_name()?.as_str() {
                    "elif" => continue,
                    "else" => parser.body_until("endif")?,
                    _ => Vec::new(),
                };
                return Ok(StatementKind::If(branches, otherwise));
            }
        })
    }

    fn with(&mut self) -> Result<StatementKind> {
        let mut values = Vec::new();
        while *self.peek() != Token::BlockEnd {
            if !values.is_empty() {
                self.expect(",")?;
            }
            let target = self.target(&[])?;
            if target.has_attribute() {
                return refused("`with` cannot give a namespace's name a value");
            }
            self.expect("=")?;
            values.push((target, self.expression()?));
        }
        let body = self.inner_body("endwith")?;
        Ok(StatementKind::With(values, body))
    }

    fn definition(&mut self) -> Result<StatementKind> {
        let name = self.expect_name()?;
        let symbol = self.given(&name)?;
        let definition = self.signature_and_body(name.into(), "endmacro")?;
        Ok(StatementKind::Macro(symbol, Arc::new(definition)))
    }

    fn signature_and_body(&mut self, name: Arc<str>, end: &str) -> Result<Definition> {
        let parameters = self.signature()?;
        self.body_of(name, parameters, end)
    }

    fn body_of(
        &mut self,
        name: Arc<str>,
        parameters: Vec<(Symbol, Option<Expression>)>,
        end: &str,
    ) -> Result<Definition> {
        let (body, asked) = self.asking(MACRO_NAMES, |it| it.function_body(end))?;
        let caller = self.symbol("caller");
        let own = parameters.iter().find(|(it, _)| *it == caller);
        if own.is_some_and(|(_, default)| default.is_none()) {
            return refused("a parameter `caller` needs a default value");
        }
        let has_own = own.is_some();
        let mut symbol = |name: &str| asked.contains(&name).then(|| self.symbol(name));
        let (varargs, kwargs) = (symbol("varargs"), symbol("kwargs"));
        Ok(Definition {
            caller: symbol("caller").filter(|_| !has_own),
            has_own_caller: has_own,
            varargs,
            kwargs,
            name,
            parameters,
            body,
        })
    }

    fn signature(&mut self) -> Result<Vec<(Symbol, Option<Expression>)>> {
        self.expect("(")?;
        let mut parameters: Vec<(Symbol, Option<Expression>)> = Vec::new();
        while !self.is_operator(")") {
            if !parameters.is_empty() {
                self.expect(",")?;
            }
            let name = self.expect_name()?;
            let symbol = self.given(&name)?;
            if parameters.iter().any(|(it, _)| *it == symbol) {
                return refused(format!("the parameter `{name}` is there twice"));
            }
            let default = match self.takes("=") {
                true => Some(self.at(self.place.in_function(), Self::expression)?),
                false if parameters.last().is_some_and(|(_, it)| it.is_some()) => {
                    return refused(format!("the parameter `{name}` needs a default value too"));
                }
                false => None,
            };
            parameters.push((symbol, default));
        }
        self.expect(")")?;
        Ok(parameters)
    }

    fn call_block(&mut self) -> Result<StatementKind> {
        let parameters = match self.is_operator("(") {
            true => self.signature()?,
            false => Vec::new(),
        };
        let ExpressionKind::Call(call) = self.expression()?.kind else {
            return refused("`call` expects a call");
        };
        let body = self.body_of("".into(), parameters, "endcall")?;
        Ok(StatementKind::Call(call, Arc::new(body)))
    }

    fn block(&mut self) -> Result<StatementKind> {
        let name = self.expect_name()?;
        let scope = match self.takes_name("scoped") {
            true => Scope::Around,
            false => Scope::Template,
        };
        let is_required = self.takes_name("required");
        let body = Arc::new(self.function_body("endblock")?);
        self.takes_name(&name);
        if self.blocks.iter().any(|(it, _)| **it == *name) {
            return refused(format!("the block `{name}` is there twice"));
        }
        if is_required {
            return refused("a block that is required needs a template that has it");
        }
        self.blocks.push((name.into(), body.clone()));
        Ok(StatementKind::Block(body, scope))
    }

    /// Reads what would load another template, of which there is none.
    fn load(&mut self) -> Result<StatementKind> {
        while !matches!(self.peek(), Token::BlockEnd | Token::End) {
            self.next();
        }
        Ok(StatementKind::Load)
    }
}
