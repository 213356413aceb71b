/* Choosing among candidates: with askers of known quality through the whole procedure, and simulated, for the rates at
 * which it is wrong. */
#include "lib/check.h"
#include "lib/own_ledger.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "measure/choose_int.h"
#include "ledger/tally.h"
#include "plat/machine.h"
#include "task/evidence.h"

enum { MANY = 6 };

static int teardown(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

/* ---- simulated: no asker, no ledger ---- */

static uint64_t seed;

static double draw(void) /* splitmix64, in [0, 1) */
{
    uint64_t z = (seed += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

typedef struct world {
    choose_table t;
    choose_row rows[MANY];
} world;

static void new_world(world *w, size_t m, size_t n)
{
    memset(w, 0, sizeof *w);
    uint32_t *unit = mem_array(n, sizeof *unit);
    w->t = (choose_table){ m, n, unit, mem_array(m * n, 1), mem_array(m * n, 1), NULL, NULL,
                           mem_array(n, sizeof(double)) };
    for (size_t i = 0; i < n; i++)
        unit[i] = (uint32_t)i;
}

static void free_world(world *w)
{
    mem_free((void *)(uintptr_t)w->t.unit);
    mem_free(w->t.outcome);
    mem_free(w->t.slow);
    mem_free(w->t.scratch);
}

/* Half of the time all candidates share a case's difficulty, as models do. */
static void draw_world(world *w, const double *rate)
{
    for (size_t place = 0; place < w->t.n_cases; place++) {
        double common = draw();
        for (size_t i = 0; i < w->t.m; i++) {
            w->t.outcome[i * w->t.n_cases + place] =
                (draw() < 0.5 ? common : draw()) < rate[i] ? LEDGER_PASS : LEDGER_WRONG;
            w->t.slow[i * w->t.n_cases + place] = draw() < 0.05;
        }
    }
    for (size_t i = 0; i < w->t.m; i++)
        w->rows[i] = (choose_row){ .name = "x", .prompt = "default", .better = SIZE_MAX };
}

static void judge_as_it_comes(world *w, const choose_rules *r)
{
    for (size_t seen = 8; ; seen += (seen + 1) / 2) {
        size_t to = seen < w->t.n_cases ? seen : w->t.n_cases;
        choose_judge(&w->t, to, r, w->rows);
        if (to == w->t.n_cases)
            return;
    }
}

/* All candidates are exactly at the bar, and exactly as slow as they may be: none is above or below, none too slow. */
static void false_claims_over_all_candidates(void **state)
{
    (void)state;
    enum { RUNS = 250, N = 96 };
    world w;
    double rate[MANY];
    const choose_rules r = { .alpha = 0.05, .bar = 0.8, .margin = 1, .malformed = -1, .limits_latency = true,
                             .m = MANY };
    int above = 0, below = 0, slow = 0, alone = 0;
    new_world(&w, MANY, N);
    for (int i = 0; i < MANY; i++)
        rate[i] = r.bar;
    seed = 11;
    for (int run = 0; run < RUNS; run++) {
        int a = 0, b = 0, s = 0;
        draw_world(&w, rate);
        judge_as_it_comes(&w, &r);
        for (int i = 0; i < MANY; i++) {
            a += w.rows[i].bar == MEASURE_PROVEN;
            b += w.rows[i].end == CHOOSE_BELOW_BAR;
            s += w.rows[i].end == CHOOSE_SLOW;
        }
        above += a > 0;
        below += b > 0;
        slow += s > 0;
        choose_rules each = r; /* as if each were the only one: what sharing alpha prevents */
        each.m = 1;
        draw_world(&w, rate);
        judge_as_it_comes(&w, &each);
        for (int i = 0; i < MANY; i++)
            if (w.rows[i].bar == MEASURE_PROVEN) {
                alone++;
                break;
            }
    }
    printf("of %d runs: above %d, below %d, slow %d; without sharing above %d\n", RUNS, above, below, slow, alone);
    /* alpha RUNS */
    assert_in_range(above, 0, RUNS / 20);
    assert_in_range(below, 0, RUNS / 20);
    assert_in_range(slow, 0, RUNS / 20);
    assert_true(alone > above);
    free_world(&w);
}

/* Equal candidates: that the first of them is lost, to elimination or among the ties. */
static void the_best_is_not_lost(void **state)
{
    (void)state;
    enum { RUNS = 100, N = 96, M = 4 };
    world w;
    const double rate[M] = { 0.7, 0.7, 0.7, 0.7 };
    const choose_rules r = { .alpha = 0.05, .bar = -1, .margin = 0.02, .malformed = -1, .m = M };
    int lost = 0;
    new_world(&w, M, N);
    seed = 12;
    for (int run = 0; run < RUNS; run++) {
        draw_world(&w, rate);
        judge_as_it_comes(&w, &r);
        (void)choose_ties(&w.t, N, &r, w.rows);
        lost += !w.rows[0].tied;
    }
    printf("of %d runs: lost %d\n", RUNS, lost);
    assert_in_range(lost, 0, RUNS / 20);
    free_world(&w);
}

static void intervals_hold_together(void **state)
{
    (void)state;
    enum { RUNS = 200, N = 60 };
    world w;
    const double rate[MANY] = { 0.5, 0.6, 0.7, 0.8, 0.9, 0.97 };
    const choose_rules r = { .alpha = 0.1, .bar = -1, .margin = 1, .malformed = -1, .m = MANY };
    int missed = 0;
    new_world(&w, MANY, N);
    seed = 13;
    for (int run = 0; run < RUNS; run++) {
        bool all = true;
        draw_world(&w, rate);
        for (size_t i = 0; i < MANY; i++) {
            w.rows[i].n_seen = run % 2 ? N : 27; /* the whole suite, or as far as it came */
            w.rows[i].whole = run % 2;
            choose_rate(&w.t, i, &r, &w.rows[i]);
            all = all && w.rows[i].low <= rate[i] && rate[i] <= w.rows[i].high;
            assert_true(w.rows[i].low <= w.rows[i].rate && w.rows[i].rate <= w.rows[i].high);
        }
        missed += !all;
    }
    assert_in_range(missed, 0, RUNS / 10);
    free_world(&w);
}

static void preference_decides_among_equals(void **state)
{
    (void)state;
    static const task_limits none = { -1, -1, -1 }, quick = { 100, -1, -1 };
    choose_row rows[3] = { { .name = "a" }, { .name = "b" }, { .name = "c" } };
    bool among[3] = { true, true, true };
    const double ms[] = { 50, 20, 200 }, bytes[] = { 3, 2, 1 }, usd[] = { 0.1, NAN, 0.2 }, joules[] = { NAN, 9, 8 };
    for (int i = 0; i < 3; i++) {
        rows[i].speed.answer_p50_ms = ms[i];
        rows[i].speed.answer_p95_ms = 2 * ms[i];
        rows[i].memory_bytes = bytes[i];
        rows[i].cost.mean = usd[i];
        rows[i].energy.mean = joules[i];
        strcpy(rows[i].power, "mains");
    }
    assert_int_equal(choose_preferred(rows, 3, &none, CHOOSE_FAST, among), 1);
    assert_int_equal(choose_preferred(rows, 3, &none, CHOOSE_SMALL, among), 2);
    assert_int_equal(choose_preferred(rows, 3, &none, CHOOSE_CHEAP, among), 0);
    assert_int_equal(choose_preferred(rows, 3, &none, CHOOSE_ENERGY, among), 2);
    assert_int_equal(choose_preferred(rows, 3, &quick, CHOOSE_SMALL, among), 1); /* c is over the limit */
    assert_true(choose_exceeds(&rows[2], &quick) == 1 && choose_exceeds(&rows[1], &quick) == 0);
    rows[0].bar = MEASURE_PROVEN;
    assert_int_equal(choose_preferred(rows, 3, &none, CHOOSE_SMALL, among), 0);
    assert_false(choose_is_first(rows, 3, CHOOSE_SMALL, among, 0)); /* and is not called the smallest for that */
    assert_true(choose_is_first(rows, 3, CHOOSE_SMALL, among, 2));
    assert_false(choose_is_first(rows, 3, CHOOSE_CHEAP, among, 1)); /* not known */
    rows[0].bar = MEASURE_OPEN;
    strcpy(rows[2].power, "battery"); /* speeds cannot be compared: the next preference, small */
    assert_int_equal(choose_preferred(rows, 3, &none, CHOOSE_FAST, among), 2);
    among[1] = among[2] = false;
    assert_int_equal(choose_preferred(rows, 3, &none, CHOOSE_FAST, among), 0);
    among[0] = false;
    assert_true(choose_preferred(rows, 3, &none, CHOOSE_FAST, among) == SIZE_MAX);
}

/* ---- through the ledger ---- */

typedef struct asker {
    int wrong_every;     /* every so many cases; 0: never wrong */
    const char *says;    /* NULL: the right label; else always this */
    unsigned wait_us;
    bool wants_prompt;   /* right only where the prompt says "please" */
    bool fails, no_fit;
    provider_info who;
    atomic_int calls;
    int opened;
    const char *counter; /* an energy counter that each answer raises by 2 J */
} asker;

static _Atomic uint64_t counted_uj;

static status ask(void *user, const request *r, event_fn *fn, void *fn_user, const provider_limits *limits, error *err)
{
    asker *a = user;
    (void)limits;
    int i = (int)strtol(r->case_id + 1, NULL, 10);
    atomic_fetch_add(&a->calls, 1);
    if (a->wait_us)
        usleep(a->wait_us);
    if (a->fails) {
        event_error e = { .code = E_PROVIDER, .kind = FAULT_CRASHED, .text = "gone" };
        (void)fn(fn_user, &(event){ .kind = EVENT_ERROR, .error = &e });
        return fail(err, E_PROVIDER, "gone");
    }
    if (a->counter) {
        char next[160]; /* a counter is never seen half written */
        snprintf(next, sizeof next, "%s.next", a->counter);
        FILE *f = fopen(next, "w");
        fprintf(f, "%llu\n", (unsigned long long)(counted_uj += 2000000));
        fclose(f);
        (void)rename(next, a->counter);
    }
    bool right = !a->wrong_every || i % a->wrong_every != 0;
    if (a->wants_prompt)
        right = strstr(r->messages[0].content, "please") != NULL;
    const char *text = a->says ? a->says : (i % 2 == 0) == right ? "red" : "green";
    event_done d = { .finish = ANSWER_STOP, .prompt_tokens = 100, .completion_tokens = 10, .prefill_seconds = NAN,
                     .decode_seconds = NAN, .ttft_seconds = NAN, .mean_logprob = NAN, .model = a->who.model,
                     .model_digest = a->who.model_digest, .numerics = a->who.numerics };
    if (fn(fn_user, &(event){ .kind = EVENT_TEXT, .text = text, .text_bytes = strlen(text) }))
        d.finish = ANSWER_CANCELLED;
    (void)fn(fn_user, &(event){ .kind = EVENT_DONE, .end = &d });
    return OK;
}

static asker askers[MANY];
static choose_candidate candidates[MANY];
static choose_row rows[MANY];
static choose_outcome out;
static size_t n_candidates;
static char told[8192];

static status look(void *user, size_t i, const provider_info **who, error *err)
{
    (void)user;
    asker *a = &askers[i];
    if (a->no_fit)
        return fail(err, E_NOFIT, "it needs 9 GiB and 8 may be taken");
    *who = &a->who;
    return OK;
}

static status open_it(void *user, size_t i, measure_arm *arm, error *err)
{
    (void)user;
    (void)err;
    askers[i].opened++;
    *arm = (measure_arm){ &askers[i].who, ask, &askers[i], NULL };
    return OK;
}

static void hear(void *user, const char *sentence)
{
    (void)user;
    snprintf(told + strlen(told), sizeof told - strlen(told), "%s\n", sentence);
}

static asker *add(asker a, const char *name)
{
    static const provider_info local = { .kind = PROVIDER_LOCAL, .place = PLACE_LOCAL, .url = "", .numerics = "1",
                                         .kv_type = "f16", .isa = "avx2", .arch = "x", .file_type = "Q4_1",
                                         .n_threads = 2, .parallel = 4, .has_template = true, .budget_bytes = 1000 };
    asker *to = &askers[n_candidates];
    *to = a;
    if (!to->who.name) {
        to->who = local;
        to->who.name = to->who.model = to->who.model_digest = name;
    }
    candidates[n_candidates] = (choose_candidate){ name, NULL };
    n_candidates++;
    return to;
}

static void nobody(void)
{
    memset(askers, 0, sizeof askers);
    memset(candidates, 0, sizeof candidates);
    n_candidates = 0;
    told[0] = 0;
}

static task *make_task(int n, const char *more)
{
    task *t = NULL;
    buf cases = BUF_INIT(1 << 20), yaml = BUF_INIT(4096);
    buf_printf(&yaml, "hearth: 1\nid: demo\nprivacy: public\nprompt: 'colour of {{input}}'\noutput:\n  kind: label\n"
               "  labels: [red, green]\ngraders:\n  - type: label\nmargin: 0.1\n%s", more);
    for (int i = 0; i < n; i++)
        buf_printf(&cases, "{\"id\": \"c%03d\", \"input\": \"number %d\", \"expected\": \"%s\"}\n", i, i,
                   i % 2 ? "green" : "red");
    assert_ok(task_parse(&t, yaml.data, yaml.len, "demo", err));
    assert_ok(task_parse_cases(t, cases.data, cases.len, err));
    buf_clear(&yaml);
    buf_clear(&cases);
    return t;
}

static status choose_with(const task *t, const measure_options *m, choose_options o, error *e)
{
    ledger *l = NULL;
    const choose_door door = { look, open_it, NULL };
    o.measure = m;
    o.tell = hear;
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    status s = measure_choose(l, t, candidates, n_candidates, &door, &o, rows, &out, e);
    assert_int_equal(ledger_verify(l, NULL), OK);
    ledger_close(&l);
    return s;
}

static const choose_options plainly = { .usd_per_month = NAN, .usd_per_kwh = NAN, .watts_busy = NAN };
static const measure_options no_options = { 0 };

static int calls(void)
{
    int sum = 0;
    for (size_t i = 0; i < n_candidates; i++)
        sum += askers[i].calls;
    return sum;
}

static void the_best_is_found_and_the_bad_are_dropped_early(void **state)
{
    (void)state;
    task *t = make_task(200, "bar: 0.7\nlimits: {malformed: 0.2}\n");
    nobody();
    add((asker){ .wrong_every = 1 }, "local:always-wrong");
    add((asker){ .wrong_every = 20 }, "local:good");
    add((asker){ .says = "no colour" }, "local:garbage");
    add((asker){ .wrong_every = 3 }, "local:middling");
    add((asker){ .no_fit = true }, "local:huge");
    add((asker){ .fails = true }, "local:broken");
    assert_ok(choose_with(t, &no_options, plainly, err));
    assert_int_equal(out.chosen, 1);
    assert_int_equal(out.m, 5); /* for what does not fit nothing is paid */
    assert_int_equal(rows[0].end, CHOOSE_BELOW_BAR);
    assert_int_equal(rows[2].end, CHOOSE_BELOW_BAR);
    assert_true(rows[3].end == CHOOSE_WORSE || rows[3].end == CHOOSE_BELOW_BAR);
    assert_int_equal(rows[4].end, CHOOSE_NO_FIT);
    assert_int_equal(askers[4].opened, 0);
    assert_non_null(strstr(rows[4].why, "9 GiB"));
    assert_int_equal(rows[5].end, CHOOSE_FAILED);
    assert_int_equal(rows[1].bar, MEASURE_PROVEN);
    assert_in_range(askers[0].calls, 8, 30);
    assert_int_equal(askers[5].calls, 5); /* failures in a row */
    assert_true(askers[3].calls < 200 && rows[3].n == rows[3].n_seen);
    assert_string_equal(out.ended, "one-left");
    assert_true(out.n_saved > 400 && out.n_asked == (uint32_t)(calls() - 5));
    assert_true(rows[1].low <= 0.95 && rows[1].high >= 0.95 && rows[1].low > 0.6);
    assert_non_null(strstr(out.why, "local:good"));
    assert_non_null(strstr(out.why, "proven to reach the bar"));
    assert_non_null(strstr(told, "local:always-wrong, prompt default: below the bar"));
    /* the same again asks nobody but the broken one, and opens nobody else */
    int before = calls() - askers[5].calls;
    uint32_t n[4] = { rows[0].n, rows[1].n, rows[2].n, rows[3].n };
    assert_ok(choose_with(t, &no_options, plainly, err));
    assert_int_equal(calls() - askers[5].calls, before);
    assert_int_equal(out.n_asked, 0);
    assert_int_equal(out.chosen, 1);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(rows[i].n, n[i]);
    size_t order[MANY];
    choose_sort(rows, n_candidates, order);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 3);
    task_close(&t);
}

static void equal_ones_are_called_equal(void **state)
{
    (void)state;
    task *t = make_task(60, "");
    nobody();
    add((asker){ .wrong_every = 7, .wait_us = 3000 }, "local:a");
    add((asker){ .wrong_every = 8 }, "local:b");
    add((asker){ .wrong_every = 9, .wait_us = 3000 }, "local:c");
    askers[0].who.budget_bytes = 500;
    assert_ok(choose_with(t, &no_options, plainly, err));
    assert_string_equal(out.ended, "suite");
    assert_int_equal(out.n_tied, 3);
    assert_int_equal(out.chosen, 1); /* the fastest */
    assert_non_null(strstr(out.why, "these 3 cannot be told apart with 60 cases; the fastest"));
    choose_options small = plainly;
    small.prefer = CHOOSE_SMALL;
    assert_ok(choose_with(t, &no_options, small, err));
    assert_int_equal(out.chosen, 0);
    assert_int_equal(out.n_asked, 0);
    for (size_t i = 0; i < 3; i++)
        assert_true(rows[i].whole && rows[i].n == 60 && rows[i].n_seen == 60);
    task_close(&t);
}

/* Within the margin of each other is enough: the rest of the suite need not be asked. */
static void it_may_end_when_it_is_decided(void **state)
{
    (void)state;
    task *t = make_task(400, "bar: 0.6\n");
    nobody();
    add((asker){ .wrong_every = 50 }, "local:a");
    add((asker){ .wrong_every = 51, .wait_us = 500 }, "local:b");
    choose_options o = plainly;
    o.until_decided = true;
    assert_ok(choose_with(t, &no_options, o, err));
    assert_string_equal(out.ended, "decided");
    assert_in_range(out.n_seen, 44, 200);
    assert_int_equal(rows[out.chosen].bar, MEASURE_PROVEN);
    task_close(&t);
}

static void each_prompt_is_a_candidate(void **state)
{
    (void)state;
    task *t = make_task(60, "variants:\n  'local:m*': 'please: colour of {{input}}'\n");
    nobody();
    add((asker){ .wants_prompt = true }, "local:m1");
    add((asker){ .wants_prompt = true }, "local:m1");
    candidates[0].prompt = &t->prompt;
    candidates[1].prompt = &t->variants[0];
    assert_ok(choose_with(t, &no_options, plainly, err));
    assert_int_equal(out.chosen, 1);
    assert_int_equal(rows[0].n_pass, 0);
    assert_string_equal(rows[0].prompt, "default");
    assert_string_equal(rows[1].prompt, "local:m*");
    assert_string_equal(rows[0].evidence, rows[1].evidence); /* told apart by their prompts alone */
    /* what was measured with a forced variant is what measuring finds where the task asks so itself */
    measure_result r = { 0 };
    ledger *l = NULL;
    int before = askers[1].calls;
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(measure_task(l, t, &askers[1].who, ask, &askers[1], &no_options, &r, err));
    ledger_close(&l);
    assert_int_equal(r.n_kept, before);
    task_close(&t);
}

static void the_slow_are_dropped(void **state)
{
    (void)state;
    task *t = make_task(60, "limits: {latency_p95_ms: 40}\n");
    nobody();
    add((asker){ .wait_us = 90000 }, "local:slow");
    add((asker){ .wrong_every = 30 }, "local:quick");
    assert_ok(choose_with(t, &no_options, plainly, err));
    assert_int_equal(rows[0].end, CHOOSE_SLOW);
    assert_true(rows[0].n_slow == rows[0].n_timed && rows[0].n_timed >= 2 && askers[0].calls < 30);
    assert_int_equal(out.chosen, 1);
    task_close(&t);
}

static void budgets_end_it(void **state)
{
    (void)state;
    static const provider_info cloud = { .name = "cloud", .kind = PROVIDER_OPENAI, .place = PLACE_REMOTE,
                                         .model = "big", .model_digest = "", .url = "https://x/v1", .numerics = "",
                                         .kv_type = "", .isa = "", .arch = "", .file_type = "", .has_template = true,
                                         .parallel = 8, .price_input = 1000, .price_output = 2000,
                                         .price_cached = NAN, .price_as_of = "2026-11-01" };
    task *t = make_task(100, "sampling: {max_tokens: 20}\n");
    nobody();
    add((asker){ .wrong_every = 9 }, "local:a");
    add((asker){ .wrong_every = 8, .who = cloud }, "cloud");
    measure_options m = { .max_cost_usd = 3 };
    choose_options o = plainly;
    o.usd_per_month = 36;
    o.usd_per_kwh = 0.36;
    o.watts_busy = 100;
    assert_ok(choose_with(t, &m, o, err));
    assert_string_equal(out.ended, "max-cost");
    assert_true(out.cost_usd <= 3 && out.cost_usd > 0.9 && out.n_seen < 30);
    assert_true(out.chosen != SIZE_MAX && out.n_seen == rows[0].n_seen);
    /* 0.12 USD an answer in the cloud; 100 W for its time here */
    assert_int_equal(out.reference, 1);
    assert_true(fabs(rows[1].cost.mean - 0.12) < 1e-9 && isnan(rows[1].energy.mean));
    assert_false(rows[0].energy_measured);
    assert_true(rows[0].energy.mean > 0 && rows[0].energy.mean < 5);
    assert_true(fabs(rows[0].cost.mean - rows[0].energy.mean / 1e7) < 1e-12);
    assert_int_equal(rows[0].break_even.when, MONEY_FROM);
    assert_true(fabs(rows[0].break_even.answers - 300) < 1);
    m.max_cost_usd = 0;
    m.max_seconds = 1e-9;
    int before = calls();
    assert_ok(choose_with(t, &m, plainly, err));
    assert_string_equal(out.ended, "max-time");
    assert_int_equal(calls(), before);
    assert_true(out.chosen != SIZE_MAX); /* what was finished before counts */
    task_close(&t);
}

/* 2 J each, by the counter; nobody else ran on this processor. */
static void energy_is_measured(void **state)
{
    (void)state;
    char counter[128], command[256];
    snprintf(counter, sizeof counter, "%s/intel-rapl:0/energy_uj", dir);
    snprintf(command, sizeof command, "cd %s && mkdir intel-rapl:0 && cd intel-rapl:0 && echo package-0 >name && "
             "echo 0 >energy_uj", dir);
    assert_int_equal(system(command), 0);
    counted_uj = 0;
    task *t = make_task(40, "");
    nobody();
    add((asker){ .wait_us = 1000, .counter = counter }, "local:a");
    add((asker){ .wait_us = 1000, .wrong_every = 5 }, "local:b");
    measure_options m = { .powercap = dir, .parallel = 1 };
    choose_options o = plainly;
    o.usd_per_kwh = 0.36;
    assert_ok(choose_with(t, &m, o, err));
    assert_true(rows[0].energy_measured);
    assert_int_equal(rows[0].energy.n, 40);
    assert_true(fabs(rows[0].energy.mean - 2) < 1e-6);
    assert_true(fabs(rows[0].cost.mean - 2e-7) < 1e-12);
    assert_true(fabs(rows[1].energy.mean) < 1e-9); /* the counter stood still: 0 J is what it says */
    m.powercap = "/nonexistent";
    nobody();
    add((asker){ .wait_us = 1000 }, "local:elsewhere");
    assert_ok(choose_with(t, &m, o, err));
    assert_true(isnan(rows[0].energy.mean) && isnan(rows[0].cost.mean) && !rows[0].energy_measured);
    task_close(&t);
}

/* Answers that were given on battery are there for quality, and neither for speed nor energy of what is on mains. */
static void battery_is_kept_apart(void **state)
{
    (void)state;
    task *t = make_task(24, "");
    nobody();
    asker *a = add((asker){ .wrong_every = 0 }, "local:a");
    ledger *l = NULL;
    ledger_evidence evidence;
    char *keep = NULL, run[UUID_TEXT], id[UUID_TEXT];
    task_case_key *keys = NULL;
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(measure_evidence(t, &a->who, &keep, &evidence, err));
    assert_ok(task_keys_by_case(t, a->who.name, &keys, err));
    const char *powers[] = { "mains", "battery" };
    for (size_t p = 0; p < 2; p++) { /* twelve cases each; on battery they took ten times as long */
        ledger_run row = { .machine = *ledger_this_machine(), .task = t->id, .provider = a->who.name,
                           .place = "local", .model = "m", .version = "1", .threads = 2, .isa = "avx2",
                           .power = powers[p], .governor = p ? "powersave" : "performance" };
        assert_ok(ledger_begin(l, &row, &evidence, run, err));
        assert_ok(ledger_append_fact(l, run, "energy_j", p ? 12 : 1200, "J", err));
        for (size_t i = 12 * p; i < 12 * p + 12; i++) {
            ledger_answer answer = { .case_id = keys[i].c->id, .prompt = keys[i].prompt, .text = "red",
                                     .keep_text = true, .finish = "stop", .n_prompt = 1, .n_output = 1,
                                     .n_cached = -1, .prefill_us = -1, .decode_us = -1, .ttft_us = -1,
                                     .total_us = p ? 1000000 : 100000, .mean_logprob = NAN, .concurrency = 1 };
            ledger_grade g = { .grader = keys[i].grader, .score = 1, .outcome = LEDGER_PASS };
            assert_ok(ledger_append_answer(l, run, &answer, &g, id, err));
        }
    }
    ledger_close(&l);
    assert_ok(choose_with(t, &no_options, plainly, err));
    assert_int_equal(a->calls, 0);
    assert_int_equal(rows[0].n, 24); /* quality is of all */
    assert_int_equal(rows[0].speed.n, 12);
    assert_string_equal(rows[0].power, "battery"); /* the newest setting */
    assert_string_equal(rows[0].governor, "powersave");
    assert_true(fabs(rows[0].speed.answer_p50_ms - 1000) < 1e-9 && fabs(rows[0].speed.answer_p95_ms - 1000) < 1e-9);
    assert_int_equal(rows[0].energy.n, 12);
    assert_true(fabs(rows[0].energy.mean - 1) < 1e-9); /* 12 J to 12 answers; the other run's 1200 are not in it */
    mem_free(keep);
    mem_free(keys);
    task_close(&t);
}

static void nothing_to_choose_from(void **state)
{
    (void)state;
    task *t = make_task(20, "bar: 0.9\n");
    nobody();
    add((asker){ .no_fit = true }, "local:huge");
    add((asker){ .says = "red" }, "local:encoder");
    askers[1].who.is_encoder = true;
    assert_ok(choose_with(t, &no_options, plainly, err));
    assert_true(out.chosen == SIZE_MAX && out.m == 0);
    assert_int_equal(rows[1].end, CHOOSE_UNSUITED);
    assert_int_equal(calls(), 0);
    error e = { 0 };
    n_candidates = 0;
    assert_int_equal(choose_with(t, &no_options, plainly, &e), E_RANGE);
    task_close(&t);
}

static void memory_runs_out(void **state)
{
    (void)state;
    task *t = make_task(20, "");
    nobody();
    add((asker){ .wrong_every = 5 }, "local:a");
    add((asker){ .wrong_every = 4 }, "local:b");
    assert_ok(choose_with(t, &no_options, plainly, err)); /* everything is answered: what follows only reads */
    ledger *l = NULL;
    const choose_door door = { look, open_it, NULL };
    choose_options o = plainly;
    o.measure = &no_options;
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    int before = calls(), failures = 0;
    for (uint64_t n = 1; n < 4000; n += n < 60 ? 1 : 37) {
        error e = { 0 };
        mem_fail_at(n);
        status s = measure_choose(l, t, candidates, n_candidates, &door, &o, rows, &out, &e);
        mem_fail_at(0);
        failures += s == E_NOMEM;
        if (s == OK)
            assert_true(out.chosen != SIZE_MAX);
    }
    ledger_close(&l);
    assert_true(failures > 30 && calls() == before);
    task_close(&t);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, own_ledger_make, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(false_claims_over_all_candidates), cmocka_unit_test(the_best_is_not_lost),
        cmocka_unit_test(intervals_hold_together), cmocka_unit_test(preference_decides_among_equals),
        TEST(the_best_is_found_and_the_bad_are_dropped_early), TEST(equal_ones_are_called_equal),
        TEST(it_may_end_when_it_is_decided), TEST(each_prompt_is_a_candidate), TEST(the_slow_are_dropped),
        TEST(budgets_end_it), TEST(energy_is_measured), TEST(battery_is_kept_apart), TEST(nothing_to_choose_from),
        TEST(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
