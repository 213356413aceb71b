/* From ledger to facts: what counts, what is stale and why, which side is taken; then the words. */
#include "lib/check.h"
#include "lib/own_ledger.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "route/plan.h"
#include "route/route.h"
#include "task/evidence.h"

enum { CASES = 60 };
static task *make_task(const char *privacy, const char *ask, const char *temperature)
{
    task *t = NULL;
    char text[1024];
    buf cases = BUF_INIT(1 << 20);
    int n = snprintf(text, sizeof text, "hearth: 1\nid: demo\nprivacy: %s\nprompt: '%s {{input}}'\n"
                     "output:\n  kind: label\n  labels: [red, green]\ngraders:\n  - type: label\nbar: 0.7\n"
                     "margin: 0.1\n"
                     "sampling: {temperature: %s, max_tokens: 8}\n", privacy, ask, temperature);
    for (int i = 0; i < CASES; i++)
        buf_printf(&cases, "{\"id\": \"c%02d\", \"input\": \"number %d\", \"expected\": \"red\"}\n", i, i);
    assert_ok(task_parse(&t, text, (size_t)n, "demo", err));
    assert_ok(task_parse_cases(t, cases.data, cases.len, err));
    buf_clear(&cases);
    return t;
}

typedef struct answers {
    const char *provider, *place, *source, *model, *cpu;
    int n, n_pass;
} answers;

/* Writes n answers of the task, of which the first n_pass pass. */
static void put(ledger *l, const task *t, answers a)
{
    task_case_key *keys = NULL;
    char *sampling = NULL, run[UUID_TEXT], id[UUID_TEXT];
    size_t n_keys = 0;
    assert_ok(task_case_keys(t, a.provider, &keys, &n_keys, err));
    assert_ok(task_sampling_key(t, &sampling, err));
    ledger_evidence e = { a.source, a.model, "1", "f16", "", false, sampling };
    ledger_run r = { .machine = *ledger_this_machine(), .task = t->id, .provider = a.provider, .place = a.place,
                     .model = "m", .version = "x", .threads = 2, .isa = "avx2", .power = "mains" };
    if (a.cpu)
        r.machine.cpu = a.cpu;
    assert_ok(ledger_begin(l, &r, &e, run, err));
    for (int i = 0; i < a.n; i++) {
        ledger_answer x = { .case_id = keys[i].c->id, .prompt = keys[i].prompt, .text = "red", .keep_text = true,
                            .finish = "stop", .n_prompt = 100, .n_output = 10, .n_cached = 0, .prefill_us = 1000,
                            .decode_us = 100000, .ttft_us = 2000, .total_us = 101000 + i, .mean_logprob = NAN };
        ledger_grade g = { keys[i].grader, i < a.n_pass, i < a.n_pass ? LEDGER_PASS : LEDGER_WRONG, NULL };
        assert_ok(ledger_append_answer(l, run, &x, &g, id, err));
    }
    assert_ok(ledger_append_fact(l, run, "peak_bytes", 1e8, "bytes", err));
    mem_free(keys);
    mem_free(sampling);
}

static const answers local_good = { "local:m.gguf", "local", "local", "w1", NULL, CASES, 55 };

typedef struct world {
    ledger *l;
    task *t;
    route_input in;
    route_decision d;
} world;

static int setup(void **state)
{
    static world w;
    memset(&w, 0, sizeof w);
    if (own_ledger_make(state))
        return -1;
    w.t = make_task("public", "colour of", "0");
    assert_ok(ledger_open(&w.l, path, LEDGER_WRITE, err));
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    task_close(&w->t);
    ledger_close(&w->l);
    return own_ledger_remove(state);
}

static void decide(world *w, const task *t, const route_candidate *c, size_t n)
{
    route_settings s = { .candidates = c, .n_candidates = n };
    assert_ok(route_gather(w->l, t, &s, &w->in, err));
    route_decide(&w->in, &w->d);
}

