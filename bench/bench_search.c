/* The block solvers: for each type, weights searched in a second by one thread (best of several runs) and the weighted
 * squared error that is left, relative to the weighted squares, on bell-shaped and on heavy-tailed rows with uneven
 * importances; beside them the encoder's. Arguments: files of raw floats, whose rows are used instead. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "quant/quant.h"

enum { WIDTH = 1024, ROWS = 256, RUNS = 5 };

typedef void coder(const float *row, void *out, size_t n, const float *weights);

static uint64_t state = 20261127;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(state >> 40) + 0.5) / (double)(1 << 24);
}

static double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Weights a second; *error is what is left. */
static double measure(const quant_traits *t, coder *code, const float *x, const float *w, size_t rows, double *error)
{
    size_t bytes = (size_t)quant_row_bytes(t->id, WIDTH);
    char *out = mem_alloc(bytes);
    float *y = mem_array(WIDTH, sizeof *y);
    double best = INFINITY, loss = 0, all = 0;
    if (!out || !y)
        exit(1);
    for (int run = 0; run < RUNS; run++) {
        double start = now();
        for (size_t r = 0; r < rows; r++)
            code(x + r * WIDTH, out, WIDTH, w);
        best = fmin(best, now() - start);
    }
    for (size_t r = 0; r < rows; r++) {
        code(x + r * WIDTH, out, WIDTH, w);
        t->decode(out, y, WIDTH);
        for (size_t j = 0; j < WIDTH; j++) {
            double v = (double)x[r * WIDTH + j], e = v - (double)y[j];
            loss += (double)w[j] * e * e;
            all += (double)w[j] * v * v;
        }
    }
    *error = loss / all;
    mem_free(out);
    mem_free(y);
    return (double)(rows * WIDTH) / best;
}

static void bench(const char *name, const float *x, const float *w, size_t rows)
{
    printf("%s: %zu rows of %d\n%-8s %12s %14s %14s\n", name, rows, WIDTH, "type", "M weights/s", "error", "encode's");
    for (size_t i = 0; quant_at(i); i++) {
        const quant_traits *t = quant_at(i);
        if (!t->search)
            continue;
        double found, plain, speed = measure(t, t->search, x, w, rows, &found);
        measure(t, t->encode, x, w, rows, &plain);
        printf("%-8s %12.2f %14.6e %14.6e\n", t->name, speed * 1e-6, found, plain);
    }
}

int main(int argc, char **argv)
{
    float *x = mem_array(ROWS * WIDTH, sizeof *x), w[WIDTH];
    if (!x)
        return 1;
    for (int j = 0; j < WIDTH; j++)
        w[j] = (float)exp(1.2 * normal());
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        size_t rows = f ? fread(x, WIDTH * sizeof *x, ROWS, f) : 0;
        bench(argv[i], x, w, rows);
        if (f)
            fclose(f);
    }
    for (int heavy = 0; argc < 2 && heavy < 2; heavy++) {
        for (int i = 0; i < ROWS * WIDTH; i++)
            x[i] = (float)(0.02 * normal() / (heavy ? 0.15 + uniform() : 1));
        bench(heavy ? "heavy" : "bell", x, w, ROWS);
    }
    mem_free(x);
    return 0;
}
