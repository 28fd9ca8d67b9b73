//! White space control, raw blocks and line endings, as Jinja2's lexer has them.

use super::{
    strings::is_space,
    tags::{self, Tag},
    token::{self, Token},
};

/// What a template means to Jinja2, in words that minijinja takes the same way.
///
/// Text is what is left of it once all white space control is done, so that minijinja has to be told to do none.
///
/// # Errors
/// What is wrong with the template, with its line.
pub(super) fn rewrite(source: &str) -> Result<String, String> {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    if source.ends_with('\n') {
        source.pop();
    }
    let mut rewriter = Rewriter::new(&source);
    while !rewriter.rest.is_empty() {
        rewriter.step().map_err(|problem| {
            let line = 1 + source.matches('\n').count() - rewriter.rest.matches('\n').count();
            format!("{problem} (line {line})")
        })?;
    }
    Ok(rewriter.out)
}

struct Rewriter<'a> {
    rest: &'a str,
    out: String,
    /// Lines that are gone from `out`, which minijinja has to count all the same.
    missing_lines: usize,
    line_starts: bool,
    /// The blocks that are open, but for conditions.
    blocks: Vec<Block<'a>>,
}

/// A statement whose end is still to come.
struct Block<'a> {
    name: &'a str,
    /// What its text is called, if it is kept.
    target: Option<String>,
}

/// Statements that have an end, but for conditions.
const BLOCKS: [&str; 8] = [
    "for",
    "with",
    "generation",
    "macro",
    "call",
    "filter",
    "block",
    "autoescape",
];

/// What stands at the beginning of a tag against its white space.
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

