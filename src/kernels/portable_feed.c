/* Rounding with errors fed on: kernels.h, kernels_feed. */
#include <math.h>

#include "kernels/levels_int.h"

/* How many middles of neighbouring levels lie below; the nearest of equals is the lower. */
static float nearest_level(const float *levels, float at)
{
    float code = 0;
    for (int i = 0; i < 15; i++)
        code += at > 0.5f * (levels[i] + levels[i + 1]) ? 1.0f : 0.0f;
    return code;
}

static float nearest(const kernels_feed *f, float at)
{
    if (f->levels)
        return nearest_level(f->levels, at);
    float c = at - f->low;
    c = c > 0 ? c : 0; /* also where there is no number */
    return (float)(int)((c < f->top ? c : f->top) + 0.5f);
}

static void feed(const kernels_feed *f, const float step[KERNELS_GRIDS], const float offset[KERNELS_GRIDS],
                 kernels_fed *out)
{
    for (int g = 0; g < KERNELS_GRIDS; g++) {
        float targets[KERNELS_FEED];
        double loss = 0;
        for (size_t j = 0; j < f->n; j++)
            targets[j] = f->targets[j];
        for (size_t j = 0; j < f->n; j++) {
            float code = nearest(f, step[g] != 0 ? (targets[j] + offset[g]) / step[g] : 0);
            float point = step[g] * (f->levels ? f->levels[(int)code] : code + f->low) - offset[g];
            float error = f->values[j] - point, miss = targets[j] - point;
            loss += (double)(f->weights[j] * miss * miss);
            out->codes[j][g] = code;
            out->errors[j][g] = error;
            for (size_t c = j + 1; c < f->n; c++)
                targets[c] = fmaf(error, f->upper[j * f->stride + c], targets[c]);
        }
        out->loss[g] = loss;
    }
}

void kernels_portable_feed(kernels *k)
{
    k->feed = feed;
}
