"""Small random templates of everything that the dialect has, from a seed."""

import random

WORDS = ["", "a", "Hello World", " x\\ty ", "it's", "Größe", "ÀÉ", "a,b,,c", "one two  three", "<b>&\\\"q\\\"</b>", "🙂é", "UPPER",
         "42", "-7", "1.5", "nil\\n", "a-b_c", "{}", "日本", "mixed Case", "xxaxx", "\\\\", "%"]
NAMES = ["a", "b", "key", "Name"]
SPACES = ["", "", "", " ", "  ", "\n", "\n\n", "\n  ", " \n", "\t"]


class Grammar:
    """Makes expressions of a wanted type, up to a depth, and statements around them.

    Leaves out what is known to be refused: see `snippets/refused.json`.
    """

    PRELUDE = (
        "{%- set v = 'V' -%}{%- set ns = namespace(n=0) -%}{%- macro m(a, b=2) -%}[{{ a }}{{ b }}]{%- endmacro -%}"
        "{%- macro n(x) -%}<{{ caller(x) }}>{%- endmacro -%}"
    )

    def __init__(self, seed):
        self.random = random.Random(seed)

    def one(self, *choices):
        """Returns one of the choices, called if it can be."""
        choice = self.random.choice(choices)
        return choice() if callable(choice) else choice

    def number(self, low=-3, high=6):
        """Returns a whole number as it is written in a template."""
        return str(self.random.randint(low, high))

    def text(self, depth):
        """Returns an expression that is a text."""
        r, word = self.one, lambda: f'"{self.random.choice(WORDS)}"'
        if depth <= 0:
            return r(word, word, "messages[0].content", "messages[1]['role']", "eos_token", "messages[-1].content")
        s = lambda: self.text(depth - 1)
        i = lambda: self.integer(depth - 1)
        return r(
            word,
            lambda: f"({s()} + {s()})",
            lambda: f"({s()} ~ {self.value(depth - 1)})",
            lambda: f"{s()}.{r('upper', 'lower', 'title', 'capitalize', 'strip', 'lstrip', 'rstrip')}()",
            lambda: f"{s()}.{r('strip', 'lstrip', 'rstrip')}({r(word, 'none')})",
            lambda: f"{s()}.replace({s()}, {s()}{r('', '', ', 1', ', 0', ', -1')})",
            lambda: f"{s()}.{r('removeprefix', 'removesuffix')}({s()})",
            lambda: f"{s()}.{r('center', 'ljust', 'rjust', 'zfill')}({r('0', '3', '8', '9')})",
            lambda: f"{s()}[{r(i, '')}:{r(i, '')}{r('', '', ':2', ':-1', ':-2')}]",
            lambda: f"{s()}[{i()}]",
            lambda: f"({s()} * {self.number(-1, 3)})",
            lambda: f"{s()}.join({self.texts(depth - 1)})",
            lambda: f"({s()} | {r('upper', 'lower', 'title', 'capitalize', 'trim', 'string', 'reverse')})",
            lambda: f"({s()} | replace({s()}, {s()}))",
            lambda: f"({s()} | indent({r('', '2', '3, true', '2, true, true', 'width=1', '2, blank=true')}))",
            lambda: f"({s()} | default({s()}, {r('true', 'false')}))",
            lambda: f"({self.any_list(depth - 1)} | join({r('', word)}))",
            lambda: f"({self.value(depth - 1)} | string)",
            lambda: f"({self.value(depth - 1)} | tojson{self.json_options()})",
            lambda: f"({s()} if {self.truth(depth - 1)} else {s()})",
            lambda: f"({s()} {r('or', 'and')} {s()})",
            lambda: f'''({s()} | {r('first', 'last', 'center(9)', "trim('x ')")})''',
            lambda: f'("%s|%{r("s", "s!")}" | format({s()}, {self.plain(depth - 1)}))',
            lambda: f'"{r("{}-{}", "{1}{0}", "{0}{0}", "{}|{}", "{:>8}|{:^5}", "{!r}{}", "{:*<6}{:.2}", "{0[0]}", "{0:{1}}")}".format({s()}, {s()})',
            lambda: f'"{r("{:,}|{:05}", "{:x}{:+}", "{:b}|{:d}", "{:.2f}{:e}", "{:%}|{:n}", "{:c}{}")}".format({i()}, {r(i, lambda: self.real(0))})',
            lambda: f'("{r("%s|%s", "%r%a", "%-6s|%6s", "%.2s%%%s")}" % ({self.value(depth - 1)}, {s()}))',
            lambda: f'("{r("%s", "%5s|", "%r", "%%", "%d", "%(a)s")}" % {r(lambda: self.value(depth - 1), s, lambda: self.mapping(depth - 1))})',
            lambda: f'("{r("%d|%5.2f", "%x%e", "%05d|%g", "%+i%.3g", "%o%G")}" % ({i()}, {r(i, lambda: self.real(0))}))',
            lambda: f"{s()}.{r('swapcase()', 'casefold()', 'expandtabs()', 'expandtabs(3)', 'zfill(4)')}",
            lambda: s() + r(".translate({97: none})", ".translate({101: 'E', 32: 95})", ".translate({})"),
            lambda: f'''({s()} | {r('wordwrap(4)', 'wordwrap(6, false)', 'truncate(5)', "truncate(6, true, '..', 0)", 'urlencode', 'striptags', 'wordcount', 'pprint')})''',
            lambda: f"({self.safe(depth - 1)} {r('+', '~')} {r(s, lambda: self.safe(depth - 1))})",
            lambda: f"({s()} {r('+', '~')} {self.safe(depth - 1)})",
            lambda: self.safe(depth - 1),
            lambda: f"({self.mapping(depth - 1)} | {r('xmlattr', 'urlencode')})",
            lambda: f"({i()} | {r('filesizeformat', 'filesizeformat(true)')})",
        )

    def safe(self, depth):
        """Returns an expression that is a text that needs no escaping, or made of one."""
        r, s = self.one, lambda: self.text(depth)
        marked = f"({s()} | {r('safe', 'e', 'escape', 'forceescape')})"
        return r(
            marked,
            f"{marked}.{r('upper', 'lower', 'title', 'strip', 'striptags')}()",
            lambda: f"{marked}.replace({s()}, {s()})",
            lambda: f"{marked}.join({self.texts(depth)})",
            lambda: f"{marked}[{self.number()}:]",
            lambda: f"{marked}.format({s()})",
            lambda: f"({marked} % ())",
            lambda: f'''({marked} | {r('upper', 'trim', 'indent', 'center(9)', 'reverse', 'title', "replace('a', '<')", 'string', 'e')})''',
            lambda: f"({marked} * 2)",
        )

    def json_options(self):
        """Returns options of `tojson`."""
        return self.one("", "", "(indent=2)", "(indent=0)", "(ensure_ascii=true)", "(separators=(',', ':'))", "(sort_keys=true)",
                        "(indent='\\t', separators=(', ', ' = '))", "(true, 1)", "(indent=4, sort_keys=true)")

    def integer(self, depth):
        """Returns an expression that is a whole number."""
        r = self.one
        if depth <= 0:
            return r(self.number, self.number, "messages | length", "0", "1", "10")
        i = lambda: self.integer(depth - 1)
        return r(
            self.number,
            lambda: f"({i()} {r('+', '-', '*', '//', '%')} {i()})",
            lambda: f"(-{i()})",
            lambda: f"({self.integer(0)} ** {self.number(0, 3)})",
            lambda: f"({self.text(depth - 1)} | length)",
            lambda: f"({self.any_list(depth - 1)} | length)",
            lambda: f"{self.text(depth - 1)}.{r('find', 'rfind', 'count', 'index')}({self.text(0)}{r('', '', ', 1', ', 0, 3', ', -2')})",
            lambda: f"({self.integers(depth - 1)} | {r('sum', 'min', 'max', 'first', 'last')})",
            lambda: f"({self.text(depth - 1)} | int{r('', '(5)', '(default=-1)', '(0, 16)')})",
            lambda: f"({self.real(depth - 1)} | {r('int', 'round | int')})",
            lambda: f"({i()} | abs)",
            lambda: f"{self.any_list(depth - 1)}.{r('count', 'index')}({self.value(depth - 1)})",
            lambda: f"({i()} if {self.truth(depth - 1)} else {i()})",
        )

    def real(self, depth):
        """Returns an expression that is a number with a fraction."""
        r = self.one
        if depth <= 0:
            return r("0.5", "1.0", "-2.25", "1e20", "1.5e-7", "3.14159", "100.0", "0.1", "1e16", "123456.789")
        f = lambda: self.real(depth - 1)
        return r(
            lambda: f"({f()} {r('+', '-', '*')} {r(f, lambda: self.integer(depth - 1))})",
            lambda: f"({self.integer(depth - 1)} / {self.integer(depth - 1)})",
            lambda: f'''({f()} | round({r('', '1', '2', '0', "1, 'floor'", "1, 'ceil'")}))''',
            lambda: f"({self.text(depth - 1)} | float{r('', '(1.5)')})",
            lambda: f"({self.integer(depth - 1)} | float)",
            lambda: f"(-{f()})",
        )

    def truth(self, depth):
        """Returns a condition."""
        r = self.one
        if depth <= 0:
            return r("true", "false", "messages", "tools", "nothing", "none", "add_generation_prompt")
        b = lambda: self.truth(depth - 1)
        tests = ("defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float",
                 "boolean", "true", "false", "callable")
        return r(
            lambda: f"({b()} {r('and', 'or')} {b()})",
            lambda: f"(not {b()})",
            lambda: f"({self.integer(0)} {r('<', '<=', '>', '>=')} {self.integer(0)})",
            lambda: f"({self.integer(depth - 1)} {r('==', '!=')} {self.integer(depth - 1)})",
            lambda: f"({self.text(0)} {r('<', '>')} {self.text(0)})",
            lambda: f"({self.text(depth - 1)} {r('==', '!=', 'in', 'not in')} {self.text(depth - 1)})",
            lambda: f"({self.value(depth - 1)} {r('==', '!=')} {self.value(depth - 1)})",
            lambda: f"({self.value(depth - 1)} {r('in', 'not in')} {self.any_list(depth - 1)})",
            lambda: f"({self.text(depth - 1)} in {self.mapping(depth - 1)})",
            lambda: f"({self.value(depth - 1)} is {r('', 'not ')}{r(*tests)})",
            lambda: f"({self.integer(0)} is {r('odd', 'even', 'divisibleby 2', 'divisibleby(3)', 'eq 1', 'gt(0)', 'in [1, 2]')})",
            lambda: f'''({self.text(depth - 1)} is {r('upper', 'lower', "eq 'a'", "in 'abc'")})''',
            lambda: f'''{self.text(depth - 1)}.{r('startswith', 'endswith')}({r(lambda: self.text(0), "('a', 'H', 'e')")})''',
            lambda: f"{self.text(depth - 1)}.{r('isdigit', 'isalpha', 'isalnum', 'isspace', 'islower', 'isupper', 'isnumeric', 'isascii', 'isdecimal')}()",
            lambda: f"({self.integer(0)} < {self.integer(0)} <= {self.integer(0)})",
            lambda: f"({self.value(depth - 1)} {r('<', '<=', '>', '>=', 'in', 'not in')} {self.value(depth - 1)})",
            lambda: f"{self.text(depth - 1)}.{r('istitle', 'isidentifier', 'isprintable')}()",
            lambda: f"({self.value(depth - 1)} is sameas {r('none', 'true', 'false', '1')})",
            lambda: f"({self.mapping(depth - 1)}.{r('keys', 'items', 'values')}() == {self.mapping(depth - 1)}.{r('keys', 'items')}())",
        )

    def listed(self, items):
        """Returns a list of up to three expressions."""
        return "[" + ", ".join(items() for _ in range(self.random.randint(0, 3))) + "]"

    def integers(self, depth):
        """Returns an expression that is a list of whole numbers."""
        r = self.one
        if depth <= 0:
            return r("[3, 1, 2]", "[]", "range(4)", "range(5, 0, -2)", "[1]")
        n = lambda: self.integers(depth - 1)
        return r(
            lambda: self.listed(lambda: self.integer(depth - 1)),
            lambda: f"({n()} | list)",
            lambda: f"({n()} | {r('sort', 'sort(reverse=true)', 'reverse | list', 'unique | list')})",
            lambda: f'''({n()} | {r('select', 'reject')}({r('', "'odd'", "'gt', 1", "'in', [1, 2]")}) | list)''',
            lambda: f"({self.texts(depth - 1)} | map('length') | list)",
            lambda: f"({n()} | list)[{r('1:', ':2', '::-1', '-2:', '::2')}]",
            lambda: f"(({n()} | list) + {self.listed(self.number)})",
        )

    def texts(self, depth):
        """Returns an expression that is a list of texts."""
        r = self.one
        if depth <= 0:
            return r("['b', 'A', 'c']", "[]", "messages | map(attribute='role')", "['x y', ' z']", "messages[0]", "('t', 'u')")
        t = lambda: self.texts(depth - 1)
        return r(
            lambda: self.listed(lambda: self.text(depth - 1)),
            lambda: f'''{self.text(depth - 1)}.{r('split', 'rsplit')}({r('', "','", "' '", 'none, 1', "'a', 1", "''")})''',
            lambda: f'''{self.text(depth - 1)}.{r('splitlines()', 'splitlines(true)', "partition(' ')", "rpartition(',')")}''',
            lambda: f"({t()} | map('{r('upper', 'trim', 'title', 'reverse', 'string', 'capitalize')}') | list)",
            lambda: f"({t()} | {r('sort', 'sort(true, true)', 'unique | list', 'reverse | list', 'list')})",
            lambda: f'''(messages | {r('selectattr', 'rejectattr')}({r("'tool_calls'", "'role', 'eq', 'user'", "'role', 'in', ['system', 'tool']", "'name', 'defined'")}) | map(attribute='content') | list)''',
            lambda: f"({t()} | list)[{r('1:', ':1', '::-1')}]",
            lambda: f"({self.text(depth - 1)} | list)",
            lambda: f"({self.mapping(depth - 1)} | list)",
            lambda: f"(messages | groupby('role') | map('first') | list)",
            lambda: f"({self.mapping(depth - 1)}.keys() | list)",
        )

    def any_list(self, depth):
        """Returns an expression that is a list."""
        r = self.one
        return r(
            lambda: self.integers(depth),
            lambda: self.texts(depth),
            lambda: self.listed(lambda: self.value(depth - 1)),
            lambda: f"({self.integers(depth - 1)} | {r('batch(2)', 'slice(2)', 'batch(2, 0)')} | map('list') | list)",
            lambda: f"({self.mapping(depth - 1)}.{r('items', 'values')}() | list)",
            lambda: f"({self.mapping(depth - 1)} | {r('dictsort', 'items | list')})",
        )

    def mapping(self, depth):
        """Returns an expression that is a dict."""
        r = self.one
        if depth <= 0:
            return r("{}", "{'b': 1, 'a': [2, none]}", "messages[2]", "tools[0].function", "dict(key='v', Name=1.0)")
        pairs = lambda: ", ".join(f"'{name}': {self.value(depth - 1)}" for name in self.random.sample(NAMES, self.random.randint(0, 3)))
        return r(lambda: "{" + pairs() + "}", lambda: self.mapping(depth - 1), lambda: f"dict({self.mapping(depth - 1)}, b={self.plain(0)})")

    def plain(self, depth):
        """Returns an expression of a type that is no container and prints alike everywhere."""
        return self.one(lambda: self.text(depth), lambda: self.integer(depth), "none", "true", "nothing")

    def value(self, depth):
        """Returns an expression of any type."""
        r = self.one
        if depth <= 0:
            return r(lambda: self.text(0), lambda: self.integer(0), lambda: self.real(0), "none", "true", "false", "nothing", "messages[0].nope")
        return r(
            lambda: self.text(depth),
            lambda: self.integer(depth),
            lambda: self.real(depth),
            lambda: self.truth(depth),
            lambda: self.any_list(depth),
            lambda: self.mapping(depth),
            lambda: f'''{self.mapping(depth - 1)}{r('.a', "['a']", ".get('b')", ".get('z', 0)", '.function', '.nope')}''',
            lambda: f"{self.any_list(depth - 1)}[{self.number()}]",
            lambda: f"({self.any_list(depth - 1)} | {r('first', 'last', 'length')})",
            lambda: f"{self.value(depth - 1)}[{self.value(0)}]",
            lambda: f"{r(lambda: self.text(depth - 1), lambda: self.any_list(depth - 1))}[{r(self.number, '')}:{r(self.number, '')}]",
            lambda: f"{self.value(depth - 1)}.{r('real', 'items', 'a', 'upper', 'start', '0', 'nope', '_x', '__class__')}",
            lambda: f"range({self.number()}, {self.number()})[{r(self.number, '')}:{r(self.number, '')}{r('', ':2', ':-1')}]",
            lambda: f"({self.value(depth - 1)} {r('+', '-', '*', '/', '//', '%', '~')} {self.value(depth - 1)})",
            lambda: f"({r('-', '+')}{self.value(depth - 1)})",
            lambda: f"{self.number()} ** {r('20', '70', '-2', '64')}",
            lambda: f"{self.number(0, 6)} ** 0.5",
            lambda: f"{self.number()} ** (messages | length)",
            lambda: f"({self.integer(0)} * 10 ** 20 {r('+', '-', '*', '//', '%', '/', '<', '==')} {self.integer(0)})",
            lambda: f"({self.any_list(depth - 1)} | {r('sum', 'min', 'max', 'sort', 'unique | list', 'batch(2) | list', 'select | list')})",
            lambda: f"({self.value(depth - 1)} | {r('list', 'length', 'reverse | list', 'string', 'int', 'float', 'round', 'abs', 'items | list', 'default(1, true)')})",
        )

    def expression(self):
        """Returns a template that prints one value."""
        return "{{ " + self.value(self.random.randint(1, 3)) + " }}"

    def tag(self, inner):
        """Returns a statement with some white space control."""
        return "{%" + self.one("", "", "", "-", "+") + f" {inner} " + self.one("", "", "", "-", "+") + "%}"

    def print(self, inner):
        """Returns what prints an expression, with some white space control."""
        return "{{" + self.one("", "", "-") + f" {inner} " + self.one("", "", "-") + "}}"

    def block(self, depth):
        """Returns some text and tags."""
        return "".join(self.one(*SPACES) + self.piece(depth) + self.one(*SPACES) for _ in range(self.random.randint(1, 3)))

    def piece(self, depth):
        """Returns a piece of a template."""
        r, b, t = self.one, lambda: self.block(depth - 1), self.tag
        simple = (
            lambda: self.one("x", "- y", "z.", "}", "é", "# no", "%}"),
            lambda: self.print(self.one("v", "loop.index", "messages[0].role", "ns.n", "m(1)", "v ~ 'w'", "w", "'\\n'")),
            lambda: "{#" + r("", "-", "+") + r(" c ", " {{ v }} ", "\n") + r("", "-", "+") + "#}",
            lambda: t("raw").replace("+%}", "%}") + r("", "\n", " ", "\n  ") + "{{ v }}" + r("", "\n", " \n  ") + t("endraw"),
            lambda: t(f"set v = {self.value(1)}"),
            lambda: t("set ns.n = ns.n + 1"),
        )
        if depth <= 0:
            return r(*simple)
        return r(
            *simple,
            lambda: t(f"if {self.truth(1)}") + b() + r("", lambda: t("else") + b(), lambda: t("elif v") + b()) + t("endif"),
            lambda: t(f"for v in {self.any_list(1)}{r('', ' if v')}") + b() + r("", lambda: t("else") + b()) + t("endfor"),
            lambda: t(f"for v in {self.integers(1)}") + t(f"if loop.{r('first', 'last', 'index > 1')}") + t(r("break", "continue")) + t("endif") + b() + t("endfor"),
            lambda: t(f"for k, v in {self.mapping(1)}.items()") + b() + self.print("k") + t("endfor"),
            lambda: t("set v") + b() + t("endset") + self.print("v"),
            lambda: t(f"with v = {self.value(1)}, w = v") + b() + t("endwith"),
            lambda: t("filter " + r("upper", "trim", "indent(2)", "replace(' ', '_')")) + b() + t("endfilter"),
            lambda: t("generation") + b() + t("endgeneration"),
            lambda: t("autoescape " + r("true", "false", "v")) + b() + self.print("v ~ '<'") + t("endautoescape"),
            lambda: t(f"for a, b in {self.mapping(1)} | dictsort") + self.print("a ~ loop.revindex") + b() + t("endfor"),
            lambda: t(f"for v in {self.any_list(1)}")
            + self.print(r("loop.cycle(1, 2)", "loop.changed(v)", "loop.previtem", "loop.nextitem is defined", "loop.length", "loop.last", "loop", "loop.depth"))
            + b()
            + t("endfor"),
            lambda: t("for v in [1, [2, [3]]] recursive") + self.print(r("loop(v) if v is iterable else v", "loop.depth0 ~ (loop(v) if v is not number)")) + t("endfor"),
            lambda: t("macro k(a, b=v, c=b)") + b() + self.print(r("a ~ b ~ c", "varargs", "kwargs", "caller is defined", "a")) + t("endmacro")
            + self.print(r("k(1)", "k(1, 2, 3, 4)", "k(a=1, z=2)", "k(*[1, 2])", "k(**{'a': 1})", "k.name ~ k.arguments", "k()")),
            lambda: t(f"set v, w = {self.value(1)}, 2") + b() + self.print("w"),
            lambda: t("block " + r("one", "two")) + b() + t("endblock"),
            lambda: t(f"print {self.value(1)}, v"),
            lambda: t("set ns.n") + b() + t("endset"),
            lambda: t(f"call(w) n({self.value(1)})") + b() + t("endcall"),
        )

    def statements(self):
        """Returns a template of several pieces."""
        text = self.block(2) + self.one("", "\n", "\n\n")
        return text.replace("\n", "\r\n") if self.random.random() < 0.1 else text
