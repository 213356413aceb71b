#include "cli/fit_rows.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/fit_loss.h"
#include "store/store.h"

enum { ROWS_MAX = 1 << 16 };

const char *const fit_default_types[] = { "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K", NULL };

static const char *const classes[] = { "good", "lossy", "slow", "does-not-fit" };

const char *fit_class_name(fit_class c)
{
    return classes[c];
}

/* ---- one row ---- */

const catalogue_model *fit_entry_of(const catalogue *c, const char *file_name)
{
    const catalogue_model *best = NULL;
    for (size_t i = 0; i < catalogue_n(c); i++) {
        const catalogue_model *m = catalogue_at(c, i);
        size_t n = strlen(m->name);
        if (strncasecmp(file_name, m->name, n) == 0 && !isalnum((unsigned char)file_name[n]) &&
            (!best || n > strlen(best->name)))
            best = m;
    }
    return best;
}

static bool loses_much(const fit_row *r)
{
    return r->has_loss && r->loss.loss > FIT_LOSS_MOST;
}

static fit_class class_of(const fit_row *r)
{
    uint32_t least = r->context_train < FIT_CONTEXT_LEAST ? r->context_train : FIT_CONTEXT_LEAST;
    if (r->largest < least)
        return FIT_NOT;
    if (!r->is_encoder && r->decode_per_s < FIT_READABLE_PER_S)
        return FIT_SLOW;
    return loses_much(r) ? FIT_LOSSY : FIT_GOOD;
}

static void describe(fit_row *r, const fit_subject *s, const fit_model *f, const catalogue *c)
{
    const catalogue_model *m = s->entry, *like = m ? m : fit_entry_of(c, s->name);
    snprintf(r->name, sizeof r->name, "%s", s->name);
    snprintf(r->type, sizeof r->type, "%s", f->file_type);
    const char *kind = f->work.spec.is_encoder ? "embedding" : "";
    snprintf(r->kind, sizeof r->kind, "%s", like ? catalogue_kind_name(like->kind) : kind);
    snprintf(r->licence, sizeof r->licence, "%s", m ? m->licence : "");
    snprintf(r->released, sizeof r->released, "%s", like && like->released ? like->released : "");
    r->present = s->present;
    r->entry = m;
    r->unproved = m && m->unproved[CATALOGUE_SHAPE];
    r->params = f->n_params;
    r->file_bytes = f->file_bytes;
    r->need_bytes = f->need_bytes;
    r->have_bytes = f->have_bytes;
    r->context = f->context;
    r->context_train = f->context_train;
    r->fits = f->fits;
    r->decode_per_s = f->decode_per_s;
    r->prefill_per_s = f->prefill_per_s;
    r->is_encoder = f->work.spec.is_encoder;
}

status fit_row_fill(fit_row *out, const fit_subject *s, const fit_rows_options *o, error *err)
{
    fit_row r = { .path = NULL };
    fit_model *f = mem_zero(sizeof *f);
    status st = f ? fit_subject_judge(s, o->engine, o->machine, f, err)
                  : fail(err, E_NOMEM, "no memory to judge %s", s->name);
    if (!st) {
        describe(&r, s, f, o->catalogue);
        r.has_loss = fit_loss_find(o->catalogue, r.type, s->entry, r.params, &r.loss);
        st = fit_subject_largest(s, o->engine, o->machine, &r.largest, err);
    }
    mem_free(f);
    if (!st && s->path && !(r.path = mem_strdup(s->path)))
        st = fail(err, E_NOMEM, "no memory for a path");
    if (st)
        return st;
    r.class = class_of(&r);
    *out = r;
    return OK;
}

/* ---- all rows ---- */

static status add(fit_rows *t, const fit_subject *s, const fit_rows_options *o, error *err)
{
    if (t->n == t->room) {
        size_t more = t->room ? 2 * t->room : 64;
        void *p = more <= ROWS_MAX ? mem_resize(t->rows, more * sizeof *t->rows) : NULL;
        if (!p)
            return fail(err, E_NOMEM, "no memory for a table of %zu rows", more);
        t->rows = p;
        t->room = more;
    }
    status st = fit_row_fill(&t->rows[t->n], s, o, err);
    if (!st)
        t->rows[t->n++].model = t->n_models;
    return st;
}

