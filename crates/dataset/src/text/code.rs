use std::borrow::Cow;

/// Returns `text` without what stands in backticks, so that examples of code are not taken for damage.
pub(super) fn without_code(text: &str) -> Cow<'_, str> {
    if !text.contains('`') {
        return Cow::Borrowed(text);
    }
    let outside_fences = outside(text, "```");
    Cow::Owned(outside(&outside_fences, "`"))
}

/// Keeps every second part, beginning with the first; what is never closed is code up to the end.
fn outside(text: &str, mark: &str) -> String {
    text.split(mark).step_by(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_backticks_is_left_out() {
        let text = "Use `<b>` so:\n```html\n<p>`x`</p>\n```\nDone.";
        assert_eq!(without_code(text), "Use   so:\n \nDone.");
        assert_eq!(without_code("plain"), "plain");
    }
}
