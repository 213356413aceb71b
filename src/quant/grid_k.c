/* grid_k.c: blocks of several sub-blocks. Each sub-block by itself says which steps it may have: its largest value is
 * some level, or largest and smallest are so many codes apart, and the others agree or, mostly at once, do not. The f16
 * of the block then is what makes all those steps integers; candidates come from the sub-block of the largest step,
 * whose integer is nearly always the largest. With mins the same is done once more for the offsets that remain.
 * Whatever is found is compared value by value. */
#include <math.h>
#include <string.h>

#include "quant/blocks.h"
#include "quant/grid_int.h"
#include "quant/half.h"
#include "quant/quant.h"

enum { SUBS = LATTICE_SUB_MAX, STEPS = 64, OPTIONS = 96, NONE = 1 << 20, MOST_TRIES = 1 << 14 };

/* Where a block has its f16s, and which integers its scales can be: `zero` is that of a block of zero bytes. */
static const struct layout {
    uint32_t type;
    int d_at, dmin_at, scale_low, scale_high, zero;
} layouts[] = {
    { QUANT_Q2_K, 80, 82, 0, 15, 0 },      { QUANT_Q3_K, 108, -1, -32, 31, -32 }, { QUANT_Q4_K, 0, 2, 0, 63, 0 },
    { QUANT_Q5_K, 0, 2, 0, 63, 0 },        { QUANT_Q6_K, 208, -1, -128, 127, 0 }, { QUANT_IQ4_XS, 0, -1, -32, 31, -32 },
};

/* A step that a sub-block may have; with mins also how many codes its values span. */
typedef struct step {
    interval s;
    int span;
} step;

typedef struct sub {
    const float *x;
    int n, largest, smallest; /* of the values: by magnitude where there are no mins */
    step steps[STEPS];
    int n_steps; /* 0 with `flat`: any */
    bool flat;   /* all values are the same; without mins: zeros */
    int scale, min;
} sub;

typedef struct search {
    const lattice *l;
    const struct layout *at;
    uint32_t precision;
    sub subs[SUBS];
    int n;
    double d, dmin;
    int tries; /* of pairs of d and dmin: some blocks leave too many open */
} search;

static interval over(interval v, double by)
{
    return by > 0 ? (interval){ v.low / by, v.high / by } : (interval){ v.high / by, v.low / by };
}

static bool narrow(interval *a, double low, double high)
{
    a->low = low > a->low ? low : a->low;
    a->high = high < a->high ? high : a->high;
    return a->low <= a->high;
}

static double middle(interval v)
{
    return 0.5 * (v.low + v.high);
}

/* ---- without mins ---- */

static bool step_fits(const search *f, const sub *b, interval *s)
{
    for (int j = 0; j < b->n; j++) {
        double level = (double)lattice_level(f->l, lattice_nearest(f->l, (float)middle(*s), 0, b->x[j]));
        interval v = grid_before(f->precision, b->x[j]);
        if (level == 0 && !(v.low <= 0 && v.high >= 0))
            return false;
        v = level == 0 ? *s : over(v, level);
        if (!narrow(s, v.low, v.high))
            return false;
    }
    return true;
}

static bool find_steps(const search *f, sub *b)
{
    interval v = grid_before(f->precision, b->x[b->largest]);
    for (int c = 0; c < f->l->n_codes && b->n_steps < STEPS; c++) {
        double level = (double)lattice_level(f->l, c);
        if (level == 0)
            continue;
        step *at = &b->steps[b->n_steps];
        at->s = over(v, level);
        b->n_steps += step_fits(f, b, &at->s);
    }
    return b->n_steps > 0;
}

/* Value by value, as it would be decoded. */
static bool sub_is(const search *f, const sub *b, int scale, int min)
{
    float a = (float)f->d * (float)scale, o = (float)f->dmin * (float)min;
    for (int j = 0; j < b->n; j++) {
        int code = lattice_nearest(f->l, a, o, b->x[j]);
        float v = a * lattice_level(f->l, code);
        if (grid_stored(f->precision, f->l->mins ? v - o : v) != b->x[j])
            return false;
    }
    return true;
}

static bool has_scale(const search *f, const step *s, int *scale)
{
    double k = round(middle(s->s) / f->d);
    *scale = fabs(k) < NONE ? (int)k : NONE;
    return *scale >= f->at->scale_low && *scale <= f->at->scale_high && f->d * k >= s->s.low && f->d * k <= s->s.high;
}

static bool scales_are_integers(search *f)
{
    for (int i = 0; i < f->n; i++) {
        sub *b = &f->subs[i];
        bool ok = b->flat;
        b->scale = 0;
        for (int k = 0; !ok && k < b->n_steps; k++)
            ok = has_scale(f, &b->steps[k], &b->scale) && sub_is(f, b, b->scale, 0);
        if (!ok)
            return false;
    }
    return true;
}

/* ---- with mins ---- */

