"""Random templates: every filter, test, method and statement, on values of the right kind and, now and then, of a wrong
one. programs(seed, n) yields (source, variables)."""
import random

VARIABLES = {
    "s": " Hello, World! ", "e": "", "w": "a\tb\n\n  c\r\nd ", "q": "it's \"q\" \\ {x} %s", "h": "<b>&'\"", "u8": "straße ÉcoLe Σας ΣΑΣ ǆ 日本語 👍🏽 ﬁ",
    "words": "one two  three,four-five six", "digits": "12345", "neg": "-42", "fl": "3.75", "hx": "0x1F", "lines": "a\nbb\n\nccc\n",
    "n": 7, "z": 0, "m": -3, "big": 12345678901234567890, "f": 2.5, "g": -0.1, "tiny": 1e-7, "huge": 1e22, "yes": True, "no": False, "nil": None,
    "li": [3, 1, 2, 10, -5, 3], "ls": ["b", "A", "c", "a", "B", "ä"], "lf": [0.5, 2, -1.25, 1e3], "lm": [1, "x", None, 2.5, [1], {"a": 1}], "el": [],
    "d": {"b": 1, "a": "x", "C": [1, 2], "items": 5, "n": None}, "ed": {}, "nest": {"a": {"b": [{"c": "deep"}, 2]}, "k": "v"},
    "ld": [{"name": "Bob", "age": 30, "tag": "x"}, {"name": "alice", "age": 25, "tag": "y"}, {"name": "Carl", "age": 30, "tag": "x", "extra": {"k": 1}}],
    "pairs": [["a", 1], ["b", 2]],
}
S = ["s", "e", "w", "q", "h", "u8", "words", "digits", "neg", "fl", "hx", "lines", "'x'", "'ab'", "' '", "''", "'a,b,,c'", "'Title Case'", "'ÀÉ'", "'%d'", "'é' ~ n"]
I = ["n", "z", "m", "big", "0", "1", "2", "3", "-1", "5", "10", "yes", "-7"]
F = ["f", "g", "tiny", "huge", "1.0", "0.5", "2.675", "1e3", "-2.5", "100.0"]
L = ["li", "ls", "lf", "lm", "el", "[1, 2, 3]", "['a', 'b']", "[]", "(1, 'b')", "ld", "pairs", "range(4)", "[n, s, f]", "d.keys()", "d.items()", "[[2, 1], [1]]"]
LS = ["ls", "['b', 'a']", "words.split()", "[]", "['x']", "('p', 'q')", "s.split(',')"]
D = ["d", "ed", "nest", "{'k': 1}", "{'z': 1, 'y': [2]}", "dict(a=1, b=s)", "ld[0]", "{1: 'i', 'a': 2}"]
B = ["yes", "no", "true", "false"]
X = ["nil", "undef", "none", "undef2", "d.missing", "li[99]"]

