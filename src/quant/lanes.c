/* The inner loops of the searches. Written so that the compiler makes vectors of the lanes. */
#include "quant/lanes_int.h"

#include <string.h>

static void inverses(const float a[LANES], float out[LANES])
{
    for (int i = 0; i < LANES; i++)
        out[i] = a[i] != 0 ? 1 / a[i] : 0;
}

static void uniform(const lanes_grid *g, const float *x, const float *w, int n, const float a[LANES], lanes_sums *s)
{
    float inverse[LANES], ee[LANES] = { 0 }, el[LANES] = { 0 }, ll[LANES] = { 0 }, low = g->low, high = g->high;
    inverses(a, inverse);
    for (int j = 0; j < n; j++)
        for (int i = 0; i < LANES; i++) {
            float l = lanes_round(x[j] * inverse[i], low, high), e = x[j] - a[i] * l, wl = w[j] * l;
            ee[i] += w[j] * e * e;
            el[i] += wl * e;
            ll[i] += wl * l;
        }
    memcpy(s->ee, ee, sizeof ee);
    memcpy(s->el, el, sizeof el);
    memcpy(s->ll, ll, sizeof ll);
}

/* The half-unit of the line on which v lies. Middles between integer levels are borders of half-units. */
static int half_unit(float v)
{
    v = v > -128 ? v : -128;
    v = v < 127 ? v : 127;
    return (int)(2 * v + 256);
}

static void table(const lanes_grid *g, const float *x, const float *w, int n, const float a[LANES], lanes_sums *s)
{
    float inverse[LANES], ee[LANES] = { 0 }, el[LANES] = { 0 }, ll[LANES] = { 0 }, level[LANES_VALUES][LANES];
    inverses(a, inverse);
    for (int j = 0; j < n; j++) {
        int at[LANES];
        for (int i = 0; i < LANES; i++)
            at[i] = half_unit(x[j] * inverse[i]);
        for (int i = 0; i < LANES; i++)
            level[j][i] = g->nearest[at[i]];
    }
    for (int j = 0; j < n; j++) /* apart: what was stored one by one is not yet there to be loaded in fours */
        for (int i = 0; i < LANES; i++) {
            float l = level[j][i], e = x[j] - a[i] * l, wl = w[j] * l;
            ee[i] += w[j] * e * e;
            el[i] += wl * e;
            ll[i] += wl * l;
        }
    memcpy(s->ee, ee, sizeof ee);
    memcpy(s->el, el, sizeof el);
    memcpy(s->ll, ll, sizeof ll);
}

void quant_lanes_table(lanes_grid *g, const int8_t levels[16])
{
    g->levels = levels;
    for (int i = 0, k = 0; i < LANES_UNITS; i++) {
        while (k < 15 && i - 256 >= levels[k] + levels[k + 1])
            k++;
        g->nearest[i] = levels[k];
    }
}

void quant_lanes(const lanes_grid *g, const float *x, const float *w, int n, const float a[LANES], lanes_sums *s)
{
    (g->levels ? table : uniform)(g, x, w, n, a, s);
}

int quant_lanes_code(const lanes_grid *g, float v)
{
    if (!g->levels)
        return (int)(lanes_round(v, g->low, g->high) - g->low);
    int code = 0, at = half_unit(v) - 256;
    for (int k = 0; k < 15; k++)
        code += at >= g->levels[k] + g->levels[k + 1];
    return code;
}

void quant_lanes_line(float top, const float *x, const float *w, int n, const float a[LANES], const float m[LANES],
                      lanes_lines *s)
{
    float inverse[LANES];
    lanes_lines t = { 0 };
    inverses(a, inverse);
    for (int j = 0; j < n; j++)
        for (int i = 0; i < LANES; i++) {
            float u = lanes_round((x[j] - m[i]) * inverse[i], 0, top), e = x[j] - (a[i] * u + m[i]);
            float wu = w[j] * u, we = w[j] * e;
            t.ee[i] += we * e;
            t.eu[i] += wu * e;
            t.e[i] += we;
            t.uu[i] += wu * u;
            t.u[i] += wu;
        }
    *s = t;
}

void quant_lanes_fit(const lanes_sums *s, const float a[LANES], lanes_fits *f)
{
    for (int i = 0; i < LANES; i++) {
        float ll = s->ll[i], step = s->el[i] / (ll > 0 ? ll : 1), loss = s->ee[i] - step * s->el[i];
        f->a[i] = a[i] + step;
        f->loss[i] = ll > 0 ? loss : INFINITY;
    }
}

void quant_lanes_fit_line(const lanes_lines *s, float w, const float a[LANES], const float m[LANES], float highest,
                          lanes_fits *f)
{
    for (int i = 0; i < LANES; i++)
        lanes_fit_line(s, i, w, a, m, highest, f);
}

void quant_lanes_keep(const lanes_sums *s, const float tries[LANES], int n, float best[], float loss[])
{
    for (int i = 0; i < LANES; i++) {
        float step = s->ll[i] > 0 ? s->el[i] / s->ll[i] : 0, now = s->ee[i] - step * s->el[i];
        int k = n;
        for (; k > 0 && now < loss[k - 1]; k--)
            if (k < n) {
                loss[k] = loss[k - 1];
                best[k] = best[k - 1];
            }
        if (k < n) {
            loss[k] = now;
            best[k] = tries[i] + step;
        }
    }
}