impl<'a> Rewriter<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            rest: source,
            out: String::with_capacity(source.len()),
            missing_lines: 0,
            line_starts: true,
            blocks: Vec::new(),
        }
    }

    /// Takes the text up to the next tag, and the tag.
    fn step(&mut self) -> Result<(), String> {
        let Some((at, opening)) = next_opening(self.rest) else {
            let text = std::mem::take(&mut self.rest);
            self.push_text(text);
            return Ok(());
        };
        let (text, after) = self.rest.split_at(at);
        let (sign, body) = sign(after.get(2..).unwrap_or_default());
        let trim = match opening {
            Opening::Variable => Trim::Signed,
            Opening::Block | Opening::Comment => Trim::Line,
        };
        self.push_text_before(text, sign, trim);
        self.rest = body;
        match opening {
            Opening::Comment => self.comment(),
            Opening::Variable => self.variable(),
            Opening::Block => match raw_body(body) {
                Some(body) => self.raw(body),
                None => self.block(),
            },
        }
    }

    fn push_text_before(&mut self, text: &str, sign: Sign, trim: Trim) {
        let kept = match sign {
            Sign::Minus => text.trim_end_matches(is_space),
            Sign::None if trim == Trim::Line => without_indent(text, self.line_starts),
            _ => text,
        };
        self.push_text(kept);
        let gone = text.get(kept.len()..).unwrap_or_default();
        self.missing_lines += gone.matches('\n').count();
    }

    /// A brace might make a tag with what comes next, so text with one goes into a raw block.
    fn push_text(&mut self, text: &str) {
        if text.contains('{') {
            self.out.push_str("{% raw %}");
            self.out.push_str(text);
            self.out.push_str("{% endraw %}");
        } else {
            self.out.push_str(text);
        }
    }

    fn comment(&mut self) -> Result<(), String> {
        let end = self.rest.find("#}").ok_or("a comment has no end")?;
        let (comment, rest) = self.rest.split_at(end);
        let rest = rest.get(2..).unwrap_or_default();
        self.missing_lines += comment.matches('\n').count();
        self.close(rest, last_sign(comment), Trim::Line);
        Ok(())
    }

    fn raw(&mut self, body: &'a str) -> Result<(), String> {
        self.line_starts = self.rest.len() > body.len() && {
            let begin = self.rest.split_at(self.rest.len() - body.len()).0;
            begin.ends_with('\n')
        };
        let end = endraw(body).ok_or("a raw block has no end")?;
        self.push_text_before(end.text, end.sign, Trim::Line);
        self.close(end.rest, end.last_sign, Trim::Line);
        Ok(())
    }

    fn variable(&mut self) -> Result<(), String> {
        let (tokens, sign, rest) = self.tokens("}}")?;
        self.push_tag(&Tag::variable(tokens))?;
        self.close(rest, sign, Trim::Signed);
        Ok(())
    }

    fn block(&mut self) -> Result<(), String> {
        let (tokens, sign, rest) = self.tokens("%}")?;
        self.push_tag(&Tag::block(tokens))?;
        self.close(rest, sign, Trim::Line);
        Ok(())
    }

    /// Returns a tag's tokens, the sign at its end and what comes after it.
    fn tokens(&mut self, end: &str) -> Result<(Vec<Token<'a>>, Sign, &'a str), String> {
        let mut tokens = Vec::new();
        let mut depth = 0_usize;
        loop {
            if depth == 0
                && let Some((sign, rest)) = tag_end(self.rest, end)
            {
                return Ok((tokens, sign, rest));
            }
            let (token, rest) = token::next(self.rest)?;
            self.rest = rest;
            match &token {
                Token::Operator("(" | "[" | "{") => depth += 1,
                Token::Operator(")" | "]" | "}") => {
                    depth = depth.checked_sub(1).ok_or("a bracket closes nothing")?;
                }
                _ => {}
            }
            tokens.push(token);
        }
    }

    fn push_tag(&mut self, tag: &Tag<'a>) -> Result<(), String> {
        if tag.is_empty() {
            return Err("a tag says nothing".to_owned());
        }
        let lines = "\n".repeat(std::mem::take(&mut self.missing_lines));
        let block = self.blocks.last().and_then(|it| it.target.as_deref());
        tags::rewrite(tag, block)?.write(&lines, &mut self.out);
        self.enter(tag)
    }

    /// Keeps account of the blocks that a loop cannot be left from.
    fn enter(&mut self, tag: &Tag<'a>) -> Result<(), String> {
        let Some(name) = tag.name() else {
            return Ok(());
        };
        let innermost = self.blocks.last().map(|it| it.name);
        let target = tag.block_target();
        match name {
            "break" | "continue" => match innermost {
                None | Some("for") => {}
                Some(block) => {
                    return Err(format!(
                        "`{name}` within `{block}` is not known here; put it outside"
                    ));
                }
            },
            _ if target.is_some() || BLOCKS.contains(&name) => {
                self.blocks.push(Block { name, target })
            }
            _ if name.strip_prefix("end") == innermost => drop(self.blocks.pop()),
            _ => {}
        }
        Ok(())
    }

    /// Goes on after a tag.
    fn close(&mut self, rest: &'a str, sign: Sign, trim: Trim) {
        self.rest = match sign {
            Sign::Minus => rest.trim_start_matches(is_space),
            Sign::None if trim == Trim::Line => rest.strip_prefix('\n').unwrap_or(rest),
            _ => rest,
        };
        let gone = rest.split_at(rest.len() - self.rest.len()).0;
        self.missing_lines += gone.matches('\n').count();
        self.line_starts = gone.ends_with('\n');
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

/// Returns `text` without the white space that its last line has, if it has nothing else.
fn without_indent(text: &str, line_starts: bool) -> &str {
    let line = text.rfind('\n').map_or(0, |at| at + 1);
    let (before, indent) = text.split_at(line);
    if (line > 0 || line_starts) && indent.chars().all(is_space) {
        before
    } else {
        text
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
        let (last_sign, rest) = tag_end(tag.trim_start_matches(is_space), "%}")?;
        Some(RawEnd {
            text,
            sign,
            last_sign,
            rest,
        })
    })
}

/// Returns the sign at the end of a tag and what comes after it, if that is where `body` begins.
fn tag_end<'a>(body: &'a str, end: &str) -> Option<(Sign, &'a str)> {
    let (found, rest) = sign(body);
    // What is a sign before `%}` is an operator before `}}`.
    if found == Sign::Plus && end == "}}" {
        return None;
    }
    rest.strip_prefix(end).map(|rest| (found, rest))
}
