/* import_draft.c: a task in the making: cases come in, duplicates go, near-duplicates become clusters, and both files
 * are written and read back. */
#include <stdio.h>
#include <string.h>

#include "task/import_int.h"
#include "task/lint_int.h"
#include "task/write.h"

enum { LABELS_GUESSED_MAX = 20, LABEL_BYTES_MAX = 60, CASES_PER_LABEL = 4 };

void draft_clear(draft *d)
{
    for (size_t i = 0; i < d->n; i++) {
        js_free(d->cases[i].input);
        js_free(d->cases[i].expected);
        js_free(d->cases[i].tags);
    }
    mem_free(d->cases);
    js_free(d->head);
    *d = (draft){ 0 };
}

status draft_set(importer *im, draft *d, const char *key, js *value)
{
    if (!d->head)
        d->head = js_object();
    if (!d->head) {
        js_free(value);
        return import_no_memory(im);
    }
    return js_set(d->head, key, value) ? OK : import_no_memory(im);
}

/* White space, which canonical JSON writes as a blank or as \n, \t, \r, is one blank, none at the ends of a text. */
static void squeeze(buf *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool escape = p[i] == '\\' && i + 1 < n;
        bool space = p[i] == ' ' || (escape && strchr("ntr", p[i + 1]));
        char last = out->len ? out->data[out->len - 1] : '"';
        if (space && last != ' ' && last != '"')
            buf_char(out, ' ');
        if (!space && p[i] == '"' && last == ' ')
            out->data[out->len - 1] = '"';
        else if (!space)
            buf_add(out, p + i, escape ? 2 : 1);
        i += escape;
    }
}

/* bytes: of input and expected as text. */
static status key_of(importer *im, const js *input, const js *expected, char key[DIGEST_HEX], size_t *bytes)
{
    buf text = BUF_INIT(8 * IMPORT_LINE_BYTES_MAX), squeezed = BUF_INIT(8 * IMPORT_LINE_BYTES_MAX);
    js_write(input, JS_CANONICAL, &text);
    squeeze(&squeezed, buf_text(&text), text.len);
    status s = text.failed || squeezed.failed ? import_no_memory(im) : OK;
    if (!s)
        digest_of(squeezed.data, squeezed.len, key);
    js_write(expected, JS_CANONICAL, &text);
    *bytes = text.len;
    s = !s && text.failed ? import_no_memory(im) : s;
    buf_clear(&text);
    buf_clear(&squeezed);
    return s;
}

static status grow(importer *im, draft *d)
{
    if (d->n < d->size)
        return OK;
    size_t size = d->size ? 2 * d->size : 64;
    draft_case *more = mem_resize(d->cases, size * sizeof *more);
    if (!more)
        return import_no_memory(im);
    d->cases = more;
    d->size = size;
    return OK;
}

status draft_add(importer *im, draft *d, js *input, js *expected, js *tags, int line)
{
    draft_case c = { .input = input, .expected = expected, .tags = tags, .line = line };
    char where[256];
    size_t bytes = 0;
    status s = input ? grow(im, d) : import_no_memory(im);
    if (!s)
        s = key_of(im, input, expected, c.key, &bytes);
    bool left = true;
    if (!s && bytes > TASK_LINE_BYTES_MAX / 2)
        s = import_note(im, line, 1, "the case has %zu bytes; the limit is %d", bytes, TASK_LINE_BYTES_MAX / 2);
    else if (!s && d->n == TASK_CASES_MAX)
        s = import_note(im, line, 1, "more than %d cases", TASK_CASES_MAX);
    else if (!s && media_find(input, "input", where, sizeof where))
        s = import_note(im, line, 1, "%s is an image or a file; tasks are text only", where);
    else
        left = s != OK;
    if (left) {
        js_free(input);
        js_free(expected);
        js_free(tags);
    } else {
        d->cases[d->n++] = c;
    }
    return s;
}

/* ---- graders by what is expected ---- */

/* The different answers in order of appearance; NULL: too many, too long, too few cases for each. */
static js *guess_labels(const draft *d)
{
    js *labels = js_array();
    bool ok = labels != NULL;
    for (size_t i = 0; i < d->n && ok; i++) {
        const js *v = d->cases[i].expected;
        bool known = false;
        ok = js_is(v, JS_STRING) && js_len(v) && js_len(v) <= LABEL_BYTES_MAX && strlen(js_text(v)) == js_len(v) &&
             !strchr(js_text(v), '\n');
        for (size_t k = 0; ok && k < js_len(labels) && !known; k++)
            known = js_equal(js_at(labels, k), v);
        if (ok && !known)
            ok = js_len(labels) < LABELS_GUESSED_MAX && js_push(labels, js_copy(v));
    }
    if (!ok || js_len(labels) < 2 || d->n < CASES_PER_LABEL * js_len(labels)) {
        js_free(labels);
        return NULL;
    }
    return labels;
}