static bool line_fits(const search *f, const sub *b, step *s)
{
    interval low = grid_before(f->precision, b->x[b->smallest]);
    for (int j = 0; j < b->n; j++) {
        double u = round(((double)b->x[j] - (double)b->x[b->smallest]) / middle(s->s));
        interval v = grid_before(f->precision, b->x[j]);
        if (u > s->span || (u == 0 && (v.low > low.high || v.high < low.low)))
            return false;
        if (u > 0 && !narrow(&s->s, (v.low - low.high) / u, (v.high - low.low) / u))
            return false;
    }
    return true;
}

static bool find_lines(const search *f, sub *b)
{
    interval low = grid_before(f->precision, b->x[b->smallest]), high = grid_before(f->precision, b->x[b->largest]);
    for (int span = f->l->n_codes - 1; span > 0; span--) {
        step *at = &b->steps[b->n_steps];
        *at = (step){ { (high.low - low.high) / span, (high.high - low.low) / span }, span };
        b->n_steps += at->s.high > 0 && line_fits(f, b, at);
    }
    return b->n_steps > 0;
}

/* A scale and the offsets that go with it. */
typedef struct option {
    int scale;
    interval o;
} option;

typedef struct options {
    option of[OPTIONS];
    int n;
} options;

/* With the scale given, what is subtracted when the smallest value has code c. */
static void add_options(const search *f, const sub *b, const step *s, int scale, options *out)
{
    double a = f->d * scale, smallest = (double)b->x[b->smallest];
    interval base = grid_before(f->precision, b->x[b->smallest]);
    for (int j = 0; j < b->n; j++) {
        double u = round(((double)b->x[j] - smallest) / a);
        interval v = grid_before(f->precision, b->x[j]);
        if (!narrow(&base, v.low - a * u, v.high - a * u))
            return;
    }
    for (int c = 0; c + s->span < f->l->n_codes && out->n < OPTIONS; c++)
        out->of[out->n++] = (option){ scale, { a * c - base.high, a * c - base.low } };
}

static bool has_min(const search *f, const sub *b, const options *o, int *scale, int *min)
{
    for (int k = 0; k < o->n; k++) {
        double m = f->dmin != 0 ? round(middle(o->of[k].o) / f->dmin) : 0;
        if (m < 0 || m > f->at->scale_high || f->dmin * m < o->of[k].o.low || f->dmin * m > o->of[k].o.high)
            continue;
        *scale = o->of[k].scale;
        *min = (int)m;
        if (sub_is(f, b, *scale, *min))
            return true;
    }
    return false;
}

/* One value only: any scale and code will do that leave a min. */
static bool has_flat(const search *f, const sub *b, int *scale, int *min)
{
    double v = (double)b->x[0];
    *scale = *min = 0;
    if (v == 0)
        return true;
    for (*scale = 0; *scale <= f->at->scale_high; ++*scale)
        for (int c = 0; c < (*scale ? f->l->n_codes : 1); c++) {
            double m = f->dmin != 0 ? round((f->d * *scale * c - v) / f->dmin) : 0;
            *min = m >= 0 && m <= f->at->scale_high ? (int)m : 0;
            if (sub_is(f, b, *scale, *min))
                return true;
        }
    return false;
}

static bool mins_are(search *f, const options o[SUBS])
{
    for (int i = 0; i < f->n; i++) {
        sub *b = &f->subs[i];
        if (b->flat ? !has_flat(f, b, &b->scale, &b->min) : !has_min(f, b, &o[i], &b->scale, &b->min))
            return false;
    }
    return true;
}

/* Some min of this sub-block is `offset`. */
static bool try_offset(search *f, const options o[SUBS], interval offset)
{
    for (int m = f->at->scale_high; m > 0 && offset.high > 0 && f->tries < MOST_TRIES; m--) {
        interval d = over(offset, m);
        int order = grid_first_f16(d.low > 0 ? d.low : 0);
        for (int i = 0; i < GRID_MOST_STEPS && order < GRID_F16_INFINITE && grid_f16_at(order) <= d.high; i++) {
            f->dmin = grid_f16_at(order++);
            if (f->dmin > 0 && f->tries++ < MOST_TRIES && mins_are(f, o))
                return true;
        }
    }
    return false;
}

/* Of one value only: every scale and code leave another. */
static bool try_flat(search *f, const options o[SUBS], const sub *b)
{
    interval v = grid_before(f->precision, b->x[0]);
    for (int scale = 0; scale <= (f->d != 0 ? f->at->scale_high : 0); scale++)
        for (int c = 0; c < (scale ? f->l->n_codes : 1); c++) {
            double a = f->d * scale * c;
            if (try_offset(f, o, (interval){ a - v.high, a - v.low }))
                return true;
        }
    return false;
}