TEXT = [  # patterns of texts
    "{S} ~ {A}", "{S} + {S}", "{S} * {i}", "{S}|upper", "{S}|lower", "{S}|title", "{S}|capitalize", "{S}|trim", "{S}|trim({S})", "{S}|replace({S}, {S})",
    "{S}|replace({S}, {S}, {i})", "{S}|center({i})", "{S}|string", "{A}|string", "{S}|indent", "{S}|indent({i})", "{S}|indent({i}, true)", "{S}|indent('> ', blank={B})",
    "{S}|indent(width={i}, first={B})", "{S}|truncate({i} + 6)", "{S}|truncate({i} + 6, {B}, '..', {i})", "{S}|e", "{S}|escape ~ {S}", "{S}|reverse", "{LS}|join", "{LS}|join({S})", "{L}|join('-')",
    "{S}|urlencode", "{D}|urlencode", "{I}|filesizeformat", "{I}|filesizeformat(true)", "{A}|tojson", "{A}|tojson(indent={i})", "{A}|tojson(ensure_ascii={B})",
    "{A}|tojson(separators=(',', ':'))", "{D}|tojson(sort_keys=true, indent=1)", "{D}|tojson(indent='--')", "{S}|format({A}, {A})", "{S}|default({A})", "{S}[{I}]", "{S}[{I}:{I}]", "{S}[::{I}]", "{S}[{I}:]",
    "{S}[:{I}:{I}]", "{S}.strip()", "{S}.strip({S})", "{S}.lstrip()", "{S}.rstrip('!c ')", "{S}.upper()", "{S}.lower()", "{S}.title()", "{S}.capitalize()", "{S}.swapcase()",
    "{S}.casefold()", "{S}.replace({S}, {S})", "{S}.replace({S}, {S}, {i})", "{S}.join({LS})", "{S}.center({i}, '*')", "{S}.ljust({i})", "{S}.rjust({i}, '0')", "{S}.zfill({i})",
    "{S}.removeprefix({S})", "{S}.removesuffix({S})", "{S}.expandtabs({i})", "{S}.partition({S})|join('|')", "{S}.rpartition({S})|join('|')", "'%s' % {A}", "'%r' % ({A},)",
    "'%5d|%-5d|%05d|%+d|%x|%o' % ({I}, {I}, {I}, {I}, {I}, {I})", "'%.2f|%8.3f|%e|%g' % ({N}, {N}, {N}, {N})", "'%(a)s' % {D}", "'%10s|%-10s|%.2s' % ({S}, {S}, {S})", "'%%' % ()",
    "'{{}} {{}}'.format({A}, {A})", "'{{0}}{{1}}{{0}}'.format({S}, {A})", "'{{x:>6}}|{{y!r}}'.format(x={S}, y={A})", "'{{:5d}}|{{:<5}}|{{:^7}}|{{:,}}'.format({I}, {I}, {S}, {I})", "'{{:.2f}}|{{:e}}|{{:g}}|{{:%}}'.format({N}, {N}, {N}, {N})",
    "'{{a[b]}} {{0.k}}'.format({D}, a={D})", "{A} if {C} else {S}", "{S} if {C}", "({S}|first) ~ ({S}|last)", "{L}|map('string')|join(',')", "{LS}|map('upper')|join", "ld|map(attribute='name')|join(', ')", "ld|join(',', attribute='name')",
    "{LS}|map('replace', 'a', {S})|join", "{S}|list|string", "{L}|string", "{D}|string", "strftime_now('%Y-%m-%d %H:%M:%S')", "strftime_now('%d %b %Y, %A %j %y %I %p %B %-d %e')", "strftime_now('%Q|%-m/%_d|%^a|%%|%F %T|%G-%V|%u %w %U|%é|%z%Z|%')", "strftime_now({S})", "{S}|safe", "{S}|forceescape", "dict(a={A})|string", "'%c' % {S}", "'%c' % 65", "{S}|string|length|string", "{S}|e + {S}",
]
NUMBER = [
    "{I} + {I}", "{I} - {I}", "{I} * {I}", "{I} / {I}", "{I} // {I}", "{I} % {I}", "{I} ** {i}", "{N} + {N}", "{N} - {N}", "{N} * {N}", "{N} / {N}", "{N} // {N}", "{N} % {N}", "{N} ** {i}",
    "-{N}", "+{N}", "{N}|abs", "{N}|round", "{N}|round({i})", "{N}|round(2, 'ceil')", "{N}|round(1, 'floor')", "{N}|int", "{N}|float", "{S}|int", "{S}|int({I})", "{S}|int(0, 16)", "{S}|int(base=0)", "{S}|float", "{S}|float({F})",
    "{A}|length", "{L}|count", "{L}|sum", "li|sum(start={N})", "ld|sum(attribute='age')", "{L}|min", "{L}|max", "ld|min(attribute='age')|string", "{S}|wordcount", "{S}.find({S})", "{S}.rfind({S})", "{S}.index({S})", "{S}.count({S})",
    "{S}.find({S}, {I})", "{S}.find({S}, {I}, {I})", "{S}.rfind({S}, {I}, {I})", "{S}.count({S}, {I}, {I})", "{L}.index({A})", "{L}.count({A})", "li.index({I})", "{I} ** -{i}", "{N}|round(-{i})", "({I}|string)|int", "10 ** {i} * {I}", "{I} and {I}", "{I} or {F}",
]
LIST = [
    "{L} + {L}", "{L} * {i}", "{L}|list", "{L}|sort", "{L}|sort(reverse={B})", "{LS}|sort(case_sensitive={B})", "ld|sort(attribute='name')", "ld|sort(attribute='age,name', reverse={B})", "{L}|reverse|list", "{L}|unique|list", "{LS}|unique(case_sensitive=true)|list",
    "ld|unique(attribute='tag')|list", "{L}|batch({i})|list", "{L}|batch({i}, {A})|list", "{L}|slice({i})|list", "{L}|slice({i}, {A})|list", "{D}|dictsort", "{D}|dictsort(true)", "{D}|dictsort(by='value')", "{D}|dictsort(reverse={B})", "{D}|items|list", "{D}.items()|list", "{D}.keys()|list", "{D}.values()|list",
    "ld|groupby('tag')|list", "ld|groupby('age')|map('list')|list", "ld|groupby('missing', default='?')|list", "{L}|select|list", "{L}|select('{T0}')|list", "{L}|reject('{T0}')|list", "li|select('{T1}', {I})|list", "ld|selectattr('extra')|list", "ld|selectattr('age', '{T1}', {I})|list", "ld|rejectattr('tag', 'equalto', 'x')|list",
    "ld|rejectattr('extra', 'defined')|list", "ld|selectattr('extra.k', 'defined')|list", "{L}|map('string')|list", "ld|map(attribute='age')|list", "ld|map(attribute='extra.k', default={A})|list", "pairs|map(attribute='0')|list", "pairs|map(attribute=1)|list", "{L}[{I}:{I}]", "{L}[::{I}]", "{L}[{I}:]", "{S}.split()", "{S}.split({S})", "{S}.split(' ', {I})", "{S}.split(none, {i})",
    "{S}.rsplit()", "{S}.rsplit(' ', {i})", "{S}.rsplit(none, {i})", "{S}.splitlines()", "{S}.splitlines(true)", "{S}.partition({S})", "{S}|list", "[{A}, {A}]", "({A}, {A})", "range({i})|list", "range({I}, {I})|list", "range({i}, {I}, {I})|list", "{L}|first", "{L}|last", "{L}[{I}]", "{L}|string|list", "pairs|map('first')|list", "(li|sort)[{I}:{I}:{I}]", "d|list",
    "dict({L})|list", "li|map('{M}')|list", "ls|map('{M}')|list", "range(10)[{I}:{I}:{I}]|list", "ls|sort|join|list", "li|map('abs')|select('gt', 2)|list", "{L}|list|reverse|list|length",
]
DICT = ["{{'a': {A}, {S}: {A}}}", "dict({D}, x={A})", "dict(pairs)", "{D}", "{D}.copy()", "{D} if {C} else {D}", "{D}.get('a')", "{D}.get({S}, {A})", "{D}['a']", "{D}.a", "{D}[{S}]", "nest.a.b[0].c", "nest['a']['b'][{I}]", "{D}.items is callable", "{D}|attr('a')", "{D}.b", "{D}.{{k}}".replace("{{k}}", "C")]
CONDITION = [
    "{A} == {A}", "{A} != {A}", "{N} < {N}", "{N} <= {N} < {N}", "{S} > {S}", "{S} >= {S}", "{A} in {L}", "{S} in {S}", "{S} not in {S}", "{S} in {D}", "not {A}", "{C} and {C}", "{C} or {C}", "{A} is {T0}", "{A} is not {T0}", "{A} is {T1} {A}", "{N} is {T1}({N})", "{S}.startswith({S})", "{S}.endswith({S})",
    "{S}.startswith(({S}, {S}))", "{S}.startswith({S}, {I})", "{S}.endswith({S}, {I}, {I})", "{S}.isalpha()", "{S}.isdigit()", "{S}.isalnum()", "{S}.isspace()", "{S}.isupper()", "{S}.islower()", "{S}.istitle()", "{S}.isnumeric()", "{S}.isdecimal()", "{S}.isascii()", "{S}.isprintable()", "{L} == {L}", "{L} < {L}", "{N} == {N} == {N}", "{I} is divisibleby {I}", "{A} is sameas {B}", "{L} is iterable and {A} is not string", "{F}.is_integer()", "{A} < {A}", "1 < {N} > 2 != {A}",
]
TESTS0 = "defined undefined none boolean true false string number integer float mapping iterable sequence callable lower upper even odd escaped filter test".split()
TESTS1 = "eq equalto ne lt lessthan le gt greaterthan ge in sameas divisibleby".split()
MAPPED = "upper lower string abs int float length title list first tojson trim round e".split()

