/* The step of a block is not known but it is an f16 (a power of two in MXFP4), and the largest value is it times some
 * level: for each level there are a few steps from which rounding gives that value, and one value of the other 31 is
 * mostly enough to refuse a wrong one. With an offset, the largest and the smallest value together give the step in the
 * same way, and each value leaves the offset an interval. */
#include "quant/grid.h"

#include <math.h>

#include "base/status.h"
#include "quant/blocks.h"
#include "quant/grid_int.h"
#include "quant/half.h"
#include "quant/quant.h"

/* A block being fitted: what is looked for and what was found. */
typedef struct fit {
    const lattice *l;
    uint32_t precision;
    const float *x;
    float a, b; /* value = a * level - b */
    uint8_t codes[LATTICE_BLOCK_MAX];
} fit;

float grid_stored(uint32_t precision, float v)
{
    return precision == QUANT_F16 ? half_to_f32(half_from_f32(v))
         : precision == QUANT_BF16 ? half_from_bf16(half_to_bf16(v)) : v;
}

/* F16 and BF16 were rounded twice: to F32 before. */
interval grid_before(uint32_t precision, float v)
{
    int exponent, bits = precision == QUANT_F16 ? 11 : precision == QUANT_BF16 ? 8 : 24;
    int least = precision == QUANT_F16 ? -24 : precision == QUANT_BF16 ? -133 : -149;
    (void)frexp((double)v, &exponent);
    exponent = v != 0 && exponent - bits > least ? exponent - bits : least;
    double half = ldexp(precision == QUANT_F32 ? 0.5 : 0.5001, exponent);
    return (interval){ (double)v - half, (double)v + half };
}

double grid_f16_at(int order)
{
    return (double)half_to_f32((uint16_t)(order < 0 ? 0x8000 | -order : order));
}

int grid_first_f16(double low)
{
    uint16_t h = half_from_f32((float)low);
    int order = h & 0x8000 ? -(h & 0x7FFF) : h;
    while (order < GRID_F16_INFINITE && (order <= -GRID_F16_INFINITE || grid_f16_at(order) < low))
        order++;
    return order;
}

static bool all_fit(fit *f, float a, float b)
{
    for (int j = 0; j < f->l->block; j++) {
        int code = lattice_nearest(f->l, a, b, f->x[j]);
        if (grid_stored(f->precision, a * lattice_level(f->l, code) - b) != f->x[j])
            return false;
        f->codes[j] = (uint8_t)code;
    }
    f->a = a;
    f->b = b;
    return true;
}

static int largest_of(const float *x, int n)
{
    int at = 0;
    for (int j = 1; j < n; j++)
        at = fabsf(x[j]) > fabsf(x[at]) ? j : at;
    return at;
}

/* Powers of two whose product with the level may be stored as the value. */
static bool fit_power(fit *f, interval d)
{
    int exponent;
    (void)frexp(d.high, &exponent); /* the only ones that can lie in an interval so short */
    for (int e = exponent - 1; e <= exponent; e++)
        if (ldexp(1, e) >= d.low && ldexp(1, e) <= d.high && e >= -128 && e <= 126 && all_fit(f, ldexpf(1, e), 0))
            return true;
    return false;
}

static bool fit_f16(fit *f, interval d)
{
    int order = grid_first_f16(d.low);
    for (int i = 0; i < GRID_MOST_STEPS && order < GRID_F16_INFINITE && grid_f16_at(order) <= d.high; i++, order++)
        if (order != 0 && all_fit(f, (float)grid_f16_at(order), 0))
            return true;
    return false;
}

/* Types without offset: the largest value is on one of the levels, a far one most likely. */
static bool fit_step(fit *f)
{
    float largest = f->x[largest_of(f->x, f->l->block)];
    if (largest == 0 || !isfinite(largest))
        return largest == 0 && all_fit(f, 0, 0);
    interval v = grid_before(f->precision, largest);
    for (int i = 0; i < f->l->n_codes; i++) { /* from both ends inwards */
        double level = (double)lattice_level(f->l, i % 2 ? f->l->n_codes - 1 - i / 2 : i / 2);
        if (level == 0 || (f->l->type == QUANT_MXFP4 && level * (double)largest < 0))
            continue;
        interval d = level > 0 ? (interval){ v.low / level, v.high / level } : (interval){ v.high / level,
                                                                                           v.low / level };
        if (f->l->type == QUANT_MXFP4 ? fit_power(f, d) : fit_f16(f, d))
            return true;
    }
    return false;
}

/* With step d and the code of the smallest value given: the offsets m that every value allows. */
static bool fit_offset(fit *f, double d, int code, interval m, double smallest)
{
    double guess = smallest - d * code;
    for (int j = 0; j < f->l->block && m.low <= m.high; j++) {
        double u = round(((double)f->x[j] - guess) / d);
        interval v = grid_before(f->precision, f->x[j]);
        if (u < 0 || u > f->l->n_codes - 1)
            return false;
        m.low = fmax(m.low, v.low - d * u);
        m.high = fmin(m.high, v.high - d * u);
    }
    int order = grid_first_f16(m.low);
    for (int i = 0; i < GRID_MOST_STEPS && order < GRID_F16_INFINITE && grid_f16_at(order) <= m.high; i++, order++)
        if (all_fit(f, (float)d, -(float)grid_f16_at(order)))
            return true;
    return false;
}

