/* Memory: measuring what losses cost has one part of the model in memory, however large its vocabulary, and gives the
 * pages of the file back; a run keeps what its README says. Peaks are the kernel's (VmHWM, file pages too). */
#include "pack/small.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "pack/judge.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITISED 1
#else
#define SANITISED 0
#endif

enum { MIB = 1 << 20, VOCAB = 32000, N_EMBD = 288, TOKENS = 60, TABLE = VOCAB * N_EMBD * 4 };

static small_tools two;
static const pack_options options = { .way = ENCODER_SEARCH };

static size_t status_bytes(const char *key)
{
    char line[256];
    size_t kib = 0, n = strlen(key);
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, n) == 0)
            kib = strtoul(line + n + 1, NULL, 10);
    if (f)
        fclose(f);
    return kib * 1024;
}

/* The peak begins anew; false: this kernel does not let us. */
static bool forget_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY);
    bool ok = fd >= 0 && write(fd, "5", 1) == 1;
    if (fd >= 0)
        close(fd);
    return ok && status_bytes("VmHWM:") < status_bytes("VmRSS:") + MIB;
}

static void job_make(job *j, int32_t ids[TOKENS], size_t starts[3])
{
    *j = (job){ .o = &options, .file = small_file(), .tools = two.t };
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = (int32_t)rnd(VOCAB);
    for (size_t i = 0; i <= 2; i++)
        starts[i] = i * TOKENS / 2;
    for (int set = 0; set < MOMENTS_SETS; set++)
        j->read[set] = (reference_text){ ids, starts, 2 };
    j->text.n = 2;
    assert_ok(plan_tensors(j, err));
}

/* Beside a table there are logits that are expected, a slab or two, and what flows between the layers. */
static void expect_peak(size_t before, const char *what)
{
    size_t peak = status_bytes("VmHWM:") - before, logits = (size_t)TOKENS * VOCAB * 4;
    print_message("%s: %zu MiB above %zu, a table has %d\n", what, peak / MIB, before / MIB, TABLE / MIB);
    if (peak > TABLE + logits + 44 * MIB)
        fail_msg("%s: %zu MiB", what, peak / MIB);
}

static void a_wide_head_is_in_memory_once(void **state)
{
    (void)state;
    int32_t ids[TOKENS];
    size_t starts[3];
    if (SANITISED || !forget_peak())
        skip();
    tiny_model m = tiny_model_default();
    m.n_vocab = VOCAB;
    m.n_embd = N_EMBD;
    m.extra = "output.weight";
    tiny_model_write(&m, tiny_model_path());
    job j;
    judge *g = NULL;
    double d;
    job_make(&j, ids, starts);
    (void)forget_peak();
    size_t before = status_bytes("VmRSS:");
    assert_ok(survey_tensors(&j, err));
    expect_peak(before, "losses");
    (void)forget_peak();
    assert_ok(judge_open(&g, &j, 0, err));
    assert_ok(gains_measure(&j, g, err));
    expect_peak(before, "what they cost");
    judge_rest(g);
    size_t rest = status_bytes("VmRSS:") - before;
    if (rest > 32 * MIB)
        fail_msg("%zu MiB are kept", rest / MIB);
    (void)forget_peak();
    assert_ok(judge_file(g, tiny_model_path(), &d, err));
    assert_true(d >= 0 && d < 1e-9);
    expect_peak(before, "verified");
    judge_close(&g);
    gguf_close(&j.file);
    mem_free(j.tensors);
}

/* Layers that were noisy and do not stay do not come back to be restored: there is never more than one. */
static void layers_do_not_pile_up(void **state)
{
    (void)state;
    int32_t ids[TOKENS];
    size_t starts[3];
    if (SANITISED || !forget_peak())
        skip();
    tiny_model m = tiny_model_default();
    m.n_layers = 12;
    m.n_ff = 2048;
    m.n_embd = N_EMBD;
    tiny_model_write(&m, tiny_model_path());
    job j;
    judge *g = NULL;
    job_make(&j, ids, starts);
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = (int32_t)rnd(m.n_vocab);
    const size_t layer = (size_t)3 * m.n_ff * m.n_embd * 4;
    for (size_t i = 0; i < j.n; i++) { /* as if surveyed */
        j.tensors[i].n_candidates = j.tensors[i].role != QUANT_KEPT;
        j.tensors[i].noise = 1;
    }
    assert_ok(judge_open(&g, &j, 0, err));
    (void)forget_peak();
    size_t before = status_bytes("VmRSS:");
    assert_ok(gains_measure(&j, g, err));
    size_t peak = status_bytes("VmHWM:") - before;
    print_message("%zu MiB above %zu, a layer has %zu\n", peak / MIB, before / MIB, layer / MIB);
    if (peak > 2 * layer + 16 * MIB)
        fail_msg("%zu MiB, a layer has %zu", peak / MIB, layer / MIB);
    judge_close(&g);
    gguf_close(&j.file);
    mem_free(j.tensors);
}

int main(void)
{
    if (!small_tools_open(&two, 2))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wide_head_is_in_memory_once),
        cmocka_unit_test(layers_do_not_pile_up),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_close(&two.pool);
    return rc;
}
