//! What a template cannot do: take all time, all memory or all of the stack.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "limits/costs.rs"]
mod costs;

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

/// Whatever a value is put into, and whatever has it afterwards.
#[test]
fn values_nested_in_what_can_be_changed_leave_the_stack_as_it_is() {
    for (source, is_refused) in [
        (
            "{% set n = namespace(g=1) %}{% for i in range(90000) %}{% set n.g = cycler({n.g: 1}) %}{% endfor %}ok",
            true,
        ),
        (
            "{% set n = namespace(p=0) %}{% for i in range(90000) %}{% for j in [1] %}{% set n.c = loop %}{% endfor %}{% if n.c.changed(n.p) %}{% endif %}{% set n.p = n.c %}{% endfor %}ok",
            false,
        ),
        (
            "{% set n = namespace() %}{% for i in [1] %}{% set n.l = loop %}{% endfor %}{% if n.l.changed(n.l) %}{% endif %}ok",
            false,
        ),
        (
            "{% set n = namespace(l=1) %}{% for l in ([n] * 90000)|map(attribute='l') %}{% set n.l = [loop] %}{% endfor %}ok",
            false,
        ),
        (
            "{% set n = namespace() %}{% for i in range(90000) %}{% set m = namespace(n=n.last) %}{% set n.last = [m] %}{% endfor %}ok",
            false,
        ),
    ] {
        match render(source.to_owned()) {
            Ok(text) => assert!(!is_refused && text == "ok", "{source}: {text}"),
            Err(error) => assert!(
                is_refused && error.message().contains("too deep"),
                "{error}"
            ),
        }
    }
}

#[test]
fn parameters_of_macros_are_not_nested_deeper_than_other_values() {
    let lists = format!("{}x{}", "[".repeat(90), "]".repeat(90));
    for shown in ["x|pprint", "x == [x]", "[x]|sort", "varargs", "kwargs"] {
        let source = format!(
            "{{% macro m(x, k) %}}{{% if k %}}{{{{ m({lists}, k - 1) }}}}{{% else %}}{{{{ {shown} }}}}{{% endif %}}{{% endmacro %}}{{{{ m(1, 30) }}}}"
        );
        assert_refused(source, "too deep");
    }
    assert_refused(
        "{% set n = namespace(a=1) %}{% macro m() %}{% set n.a = varargs %}{% endmacro %}{% for i in range(9999) %}{{ m(n.a) }}{% endfor %}",
        "too deep",
    );
}

/// Makes two values of each kind that are nested `depth` deep.
fn nested_values(depth: usize) -> String {
    format!(
        "{{% set n = namespace(a=[1], b=[1], t=(1,), u=(1,), d={{}}, e={{}}, g=[[1]]) %}}{{% for i in range({depth}) %}}{{% set n.a = [n.a] %}}{{% set n.b = [n.b] %}}{{% set n.t = (n.t,) %}}{{% set n.u = (n.u,) %}}{{% set n.d = {{1: n.d}} %}}{{% set n.e = {{1: n.e}} %}}{{% set n.g = n.g|map('list') %}}{{% endfor %}}"
    )
}

#[test]
fn values_are_gone_through_as_deep_as_the_stack_allows() {
    let walks = [
        "{{ n.a == n.b }}",
        "{{ n.a }}",
        "{{ n.a|tojson }}",
        "{{ n.d|pprint }}",
        "{{ [n.a, n.b]|sort|length }}",
        "{{ {n.t: 1}[n.u] }}",
        "{{ n.t < n.u }}",
        "{{ n.d == n.e }}",
        "{{ n.g|list }}",
    ];
    for walk in walks {
        assert!(render(nested_values(100) + walk).is_ok(), "{walk}");
        for (depth, calls) in [(190, 0), (190, 5), (150, 10), (100, 15), (50, 20)] {
            // Whether it is too deep is not what matters here.
            let _ = render(format!(
                "{}{{% macro m(k) %}}{{% if k %}}{{% for a in [1] %}}{{{{ [m(k - 1)|upper] }}}}{{% endfor %}}{{% else %}}{walk}{{% endif %}}{{% endmacro %}}{{{{ m({calls}) }}}}",
                nested_values(depth)
            ));
        }
    }
}

#[test]
fn an_error_says_whose_it_is() {
    let error = |source: &str| render(source.to_owned()).unwrap_err();
    let raised = error("{{ raise_exception('no ' ~ x) }}");
    assert!(matches!(raised, TemplateError::Raised(_)) && raised.message() == "no X");
    for source in [
        "{{ 'a' * 9999999999 }}",
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    ] {
        assert!(
            matches!(error(source), TemplateError::TooLarge(_)),
            "{source}"
        );
    }
    for source in [
        "{{ 'a'.encode() }}",
        "{{ lipsum() }}",
        "{{ range }}",
        "{% include 'x' %}",
    ] {
        assert!(
            matches!(error(source), TemplateError::Unknown(_)),
            "{source}"
        );
    }
    for source in ["{{ 1 + 'a' }}", "{{ y.z }}", "{{ ", "{{ x|nope }}"] {
        assert!(
            matches!(error(source), TemplateError::Faulty(_)),
            "{source}"
        );
    }
}
