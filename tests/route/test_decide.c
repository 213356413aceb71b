/* route_decide over its whole discretised input space: every combination of the levels below, once. Choices are kept in
 * one array, so that monotonicity is a comparison of neighbours. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "route/route.h"
#include "stat/stat.h"

enum axis { CLASS, LOCAL_AT, CLOUD_AT, COUNT, PASS, MALFORMED, BAR, PAIRS, LATENCY, MEMORY, COST, PREVIOUS, AXES };
static const int levels[AXES] = { 6, 3, 4, 3, 4, 2, 3, 4, 4, 4, 2, 4 };

/* What a policy says and what the shadows showed: every fifth point of the space above is decided under one of these,
 * too, and every pair of an axis' level and one of these is met. */
enum { PINS = 4, PHASES = 3, TOLD = PINS * PHASES * 2 * 2 };
static void tell(route_input *in, int told)
{
    static const drift_rules rules = { 0.1, DRIFT_LEVEL, DRIFT_ALPHA, DRIFT_ALPHA_BACK, DRIFT_FAILURES };
    in->rules = (route_rules){ .number = 3, .pin = (route_pin)(told % PINS), .propose = told / PINS % 2,
                               .alpha = DRIFT_ALPHA, .drift = rules };
    in->flag_below_bar = told / PINS / 2 % 2;
    drift_init(&in->drift, &rules);
    in->drift.phase = (drift_phase)(told / PINS / 4);
}
static size_t stride[AXES], total;

/* Of few different counts, asked for millions of times. */
static stat_interval interval(uint32_t k, uint32_t n)
{
    static stat_interval known[64][64];
    static bool there[64][64];
    if (!there[k][n]) {
        known[k][n] = stat_clopper_pearson(k, n, 0.95);
        there[k][n] = true;
    }
    return known[k][n];
}

/* Levels go from worse to better where an axis is local evidence (PASS, MALFORMED, PAIRS from 1 on, LATENCY and MEMORY
 * from 1 on, COUNT). */
static void build(route_input *in, size_t index)
{
    int at[AXES];
    for (int a = 0; a < AXES; a++)
        at[a] = (int)(index / stride[a] % (size_t)levels[a]);
    memset(in, 0, sizeof *in);
    strcpy(in->task, "t");
    in->class_known = at[CLASS] != 4;
    in->privacy = at[CLASS] == 5 ? (privacy_class)77 : at[CLASS] == 4 ? PRIVACY_PUBLIC : (privacy_class)at[CLASS];
    in->limit_latency_p95_ms = at[LATENCY] ? 1000 : NAN;
    in->limit_cost_usd = at[COST] ? 0.001 : NAN;
    in->limit_malformed = 0.1;
    in->memory_limit_bytes = at[MEMORY] ? 1u << 30 : 0;
    in->previous = (route_state[]){ ROUTE_UNPROVEN, ROUTE_STATE_LOCAL, ROUTE_SUSPECT, ROUTE_STATE_CLOUD }[at[PREVIOUS]];
    in->majority = in->regex = NAN;
    in->has_bar = at[BAR] > 0;
    in->bar = (double[]){ 0, 0.3, 0.8 }[at[BAR]];
    in->margin = 0.1;

    route_side *l = &in->local, *c = &in->cloud;
    l->present = at[LOCAL_AT] > 0;
    l->place = at[LOCAL_AT] == 2 ? PRIVACY_REMOTE : PRIVACY_LOCAL; /* 2: a caller's mistake must not pass */
    strcpy(l->provider, "local:m");
    l->n_cases = 60;
    l->n = (uint32_t[]){ 0, 40, 60 }[at[COUNT]];
    l->n_malformed = l->n && !at[MALFORMED] ? 10 : 0;
    l->n_pass = l->n ? (uint32_t)((l->n - l->n_malformed) * (double[]){ 0, 0.2, 0.9, 1 }[at[PASS]]) : 0;
    l->n_wrong = l->n - l->n_pass - l->n_malformed;
    stat_interval i = interval(l->n_pass, l->n);
    l->pass = l->n ? (double)l->n_pass / l->n : NAN;
    l->lower = l->n ? i.low : NAN;
    l->upper = l->n ? i.high : NAN;
    l->latency_p95_ms = (double[]){ NAN, NAN, 5000, 500 }[at[LATENCY]];
    l->peak_bytes = (double[]){ NAN, NAN, 4e9, 1e8 }[at[MEMORY]];
    c->present = at[CLOUD_AT] > 0;
    c->place = at[CLOUD_AT] == 1 ? PRIVACY_REMOTE : at[CLOUD_AT] == 2 ? PRIVACY_ON_PREMISES : PRIVACY_LOCAL;
    strcpy(c->provider, "cloud");
    c->cost_usd = (double[]){ NAN, 0.01 }[at[COST]];
    c->n = at[PAIRS] ? 60 : 0;
    c->n_cases = 60;
    c->n_pass = at[PAIRS] ? 55 : 0;
    static const uint32_t w[] = { 0, 0, 2, 9 }, t[] = { 0, 35, 56, 51 }, lost[] = { 0, 25, 2, 0 };
    in->paired_w = w[at[PAIRS]];
    in->paired_t = t[at[PAIRS]];
    in->paired_l = lost[at[PAIRS]];
}

