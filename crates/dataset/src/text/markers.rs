use super::scan::leading;

/// What tokenizers of well-known models keep for themselves, but for `<|…|>`, which is a pattern.
const TOKENS: [&str; 27] = [
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<bos>",
    "<eos>",
    "<mask>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<extra_id_0>",
    "<<SYS>>",
    "<</SYS>>",
    "[INST]",
    "[/INST]",
    "[PAD]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[UNK]",
    "[BOS]",
    "[EOS]",
    "[TOOL_CALLS]",
    "[TOOL_RESULTS]",
    "[AVAILABLE_TOOLS]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
];

/// Finds a text that tokenizers take for the end of a turn or the like.
pub(crate) fn special_token(text: &str) -> Option<String> {
    let starts = text.match_indices(['<', '[']);
    let mut found = starts.filter_map(|(start, _)| token(&text[start..]));
    found.next().map(|token| format!("`{token}`"))
}

fn token(text: &str) -> Option<&str> {
    let listed = TOKENS.iter().find(|token| text.starts_with(**token));
    listed.copied().or_else(|| barred(text))
}

/// Returns `<|…|>` with a name in it, whose bars may be of full width as in DeepSeek's.
fn barred(text: &str) -> Option<&str> {
    const LONGEST: usize = 60;
    let bar = text[1..]
        .chars()
        .next()
        .filter(|it| matches!(it, '|' | '｜'))?;
    let start = 1 + bar.len_utf8();
    let name = leading(&text[start..], |it| {
        it.is_alphanumeric() || matches!(it, '_' | '-' | '▁')
    });
    let end = start + name.len() + bar.len_utf8();
    let is_token = (1..=LONGEST).contains(&name.len())
        && text[start + name.len()..].starts_with(bar)
        && text.get(end..).is_some_and(|rest| rest.starts_with('>'))
        && text.starts_with('<');
    is_token.then(|| &text[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_every_family_are_found() {
        for token in [
            "<|im_end|>",
            "<|endoftext|>",
            "<|eot_id|>",
            "<|start_header_id|>",
            "<｜end▁of▁sentence｜>",
            "</s>",
            "[/INST]",
            "<<SYS>>",
            "<end_of_turn>",
            "<|a_model_of_tomorrow|>",
        ] {
            let text = format!("The answer is 4.{token}\n");
            assert_eq!(special_token(&text), Some(format!("`{token}`")));
        }
    }

    #[test]
    fn brackets_and_operators_of_code_are_left_alone() {
        for text in [
            "<<48/2=24>>24",
            "a <|> b <| c |> d",
            "[INSTALL]",
            "<string>",
            "x[SEPARATOR]",
            "<|",
            "<｜",
            "[1] see <https://example.com>",
            "<|a b|>",
        ] {
            assert_eq!(special_token(text), None, "{text}");
        }
    }
}
