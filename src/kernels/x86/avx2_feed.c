/* Rounding with errors fed on, for AVX2: eight grids to a register, four columns before what follows is touched. */
#include "kernels/levels_int.h"
#include "kernels/x86/avx2_int.h"

enum { HALVES = KERNELS_GRIDS / 8, COLUMNS = 4 };

typedef struct grid8 {
    __m256 step, offset, live; /* live: where the step is not 0 */
    __m256d loss[2];
} grid8;

INLINE __m256 nearest_level(const kernels_feed *f, __m256 at, __m256 *level)
{
    __m256i code = _mm256_setzero_si256();
#pragma GCC unroll 15
    for (int i = 0; i < 15; i++) {
        const __m256 middle = _mm256_set1_ps(0.5f * (f->levels[i] + f->levels[i + 1]));
        code = _mm256_sub_epi32(code, _mm256_castps_si256(_mm256_cmp_ps(at, middle, _CMP_GT_OQ)));
    }
    const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(f->levels), code);
    const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(f->levels + 8), code);
    const __m256i upper = _mm256_cmpgt_epi32(code, _mm256_set1_epi32(7));
    *level = _mm256_blendv_ps(low, high, _mm256_castsi256_ps(upper));
    return _mm256_cvtepi32_ps(code);
}

INLINE __m256 nearest(const kernels_feed *f, __m256 at, __m256 *level, bool table)
{
    if (table)
        return nearest_level(f, at, level);
    const __m256 low = _mm256_set1_ps(f->low);
    __m256 c = _mm256_max_ps(_mm256_sub_ps(at, low), _mm256_setzero_ps()); /* a NaN becomes 0 */
    c = _mm256_add_ps(_mm256_min_ps(c, _mm256_set1_ps(f->top)), _mm256_set1_ps(0.5f));
    c = _mm256_cvtepi32_ps(_mm256_cvttps_epi32(c));
    *level = _mm256_add_ps(c, low);
    return c;
}

/* Column j: its error. */
INLINE __m256 round8(const kernels_feed *f, grid8 *g, size_t j, __m256 target, float *code, float *errors, bool table)
{
    __m256 level, at = _mm256_div_ps(_mm256_add_ps(target, g->offset), g->step);
    _mm256_storeu_ps(code, nearest(f, _mm256_and_ps(at, g->live), &level, table));
    const __m256 point = _mm256_sub_ps(_mm256_mul_ps(g->step, level), g->offset);
    const __m256 error = _mm256_sub_ps(_mm256_broadcast_ss(f->values + j), point);
    const __m256 miss = _mm256_sub_ps(target, point);
    const __m256 loss = _mm256_mul_ps(_mm256_mul_ps(_mm256_broadcast_ss(f->weights + j), miss), miss);
    g->loss[0] = _mm256_add_pd(g->loss[0], _mm256_cvtps_pd(_mm256_castps256_ps128(loss)));
    g->loss[1] = _mm256_add_pd(g->loss[1], _mm256_cvtps_pd(_mm256_extractf128_ps(loss, 1)));
    _mm256_storeu_ps(errors, error);
    return error;
}

INLINE void feed_columns(const kernels_feed *f, grid8 g[HALVES], kernels_fed *out, const bool table)
{
    float targets[KERNELS_FEED][KERNELS_GRIDS] __attribute__((aligned(32)));
    for (size_t j = 0; j < f->n; j++)
        for (int h = 0; h < HALVES; h++)
            _mm256_store_ps(targets[j] + 8 * h, _mm256_broadcast_ss(f->targets + j));
    for (size_t j = 0; j < f->n; j += COLUMNS) {
        const float *upper[COLUMNS];
        __m256 e[COLUMNS][HALVES];
#pragma GCC unroll 4
        for (size_t i = 0; i < COLUMNS; i++) {
            upper[i] = f->upper + (j + i) * f->stride;
#pragma GCC unroll 2
            for (int h = 0; h < HALVES; h++) {
                __m256 t = _mm256_load_ps(targets[j + i] + 8 * h);
#pragma GCC unroll 4
                for (size_t p = 0; p < i; p++)
                    t = _mm256_fmadd_ps(e[p][h], _mm256_broadcast_ss(upper[p] + j + i), t);
                e[i][h] = round8(f, &g[h], j + i, t, out->codes[j + i] + 8 * h, out->errors[j + i] + 8 * h, table);
            }
        }
        for (size_t c = j + COLUMNS; c < f->n; c++) {
            __m256 t[HALVES];
#pragma GCC unroll 2
            for (int h = 0; h < HALVES; h++)
                t[h] = _mm256_load_ps(targets[c] + 8 * h);
#pragma GCC unroll 4
            for (size_t i = 0; i < COLUMNS; i++) {
                const __m256 u = _mm256_broadcast_ss(upper[i] + c);
#pragma GCC unroll 2
                for (int h = 0; h < HALVES; h++)
                    t[h] = _mm256_fmadd_ps(e[i][h], u, t[h]);
            }
#pragma GCC unroll 2
            for (int h = 0; h < HALVES; h++)
                _mm256_store_ps(targets[c] + 8 * h, t[h]);
        }
    }
}

static void feed(const kernels_feed *f, const float step[KERNELS_GRIDS], const float offset[KERNELS_GRIDS],
                 kernels_fed *out)
{
    grid8 g[HALVES];
    for (int h = 0; h < HALVES; h++) {
        const __m256 s = _mm256_loadu_ps(step + 8 * h);
        g[h] = (grid8){ s, _mm256_loadu_ps(offset + 8 * h), _mm256_cmp_ps(s, _mm256_setzero_ps(), _CMP_NEQ_UQ),
                        { _mm256_setzero_pd(), _mm256_setzero_pd() } };
    }
    if (f->levels)
        feed_columns(f, g, out, true);
    else
        feed_columns(f, g, out, false);
    for (int i = 0; i < KERNELS_GRIDS / 4; i++)
        _mm256_storeu_pd(out->loss + 4 * i, g[i / 2].loss[i % 2]);
}

void kernels_avx2_feed(kernels *k)
{
    k->feed = feed;
}
