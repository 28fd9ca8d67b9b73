//! Splits a template into text and what stands in its tags, with white space control done as in Jinja2.

mod numbers;

use std::collections::VecDeque;

use num_bigint::BigInt;

use crate::{
    error::{Result, TemplateError, refused},
    literal,
    strings::{self, Numeral, is_space},
};

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// Text outside of tags.
    Data(String),
    /// `{{`
    VariableBegin,
    /// `}}`
    VariableEnd,
    /// `{%`
    BlockBegin,
    /// `%}`
    BlockEnd,
    Name(String),
    /// A text literal's value.
    Text(String),
    Int(BigInt),
    Float(f64),
    Operator(&'static str),
    /// After the last one.
    End,
}

const OPERATORS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";",
];

/// Returns the tokens, each with its line, counted from 1.
pub(crate) fn tokens(source: &str) -> Result<VecDeque<(Token, u32)>> {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    if source.ends_with('\n') {
        source.pop();
    }
    let mut lexer = Lexer::new(&source);
    while !lexer.rest.is_empty() {
        let step = lexer.step();
        step.map_err(|it| it.at(lexer.line))?;
    }
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    line: u32,
    line_starts: bool,
    tokens: VecDeque<(Token, u32)>,
}

/// What stands at the beginning or the end of a tag against its white space.
#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Minus,
    Plus,
    None,
}

/// What goes from around a tag.
#[derive(Clone, Copy, PartialEq)]
enum Trim {
    /// The rest of its line, where the line has nothing else, unless a sign says otherwise.
    Line,
    /// What a sign says.
    Signed,
}

/// What a tag begins with.
#[derive(Clone, Copy, PartialEq)]
enum Opening {
    Block,
    Variable,
    Comment,
}

impl<'a> Lexer<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            rest: source,
            line: 1,
            line_starts: true,
            tokens: VecDeque::new(),
        }
    }

    /// Goes on to what comes after `rest`, and counts the lines on the way.
    fn go_on(&mut self, rest: &'a str) -> &'a str {
        let passed = self.rest.split_at(self.rest.len() - rest.len()).0;
        let lines = u32::try_from(passed.matches('\n').count()).unwrap_or(u32::MAX);
        self.line = self.line.saturating_add(lines);
        self.rest = rest;
        passed
    }

    fn push(&mut self, token: Token) {
        self.tokens.push_back((token, self.line));
    }

    /// Takes the text up to the next tag, and the tag.
    fn step(&mut self) -> Result<()> {
        let Some((at, opening)) = next_opening(self.rest) else {
            let text = std::mem::take(&mut self.rest);
            self.push(Token::Data(text.to_owned()));
            return Ok(());
        };
        let (text, after) = self.rest.split_at(at);
        let (sign, body) = sign(after.get(2..).unwrap_or_default());
        let trim = match opening {
            Opening::Variable => Trim::Signed,
            Opening::Block | Opening::Comment => Trim::Line,
        };
        self.push_text_before(text, sign, trim);
        self.go_on(body);
        match opening {
            Opening::Comment => self.comment(),
            Opening::Variable => self.tag([Token::VariableBegin, Token::VariableEnd], Trim::Signed),
            Opening::Block => match raw_body(body) {
                Some(body) => self.raw(body),
                None => self.tag([Token::BlockBegin, Token::BlockEnd], Trim::Line),
            },
        }
    }

    fn push_text_before(&mut self, text: &str, sign: Sign, trim: Trim) {
        let kept = match sign {
            Sign::Minus => text.trim_end_matches(is_space),
            Sign::None if trim == Trim::Line => self.without_indent(text),
            _ => text,
        };
        if !kept.is_empty() {
            self.push(Token::Data(kept.to_owned()));
        }
    }

    /// Returns the text that comes next without the white space that its last line has, if it has nothing else.
    fn without_indent<'t>(&self, text: &'t str) -> &'t str {
        let line = text.rfind('\n').map_or(0, |at| at + 1);
        let (before, indent) = text.split_at(line);
        if (line > 0 || self.line_starts) && indent.chars().all(is_space) {
            before
        } else {
            text
        }
    }

    fn comment(&mut self) -> Result<()> {
        let Some((comment, rest)) = self.rest.split_once("#}") else {
            return refused("a comment has no end");
        };
        self.close(rest, last_sign(comment), Trim::Line);
        Ok(())
    }

    fn raw(&mut self, body: &'a str) -> Result<()> {
        self.line_starts = self.go_on(body).ends_with('\n');
        let Some(end) = endraw(body) else {
            return refused("a raw block has no end");
        };
        self.push_text_before(end.text, end.sign, Trim::Line);
        self.close(end.rest, end.last_sign, Trim::Line);
        Ok(())
    }

    fn tag(&mut self, [begin, end]: [Token; 2], trim: Trim) -> Result<()> {
        self.push(begin);
        let mut open = Vec::new();
        loop {
            if open.is_empty()
                && let Some((sign, rest)) = tag_end(self.rest, &end)
            {
                self.push(end);
                self.close(rest, sign, trim);
                return Ok(());
            }
            let Some((token, rest)) = self.next()? else {
                continue;
            };
            match token {
                Token::Operator("(") => open.push(")"),
                Token::Operator("[") => open.push("]"),
                Token::Operator("{") => open.push("}"),
                Token::Operator(bracket @ (")" | "]" | "}")) if open.pop() != Some(bracket) => {
                    return refused(format!("`{bracket}` closes nothing"));
                }
                _ => {}
            }
            self.push(token);
            self.go_on(rest);
        }
    }

    /// Returns the next token of a tag and what comes after it, or nothing after white space.
    fn next(&mut self) -> Result<Option<(Token, &'a str)>> {
        let text = self.rest;
        let Some(first) = text.chars().next() else {
            return refused("a tag has no end");
        };
        if is_space(first) {
            self.go_on(text.trim_start_matches(is_space));
            return Ok(None);
        }
        if first.is_ascii_digit() {
            let follows_dot = matches!(self.tokens.back(), Some((Token::Operator("."), _)));
            return match follows_dot {
                true => numbers::whole(text).map(Some),
                false => numbers::read(text).map(Some),
            };
        }
        if is_name(first) {
            return name(text).map(Some);
        }
        if matches!(first, '\'' | '"') {
            let Some((raw, rest)) = literal::split(text) else {
                return refused("a text has no end");
            };
            let value = literal::unescape(raw).map_err(TemplateError::new)?;
            return Ok(Some((Token::Text(value), rest)));
        }
        match OPERATORS.iter().find(|it| text.starts_with(**it)) {
            Some(operator) => Ok(text
                .get(operator.len()..)
                .map(|rest| (Token::Operator(operator), rest))),
            None => refused(format!("`{first}` is not understood")),
        }
    }

    /// Goes on after a tag.
    fn close(&mut self, rest: &'a str, sign: Sign, trim: Trim) {
        let left = match sign {
            Sign::Minus => rest.trim_start_matches(is_space),
            Sign::None if trim == Trim::Line => rest.strip_prefix('\n').unwrap_or(rest),
            _ => rest,
        };
        self.line_starts = rest.split_at(rest.len() - left.len()).0.ends_with('\n');
        self.go_on(left);
    }
}

