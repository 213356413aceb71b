/* The step of a block is not known but it is an f16 (a power of two in MXFP4), and the largest value is it times some
 * level: for each level there are a few steps from which rounding gives that value, and one value of the other 31 is
 * mostly enough to refuse a wrong one. With an offset, the largest and the smallest value together give the step in the
 * same way, and each value leaves the offset an interval. */
#include "quant/grid.h"

#include <math.h>

#include "base/status.h"
#include "quant/blocks.h"
#include "quant/half.h"
#include "quant/lattice.h"
#include "quant/quant.h"

enum { MOST_STEPS = 64, F16_INFINITE = 0x7C00 };

typedef struct interval {
    double low, high;
} interval;

/* A block being fitted: what is looked for and what was found. */
typedef struct fit {
    const lattice *l;
    uint32_t precision;
    const float *x;
    float a, b; /* value = a * level - b */
    uint8_t codes[LATTICE_BLOCK_MAX];
} fit;

static float stored(uint32_t precision, float v)
{
    return precision == QUANT_F16 ? half_to_f32(half_from_f32(v))
         : precision == QUANT_BF16 ? half_from_bf16(half_to_bf16(v)) : v;
}

/* At least the numbers that are stored as v. */
static interval before(uint32_t precision, float v)
{
    int exponent, bits = precision == QUANT_F16 ? 11 : precision == QUANT_BF16 ? 8 : 24;
    int least = precision == QUANT_F16 ? -24 : precision == QUANT_BF16 ? -133 : -149;
    (void)frexp((double)v, &exponent);
    exponent = v != 0 && exponent - bits > least ? exponent - bits : least;
    double half = ldexp(0.5, exponent);
    return (interval){ (double)v - half, (double)v + half };
}

/* Finite f16 as integers in the order of their values. */
static double f16_at(int order)
{
    return (double)half_to_f32((uint16_t)(order < 0 ? 0x8000 | -order : order));
}

static int first_f16(double low)
{
    uint16_t h = half_from_f32((float)low);
    int order = h & 0x8000 ? -(h & 0x7FFF) : h;
    while (order < F16_INFINITE && (order <= -F16_INFINITE || f16_at(order) < low))
        order++;
    return order;
}

static bool all_fit(fit *f, float a, float b)
{
    for (int j = 0; j < f->l->block; j++) {
        int code = lattice_nearest(f->l, a, b, f->x[j]);
        if (stored(f->precision, a * lattice_level(f->l, code) - b) != f->x[j])
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
    int order = first_f16(d.low);
    for (int i = 0; i < MOST_STEPS && order < F16_INFINITE && f16_at(order) <= d.high; i++, order++)
        if (order != 0 && all_fit(f, (float)f16_at(order), 0))
            return true;
    return false;
}

/* Types without offset: the largest value is on one of the levels, a far one most likely. */
static bool fit_step(fit *f)
{
    float largest = f->x[largest_of(f->x, f->l->block)];
    if (largest == 0 || !isfinite(largest))
        return largest == 0 && all_fit(f, 0, 0);
    interval v = before(f->precision, largest);
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
        interval v = before(f->precision, f->x[j]);
        if (u < 0 || u > f->l->n_codes - 1)
            return false;
        m.low = fmax(m.low, v.low - d * u);
        m.high = fmin(m.high, v.high - d * u);
    }
    int order = first_f16(m.low);
    for (int i = 0; i < MOST_STEPS && order < F16_INFINITE && f16_at(order) <= m.high; i++, order++)
        if (all_fit(f, (float)d, -(float)f16_at(order)))
            return true;
    return false;
}

/* The smallest value has some code, the largest is `span` codes above. */
static bool fit_span(fit *f, float smallest, float largest, int span)
{
    interval s = before(f->precision, smallest), l = before(f->precision, largest);
    int order = first_f16((l.low - s.high) / span);
    for (int i = 0; i < MOST_STEPS && order < F16_INFINITE && f16_at(order) <= (l.high - s.low) / span; i++, order++) {
        double d = f16_at(order);
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

static void put_line(const fit *f, uint8_t *block)
{
    half_store_u16(block + 2, half_from_f32(-f->b));
    put_step(f, block);
}

static void put_power(const fit *f, uint8_t *block)
{
    int exponent = 0; /* of zeros, too */
    (void)frexpf(f->a, &exponent);
    block[0] = (uint8_t)(f->a > 0 ? exponent - 1 + 128 : 0);
    f->l->put(block, f->codes);
}

/* By bits. */
static const struct row {
    uint32_t type;
    bool (*fit)(fit *f);
    void (*put)(const fit *f, uint8_t *block);
} rows[] = {
    { QUANT_MXFP4, fit_step, put_power }, { QUANT_Q4_0, fit_step, put_step }, { QUANT_IQ4_NL, fit_step, put_step },
    { QUANT_Q4_1, fit_line, put_line },   { QUANT_Q5_0, fit_step, put_step }, { QUANT_Q5_1, fit_line, put_line },
    { QUANT_Q8_0, fit_step, put_step },
};

static bool fit_block(const struct row *r, uint32_t precision, const float *x, fit *f)
{
    f->l = lattice_find(r->type);
    f->precision = precision;
    f->x = x;
    return r->fit(f);
}

bool grid_encode(uint32_t type, uint32_t precision, const float *x, size_t n, void *out)
{
    uint8_t *block = out;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const quant_traits *t = quant_find(rows[i].type);
        if (t->id != type || n % t->block)
            continue;
        for (size_t k = 0; k < n; k += t->block, block += t->bytes) {
            fit f;
            if (!fit_block(&rows[i], precision, x + k, &f))
                return false;
            rows[i].put(&f, block);
        }
        return true;
    }
    return false;
}

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

bool grid_find(uint32_t precision, const float *x, size_t n, uint32_t *type)
{
    bool possible[ARRAY_LEN(rows)], any = n % 32 == 0, decided = false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        possible[i] = true;
    for (size_t k = 0; any && k < n; k += 32) {
        fit f;
        any = false;
        decided |= varied(x + k);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            possible[i] = possible[i] && fit_block(&rows[i], precision, x + k, &f);
            any |= possible[i];
        }
    }
    for (size_t i = 0; any && decided && i < ARRAY_LEN(rows); i++)
        if (possible[i]) {
            *type = rows[i].type;
            return true;
        }
    return false;
}
