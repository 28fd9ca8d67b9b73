//! What a template cannot do: take all time, all memory or all of the stack.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use llmopt_jinja::{Data, Template, TemplateError};

const FUEL: u64 = 2 << 20;

/// Renders in a thread with as little stack as any of ours.
fn render(source: String) -> Result<String, TemplateError> {
    let work = move || Template::compile(&source)?.render([("x", Data::text("X"))], FUEL);
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(work).unwrap().join().unwrap()
}

fn assert_refused(source: impl Into<String>, why: &str) {
    let source = source.into();
    let shown: String = source.chars().take(80).collect();
    let error = render(source).expect_err(&shown);
    assert!(error.message().contains(why), "{shown}: {error}");
}

#[test]
fn expressions_nested_too_deep_are_refused() {
    for (before, after) in [
        ("(", ")"),
        ("[", "]"),
        ("{1:", "}"),
        ("not ", ""),
        ("-", ""),
        ("x[", "]"),
        ("x(", ")"),
        ("x if 1 else ", ""),
        ("x|d(", ")"),
    ] {
        let shallow = render(format!(
            "{{{{ {}1{} }}}}",
            before.repeat(20),
            after.repeat(20)
        ));
        assert!(shallow.is_ok() || matches!(before, "x[" | "x("), "{before}");
        for times in [200, 100_000] {
            let source = format!("{{{{ {}1{} }}}}", before.repeat(times), after.repeat(times));
            assert_refused(source, "too deep");
        }
    }
}

#[test]
fn long_chains_are_refused() {
    for link in [
        " + 1",
        " ** 1",
        " and 1",
        " or 1",
        ".a",
        "[0]",
        "()",
        "|d",
        "|d is defined",
        " if 1",
    ] {
        let source = format!("{{{{ x{} }}}}", link.repeat(100_000));
        assert!(render(source).is_err(), "{link}");
    }
    for link in [" ~ 1", " < 1", " == 1"] {
        assert!(
            render(format!("{{{{ 1{} }}}}", link.repeat(10_000))).is_ok(),
            "{link}"
        );
    }
}

#[test]
fn statements_nested_too_deep_are_refused() {
    for (begin, end) in [
        ("{% if 1 %}", "{% endif %}"),
        ("{% for a in [1] %}", "{% endfor %}"),
        ("{% with %}", "{% endwith %}"),
        ("{% set a %}", "{% endset %}"),
        ("{% macro m() %}", "{% endmacro %}"),
    ] {
        let source = |times: usize| begin.repeat(times) + &end.repeat(times);
        assert_eq!(render(source(30)).unwrap(), "", "{begin}");
        assert_refused(source(5000), "too deep");
    }
}

#[test]
fn all_that_may_be_nested_fits_on_the_stack() {
    let deepest = |source: &dyn Fn(usize) -> String| {
        let depths = 1..300;
        depths.take_while(|it| render(source(*it)).is_ok()).count()
    };
    let lists = deepest(&|it| format!("{{{{ {}1{} }}}}", "[".repeat(it), "]".repeat(it)));
    assert!(lists >= 60, "{lists}");
    let blocks = deepest(&|it| "{% if 1 %}".repeat(it) + "x" + &"{% endif %}".repeat(it));
    assert!(blocks >= 60, "{blocks}");
    let calls = deepest(&|it| {
        format!(
            "{{% macro m(n) %}}{{% if n %}}{{% for a in [1] %}}{{% set b %}}{{{{ [m(n - 1)|upper] }}}}{{% endset %}}{{{{ b }}}}{{% endfor %}}{{% endif %}}{{% endmacro %}}{{{{ m({it}) }}}}"
        )
    });
    assert!((16..299).contains(&calls), "{calls}");
}

#[test]
fn macros_that_call_one_another_without_end_are_refused() {
    assert_refused(
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "without end",
    );
    assert_refused(
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "without end",
    );
    assert_refused("{% block a %}{{ self.a() }}{% endblock %}", "without end");
}

#[test]
fn values_nested_in_one_another_without_end_are_refused() {
    for value in [
        "[n.a]",
        "(n.a,)",
        "{'a': n.a}",
        "{'a': n.a}.items()",
        "n.a|map('string')",
        "cycler(n.a)",
        "joiner(n.a)",
    ] {
        let source = format!(
            "{{% set n = namespace(a=[]) %}}{{% for i in range(9999) %}}{{% set n.a = {value} %}}{{% endfor %}}"
        );
        assert_refused(source, "too deep");
    }
}

