//! A template that has been read.

use std::{fmt, sync::Arc};

use num_bigint::BigInt;

use crate::calls::{Filter, Test};

/// A name that stands for a variable, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Symbol(pub(crate) u32);

/// A whole template.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) body: Body,
    /// The names of variables, by their number.
    pub(crate) names: Vec<Arc<str>>,
    /// The blocks that have a name, each with what stands in it.
    pub(crate) blocks: Vec<(Arc<str>, Arc<Body>)>,
    /// The names that each body hides, by its number.
    pub(crate) hidden: Vec<Vec<Symbol>>,
}

/// Statements with variables of their own.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) id: usize,
    pub(crate) statements: Vec<Statement>,
}

/// A statement with its line.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) kind: StatementKind,
    pub(crate) line: u32,
}

#[derive(Debug)]
pub(crate) enum StatementKind {
    /// Text as it stands there.
    Data(String),
    Print(Expression),
    PrintAll(Vec<Expression>),
    Set(Target, Expression),
    /// A text that is kept under a name, and what filters it, from the inside out.
    SetBlock(Target, Vec<Applied<Filter>>, Body),
    For(Arc<For>),
    /// The branches with their conditions, and the one without.
    If(Vec<(Expression, Vec<Statement>)>, Vec<Statement>),
    With(Vec<(Target, Expression)>, Body),
    Macro(Symbol, Arc<Definition>),
    /// A call with a body, which is the macro `caller`.
    Call(Box<Call>, Arc<Definition>),
    FilterBlock(Vec<Applied<Filter>>, Body),
    /// What the assistant says; it has variables of its own.
    Generation(Body),
    Block(Arc<Body>, Scope),
    Autoescape(Expression, Body),
    Break,
    Continue,
    /// What would need other templates.
    Load,
}

/// Which variables a block sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scope {
    /// Those of the whole template.
    Template,
    /// Those where it stands, too.
    Around,
}

#[derive(Debug)]
pub(crate) struct For {
    pub(crate) target: Target,
    pub(crate) iterated: Expression,
    pub(crate) condition: Option<Expression>,
    pub(crate) is_recursive: bool,
    /// `loop`, where the body asks for it.
    pub(crate) state: Option<Symbol>,
    pub(crate) body: Body,
    pub(crate) otherwise: Body,
}

/// What is given a value.
#[derive(Debug)]
pub(crate) enum Target {
    Name(Symbol),
    /// A namespace's name.
    Attribute(Symbol, Arc<str>),
    Tuple(Vec<Target>),
}

impl Target {
    /// Returns whether it gives a value to a namespace's name.
    pub(crate) fn has_attribute(&self) -> bool {
        match self {
            Self::Name(_) => false,
            Self::Attribute(..) => true,
            Self::Tuple(targets) => targets.iter().any(Self::has_attribute),
        }
    }

    /// Returns whether it gives a value to the name.
    pub(crate) fn names(&self, symbol: Symbol) -> bool {
        match self {
            Self::Name(name) => *name == symbol,
            Self::Attribute(..) => false,
            Self::Tuple(targets) => targets.iter().any(|it| it.names(symbol)),
        }
    }
}

/// A macro as it is written.
#[derive(Debug)]
pub(crate) struct Definition {
    /// Empty for the body of a call.
    pub(crate) name: Arc<str>,
    pub(crate) parameters: Vec<(Symbol, Option<Expression>)>,
    pub(crate) body: Body,
    /// What the body asks for beside its parameters.
    pub(crate) caller: Option<Symbol>,
    /// Whether `caller` is one of the parameters.
    pub(crate) has_own_caller: bool,
    pub(crate) varargs: Option<Symbol>,
    pub(crate) kwargs: Option<Symbol>,
}

/// An expression with its line.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) kind: ExpressionKind,
    pub(crate) line: u32,
    /// How many expressions are nested in one another.
    pub(crate) depth: u32,
}

