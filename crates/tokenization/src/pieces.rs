use llmopt_domain::{Message, Role, Weight};

use crate::{
    TokenizationError,
    template::{ChatTemplate, Turns},
};

/// A stretch of a rendered conversation that is tokenized by itself.
///
/// Serving tokenizes the prompt before there is a response, so training may not let a token span
/// the border between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// What the model is given; carries no loss.
    Context(String),
    /// What the model shall say, without the end token that follows it; both carry loss.
    Response(String),
    /// What the model said before; as a response, but without loss.
    Past(String),
}

/// Cuts a prompt into pieces: what serving feeds the model.
pub(crate) fn of_prompt(
    template: &ChatTemplate,
    end_token: &str,
    turns: Turns<'_>,
) -> Result<Vec<Piece>, TokenizationError> {
    let mut cutter = Cutter::new(template, end_token);
    cutter.add_responses(turns)?;
    cutter.ask(turns, turns.messages.len())?;
    Ok(cutter.finish())
}

/// Cuts a conversation that ends with a response into pieces. It begins with the pieces of the
/// prompt before that response.
pub(crate) fn of_conversation(
    template: &ChatTemplate,
    end_token: &str,
    turns: Turns<'_>,
) -> Result<Vec<Piece>, TokenizationError> {
    let mut cutter = Cutter::new(template, end_token);
    cutter.add_responses(turns)?;
    Ok(cutter.finish())
}

struct Cutter<'a> {
    template: &'a ChatTemplate,
    end_token: &'a str,
    pieces: Vec<Piece>,
    /// The rendering up to here.
    rendered: String,
    /// The part of it that is in no piece yet.
    pending: String,
}

impl<'a> Cutter<'a> {
    fn new(template: &'a ChatTemplate, end_token: &'a str) -> Self {
        Self {
            template,
            end_token,
            pieces: Vec::new(),
            rendered: String::new(),
            pending: String::new(),
        }
    }

    /// Adds everything up to and including the last response.
    fn add_responses(&mut self, turns: Turns<'_>) -> Result<(), TokenizationError> {
        for (index, message) in turns.messages.iter().enumerate() {
            if message.role == Role::Assistant {
                self.ask(turns, index)?;
                self.answer(turns, index, message)?;
            }
        }
        Ok(())
    }

    /// Adds the prompt of the response that would stand at `index`.
    fn ask(&mut self, turns: Turns<'_>, index: usize) -> Result<(), TokenizationError> {
        let prompt = self.template.render_prompt(turns.first(index))?;
        let added = continuation(&self.rendered, &prompt, index)?;
        self.pending.push_str(added);
        self.rendered = prompt;
        Ok(())
    }

    /// Adds the response `message` that stands at `index`.
    fn answer(
        &mut self,
        turns: Turns<'_>,
        index: usize,
        message: &Message,
    ) -> Result<(), TokenizationError> {
        let whole = self.template.render_turns(turns.first(index + 1))?;
        let added = continuation(&self.rendered, &whole, index)?;
        let (response, rest) = added.split_once(self.end_token).unwrap_or((added, ""));
        if response.trim().is_empty() && !message.is_silent() {
            return Err(TokenizationError::ResponseNotRendered { turn: index + 1 });
        }
        let context = std::mem::replace(&mut self.pending, rest.to_owned());
        self.pieces.push(Piece::Context(context));
        let response = response.to_owned();
        self.pieces.push(match message.weight {
            Weight::One => Piece::Response(response),
            Weight::Zero => Piece::Past(response),
        });
        self.rendered = whole;
        Ok(())
    }

    fn finish(mut self) -> Vec<Piece> {
        if !self.pending.is_empty() {
            self.pieces.push(Piece::Context(self.pending));
        }
        self.pieces
    }
}

/// Returns what `longer` adds to `shorter`.
fn continuation<'a>(
    shorter: &str,
    longer: &'a str,
    index: usize,
) -> Result<&'a str, TokenizationError> {
    longer.strip_prefix(shorter).ok_or_else(|| {
        let common = common_prefix(shorter, longer);
        TokenizationError::NotPrefixPreserving {
            turn: index + 1,
            expected: excerpt(shorter, common),
            found: excerpt(longer, common),
        }
    })
}