static int level_of(size_t index, int axis)
{
    return (int)(index / stride[axis] % (size_t)levels[axis]);
}

static unsigned char *choices;

static int decide_all(void **state)
{
    (void)state;
    total = 1;
    for (int a = AXES - 1; a >= 0; a--) {
        stride[a] = total;
        total *= (size_t)levels[a];
    }
    choices = mem_zero(total);
    return choices ? 0 : -1;
}

static int drop_all(void **state)
{
    (void)state;
    mem_free(choices);
    return 0;
}

static void total_deterministic_and_private(void **state)
{
    (void)state;
    size_t seen[3] = { 0 };
    route_input in;
    route_decision d, again;
    for (size_t i = 0; i < total; i++) {
        build(&in, i);
        route_decide(&in, &d);
        assert_in_range(d.choice, ROUTE_REFUSE, ROUTE_LOCAL);
        assert_in_range(d.state, ROUTE_UNPROVEN, ROUTE_STATE_CLOUD);
        assert_true(d.reason[0] && memchr(d.reason, 0, sizeof d.reason));
        choices[i] = (unsigned char)(d.choice | d.state << 4);
        seen[d.choice]++;
        int class = level_of(i, CLASS);
        bool stays = class >= PRIVACY_PRIVATE;
        if (stays && (d.choice == ROUTE_CLOUD || d.place != PRIVACY_LOCAL || d.state == ROUTE_STATE_CLOUD))
            fail_msg("private left: point %zu, %s", i, d.reason);
        if (class == PRIVACY_INTERNAL && d.place == PRIVACY_REMOTE)
            fail_msg("internal went remote: point %zu, %s", i, d.reason);
        assert_int_equal(d.choice == ROUTE_REFUSE, d.provider[0] == 0);
        if (d.choice == ROUTE_LOCAL)
            assert_true(d.place == PRIVACY_LOCAL && level_of(i, LOCAL_AT) == 1 && !strcmp(d.provider, "local:m"));
        if (d.choice == ROUTE_CLOUD)
            assert_true(d.place != PRIVACY_LOCAL && !strcmp(d.provider, "cloud"));
        if (i % 11 == 0) {
            memset(&again, 0xA5, sizeof again);
            route_decide(&in, &again);
            assert_memory_equal(&d, &again, sizeof d);
        }
    }
    printf("%zu points: %zu refuse, %zu cloud, %zu local\n", total, seen[0], seen[1], seen[2]);
    assert_true(seen[0] > 1000 && seen[1] > 1000 && seen[2] > 1000);
}

