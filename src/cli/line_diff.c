#include "cli/line_diff.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

enum { STEPS_MAX = 4 << 20 };

typedef struct lines {
    const char **at; /* n + 1 of them: where each begins */
    size_t n;
} lines;

static bool split(const char *text, lines *out)
{
    size_t n = 0, len = strlen(text);
    for (const char *p = text; *p; p++)
        n += *p == '\n';
    n += len && text[len - 1] != '\n';
    out->at = mem_array(n + 1, sizeof *out->at);
    out->n = n;
    if (!out->at)
        return false;
    const char *p = text;
    for (size_t i = 0; i < n; i++) {
        const char *end = strchr(p, '\n');
        out->at[i] = p;
        p = end ? end + 1 : text + len;
    }
    out->at[n] = p;
    return true;
}

static size_t length(const lines *l, size_t i)
{
    size_t n = (size_t)(l->at[i + 1] - l->at[i]);
    return n && l->at[i][n - 1] == '\n' ? n - 1 : n;
}

static bool same(const lines *a, size_t i, const lines *b, size_t k)
{
    size_t n = length(a, i);
    return n == length(b, k) && memcmp(a->at[i], b->at[k], n) == 0;
}

typedef struct work {
    lines a, b;
    size_t low, end_a, end_b; /* between what both begin and end with */
    uint32_t *longest;        /* [i - low][k - low] of (end_a - low + 1) x (end_b - low + 1); NULL: too many */
    line_diff_fn *fn;
    void *user;
} work;

static uint32_t *cell(const work *w, size_t i, size_t k)
{
    return &w->longest[(i - w->low) * (w->end_b - w->low + 1) + (k - w->low)];
}

static void fill(work *w)
{
    for (size_t i = w->end_a; i-- > w->low;)
        for (size_t k = w->end_b; k-- > w->low;) {
            uint32_t down = *cell(w, i + 1, k), right = *cell(w, i, k + 1);
            *cell(w, i, k) = same(&w->a, i, &w->b, k) ? *cell(w, i + 1, k + 1) + 1 : down > right ? down : right;
        }
}

static void say(const work *w, char mark, const lines *of, size_t i)
{
    w->fn(w->user, mark, of->at[i], length(of, i));
}

static void tell(const work *w)
{
    size_t i = w->low, k = w->low;
    for (size_t c = 0; c < w->low; c++)
        say(w, ' ', &w->a, c);
    while (i < w->end_a || k < w->end_b) {
        if (w->longest && i < w->end_a && k < w->end_b && same(&w->a, i, &w->b, k)) {
            say(w, ' ', &w->a, i++);
            k++;
        } else if (i < w->end_a && (!w->longest || k == w->end_b || *cell(w, i + 1, k) >= *cell(w, i, k + 1))) {
            say(w, '-', &w->a, i++);
        } else {
            say(w, '+', &w->b, k++);
        }
    }
    for (size_t c = w->end_a; c < w->a.n; c++)
        say(w, ' ', &w->a, c);
}

status line_diff(const char *a, const char *b, line_diff_fn *fn, void *user, error *err)
{
    work w = { .fn = fn, .user = user };
    bool ok = split(a, &w.a) && split(b, &w.b);
    if (ok) {
        w.end_a = w.a.n;
        w.end_b = w.b.n;
        while (w.low < w.end_a && w.low < w.end_b && same(&w.a, w.low, &w.b, w.low))
            w.low++;
        while (w.end_a > w.low && w.end_b > w.low && same(&w.a, w.end_a - 1, &w.b, w.end_b - 1)) {
            w.end_a--;
            w.end_b--;
        }
        size_t rows = w.end_a - w.low + 1, columns = w.end_b - w.low + 1;
        if (rows <= STEPS_MAX / columns) {
            w.longest = mem_zero(rows * columns * sizeof *w.longest);
            ok = w.longest != NULL;
        }
    }
    if (ok && w.longest)
        fill(&w);
    if (ok)
        tell(&w);
    mem_free(w.longest);
    mem_free(w.a.at);
    mem_free(w.b.at);
    return ok ? OK : fail(err, E_NOMEM, "no memory to compare two texts");
}