static void nothing_measured(void **state)
{
    world *w = *state;
    decide(w, w->t, NULL, 0);
    assert_int_equal(w->d.state, ROUTE_UNPROVEN);
    assert_int_equal(w->d.choice, ROUTE_REFUSE);
    ledger *kept = w->l;
    w->l = NULL; /* no ledger at all */
    decide(w, w->t, NULL, 0);
    w->l = kept;
    assert_int_equal(w->d.choice, ROUTE_REFUSE);
    assert_true(isnan(w->in.local.decode_per_s) && isnan(w->in.cloud.pass));
}

static void good_evidence_is_local(void **state)
{
    world *w = *state;
    put(w->l, w->t, local_good);
    decide(w, w->t, NULL, 0);
    assert_int_equal(w->d.choice, ROUTE_LOCAL);
    assert_string_equal(w->d.provider, "local:m.gguf");
    assert_int_equal(w->in.local.n_pass, 55);
    assert_true(fabs(w->in.local.lower - 0.8161) < 1e-3 && fabs(w->in.local.upper - 0.9724) < 1e-3); /* 55/60 */
    assert_true(fabs(w->in.local.decode_per_s - 100) < 1e-9 && fabs(w->in.local.latency_p95_ms - 101.056) < 1e-9);
    assert_true(w->in.local.peak_bytes == 1e8);
    assert_string_equal(w->in.local.stale, "");
    assert_int_equal(strlen(w->d.evidence), 64);
    assert_int_equal(strlen(w->d.run), 36);
}

static void what_changed_is_named_and_never_pooled(void **state)
{
    world *w = *state;
    put(w->l, w->t, local_good);
    task *prompted = make_task("public", "What colour has", "0"), *warmer = make_task("public", "colour of", "0.5");
    decide(w, prompted, NULL, 0);
    assert_int_equal(w->in.local.n, 0);
    assert_int_equal(w->in.local.n_stale, CASES);
    assert_non_null(strstr(w->d.reason, "the prompt or the input changed (60 answers)"));
    assert_int_equal(w->d.choice, ROUTE_REFUSE);
    decide(w, warmer, NULL, 0);
    assert_int_equal(w->in.local.n, 0);
    assert_non_null(strstr(w->in.local.stale, "the sampling options changed (60 answers)"));
    answers newer = local_good;
    newer.model = "w2";
    newer.n = 30;
    newer.n_pass = 24; /* of a part, too few to prove anything */
    put(w->l, w->t, newer);
    decide(w, w->t, NULL, 0);
    assert_int_equal(w->in.local.n, 30);
    assert_int_equal(w->in.local.n_stale, CASES);
    assert_non_null(strstr(w->in.local.stale, "the model file changed (60 answers)"));
    assert_int_equal(w->d.choice, ROUTE_REFUSE);
    assert_false(w->d.complete);
    answers back = local_good; /* the old file is put back: a run that has nothing to ask says so */
    back.n = 0;
    put(w->l, w->t, back);
    decide(w, w->t, NULL, 0);
    assert_int_equal(w->in.local.n, CASES);
    assert_int_equal(w->d.choice, ROUTE_LOCAL);
    task_close(&prompted);
    task_close(&warmer);
}

/* A decision that was kept is where the next one begins: what was local stays so in doubt, and says that. */
static void what_was_decided_is_remembered(void **state)
{
    world *w = *state;
    bool written = false;
    put(w->l, w->t, local_good);
    decide(w, w->t, NULL, 0);
    assert_int_equal(w->in.previous, ROUTE_UNPROVEN);
    assert_ok(route_record(w->l, w->t, &w->in, &w->d, &written, err));
    assert_true(written);
    assert_ok(route_record(w->l, w->t, &w->in, &w->d, &written, err));
    assert_false(written); /* the same again is no news */
    answers newer = local_good;
    newer.model = "w2";
    newer.n = 10;
    newer.n_pass = 8; /* proves nothing either way */
    put(w->l, w->t, newer);
    decide(w, w->t, NULL, 0);
    assert_int_equal(w->in.previous, ROUTE_STATE_LOCAL);
    assert_int_equal(w->d.choice, ROUTE_LOCAL);
    assert_int_equal(w->d.state, ROUTE_SUSPECT);
    newer.model = "w3"; /* refuted: doubt ends */
    newer.n = CASES;
    newer.n_pass = 5;
    put(w->l, w->t, newer);
    decide(w, w->t, NULL, 0);
    assert_int_equal(w->d.choice, ROUTE_REFUSE);
    assert_ok(route_record(w->l, w->t, &w->in, &w->d, &written, err));
    decide(w, w->t, NULL, 0);
    assert_int_equal(w->in.previous, ROUTE_CANDIDATE);
}

