/* choose_judge.c: what the answers so far prove of many candidates: who is dropped, who is tied, who is preferred. Pure
 * functions over a table of outcomes. All evidence is e-processes over clusters (stat.h), so that it may be looked at
 * after every round; what is shared among how many is said in choose.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ledger/tally.h"
#include "measure/choose_int.h"
#include "stat/decide.h"
#include "stat/graded.h"
#include "stat/stat.h"

const char *choose_prefer_name(choose_prefer p)
{
    static const char *const names[CHOOSE_PREFERS] = { "fast", "small", "cheap", "energy" };
    return names[p];
}

const char *choose_end_text(choose_end e)
{
    static const char *const texts[CHOOSE_ENDS] = {
        [CHOOSE_LEFT] = "left",
        [CHOOSE_NO_FIT] = "does not fit",
        [CHOOSE_UNSUITED] = "cannot be asked so",
        [CHOOSE_FAILED] = "no answers",
        [CHOOSE_BELOW_BAR] = "below the bar",
        [CHOOSE_MALFORMED] = "too malformed",
        [CHOOSE_SLOW] = "too slow",
        [CHOOSE_WORSE] = "worse",
        [CHOOSE_DEAR] = "too dear",
    };
    return texts[e];
}

/* ---- observations: one a cluster, the mean of its cases ---- */

typedef double value_fn(const choose_table *t, size_t i, size_t j, size_t place);

static signed char outcome(const choose_table *t, size_t i, size_t place)
{
    return t->outcome[i * t->n_cases + place];
}

static double is_pass(const choose_table *t, size_t i, size_t j, size_t place)
{
    (void)j;
    return outcome(t, i, place) == TALLY_OPEN ? NAN : outcome(t, i, place) == LEDGER_PASS;
}

static double is_malformed(const choose_table *t, size_t i, size_t j, size_t place)
{
    (void)j;
    return outcome(t, i, place) == TALLY_OPEN ? NAN : outcome(t, i, place) == LEDGER_MALFORMED;
}

static double is_slow(const choose_table *t, size_t i, size_t j, size_t place)
{
    (void)j;
    signed char s = t->slow[i * t->n_cases + place];
    return s < 0 ? NAN : s;
}

static double i_less_j(const choose_table *t, size_t i, size_t j, size_t place)
{
    return is_pass(t, i, i, place) - is_pass(t, j, j, place);
}

/* Cases without a value are left out. Returns how many observations are in t->scratch. */
static size_t observe(const choose_table *t, size_t seen, value_fn *value, size_t i, size_t j)
{
    size_t n = 0, in = 0;
    uint32_t last = 0;
    double sum = 0;
    for (size_t place = 0; place < seen; place++) {
        double v = value(t, i, j, place);
        if (isnan(v))
            continue;
        if (in && t->unit[place] != last) {
            t->scratch[n++] = sum / (double)in;
            sum = 0;
            in = 0;
        }
        last = t->unit[place];
        sum += v;
        in++;
    }
    if (in)
        t->scratch[n++] = sum / (double)in;
    return n;
}

/* log E of the observations sign * x + shift against H0: their mean is at most -margin. */
static double log_e(const choose_table *t, size_t n, double margin, double sign, double shift)
{
    stat_wealth w;
    stat_wealth_init(&w, margin);
    for (size_t k = 0; k < n; k++)
        stat_wealth_add(&w, sign * t->scratch[k] + shift);
    return stat_wealth_log(&w);
}

/* Against H0: the rate is at most p; and at least p. 0 < p < 1. */
static double log_e_above(const choose_table *t, size_t n, double p)
{
    return log_e(t, n, 1 - p, 1, -1);
}

static double log_e_below(const choose_table *t, size_t n, double p)
{
    return log_e(t, n, p, -1, 0);
}

/* ---- dropping ---- */

static double need(const choose_rules *r, double share)
{
    return stat_log_threshold(r->m, r->alpha * share);
}

static void drop(choose_row *row, choose_end end, const char *format, double value, size_t n)
{
    row->end = end;
    snprintf(row->why, sizeof row->why, format, value, n);
}

static void judge_bar(const choose_table *t, size_t seen, const choose_rules *r, size_t i, choose_row *row)
{
    if (!(r->bar > 0 && r->bar < 1) || row->bar != MEASURE_OPEN)
        return;
    size_t n = observe(t, seen, is_pass, i, i);
    if (log_e_above(t, n, r->bar) >= need(r, 1)) {
        row->bar = MEASURE_PROVEN;
    } else if (log_e_below(t, n, r->bar) >= need(r, 1)) {
        row->bar = MEASURE_REFUTED;
        drop(row, CHOOSE_BELOW_BAR, "below the bar of %.1f %%, shown after %zu cases", 100 * r->bar, seen);
    }
}

