//! Which variables a body hides before it sets them.
//!
//! Jinja2 decides when it reads a template whose variable a name is: one that a body sets, and does not read before, is
//! the body's own from its beginning, and has no value until it is set. Only what stands in bodies within can tell.

use std::collections::{HashMap, HashSet};

use crate::tree::{
    Body, Definition, Expression, ExpressionKind, For, Statement, StatementKind, Symbol, Target,
    Tree,
};

/// Returns the names that each body hides, by its number.
pub(crate) fn hidden(tree: &Tree, bodies: usize) -> Vec<Vec<Symbol>> {
    let mut hiding = Hiding {
        hidden: vec![Vec::new(); bodies],
    };
    hiding.body(&tree.body, Names::default(), None);
    hiding.hidden
}

/// Where a name has its value from when a body begins.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Origin {
    Parameter,
    /// What the template is given, or a function.
    Given,
    /// A body around it.
    Around,
    /// Nowhere.
    Nowhere,
}

/// The names that a body knows.
#[derive(Clone, Debug, Default)]
struct Names {
    origins: HashMap<Symbol, Origin>,
    set: HashSet<Symbol>,
    read: HashSet<Symbol>,
}

/// The names that the bodies around one know, from the inside out.
#[derive(Clone, Copy)]
struct Around<'a> {
    names: &'a Names,
    around: Option<&'a Around<'a>>,
}

struct Hiding {
    hidden: Vec<Vec<Symbol>>,
}

/// What a body is found in another with: parameters, and what is read with them.
struct Inner<'t> {
    body: &'t Body,
    parameters: Vec<Symbol>,
    read: Vec<&'t Expression>,
    /// Whether it sees what is around it.
    is_open: IsOpen,
}

#[derive(PartialEq)]
enum IsOpen {
    Yes,
    No,
}

impl Around<'_> {
    fn has(&self, name: Symbol) -> bool {
        self.names.origins.contains_key(&name) || self.around.is_some_and(|it| it.has(name))
    }
}

impl Names {
    fn read(&mut self, name: Symbol, around: Option<&Around<'_>>) {
        self.read.insert(name);
        if !self.origins.contains_key(&name) && !around.is_some_and(|it| it.has(name)) {
            self.origins.insert(name, Origin::Given);
        }
    }

    fn set(&mut self, name: Symbol, around: Option<&Around<'_>>) {
        self.set.insert(name);
        let origin = match around.is_some_and(|it| it.has(name)) {
            true => Origin::Around,
            false => Origin::Nowhere,
        };
        self.origins.entry(name).or_insert(origin);
    }

    fn parameter(&mut self, name: Symbol) {
        self.set.insert(name);
        self.origins.insert(name, Origin::Parameter);
    }

    fn read_all(&mut self, expression: &Expression, around: Option<&Around<'_>>) {
        each_name(expression, &mut |name| self.read(name, around));
    }

    fn target(&mut self, target: &Target, around: Option<&Around<'_>>) {
        match target {
            Target::Name(name) => self.set(*name, around),
            Target::Attribute(name, _) => self.read(*name, around),
            Target::Tuple(targets) => targets.iter().for_each(|it| self.target(it, around)),
        }
    }

    /// Takes what the branches of a condition know; what they set may be from elsewhere.
    fn join(&mut self, branches: [Self; 3], around: Option<&Around<'_>>) {
        let before = self.set.clone();
        for branch in branches {
            self.origins.extend(branch.origins);
            self.set.extend(branch.set);
            self.read.extend(branch.read);
        }
        for name in self.set.difference(&before) {
            let origin = match around.is_some_and(|it| it.has(*name)) {
                true => Origin::Around,
                false => Origin::Given,
            };
            self.origins.insert(*name, origin);
        }
    }

    fn statement(&mut self, statement: &Statement, around: Option<&Around<'_>>) {
        match &statement.kind {
            StatementKind::Print(value) => self.read_all(value, around),
            StatementKind::PrintAll(values) => {
                values.iter().for_each(|it| self.read_all(it, around))
            }
            StatementKind::Set(target, value) => {
                self.read_all(value, around);
                self.target(target, around);
            }
            StatementKind::SetBlock(target, ..) => self.target(target, around),
            StatementKind::For(it) => self.read_all(&it.iterated, around),
            StatementKind::If(branches, otherwise) => self.condition(branches, otherwise, around),
            StatementKind::With(values, _) => {
                values
                    .iter()
                    .for_each(|(_, value)| self.read_all(value, around));
            }
            StatementKind::Macro(name, _) => self.set(*name, around),
            StatementKind::Call(call, _) => {
                self.read_all(&call.callee, around);
                call.arguments.visit(&mut |it| self.read_all(it, around));
            }
            StatementKind::FilterBlock(filters, _) => {
                let arguments = filters.iter().map(|it| &it.arguments);
                arguments.for_each(|it| it.visit(&mut |it| self.read_all(it, around)));
            }
            _ => {}
        }
    }

