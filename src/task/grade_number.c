/* grade_number.c: graders that look at numbers and dates. */
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

status read_number_rule(task_reader *r, const yaml *map, text_number_rule *out)
{
    static const char *const decimals[] = { "auto", "point", "comma" };
    const yaml *decimal = yaml_get(map, "decimal"), *units = yaml_get(map, "units");
    size_t word = 0;
    status s = decimal ? task_read_word(r, decimal, decimals, ARRAY_LEN(decimals), &word) : OK;
    out->decimal = (text_decimal)word;
    if (!s)
        s = task_read_number(r, map, "abs", 0, 1e18, &out->abs);
    if (!s)
        s = task_read_number(r, map, "rel", 0, 1, &out->rel);
    if (s || !units)
        return s;
    size_t n = yaml_count(units);
    if (units->kind != YAML_MAP || n == 0 || n > 64)
        return yaml_error(r->f, units, r->err, "'units' is a map of 1 to 64 units to factors");
    const char **names = arena_alloc(r->a, n * sizeof *names);
    double *factors = arena_alloc(r->a, n * sizeof *factors);
    if (!names || !factors)
        return task_no_memory(r->err);
    size_t i = 0;
    for (const yaml *u = units->child; u && !s; u = u->next, i++) {
        names[i] = u->key;
        s = yaml_f64(r->f, u, &factors[i], r->err);
    }
    out->units = names;
    out->factors = factors;
    out->n_units = n;
    return s;
}

status read_number(task_reader *r, const yaml *map, task_grader *g)
{
    static const char *const takes[] = { "only", "first", "last" };
    const yaml *take = yaml_get(map, "take");
    size_t word = 0;
    status s = take ? task_read_word(r, take, takes, ARRAY_LEN(takes), &word) : OK;
    g->take = (int)word;
    return s ? s : read_number_rule(r, map, &g->number);
}

/* The number of a text, in the base unit. Names what is wrong with it, or returns NULL. */
static const char *number_of(const task_grader *g, span text, double *out)
{
    size_t at = 0, count = 0;
    text_number n, chosen = { 0, 0, 0 };
    while (text_next_number(text, g->number.decimal, &at, &n)) {
        if (count && g->take == 0)
            return "more than one number";
        if (!count || g->take == 2)
            chosen = n;
        count++;
        if (g->take == 1)
            break;
    }
    double factor = 1;
    if (!count)
        return "no number";
    if (!text_unit(text, &chosen, &g->number, &factor))
        return "an unknown unit";
    *out = chosen.value * factor;
    return NULL;
}

status run_number(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                  error *err)
{
    const js *expected = NULL;
    double want = 0, got = 0;
    status s = grade_expected(t, g, c, &expected, err);
    if (s)
        return s;
    bool known = js_double(expected, &want);
    if (!known && js_is(expected, JS_STRING))
        known = !number_of(g, (span){ js_text(expected), js_len(expected) }, &want);
    if (!known)
        return grade_bad_expected(t, g, c, "a number", err);
    const char *wrong = number_of(g, (span){ answer, n }, &got);
    if (wrong)
        return grade_malformed(out, wrong);
    bool same = text_near(&g->number, got, want);
    grade_score(g, same, out);
    if (!same)
        snprintf(out->reason, sizeof out->reason, "another number");
    return OK;
}

status ideal_number(const task *t, const task_grader *g, const task_case *c, buf *out, error *err)
{
    (void)t;
    (void)err;
    const js *v = g->key ? js_get(c->expected, g->key) : c->expected;
    if (js_is(v, JS_NUMBER) || js_is(v, JS_STRING))
        buf_str(out, js_text(v));
    return OK;
}

/* ---- dates ---- */

status read_date(task_reader *r, const yaml *map, task_grader *g)
{
    static const char *const orders[] = { "dmy", "mdy" };
    const yaml *order = yaml_get(map, "order");
    size_t word = 0;
    status s = order ? task_read_word(r, order, orders, ARRAY_LEN(orders), &word) : OK;
    g->month_first = word == 1;
    return s;
}

static bool same_day(const text_day *a, const text_day *b)
{
    return a->year == b->year && a->month == b->month && a->day == b->day;
}

status run_date(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                error *err)
{
    const js *expected = NULL;
    text_day want, got, next;
    status s = grade_expected(t, g, c, &expected, err);
    if (s)
        return s;
    if (!js_is(expected, JS_STRING) || !text_date((span){ js_text(expected), js_len(expected) }, g->month_first, &want))
        return grade_bad_expected(t, g, c, "a date", err);
    size_t at = 0;
    if (!text_next_date((span){ answer, n }, g->month_first, &at, &got))
        return grade_malformed(out, "no date");
    while (text_next_date((span){ answer, n }, g->month_first, &at, &next))
        if (!same_day(&got, &next))
            return grade_malformed(out, "more than one date");
    bool same = same_day(&got, &want);
    grade_score(g, same, out);
    if (!same)
        snprintf(out->reason, sizeof out->reason, "another date");
    return OK;
}

/* ---- invented numbers ---- */

/* Does the input hold this number, in any of its readings? */
static bool number_in(span input, double value)
{
    static const text_number_rule exactly = { DECIMAL_AUTO, 0, 0, 0, NULL, NULL };
    for (int d = DECIMAL_AUTO; d <= DECIMAL_COMMA; d++) {
        text_number n;
        for (size_t at = 0; text_next_number(input, (text_decimal)d, &at, &n);)
            if (text_near(&exactly, n.value, value) || text_near(&exactly, -n.value, value))
                return true;
    }
    return false;
}

/* Digits of dates and codes count too ("12.05.2018", "A4"), as pieces: what is checked is that nothing was invented. */
static bool digits_in(span input, span digits)
{
    for (const char *p = input.p; (p = memmem(p, (size_t)(input.p + input.n - p), digits.p, digits.n)); p++) {
        bool left = p > input.p && p[-1] >= '0' && p[-1] <= '9';
        const char *end = p + digits.n;
        bool right = end < input.p + input.n && *end >= '0' && *end <= '9';
        if (!left && !right)
            return true;
    }
    return false;
}

status run_numbers_in_input(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n,
                            grade *out, error *err)
{
    (void)t;
    buf text = BUF_INIT(2 * TASK_LINE_BYTES_MAX);
    task_all_text(c->input, &text);
    status s = buf_ok(&text, "the input", err);
    size_t found = 0, total = 0;
    span input = { buf_text(&text), text.len };
    text_number number;
    for (size_t at = 0; !s && text_next_number((span){ answer, n }, g->number.decimal, &at, &number); total++)
        found += digits_in(input, (span){ answer + number.begin, number.end - number.begin }) ||
                 number_in(input, number.value);
    buf_clear(&text);
    if (s)
        return s;
    grade_score(g, total ? (double)found / (double)total : 1, out);
    if (out->outcome != GRADE_PASS)
        snprintf(out->reason, sizeof out->reason, "%zu of %zu numbers are not in the input", total - found, total);
    return OK;
}
