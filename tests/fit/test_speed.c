/* The speed bench on a tiny model: what it says it measured, it measured; what cannot be measured is refused. */
#include "lib/check.h"
#include "lib/tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fit/speed.h"

static char model[64], window_model[64];
static speed_result r;

static speed_options small(void)
{
    return (speed_options){ .depths = { 0 }, .n_depths = 1, .batches = { 1 }, .n_batches = 1, .repeat = 3,
                            .n_prefill = 32, .n_decode = 4 };
}

static engine_options engine_defaults(void)
{
    engine_options o;
    engine_options_init(&o);
    o.n_threads = 1;
    return o;
}

static void check_rate(const speed_rate *x)
{
    assert_true(x->least > 0 && x->least <= x->median && x->median <= x->most);
}

static void every_figure_is_there(void **state)
{
    (void)state;
    speed_options o = small();
    engine_options eo = engine_defaults();
    o.depths[0] = 5000; /* the tiny model has 1024 positions: as deep as it goes */
    o.depths[1] = 64;
    o.depths[2] = 0;
    o.depths[3] = 4000; /* the same again */
    o.n_depths = 4;
    o.batches[1] = 8;
    o.n_batches = 2;
    assert_ok(speed_measure(model, &eo, &o, &r, err));
    assert_int_equal(r.n_depths, 3);
    const uint32_t want[] = { 0, 64, 1024 - 32 };
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(r.depths[i].depth, want[i]);
        check_rate(&r.depths[i].prefill);
        check_rate(&r.depths[i].decode);
        assert_true(r.depths[i].decode.share > 0);
    }
    assert_int_equal(r.n_batches, 2);
    for (uint32_t i = 0; i < r.n_batches; i++)
        check_rate(&r.batches[i].decode);
    assert_int_equal(r.batches[1].sequences, 8);
    assert_int_equal(r.threads, 1);
    assert_true(r.load_s > 0 && r.first_token_s > 0 && r.read_bytes_per_s > 0);
    assert_true(r.planned_bytes > r.model.budget.weights_bytes);
    js *j = speed_js(&r);
    assert_int_equal(js_len(js_get(j, "depths")), 3);
    assert_int_equal(js_len(js_get(j, "batches")), 2);
    js_free(j);
}

/* Measuring goes back by all it has fed, again and again: the pages for that are planned, and nothing is fed anew. */
static void models_with_windows_too(void **state)
{
    (void)state;
    tiny_model m = tiny_model_default();
    engine_options eo = engine_defaults();
    speed_options o = small();
    m.arch = "gemma3";
    m.window = 40;
    m.post_norm = m.qk_norm = true;
    m.n_layers = 7;
    tiny_model_write(&m, window_model);
    eo.batch = 32;
    o.n_prefill = 300;
    o.depths[0] = 700;
    o.batches[0] = 8;
    assert_ok(speed_measure(window_model, &eo, &o, &r, err));
    assert_int_equal(r.depths[0].depth, 700);
    check_rate(&r.depths[0].prefill);
    const engine_pages *pages = r.model.budget.pages;
    assert_int_equal(pages[ENGINE_WINDOW].session_pages, (40 - 1 + 300 + 62) / 64 + 1);
    /* 1000 positions for one session, one page each for eight */
    assert_int_equal(pages[ENGINE_GLOBAL].n_pages, 1000 / 64 + 1 + 8);
    assert_int_equal(pages[ENGINE_WINDOW].n_pages, pages[ENGINE_GLOBAL].n_pages);
}

static void what_cannot_be_measured_is_refused(void **state)
{
    (void)state;
    error e;
    engine_options eo = engine_defaults();
    speed_options o = small();
    o.repeat = 0;
    assert_int_equal(speed_measure(model, &eo, &o, &r, &e), E_RANGE);
    o = small();
    o.batches[0] = SPEED_BATCH_MAX + 1;
    assert_int_equal(speed_measure(model, &eo, &o, &r, &e), E_RANGE);
    o = small();
    o.n_prefill = 2048;
    assert_int_equal(speed_measure(model, &eo, &o, &r, &e), E_RANGE);
    assert_non_null(strstr(e.text, "1024 positions"));
    o = small();
    eo.mem_bytes = 4096;
    assert_int_equal(speed_measure(model, &eo, &o, &r, &e), E_NOFIT);
    eo.mem_bytes = 0;
    assert_int_equal(speed_measure("/nowhere.gguf", &eo, &o, &r, &e), E_NOTFOUND);
}

static int calls_left;

static bool stop_after(void *user, const char *what)
{
    (void)user;
    assert_true(*what);
    return calls_left-- == 0;
}

/* Stopped at each of its steps, it says so, and nothing leaks (the sanitizer looks). */
static void it_can_be_stopped_anywhere(void **state)
{
    (void)state;
    engine_options eo = engine_defaults();
    speed_options o = small();
    o.progress = stop_after;
    o.repeat = 1;
    for (int n = 0; n < 100; n++) {
        error e;
        calls_left = n;
        status s = speed_measure(model, &eo, &o, &r, &e);
        if (s == OK) {
            assert_true(n >= 4);
            return;
        }
        assert_int_equal(s, E_CANCELLED);
    }
    fail_msg("it never ended");
}

static void threads_are_tried_from_one_up(void **state)
{
    (void)state;
    engine_options eo = engine_defaults();
    speed_threads t;
    assert_ok(speed_choose_threads(model, &eo, NULL, NULL, &t, err));
    assert_int_equal(t.n[0], 1);
    double best = 0;
    for (int i = 0; i < t.n_tried; i++) {
        assert_true(i == 0 || t.n[i] > t.n[i - 1]);
        best = t.prefill_per_s[i] * t.decode_per_s[i] > best ? t.prefill_per_s[i] * t.decode_per_s[i] : best;
    }
    for (int i = 0; i < t.n_tried; i++) {
        bool near = t.prefill_per_s[i] * t.decode_per_s[i] >= 0.94 * best;
        assert_true(t.n[i] < t.best ? !near : t.n[i] > t.best || near);
    }
}

int main(void)
{
    snprintf(model, sizeof model, "/tmp/hearth-speed-%ld.gguf", (long)getpid());
    tiny_model m = tiny_model_default();
    snprintf(window_model, sizeof window_model, "/tmp/hearth-speed-window-%ld.gguf", (long)getpid());
    tiny_model_write(&m, model);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_figure_is_there),
        cmocka_unit_test(models_with_windows_too),
        cmocka_unit_test(what_cannot_be_measured_is_refused),
        cmocka_unit_test(it_can_be_stopped_anywhere),
        cmocka_unit_test(threads_are_tried_from_one_up),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(model);
    unlink(window_model);
    return rc;
}