/* One step up on an axis of local evidence, everything else equal, never takes a task away from local. */
static void better_evidence_never_loses_local(void **state)
{
    (void)state;
    static const struct {
        int axis, from;
    } better[] = { { PASS, 0 }, { MALFORMED, 0 }, { PAIRS, 1 }, { LATENCY, 2 }, { MEMORY, 2 } };
    for (size_t b = 0; b < ARRAY_LEN(better); b++)
        for (size_t i = 0; i < total; i++) {
            int level = level_of(i, better[b].axis);
            if (level < better[b].from || level + 1 >= levels[better[b].axis])
                continue;
            int before = choices[i] & 15, after = choices[i + stride[better[b].axis]] & 15;
            if (before == ROUTE_LOCAL && after != ROUTE_LOCAL)
                fail_msg("axis %d: local at point %zu, not at the better one", better[b].axis, i);
        }
}

/* A missing number (latency, memory; no answers; an incomplete suite) is never better than a good one, and by itself
 * makes nothing local that was not local before. */
static void missing_numbers_never_argue_for_local(void **state)
{
    (void)state;
    for (size_t i = 0; i < total; i++) {
        if ((choices[i] & 15) != ROUTE_LOCAL || (choices[i] >> 4) == ROUTE_SUSPECT)
            continue;
        if (level_of(i, COUNT) == 1) { /* a part of a suite: only what an e-process proves */
            route_input in;
            build(&in, i);
            stat_pairs p = { in.paired_w, in.paired_t, in.paired_l };
            if (in.has_bar)
                assert_true(stat_eprocess_bar(in.local.n_pass, in.local.n, in.bar) >= log(20));
            else
                assert_true(stat_eprocess(p, in.margin) >= log(20));
        } else {
            assert_int_equal(level_of(i, COUNT), 2);
        }
        assert_true(level_of(i, LATENCY) == 0 || level_of(i, LATENCY) == 3);
        assert_true(level_of(i, MEMORY) == 0 || level_of(i, MEMORY) == 3);
        assert_true(level_of(i, BAR) > 0 || level_of(i, PAIRS) > 0);
    }
    for (size_t i = 0; i < total; i++)
        if ((choices[i] >> 4) == ROUTE_SUSPECT)
            assert_in_range(level_of(i, PREVIOUS), 1, 2); /* local or suspect before */
}

/* ---- a cascade over it ---- */

enum { NO_CASCADE, NO_THRESHOLD, POOR, FINE, CASCADES };

/* From worse to better: the walk's point with the calibration of this level. */
static void offer_cascade(route_input *in, int level)
{
    static const route_calibration levels_of[CASCADES] = {
        [NO_THRESHOLD] = { .asked = true, .risk = 0.25, .confidence = 0.95, .n = 60, .why = "few" },
        [POOR] = { .asked = true, .risk = 0.25, .confidence = 0.95, .found = true, .tau = -0.1, .n = 60,
                   .n_accepted = 12, .n_wrong = 2, .n_malformed = 2, .coverage = 0.2, .risk_upper = 0.25 },
        [FINE] = { .asked = true, .risk = 0.25, .confidence = 0.95, .found = true, .tau = -0.2, .n = 60,
                   .n_accepted = 57, .coverage = 0.95, .risk_upper = 0.05 },
    };
    in->cascade = levels_of[level];
}

static void build_cascade(route_input *in, size_t index, int level)
{
    build(in, index);
    offer_cascade(in, level);
    in->cloud.latency_p95_ms = 800;
    in->cloud.public_only = level_of(index, PREVIOUS) % 2; /* an axis along which nothing is compared */
}