/* What is due to be measured again, each reason for itself. */
static void what_is_due_is_named(void **state)
{
    world *w = *state;
    static const plan_offer offers[] = { { "local:m.gguf", "w1" }, { "local:other.gguf", "w9" }, { "cloud", "" } };
    plan_item items[3];
    int64_t day = 86400000000, now;
    answers cloud = { "cloud", "remote", "openai:https://x/v1#big", "", NULL, CASES, 50 };
    put(w->l, w->t, local_good);
    put(w->l, w->t, cloud);
    now = clock_utc_us();
    assert_ok(plan_make(w->l, w->t, offers, 3, now, 90 * day, items, err));
    assert_int_equal(items[0].reason, PLAN_CURRENT);
    assert_int_equal(items[0].n_kept, CASES);
    assert_int_equal(items[1].reason, PLAN_NEW);
    assert_int_equal(items[2].reason, PLAN_CURRENT);
    assert_ok(plan_make(w->l, w->t, offers, 3, now + 91 * day, 90 * day, items, err));
    assert_int_equal(items[0].reason, PLAN_CURRENT); /* weights do not age */
    assert_int_equal(items[2].reason, PLAN_OLD);
    assert_non_null(strstr(items[2].why, "91 days"));
    assert_ok(plan_make(w->l, w->t, offers, 3, now + 91 * day, 0, items, err));
    assert_int_equal(items[2].reason, PLAN_CURRENT);
    plan_offer changed = { "local:m.gguf", "w2" }, renamed = { "local:copy.gguf", "w1" };
    assert_ok(plan_make(w->l, w->t, &changed, 1, now, 0, items, err));
    assert_int_equal(items[0].reason, PLAN_MODEL);
    assert_int_equal(items[0].n_kept, 0);
    assert_ok(plan_make(w->l, w->t, &renamed, 1, now, 0, items, err));
    assert_int_equal(items[0].reason, PLAN_CURRENT); /* the same weights under another name */
    task *prompted = make_task("public", "which colour has", "0"), *warmer = make_task("public", "colour of", "0.5");
    assert_ok(plan_make(w->l, prompted, offers, 1, now, 0, items, err));
    assert_int_equal(items[0].reason, PLAN_STALE);
    assert_non_null(strstr(items[0].why, "the prompt"));
    assert_ok(plan_make(w->l, warmer, offers, 1, now, 0, items, err));
    assert_int_equal(items[0].reason, PLAN_STALE);
    answers part = { "local:part.gguf", "local", "local", "w5", NULL, 12, 12 };
    plan_offer partly = { "local:part.gguf", "w5" };
    put(w->l, w->t, part);
    assert_ok(plan_make(w->l, w->t, &partly, 1, now, 0, items, err));
    assert_int_equal(items[0].reason, PLAN_INCOMPLETE);
    assert_int_equal(items[0].n_kept, 12);
    assert_ok(plan_make(NULL, w->t, offers, 2, now, 0, items, err)); /* no ledger yet */
    assert_int_equal(items[0].reason, PLAN_NEW);
    task_close(&prompted);
    task_close(&warmer);
}

static void a_recording_is_no_place_to_go(void **state)
{
    world *w = *state;
    answers a = local_good;
    a.provider = "replay:answers.jsonl";
    a.source = "replay:answers.jsonl";
    put(w->l, w->t, a);
    const route_candidate c[] = { { "replay:answers.jsonl", PRIVACY_LOCAL, true, NAN, NAN, false } };
    decide(w, w->t, c, 1);
    assert_int_equal(w->d.choice, ROUTE_REFUSE);
    assert_false(w->in.local.present);
}

