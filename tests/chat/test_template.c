/* The template language without other programs: origins, bounds, what is refused, and every allocation failing once.
 * With `--serve` it renders for test_programs.py and test_corpus.py from standard input: u32 bytes and a template
 * (UINT32_MAX: the one before), u32 bytes and a JSON object of variables; the answer is u32 status, u32 bytes and the
 * output or the error. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/js.h"
#include "base/mem.h"
#include "chat/template.h"

enum { NOW = 1753351445, VARIABLES_MAX = 64 }; /* 2025-07-24 10:04:05 */

static status render(const template *t, const js *variables, template_output *out, error *err)
{
    template_variable list[VARIABLES_MAX];
    size_t n = 0;
    for (js_member m = { 0 }; n < VARIABLES_MAX && js_next(variables, &m); n++) {
        bool messages = !strcmp(m.key, "messages"), own = strstr(m.key, "_token") != NULL;
        list[n] = (template_variable){ .name = m.key, .j = m.value,
                                       .from = messages ? TEMPLATE_MESSAGES : TEMPLATE_DATA };
        if (own && js_is(m.value, JS_STRING))
            list[n] = (template_variable){ .name = m.key, .text = js_text(m.value), .text_bytes = js_len(m.value) };
    }
    return template_render(t, list, n, NOW, out, err);
}

/* ---- serving ----------------------------------------------------------------------------------------------------- */

static char *read_text(uint32_t *n)
{
    if (fread(n, 4, 1, stdin) != 1)
        exit(0);
    if (*n == UINT32_MAX)
        return NULL;
    char *s = mem_zero(*n + (size_t)1);
    if (!s || fread(s, 1, *n, stdin) != *n)
        exit(1);
    return s;
}

static _Noreturn void serve(void)
{
    template *t = NULL;
    error compile_error = { 0 };
    status compiled = E_FORMAT;
    for (;;) {
        uint32_t n, n_variables;
        char *source = read_text(&n), *json = read_text(&n_variables);
        js *variables = NULL;
        template_output out = { 0 };
        error err = { 0 };
        if (source) {
            template_free(&t);
            compiled = template_compile(&t, source, n, &compile_error);
        }
        err = compile_error;
        status s = compiled;
        if (!s)
            s = js_parse(&variables, json, n_variables, "variables", 1, &err);
        if (!s)
            s = render(t, variables, &out, &err);
        uint32_t code = s, bytes = s ? (uint32_t)strlen(err.text) : (uint32_t)out.n;
        fwrite(&code, 4, 1, stdout);
        fwrite(&bytes, 4, 1, stdout);
        fwrite(s ? err.text : out.bytes, 1, bytes, stdout);
        fflush(stdout);
        template_output_clear(&out);
        js_free(variables);
        mem_free(source);
        mem_free(json);
    }
}

/* ---- origins ----------------------------------------------------------------------------------------------------- */

static status run_once(const char *source, const char *json, template_output *out, error *err)
{
    template *t = NULL;
    js *variables = NULL;
    status s = template_compile(&t, source, strlen(source), err);
    if (!s)
        s = js_parse(&variables, json, strlen(json), "variables", 1, err);
    if (!s)
        s = render(t, variables, out, err);
    js_free(variables);
    template_free(&t);
    return s;
}