static void check_cascade(const route_input *in, const route_decision *plain, const route_decision *d, size_t point)
{
    const route_cascade *c = &d->cascade;
    bool stays = !in->class_known || (unsigned)in->privacy >= PRIVACY_PRIVATE;
    if (c->on && (stays || c->cloud_place == PRIVACY_LOCAL ||
                  (in->privacy == PRIVACY_INTERNAL && c->cloud_place == PRIVACY_REMOTE)))
        fail_msg("point %zu escalates to where its class may not go", point);
    if ((c->on || d->choice == ROUTE_CLOUD) && in->cloud.public_only && in->privacy != PRIVACY_PUBLIC)
        fail_msg("point %zu goes to a server that takes public requests only", point);
    if (c->on && (!in->cascade.found || in->local.n < in->local.n_cases || in->local.place != PRIVACY_LOCAL ||
                  strcmp(c->local, "local:m") || strcmp(c->cloud, "cloud") || d->choice == ROUTE_REFUSE))
        fail_msg("point %zu has a cascade that rests on nothing", point);
    assert_int_equal(in->cascade.asked && !c->on, c->why[0] != 0);
    /* an overlay: local stays local, cloud cloud, and only a refusal for the cloud's cost becomes cloud */
    if (d->choice != plain->choice && !(c->on && plain->choice == ROUTE_REFUSE && d->choice == ROUTE_CLOUD))
        fail_msg("point %zu: the cascade changed %s to %s", point, route_choice_name(plain->choice),
                 route_choice_name(d->choice));
    if (d->state != plain->state)
        assert_true(c->on && plain->state == ROUTE_STATE_CLOUD && d->state == ROUTE_CANDIDATE);
}

static void a_cascade_never_leaves_its_class_and_is_monotone(void **state)
{
    (void)state;
    static const struct {
        int axis, from;
    } better[] = { { PASS, 0 }, { MALFORMED, 0 }, { PAIRS, 1 }, { LATENCY, 2 }, { MEMORY, 2 }, { COUNT, 0 } };
    static route_input in;
    static route_decision plain, d, up;
    size_t on = 0, cheaper = 0, below = 0;
    for (size_t i = 0; i < total; i += 23) {
        bool before = false;
        build_cascade(&in, i, NO_CASCADE);
        route_decide(&in, &plain);
        assert_false(plain.cascade.on);
        for (int level = NO_THRESHOLD; level < CASCADES; level++) {
            build_cascade(&in, i, level);
            route_decide(&in, &d);
            check_cascade(&in, &plain, &d, i);
            assert_true(!before || d.cascade.on);
            before = d.cascade.on;
            on += d.cascade.on;
            cheaper += d.choice != plain.choice;
            below += d.cascade.on && plain.state == ROUTE_STATE_CLOUD;
            for (size_t b = 0; d.cascade.on && b < ARRAY_LEN(better); b++) {
                int at = level_of(i, better[b].axis);
                if (at < better[b].from || at + 1 >= levels[better[b].axis])
                    continue;
                build_cascade(&in, i + stride[better[b].axis], level);
                route_decide(&in, &up);
                if (!up.cascade.on || up.choice < d.choice)
                    fail_msg("axis %d: a cascade at point %zu, not at the better one: %s", better[b].axis, i,
                             up.reason);
            }
        }
    }
    printf("%zu cascades, %zu make a cloud affordable, %zu of a task that is below its bar\n", on, cheaper, below);
    assert_true(on > 250 && cheaper > 80 && below > 80);
}

/* ---- policies and shadows ---- */

/* Whatever a policy says, whatever the shadows showed: the class alone says how far something may go; what is flagged
 * says so; a pin to this machine keeps it there; and nothing is local that has no local model. */
