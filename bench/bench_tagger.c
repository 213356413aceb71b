/* bench_tagger: how long the tagger takes for a text, in its worker with one thread, and from several askers at once.
 * HEARTH_TAGGER names the model (docs/PRIVACY.md says how rampart becomes one); HEARTH_ISA picks a level. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plat/clock.h"
#include "provider/tagger.h"

enum { RUNS = 60, ASKERS = 4 };

static const char sentence[] =
    "Dear Ms Josephine Miller, we have received your letter of the third of May about the house at 12 Baker Street in "
    "London, and Mr Kowalski of our branch in Leeds will call you on Tuesday. ";

static void count(void *to, const detect_span *s)
{
    (void)s;
    ++*(size_t *)to;
}

static double ask(tagger *t, const char *text, size_t n, size_t *found)
{
    error e = { 0 };
    uint64_t start = clock_mono_us();
    if (tagger_spans(t, text, n, count, found, &e)) {
        printf("%s\n", e.text);
        exit(1);
    }
    return (double)(clock_mono_us() - start) * 1e-3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(tagger *t, const char *what, size_t bytes)
{
    static char text[64 << 10];
    double ms[RUNS];
    size_t found = 0;
    for (size_t at = 0; at < bytes; at += sizeof sentence - 1)
        memcpy(text + at, sentence, sizeof sentence - 1 < bytes - at ? sizeof sentence - 1 : bytes - at);
    for (size_t i = 0; i < RUNS; i++) {
        found = 0;
        ms[i] = ask(t, text, bytes, &found);
    }
    qsort(ms, RUNS, sizeof *ms, by_size);
    printf("%-28s %6.1f ms best, %6.1f half of them, %6.1f nine in ten; %5.1f ms a KiB (%zu findings)\n", what, ms[0],
           ms[RUNS / 2], ms[RUNS * 9 / 10], ms[RUNS / 2] * 1024 / (double)bytes, found);
}

static void *asker(void *user)
{
    size_t found = 0;
    for (size_t i = 0; i < RUNS; i++)
        ask(user, sentence, sizeof sentence - 1, &found);
    return NULL;
}

int main(void)
{
    const char *model = getenv("HEARTH_TAGGER");
    config cfg = { .n_threads = 1 };
    error e = { 0 };
    tagger *t = NULL;
    pthread_t threads[ASKERS];
    if (!model) {
        printf("bench_tagger: HEARTH_TAGGER names no model\n");
        return 0;
    }
    if (tagger_open(&t, model, &cfg, NULL, &e)) {
        printf("%s\n", e.text);
        return 1;
    }
    printf("%.1f MiB of the memory budget\n", (double)tagger_bytes(t) / (1 << 20));
    measure(t, "a word", 4);
    measure(t, "a sentence (42 tokens)", sizeof sentence - 1);
    measure(t, "1 KiB", 1 << 10);
    measure(t, "8 KiB", 8 << 10);
    uint64_t start = clock_mono_us();
    for (size_t i = 0; i < ASKERS; i++)
        if (pthread_create(&threads[i], NULL, asker, t))
            return 1;
    for (size_t i = 0; i < ASKERS; i++)
        pthread_join(threads[i], NULL);
    printf("%d askers at once: %.1f sentences a second\n", ASKERS,
           ASKERS * RUNS / ((double)(clock_mono_us() - start) * 1e-6));
    tagger_close(&t);
    return 0;
}