static void speed_of_another_machine_is_not_ours(void **state)
{
    world *w = *state;
    answers a = local_good;
    a.cpu = "Another CPU";
    put(w->l, w->t, a);
    decide(w, w->t, NULL, 0);
    assert_int_equal(w->d.choice, ROUTE_LOCAL); /* quality is the same everywhere, and no limit asks for speed */
    assert_true(w->in.local.elsewhere && isnan(w->in.local.latency_p95_ms));
}

static void the_two_sides_are_paired_case_by_case(void **state)
{
    world *w = *state;
    const route_candidate c[] = { { "cloud", PRIVACY_REMOTE, false, 1.0, 2.0, false } };
    put(w->l, w->t, local_good);
    put(w->l, w->t, (answers){ "cloud", "remote", "openai:u#m", "", NULL, CASES, 58 });
    put(w->l, w->t, (answers){ "openai:other", "remote", "openai:other", "", NULL, CASES, CASES }); /* not configured */
    decide(w, w->t, c, 1);
    assert_int_equal(w->in.paired_w, 0);
    assert_int_equal(w->in.paired_t, 57);
    assert_int_equal(w->in.paired_l, 3);
    assert_string_equal(w->in.cloud.provider, "cloud");
    assert_true(fabs(w->in.cloud.cost_usd - (100 * 1.0 + 10 * 2.0) / 1e6) < 1e-12);
    assert_int_equal(w->d.choice, w->d.met_margin ? ROUTE_LOCAL : ROUTE_CLOUD);
    buf words = BUF_INIT(1 << 16);
    route_explain(&w->in, &w->d, &words);
    assert_non_null(strstr(buf_text(&words), "paired: only local right 0, same 57, only the other right 3"));
    assert_non_null(strstr(buf_text(&words), "55 of 60 right, 5 wrong, 0 malformed"));
    buf_clear(&words);
    js *j = route_to_js(&w->in, &w->d);
    assert_non_null(j);
    assert_non_null(js_get(js_get(j, "cloud"), "rate_lower"));
    js_free(j);
    task *private = make_task("private", "colour of", "0");
    decide(w, private, c, 1);
    assert_int_equal(w->d.choice, ROUTE_LOCAL);
    assert_int_equal(w->in.paired_l, 3);
    task_close(&private);
}

static void the_better_local_model_is_taken(void **state)
{
    world *w = *state;
    put(w->l, w->t, local_good);
    put(w->l, w->t, (answers){ "local:small.gguf", "local", "local", "w9", NULL, CASES, 30 });
    decide(w, w->t, NULL, 0);
    assert_string_equal(w->in.local.provider, "local:m.gguf");
    const route_candidate c[] = { { "rack", PRIVACY_ON_PREMISES, false, NAN, NAN, false },
                                  { "unmeasured", PRIVACY_LOCAL, false, NAN, NAN, false } };
    task *strict = make_task("internal", "What colour has", "0");
    decide(w, strict, c, 2);
    assert_int_equal(w->d.choice, ROUTE_CLOUD);
    assert_string_equal(w->d.provider, "rack");
    assert_int_equal(w->d.place, PRIVACY_ON_PREMISES);
    task_close(&strict);
}