/* One that cannot be read, or that hearth cannot run, hides no other. */
static status passed_over(status s, const error *why, error *err)
{
    if (!s)
        return OK;
    if (s == E_NOMEM || s == E_CANCELLED)
        return fail(err, s, "%s", why->text);
    fprintf(stderr, "hearth fit: %s\n", why->text);
    return OK;
}

static status collect_present(fit_rows *t, const fit_rows_options *o, error *err)
{
    store_model *files = NULL;
    size_t n = 0;
    status st = store_list_places(&files, &n, NULL, NULL, err);
    for (size_t i = 0; !st && i < n; i++) {
        fit_subject s = { 0 };
        error why = { 0 };
        if (files[i].unusable)
            continue;
        status one = fit_subject_file(&s, files[i].path, &why);
        snprintf(s.name, sizeof s.name, "%s", files[i].name); /* blobs of other programs' stores have none */
        if (!one)
            one = add(t, &s, o, &why);
        t->n_models += !one;
        fit_subject_close(&s);
        st = passed_over(one, &why, err);
    }
    store_free(files, n);
    return st;
}

static status collect_entry(fit_rows *t, const catalogue_model *m, const fit_rows_options *o, error *err)
{
    status st = OK;
    bool found = false;
    for (const char *const *type = o->types; !st && !found && *type; type++) {
        fit_subject s = { 0 };
        error why = { 0 };
        status one = fit_subject_entry(&s, m, *type, &why);
        if (!one)
            one = add(t, &s, o, &why);
        fit_subject_close(&s);
        st = passed_over(one, &why, err);
        found = o->best_only && !one && t->rows[t->n - 1].class == FIT_GOOD;
    }
    t->n_models++;
    return st;
}

static bool wanted(const catalogue_model *m, const fit_rows_options *o)
{
    return (!o->kind || strcmp(catalogue_kind_name(m->kind), o->kind) == 0) &&
           (!o->licence || strcasecmp(m->licence, o->licence) == 0);
}

status fit_rows_collect(fit_rows *out, const fit_rows_options *o, error *err)
{
    fit_rows t = { 0 };
    status st = o->kind || o->licence ? OK : collect_present(&t, o, err);
    for (size_t i = 0; !st && i < catalogue_n(o->catalogue); i++)
        if (wanted(catalogue_at(o->catalogue, i), o))
            st = collect_entry(&t, catalogue_at(o->catalogue, i), o, err);
    if (st)
        fit_rows_close(&t);
    else
        *out = t;
    return st;
}

void fit_rows_close(fit_rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        mem_free(r->rows[i].path);
    mem_free(r->rows);
    *r = (fit_rows){ 0 };
}

/* ---- the order ---- */

/* What talks, what continues texts, what makes vectors. */
static int kind_rank(const fit_row *r)
{
    return r->is_encoder || strcmp(r->kind, "embedding") == 0 || strcmp(r->kind, "rerank") == 0 ? 2
           : strcmp(r->kind, "base") == 0                                                        ? 1
                                                                                                 : 0;
}

/* Half octaves: 5.1 to 7.2 billion parameters are of one class, 7.2 to 10.2 of the next. */
static int size_class(const fit_row *r)
{
    return (int)lround(2 * log2(r->params ? (double)r->params : 1));
}

static int first_more(double a, double b)
{
    return (a < b) - (a > b);
}

static int by_rank(const fit_row *a, const fit_row *b)
{
    int c = (a->class > b->class) - (a->class < b->class);
    if (!c)
        c = kind_rank(a) - kind_rank(b);
    if (!c && a->class == FIT_SLOW)
        c = loses_much(a) - loses_much(b);
    if (!c && a->class == FIT_SLOW)
        c = first_more(a->decode_per_s, b->decode_per_s);
    if (!c && a->class == FIT_NOT)
        c = first_more((double)a->have_bytes - (double)a->need_bytes, (double)b->have_bytes - (double)b->need_bytes);
    if (!c)
        c = size_class(b) - size_class(a);
    if (!c)
        c = strcmp(b->released, a->released);
    if (!c)
        c = first_more((double)a->params, (double)b->params);
    if (!c)
        c = first_more((double)a->file_bytes, (double)b->file_bytes);
    if (!c)
        c = b->present - a->present;
    if (!c)
        c = strcmp(a->name, b->name);
    return c ? c : strcmp(a->type, b->type);
}