/* dmin by the sub-block that must have the largest offset; if none must, by flat ones. */
static bool find_dmin(search *f, const options o[SUBS])
{
    int at = -1;
    double most = 0;
    f->dmin = 0;
    if (mins_are(f, o))
        return true;
    for (int i = 0; i < f->n; i++) {
        double least = INFINITY;
        for (int k = 0; k < o[i].n; k++)
            least = fmin(least, o[i].of[k].o.low);
        if (o[i].n && least > most) {
            most = least;
            at = i;
        }
    }
    for (int k = 0; at >= 0 && k < o[at].n; k++)
        if (try_offset(f, o, o[at].of[k].o))
            return true;
    for (int i = 0; at < 0 && i < f->n; i++)
        if (f->subs[i].flat && f->subs[i].x[0] != 0 && try_flat(f, o, &f->subs[i]))
            return true;
    return false;
}

static bool lines_are_integers(search *f)
{
    options o[SUBS];
    for (int i = 0; i < f->n; i++) {
        const sub *b = &f->subs[i];
        o[i].n = 0;
        for (int k = 0; k < b->n_steps; k++) {
            int scale;
            if (has_scale(f, &b->steps[k], &scale) && scale > 0)
                add_options(f, b, &b->steps[k], scale, &o[i]);
        }
        if (!b->flat && !o[i].n)
            return false;
    }
    return find_dmin(f, o);
}

/* ---- a block ---- */

static void look_at(const lattice *l, sub *b)
{
    for (int j = 1; j < b->n; j++) {
        bool more = l->mins ? b->x[j] > b->x[b->largest] : fabsf(b->x[j]) > fabsf(b->x[b->largest]);
        b->largest = more ? j : b->largest;
        b->smallest = b->x[j] < b->x[b->smallest] ? j : b->smallest;
    }
    b->flat = l->mins ? b->x[b->largest] == b->x[b->smallest] : b->x[b->largest] == 0;
}

/* The one with the largest step: -1: there are only flat ones. */
static int largest_sub(const search *f)
{
    int at = -1;
    double most = 0;
    for (int i = 0; i < f->n; i++) {
        const sub *b = &f->subs[i];
        double size = fabs((double)b->x[b->largest] - (f->l->mins ? (double)b->x[b->smallest] : 0));
        if (!b->flat && size > most) {
            most = size;
            at = i;
        }
    }
    return at;
}

static bool try_steps(search *f, const step *s, int scale, bool (*all)(search *f))
{
    interval d = over(s->s, scale);
    int order = grid_first_f16(d.low);
    for (int i = 0; i < GRID_MOST_STEPS && order < GRID_F16_INFINITE && grid_f16_at(order) <= d.high; i++, order++) {
        f->d = grid_f16_at(order);
        f->dmin = 0;
        if (f->d != 0 && all(f))
            return true;
    }
    return false;
}

static bool find_d(search *f, bool (*all)(search *f))
{
    int at = largest_sub(f);
    f->d = f->dmin = 0;
    if (at < 0)
        return all(f);
    const sub *b = &f->subs[at];
    const int most = -f->at->scale_low > f->at->scale_high ? -f->at->scale_low : f->at->scale_high;
    for (int k = 0; k < b->n_steps; k++)
        for (int scale = most; scale > 0; scale--)
            if (try_steps(f, &b->steps[k], scale, all) ||
                (f->at->scale_low < 0 && try_steps(f, &b->steps[k], -scale, all)))
                return true;
    return false;
}

static void put(const search *f, uint8_t *block)
{
    const lattice *l = f->l;
    uint8_t codes[LATTICE_BLOCK_MAX];
    memset(block, 0, quant_find(l->type)->bytes);
    half_store_u16(block + f->at->d_at, half_from_f32((float)f->d));
    if (f->at->dmin_at >= 0)
        half_store_u16(block + f->at->dmin_at, half_from_f32((float)f->dmin));
    for (int i = 0; i < f->n; i++) {
        const sub *b = &f->subs[i];
        (void)l->shift(block, i, b->scale - f->at->zero, b->min);
        float a = (float)f->d * (float)b->scale, o = (float)f->dmin * (float)b->min;
        for (int j = 0; j < b->n; j++)
            codes[i * b->n + j] = (uint8_t)lattice_nearest(l, a, o, b->x[j]);
    }
    l->put(block, codes);
}

static bool fit(const lattice *l, uint32_t precision, const float *x, uint8_t *block,
                bool (*find)(const search *f, sub *b), bool (*all)(search *f))
{
    search f = { .l = l, .precision = precision, .n = l->block / l->sub };
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        f.at = layouts[i].type == l->type ? &layouts[i] : f.at;
    for (int j = 0; j < l->block; j++)
        if (!isfinite(x[j]))
            return false;
    for (int i = 0; i < f.n; i++) {
        sub *b = &f.subs[i];
        b->x = x + i * l->sub;
        b->n = l->sub;
        look_at(l, b);
        if (!b->flat && !find(&f, b))
            return false;
    }
    if (!find_d(&f, all))
        return false;
    put(&f, block);
    return true;
}

bool grid_k_step(const lattice *l, uint32_t precision, const float *x, uint8_t *block)
{
    return fit(l, precision, x, block, find_steps, scales_are_integers);
}

bool grid_k_line(const lattice *l, uint32_t precision, const float *x, uint8_t *block)
{
    return fit(l, precision, x, block, find_lines, lines_are_integers);
}
