//! Python's values, as far as a template can have them.

mod conversions;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use num_bigint::BigInt;

use crate::{
    calls::Function,
    dict::Dict,
    disposal::{Parts, dispose},
    iteration::Generator,
    loops::Loop,
    macros::Macro,
    objects::Object,
};

/// A value that a template is given, makes or prints.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// What a name stands for that has no value.
    Undefined,
    None,
    Bool(bool),
    Int(i64),
    /// A whole number that is no `i64`; see [`Value::from`] of a [`BigInt`].
    Big(Rc<BigInt>),
    Float(f64),
    Text(Arc<str>),
    /// A text that needs no escaping: Python's `Markup`.
    Safe(Arc<str>),
    List(Rc<Items>),
    Tuple(Rc<Items>),
    Dict(Rc<Table>),
    Range(Rc<Range>),
    /// A dict's keys, values or items.
    View(Rc<View>),
    /// What can be gone through once.
    Generator(Rc<Generator>),
    Namespace(Rc<Namespace>),
    /// What `loop` stands for.
    Loop(Rc<Loop>),
    Macro(Rc<Macro>),
    Function(Function),
    /// A method that is not called.
    Method(Rc<Method>),
    /// What else has a state or names of its own.
    Object(Rc<Object>),
}

/// The values of a list or a tuple, with how deep they are nested.
#[derive(Debug)]
pub(crate) struct Items {
    values: Vec<Value>,
    depth: u32,
    /// What the values are called besides, in a tuple whose values have names.
    names: &'static [&'static str],
}

/// A dict, with how deep its values are nested.
#[derive(Debug)]
pub(crate) struct Table {
    dict: Dict,
    depth: u32,
}

/// Numbers at equal distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Range {
    pub(crate) start: i64,
    pub(crate) stop: i64,
    pub(crate) step: i64,
}

/// What of a dict is gone through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Part {
    Keys,
    Values,
    Items,
}

#[derive(Debug)]
pub(crate) struct View {
    pub(crate) part: Part,
    pub(crate) table: Rc<Table>,
}

/// Values by name, which can be set.
#[derive(Debug, Default)]
pub(crate) struct Namespace {
    pub(crate) values: RefCell<Dict>,
}

/// A method and what it is one of.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) of: Value,
    pub(crate) name: Arc<str>,
}

impl Items {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self::named_as(&[], values)
    }

    fn named_as(names: &'static [&'static str], values: Vec<Value>) -> Self {
        let depth = 1 + deepest(&values);
        Self {
            values,
            depth,
            names,
        }
    }

    /// Returns how many values are nested in one another, these around the others.
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// Returns the value of that name.
    pub(crate) fn named(&self, name: &str) -> Option<&Value> {
        let at = self.names.iter().position(|it| *it == name)?;
        self.values.get(at)
    }
}

impl std::ops::Deref for Items {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.values
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        if self.depth > 1 {
            dispose(Parts::Values(std::mem::take(&mut self.values)));
        }
    }
}

impl Table {
    pub(crate) fn new(dict: Dict) -> Self {
        let depth = 1 + deepest(dict.iter().flat_map(|(key, value)| [key, value]));
        Self { dict, depth }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if self.depth > 1 {
            dispose(Parts::Dict(std::mem::take(&mut self.dict)));
        }
    }
}

impl std::ops::Deref for Table {
    type Target = Dict;

    fn deref(&self) -> &Dict {
        &self.dict
    }
}

/// Returns how deep the deepest of some values is.
pub(crate) fn deepest<'a>(values: impl IntoIterator<Item = &'a Value>) -> u32 {
    values.into_iter().map(Value::depth).max().unwrap_or(0)
}

