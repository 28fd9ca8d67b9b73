//! Jinja2's tests that minijinja answers otherwise or does not have.

use minijinja::{Environment, Error, Value, value::ValueKind};

use super::{arguments::refused, objects::Shape};

/// Tests that minijinja has and Jinja2 has not.
const UNKNOWN: [&str; 4] = ["safe", "int", "startingwith", "endingwith"];

pub(super) fn install(environment: &mut Environment<'static>) {
    for name in UNKNOWN {
        environment.remove_test(name);
    }
    environment.add_test("callable", |it: &Value| {
        matches!(Shape::of(it), Shape::Other | Shape::Undefined)
    });
    environment.add_test("iterable", |it: &Value| Shape::of(it).is_iterable());
    environment.add_test("mapping", |it: &Value| Shape::of(it) == Shape::Dict);
    environment.add_test("sequence", |it: &Value| Shape::of(it).is_sequence());
    environment.add_test("odd", |it: &Value| remainder(it).map(|it| it == 1.0));
    environment.add_test("even", |it: &Value| remainder(it).map(|it| it == 0.0));
    environment.add_test("in", is_in);
}

fn remainder(value: &Value) -> Result<f64, Error> {
    match value.kind() {
        ValueKind::Number | ValueKind::Bool => Ok(f64::try_from(value.clone())?.rem_euclid(2.0)),
        kind => Err(refused(format!(
            "a value of type {kind} is neither odd nor even"
        ))),
    }
}

fn is_in(value: &Value, container: &Value) -> Result<bool, Error> {
    match Shape::of(container) {
        Shape::Text => {
            let part = super::arguments::expect_text(value)?;
            Ok(container.as_str().is_some_and(|it| it.contains(part)))
        }
        Shape::Dict => Ok(!container.get_item(value)?.is_undefined()),
        shape if shape.is_iterable() => Ok(container.try_iter()?.any(|it| it == *value)),
        _ => Err(refused("expected something to look in")),
    }
}