/* The share of malformed answers: a limit of 0 is broken by the first, one of 1 by nothing. */
static void judge_malformed(const choose_table *t, size_t seen, const choose_rules *r, size_t i, choose_row *row)
{
    if (r->malformed < 0 || r->malformed >= 1 || row->end != CHOOSE_LEFT)
        return;
    size_t n = observe(t, seen, is_malformed, i, i);
    bool any = false;
    for (size_t k = 0; k < n; k++)
        any = any || t->scratch[k] > 0;
    if (r->malformed > 0 ? log_e_above(t, n, r->malformed) >= need(r, 1) : any)
        drop(row, CHOOSE_MALFORMED, "more than %.1f %% malformed, shown after %zu cases", 100 * r->malformed, seen);
}

/* The 95th percentile is over the limit when more than 5 % of the answers are: the test by order statistics, made one
 * that may be looked at. */
static void judge_latency(const choose_table *t, size_t seen, const choose_rules *r, size_t i, choose_row *row)
{
    row->n_timed = row->n_slow = 0;
    for (size_t place = 0; place < seen; place++) {
        signed char s = t->slow[i * t->n_cases + place];
        row->n_timed += s >= 0;
        row->n_slow += s > 0;
    }
    if (!r->limits_latency || row->end != CHOOSE_LEFT)
        return;
    size_t n = observe(t, seen, is_slow, i, i);
    if (log_e_above(t, n, 0.05) >= need(r, 1))
        drop(row, CHOOSE_SLOW, "over the limit in %.0f of %zu timed answers: its 95th percentile is above it",
             row->n_slow, row->n_timed);
}

static double rate_of(const choose_table *t, size_t seen, size_t i)
{
    size_t n = observe(t, seen, is_pass, i, i);
    double sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += t->scratch[k];
    return n ? sum / (double)n : 0;
}

/* The best rate among the rows left; SIZE_MAX: none is. */
static size_t best_of(const choose_table *t, size_t seen, const choose_row *rows)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < t->m; i++)
        if (rows[i].end == CHOOSE_LEFT && (best == SIZE_MAX || rate_of(t, seen, i) > rate_of(t, seen, best)))
            best = i;
    return best;
}

static bool is_worse(const choose_table *t, size_t seen, const choose_rules *r, size_t i, size_t j, double margin)
{
    size_t n = observe(t, seen, i_less_j, i, j);
    return margin < 1 && log_e(t, n, -margin, -1, 0) >= need(r, 0.5);
}

/* The best one of all is dropped only if one of m - 1 comparisons with it goes wrong: alpha / 2m each. */
static void judge_worse(const choose_table *t, size_t seen, const choose_rules *r, size_t i, choose_row *rows)
{
    for (size_t j = 0; j < t->m && rows[i].end == CHOOSE_LEFT; j++)
        if (j != i && rows[j].end == CHOOSE_LEFT && is_worse(t, seen, r, i, j, r->margin)) {
            rows[i].better = j;
            rows[i].end = CHOOSE_WORSE;
            snprintf(rows[i].why, sizeof rows[i].why, "more than %.1f points worse than %.80s (prompt %.40s), shown "
                     "after %zu cases", 100 * r->margin, rows[j].name, rows[j].prompt, seen);
        }
}

void choose_judge(const choose_table *t, size_t seen, const choose_rules *r, choose_row *rows)
{
    for (size_t i = 0; i < t->m; i++)
        if (rows[i].end == CHOOSE_LEFT) {
            judge_bar(t, seen, r, i, &rows[i]);
            judge_malformed(t, seen, r, i, &rows[i]);
            judge_latency(t, seen, r, i, &rows[i]);
        }
    for (size_t i = 0; i < t->m; i++)
        judge_worse(t, seen, r, i, rows);
}

/* ---- the end ---- */

/* All of them hold at once: each of two intervals, of which one is shown, at alpha / 2m. */
void choose_rate(const choose_table *t, size_t i, const choose_rules *r, choose_row *row)
{
    double confidence = 1 - r->alpha / (2.0 * (double)r->m);
    bool clustered = t->n_cases && t->unit[t->n_cases - 1] + 1 < t->n_cases;
    row->n = row->n_pass = row->n_malformed = 0;
    for (size_t place = 0; place < row->n_seen; place++) {
        signed char o = outcome(t, i, place);
        row->n += o != TALLY_OPEN;
        row->n_pass += o == LEDGER_PASS;
        row->n_malformed += o == LEDGER_MALFORMED;
    }
    row->rate = row->n ? (double)row->n_pass / row->n : NAN;
    stat_interval v;
    if (row->whole && !clustered) {
        v = stat_clopper_pearson(row->n_pass, row->n, confidence);
    } else { /* a rate p is a mean of 2p - 1 */
        size_t n = observe(t, row->n_seen, is_pass, i, i);
        for (size_t k = 0; k < n; k++)
            t->scratch[k] = 2 * t->scratch[k] - 1;
        v = stat_graded_sequence(t->scratch, n, confidence);
        v = (stat_interval){ (v.low + 1) / 2, (v.high + 1) / 2 };
    }
    row->low = v.low;
    row->high = v.high;
}

