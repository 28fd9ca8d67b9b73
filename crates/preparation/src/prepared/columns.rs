use std::{collections::HashMap, sync::Arc};

use arrow_array::{
    Array, ArrayRef, ListArray, PrimitiveArray, RecordBatch,
    builder::{Int64Builder, ListBuilder, PrimitiveBuilder},
    cast::AsArray as _,
    types::{ArrowPrimitiveType, Int8Type, Int32Type, Int64Type},
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{PrepareOptions, PreparedRow};

/// Rows of a row group: what `datasets` writes at once.
const GROUP_ROWS: usize = 1_000;
/// Tokens of a row group, padding included, after which it is written: nine bytes each.
const GROUP_TOKENS: usize = 1 << 20;

/// Where `datasets` looks for its types.
const DATASETS: &str = "huggingface";
/// Where a file says how its rows were made.
const OURS: &str = "llmopt";

/// What a file says about its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format_version: u32,
    pub(super) options: PrepareOptions,
    pub(super) pad_id: u32,
}

/// Returns the columns as `datasets` describes them.
///
/// Lists are called `Sequence` here, which every release reads; `List` is what those since 4.0 write.
pub(super) fn features() -> Value {
    let list = |of: &str| json!({"feature": value(of), "_type": "Sequence"});
    json!({
        "input_ids": list("int32"),
        "labels": list("int32"),
        "attention_mask": list("int8"),
        "row": value("int64"),
    })
}

fn value(of: &str) -> Value {
    json!({"dtype": of, "_type": "Value"})
}

/// Returns the schema of files whose rows `header` describes.
pub(super) fn schema(header: &Header) -> Result<SchemaRef, serde_json::Error> {
    // All may be null, as columns of `datasets` are: it takes no others without converting them.
    let list = |name, of| Field::new_list(name, Field::new_list_field(of, true), true);
    let fields = vec![
        list("input_ids", DataType::Int32),
        list("labels", DataType::Int32),
        list("attention_mask", DataType::Int8),
        Field::new("row", DataType::Int64, true),
    ];
    let datasets = json!({"info": {"features": features()}});
    let metadata = HashMap::from([
        (DATASETS.to_owned(), datasets.to_string()),
        (OURS.to_owned(), serde_json::to_string(header)?),
    ]);
    Ok(Arc::new(Schema::new_with_metadata(fields, metadata)))
}

/// Returns what a file says about its rows; `None` where it is not one of ours.
pub(super) fn header(schema: &Schema) -> Option<Header> {
    serde_json::from_str(schema.metadata().get(OURS)?).ok()
}

/// Rows that become a row group.
pub(super) struct Group {
    schema: SchemaRef,
    input_ids: ListBuilder<PrimitiveBuilder<Int32Type>>,
    labels: ListBuilder<PrimitiveBuilder<Int32Type>>,
    attention_mask: ListBuilder<PrimitiveBuilder<Int8Type>>,
    row: Int64Builder,
    rows: usize,
    tokens: usize,
}

impl Group {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            input_ids: ListBuilder::new(PrimitiveBuilder::new()),
            labels: ListBuilder::new(PrimitiveBuilder::new()),
            attention_mask: ListBuilder::new(PrimitiveBuilder::new()),
            row: Int64Builder::new(),
            rows: 0,
            tokens: 0,
        }
    }

    pub(super) fn push(&mut self, row: &PreparedRow) {
        append(&mut self.input_ids, &row.input_ids);
        append(&mut self.labels, &row.labels);
        append(&mut self.attention_mask, &row.attention_mask);
        self.row.append_value(row.number.cast_signed());
        self.rows += 1;
        self.tokens += row.input_ids.len();
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= GROUP_ROWS || self.tokens >= GROUP_TOKENS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Takes the rows out.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        (self.rows, self.tokens) = (0, 0);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.input_ids.finish()),
            Arc::new(self.labels.finish()),
            Arc::new(self.attention_mask.finish()),
            Arc::new(self.row.finish()),
        ];
        RecordBatch::try_new(self.schema.clone(), columns)
    }
}

fn append<T: ArrowPrimitiveType>(
    lists: &mut ListBuilder<PrimitiveBuilder<T>>,
    values: &[T::Native],
) {
    lists.values().append_slice(values);
    lists.append(true);
}

/// Returns the rows of a batch; `None` where its columns are others.
pub(super) fn rows(batch: &RecordBatch) -> Option<Vec<PreparedRow>> {
    let list = |name: &str| batch.column_by_name(name)?.as_list_opt::<i32>();
    let (ids, labels, mask) = (list("input_ids")?, list("labels")?, list("attention_mask")?);
    let numbers = batch.column_by_name("row")?;
    let numbers = numbers.as_primitive_opt::<Int64Type>()?;
    let row = |index| {
        Some(PreparedRow {
            number: u64::try_from(numbers.value(index)).ok()?,
            input_ids: values::<Int32Type>(ids, index)?,
            labels: values::<Int32Type>(labels, index)?,
            attention_mask: values::<Int8Type>(mask, index)?,
        })
    };
    (0..batch.num_rows()).map(row).collect()
}

fn values<T: ArrowPrimitiveType>(lists: &ListArray, index: usize) -> Option<Vec<T::Native>> {
    let list = lists.value(index);
    let list: &PrimitiveArray<T> = list.as_primitive_opt()?;
    (list.null_count() == 0).then(|| list.values().to_vec())
}