static int compare(const void *a, const void *b)
{
    return by_rank(a, b);
}

/* The class comes first: a measured model that does not fit is no answer. */
static int compare_measured(const void *left, const void *right)
{
    const fit_row *a = left, *b = right;
    int c = (a->class > b->class) - (a->class < b->class);
    if (!c)
        c = (b->quality.n > 0) - (a->quality.n > 0);
    if (!c && a->quality.n)
        c = first_more(a->quality.pass, b->quality.pass);
    return c ? c : by_rank(a, b);
}

void fit_rows_sort(fit_rows *r, bool by_quality)
{
    bool *seen = mem_array(r->n_models + 1, sizeof *seen); /* without memory every row is its model's best */
    qsort(r->rows, r->n, sizeof *r->rows, by_quality ? compare_measured : compare);
    for (size_t i = 0; i < r->n; i++) {
        r->rows[i].best = !seen || !seen[r->rows[i].model];
        if (seen)
            seen[r->rows[i].model] = true;
    }
    mem_free(seen);
}

status fit_best_type(const catalogue_model *m, const fit_rows_options *o, char type[16], error *err)
{
    fit_rows t = { 0 };
    fit_rows_options best = *o;
    best.best_only = true;
    status st = collect_entry(&t, m, &best, err);
    if (!st && !t.n)
        st = fail(err, E_UNSUPPORTED, "%s: none of its types of weights can be judged", m->name);
    if (!st) {
        fit_rows_sort(&t, false);
        snprintf(type, 16, "%s", t.rows[0].type);
    }
    fit_rows_close(&t);
    return st;
}

/* ---- data ---- */

static js *quality_js(const fit_quality *q)
{
    if (!q->n)
        return js_null();
    js *o = js_object();
    js_set(o, "n", js_new_int(q->n));
    js_set(o, "pass", js_new_int(q->n_pass));
    js_set(o, "rate", js_new_double(q->pass));
    js_set(o, "rate_lower", js_new_double(q->lower));
    js_set(o, "rate_upper", js_new_double(q->upper));
    return o;
}

static js *text_or_null(const char *text)
{
    return text && *text ? js_new_string(text) : js_null();
}

static js *unproved_js(const catalogue_model *m)
{
    js *list = js_array();
    for (int f = 0; m && f < CATALOGUE_FACTS; f++)
        if (m->unproved[f])
            js_push(list, js_new_string(catalogue_fact_name((catalogue_fact)f)));
    return list;
}

js *fit_row_js(const fit_row *r)
{
    js *o = js_object();
    js_set(o, "model", js_new_string(r->name));
    js_set(o, "type", js_new_string(r->type));
    js_set(o, "kind", text_or_null(r->kind));
    js_set(o, "licence", text_or_null(r->licence));
    js_set(o, "released", text_or_null(r->released));
    js_set(o, "present", js_new_bool(r->present));
    js_set(o, "path", text_or_null(r->path));
    js_set(o, "best", js_new_bool(r->best));
    js_set(o, "class", js_new_string(fit_class_name(r->class)));
    js_set(o, "params", js_new_int((int64_t)r->params));
    js_set(o, "file_bytes", js_new_int((int64_t)r->file_bytes));
    js_set(o, "need_bytes", js_new_int((int64_t)r->need_bytes));
    js_set(o, "have_bytes", js_new_int((int64_t)r->have_bytes));
    js_set(o, "context", js_new_int(r->context));
    js_set(o, "context_train", js_new_int(r->context_train));
    js_set(o, "largest_context", js_new_int(r->largest));
    js_set(o, "fits", js_new_bool(r->fits));
    js_set(o, "decode_per_s", js_new_double(r->decode_per_s));
    js_set(o, "prefill_per_s", js_new_double(r->prefill_per_s));
    js_set(o, "loss", r->has_loss ? fit_loss_js(&r->loss) : js_null());
    js_set(o, "quality", quality_js(&r->quality));
    js_set(o, "unproved", unproved_js(r->entry));
    js_set(o, "source", text_or_null(r->entry ? r->entry->source : NULL));
    js_set(o, "files", text_or_null(r->entry ? r->entry->files : NULL));
    return o;
}