fn next_opening(text: &str) -> Option<(usize, Opening)> {
    text.match_indices('{').find_map(|(at, _)| {
        let opening = match text.as_bytes().get(at + 1)? {
            b'%' => Opening::Block,
            b'{' => Opening::Variable,
            b'#' => Opening::Comment,
            _ => return None,
        };
        Some((at, opening))
    })
}

fn sign(body: &str) -> (Sign, &str) {
    if let Some(rest) = body.strip_prefix('-') {
        (Sign::Minus, rest)
    } else if let Some(rest) = body.strip_prefix('+') {
        (Sign::Plus, rest)
    } else {
        (Sign::None, body)
    }
}

fn last_sign(body: &str) -> Sign {
    match body.chars().next_back() {
        Some('-') => Sign::Minus,
        Some('+') => Sign::Plus,
        _ => Sign::None,
    }
}

/// Returns what comes after `raw %}`, if that is where `body` begins.
fn raw_body(body: &str) -> Option<&str> {
    let after = body.trim_start_matches(is_space).strip_prefix("raw")?;
    let after = after.trim_start_matches(is_space);
    if let Some(rest) = after.strip_prefix("-%}") {
        Some(rest.trim_start_matches(is_space))
    } else {
        after.strip_prefix("%}")
    }
}

/// A raw block's text and its end.
struct RawEnd<'a> {
    text: &'a str,
    sign: Sign,
    last_sign: Sign,
    rest: &'a str,
}

fn endraw(body: &str) -> Option<RawEnd<'_>> {
    body.match_indices("{%").find_map(|(at, _)| {
        let (text, tag) = body.split_at(at);
        let (sign, tag) = sign(tag.get(2..)?);
        let tag = tag.trim_start_matches(is_space).strip_prefix("endraw")?;
        let (last_sign, rest) = tag_end(tag.trim_start_matches(is_space), &Token::BlockEnd)?;
        Some(RawEnd {
            text,
            sign,
            last_sign,
            rest,
        })
    })
}

/// Returns the sign at the end of a tag and what comes after it, if that is where `body` begins.
fn tag_end<'a>(body: &'a str, end: &Token) -> Option<(Sign, &'a str)> {
    let (found, rest) = sign(body);
    let written = match end {
        Token::BlockEnd => "%}",
        // What is a sign before `%}` is an operator before `}}`.
        _ if found == Sign::Plus => return None,
        _ => "}}",
    };
    rest.strip_prefix(written).map(|rest| (found, rest))
}

fn is_name(character: char) -> bool {
    character == '_' || strings::is_letter(character) || strings::numeral(character) != Numeral::No
}

fn name(text: &str) -> Result<(Token, &str)> {
    let rest = text.trim_start_matches(is_name);
    let name = text.split_at(text.len() - rest.len()).0;
    match strings::is_identifier(name) {
        true => Ok((Token::Name(name.to_owned()), rest)),
        false => refused(format!("`{name}` is no name")),
    }
}
