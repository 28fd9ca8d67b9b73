//! Reads a template's tokens as Jinja2 does.

mod expressions;
mod postfix;
mod statements;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    error::{Result, refused, too_large},
    hiding,
    lexer::{self, Token},
    tree::{Body, Expression, ExpressionKind, Statement, Symbol, Tree},
};

/// Deeper is nothing that anybody wrote, and would not fit on the stack.
const MOST_NESTED_SOURCE: u32 = 100;

/// Reads a template.
pub(crate) fn parse(source: &str) -> Result<Tree> {
    let mut parser = Parser {
        tokens: lexer::tokens(source)?,
        line: 1,
        names: Vec::new(),
        symbols: HashMap::new(),
        blocks: Vec::new(),
        bodies: 0,
        asked: Vec::new(),
        depth: 0,
        place: Place::default(),
        has_infinity: false,
    };
    let body = parser.body(&[]);
    let statements = body.map_err(|it| it.at(parser.line))?;
    let mut tree = Tree {
        body: parser.made(statements),
        names: parser.names,
        blocks: parser.blocks,
        hidden: Vec::new(),
    };
    tree.hidden = hiding::hidden(&tree, parser.bodies);
    Ok(tree)
}

struct Parser {
    tokens: VecDeque<(Token, u32)>,
    /// The line of the last token that was taken.
    line: u32,
    names: Vec<Arc<str>>,
    symbols: HashMap<Arc<str>, Symbol>,
    blocks: Vec<(Arc<str>, Arc<Body>)>,
    /// How many bodies there are.
    bodies: usize,
    /// The names that open bodies are asked about.
    asked: Vec<Asked>,
    depth: u32,
    place: Place,
    /// Whether the tag has a float that is too large for one.
    has_infinity: bool,
}

/// What may stand where the parser is.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    is_in_loop: bool,
    /// Within a condition, an unknown filter or test is no error until it is applied.
    is_conditional: bool,
    /// Within `autoescape` of what is not constant, Jinja2 works nothing out when it reads the template.
    is_volatile: bool,
}

impl Place {
    /// Returns the place within a function, which no loop around it can be left from.
    fn in_function(self) -> Self {
        Self {
            is_volatile: self.is_volatile,
            ..Self::default()
        }
    }
}

/// Whether a body uses names that mean something special there.
struct Asked {
    names: &'static [&'static str],
    found: Vec<&'static str>,
    given: Vec<&'static str>,
}

impl Parser {
    /// Returns the next token, which stays where it is.
    fn peek(&self) -> &Token {
        self.tokens.front().map_or(&Token::End, |(token, _)| token)
    }

    fn peek_second(&self) -> &Token {
        self.tokens.get(1).map_or(&Token::End, |(token, _)| token)
    }

    fn next(&mut self) -> Token {
        match self.tokens.pop_front() {
            Some((token, line)) => {
                self.line = line;
                token
            }
            None => Token::End,
        }
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.peek(), Token::Operator(it) if *it == operator)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Token::Name(it) if it == name)
    }

    /// Takes an operator if it comes next.
    fn takes(&mut self, operator: &str) -> bool {
        let is_next = self.is_operator(operator);
        if is_next {
            self.next();
        }
        is_next
    }

    /// Takes a word if it comes next.
    fn takes_name(&mut self, name: &str) -> bool {
        let is_next = self.is_name(name);
        if is_next {
            self.next();
        }
        is_next
    }

    fn expect(&mut self, operator: &str) -> Result<()> {
        match self.takes(operator) {
            true => Ok(()),
            false => self.unexpected(&format!("`{operator}`")),
        }
    }

    fn expect_name(&mut self) -> Result<String> {
        match self.next() {
            Token::Name(name) => Ok(name),
            token => refused(format!("expected a name, found {}", described(&token))),
        }
    }

    fn unexpected<T>(&mut self, expected: &str) -> Result<T> {
        let token = self.next();
        refused(format!("expected {expected}, found {}", described(&token)))
    }

    /// Returns a name's number.
    fn symbol(&mut self, name: &str) -> Symbol {
        if let Some(symbol) = self.symbols.get(name) {
            return *symbol;
        }
        let symbol = Symbol(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.symbols.insert(name, symbol);
        symbol
    }

    /// Returns the number of a name that is read.
    fn read(&mut self, name: &str) -> Symbol {
        for asked in &mut self.asked {
            let known = asked.names.iter().find(|it| **it == name);
            let known = known.filter(|it| !asked.given.contains(it));
            asked.found.extend(known);
        }
        self.symbol(name)
    }

    /// Returns the number of a name that is given a value.
    fn given(&mut self, name: &str) -> Result<Symbol> {
        if matches!(name, "true" | "false" | "none" | "True" | "False" | "None") {
            return refused(format!("`{name}` cannot be given a value"));
        }
        for asked in &mut self.asked {
            asked
                .given
                .extend(asked.names.iter().find(|it| **it == name));
        }
        Ok(self.symbol(name))
    }

    /// Reads a body that is asked which of `names` it uses, and returns the answers.
    fn asking<T>(
        &mut self,
        names: &'static [&'static str],
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Vec<&'static str>)> {
        self.asked.push(Asked {
            names,
            found: Vec::new(),
            given: Vec::new(),
        });
        let body = read(self)?;
        let found = self.asked.pop().map(|it| it.found);
        Ok((body, found.unwrap_or_default()))
    }

    /// Reads something at another place.
    fn at<T>(&mut self, place: Place, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = std::mem::replace(&mut self.place, place);
        let result = read(self);
        self.place = before;
        result
    }

    /// Reads what is nested, unless it is nested too deep.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        let result = match self.depth > MOST_NESTED_SOURCE {
            true => too_large("the template is nested too deep"),
            false => read(self),
        };
        self.depth -= 1;
        result
    }

    /// Makes a body.
    fn made(&mut self, statements: Vec<Statement>) -> Body {
        let id = self.bodies;
        self.bodies += 1;
        Body { id, statements }
    }

    /// Makes an expression.
    fn make(&self, kind: ExpressionKind) -> Result<Expression> {
        let mut depth = 1;
        kind.visit(&mut |part| depth = depth.max(part.depth + 1));
        match depth > MOST_NESTED_SOURCE {
            true => too_large("an expression is nested too deep"),
            false => Ok(Expression {
                kind,
                line: self.line,
                depth,
            }),
        }
    }
}

fn described(token: &Token) -> String {
    match token {
        Token::Data(_) => "text".to_owned(),
        Token::VariableBegin => "`{{`".to_owned(),
        Token::VariableEnd => "`}}`".to_owned(),
        Token::BlockBegin => "`{%`".to_owned(),
        Token::BlockEnd => "`%}`".to_owned(),
        Token::Name(name) => format!("`{name}`"),
        Token::Text(text) => format!("the text `{text}`"),
        Token::Int(number) => format!("`{number}`"),
        Token::Float(number) => format!("`{number}`"),
        Token::Operator(operator) => format!("`{operator}`"),
        Token::End => "the end of the template".to_owned(),
    }
}
