//! Tags that minijinja reads otherwise than Jinja2, or not at all.

use super::{
    concatenation::{is_operand_next, operands},
    literal::quote,
    token::Token,
};

/// The filter around what a loop goes through.
pub(super) const ITERATED: &str = "llmopt_iterated";

/// The name of values until they get theirs.
const KEPT: &str = "llmopt_kept";

/// A tag's tokens.
pub(super) struct Tag<'a> {
    tokens: Vec<Token<'a>>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Block,
    Variable,
}

/// A tag in minijinja's words.
pub(super) struct Part {
    text: String,
    kind: Kind,
}

impl<'a> Tag<'a> {
    pub(super) fn block(tokens: Vec<Token<'a>>) -> Self {
        let kind = Kind::Block;
        Self { tokens, kind }
    }

    pub(super) fn variable(tokens: Vec<Token<'a>>) -> Self {
        let kind = Kind::Variable;
        Self { tokens, kind }
    }

    /// Returns whether it has nothing but white space.
    pub(super) fn is_empty(&self) -> bool {
        self.tokens.iter().all(|it| matches!(it, Token::Space(_)))
    }

    /// Returns the statement's name.
    pub(super) fn name(&self) -> Option<&'a str> {
        let first = self.tokens.iter().find(|it| !matches!(it, Token::Space(_)));
        match (self.kind, first) {
            (Kind::Block, Some(Token::Name(name))) => Some(name),
            _ => None,
        }
    }

    /// Returns whether it begins a block that is set as a text.
    fn is_set_block(&self) -> bool {
        self.name() == Some("set") && find(&self.tokens, &Token::Operator("=")).is_none()
    }

    /// Returns what a block that is set as a text is called.
    pub(super) fn block_target(&self) -> Option<String> {
        let arguments = self.arguments();
        let end = find(arguments, &Token::Operator("|")).unwrap_or(arguments.len());
        self.is_set_block()
            .then(|| write(arguments.get(..end).unwrap_or_default()))
    }

    /// Returns the tokens after the statement's name.
    fn arguments(&self) -> &[Token<'a>] {
        let name = self
            .tokens
            .iter()
            .position(|it| matches!(it, Token::Name(_)));
        name.and_then(|at| self.tokens.get(at + 1..))
            .unwrap_or_default()
    }
}

impl Part {
    fn block(text: String) -> Self {
        let kind = Kind::Block;
        Self { text, kind }
    }

    fn variable(text: String) -> Self {
        let kind = Kind::Variable;
        Self { text, kind }
    }

    /// Adds the tag to `out`, with line breaks before what it says.
    pub(super) fn write(&self, lines: &str, out: &mut String) {
        let (begin, end) = match self.kind {
            Kind::Block => ("{% ", " %}"),
            Kind::Variable => ("{{ ", " }}"),
        };
        for part in [begin, lines, &self.text, end] {
            out.push_str(part);
        }
    }
}

/// Returns what to say instead of a tag.
///
/// `block` is the name that the innermost block sets.
pub(super) fn rewrite(tag: &Tag<'_>, block: Option<&str>) -> Result<Part, String> {
    let arguments = tag.arguments();
    let text = match tag.name() {
        None if tag.kind == Kind::Variable => return Ok(Part::variable(printed(&tag.tokens))),
        // They only mark what is trained, which we know from rendering prefixes; what is set within them
        // is not seen outside.
        Some("generation") => format!("with{}", write(arguments)),
        // What is set within a captured text is not seen outside either.
        Some("filter") => format!("filter {} %}}{{% with", write(arguments)),
        Some("endfilter") => format!("endwith %}}{{% endfilter{}", write(arguments)),
        Some("set") if tag.is_set_block() => set_block(arguments),
        Some("set") => set(arguments),
        Some("endset") => {
            let target = block.unwrap_or_default();
            format!(
                "endwith %}}{{% endset{} %}}{{% set {target} = {KEPT}",
                write(arguments)
            )
        }
        Some("endwith") => format!("endwith %}}{{% endwith{}", write(arguments)),
        Some("endgeneration") => format!("endwith{}", write(arguments)),
        Some("for") => for_loop(arguments),
        Some("with") => with(arguments),
        Some("macro") => definition(arguments),
        Some("include" | "import" | "from" | "extends") => {
            let message = quote("a chat template cannot load other templates");
            return Ok(Part::variable(format!("raise_exception({message})")));
        }
        Some("do") => return Err("the statement `do` is not known".to_owned()),
        _ => write(&tag.tokens),
    };
    Ok(Part::block(text))
}