/* The user says "Ab" and, in z, "<Y>"; every expression's output is written with the template's own bytes in [ ]. */
static const struct {
    const char *expression, *out;
} origin_rows[] = {
    { "c", "Ab" },
    { "c + '!'", "Ab[!]" },
    { "'<' ~ c ~ '>'", "[<]Ab[>]" },
    { "c | upper", "AB" },
    { "('x' ~ c ~ 'y') | upper", "[X]AB[Y]" },
    { "('x' ~ c) | title", "[X]ab" },
    { "('-' ~ c ~ '-')[1:-1]", "Ab" },
    { "('-' ~ c ~ '-')[::-1]", "[-]bA[-]" },
    { "('-' ~ c ~ '-') | reverse", "[-]bA[-]" },
    { "c | replace('b', '<|end|>')", "A[<|end|>]" },
    { "'x.x' | replace('.', z)", "[x]<Y>[x]" },
    { "(c ~ '.' ~ z).split('.')", "[[]'Ab'[, ]'<Y>'[]]" },
    { "(c ~ '.' ~ z).split('.') | join(' ')", "Ab[ ]<Y>" },
    { "[c, 'x'] | join(z)", "Ab<Y>[x]" },
    { "'%s=%5s' % (c, 'x')", "Ab[=    x]" },
    { "z % ()", "<Y>" },
    { "'{}{:>4}'.format('x', c)", "[x  ]Ab" },
    { "c | tojson", "\"Ab\"" },
    { "{'k': c, c: 1} | tojson", "[{\"k\": ]\"Ab\"[, ]\"Ab\"[: 1}]" },
    { "d | tojson", "{\"k\": [\"Ab\", 1]}" },
    { "[d] | tojson(separators=(',', ':'))", "[[]{\"k\"[:][\"Ab\"[,]1]}[]]" },
    { "d", "{'k': ['Ab', 1]}" },
    { "n ~ '|' ~ loop_index", "7[|1]" },
    { "n + 1", "8" },
    { "c | indent(2, true)", "[  ]Ab" },
    { "c | center(6)", "[  ]Ab[  ]" },
    { "c | truncate(6) | trim", "Ab" },
    { "('(' ~ z ~ ')') | e", "[(]&lt;Y&gt;[)]" },
    { "c | urlencode", "Ab" },
    { "c | list | join", "Ab" },
    { "c.partition('b') | join('/')", "A[/b/]" },
    { "c is string", "[True]" },
    { "c | length", "[2]" },
    { "d.k | first | lower | capitalize", "Ab" },
    { "messages[0].content ~ messages[1].content", "first|second" },
    { "messages[0].role ~ messages[1].role", "[user]stranger" },
};

