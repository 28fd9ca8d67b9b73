use std::{error::Error, path::PathBuf};

use thiserror::Error;

/// Why a tokenizer could not be opened, used, trained or saved.
#[derive(Debug, Error)]
pub enum TokenizationError {
    /// The folder has no tokenizer that is understood.
    #[error(
        "`{folder}` has no tokenizer: expected `tokenizer.json`, or `vocab.json` with `merges.txt`; copy them from the base model"
    )]
    NoTokenizer {
        /// The folder.
        folder: PathBuf,
    },
    /// `vocab.json` and `merges.txt` belong to a tokenizer whose rules are not GPT-2's.
    #[error(
        "`{folder}` has a `{class}` without `tokenizer.json`: only GPT-2's `vocab.json` and `merges.txt` are understood alone; save the tokenizer as `tokenizer.json` first"
    )]
    UnsupportedTokenizer {
        /// The folder.
        folder: PathBuf,
        /// The class that `tokenizer_config.json` names.
        class: String,
    },
    /// A file could not be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("failed to write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("failed to parse `{path}`")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line of `merges.txt` is not a pair.
    #[error("`{path}`, line {line}: expected two tokens with one space between, found `{found}`")]
    Merge {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// The tokenizer's files contradict themselves.
    #[error("failed to load the tokenizer of `{path}`")]
    Tokenizer {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nothing says which token ends a response.
    #[error(
        "`{folder}` does not say which token ends a response: expected `eos_token` in `tokenizer_config.json` or `special_tokens_map.json`, `eos_token_id` in `generation_config.json` or `config.json`, or `<|endoftext|>` in the vocabulary; add one of them"
    )]
    NoEndToken {
        /// The folder.
        folder: PathBuf,
    },
    /// The token that ends a response is not in the vocabulary.
    #[error(
        "`{file}` of `{folder}` names `{token}` as {field}: expected a token of the vocabulary; correct it or add the token"
    )]
    UnknownEndToken {
        /// The folder.
        folder: PathBuf,
        /// The file within the folder.
        file: &'static str,
        /// The key within the file.
        field: &'static str,
        /// The token or id it names.
        token: String,
    },
    /// `tokenizer_config.json` has a chat template that is neither a text nor a list with a default.
    #[error(
        "`chat_template` in `{path}`: expected a text, or a list with an entry named `default`; write the one to use to `chat_template.jinja`"
    )]
    TemplateField {
        /// The file.
        path: PathBuf,
    },
    /// The chat template is no valid Jinja.
    #[error("failed to compile the chat template")]
    TemplateSyntax(#[source] llmopt_jinja::TemplateError),
    /// The chat template failed on, or refused, a conversation; which of them, and whose fault it is, the source tells.
    #[error("failed to render the chat template")]
    TemplateRender(#[source] llmopt_jinja::TemplateError),
    /// The chat template renders earlier turns differently once a later one is there.
    #[error(
        "the chat template is not prefix-preserving at turn {turn}: expected the rendering to go on after `{expected}`, found `{found}`; training would see another prompt than serving, so use a template that renders earlier turns the same whatever follows"
    )]
    NotPrefixPreserving {
        /// The turn that changes what comes before it, counted from 1.
        turn: usize,
        /// The end of the common text and what the shorter rendering has there.
        expected: String,
        /// The end of the common text and what the longer rendering has there.
        found: String,
    },
    /// The chat template leaves out a response.
    #[error(
        "the chat template renders nothing of the response at turn {turn}: expected its text; use a template that renders assistant messages"
    )]
    ResponseNotRendered {
        /// The turn, counted from 1.
        turn: usize,
    },
    /// A message would smuggle in a control token.
    #[error(
        "the {role} message at turn {turn} contains `{token}`: expected text without the tokenizer's special tokens, which would become a control token; remove or reword it"
    )]
    SpecialToken {
        /// The turn, counted from 1.
        turn: usize,
        /// Who speaks.
        role: &'static str,
        /// The token.
        token: String,
    },
    /// A tool's description would smuggle in a control token.
    #[error(
        "tool {tool} contains `{token}`: expected text without the tokenizer's special tokens, which would become a control token; remove or reword it"
    )]
    SpecialTokenInTool {
        /// The tool, counted from 1.
        tool: usize,
        /// The token.
        token: String,
    },
    /// There is nothing to encode.
    #[error("the conversation has no messages: expected at least one")]
    NoMessages,
    /// There is no response to train on.
    #[error(
        "the conversation ends with a {found} message: expected it to end with the assistant's, which is trained on"
    )]
    NoResponse {
        /// The role of the last message.
        found: &'static str,
    },
    /// A text could not be tokenized.
    #[error("failed to tokenize a text of {bytes} bytes")]
    Encode {
        /// The text's length.
        bytes: usize,
        /// What the tokenizer says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Ids could not be turned into text.
    #[error("failed to decode {count} tokens")]
    Decode {
        /// How many.
        count: usize,
        /// What the tokenizer says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An id has no token.
    #[error("token id `{id}` is not in the vocabulary: expected one of its {size} ids")]
    UnknownId {
        /// The id.
        id: u32,
        /// The vocabulary's size.
        size: usize,
    },
    /// The vocabulary could not hold every byte and the end token.
    #[error(
        "vocabulary size `{requested}` is too small: expected at least {least}, one for each byte and one for the end token"
    )]
    VocabularyTooSmall {
        /// What was asked for.
        requested: usize,
        /// What is possible.
        least: usize,
    },
    /// A token has an id that no model knows.
    #[error(
        "the tokenizer of `{folder}` has the id `{id}`: expected ids below {most}; correct it, or take the tokenizer that belongs to the model"
    )]
    VocabularyTooLarge {
        /// The folder.
        folder: PathBuf,
        /// The id.
        id: u32,
        /// What is possible.
        most: u32,
    },
    /// Two tokens have one id.
    #[error(
        "the tokenizer of `{folder}` gives the id `{id}` to `{}` and to `{}`: expected one token for each id; correct it, or take the tokenizer that belongs to the model",
        tokens[0],
        tokens[1]
    )]
    SameId {
        /// The folder.
        folder: PathBuf,
        /// The id.
        id: u32,
        /// The tokens.
        tokens: [String; 2],
    },
    /// A template lock was written by another version of this program.
    #[error("the template lock has format `{found}`: expected `{expected}`; write it again")]
    LockFormat {
        /// The format that is understood.
        expected: u32,
        /// The format of the file.
        found: u32,
    },
    /// Template or tokenizer no longer give what was trained on.
    #[error(
        "golden conversation {example} of the template lock has another {what} at position {position}: expected `{expected}`, found `{found}`; restore the tokenizer and chat template that the model was trained with"
    )]
    LockBroken {
        /// The conversation, counted from 1.
        example: usize,
        /// `text`, `token id` or `loss mask`.
        what: &'static str,
        /// Where they part: a byte of the text or an index into the tokens, counted from 0.
        position: usize,
        /// What was recorded there.
        expected: String,
        /// What is there now.
        found: String,
    },
}