/* The smallest value has some code, the largest is `span` codes above. */
static bool fit_span(fit *f, float smallest, float largest, int span)
{
    interval s = grid_before(f->precision, smallest), l = grid_before(f->precision, largest);
    interval step = { (l.low - s.high) / span, (l.high - s.low) / span };
    int order = grid_first_f16(step.low);
    for (int i = 0; i < GRID_MOST_STEPS && order < GRID_F16_INFINITE && grid_f16_at(order) <= step.high; i++, order++) {
        double d = grid_f16_at(order);
        for (int code = 0; d > 0 && code + span < f->l->n_codes; code++) {
            interval m = { fmax(s.low - d * code, l.low - d * (code + span)),
                           fmin(s.high - d * code, l.high - d * (code + span)) };
            if (m.low <= m.high && fit_offset(f, d, code, m, (double)smallest))
                return true;
        }
    }
    return false;
}

static bool fit_line(fit *f)
{
    float smallest = f->x[0], largest = f->x[0];
    for (int j = 1; j < f->l->block; j++) {
        smallest = f->x[j] < smallest ? f->x[j] : smallest;
        largest = f->x[j] > largest ? f->x[j] : largest;
    }
    if (!isfinite(smallest) || !isfinite(largest))
        return false;
    if (smallest == largest)
        return all_fit(f, 0, -half_to_f32(half_from_f32(smallest)));
    for (int span = f->l->n_codes - 1; span > 0; span--)
        if (fit_span(f, smallest, largest, span))
            return true;
    return false;
}

static void put_step(const fit *f, uint8_t *block)
{
    half_store_u16(block, half_from_f32(f->a));
    f->l->put(block, f->codes);
}

static bool block_of_step(const lattice *l, uint32_t precision, const float *x, uint8_t *block)
{
    fit f = { .l = l, .precision = precision, .x = x };
    bool ok = fit_step(&f);
    if (ok)
        put_step(&f, block);
    return ok;
}

static bool block_of_line(const lattice *l, uint32_t precision, const float *x, uint8_t *block)
{
    fit f = { .l = l, .precision = precision, .x = x };
    if (!fit_line(&f))
        return false;
    half_store_u16(block + 2, half_from_f32(-f.b));
    put_step(&f, block);
    return true;
}

static bool block_of_power(const lattice *l, uint32_t precision, const float *x, uint8_t *block)
{
    fit f = { .l = l, .precision = precision, .x = x };
    int exponent = 0; /* of zeros, too */
    if (!fit_step(&f))
        return false;
    (void)frexpf(f.a, &exponent);
    block[0] = (uint8_t)(f.a > 0 ? exponent - 1 + 128 : 0);
    l->put(block, f.codes);
    return true;
}

/* By bits. */
static const struct row {
    uint32_t type;
    bool (*encode)(const lattice *l, uint32_t precision, const float *x, uint8_t *block);
} rows[] = {
    { QUANT_Q2_K, grid_k_line },   { QUANT_Q3_K, grid_k_step },     { QUANT_MXFP4, block_of_power },
    { QUANT_IQ4_XS, grid_k_step }, { QUANT_Q4_0, block_of_step },   { QUANT_IQ4_NL, block_of_step },
    { QUANT_Q4_K, grid_k_line },   { QUANT_Q4_1, block_of_line },   { QUANT_Q5_0, block_of_step },
    { QUANT_Q5_K, grid_k_line },   { QUANT_Q5_1, block_of_line },   { QUANT_Q6_K, grid_k_step },
    { QUANT_Q8_0, block_of_step },
};
_Static_assert(ARRAY_LEN(rows) == GRID_TYPES, "grid.h says how many there are");

bool grid_encode(uint32_t type, uint32_t precision, const float *x, size_t n, void *out)
{
    const struct row *row = NULL;
    const quant_traits *t = quant_find(type);
    const lattice *l = lattice_find(type);
    uint8_t *block = out;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        row = rows[i].type == type ? &rows[i] : row;
    if (!row || n % t->block)
        return false;
    for (size_t k = 0; k < n; k += t->block, block += t->bytes)
        if (!row->encode(l, precision, x + k, block))
            return false;
    return true;
}

/* ---- which type ---- */

static bool varied(const float x[32])
{
    float other = x[0];
    for (int j = 1; j < 32; j++) {
        if (other == x[0])
            other = x[j];
        else if (x[j] != other && x[j] != x[0])
            return true;
    }
    return false;
}

void grid_begin(grid_search *g, uint32_t precision, size_t cols)
{
    *g = (grid_search){ .precision = precision, .cols = cols };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        g->possible[i] = cols && cols % quant_find(rows[i].type)->block == 0;
}

static bool all_encode(const struct row *row, const grid_search *g, const float *x, size_t n)
{
    const quant_traits *t = quant_find(row->type);
    uint8_t block[256];
    for (size_t k = 0; k < n; k += t->block)
        if (!row->encode(lattice_find(row->type), g->precision, x + k, block))
            return false;
    return true;
}

/* While one type fits, those of more bits need not be asked. */
bool grid_look(grid_search *g, const float *x, size_t n_rows)
{
    const size_t n = n_rows * g->cols;
    for (size_t k = 0; !g->decided && k + 32 <= n; k += 32)
        g->decided = varied(x + k);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        g->possible[i] = g->possible[i] && all_encode(&rows[i], g, x, n);
        if (g->possible[i])
            return true;
    }
    return false;
}

bool grid_found(const grid_search *g, uint32_t *type)
{
    for (size_t i = 0; g->decided && i < ARRAY_LEN(rows); i++)
        if (g->possible[i]) {
            *type = rows[i].type;
            return true;
        }
    return false;
}