#[test]
fn a_namespace_may_have_itself() {
    let source = "{% set n = namespace() %}{% set n.a = n %}{% set n.b = [n] %}{{ n.a.a.b[0].a is namespace_test }}";
    assert!(render(source.to_owned()).is_err());
    let source =
        "{% set n = namespace(x=1) %}{% set n.a = n %}{% set n.b = [n] %}{{ n.a.a.b[0].a.x }}";
    assert_eq!(render(source.to_owned()).unwrap(), "1");
    for (value, shown) in [
        ("n", "<Namespace {'a': <Namespace {...}>}>"),
        ("[n]", "<Namespace {'a': [<Namespace {...}>]}>"),
        ("{'x': n}", "<Namespace {'a': {'x': <Namespace {...}>}}>"),
    ] {
        let source = format!("{{% set n = namespace() %}}{{% set n.a = {value} %}}{{{{ n }}}}");
        assert_eq!(render(source).unwrap(), shown);
    }
    assert!(
        render(
            "{% set n = namespace() %}{% set n.a = [n] %}{{ n.a == [n] }}{{ n.a|tojson }}"
                .to_owned()
        )
        .is_err()
    );
}

#[test]
fn what_takes_too_long_or_makes_too_much_runs_out_of_fuel() {
    for source in [
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 999999999999 }}",
        "{{ [1] * 999999999999 }}",
        "{{ 'a'.center(999999999999) }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ '%.999999999f' % 1 }}",
        "{{ 'a'|center(999999999999) }}",
        "{{ ('a' * 9999999).replace('a', 'b' * 9999999) }}",
        "{{ ('a' * 9999999)|replace('', 'b' * 9999999) }}",
        "{{ ('b' * 9999999).join(['a'] * 99999) }}",
        "{{ (['a'] * 99999)|join('b' * 9999999) }}",
        "{{ ('\n' * 999999)|indent(9999999) }}",
        "{{ ('\t' * 999999).expandtabs(9999999) }}",
        "{{ 'a'.ljust(9999999999) ~ 'a'.rjust(9999999999) ~ 'a'.zfill(9999999999) }}",
        "{% set n = namespace(a='a' * 999) %}{% for i in range(99) %}{% set n.a = n.a ~ n.a %}{% endfor %}",
        "{% set n = namespace(a='a' * 999) %}{% for i in range(99) %}{% set n.a = n.a + n.a %}{% endfor %}",
        "{% set n = namespace(a=[1]) %}{% for i in range(99) %}{% set n.a = n.a + n.a %}{% endfor %}",
        "{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}",
        "{{ [1, 2]|batch(99999999999, 1)|list|length }}",
        "{{ [1, 2]|slice(99999999999, 1)|list|length }}",
        "{{ 'a b'|wordwrap(1, true, 'x' * 9999999)|length }}{{ ('a b ' * 9999)|wordwrap(1, true, 'x' * 9999999)|length }}",
    ] {
        assert_refused(source, "fuel");
    }
}

#[test]
fn numbers_that_are_too_large_are_refused() {
    for source in [
        "{{ 9 ** 9999999 }}",
        "{{ 2 ** (2 ** 99) }}",
        "{{ 10.0 ** 400 }}",
        "{{ 10 ** 400 / 3.0 }}",
        "{{ 10 ** 5000 }}",
    ] {
        assert!(render(source.to_owned()).is_err(), "{source}");
    }
}

#[test]
fn an_error_names_its_line() {
    for (source, line) in [
        (
            "a\n{# b\n #}\n  {%- if true %}\n{{ 1 + 'x' }}\n{% endif %}",
            5,
        ),
        ("a\n{% for x in [1] %}\n{% nope %}", 3),
        ("\n\n{{ 'a\n' }}{{ x.a.b }}", 4),
        ("{% raw %}\n\n{% endraw %}{{ (}}", 3),
    ] {
        let error = render(source.to_owned()).unwrap_err();
        assert_eq!(error.line(), Some(line), "{source:?}: {error}");
    }
}