/* Three places: the class of the request, not only the task's, says which of the others is the other side. */
static void an_internal_request_goes_to_its_own_premises(void **state)
{
    world *w = *state;
    const route_candidate places[] = { { "cloud", PRIVACY_REMOTE, false, NAN, NAN, false },
                                       { "desk", PRIVACY_ON_PREMISES, false, NAN, NAN, true },
                                       { "rack", PRIVACY_ON_PREMISES, false, NAN, NAN, false } };
    static const struct {
        const char *task;
        privacy_class request;
        size_t n;
        const char *goes_to, *says; /* NULL: it is refused */
    } rows[] = {
        { "public", PRIVACY_PUBLIC, 3, "cloud", "cloud (remote) may take it" },
        { "public", PRIVACY_INTERNAL, 3, "rack", "rack (on-premises) may take it" }, /* a label raised it */
        { "internal", PRIVACY_PUBLIC, 3, "rack", "rack (on-premises) may take it" }, /* and cannot lower it */
        { "internal", PRIVACY_PUBLIC, 2, NULL, "it is internal, and cloud is remote" },
        { "internal", PRIVACY_PRIVATE, 3, NULL, "it is private, so no other machine may see it" },
        { "public", PRIVACY_SECRET, 3, NULL, "it is secret, so no other machine may see it" },
    };
    put(w->l, w->t, (answers){ "cloud", "remote", "openai:u#m", "", NULL, CASES, 58 }); /* it alone was measured */
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        task *t = make_task(rows[i].task, "colour of", "0");
        route_settings s = { .candidates = places, .n_candidates = rows[i].n, .privacy = rows[i].request };
        assert_ok(route_gather(w->l, t, &s, &w->in, err));
        assert_int_equal(w->in.privacy, privacy_class_join(t->privacy, rows[i].request));
        route_decide(&w->in, &w->d);
        assert_int_equal(w->d.choice, rows[i].goes_to ? ROUTE_CLOUD : ROUTE_REFUSE);
        assert_string_equal(w->d.provider, rows[i].goes_to ? rows[i].goes_to : "");
        if (!strstr(w->d.reason, rows[i].says))
            fail_msg("row %zu: %s", i, w->d.reason);
        task_close(&t);
    }
    route_settings only = { .candidates = places + 1, .n_candidates = 1, .privacy = PRIVACY_INTERNAL };
    assert_ok(route_gather(w->l, w->t, &only, &w->in, err));
    route_decide(&w->in, &w->d);
    assert_int_equal(w->d.choice, ROUTE_REFUSE);
    assert_non_null(strstr(w->d.reason, "it is internal, and desk takes public requests only"));
}

static bool weights_now(const void *user, const char *provider, char out[DIGEST_HEX])
{
    assert_string_equal(provider, "local:m.gguf");
    snprintf(out, DIGEST_HEX, "%s", (const char *)user);
    return true;
}

/* What was measured with other weights under the same name says nothing of today's, whichever run is the newer one. */
static void other_weights_do_not_count(void **state)
{
    world *w = *state;
    static const struct {
        const char *now, *stale;
        uint32_t n_pass, n_stale;
    } rows[] = { { "w1", "the model file changed (60 answers)", 55, CASES },
                 { "w2", "the model file changed (60 answers)", 20, CASES },
                 { "w3", "the model file changed (60 answers)", 0, 2 * CASES },
                 { "", "the model file is not there (60 answers)", 0, 2 * CASES } };
    put(w->l, w->t, local_good);
    put(w->l, w->t, (answers){ "local:m.gguf", "local", "local", "w2", NULL, CASES, 20 });
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        route_settings s = { .weights = weights_now, .weights_user = rows[i].now };
        assert_ok(route_gather(w->l, w->t, &s, &w->in, err));
        assert_int_equal(w->in.local.n_pass, rows[i].n_pass);
        assert_int_equal(w->in.local.n, rows[i].n_pass ? CASES : 0);
        assert_int_equal(w->in.local.n_stale, rows[i].n_stale);
        assert_non_null(strstr(w->in.local.stale, rows[i].stale));
        route_decide(&w->in, &w->d);
        assert_int_equal(w->d.choice, i == 0 ? ROUTE_LOCAL : ROUTE_REFUSE);
    }
}

/* Nor what another engine, or one with other keys and values, answered. */
static void another_engine_does_not_count(void **state)
{
    world *w = *state;
    static const struct {
        const char *numerics, *kv_type, *stale;
    } rows[] = { { "1", "f16", "" },
                 { NULL, NULL, "" },
                 { "2", "f16", "the engine computes otherwise since (60 answers)" },
                 { "1", "q8", "the type of keys and values changed (60 answers)" } };
    put(w->l, w->t, local_good);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        route_settings s = { .numerics = rows[i].numerics, .kv_type = rows[i].kv_type };
        assert_ok(route_gather(w->l, w->t, &s, &w->in, err));
        assert_int_equal(w->in.local.n, *rows[i].stale ? 0 : CASES);
        assert_string_equal(w->in.local.stale, rows[i].stale);
    }
}