/// Returns the length in bytes of the longest common prefix, on a character's border.
pub(crate) fn common_prefix(left: &str, right: &str) -> usize {
    let differing = left.char_indices().zip(right.chars());
    differing
        .skip_while(|((_, a), b)| a == b)
        .map(|((at, _), _)| at)
        .next()
        .unwrap_or(left.len().min(right.len()))
}

/// Returns some characters on either side of byte `at`.
pub(crate) fn excerpt(text: &str, at: usize) -> String {
    let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
    let skipped = before.chars().count().saturating_sub(24);
    let kept = before.chars().skip(skipped);
    kept.chain(after.chars().take(24)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        save::NamedTokens,
        testing::{assistant, chatml, system, user},
    };

    fn template(source: &str) -> ChatTemplate {
        let names = NamedTokens::ending_with("<|im_end|>");
        ChatTemplate::compile(source.to_owned().into(), &names).unwrap()
    }

    fn context(text: &str) -> Piece {
        Piece::Context(text.into())
    }

    fn response(text: &str) -> Piece {
        Piece::Response(text.into())
    }

    #[test]
    fn the_role_header_is_context_and_the_end_token_is_not_repeated() {
        let turns = [
            user("Hi"),
            assistant("Hello"),
            user("Bye"),
            assistant("Ciao"),
        ];
        assert_eq!(
            of_conversation(&template(chatml()), "<|im_end|>", turns[..].into()).unwrap(),
            [
                context("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
                response("Hello"),
                context("\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"),
                response("Ciao"),
                context("\n"),
            ]
        );
    }

    #[test]
    fn a_conversation_begins_with_the_pieces_of_its_prompt() {
        let turns = [
            system("Be kind."),
            user("Hi"),
            assistant("Hello"),
            user("Bye"),
            assistant("Ciao"),
        ];
        for end_token in ["<|im_end|>", "<|endoftext|>"] {
            let template = template(chatml());
            let prompt = of_prompt(&template, end_token, turns[..4].into()).unwrap();
            let whole = of_conversation(&template, end_token, turns[..].into()).unwrap();
            assert_eq!(whole[..prompt.len()], prompt);
            assert_eq!(prompt.len(), 3);
        }
    }

    #[test]
    fn a_response_without_the_end_token_is_kept_whole() {
        let pieces = of_conversation(
            &template(chatml()),
            "<|endoftext|>",
            [user("Hi"), assistant("Hello")][..].into(),
        );
        assert_eq!(pieces.unwrap()[1..], [response("Hello<|im_end|>\n")]);
    }

    #[test]
    fn a_template_that_drops_earlier_thoughts_is_refused() {
        // Qwen3's behaviour: only the last response keeps its thoughts.
        let source = "{% for m in messages %}{{ m.role }}: {% if loop.last %}{{ m.content }}{% else %}{{ m.content.split('</think>')[-1] }}{% endif %}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
        let turns = [
            user("Hi"),
            assistant("<think>x</think>Hello"),
            user("Bye"),
            assistant("Ciao"),
        ];
        let error = of_conversation(&template(source), "<|im_end|>", turns[..].into()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the chat template is not prefix-preserving at turn 4: expected the rendering to go on after ` Hi<|im_end|>assistant: <think>x</think>Hello<|i`, found ` Hi<|im_end|>assistant: Hello<|im_end|>user: Bye`; training would see another prompt than serving, so use a template that renders earlier turns the same whatever follows"
        );
    }

    #[test]
    fn a_generation_prompt_that_is_not_what_the_turn_begins_with_is_refused() {
        let source = "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}{% if add_generation_prompt %}ASSISTANT: {% endif %}";
        assert!(matches!(
            of_conversation(
                &template(source),
                "</s>",
                [user("Hi"), assistant("Hello")][..].into()
            ),
            Err(TokenizationError::NotPrefixPreserving { turn: 2, .. })
        ));
    }

    #[test]
    fn a_template_that_ignores_responses_is_refused() {
        let source = "{{ messages[0].content }}";
        assert!(matches!(
            of_conversation(
                &template(source),
                "</s>",
                [user("Hi"), assistant("Hello")][..].into()
            ),
            Err(TokenizationError::ResponseNotRendered { turn: 2 })
        ));
    }

    #[test]
    fn excerpts_do_not_cut_characters() {
        let left = "ä".repeat(100) + "x";
        let right = "ä".repeat(100) + "é";
        let at = common_prefix(&left, &right);
        assert_eq!(at, 200);
        assert_eq!(excerpt(&left, at), "ä".repeat(24) + "x");
    }
}