static js *one_grader(const char *type)
{
    js *list = js_array(), *g = js_object();
    bool ok = g && js_set(g, "type", js_new_string(type));
    if (list && ok && js_push(list, g))
        return list;
    if (!list || !ok)
        js_free(g);
    js_free(list);
    return NULL;
}

status draft_grade(importer *im, draft *d, const js *labels)
{
    js *known = labels ? js_copy(labels) : guess_labels(d), *output = known ? js_object() : NULL;
    status s = OK;
    if (labels && !known)
        s = import_no_memory(im);
    if (!s && known && (!output || !js_set(output, "kind", js_new_string("label"))))
        s = import_no_memory(im);
    if (!s && known) {
        s = js_set(output, "labels", known) ? OK : import_no_memory(im);
        known = NULL;
    }
    bool is_label = output != NULL;
    if (!s && is_label) {
        s = draft_set(im, d, "output", output);
        output = NULL;
    }
    js_free(known);
    js_free(output);
    return s ? s : draft_set(im, d, "graders", one_grader(is_label ? "label" : "exact"));
}

/* ---- duplicates ---- */

static uint64_t short_key(const char *hex)
{
    uint64_t v = 0;
    for (int i = 0; i < 16; i++)
        v = v << 4 | (uint64_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
    return v;
}

/* The first of the same cases stays; another answer to the same input is a problem. */
static status drop_same(importer *im, draft *d)
{
    size_t size = 64;
    status s = OK;
    while (size < 2 * d->n)
        size *= 2;
    uint32_t *places = mem_array(size, sizeof *places); /* index + 1 */
    if (!places)
        return import_no_memory(im);
    for (size_t i = 0; i < d->n && !s; i++) {
        draft_case *c = &d->cases[i];
        size_t at = short_key(c->key) & (size - 1);
        while (places[at] && strcmp(d->cases[places[at] - 1].key, c->key))
            at = (at + 1) & (size - 1);
        if (!places[at]) {
            places[at] = (uint32_t)i + 1;
            continue;
        }
        draft_case *first = &d->cases[places[at] - 1];
        c->same = true;
        im->out->n_duplicates++;
        if (!first->expected && c->expected) {
            first->expected = c->expected;
            c->expected = NULL;
        } else if (c->expected && !js_equal(first->expected, c->expected) && !d->unreviewed) {
            s = import_note(im, c->line, 0, "the same input as in line %d, but another answer is expected",
                            first->line);
        }
    }
    mem_free(places);
    return s;
}

/* ---- near-duplicates: sets that are near an earlier one join its cluster ---- */

typedef struct clusters {
    size_t n;
    size_t *at;     /* of set i: index of its case */
    size_t *parent; /* union-find over sets; the root is the earliest */
} clusters;

static size_t root_of(clusters *c, size_t i)
{
    while (c->parent[i] != i)
        i = c->parent[i] = c->parent[c->parent[i]];
    return i;
}

static bool joined(void *at, size_t a, size_t b)
{
    return root_of(at, a) == root_of(at, b);
}

static status join(void *at, size_t a, size_t b, double similarity)
{
    clusters *c = at;
    size_t x = root_of(c, a), y = root_of(c, b);
    (void)similarity;
    c->parent[x > y ? x : y] = x > y ? y : x;
    return OK;
}

static status grams_of_case(importer *im, const draft_case *c, gram_set *out)
{
    buf text = BUF_INIT(8 * IMPORT_LINE_BYTES_MAX);
    task_all_text(c->input, &text);
    status s = text.failed ? import_no_memory(im) : grams_of(out, buf_text(&text), text.len, im->err);
    buf_clear(&text);
    return s;
}

static status cluster(importer *im, draft *d)
{
    clusters c = { 0, mem_array(d->n + 1, sizeof(size_t)), mem_array(d->n + 1, sizeof(size_t)) };
    gram_set *sets = mem_array(d->n + 1, sizeof *sets);
    status s = c.at && c.parent && sets ? OK : import_no_memory(im);
    error why;
    for (size_t i = 0; i < d->n && !s; i++) {
        d->cases[i].cluster = i;
        if (d->cases[i].same)
            continue;
        c.at[c.n] = i;
        c.parent[c.n] = c.n;
        s = grams_of_case(im, &d->cases[i], &sets[c.n]);
        c.n++;
    }
    if (!s && (s = grams_pairs(sets, c.n, joined, join, &c, &why)) != OK)
        s = s == E_NOMEM ? import_no_memory(im) : import_note(im, 0, 0, "%s", why.text);
    for (size_t i = 0; i < c.n && !s; i++)
        d->cases[c.at[i]].cluster = c.at[root_of(&c, i)];
    for (size_t i = 0; sets && i < c.n; i++)
        mem_free(sets[i].grams);
    mem_free(sets);
    mem_free(c.at);
    mem_free(c.parent);
    return s;
}

/* ---- writing ---- */

static void write_messages(buf *out, const js *messages)
{
    buf_str(out, "messages:\n");
    for (size_t i = 0; i < js_len(messages); i++) {
        const js *m = js_at(messages, i);
        buf_printf(out, "  - role: %s\n    content: ", js_text(js_get(m, "role")));
        write_yaml_text(out, js_text(js_get(m, "content")), 6);
    }
}

static void write_head(buf *out, const importer *im, const draft *d, const char *id)
{
    const char *slash = strrchr(im->name, '/');
    js *from = js_new_string(slash ? slash + 1 : im->name);
    buf_str(out, "# Imported from ");
    write_yaml_flow(out, from);
    buf_printf(out, " (%s). Look at the graders, and set bar and margin before the first run.\n",
               import_format_name(im->out->format));
    buf_printf(out, "hearth: 1\nid: %s\nprivacy: %s\n", id, privacy_class_name(im->o->privacy));
    js_free(from);
    for (js_member m = { 0 }; js_next(d->head, &m);) {
        if (!strcmp(m.key, "messages")) {
            write_messages(out, m.value);
            continue;
        }
        bool rows = !strcmp(m.key, "graders");
        buf_printf(out, rows ? "%s:\n" : "%s: ", m.key);
        for (size_t i = 0; rows && i < js_len(m.value); i++) {
            buf_str(out, "  - ");
            write_yaml_flow(out, js_at(m.value, i));
            buf_char(out, '\n');
        }
        if (!strcmp(m.key, "prompt")) {
            write_yaml_text(out, js_text(m.value), 2);
        } else if (!rows) {
            write_yaml_flow(out, m.value);
            buf_char(out, '\n');
        }
    }
    buf_str(out, "bar: 0.8      # least lower bound of the share of good answers for local\n"
                 "margin: 0.1   # or: at most this much worse than the cloud\n");
}

static void write_case(buf *out, const draft *d, const draft_case *c, bool in_cluster)
{
    buf_str(out, "{\"input\": ");
    js_write(c->input, JS_COMPACT, out);
    if (c->expected) {
        buf_str(out, ", \"expected\": ");
        js_write(c->expected, JS_COMPACT, out);
    }
    if (in_cluster)
        buf_printf(out, ", \"cluster\": \"near-%.12s\"", d->cases[c->cluster].key);
    if (c->tags) {
        buf_str(out, ", \"tags\": ");
        js_write(c->tags, JS_COMPACT, out);
    }
    buf_str(out, "}\n");
}

static status write_cases(importer *im, const draft *d, import_task *t)
{
    size_t *members = mem_array(d->n + 1, sizeof *members);
    if (!members)
        return import_no_memory(im);
    for (size_t i = 0; i < d->n; i++)
        members[d->cases[i].cluster] += !d->cases[i].same;
    for (size_t i = 0; i < d->n; i++) {
        const draft_case *c = &d->cases[i];
        bool in_cluster = members[c->cluster] > 1;
        if (c->same)
            continue;
        write_case(&t->cases, d, c, in_cluster);
        t->n_cases++;
        t->n_expected += c->expected != NULL;
        t->n_clustered += in_cluster;
        t->n_clusters += in_cluster && c->cluster == i;
    }
    mem_free(members);
    return OK;
}

/* Both files must be a task: what a stranger's text could still break is found here, before anything is written. */
static status read_back(importer *im, import_task *t)
{
    task *made = NULL;
    error why;
    status s = t->yaml.failed || t->cases.failed ? import_no_memory(im) : OK;
    if (s)
        return s;
    s = task_parse(&made, buf_text(&t->yaml), t->yaml.len, t->id, &why);
    if (!s)
        s = task_parse_cases(made, buf_text(&t->cases), t->cases.len, &why);
    task_close(&made);
    return s ? fail(im->err, s, "%s: what was made of it cannot be read: %s", im->name, why.text) : OK;
}

status draft_finish(importer *im, draft *d)
{
    import_result *r = im->out;
    char id[65 + 24];
    if (d->n == 0)
        return OK;
    if (r->n_tasks == IMPORT_TASKS_MAX)
        return fail(im->err, E_RANGE, "%s: it would become more than %d tasks", im->name, IMPORT_TASKS_MAX);
    status s = drop_same(im, d);
    if (!s)
        s = cluster(im, d);
    if (s)
        return s;
    if (r->n_tasks)
        snprintf(id, sizeof id, "%.58s-%zu", im->o->id, r->n_tasks + 1);
    else
        snprintf(id, sizeof id, "%.64s", im->o->id);
    import_task *t = &r->tasks[r->n_tasks++];
    *t = (import_task){ .id = mem_strdup(id), .yaml = BUF_INIT(2 * YAML_BYTES_MAX),
                        .cases = BUF_INIT(TASK_CASES_BYTES_MAX) };
    if (!t->id)
        return import_no_memory(im);
    write_head(&t->yaml, im, d, id);
    s = write_cases(im, d, t);
    return s ? s : read_back(im, t);
}
