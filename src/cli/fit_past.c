#include "cli/fit_past.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "engine/engine.h"
#include "fit/fit.h"
#include "hearth.h"
#include "ledger/ledger.h"

static const char *const kinds[PAST_KINDS] = { "decode", "prefill", "memory" };

/* Which facts a kind of prediction is judged by. Prompts of tasks are short and begin alike, so their prefill rate is
 * no measure of the one that is predicted; and they do not fill the context that memory is planned for, so a peak below
 * the plan is no error there. Of both only bench's count. */
static const struct {
    const char *name; /* a fact's name, or its beginning when it ends with '_' */
    int kind;
} judged[] = {
    { "bench_decode_tokens_per_s_at_", PAST_DECODE },
    { "bench_decode_tokens_per_s_of_", PAST_DECODE },
    { "decode_tokens_per_s", PAST_DECODE },
    { "bench_prefill_tokens_per_s_at_", PAST_PREFILL },
    { "bench_peak_bytes", PAST_MEMORY },
};

static int kind_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(judged); i++)
        if (str_ends(judged[i].name, "_") ? str_starts(name, judged[i].name) : strcmp(name, judged[i].name) == 0)
            return judged[i].kind;
    return PAST_KINDS;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts. */
static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

/* Processors that others may keep at work while a speed is measured that counts. */
#define CALM_MOST FIT_BUSY

static bool is_of_now(const ledger_prediction *r)
{
    return strcmp(r->version, HEARTH_VERSION) == 0 && strcmp(r->numerics, engine_numerics()) == 0;
}

/* The plan is a promise also where it is no estimate. */
static void count_peaks(const ledger_predictions *p, fit_past *out)
{
    for (size_t i = 0; i < p->n; i++) {
        const ledger_prediction *r = &p->rows[i];
        if (!str_ends(r->name, "peak_bytes") || !is_of_now(r))
            continue;
        out->n_peaks++;
        out->n_over += r->measured > r->predicted;
    }
}

static void sum_up(const ledger_predictions *p, int kind, double *errors, fit_past *out)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        const ledger_prediction *r = &p->rows[i];
        if (kind_of(r->name) != kind || !(r->predicted > 0) || !(r->measured > 0))
            continue;
        if (!is_of_now(r))
            out->n_other++;
        else if (kind != PAST_MEMORY && r->others > CALM_MOST)
            out->n_busy++;
        else
            errors[n++] = r->predicted / r->measured - 1;
    }
    if (!n)
        return;
    fit_error *e = &out->of[kind];
    e->n = (unsigned)n;
    e->bias = median(errors, n);
    for (size_t i = 0; i < n; i++)
        errors[i] = fabs(errors[i]);
    e->median = median(errors, n);
    e->worst = errors[n - 1];
}

status fit_past_read(fit_past *out, error *err)
{
    char machine[DIGEST_HEX];
    ledger *l = NULL;
    ledger_predictions p = { 0 };
    memset(out, 0, sizeof *out);
    error none = { 0 };
    status s = ledger_open(&l, NULL, LEDGER_READ, &none);
    if (s)
        return s == E_NOTFOUND ? OK : fail(err, s, "%s", none.text);
    ledger_machine_id(ledger_this_machine(), machine);
    s = ledger_find_predictions(l, machine, &p, err);
    double *errors = s ? NULL : mem_array(p.n + 1, sizeof *errors);
    if (!s && !errors)
        s = fail(err, E_NOMEM, "no memory for %zu predictions", p.n);
    for (int kind = 0; !s && kind < PAST_KINDS; kind++)
        sum_up(&p, kind, errors, out);
    if (!s)
        count_peaks(&p, out);
    mem_free(errors);
    ledger_predictions_close(&p);
    ledger_close(&l);
    return s;
}

char *fit_past_text(const fit_past *p, char *text, size_t bytes)
{
    buf b = BUF_INIT(1024);
    for (int i = 0; i < PAST_KINDS; i++)
        if (p->of[i].n)
            buf_printf(&b, "%s%s %.1f %% (n %u)", b.len ? ", " : "", kinds[i], 100 * p->of[i].median, p->of[i].n);
    if (p->n_peaks)
        buf_printf(&b, "%s%u of %u peaks over plan", b.len ? ", " : "", p->n_over, p->n_peaks);
    if (p->n_busy)
        buf_printf(&b, "%s%u measured on a busy machine left out", b.len ? "; " : "", p->n_busy);
    if (!b.len)
        buf_str(&b, "not known yet: nothing was measured (hearth bench MODEL)");
    if (p->n_other)
        buf_printf(&b, "; %u of other versions left out", p->n_other);
    snprintf(text, bytes, "%s", buf_text(&b));
    buf_clear(&b);
    return text;
}

js *fit_past_js(const fit_past *p)
{
    js *o = js_object();
    for (int i = 0; i < PAST_KINDS; i++) {
        const fit_error *e = &p->of[i];
        js *one = js_object();
        js_set(one, "n", js_new_int(e->n));
        js_set(one, "median", e->n ? js_new_double(e->median) : js_null());
        js_set(one, "worst", e->n ? js_new_double(e->worst) : js_null());
        js_set(one, "bias", e->n ? js_new_double(e->bias) : js_null());
        js_set(o, kinds[i], one);
    }
    js_set(o, "peaks", js_new_int(p->n_peaks));
    js_set(o, "peaks_over_plan", js_new_int(p->n_over));
    js_set(o, "busy", js_new_int(p->n_busy));
    js_set(o, "other_versions", js_new_int(p->n_other));
    return o;
}
