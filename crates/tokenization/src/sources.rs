use serde_json::{Value, json};

/// A model's chat templates as they are written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TemplateSources {
    pub(crate) default: String,
    /// The one for conversations with tools, where that is another.
    pub(crate) tool_use: Option<String>,
}

impl From<String> for TemplateSources {
    fn from(default: String) -> Self {
        let tool_use = None;
        Self { default, tool_use }
    }
}

impl TemplateSources {
    /// Reads a list of templates with names, of which one is `default`.
    pub(crate) fn named(list: &[Value]) -> Option<Self> {
        let find = |name: &str| {
            // Where a name is there twice, the last counts.
            let is_named = |it: &&Value| it.get("name").is_some_and(|it| it == name);
            let template = list.iter().rfind(is_named)?.get("template")?;
            template.as_str().map(str::to_owned)
        };
        Some(Self {
            default: find("default")?,
            tool_use: find("tool_use"),
        })
    }

    /// Returns what `chat_template` in `tokenizer_config.json` is.
    pub(crate) fn to_json(&self) -> Value {
        match &self.tool_use {
            None => json!(self.default),
            Some(tool_use) => json!([
                { "name": "default", "template": self.default },
                { "name": "tool_use", "template": tool_use },
            ]),
        }
    }
}
