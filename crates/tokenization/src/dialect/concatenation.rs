//! The operands of `~`, which minijinja spells its own way.

use super::token::Token;

/// Returns where each operand of a `~` begins and ends.
pub(super) fn operands(tokens: &[Token<'_>]) -> Vec<(usize, usize)> {
    let places = (0..tokens.len()).filter(|at| tokens.get(*at) == Some(&Token::Operator("~")));
    let mut operands: Vec<_> = places
        .flat_map(|at| [(beginning(tokens, at), at), (at + 1, end(tokens, at + 1))])
        .collect();
    let is_space = |it: &Token<'_>| matches!(it, Token::Space(_));
    operands.retain(|&(from, to)| {
        !tokens
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .all(is_space)
    });
    operands.sort_unstable();
    operands.dedup();
    operands
}

fn beginning(tokens: &[Token<'_>], mut at: usize) -> usize {
    let mut depth = 0;
    while let Some(before) = at.checked_sub(1) {
        match tokens.get(before) {
            Some(Token::Operator(")" | "]" | "}")) => depth += 1,
            Some(Token::Operator("(" | "[" | "{")) if depth == 0 => break,
            Some(Token::Operator("(" | "[" | "{")) => depth -= 1,
            _ if depth == 0 && is_border(tokens, before) => break,
            _ => {}
        }
        at = before;
    }
    at
}

fn end(tokens: &[Token<'_>], mut at: usize) -> usize {
    let mut depth = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Operator("(" | "[" | "{") => depth += 1,
            Token::Operator(")" | "]" | "}") if depth == 0 => break,
            Token::Operator(")" | "]" | "}") => depth -= 1,
            _ if depth == 0 && is_border(tokens, at) => break,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Returns whether the token binds no closer than `~` does.
fn is_border(tokens: &[Token<'_>], at: usize) -> bool {
    let mut earlier = tokens.get(..at).unwrap_or_default().iter();
    let before = earlier.rfind(|it| !matches!(it, Token::Space(_)));
    match tokens.get(at) {
        Some(Token::Operator("+" | "-")) => !is_operand_next(before),
        Some(Token::Operator(operator)) => matches!(
            *operator,
            "~" | "," | "=" | ":" | "<" | ">" | "<=" | ">=" | "==" | "!="
        ),
        // What follows `is` is the name of a test.
        Some(Token::Name("not" | "in")) => before != Some(&Token::Name("is")),
        Some(Token::Name(name)) => {
            matches!(*name, "and" | "or" | "if" | "elif" | "else")
                && before != Some(&Token::Operator("."))
        }
        _ => false,
    }
}

/// Returns whether an operand, not an operator, has to come after `before`.
pub(super) fn is_operand_next(before: Option<&Token<'_>>) -> bool {
    match before {
        None => true,
        Some(Token::Operator(operator)) => !matches!(*operator, ")" | "]" | "}"),
        Some(Token::Name(name)) => matches!(
            *name,
            "in" | "and" | "or" | "not" | "if" | "else" | "elif" | "is"
        ),
        Some(_) => false,
    }
}
