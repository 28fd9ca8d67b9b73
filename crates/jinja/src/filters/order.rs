//! Filters that compare their items, or add them up.

use super::{
    attributes::{Case, Getter, Path},
    switch,
};
use crate::{
    calls::{Filter, Given},
    error::{Result, refused, unknown},
    fuel::Fuel,
    iteration, operators,
    run::Run,
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Filter> {
    Some(match name {
        "sort" => sort,
        "dictsort" => dictsort,
        "groupby" => groupby,
        "min" => |run, value, given| extreme(run, value, given, operators::less),
        "max" => |run, value, given| {
            extreme(run, value, given, |fuel, it, best| {
                operators::less(fuel, best, it)
            })
        },
        "sum" => sum,
        _ => return None,
    })
}

/// Which values come first.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Ascending,
    Descending,
}

impl Order {
    fn reversed_if(reverse: Result<bool>) -> Result<Self> {
        Ok(match reverse? {
            true => Self::Descending,
            false => Self::Ascending,
        })
    }
}

/// An item and what it is ordered by.
pub(super) struct Keyed {
    pub(super) key: Value,
    pub(super) item: Value,
}

fn sorted(run: &Run<'_>, mut items: Vec<Keyed>, order: Order) -> Result<Vec<Keyed>> {
    for item in &items {
        refuse_nan(&run.fuel, &item.key)?;
    }
    if order == Order::Descending {
        items.reverse();
    }
    let mut sorted = merge_sorted(run, items, operators::less)?;
    if order == Order::Descending {
        sorted.reverse();
    }
    Ok(sorted)
}

type Less = fn(&Fuel, &Value, &Value) -> Result<bool>;

/// Sorts items by an order of their keys; those that are equal stay in order.
pub(super) fn merge_sorted(run: &Run<'_>, mut left: Vec<Keyed>, less: Less) -> Result<Vec<Keyed>> {
    if left.len() < 2 {
        return Ok(left);
    }
    run.fuel.take_items(left.len())?;
    let right = left.split_off(left.len() / 2);
    let left = merge_sorted(run, left, less)?.into_iter();
    merge(run, left, merge_sorted(run, right, less)?.into_iter(), less)
}

fn merge(
    run: &Run<'_>,
    mut left: std::vec::IntoIter<Keyed>,
    mut right: std::vec::IntoIter<Keyed>,
    less: Less,
) -> Result<Vec<Keyed>> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(a), Some(b)) = (left.as_slice().first(), right.as_slice().first()) {
        let next = match less(&run.fuel, &b.key, &a.key)? {
            true => right.next(),
            false => left.next(),
        };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

/// Refuses what is neither less than anything nor equal to itself: where it comes depends on the algorithm.
pub(super) fn refuse_nan(fuel: &Fuel, key: &Value) -> Result<()> {
    match key {
        Value::Float(number) if number.is_nan() => unknown("nan has no place in an order"),
        Value::List(items) | Value::Tuple(items) => fuel.nested(|| {
            fuel.take_items(items.len())?;
            items.iter().try_for_each(|it| refuse_nan(fuel, it))
        }),
        _ => Ok(()),
    }
}

fn keyed(items: Vec<Value>, key: impl Fn(&Value) -> Result<Value>) -> Result<Vec<Keyed>> {
    let keyed = |item| {
        Ok(Keyed {
            key: key(&item)?,
            item,
        })
    };
    items.into_iter().map(keyed).collect()
}

fn sort(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["reverse", "case_sensitive", "attribute"])?;
    let order = Order::reversed_if(switch(&arguments, 0));
    let (case, paths) = (
        Case::of(arguments.get(1)),
        Path::several(run, arguments.get(2))?,
    );
    // Keys are lists, whose first different values are compared; values that are equal need not have an order.
    let key = |item: &Value| {
        run.fuel.take_items(paths.len())?;
        let part = |path: &Path| case.fold(run, path.of(run, item, None)?);
        paths.iter().map(part).collect::<Result<Value>>()
    };
    let items = keyed(iteration::all(run, value)?, key)?;
    let sorted = sorted(run, items, order?)?;
    Ok(sorted.into_iter().map(|it| it.item).collect())
}

fn dictsort(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["case_sensitive", "by", "reverse"])?;
    let case = Case::of(arguments.get(0));
    let order = Order::reversed_if(switch(&arguments, 2))?;
    let is_by_value = match arguments.get(1).map(Value::expect_text).transpose()? {
        None | Some("key") => false,
        Some("value") => true,
        Some(other) => {
            return refused(format!(
                "dictsort sorts by `key` or `value`, not by `{other}`"
            ));
        }
    };
    let Value::Dict(table) = value else {
        return refused(format!(
            "dictsort expects a dict, found a value of type {}",
            value.kind()
        ));
    };
    run.fuel.take_items(table.len())?;
    let keyed = |(key, value): (&Value, &Value)| {
        Ok(Keyed {
            key: case.fold(run, if is_by_value { value } else { key }.clone())?,
            item: Value::pair(key.clone(), value.clone()),
        })
    };
    let keyed = table.iter().map(keyed).collect::<Result<_>>()?;
    let sorted = sorted(run, keyed, order)?;
    Ok(sorted.into_iter().map(|it| it.item).collect())
}

fn groupby(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["attribute", "default", "case_sensitive"])?;
    let getter = Getter {
        default: arguments.some(1).cloned(),
        ..Getter::new(run, Some(arguments.required(0)?), arguments.get(2))?
    };
    let items = keyed(iteration::all(run, value)?, |item| getter.key(run, item))?;
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for Keyed { key, item } in sorted(run, items, Order::Ascending)? {
        match groups.last_mut() {
            Some((last, group)) if operators::equal(&run.fuel, last, &key)? => group.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    groups
        .into_iter()
        .map(|it| grouped(run, &getter, it))
        .collect()
}

/// Makes a group, which has the name that its first item has.
fn grouped(run: &Run<'_>, getter: &Getter, (key, items): (Value, Vec<Value>)) -> Result<Value> {
    let grouper = match (getter.case, items.first()) {
        (Case::Insensitive, Some(first)) => getter.plain(run, first)?,
        _ => key,
    };
    let values = vec![grouper, Value::list(items)];
    Ok(Value::named_tuple(&["grouper", "list"], values))
}

/// Returns the first item that is better than all before it, and than which none after it is better.
fn extreme(run: &Run<'_>, value: &Value, given: &Given, is_better: Less) -> Result<Value> {
    let arguments = given.read(["case_sensitive", "attribute"])?;
    let getter = Getter::new(run, arguments.get(1), arguments.get(0))?;
    let mut left = iteration::iter(value)?;
    let mut best: Option<Keyed> = None;
    while let Some(item) = left.next(run)? {
        let key = getter.key(run, &item)?;
        let is_best = match &best {
            Some(best) => is_better(&run.fuel, &key, &best.key)?,
            None => true,
        };
        if is_best {
            best = Some(Keyed { key, item });
        }
    }
    Ok(best.map_or(Value::Undefined, |it| it.item))
}

fn sum(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["attribute", "start"])?;
    let path = Path::new(run, arguments.get(0))?;
    let mut total = arguments.get(1).cloned().unwrap_or(Value::Int(0));
    if total.as_str().is_some() {
        return refused("sum adds up no texts; is `| join` meant");
    }
    let mut left = iteration::iter(value)?;
    while let Some(item) = left.next(run)? {
        total = operators::add(run, &total, &path.of(run, &item, None)?)?;
    }
    Ok(total)
}
