/* import.c: which reader a file is for, and what all readers share: lines and problems. */
#include "task/import.h"

#include <stdio.h>
#include <string.h>

#include "task/import_int.h"

static const char *const names[] = { "guess", "promptfoo", "openai-evals", "lm-eval", "openai-log" };

const char *import_format_name(import_format f)
{
    return names[(unsigned)f < ARRAY_LEN(names) ? f : 0];
}

bool import_format_parse(const char *name, import_format *out)
{
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        if (!strcmp(name, names[i])) {
            *out = (import_format)i;
            return true;
        }
    return false;
}

status import_no_memory(importer *im)
{
    return fail(im->err, E_NOMEM, "%s: no memory for the import", im->name);
}

status import_note(importer *im, int line, size_t dropped, const char *format, ...)
{
    import_result *r = im->out;
    error text;
    va_list args;
    va_start(args, format);
    (void)fail_v(&text, E_FORMAT, format, args);
    va_end(args);
    r->n_dropped += dropped;
    size_t kept = r->n_problems < IMPORT_PROBLEMS_MAX ? r->n_problems : IMPORT_PROBLEMS_MAX;
    for (size_t i = 0; i < kept; i++)
        if (!strcmp(r->problems[i].text, text.text)) {
            r->problems[i].times++;
            return OK;
        }
    if (r->n_problems < IMPORT_PROBLEMS_MAX) {
        char *copy = mem_strdup(text.text);
        if (!copy)
            return import_no_memory(im);
        r->problems[r->n_problems] = (import_problem){ line, copy, 1 };
    }
    r->n_problems++;
    return OK;
}

/* ---- JSON lines ---- */

static status one_line(importer *im, const char *p, size_t n, int line, import_visit *visit, void *at)
{
    js *object = NULL;
    error why;
    if (span_trim((span){ p, n }).n == 0)
        return OK;
    im->out->n_read++;
    if (n > IMPORT_LINE_BYTES_MAX)
        return import_note(im, line, 1, "the line is longer than %d bytes", IMPORT_LINE_BYTES_MAX);
    status s = js_parse(&object, p, n, im->name, line, &why);
    if (s == E_NOMEM)
        return import_no_memory(im);
    if (s)
        return import_note(im, line, 1, "%s", why.text);
    s = js_is(object, JS_OBJECT) ? visit(im, at, object, line)
                                 : import_note(im, line, 1, "a line must be an object; this is %s",
                                               js_type_name(js_typeof(object)));
    js_free(object);
    return s;
}

status import_lines(importer *im, const char *text, size_t n, import_visit *visit, void *at)
{
    const char *end = text + n;
    status s = OK;
    int line = 1;
    for (const char *p = text; p < end && !s; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        s = one_line(im, p, (size_t)((stop ? stop : end) - p), line, visit, at);
        p = stop ? stop + 1 : end;
    }
    return s;
}

/* ---- which format ---- */

static bool has(const js *o, const char *key)
{
    return js_get(o, key) != NULL;
}

static import_format guess_line(const js *o)
{
    if (has(o, "doc") && (has(o, "arguments") || has(o, "resps")))
        return IMPORT_LM_EVAL;
    if (has(o, "input") && has(o, "ideal"))
        return IMPORT_OPENAI_EVALS;
    if (has(o, "messages") || has(o, "request") || (has(o, "prompt") && (has(o, "completion") || has(o, "response"))) ||
        has(o, "body"))
        return IMPORT_OPENAI_LOG;
    return IMPORT_GUESS;
}

static bool is_csv(const char *name)
{
    return str_ends(name, ".csv") || str_ends(name, ".CSV");
}

static status guess(importer *im, const char *text, size_t n, import_format *out)
{
    import_format f = im->o->format;
    if (f == IMPORT_GUESS && (is_csv(im->name) || str_ends(im->name, ".yaml") || str_ends(im->name, ".yml")))
        f = IMPORT_PROMPTFOO;
    const char *p = text, *end = text + n;
    while (p < end && memchr(" \t\r\n", *p, 4))
        p++;
    const char *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    size_t length = (size_t)((stop ? stop : end) - p);
    js *first = NULL;
    status s = f == IMPORT_GUESS && length && length <= IMPORT_LINE_BYTES_MAX
                   ? js_parse(&first, p, length, im->name, 1, NULL) : OK;
    if (s == E_NOMEM)
        return import_no_memory(im);
    f = first ? guess_line(first) : f;
    js_free(first);
    if (f == IMPORT_GUESS)
        return fail(im->err, E_FORMAT, "%s: what kind of file it is cannot be told; say --from promptfoo, "
                    "openai-evals, lm-eval or openai-log", im->name);
    *out = f;
    return OK;
}

static status read_as(importer *im, const char *text, size_t n)
{
    switch (im->out->format) {
    case IMPORT_OPENAI_EVALS: return import_openai_evals(im, text, n);
    case IMPORT_LM_EVAL: return import_lm_eval(im, text, n);
    case IMPORT_OPENAI_LOG: return import_openai_log(im, text, n);
    default: return is_csv(im->name) ? import_promptfoo_csv(im, text, n) : import_promptfoo(im, text, n);
    }
}

status import_read(import_result **out, const char *text, size_t n, const char *name, const import_options *o,
                   error *err)
{
    import_result *r = mem_zero(sizeof *r);
    importer im = { o, name, r, err };
    if (!r)
        return fail(err, E_NOMEM, "%s: no memory for the import", name);
    if (n > IMPORT_BYTES_MAX) {
        mem_free(r);
        return fail(err, E_RANGE, "%s: larger than %d bytes", name, IMPORT_BYTES_MAX);
    }
    status s = guess(&im, text, n, &r->format);
    if (!s)
        s = read_as(&im, text, n);
    if (!s && r->n_tasks == 0 && r->n_problems == 0)
        s = fail(err, E_FORMAT, "%s: there is nothing in it to import", name);
    if (s)
        import_close(&r);
    else
        *out = r;
    return s;
}

void import_close(import_result **at)
{
    import_result *r = *at;
    for (size_t i = 0; r && i < r->n_tasks; i++) {
        mem_free(r->tasks[i].id);
        buf_clear(&r->tasks[i].yaml);
        buf_clear(&r->tasks[i].cases);
    }
    for (size_t i = 0; r && i < r->n_problems && i < IMPORT_PROBLEMS_MAX; i++)
        mem_free(r->problems[i].text);
    mem_free(r);
    *at = NULL;
}
