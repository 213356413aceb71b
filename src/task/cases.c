/* cases.c: cases.jsonl, a line at a time. Errors are "cases.jsonl:LINE: …". */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "task/task_int.h"

typedef struct case_reader {
    task *t;
    const char *where; /* path of the file */
    size_t size;       /* of the arrays */
    task_case *cases;
    error *err;
} case_reader;

static status bad(case_reader *r, int line, const char *format, ...) PRINTF_LIKE(3, 4);
static status bad(case_reader *r, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    status s = fail_v(r->err, E_FORMAT, format, args);
    va_end(args);
    return fail_prefix(r->err, s, "%s:%d: ", r->where, line);
}

/* A member that is a text without control characters, copied; NULL when it is not there. */
static status read_name(case_reader *r, int line, const js *root, const char *key, size_t max, const char **out)
{
    const js *v = js_get(root, key);
    *out = NULL;
    if (!v)
        return OK;
    const char *text = js_text(v);
    size_t n = js_len(v);
    bool ok = js_is(v, JS_STRING) && n >= 1 && n <= max;
    for (size_t i = 0; ok && i < n; i++)
        ok = (unsigned char)text[i] >= 32 && text[i] != 127;
    if (!ok)
        return bad(r, line, "'%s' must be a text of 1 to %zu characters", key, max);
    *out = text;
    return OK;
}

static status read_tags(case_reader *r, const js *root, task_case *c)
{
    const js *tags = js_get(root, "tags");
    if (!tags)
        return OK;
    if (!js_is(tags, JS_ARRAY) || js_len(tags) > TASK_TAGS_MAX)
        return bad(r, c->line, "'tags' must be a list of at most %d words", TASK_TAGS_MAX);
    const char **list = arena_alloc(&r->t->memory->case_memory, (js_len(tags) + 1) * sizeof *list);
    if (!list)
        return task_no_memory(r->err);
    for (size_t i = 0; i < js_len(tags); i++) {
        list[i] = js_is(js_at(tags, i), JS_STRING) ? js_text(js_at(tags, i)) : NULL;
        if (!list[i] || !*list[i])
            return bad(r, c->line, "'tags' must be a list of words");
    }
    c->tags = list;
    c->n_tags = js_len(tags);
    return OK;
}

static status default_id(case_reader *r, task_case *c)
{
    char hex[DIGEST_HEX];
    buf canonical = BUF_INIT(2 * TASK_LINE_BYTES_MAX);
    js_write(c->input, JS_CANONICAL, &canonical);
    status s = buf_ok(&canonical, "the input", r->err);
    if (!s) {
        digest_of(canonical.data, canonical.len, hex);
        c->id = arena_strndup(&r->t->memory->case_memory, hex, 16);
        s = c->id ? OK : task_no_memory(r->err);
    }
    buf_clear(&canonical);
    return s;
}

/* Makes room for one more case and its root. */
static status grow(case_reader *r)
{
    task_memory *m = r->t->memory;
    if (m->n_roots < r->size)
        return OK;
    size_t size = r->size ? r->size * 2 : 64;
    js **roots = mem_resize(m->roots, size * sizeof *roots);
    if (roots)
        m->roots = roots;
    task_case *cases = roots ? mem_resize(r->cases, size * sizeof *cases) : NULL;
    if (!cases)
        return task_no_memory(r->err);
    r->cases = cases;
    r->size = size;
    return OK;
}

static status read_case(case_reader *r, const char *text, size_t n, int line)
{
    static const char *const keys[] = { "id", "input", "expected", "cluster", "tags" };
    task_memory *m = r->t->memory;
    js *root = NULL;
    if (m->n_roots == TASK_CASES_MAX)
        return bad(r, line, "more than %d cases", TASK_CASES_MAX);
    status s = grow(r);
    if (!s)
        s = js_parse(&root, text, n, r->where, line, r->err);
    if (s)
        return s;
    m->roots[m->n_roots] = root;
    task_case *c = &r->cases[m->n_roots++];
    *c = (task_case){ .line = line, .input = js_get(root, "input"), .expected = js_get(root, "expected") };
    if (!js_is(root, JS_OBJECT))
        return bad(r, line, "a case is an object with 'input' and 'expected'; this is %s",
                   js_type_name(js_typeof(root)));
    char where[4200];
    snprintf(where, sizeof where, "%s:%d", r->where, line);
    s = js_known_keys(root, keys, ARRAY_LEN(keys), where, r->err);
    if (s)
        return s;
    if (!js_is(c->input, JS_OBJECT) && !js_is(c->input, JS_STRING))
        return bad(r, line, "'input' %s", c->input ? "must be an object or a text" : "is missing");
    char media[256];
    if (media_find(c->input, "input", media, sizeof media))
        return bad(r, line, "%s is an image or a file; tasks are text only", media);
    s = read_name(r, line, root, "id", 128, &c->id);
    if (!s)
        s = read_name(r, line, root, "cluster", 128, &c->cluster);
    if (!s)
        s = read_tags(r, root, c);
    return !s && !c->id ? default_id(r, c) : s;
}