    fn condition(
        &mut self,
        branches: &[(Expression, Vec<Statement>)],
        otherwise: &[Statement],
        around: Option<&Around<'_>>,
    ) {
        let Some(((condition, body), more)) = branches.split_first() else {
            return;
        };
        self.read_all(condition, around);
        let mut names = [self.clone(), self.clone(), self.clone()];
        let [first, others, last] = &mut names;
        body.iter().for_each(|it| first.statement(it, around));
        for branch in more {
            others.condition(std::slice::from_ref(branch), &[], around);
        }
        otherwise.iter().for_each(|it| last.statement(it, around));
        self.join(names, around);
    }
}

impl Hiding {
    /// Looks at a body, which begins with these names, and at those within. Returns the names that they read.
    fn body(
        &mut self,
        body: &Body,
        mut names: Names,
        around: Option<&Around<'_>>,
    ) -> HashSet<Symbol> {
        let parameters: Vec<Symbol> = names.set.iter().copied().collect();
        for statement in &body.statements {
            names.statement(statement, around);
        }
        parameters.into_iter().for_each(|it| names.parameter(it));
        let mut inner = Vec::new();
        inner_bodies(&body.statements, &mut inner);
        let mut read = HashSet::new();
        for it in inner {
            let here = Around {
                names: &names,
                around,
            };
            read.extend(self.inner(&it, Some(&here).filter(|_| it.is_open == IsOpen::Yes)));
        }
        let is_hidden = |name: &Symbol| names.origins.get(name) == Some(&Origin::Nowhere);
        if let Some(hidden) = self.hidden.get_mut(body.id) {
            hidden.extend(read.iter().copied().filter(is_hidden));
        }
        read.extend(names.read);
        read
    }

    fn inner(&mut self, inner: &Inner<'_>, around: Option<&Around<'_>>) -> HashSet<Symbol> {
        let mut names = Names::default();
        inner.parameters.iter().for_each(|it| names.parameter(*it));
        for expression in &inner.read {
            names.read_all(expression, around);
        }
        self.body(inner.body, names, around)
    }
}

/// Finds the bodies that stand in statements, but for those within bodies.
fn inner_bodies<'t>(statements: &'t [Statement], found: &mut Vec<Inner<'t>>) {
    for statement in statements {
        match &statement.kind {
            StatementKind::If(branches, otherwise) => {
                branches
                    .iter()
                    .for_each(|(_, body)| inner_bodies(body, found));
                inner_bodies(otherwise, found);
            }
            StatementKind::For(it) => found.extend(loop_bodies(it)),
            StatementKind::With(values, body) => {
                let mut parameters = Vec::new();
                values
                    .iter()
                    .for_each(|(target, _)| each_target(target, &mut parameters));
                found.push(Inner::new(body, parameters));
            }
            StatementKind::Macro(_, definition) | StatementKind::Call(_, definition) => {
                found.push(macro_body(definition));
            }
            StatementKind::SetBlock(_, _, body)
            | StatementKind::FilterBlock(_, body)
            | StatementKind::Generation(body) => found.push(Inner::new(body, Vec::new())),
            StatementKind::Autoescape(value, body) => found.push(Inner {
                read: vec![value],
                ..Inner::new(body, Vec::new())
            }),
            StatementKind::Block(body, _) => found.push(Inner {
                is_open: IsOpen::No,
                ..Inner::new(body, Vec::new())
            }),
            _ => {}
        }
    }
}

impl<'t> Inner<'t> {
    fn new(body: &'t Body, parameters: Vec<Symbol>) -> Self {
        Self {
            body,
            parameters,
            read: Vec::new(),
            is_open: IsOpen::Yes,
        }
    }
}

fn loop_bodies(it: &For) -> [Inner<'_>; 2] {
    let mut parameters: Vec<Symbol> = it.state.into_iter().collect();
    each_target(&it.target, &mut parameters);
    let condition = it.condition.iter().collect();
    [
        Inner {
            read: condition,
            ..Inner::new(&it.body, parameters)
        },
        Inner::new(&it.otherwise, Vec::new()),
    ]
}

fn macro_body(definition: &Definition) -> Inner<'_> {
    let special = [definition.caller, definition.varargs, definition.kwargs];
    let parameters = definition.parameters.iter().map(|(name, _)| *name);
    let defaults = definition
        .parameters
        .iter()
        .filter_map(|(_, it)| it.as_ref());
    Inner {
        read: defaults.collect(),
        ..Inner::new(
            &definition.body,
            parameters.chain(special.into_iter().flatten()).collect(),
        )
    }
}

fn each_target(target: &Target, names: &mut Vec<Symbol>) {
    match target {
        Target::Name(name) => names.push(*name),
        Target::Attribute(..) => {}
        Target::Tuple(targets) => targets.iter().for_each(|it| each_target(it, names)),
    }
}

fn each_name(expression: &Expression, see: &mut dyn FnMut(Symbol)) {
    if let ExpressionKind::Name(name) = expression.kind {
        see(name);
    }
    expression.kind.visit(&mut |it| each_name(it, see));
}