/* A cloud that costs too much does not hide one that does not. */
static void what_is_too_dear_gives_way(void **state)
{
    world *w = *state;
    const route_candidate places[] = { { "dear", PRIVACY_REMOTE, false, 1000, 1000, false },
                                       { "cheap", PRIVACY_REMOTE, false, 1, 1, false },
                                       { "unknown", PRIVACY_ON_PREMISES, false, NAN, NAN, false } };
    put(w->l, w->t, (answers){ "dear", "remote", "openai:d#m", "", NULL, CASES, 60 });
    put(w->l, w->t, (answers){ "cheap", "remote", "openai:c#m", "", NULL, CASES, 55 });
    decide(w, w->t, places, 3);
    assert_string_equal(w->d.provider, "dear"); /* there is no limit: the first */
    w->t->limits.cost_usd = 0.01; /* an answer of 110 tokens costs 0.11 there */
    decide(w, w->t, places, 3);
    assert_string_equal(w->d.provider, "cheap");
    assert_int_equal(w->in.cloud.n_pass, 55);
    w->t->limits.cost_usd = 0.00001; /* what is not known is not too much */
    decide(w, w->t, places, 3);
    assert_string_equal(w->d.provider, "unknown");
    decide(w, w->t, places, 2);
    assert_int_equal(w->d.choice, ROUTE_REFUSE);
}

static void the_table_is_aligned(void **state)
{
    world *w = *state;
    route_input in[2];
    route_decision d[2];
    decide(w, w->t, NULL, 0);
    in[0] = w->in;
    d[0] = w->d;
    put(w->l, w->t, local_good);
    decide(w, w->t, NULL, 0);
    in[1] = w->in;
    d[1] = w->d;
    for (size_t columns = 0; columns <= 200; columns += 40) {
        buf out = BUF_INIT(1 << 16);
        route_table(in, d, 2, columns, &out);
        const char *text = buf_text(&out), *privacy = strstr(text, "privacy");
        const char *second = strstr(text, "91.7 %");
        assert_true(privacy && second && strstr(second, "local"));
        const char *line = second;
        while (line > text && line[-1] != '\n')
            line--;
        assert_memory_equal(line + (privacy - text), "public", 6); /* the column begins where its title does */
        for (const char *p = text; columns >= 120 && *p;) {
            size_t n = strcspn(p, "\n");
            assert_true(n <= columns);
            p += n + (p[n] != 0);
        }
        buf_clear(&out);
    }
}

static void every_allocation_may_fail(void **state)
{
    world *w = *state;
    put(w->l, w->t, local_good);
    route_settings s = { 0 };
    int failed = 0;
    for (uint64_t n = 1; n < 4000; n += n < 40 ? 1 : 61) {
        error e = { 0 };
        mem_fail_at(n);
        status got = route_gather(w->l, w->t, &s, &w->in, &e);
        mem_fail_at(0);
        failed += got != OK;
        if (got == OK) { /* whatever failed on the way, a good result is the right one or says less, never more */
            route_decide(&w->in, &w->d);
            assert_true(w->in.local.n == CASES || (w->in.local.n < CASES && !w->d.complete));
        }
    }
    assert_true(failed > 5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_measured), TEST(good_evidence_is_local), TEST(what_changed_is_named_and_never_pooled),
        TEST(what_was_decided_is_remembered), TEST(what_is_due_is_named),
        TEST(a_recording_is_no_place_to_go), TEST(speed_of_another_machine_is_not_ours),
        TEST(the_two_sides_are_paired_case_by_case), TEST(the_better_local_model_is_taken),
        TEST(an_internal_request_goes_to_its_own_premises),
        TEST(what_is_too_dear_gives_way), TEST(the_table_is_aligned),
        TEST(other_weights_do_not_count), TEST(the_table_is_aligned),
        TEST(another_engine_does_not_count), TEST(the_table_is_aligned),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