/* FNV-1a over the id; open addressing in a table of at least twice as many places as cases. */
static status refuse_duplicates(case_reader *r)
{
    size_t n = r->t->memory->n_roots, size = 16;
    while (size < 2 * n)
        size *= 2;
    uint32_t *places = mem_array(size, sizeof *places); /* index + 1 */
    if (!places)
        return task_no_memory(r->err);
    status s = OK;
    for (size_t i = 0; i < n && !s; i++) {
        uint64_t h = 14695981039346656037u;
        for (const char *p = r->cases[i].id; *p; p++)
            h = (h ^ (unsigned char)*p) * 1099511628211u;
        size_t at = (h ^ (h >> 32)) & (size - 1);
        while (places[at] && strcmp(r->cases[places[at] - 1].id, r->cases[i].id))
            at = (at + 1) & (size - 1);
        if (places[at])
            s = bad(r, r->cases[i].line, "the id '%s' is there already, in line %d", r->cases[i].id,
                    r->cases[places[at] - 1].line);
        places[at] = (uint32_t)i + 1;
    }
    mem_free(places);
    return s;
}

/* Lines come from a file or from memory; text is theirs until the next call. More than the ceiling: *too_long. */
typedef struct line_source {
    FILE *file;
    const char *p, *end;
    buf line;
    bool too_long;
} line_source;

static bool next_line(line_source *s, const char **text, size_t *n)
{
    if (!s->file) {
        if (s->p == s->end)
            return false;
        const char *nl = memchr(s->p, '\n', (size_t)(s->end - s->p)), *stop = nl ? nl : s->end;
        *text = s->p;
        *n = (size_t)(stop - s->p);
        s->p = nl ? nl + 1 : s->end;
        s->too_long = *n > TASK_LINE_BYTES_MAX;
        return true;
    }
    buf_reset(&s->line);
    int c = 0;
    while ((c = getc_unlocked(s->file)) != EOF && c != '\n' && !s->line.failed)
        buf_char(&s->line, (char)c);
    s->too_long = s->line.failed;
    *text = buf_text(&s->line);
    *n = s->line.len;
    return c != EOF || s->line.len > 0;
}

static status read_all(task *t, line_source *src, error *err)
{
    char where[4096];
    snprintf(where, sizeof where, "%s/cases.jsonl", t->dir);
    case_reader r = { t, where, 0, NULL, err };
    const char *text = NULL;
    size_t n = 0, total = 0;
    status s = OK;
    for (int line = 1; !s && next_line(src, &text, &n); line++) {
        total += n;
        if (src->too_long)
            s = bad(&r, line, "the line is longer than %d bytes", TASK_LINE_BYTES_MAX);
        else if (total > TASK_CASES_BYTES_MAX)
            s = bad(&r, line, "the file is larger than %d bytes", TASK_CASES_BYTES_MAX);
        else if (span_trim((span){ text, n }).n)
            s = read_case(&r, text, n, line);
    }
    if (!s && src->file && ferror(src->file))
        s = fail(err, E_IO, "%s: %s", where, strerror(errno));
    if (!s && t->memory->n_roots == 0)
        s = fail(err, E_FORMAT, "%s: there are no cases in it", where);
    if (!s)
        s = refuse_duplicates(&r);
    task_case *kept = s ? NULL : arena_alloc(&t->memory->case_memory, t->memory->n_roots * sizeof *kept);
    if (!s && !kept)
        s = task_no_memory(err);
    if (!s) {
        memcpy(kept, r.cases, t->memory->n_roots * sizeof *kept);
        split_cases(t, kept, t->memory->n_roots);
        t->cases = kept;
        t->n_cases = t->memory->n_roots;
        s = shots_prepare(t, err);
    }
    mem_free(r.cases);
    return s;
}

static status only_once(task *t, error *err)
{
    if (t->memory->cases_loaded)
        return fail(err, E_EXISTS, "%s: the cases are loaded already", t->dir);
    t->memory->cases_loaded = true;
    return OK;
}

status task_load_cases(task *t, error *err)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/cases.jsonl", t->dir);
    status s = only_once(t, err);
    if (s)
        return s;
    FILE *f = n > 0 && (size_t)n < sizeof path ? fopen(path, "rb") : NULL;
    if (!f)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
    line_source src = { .file = f, .line = BUF_INIT(TASK_LINE_BYTES_MAX) };
    s = read_all(t, &src, err);
    buf_clear(&src.line);
    fclose(f);
    return s;
}

status task_parse_cases(task *t, const char *text, size_t n, error *err)
{
    line_source src = { .p = text, .end = text + n, .line = BUF_INIT(1) };
    status s = only_once(t, err);
    return s ? s : read_all(t, &src, err);
}

const task_case *task_find_case(const task *t, const char *id)
{
    for (size_t i = 0; i < t->n_cases; i++)
        if (!strcmp(t->cases[i].id, id))
            return &t->cases[i];
    return NULL;
}

bool task_case_has_tag(const task_case *c, const char *tag)
{
    for (size_t i = 0; i < c->n_tags; i++)
        if (!strcmp(c->tags[i], tag))
            return true;
    return false;
}

void task_all_text(const js *v, buf *out)
{
    if (js_is(v, JS_STRING) || js_is(v, JS_NUMBER)) {
        buf_add(out, js_text(v), js_is(v, JS_STRING) ? js_len(v) : strlen(js_text(v)));
        buf_char(out, '\n');
    }
    for (size_t i = 0; js_is(v, JS_ARRAY) && i < js_len(v); i++)
        task_all_text(js_at(v, i), out);
    js_member m = { 0 };
    while (js_next(v, &m))
        task_all_text(m.value, out);
}
