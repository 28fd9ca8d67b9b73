use llmopt_domain::{Conversation, Message, ToolCall};
use llmopt_jinja::{Data, Template};
use serde_json::Map;

use crate::{TokenizationError, save::NamedTokens, sources::TemplateSources};

/// The chat template of bases that have none, such as GPT-2.
pub const DEFAULT_CHAT_TEMPLATE: &str = "\
{%- for message in messages -%}
{%- if message['role'] == 'system' -%}
{{ message['content'] + '\\n\\n' }}
{%- elif message['role'] == 'user' -%}
{{ '### User:\\n' + message['content'] + '\\n\\n' }}
{%- elif message['role'] == 'assistant' -%}
{{ '### Assistant:\\n' + message['content'] + eos_token }}
{%- if not loop.last or add_generation_prompt -%}
{{ '\\n' }}
{%- endif -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '### Assistant:\\n' }}
{%- endif -%}
";

/// What one rendering may cost: far more than any real template takes, little enough that one that never ends fails
/// in seconds, and one that makes more and more before it has a few hundred MiB. Each step costs 1, and so do 64
/// bytes that are made or looked through.
const FUEL: u64 = 2 << 20;

/// What a chat template renders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns<'a> {
    pub(crate) messages: &'a [Message],
    /// The tools that may be called, each as its JSON schema.
    pub(crate) tools: &'a [Map<String, serde_json::Value>],
}

impl<'a> Turns<'a> {
    /// Returns the first `count` turns.
    pub(crate) fn first(self, count: usize) -> Self {
        let messages = self.messages.get(..count).unwrap_or(self.messages);
        Self { messages, ..self }
    }
}

impl<'a> From<&'a Conversation> for Turns<'a> {
    fn from(conversation: &'a Conversation) -> Self {
        Self {
            messages: &conversation.messages,
            tools: &conversation.tools,
        }
    }
}

impl<'a> From<&'a [Message]> for Turns<'a> {
    fn from(messages: &'a [Message]) -> Self {
        Self {
            messages,
            tools: &[],
        }
    }
}

/// Compiled chat templates with the tokens that they may name.
pub(crate) struct ChatTemplate {
    default: Template,
    tool_use: Option<Template>,
    sources: TemplateSources,
    tokens: Vec<(String, String)>,
}

impl ChatTemplate {
    /// Compiles templates as `transformers` would.
    pub(crate) fn compile(
        sources: TemplateSources,
        names: &NamedTokens,
    ) -> Result<Self, TokenizationError> {
        let compile =
            |source: &String| Template::compile(source).map_err(TokenizationError::TemplateSyntax);
        let tokens = names.fields();
        Ok(Self {
            default: compile(&sources.default)?,
            tool_use: sources.tool_use.as_ref().map(compile).transpose()?,
            tokens: tokens
                .map(|(name, token)| (name.to_owned(), token.to_owned()))
                .collect(),
            sources,
        })
    }

    /// Returns the sources as they were given.
    pub(crate) fn sources(&self) -> &TemplateSources {
        &self.sources
    }

    /// Renders `turns` and nothing after them.
    pub(crate) fn render_turns(&self, turns: Turns<'_>) -> Result<String, TokenizationError> {
        self.render(turns, false)
    }

    /// Renders `turns` and what asks the assistant to speak.
    pub(crate) fn render_prompt(&self, turns: Turns<'_>) -> Result<String, TokenizationError> {
        self.render(turns, true)
    }

    fn render(
        &self,
        turns: Turns<'_>,
        add_generation_prompt: bool,
    ) -> Result<String, TokenizationError> {
        let messages = Data::list(turns.messages.iter().map(message_data));
        // As `transformers` has it where there are none.
        let (template, tools) = match turns.tools {
            [] => (&self.default, Data::none()),
            tools => (
                self.tool_use.as_ref().unwrap_or(&self.default),
                Data::list(tools.iter().map(Data::from)),
            ),
        };
        // A token stays undefined where there is none, as in `transformers`.
        let tokens = self.tokens.iter();
        let mut variables: Vec<(&str, Data)> = tokens
            .map(|(name, token)| (&**name, Data::text(token)))
            .collect();
        variables.extend([
            ("messages", messages),
            ("add_generation_prompt", Data::bool(add_generation_prompt)),
            ("tools", tools),
            ("documents", Data::none()),
        ]);
        let text = template.render(variables, FUEL);
        text.map_err(TokenizationError::TemplateRender)
    }
}