impl Range {
    /// Returns how many numbers it has.
    pub(crate) fn len(&self) -> usize {
        let (low, high) = match self.step > 0 {
            true => (self.start, self.stop),
            false => (self.stop, self.start),
        };
        let count = match low < high {
            true => high.abs_diff(low).div_ceil(self.step.unsigned_abs()),
            false => 0,
        };
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// Returns the number at a place, if it has as many.
    pub(crate) fn at(&self, place: usize) -> Option<i64> {
        let steps = i64::try_from(place).ok().filter(|_| place < self.len())?;
        self.start.checked_add(self.step.checked_mul(steps)?)
    }
}

impl View {
    pub(crate) fn at(&self, place: usize) -> Option<Value> {
        let (key, value) = self.table.entry_at(place)?;
        Some(match self.part {
            Part::Keys => key.clone(),
            Part::Values => value.clone(),
            Part::Items => Value::pair(key.clone(), value.clone()),
        })
    }
}

impl Value {
    pub(crate) fn list(values: Vec<Self>) -> Self {
        Self::List(Rc::new(Items::new(values)))
    }

    pub(crate) fn tuple(values: Vec<Self>) -> Self {
        Self::Tuple(Rc::new(Items::new(values)))
    }

    pub(crate) fn pair(first: Self, second: Self) -> Self {
        Self::tuple(vec![first, second])
    }

    /// Makes a tuple whose values have names.
    pub(crate) fn named_tuple(names: &'static [&'static str], values: Vec<Self>) -> Self {
        Self::Tuple(Rc::new(Items::named_as(names, values)))
    }

    pub(crate) fn dict(dict: Dict) -> Self {
        Self::Dict(Rc::new(Table::new(dict)))
    }

    pub(crate) fn safe(text: impl Into<Arc<str>>) -> Self {
        Self::Safe(text.into())
    }

    /// Marks a text as safe if `other` is.
    pub(crate) fn text_like(text: impl Into<Arc<str>>, other: &Self) -> Self {
        match other {
            Self::Safe(_) => Self::Safe(text.into()),
            _ => Self::Text(text.into()),
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Safe(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_safe(&self) -> bool {
        matches!(self, Self::Safe(_))
    }

    pub(crate) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined)
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Returns whether it is a number; `bool`s are.
    pub(crate) fn is_number(&self) -> bool {
        matches!(
            self,
            Self::Bool(_) | Self::Int(_) | Self::Big(_) | Self::Float(_)
        )
    }

    /// Returns Python's `bool(value)`.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Undefined | Self::None => false,
            Self::Bool(it) => *it,
            Self::Int(it) => *it != 0,
            Self::Float(it) => *it != 0.0,
            Self::Text(it) | Self::Safe(it) => !it.is_empty(),
            _ => self.len() != Some(0),
        }
    }

    /// Returns Python's `len(value)` where it has one; characters are counted, not bytes.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Self::Undefined => Some(0),
            Self::Text(text) | Self::Safe(text) => Some(text.chars().count()),
            Self::List(items) | Self::Tuple(items) => Some(items.len()),
            Self::Dict(table) => Some(table.len()),
            Self::Range(range) => Some(range.len()),
            Self::View(view) => Some(view.table.len()),
            Self::Loop(it) => it.len(),
            _ => None,
        }
    }

    /// Returns how many bytes a text or a large whole number has: what looking through it costs.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Safe(text) => text.len(),
            Self::Big(number) => usize::try_from(number.bits() / 8).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// Returns how many values are nested in one another.
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::List(items) | Self::Tuple(items) => items.depth,
            Self::Dict(table) => table.depth,
            Self::View(view) => view.table.depth,
            Self::Generator(it) => it.depth(),
            Self::Loop(it) => it.depth(),
            Self::Method(it) => 1 + it.of.depth(),
            Self::Object(it) => it.depth(),
            _ => 0,
        }
    }

    /// Returns what Python calls its type.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Undefined => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Big(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::Safe(_) => "Markup",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Range(_) => "range",
            Self::View(view) => view.part.name(),
            Self::Generator(_) => "generator",
            Self::Namespace(_) => "Namespace",
            Self::Loop(_) => "LoopContext",
            Self::Macro(_) => "Macro",
            Self::Function(_) => "function",
            Self::Method(_) => "method",
            Self::Object(it) => it.kind(),
        }
    }
}

impl Part {
    /// Returns what Python calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keys => "dict_keys",
            Self::Values => "dict_values",
            Self::Items => "dict_items",
        }
    }
}