static void no_policy_lets_more_out(void **state)
{
    (void)state;
    size_t held = 0, flagged = 0, sent = 0, ignored = 0;
    static size_t met[AXES][8][TOLD];
    route_input in;
    route_decision d;
    for (size_t i = 0; i < total; i += 5) { /* 5 divides no number of levels */
        int told = (int)((uint64_t)i * 0x9E3779B97F4A7C15ull >> 33) % TOLD, class = level_of(i, CLASS);
        build(&in, i);
        tell(&in, told);
        if (i % 3 == 0)
            offer_cascade(&in, FINE);
        route_decide(&in, &d);
        assert_true(!d.cascade.on || in.rules.pin == PIN_NONE);
        assert_true(!d.cascade.on || !in.rules.propose || level_of(i, PREVIOUS) != 0);
        for (int a = 0; a < AXES; a++)
            met[a][level_of(i, a)][told]++;
        if (class >= PRIVACY_PRIVATE && (d.choice == ROUTE_CLOUD || d.place != PRIVACY_LOCAL ||
                                         d.state == ROUTE_STATE_CLOUD))
            fail_msg("private left: point %zu, told %d, %s", i, told, d.reason);
        if (class == PRIVACY_INTERNAL && d.place == PRIVACY_REMOTE)
            fail_msg("internal went remote: point %zu, told %d, %s", i, told, d.reason);
        assert_true(d.choice != ROUTE_LOCAL || level_of(i, LOCAL_AT) == 1);
        assert_int_equal(d.policy, 3);
        assert_true(d.choice != ROUTE_LOCAL || in.rules.pin != PIN_REFUSE);
        assert_true(d.choice != ROUTE_CLOUD || (in.rules.pin != PIN_LOCAL && in.rules.pin != PIN_REFUSE));
        assert_int_equal(d.below_bar, d.below[0] != 0);
        if (d.below_bar)
            assert_true(d.choice == ROUTE_LOCAL && in.has_bar);
        /* a private answer is below its bar only where the task takes such answers, or in doubt after it was local */
        if (class >= PRIVACY_PRIVATE && d.below_bar && !in.flag_below_bar)
            assert_true(d.state == ROUTE_SUSPECT && level_of(i, PREVIOUS) != 0);
        if (d.proposed)
            assert_true(in.rules.propose && d.choice != ROUTE_LOCAL && (choices[i] & 15) == ROUTE_LOCAL);
        if (in.rules.pin == PIN_CLOUD && d.choice != ROUTE_CLOUD && class >= PRIVACY_PRIVATE)
            assert_non_null(strstr(d.reason, "the pin is ignored"));
        held += d.proposed;
        flagged += d.below_bar;
        sent += in.rules.pin == PIN_CLOUD && d.choice == ROUTE_CLOUD;
        ignored += strstr(d.reason, "the pin is ignored") != NULL;
    }
    for (int a = 0; a < AXES; a++)
        for (int told = 0; told < levels[a] * TOLD; told++)
            assert_true(met[a][told / TOLD][told % TOLD] > 0);
    printf("%zu held, %zu flagged, %zu pinned to the cloud, %zu such pins ignored\n", held, flagged, sent, ignored);
    assert_true(held > 200 && flagged > 1000 && sent > 1000 && ignored > 1000);
}

static route_input good(void)
{
    route_input in = { .task = "invoice", .class_known = true, .privacy = PRIVACY_PRIVATE, .has_bar = true, .bar = 0.8,
                       .margin = 0.1, .limit_latency_p95_ms = NAN, .limit_cost_usd = NAN, .limit_malformed = NAN,
                       .majority = NAN, .regex = NAN };
    route_side *l = &in.local;
    l->present = true;
    strcpy(l->provider, "local:m");
    l->n_cases = l->n = 60;
    l->n_pass = 58;
    l->n_wrong = 2;
    l->pass = 58 / 60.0;
    l->lower = 0.885;
    l->upper = 0.996;
    return in;
}

/* 30 of 60 cases, all right: the interval of a fixed suite must not be asked, the e-process may. */
static void a_part_of_a_suite_may_be_enough(void **state)
{
    (void)state;
    route_input in = good();
    route_decision d;
    in.local.n = in.local.n_pass = 40;
    in.local.n_wrong = 0;
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_LOCAL);
    assert_false(d.complete);
    assert_non_null(strstr(d.reason, "40 of 60 cases are answered, enough to decide it"));
    in.clustered = true; /* cases that belong together are fewer observations than they seem */
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_REFUSE);
    in.clustered = false;
    in.local.n = in.local.n_pass = 12; /* 95 % interval from 73.5 %: above a bar of .7, but 12 perhaps chosen ones */
    in.bar = 0.7;
    in.local.lower = 0.735;
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_REFUSE);
}