#[derive(Debug)]
pub(crate) enum ExpressionKind {
    None,
    Bool(bool),
    Int(i64),
    Big(BigInt),
    Float(f64),
    Text(Arc<str>),
    Name(Symbol),
    List(Vec<Expression>),
    Tuple(Vec<Expression>),
    Dict(Vec<(Expression, Expression)>),
    Attribute(Box<Expression>, Arc<str>),
    Item(Box<Expression>, Box<Expression>),
    Slice(Box<[Option<Expression>; 3]>),
    Call(Box<Call>),
    Filter(Box<Expression>, Box<Applied<Filter>>),
    Test(Box<Expression>, Box<Applied<Test>>),
    Negate(Box<Expression>),
    Positive(Box<Expression>),
    Not(Box<Expression>),
    And(Box<[Expression; 2]>),
    Or(Box<[Expression; 2]>),
    Binary(Operator, Box<[Expression; 2]>),
    Concatenate(Vec<Expression>),
    Compare(Box<Expression>, Vec<(Comparison, Expression)>),
    /// The condition, what it is if that is true, and what else.
    Conditional(Box<(Expression, Expression, Option<Expression>)>),
}

impl Expression {
    /// Returns whether Jinja2 works it out when it reads the template.
    pub(crate) fn is_constant(&self) -> bool {
        let mut is_constant =
            !matches!(self.kind, ExpressionKind::Name(_) | ExpressionKind::Call(_));
        self.kind
            .visit(&mut |it| is_constant = is_constant && it.is_constant());
        is_constant
    }
}

impl ExpressionKind {
    /// Shows every expression that it is made of.
    pub(crate) fn visit(&self, see: &mut impl FnMut(&Expression)) {
        match self {
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Big(_) | Self::Float(_) => {}
            Self::Text(_) | Self::Name(_) => {}
            Self::List(items) | Self::Tuple(items) | Self::Concatenate(items) => {
                items.iter().for_each(see);
            }
            Self::Dict(items) => items.iter().for_each(|(key, value)| {
                see(key);
                see(value);
            }),
            Self::Attribute(value, _) => see(value),
            Self::Negate(value) | Self::Positive(value) | Self::Not(value) => see(value),
            Self::Item(value, key) => {
                see(value);
                see(key);
            }
            Self::Slice(parts) => parts.iter().flatten().for_each(see),
            Self::Call(call) => {
                see(&call.callee);
                call.arguments.visit(see);
            }
            Self::Filter(value, filter) => {
                see(value);
                filter.arguments.visit(see);
            }
            Self::Test(value, test) => {
                see(value);
                test.arguments.visit(see);
            }
            Self::And(parts) | Self::Or(parts) | Self::Binary(_, parts) => {
                parts.iter().for_each(see);
            }
            Self::Compare(first, others) => {
                see(first);
                others.iter().for_each(|(_, it)| see(it));
            }
            Self::Conditional(parts) => {
                let (condition, value, otherwise) = &**parts;
                see(condition);
                see(value);
                otherwise.iter().for_each(see);
            }
        }
    }
}

impl Arguments {
    pub(crate) fn visit(&self, see: &mut impl FnMut(&Expression)) {
        self.positional.iter().for_each(&mut *see);
        self.named.iter().for_each(|(_, it)| see(it));
        let more = self.more.iter().chain(&self.more_named);
        more.for_each(|it| see(it));
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
    /// Of a constant: Jinja2 writes it before Python's `**`, which binds closer than a sign.
    PowerOfConstant,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) callee: Expression,
    pub(crate) arguments: Arguments,
}

/// What stands in a call's parentheses.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) positional: Vec<Expression>,
    pub(crate) named: Vec<(Arc<str>, Expression)>,
    /// What follows `*`.
    pub(crate) more: Option<Box<Expression>>,
    /// What follows `**`.
    pub(crate) more_named: Option<Box<Expression>>,
}

/// A filter or a test with its arguments.
pub(crate) struct Applied<F> {
    pub(crate) name: Arc<str>,
    /// What does it; a name that nobody knows is an error only once it is applied.
    pub(crate) function: Option<F>,
    pub(crate) arguments: Arguments,
    pub(crate) line: u32,
}

impl<F> fmt::Debug for Applied<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applied")
            .field("name", &self.name)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}