static void test_origins(void **state)
{
    (void)state;
    static const char json[] = "{\"c\": \"Ab\", \"z\": \"<Y>\", \"d\": {\"k\": [\"Ab\", 1]}, \"n\": 7, \"messages\": "
                               "[{\"role\": "
                               "\"user\", \"content\": \"first\"}, {\"role\": \"stranger\", \"content\": \"second\"}]}";
    for (size_t i = 0; i < ARRAY_LEN(origin_rows); i++) {
        template_output out = { 0 };
        buf source = BUF_INIT(1000), shown = BUF_INIT(1000);
        buf_printf(&source, "{%% set loop_index = 1 %%}{{ %s }}", origin_rows[i].expression);
        assert_ok(run_once(buf_text(&source), json, &out, err));
        bool messages = strstr(origin_rows[i].expression, "messages") != NULL;
        for (size_t k = 0; k < out.n_parts; k++) {
            bool own = out.parts[k].special;
            if (k && !own && !out.parts[k - 1].special && messages)
                buf_char(&shown, '|');
            buf_str(&shown, own ? "[" : "");
            buf_add(&shown, out.parts[k].text, out.parts[k].n);
            buf_str(&shown, own ? "]" : "");
        }
        if (strcmp(buf_text(&shown), origin_rows[i].out) != 0)
            fail_msg("%s: %s, not %s", origin_rows[i].expression, buf_text(&shown), origin_rows[i].out);
        template_output_clear(&out);
        buf_clear(&source);
        buf_clear(&shown);
    }
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static const char *const hostile[] = {
    "{% for a in range(100000) %}{% for b in range(100000) %}{{ a * b }}{% endfor %}{% endfor %}",
    "{{ 'x' * 1000000000 }}",
    "{% set ns = namespace(s='x') %}{% for a in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s | upper "
    "}}",
    "{% set ns = namespace(l=[1]) %}{% for a in range(100) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
    "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(0) }}",
    "{% set ns = namespace(l=[]) %}{% for a in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
    "{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}",
    "{{ 99 ** 99 ** 99 }}",
    "{{ 2 ** 100000000 }}",
    "{% set ns = namespace(n=3) %}{% for a in range(100000) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ 'a' | center(1000000000) }}",
    "{{ ('a' * 1000000) | replace('', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb') }}",
    "{% for a in range(1000) %}{{ ('a' * 100000) | upper | lower | title | length }}{% endfor %}",
    "{% for a in range(100000) %}{{ ('ab' * 100000).rfind('ba' * 50000 ~ 'c') }}{% endfor %}",
    "{% for a in range(100000) %}{{ range(100000) | list | sort | first }}{% endfor %}",
    "{{ (range(100000) | map('string') | list) * 1000 }}",
    "{% for a in range(100000) %}{% set x = strftime_now('%c' * 1000) %}{% endfor %}",
    "{% set a = 'x' * 1000000 %}{% for i in range(100000) %}{{ a }}{% endfor %}",
    "{% set d = dict() %}{% for i in range(100000) %}{{ dict(range(10000) | map('string') | batch(2)) | length }}{% "
    "endfor %}",
    "{{ [[[[1] * 1000] * 1000] * 1000] | tojson | length }}{{ [[1] * 1000] * 1000000 }}",
    "{% for i in range(100000) %}{{ ('\xc3\xa4' * 10000)[9999] }}{% endfor %}",
    "{% for i in range(100000) %}{{ 'x' | indent(100000) }}{% endfor %}",
    "{{ ('x\n' * 100000) | indent(100000) }}",
    "{% for i in range(100000) %}{{ messages | tojson }}{% endfor %}",
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* They end, with an error, within 100 ms (sanitizers are given more). */
static void test_hostile(void **state)
{
    (void)state;
    const char *build = getenv("HEARTH_BUILD");
    double limit = build && strstr(build, "san-") ? 3 : 0.1;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        template_output out = { 0 };
        error err = { 0 };
        double best = 9;
        for (int k = 0; k < 12 && best > limit; k++) { /* a busy machine may be in the way */
            double start = seconds();
            status s = run_once(hostile[i], "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}", &out, &err);
            double took = seconds() - start;
            best = took < best ? took : best;
            if (s != E_RANGE)
                fail_msg("%s: %d %s", hostile[i], s, err.text);
        }
        if (getenv("HEARTH_SHOW"))
            print_message("%6.1f ms %s\n", best * 1e3, hostile[i]);
        if (best > limit)
            fail_msg("%s: %.0f ms: %s", hostile[i], best * 1e3, err.text);
    }
}

/* Sources that are deep or long in every direction end, too. */
static void test_deep_sources(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *middle, *end;
    } shapes[] = {
        { "{{ ", "(", "" }, { "{{ ", "[", "" }, { "{{ ", "not ", "x }}" }, { "{{ ", "-", "1 }}" },
        { "{{ x", ".a", " }}" },
        { "{{ x", "|e", " }}" }, { "{{ 1", " + 1", " }}" }, { "{{ 1", " if 1 else 1", " }}" }, { "", "{% if x %}", "" },
        { "{% if x %}", "{% elif x %}", "{% endif %}" }, { "{% macro f() %}{{ 1", " + 1", " }}{% endmacro %}{{ f() "
                                                                                          "}}" },
        { "{{ x", "(x)", " }}" }, { "{{ '", "\\u0041", "' }}" }, { "", "{#", "" }, { "", "{{ x }}", "" },
        { "{{ f(", "a=1,", ") }}" }, { "{% set x = ", "{'a': ", "" }, { "{% for x in y %}", "{% for x in y %}", "" },
        { "{% set ", "a, ", "b = c %}" }, { "{{ 1", " < 1", " }}" }, { "{{ '", "x", "' * 9999999 }}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        buf source = BUF_INIT(TEMPLATE_MAX_BYTES);
        buf_str(&source, shapes[i].begin);
        while (source.len + 100 < TEMPLATE_MAX_BYTES)
            buf_str(&source, shapes[i].middle);
        buf_str(&source, shapes[i].end);
        template_output out = { 0 };
        error err = { 0 };
        (void)!run_once(buf_text(&source), "{}", &out, &err);
        template_output_clear(&out);
        buf_clear(&source);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char source[] = "{% macro f(a, b='x') %}{{ a ~ b }}{% endmacro %}{% for m in messages %}{{ "
                                 "f(m.content) }}"
                                 "{{ m | tojson(indent=2) | upper }}{{ m.items() | list }}{% endfor %}"
                                 "{{ (messages | map(attribute='content') | join(', ')) * 2000 }}";
    static const char json[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"user\", "
                               "\"content\": \"y\"}]}";
    js *variables = NULL;
    assert_ok(js_parse(&variables, json, strlen(json), "variables", 1, err));
    bool done = false;
    for (uint64_t k = 1; !done; k++) {
        template *t = NULL;
        template_output out = { 0 };
        error err = { 0 };
        uint64_t before = mem_count();
        mem_fail_at(k);
        status s = template_compile(&t, source, strlen(source), &err);
        if (!s)
            s = render(t, variables, &out, &err);
        done = mem_count() - before < k;
        mem_fail_at(0);
        assert_int_equal(s, done ? OK : E_NOMEM);
        template_output_clear(&out);
        template_free(&t);
    }
    js_free(variables);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--serve"))
        serve();
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_origins), cmocka_unit_test(test_hostile),
                                        cmocka_unit_test(test_deep_sources), cmocka_unit_test(test_no_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
