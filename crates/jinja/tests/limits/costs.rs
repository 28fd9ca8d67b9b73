//! What a template pays for: the time that it takes, and the memory.

use llmopt_jinja::TemplateError;

use super::{assert_refused, render};

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
fn what_is_made_by_the_way_costs_fuel() {
    for source in [
        "{{ ([['a' * 1000] * 7000] * 9999)|map('string')|list|length }}",
        "{{ ([['a' * 1000] * 7000] * 9999)|map('safe')|list|length }}",
        "{{ ([['a' * 1000] * 7000] * 9999)|map('trim')|list|length }}",
        "{{ (['a' * 1000000] * 90000)|sort|length }}",
        "{{ ([{'k': 'a' * 1000000}] * 90000)|groupby('k')|length }}",
        "{{ dict.fromkeys(range(90000), 'a' * 1000000)|dictsort(by='value')|length }}",
        "{{ ([2 ** 500000] * 99999)|map('abs')|sum }}",
        "{% for i in range(99999) %}{% set a = -(2 ** 500000) %}{% endfor %}",
        "{{ ('a,' * 30000000).split(',')|length }}",
        "{{ ('\n' * 60000000).splitlines()|length }}",
        "{{ ('a ' * 30000000)|wordwrap(1)|length }}",
        "{{ ('<' * 90000000)|e|length }}",
        "{{ ([1] * 90000)|sort(attribute=('a,' * 100000)[:-1])|length }}",
    ] {
        assert_refused(source, "fuel");
    }
    // Far more than that is what each of them would take.
    #[cfg(target_os = "linux")]
    assert!(most_memory_mib() < 2048, "{}", most_memory_mib());
}

/// Returns the most memory that this process has had.
#[cfg(target_os = "linux")]
fn most_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    let kib = line.and_then(|it| it.trim().strip_suffix(" kB"));
    kib.unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn a_value_that_has_itself_many_times_over_costs_what_going_through_it_takes() {
    let doubled = "{% set n = namespace(a=[1], b=[1], t=(1,), u=(1,)) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}{% set n.t = (n.t, n.t) %}{% set n.u = (n.u, n.u) %}{% endfor %}";
    for shown in [
        "{{ n.a == n.b }}",
        "{{ n.a != n.b }}",
        "{{ n.a < n.b }}",
        "{{ n.b in [n.a] }}",
        "{{ [n.a].index(n.b) }}",
        "{{ {1: n.a} == {1: n.b} }}",
        "{{ [n.a]|sort }}",
        "{{ [n.a, n.b]|max }}",
        "{{ {n.t: 1} }}",
        "{{ {}[n.t] }}",
        "{{ n.t is sameas n.u }}",
        "{{ n.a|pprint }}",
        "{{ n.a|tojson }}",
        "{{ n.a }}",
        "{% for i in [1] %}{{ loop.changed(n.a) }}{{ loop.changed(n.b) }}{% endfor %}",
    ] {
        let error = render(format!("{doubled}{shown}")).expect_err(shown);
        assert!(
            matches!(error, TemplateError::TooLarge(_)),
            "{shown}: {error}"
        );
    }
}

#[test]
fn what_takes_long_costs_more_than_what_does_not() {
    for source in [
        "{% set t = 'é' * 30000000 %}{% for i in range(90000) %}{{ t[9999999] }}{% endfor %}",
        "{% set t = 'a' * 30000000 %}{% for i in range(90000) %}{{ 'b' in t }}{% endfor %}",
        "{% set t = 'a' * 30000000 %}{% for i in range(90000) %}{{ t|length }}{% endfor %}",
        "{% set t = 'a' * 30000000 %}{% for i in range(90000) %}{{ t[:1] }}{% endfor %}",
        "{% set t = [1] * 90000 %}{% set u = [1] * 90000 %}{% for i in range(90000) %}{{ t == u }}{% endfor %}",
        "{% set t = ('b',) * 90000 %}{% for i in range(90000) %}{{ 'a'.startswith(t) }}{% endfor %}",
        "{% set t = 'b' * 9000000 %}{% for i in range(90000) %}{{ {t: 1}[t] }}{% endfor %}",
        "{% set d = dict.fromkeys(range(90000)) %}{% for i in range(90000) %}{{ d|tojson(sort_keys=true)|length }}{% endfor %}",
        "{{ ('f' * 200000)|int(base=16) // ('f' * 100000)|int(base=16) }}",
        "{% for i in range(90000) %}{{ (10 ** 200000)|round(-100000)|length }}{% endfor %}",
    ] {
        assert_refused(source, "fuel");
    }
    assert_refused("{{ ('f' * 16000000)|int(base=16) }}", "too large");
    for source in [
        "{% set t = 'a' * 60000000 %}{% for i in range(90000) %}{% if t %}{% endif %}{% endfor %}ok",
        "{% set t = 'é' * 30000000 %}{% for i in range(90000) %}{% if t[0] == t[-1] %}{% endif %}{% endfor %}ok",
        "{% set d = dict.fromkeys(range(90000)) %}{% if d.items() == dict(d).items() %}ok{% endif %}",
        "{% set m = range(90000)|map('string')|map(attribute='upper')|list %}{% if dict.fromkeys(m)|length == 90000 %}ok{% endif %}",
        "{% if ('a' * 3000000)|trim('bcdefghij' * 100000 ~ 'a') == '' %}ok{% endif %}",
        "{% if ('a' * 9000000)[9:]|length == 8999991 %}ok{% endif %}",
    ] {
        assert_eq!(render(source.to_owned()).unwrap(), "ok", "{source}");
    }
}