/// Several expressions are one tuple.
fn printed(tokens: &[Token<'_>]) -> String {
    match find(tokens, &Token::Operator(",")) {
        Some(_) => format!("({})", write(tokens)),
        None => write(tokens),
    }
}

/// Wraps what a loop goes through: minijinja counts no characters, and goes through none as if it were empty.
fn for_loop(arguments: &[Token<'_>]) -> String {
    let Some((target, rest)) = split(arguments, &Token::Name("in")) else {
        return format!("for {}", write(arguments));
    };
    let is_end = |token: &Token<'_>| matches!(token, Token::Name("if" | "recursive"));
    let end = position(rest, is_end).unwrap_or(rest.len());
    let (iterated, rest) = rest.split_at(end);
    format!(
        "for {} in ({})|{ITERATED} {}",
        write(target),
        write(iterated),
        write(rest)
    )
}

/// Names get their values all at once, so that none of them sees another.
fn with(arguments: &[Token<'_>]) -> String {
    let plain = format!("with %}}{{% with {}", write(arguments));
    let assignments = pieces(arguments, &Token::Operator(","));
    let sides = assignments
        .iter()
        .map(|it| split(it, &Token::Operator("=")));
    let Some(sides) = sides.collect::<Option<Vec<_>>>() else {
        return plain;
    };
    let sides = sides.iter().enumerate();
    let kept = sides
        .clone()
        .map(|(at, (_, value))| format!("{KEPT}{at} = {}", write(value)));
    let named = sides.map(|(at, (name, _))| format!("{} = {KEPT}{at}", write(name)));
    let joined = |parts: Vec<String>| parts.join(", ");
    format!(
        "with {} %}}{{% with {}",
        joined(kept.collect()),
        joined(named.collect())
    )
}

/// Within a macro, minijinja does not see a name from outside in the value that the same name gets there.
fn set(arguments: &[Token<'_>]) -> String {
    let plain = format!("set {}", write(arguments));
    let Some((names, value)) = split(arguments, &Token::Operator("=")) else {
        return plain;
    };
    let is_set = |it: &Token<'_>| matches!(it, Token::Name(_)) && names.contains(it);
    let is_attribute = find(names, &Token::Operator(".")).is_some();
    if is_attribute || !value.iter().any(is_set) {
        return plain;
    }
    let (names, value) = (write(names), printed(value));
    format!("set {KEPT} = {value} %}}{{% set {names} = {KEPT}")
}

/// Likewise a block; what is set in it is not seen outside.
fn set_block(arguments: &[Token<'_>]) -> String {
    let name = find(arguments, &Token::Operator("|")).unwrap_or(arguments.len());
    let filters = arguments.get(name..).unwrap_or_default();
    format!("set {KEPT} {} %}}{{% with", write(filters))
}

/// A default that names another argument is set within, for minijinja looks for that name outside.
fn definition(arguments: &[Token<'_>]) -> String {
    let plain = format!("macro {}", write(arguments));
    let Some(open) = arguments.iter().position(|it| *it == Token::Operator("(")) else {
        return plain;
    };
    let (name, rest) = arguments.split_at(open);
    let Some(close) = rest.iter().rposition(|it| *it == Token::Operator(")")) else {
        return plain;
    };
    let parameters = pieces(
        rest.get(1..close).unwrap_or_default(),
        &Token::Operator(","),
    );
    let mut names = Vec::new();
    let mut written = Vec::new();
    let mut within = String::new();
    for parameter in parameters {
        let (name, default) = split(parameter, &Token::Operator("=")).unwrap_or((parameter, &[]));
        let is_known = |it: &Token<'_>| matches!(it, Token::Name(it) if names.contains(it));
        if default.iter().any(is_known) {
            let (name, default) = (write(name), write(default));
            within += &format!(
                " %}}{{% if {name} is undefined %}}{{% set {name} = {default} %}}{{% endif"
            );
            written.push(name);
        } else {
            written.push(write(parameter));
        }
        names.extend(name.iter().filter_map(|it| match it {
            Token::Name(name) => Some(*name),
            _ => None,
        }));
    }
    format!("macro {}({}){within}", write(name), written.join(","))
}

fn find(tokens: &[Token<'_>], wanted: &Token<'_>) -> Option<usize> {
    position(tokens, |it| it == wanted)
}

/// Returns where a token stands that is in no brackets.
fn position(tokens: &[Token<'_>], is_wanted: impl Fn(&Token<'_>) -> bool) -> Option<usize> {
    let mut depth = 0_i32;
    tokens.iter().position(|token| {
        match token {
            Token::Operator("(" | "[" | "{") => depth += 1,
            Token::Operator(")" | "]" | "}") => depth -= 1,
            _ => {}
        }
        depth == 0 && is_wanted(token)
    })
}

fn split<'t, 'a>(
    tokens: &'t [Token<'a>],
    at: &Token<'_>,
) -> Option<(&'t [Token<'a>], &'t [Token<'a>])> {
    let at = find(tokens, at)?;
    Some((tokens.get(..at)?, tokens.get(at + 1..)?))
}

fn pieces<'t, 'a>(tokens: &'t [Token<'a>], between: &Token<'_>) -> Vec<&'t [Token<'a>]> {
    let mut pieces = Vec::new();
    let mut rest = tokens;
    while let Some((piece, after)) = split(rest, between) {
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// Writes tokens with space between them, so that what Jinja2 takes for two is not read as one.
fn write(tokens: &[Token<'_>]) -> String {
    let mut out = String::new();
    let mut before: Option<&Token<'_>> = None;
    let operands = operands(tokens);
    for (at, token) in tokens.iter().enumerate() {
        out.push_str(&operand_border(&operands, at));
        out.push(' ');
        match token {
            Token::Space(lines) => out.push_str(&"\n".repeat(*lines)),
            Token::Number(text) | Token::Name(text) => out.push_str(text),
            Token::Text(text) => out.push_str(&quote(text)),
            // minijinja has no sign that changes nothing.
            Token::Operator("+") if is_operand_next(before) => out.push_str("- -"),
            Token::Operator(operator) => out.push_str(operator),
        }
        if !matches!(token, Token::Space(_)) {
            before = Some(token);
        }
    }
    out.push_str(&operand_border(&operands, tokens.len()));
    out
}

/// Returns what stands before a token that an operand of `~` ends or begins at.
fn operand_border(operands: &[(usize, usize)], at: usize) -> String {
    let ends = operands.iter().filter(|it| it.1 == at).count();
    let begins = operands.iter().filter(|it| it.0 == at).count();
    format!("{}{}", ")|string".repeat(ends), "(".repeat(begins))
}
