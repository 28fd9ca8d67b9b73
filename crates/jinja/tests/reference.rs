//! Compares what is rendered here with what `transformers` renders.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeMap, fs, path::Path};

use llmopt_jinja::{Data, Template, TemplateError};
use serde_json::Value;

/// Snippets by what they are of, each with its text, or nothing where it raises an error.
struct Snippets {
    given: Vec<(&'static str, Data)>,
    /// What stands before each.
    prelude: String,
    families: BTreeMap<String, Vec<(String, Option<String>)>>,
}

impl Snippets {
    fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/tests/fixtures");
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        let given = vec![
            ("messages", Data::from(&read["messages"])),
            ("tools", Data::from(&read["tools"])),
            ("documents", Data::none()),
            ("add_generation_prompt", Data::bool(true)),
            ("bos_token", Data::text("<s>")),
            ("eos_token", Data::text("</s>")),
        ];
        Self {
            given,
            prelude: read["prelude"].as_str().unwrap_or_default().to_owned(),
            families: serde_json::from_value(read["families"].clone()).expect(name),
        }
    }

    fn render(&self, source: &str) -> Result<String, TemplateError> {
        let template = Template::compile(&format!("{}{source}", self.prelude))?;
        template.render(self.given.iter().cloned(), 2 << 20)
    }

    /// Asserts that at least `least` snippets are rendered alike, of the families that are compared.
    fn assert_alike(&self, least: usize, is_compared: impl Fn(&str) -> bool) {
        let families = self.families.iter().filter(|(name, _)| is_compared(name));
        let snippets: Vec<_> = families.flat_map(|(_, snippets)| snippets).collect();
        assert!(snippets.len() >= least, "{}", snippets.len());
        let differing = snippets.iter().filter_map(|(source, text)| {
            let found = self.render(source);
            (found.as_ref().ok() != text.as_ref())
                .then(|| format!("{source:?}: expected {text:?}, found {found:?}"))
        });
        let differing: Vec<String> = differing.collect();
        assert!(differing.is_empty(), "{}", differing.join("\n"));
    }
}

#[test]
fn snippets_render_what_transformers_renders() {
    Snippets::read("chat_template_snippets.json").assert_alike(1700, |it| it != "refused");
}

#[test]
fn random_snippets_render_what_transformers_renders() {
    Snippets::read("chat_template_random.json").assert_alike(3500, |_| true);
}

/// Nothing renders otherwise without a word: what is not known is an error. What is mended has to leave the list.
#[test]
fn what_is_not_known_here_is_refused() {
    let snippets = Snippets::read("chat_template_snippets.json");
    for (source, text) in &snippets.families["refused"] {
        let found = snippets.render(source);
        assert!(text.is_some() && found.is_err(), "{source:?}: {found:?}");
    }
}