STATEMENTS = [
    "{{% if {C} %}}{P}{{% elif {A} %}}{P}{{% else %}}{P}{{% endif %}}", "{{% for x in {L} %}}{{{{ loop.index }}}}{{{{ x }}}}{P}{{% endfor %}}", "{{% for x in {L} if {A} %}}{{{{ loop.length }}}}:{{{{ x }}}}{P}{{% else %}}none{{% endfor %}}",
    "{{% for k, v in {D}.items() %}}{{{{ k }}}}={{{{ v }}}}{{{{ ', ' if not loop.last }}}}{{% endfor %}}", "{{%- for x in {L} -%}} [{{{{ loop.index0 }}}}{{{{ loop.revindex }}}}{{{{ loop.revindex0 }}}}{{{{ loop.first }}}}{{{{ loop.last }}}}{{{{ loop.previtem }}}}{{{{ loop.nextitem }}}}{{{{ loop.cycle('a', 'b') }}}}] {{%- endfor -%}}",
    "{{% set v = {A} %}}{{{{ v }}}}{P}", "{{% set v %}}{P}{{% endset %}}[{{{{ v }}}}]", "{{% set v | upper %}}{P}{{% endset %}}[{{{{ v }}}}]", "{{% set a, b = {A}, {A} %}}{{{{ a }}}}/{{{{ b }}}}", "{{% set ns = namespace(c=0, t={S}) %}}{{% for x in {L} %}}{{% set ns.c = ns.c + 1 %}}{{% set ns.t = ns.t ~ x %}}{{% endfor %}}{{{{ ns.c }}}}{{{{ ns.t }}}}{{{{ ns }}}}",
    "{{% macro mm(a, b={A}) %}}({{{{ a }}}}|{{{{ b }}}}){P}{{% endmacro %}}{{{{ mm({A}) }}}}{{{{ mm({A}, b={A}) }}}}", "{{% macro mv() %}}{{{{ varargs }}}}{{{{ kwargs }}}}{{% endmacro %}}{{{{ mv({A}, x={A}) }}}}", "{{% macro mc() %}}<{{{{ caller({S}) }}}}>{{% endmacro %}}{{% call(y) mc() %}}{{{{ y }}}}{P}{{% endcall %}}",
    "{{% filter upper %}}{P}{{% endfilter %}}", "{{% filter replace({S}, {S}) | trim %}}{P}{{% endfilter %}}", "{{% with v = {A}, y = {S} %}}{{{{ v }}}}{{{{ y }}}}{P}{{% endwith %}}{{{{ v }}}}", "{{% for x in {L} %}}{{% if loop.index == 2 %}}{{% continue %}}{{% endif %}}{{% if loop.index0 == 3 %}}{{% break %}}{{% endif %}}{{{{ x }}}}{{% endfor %}}",
    "{{% for x in {L} %}}{{% set v = {A} %}}{{{{ v }}}}{{% endfor %}}{{{{ v }}}}", "{{# comment {P} #}}", "{{%- if {C} -%}}  x  {{%- endif %}}\n  {{%+ if {C} %}} y {{% endif +%}}\n", "  {{% if {C} %}}\n    {P}\n  {{% endif %}}\n", "{{% raw %}}{{{{ x }}}} {{% if %}}{{% endraw %}}", "{{%- raw -%}}  {{{{ x }}}}  {{%- endraw %}}\n",
    "{{% for row in [[1, [2, [3]]], [4]] recursive %}}{{{{ loop.depth }}}}{{% if row is iterable %}}<{{{{ loop(row) }}}}>{{% else %}}{{{{ row }}}}{{% endif %}}{{% endfor %}}", "{{% generation %}}{P}{{% set v = 5 %}}{{% endgeneration %}}{{{{ v }}}}", "{{% for x in {L} %}}{{% for y in {L} %}}{{{{ loop.index }}}}{{{{ y }}}}{{% endfor %}}{{{{ loop.index }}}}{{% endfor %}}",
    "{{% for x in {L} %}}{{{{ 'same' if not loop.changed(x) }}}}{{% endfor %}}", "{{% set c = cycler('a', 'b') %}}{{{{ c.next() }}}}{{{{ c.next() }}}}{{{{ c.current }}}}{{{{ c.next() }}}}", "{{% set j = joiner('; ') %}}{{% for x in {L} %}}{{{{ j() }}}}{{{{ x }}}}{{% endfor %}}", "{{{{ undef }}}}{{{{ undef|default({A}) }}}}{{{{ d.nope is defined }}}}", "{{% if {C} %}}{{% set v = {A} %}}{{% endif %}}{{{{ v is defined }}}}{{{{ v }}}}",
    "{{% macro fact(k) %}}{{{{ k if k < 2 else (k * (fact(k - 1)|int)) }}}}{{% endmacro %}}{{{{ fact({i}) }}}}", "{{% set v = {A} %}}{{% macro g() %}}{{{{ v }}}}{{% endmacro %}}{{% set v = {A} %}}{{{{ g() }}}}", "{{{{ raise_exception('no ' ~ {S}) if {C} }}}}", "{{% block main %}}{P}{{% endblock %}}", "{{% print {A}, {A} %}}", "{{% for x in {L}|{SEL} %}}{{{{ loop.index ~ '/' ~ loop.length }}}}{{{{ x }}}}{{% endfor %}}",
    "{{{{- {A} -}}}}\n", "\n{{{{- {A} }}}}  {{{{ {A} -}}}}  \n", "\t {{%- set v = {A} %}}\n\n{{{{ v }}}}\n\n", "{{{{ {A} }}}}", "{{% for a, b in pairs %}}{{{{ a ~ b }}}}{{% endfor %}}", "{{% for x in {S} %}}{{{{ x }}}}.{{% endfor %}}", "{{% set ns = namespace({D}) %}}{{{{ ns.k }}}}{{{{ ns.a }}}}", "{{% set ns2 = namespace() %}}{{% set ns2.x = {A} %}}{{{{ ns2.x }}}}{{{{ ns2.y }}}}{{{{ ns2.y is defined }}}}",
]
SELECTED = ["select", "map('string')", "reverse", "batch(2)", "unique", "list", "select('defined')"]


