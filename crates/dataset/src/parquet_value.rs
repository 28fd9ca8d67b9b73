use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};

use crate::{
    jsonl::too_long,
    problem::{Problem, shortened},
    source::MAX_ROW_BYTES,
    strict::text,
};

/// Makes a row the JSON object that it stands for.
pub(crate) fn object(row: Row) -> Result<Map<String, Value>, Problem> {
    let mut writer = Writer { size: 0 };
    writer.object(row)
}

/// Writes one row, and counts its bytes.
struct Writer {
    size: usize,
}

impl Writer {
    fn object(&mut self, row: Row) -> Result<Map<String, Value>, Problem> {
        let mut object = Map::new();
        for (name, field) in row.into_columns() {
            let value = self.value(field);
            let value = value.map_err(|problem| in_column(problem, &name))?;
            object.insert(name, value);
        }
        Ok(object)
    }

    fn value(&mut self, field: Field) -> Result<Value, Problem> {
        Ok(match field {
            Field::Null => Value::Null,
            Field::Bool(value) => value.into(),
            Field::Byte(value) => value.into(),
            Field::Short(value) => value.into(),
            Field::Int(value) => value.into(),
            Field::Long(value) => value.into(),
            Field::UByte(value) => value.into(),
            Field::UShort(value) => value.into(),
            Field::UInt(value) => value.into(),
            Field::ULong(value) => value.into(),
            Field::Float16(value) => number(f64::from(value)),
            Field::Float(value) => shortest(value),
            Field::Double(value) => number(value),
            Field::Str(value) => self.sized(value)?,
            Field::Bytes(value) => {
                let value = text(value.data().to_vec(), 1)?;
                self.sized(value)?
            }
            Field::Group(row) => self.object(row)?.into(),
            Field::ListInternal(list) => self.list(list.elements())?,
            Field::MapInternal(map) => self.map(map.entries())?,
            Field::TimestampMillis(_) | Field::TimestampMicros(_) => {
                let text = field.to_string().replacen(' ', "T", 1);
                text.replace(" +00:00", "Z").into()
            }
            // Numbers of JSON may lose digits of a decimal.
            Field::Decimal(_) | Field::Date(_) | Field::TimeMillis(_) | Field::TimeMicros(_) => {
                field.to_string().into()
            }
        })
    }

    fn list(&mut self, elements: &[Field]) -> Result<Value, Problem> {
        let values = elements.iter().map(|element| self.value(element.clone()));
        Ok(Value::Array(values.collect::<Result<_, _>>()?))
    }

    /// Writes a map as an object, whose keys are texts.
    fn map(&mut self, entries: &[(Field, Field)]) -> Result<Value, Problem> {
        let mut object = Map::new();
        for (key, value) in entries {
            let key = match self.value(key.clone())? {
                Value::String(key) => key,
                key => key.to_string(),
            };
            let value = self.value(value.clone())?;
            if object.insert(key.clone(), value).is_some() {
                return Err(twice(&key));
            }
        }
        Ok(object.into())
    }

    fn sized(&mut self, text: String) -> Result<Value, Problem> {
        self.size += text.len();
        if self.size > MAX_ROW_BYTES {
            // The next row is read all the same.
            let found = "a longer one".to_owned();
            return Err(Problem {
                found,
                ..too_long()
            });
        }
        Ok(text.into())
    }
}

/// Names the outermost column, which a reader of the message looks for.
fn in_column(mut problem: Problem, name: &str) -> Problem {
    problem.field = Some(shortened(name));
    problem
}

/// JSON has no numbers that are none or without end.
fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Writes the shortest decimal number that stands for a number of 32 bits.
fn shortest(value: f32) -> Value {
    value.to_string().parse().map_or(Value::Null, number)
}

fn twice(key: &str) -> Problem {
    Problem::row(
        "unparsable_row",
        "a different key for each value",
        format!("the key `{}` twice", shortened(key)),
        "rename or remove one of them",
    )
}
