/* rope.c: rotation frequencies and their scalings. f64 throughout, rounded once to f32 in the table.
 *
 * none      freq_i = base^(-2i/rope_dim)
 * linear    divided by the factor
 * divisors  (Llama 3.1: rope_freqs.weight) freq_i / divisor_i, whatever the scaling above says
 * yarn      pairs that turn often keep their frequency, pairs that turn rarely are divided by the factor, between them
 *           a ramp (Peng et al., arXiv:2309.00071, section 3.2); cos and sin times 0.1 ln(factor) + 1 (section 3.4),
 *           divided by the same of the log multiplier where a file has one
 * longrope  freq_i / short_i while the context limit is within the original context, else / long_i (Ding et al.,
 *           arXiv:2402.13753); cos and sin times the attention factor of the file */
#include <math.h>

#include "kernels/maths.h"
#include "model/model_int.h"

#define PI 3.14159265358979323846

/* The pair index at which a pair turns `turns` times over the original context. */
static double yarn_pair(const model_spec *s, double base, double turns)
{
    return s->rope_dim * kernels_log(s->rope_context / (turns * 2.0 * PI)) / (2.0 * kernels_log(base));
}

/* The largest whole number <= x, for |x| < 2^31: no libm here. */
static double floor_of(double x)
{
    double t = (double)(int64_t)x;
    return t > x ? t - 1.0 : t;
}

static double yarn_scale(double factor, double mul)
{
    return factor <= 1.0 ? 1.0 : 0.1 * mul * kernels_log(factor) + 1.0;
}

static void yarn(model_rope *r, const model_spec *s, double base)
{
    double low = floor_of(yarn_pair(s, base, (double)s->yarn_fast));
    double high = -floor_of(-yarn_pair(s, base, (double)s->yarn_slow));
    low = low > 0.0 ? low : 0.0;
    high = high < s->rope_dim - 1.0 ? high : s->rope_dim - 1.0;
    double reach = high - low > 0.001 ? high - low : 0.001;
    for (uint32_t i = 0; i < s->rope_dim / 2; i++) {
        double y = (i - low) / reach;
        double keep = 1.0 - (y < 0.0 ? 0.0 : y > 1.0 ? 1.0 : y);
        r->freq[i] = r->freq[i] / s->rope_factor * (1.0 - keep) + r->freq[i] * keep;
    }
    r->factor = yarn_scale(s->rope_factor, 1.0);
    if (s->yarn_log_mul != 0.0f)
        r->factor /= yarn_scale(s->rope_factor, (double)s->yarn_log_mul);
}

void model_rope_init(model_rope *r, const model *m, bool window_layers, uint32_t context)
{
    const model_spec *s = &m->spec;
    bool plain = window_layers && (s->arch->traits & ARCH_WINDOW_ROPE);
    double base = (double)(window_layers ? s->window_rope_base : s->rope_base);
    const float *divisors = m->rope_divisors;
    if (!divisors)
        divisors = context > s->rope_context ? m->rope_long : m->rope_short;
    for (uint32_t i = 0; i < s->rope_dim / 2; i++) {
        r->freq[i] = kernels_pow(base, -2.0 * i / s->rope_dim);
        if (divisors && !plain)
            r->freq[i] /= (double)divisors[i];
    }
    r->factor = 1.0;
    if (plain)
        return;
    if (s->scaling == ROPE_YARN)
        yarn(r, s, base);
    else
        for (uint32_t i = 0; i < s->rope_dim / 2; i++)
            r->freq[i] /= s->rope_factor;
    r->factor *= (double)s->rope_attn_factor;
}

void model_rope_table(const model_rope *r, uint32_t rope_dim, uint32_t position, float *table)
{
    uint32_t half = rope_dim / 2;
    for (uint32_t i = 0; i < half; i++) {
        double sine, cosine;
        kernels_sincos(position * r->freq[i], &sine, &cosine);
        table[i] = (float)(cosine * r->factor);
        table[half + i] = (float)(sine * r->factor);
    }
}

float model_query_factor(const model_spec *s, uint32_t position)
{
    if (s->temperature == 0.0f)
        return 1.0f;
    return (float)(kernels_log(1.0 + position / s->rope_context) * (double)s->temperature + 1.0);
}
