/* The budget is a contract: what a model really takes at its peak, loading included, is no more than what was planned
 * from its header, and the plan is not padded. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "gguf/gguf.h"
#include "token/vocab.h"

enum { CONTEXT = 1024, SKIP = 77 };

static uint64_t peak_bytes(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (uint64_t)r.ru_maxrss * 1024;
}

static void the_peak_is_the_plan(void **state)
{
    const char *path = *state;
    engine_options o;
    engine_budget plan;
    gguf *g = NULL;
    engine *e = NULL;
    session *s = NULL;
    const float *logits;
    int32_t *tokens = mem_array(CONTEXT, sizeof *tokens);
    engine_options_init(&o);
    o.context = CONTEXT;
    o.n_threads = 2;
    for (int i = 0; i < CONTEXT; i++)
        tokens[i] = 100 + i * 7;
    uint64_t before = peak_bytes();
    assert_ok(gguf_open(&g, path, err));
    assert_ok(engine_plan(g, &o, &plan, err));
    assert_ok(engine_open(&e, g, &o, err));
    assert_ok(session_open(&s, e, err));
    assert_ok(session_feed(s, tokens, CONTEXT, &logits, NULL, NULL, err));
    uint64_t taken = peak_bytes() - before;
    assert_memory_equal(engine_memory(e), &plan, sizeof plan);
    assert_true(plan.vocab_bytes >= vocab_bytes(engine_vocab(e)));
    printf("planned %.1f MB, taken at the peak %.1f MB\n", (double)plan.total_bytes * 1e-6, (double)taken * 1e-6);
    /* the plan does not count the file's pages in flight (two steps of the release) nor the C library's own */
    assert_true(taken <= plan.total_bytes + 3 * GGUF_RELEASE_STEP);
    assert_true(taken >= plan.total_bytes / 4 * 3);
    session_close(&s);
    engine_close(&e);
    mem_free(tokens);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    printf("a sanitizer has memory of its own\n");
    return SKIP;
#endif
    if (models_are_tiny()) {
        printf("next to a tiny model everything else is large\n");
        return SKIP;
    }
    static const char *const files[] = { "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf" };
    static char path[512];
    const char *cache = getenv("HEARTH_CACHE");
    int worst = 0;
    for (size_t i = 0; i < ARRAY_LEN(files) && worst == 0; i++) {
        snprintf(path, sizeof path, "%s/%s", cache ? cache : "build/cache", files[i]);
        if (access(path, R_OK)) {
            printf("%s is not in the cache (network)\n", files[i]);
            return SKIP;
        }
        pid_t child = fork(); /* each model has a process of its own: a peak does not come down */
        const struct CMUnitTest tests[] = { cmocka_unit_test_prestate(the_peak_is_the_plan, path) };
        if (child == 0)
            exit(cmocka_run_group_tests(tests, NULL, NULL));
        if (child < 0 || waitpid(child, &worst, 0) != child)
            worst = 1;
    }
    return worst != 0;
}