static void the_reason_says_what_decided(void **state)
{
    (void)state;
    route_input in = good();
    route_decision d;
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_LOCAL);
    assert_string_equal(d.reason, "58 of 60 right (88.5 to 99.6 %): above the bar of 80 %; no cloud is configured, so "
                                  "the bar alone decides");
    in.bar = 0.95;
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_REFUSE);
    assert_non_null(strstr(d.reason, "not proven above the bar of 95 %; it is private"));
    in.class_known = false;
    route_decide(&in, &d);
    assert_non_null(strstr(d.reason, "class is not known"));
    in = good();
    in.local.n = in.local.n_pass = in.local.n_wrong = 0;
    in.local.n_stale = 60;
    strcpy(in.local.stale, "the prompt changed (60 answers)");
    in.privacy = PRIVACY_PUBLIC;
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_REFUSE);
    assert_int_equal(d.state, ROUTE_UNPROVEN);
    assert_non_null(strstr(d.reason, "the prompt changed (60 answers)"));
    assert_non_null(strstr(d.reason, "no cloud is configured"));
    in.local.present = false;
    route_decide(&in, &d);
    assert_non_null(strstr(d.reason, "hearth measure invoice --on local:MODEL"));
}

/* What a task says of answers below its bar, where nobody else may answer. */
static void below_the_bar_is_refused_or_flagged(void **state)
{
    (void)state;
    route_input in = good();
    route_decision d;
    in.bar = 0.95;
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_REFUSE);
    in.flag_below_bar = true;
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_LOCAL);
    assert_int_equal(d.state, ROUTE_CANDIDATE);
    assert_true(d.below_bar);
    assert_string_equal(d.below, "58 of 60 right, lower bound 88.5 %, bar 95 %");
    in.limit_malformed = 0.01; /* a limit is no bar */
    in.local.n_malformed = 2;
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_REFUSE);
}

/* A proven crossing waits for a person where the policy says so, and what is local already does not. */
static void a_crossing_may_be_only_proposed(void **state)
{
    (void)state;
    route_input in = good();
    route_decision d;
    in.rules = (route_rules){ .number = 2, .propose = true, .alpha = 0.05 };
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_REFUSE);
    assert_true(d.proposed);
    assert_int_equal(d.state, ROUTE_CANDIDATE);
    assert_non_null(strstr(d.reason, "`hearth reassess invoice --apply` applies it"));
    in.previous = ROUTE_STATE_LOCAL;
    route_decide(&in, &d);
    assert_int_equal(d.choice, ROUTE_LOCAL);
    assert_int_equal(d.state, ROUTE_STATE_LOCAL);
    assert_false(d.proposed);
    in.rules.alpha = 1e-6; /* 58 of 60 do not prove 80 % at that level */
    in.previous = ROUTE_UNPROVEN;
    route_decide(&in, &d);
    assert_false(d.proposed);
    assert_int_equal(d.choice, ROUTE_REFUSE);
}

static void a_reason_is_there_also_without_memory(void **state)
{
    (void)state;
    route_input in = good();
    route_decision d;
    for (uint64_t n = 1; n < 6; n++) {
        mem_fail_at(n);
        route_decide(&in, &d);
        mem_fail_at(0);
        assert_int_equal(d.choice, ROUTE_LOCAL);
        assert_true(d.reason[0] != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(total_deterministic_and_private),
        cmocka_unit_test(better_evidence_never_loses_local),
        cmocka_unit_test(missing_numbers_never_argue_for_local),
        cmocka_unit_test(a_cascade_never_leaves_its_class_and_is_monotone),
        cmocka_unit_test(no_policy_lets_more_out),
        cmocka_unit_test(below_the_bar_is_refused_or_flagged), cmocka_unit_test(a_crossing_may_be_only_proposed),
        cmocka_unit_test(a_part_of_a_suite_may_be_enough), cmocka_unit_test(the_reason_says_what_decided),
        cmocka_unit_test(a_reason_is_there_also_without_memory),
    };
    return cmocka_run_group_tests(tests, decide_all, drop_all);
}