class Maker:
    def __init__(self, rnd):
        self.r = rnd

    def fill(self, pattern, depth):
        """Every {X} becomes an expression of kind X."""
        out, i = "", 0
        while i < len(pattern):
            two = pattern[i:i + 2]
            if two in ("{{", "}}"):
                out, i = out + two[0], i + 2
            elif pattern[i] == "{":
                j = pattern.index("}", i)
                out, i = out + self.part(pattern[i + 1:j], depth), j + 1
            else:
                out, i = out + pattern[i], i + 1
        return out

    def part(self, kind, depth):
        r = self.r
        if kind == "P":
            return self.body(depth - 1)
        if kind in ("T0", "T1"):
            return r.choice(TESTS0 if kind == "T0" else TESTS1)
        if kind == "M":
            return r.choice(MAPPED)
        if kind == "SEL":
            return r.choice(SELECTED)
        if kind == "i":
            return r.choice(["0", "1", "2", "3", "4", "9", "n"])
        if r.random() < 0.03:
            kind = "A"  # a wrong kind
        if kind == "A":
            kind = r.choice("SSIFLDBXCN")
        atoms = {"S": S, "I": I, "F": F, "L": L, "LS": LS, "D": D, "B": B, "X": X, "N": I + F, "C": B + ["n > 3", "s", "el"]}[kind]
        patterns = {"S": TEXT, "N": NUMBER, "I": NUMBER, "L": LIST, "D": DICT, "C": CONDITION}.get(kind)
        if depth <= 0 or not patterns or r.random() < 0.4:
            return r.choice(atoms)
        e = self.fill(r.choice(patterns), depth - 1)
        return f"({e})" if r.random() < 0.9 else e

    def body(self, depth):
        r = self.r
        if depth <= 0:
            return r.choice(["text", " ", "\n", "{{ s }}", "{{ x }}", "{{ v }}", "  a\n  b\n", "{{ loop.index }}"])
        return "".join(self.fill(r.choice(STATEMENTS), depth) if r.random() < 0.7 else r.choice(["\n", "  ", "t", "\n\n", " {{ n }}"])
                       for _ in range(r.randint(1, 2)))


def programs(seed, n):
    rnd = random.Random(seed)
    make = Maker(rnd)
    every = [(p, k) for k, ps in (("e", TEXT + NUMBER + LIST + DICT + CONDITION), ("s", STATEMENTS)) for p in ps]
    for i in range(n):
        pattern, kind = every[i % len(every)] if i < 3 * len(every) else rnd.choice(every)
        depth = rnd.choice([0, 0, 1, 1, 2, 3]) if kind == "e" else rnd.choice([1, 2, 2, 3])
        source = make.fill(pattern, depth)
        yield ("{{ " + source + " }}" if kind == "e" else source), VARIABLES
