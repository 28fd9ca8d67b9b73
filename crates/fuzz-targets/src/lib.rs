//! What must hold for every parser of bytes that come from outside, whatever the bytes are: one function
//! for each, which fails by panicking.
//!
//! `fuzz/` makes a fuzzer of each of them, and a test runs each over the corpus that is committed for it. Knows
//! only what a user can reach; does not know how a parser works.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "for tests only, which fail by panicking"
)]

mod answers;
mod datasets;
mod events;
mod folders;
mod guarded;
mod names;
mod platform;
mod prices;
mod providers;
mod records;
mod requests;
mod scratch;
mod settings;
mod templates;
mod text;
mod tokenizers;
mod uploads;
mod weights;

/// A parser, and what must hold for it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What the fuzzer and the folder of the corpus are called.
    pub name: &'static str,
    /// Checks everything for these bytes.
    pub check: fn(&[u8]),
}

/// Writes the targets down once: a function for each fuzzer, and the list of all for the test.
macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident: $check:path)*) => {
        $($(#[$doc])* pub fn $name(bytes: &[u8]) {
            $check(bytes);
        })*

        /// Every target.
        pub const TARGETS: &[Target] = &[
            $(Target { name: stringify!($name), check: $check },)*
        ];
    };
}

targets! {
    /// A dataset of JSON lines: its reading, its validation, and that it reads the same when written again.
    dataset_jsonl: datasets::jsonl
    /// A dataset that is a JSON list, or JSON values one after the other.
    dataset_json: datasets::json
    /// A dataset of separated values.
    dataset_csv: datasets::csv
    /// A dataset that is packed with gzip.
    dataset_gzip: datasets::packed
    /// A dataset that is packed with zstd.
    dataset_zstd: datasets::packed
    /// A dataset in UTF-16.
    dataset_utf16: datasets::utf16
    /// A dataset in Parquet.
    dataset_parquet: datasets::parquet
    /// A dataset that is plain text.
    dataset_text: datasets::text
    /// An upload of a dataset: query, kind of body, form, and a body that comes in pieces.
    dataset_upload: uploads::upload
    /// The head of a request to the whole platform: method, path, query, headers, who asks and from where.
    http_request: requests::head
    /// The body of `POST /generate` and of `POST /generate/batch`.
    generate_body: requests::generate
    /// The bodies of `POST /keys` and of `POST /keys/{id}/rotate`.
    keys_body: requests::keys
    /// The body of `POST /training/jobs`.
    training_body: requests::training
    /// An event of an API as Lambda hands it to a function.
    lambda_event: events::api
    /// An event of AWS Batch or of a schedule.
    batch_event: events::batch
    /// A request to the function that holds models.
    inference_request: answers::request
    /// The answer of the function that holds models, in pieces.
    inference_answer: answers::answer
    /// A table of prices: what it says of each model on any day, and that no cost is above its bound.
    price_table: prices::table
    /// An answer of OpenAI's or Anthropic's, streamed in pieces or whole.
    provider_answer: providers::answer
    /// Names of models, keys of objects, texts of platform keys, times, cursors of pages.
    names: names::all
    /// Records that are kept, and numbers of rate limits.
    records: records::all
    /// A `.env` file.
    settings: settings::dotenv
    /// A tokenizer's files: `tokenizer.json`, `tokenizer_config.json`.
    tokenizer_file: tokenizers::file
    /// GPT-2's `vocab.json` and `merges.txt`.
    tokenizer_vocabulary: tokenizers::vocabulary
    /// Texts and token ids through a tokenizer.
    tokenizer_text: tokenizers::text
    /// A chat template and the turns that it renders.
    chat_template: templates::template
    /// A safetensors file.
    safetensors: weights::safetensors
    /// A model's folder: `config.json`, an index of shards, weights.
    model_folder: folders::model
    /// An adapter's folder: `adapter_config.json`, `adapter_model.safetensors`.
    adapter_folder: folders::adapter
    /// What a published folder says of itself: manifest, metadata, evaluation, template lock, the store's note.
    published_folder: folders::published
    /// The index of shards as a Hub sends it.
    hub_index: names::hub_index
}