/// Returns a message as templates know it, which has only the keys that say something.
fn message_data(message: &Message) -> Data {
    let mut keys = vec![
        ("role", Data::text(message.role.as_str())),
        ("content", Data::text(&message.content)),
    ];
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(call_data);
        keys.push(("tool_calls", Data::list(calls)));
    }
    let names = [
        ("tool_call_id", &message.tool_call_id),
        ("name", &message.name),
    ];
    let names = names.into_iter();
    keys.extend(names.filter_map(|(key, name)| Some((key, Data::text(name.as_deref()?)))));
    Data::dict(keys)
}

/// Returns a call as OpenAI spells it.
fn call_data(call: &ToolCall) -> Data {
    let function = [
        ("name", Data::text(&call.name)),
        ("arguments", Data::from(&call.arguments)),
    ];
    let id = call.id.as_deref().map(|it| ("id", Data::text(it)));
    let rest = [
        ("type", Data::text("function")),
        ("function", Data::dict(function)),
    ];
    Data::dict(id.into_iter().chain(rest))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::testing::{assistant, chatml, named, read_fixture, system, user};

    fn render(source: &str, messages: &[Message]) -> Result<String, TokenizationError> {
        compile(source)?.render_prompt(messages.into())
    }

    fn compile(source: &str) -> Result<ChatTemplate, TokenizationError> {
        ChatTemplate::compile(source.to_owned().into(), &named("<s>", "</s>"))
    }

    #[test]
    fn the_default_template_renders_every_role() {
        let turns = [
            system("Be kind."),
            user("Hi"),
            assistant("Hello"),
            user("Bye"),
        ];
        assert_eq!(
            render(DEFAULT_CHAT_TEMPLATE, &turns).unwrap(),
            "Be kind.\n\n### User:\nHi\n\n### Assistant:\nHello</s>\n### User:\nBye\n\n### Assistant:\n"
        );
    }

    #[test]
    fn the_default_template_ends_a_conversation_with_the_end_token() {
        let template = compile(DEFAULT_CHAT_TEMPLATE).unwrap();
        assert_eq!(
            template
                .render_turns([user("Hi"), assistant("Hello")][..].into())
                .unwrap(),
            "### User:\nHi\n\n### Assistant:\nHello</s>"
        );
    }

    #[test]
    fn blocks_are_trimmed_as_in_transformers() {
        let source = "{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}\n";
        assert_eq!(render(source, &[user("a"), user("b")]).unwrap(), "a\nb\n");
    }

    #[test]
    fn python_methods_and_slices_work() {
        let source = "{{ messages[0]['content'].strip().upper() }}{{ messages[1:]|length }}{{ messages[-1].content.split(' ')[0] }}";
        assert_eq!(render(source, &[user(" a "), user("b c")]).unwrap(), "A1b");
    }

    #[test]
    fn a_template_can_refuse_a_conversation() {
        let error = render(
            "{{ raise_exception('roles must alternate') }}",
            &[user("a")],
        )
        .unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("roles must alternate"), "{source}");
    }

    #[test]
    fn broken_jinja_is_refused_when_it_is_compiled() {
        assert!(matches!(
            compile("{% for m in messages %}"),
            Err(TokenizationError::TemplateSyntax(_))
        ));
    }

    #[test]
    fn a_template_that_never_ends_runs_out_of_fuel() {
        let source = "{% for a in range(90000) %}{% for b in range(90000) %}{% set c = b %}{% endfor %}{% endfor %}";
        assert!(matches!(
            render(source, &[user("a")]),
            Err(TokenizationError::TemplateRender(_))
        ));
    }

    #[test]
    fn a_template_that_doubles_a_text_runs_out_of_fuel_before_there_is_no_memory() {
        let doubled = |times: u32| {
            let source = format!(
                "{{% set it = namespace(text='a') %}}{{% for i in range({times}) %}}{{% set it.text = it.text ~ it.text %}}{{% endfor %}}{{{{ it.text | length }}}}"
            );
            render(&source, &[])
        };
        assert_eq!(doubled(20).unwrap(), "1048576");
        assert!(matches!(
            doubled(28),
            Err(TokenizationError::TemplateRender(_))
        ));
    }

    #[test]
    fn a_list_that_has_itself_many_times_over_is_refused() {
        let doubled = |shown: &str| {
            let source = format!(
                "{{% set it = namespace(all=['a']) %}}{{% for i in range(60) %}}{{% set it.all = [it.all, it.all] %}}{{% endfor %}}{{{{ it.all{shown} }}}}"
            );
            render(&source, &[])
        };
        for shown in ["", " | tojson"] {
            assert!(
                matches!(doubled(shown), Err(TokenizationError::TemplateRender(_))),
                "{shown}"
            );
        }
    }

    #[test]
    fn an_error_names_the_line_of_the_template() {
        let error = render(
            "a\n{# b\n #}\n  {%- if true %}\n{{ 1 + 'x' }}\n{% endif %}",
            &[],
        );
        let source = std::error::Error::source(&error.unwrap_err())
            .unwrap()
            .to_string();
        assert!(source.contains("chat_template:5"), "{source}");
    }

    #[test]
    fn special_tokens_are_variables_and_tools_are_none() {
        let source = "{{ bos_token }}{% if tools is none %}no tools{% endif %}{{ eos_token }}";
        assert_eq!(render(source, &[]).unwrap(), "<s>no tools</s>");
        let source = "{% if bos_token is defined %}{{ bos_token }}{% else %}none{% endif %}";
        let names = NamedTokens::ending_with("</s>");
        let without = ChatTemplate::compile(source.to_owned().into(), &names);
        assert_eq!(
            without.unwrap().render_prompt([][..].into()).unwrap(),
            "none"
        );
    }

    #[test]
    fn chatml_renders_as_usual() {
        assert_eq!(
            render(chatml(), &[user("Hi")]).unwrap(),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    /// One rendering by `transformers`' `apply_chat_template`.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        template: String,
        bos_token: String,
        eos_token: String,
        messages: Vec<Message>,
        add_generation_prompt: bool,
        text: Option<String>,
        error: Option<String>,
    }

    impl Case {
        fn render(&self, template: &str) -> Result<String, TokenizationError> {
            let names = named(&self.bos_token, &self.eos_token);
            ChatTemplate::compile(template.to_owned().into(), &names)?
                .render(self.messages[..].into(), self.add_generation_prompt)
        }
    }

    #[test]
    fn templates_render_what_transformers_renders() {
        let cases: Vec<Case> = read_fixture("chat_template.json");
        assert!(cases.len() > 40);
        for case in &cases {
            match (case.render(&case.template), &case.text, &case.error) {
                (Ok(found), Some(text), None) => assert_eq!(&found, text, "{}", case.name),
                (Err(TokenizationError::TemplateRender(found)), None, Some(error)) => {
                    assert_eq!(found.message(), error.as_str(), "{}", case.name);
                }
                (found, ..) => panic!("{}: {found:?}", case.name),
            }
        }
    }

    #[test]
    fn the_default_template_is_the_one_that_transformers_rendered() {
        let cases: Vec<Case> = read_fixture("chat_template.json");
        let named = cases
            .iter()
            .filter(|case| case.name.starts_with("default: "));
        let mut compared = 0;
        for case in named {
            let found = case.render(DEFAULT_CHAT_TEMPLATE).unwrap();
            assert_eq!(Some(found), case.text, "{}", case.name);
            compared += 1;
        }
        assert_eq!(compared, 7);
    }
}