size_t choose_ties(const choose_table *t, size_t seen, const choose_rules *r, choose_row *rows)
{
    size_t best = best_of(t, seen, rows), n = 0;
    for (size_t i = 0; best != SIZE_MAX && i < t->m; i++) {
        rows[i].tied = rows[i].end == CHOOSE_LEFT && (i == best || !is_worse(t, seen, r, i, best, 0));
        n += rows[i].tied;
    }
    return n;
}

bool choose_is_enough(const choose_table *t, size_t seen, const choose_rules *r, const choose_row *rows, size_t i)
{
    for (size_t j = 0; j < t->m; j++)
        if (j != i && rows[j].end == CHOOSE_LEFT) {
            size_t n = observe(t, seen, i_less_j, i, j);
            if (r->margin < 1 && log_e(t, n, r->margin, 1, 0) < need(r, 1))
                return false;
        }
    return true;
}

/* ---- what is preferred among equals ---- */

/* Smaller is better; NAN (not known) is worst. Speed is comparable only where the power source is the same. */
static double measure_of(const choose_row *row, choose_prefer prefer, bool one_power)
{
    switch (prefer) {
    case CHOOSE_FAST: return one_power ? row->speed.answer_p50_ms : NAN;
    case CHOOSE_SMALL: return row->memory_bytes;
    case CHOOSE_CHEAP: return row->cost.mean;
    default: return row->energy.mean;
    }
}

static int compare(double a, double b)
{
    bool x = isnan(a), y = isnan(b);
    return x || y ? x - y : (a > b) - (a < b);
}

int choose_exceeds(const choose_row *row, const task_limits *l)
{
    return (l->latency_p95_ms >= 0 && row->speed.answer_p95_ms > l->latency_p95_ms) +
           (l->cost_usd >= 0 && row->cost.mean > l->cost_usd) +
           (l->malformed >= 0 && row->n && (double)row->n_malformed / row->n > l->malformed);
}

/* < 0: a comes before b. First what is proven, then what keeps the limits, then what is asked for, then the other
 * preferences in their order. */
static int order_of(const choose_row *a, const choose_row *b, const task_limits *limits, choose_prefer prefer,
                    bool one_power)
{
    int c = (b->bar == MEASURE_PROVEN) - (a->bar == MEASURE_PROVEN);
    if (!c)
        c = choose_exceeds(a, limits) - choose_exceeds(b, limits);
    if (!c)
        c = compare(measure_of(a, prefer, one_power), measure_of(b, prefer, one_power));
    for (int p = 0; !c && p < CHOOSE_PREFERS; p++)
        c = compare(measure_of(a, (choose_prefer)p, one_power), measure_of(b, (choose_prefer)p, one_power));
    return c;
}

static bool on_one_power(const choose_row *rows, size_t n, const bool *among)
{
    const char *power = NULL;
    for (size_t i = 0; i < n; i++)
        if (among[i] && rows[i].power[0]) {
            if (power && strcmp(power, rows[i].power) != 0)
                return false;
            power = rows[i].power;
        }
    return true;
}

bool choose_is_first(const choose_row *rows, size_t n, choose_prefer prefer, const bool *among, size_t i)
{
    bool one_power = on_one_power(rows, n, among);
    double mine = measure_of(&rows[i], prefer, one_power);
    for (size_t j = 0; j < n; j++)
        if (among[j] && compare(measure_of(&rows[j], prefer, one_power), mine) < 0)
            return false;
    return !isnan(mine);
}

size_t choose_preferred(const choose_row *rows, size_t n, const task_limits *limits, choose_prefer prefer,
                        const bool *among)
{
    size_t best = SIZE_MAX;
    bool one_power = on_one_power(rows, n, among);
    for (size_t i = 0; i < n; i++)
        if (among[i] && (best == SIZE_MAX || order_of(&rows[i], &rows[best], limits, prefer, one_power) < 0))
            best = i;
    return best;
}

/* ---- showing ---- */

static int rank(const choose_row *r)
{
    return r->chosen ? 0 : r->tied ? 1 : r->end == CHOOSE_LEFT ? 2 : r->n ? 3 : 4;
}

void choose_sort(const choose_row *rows, size_t n, size_t *order)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0; at--) {
            const choose_row *a = &rows[i], *b = &rows[order[at - 1]];
            if (rank(a) > rank(b) || (rank(a) == rank(b) && !(a->rate > b->rate)))
                break;
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
}
