/* A year of a task, many times: route_decide and the drift detector as they are, over a world that changes. Nothing is
 * measured for real: the world says what each side's answers would be, and evidence is drawn from that.
 *
 * One year: every month a new local model (better or worse than the last), measured on the suite of today, and
 * sometimes another prompt (what was measured is stale until it is measured again) or price. Every day requests; a
 * healthy local route is shadowed at the rate rho, a suspect one always, unless the cloud is out. On some day the
 * served data may drift away from the suite. Alarms and what follows are drift.h's; routes are route_decide's.
 *
 *   build/tests/route/test_year [YEARS]      prints the figures of docs/REASSESSING.md; without YEARS a short run */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "route/route.h"
#include "stat/stat.h"

enum { DAYS = 365, MONTH = 30, SUITE = 200 };
static const double MARGIN = 0.05, CLOUD = 0.85;

/* ---- chance: splitmix64 of a seed and a counter ---- */

typedef struct chance {
    uint64_t seed, n;
} chance;

static double uniform(chance *c)
{
    uint64_t z = c->seed * 0xD1342543DE82EF95ull + ++c->n * 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

/* ---- the world ---- */

typedef struct world {
    double delta;    /* local - cloud, of the model in use, on what the suite asks */
    double drift;    /* what live requests lose of it */
    double psi;      /* share of requests on which exactly one is right, at the least */
    bool outage;
} world;

/* -1, 0, 1: a pair's local minus cloud. */
static int draw_pair(chance *c, double delta, double psi)
{
    double most = fmax(psi, fabs(delta)), w = (most + delta) / 2, l = (most - delta) / 2, u = uniform(c);
    return u < w ? 1 : u < w + l ? -1 : 0;
}

typedef struct route {
    route_input in;
    route_decision d;
    privacy_class privacy;
    int transitions, alarms;
} route;

static void decide(route *r)
{
    route_state before = r->d.state;
    route_decide(&r->in, &r->d);
    r->transitions += r->d.state != before;
    r->in.previous = r->d.state;
}

/* Another basis: what the shadows said of the old model says nothing of this one. */
static void measure(route *r, chance *c, const world *w)
{
    route_input *in = &r->in;
    in->paired_w = in->paired_t = in->paired_l = 0;
    in->local.n_pass = in->cloud.n_pass = 0;
    for (int i = 0; i < SUITE; i++) {
        int d = draw_pair(c, w->delta, w->psi);
        bool both = uniform(c) < CLOUD;
        in->paired_w += d > 0;
        in->paired_t += d == 0;
        in->paired_l += d < 0;
        in->local.n_pass += d > 0 || (d == 0 && both);
        in->cloud.n_pass += d < 0 || (d == 0 && both);
    }
    in->local.n = in->local.n_cases = in->cloud.n = in->cloud.n_cases = SUITE;
    in->local.n_wrong = SUITE - in->local.n_pass;
    stat_interval i = stat_clopper_pearson(in->local.n_pass, SUITE, 0.95);
    in->local.lower = i.low;
    in->local.upper = i.high;
    drift_init(&in->drift, &in->rules.drift);
}

static void begin(route *r, privacy_class privacy, double alpha)
{
    memset(r, 0, sizeof *r);
    route_input *in = &r->in;
    strcpy(in->task, "t");
    in->class_known = true;
    in->privacy = r->privacy = privacy;
    in->margin = MARGIN;
    in->has_margin = true;
    in->has_bar = privacy >= PRIVACY_PRIVATE;
    in->bar = 0.7;
    in->limit_latency_p95_ms = in->limit_cost_usd = in->limit_malformed = in->majority = in->regex = NAN;
    in->local.present = in->cloud.present = true;
    in->cloud.place = PRIVACY_REMOTE;
    in->cloud.cost_usd = 0.001;
    strcpy(in->local.provider, "here");
    strcpy(in->cloud.provider, "cloud");
    in->rules = (route_rules){ .number = 1, .alpha = alpha,
                               .drift = { MARGIN, DRIFT_LEVEL, alpha, DRIFT_ALPHA_BACK, DRIFT_FAILURES } };
}

static bool is_local(const route *r)
{
    return r->d.choice == ROUTE_LOCAL;
}

/* A day's requests. False: the route left this machine. */
static void serve_day(route *r, chance *c, const world *w, int requests, double rho)
{
    for (int i = 0; i < requests && is_local(r); i++) {
        double rate = r->d.state == ROUTE_SUSPECT ? (rho > 0) : rho;
        if (r->privacy >= PRIVACY_PRIVATE || w->outage || uniform(c) >= rate)
            continue;
        drift_row row = { .at_us = 1, .value = draw_pair(c, w->delta + w->drift, w->psi) };
        drift_phase before = r->in.drift.phase;
        drift_add(&r->in.drift, &row);
        r->alarms += before == DRIFT_HEALTHY && r->in.drift.phase == DRIFT_SUSPECT;
        if (r->in.drift.phase != before)
            decide(r);
    }
}

/* ---- false crossings ---- */

typedef struct crossings {
    int tests, wrong_tests, wrong_promoted, years_wrong, right_tests, right_promoted;
    double days_to_cross;
    int crossed;
} crossings;

/* A year of monthly models. worst: each is exactly as bad as may not cross; else anything from 15 points worse to 5
 * better. Nobody is served: only the decision counts. */
static void year_of_models(uint64_t seed, double alpha, bool worst, crossings *out)
{
    chance c = { seed, 0 };
    route r;
    bool wrong = false;
    begin(&r, PRIVACY_PUBLIC, alpha);
    int better_since = -1;
    for (int month = 0; month < 12; month++) {
        world w = { .psi = 0.15, .delta = worst ? -MARGIN : -0.15 + 0.20 * uniform(&c) };
        r.in.previous = ROUTE_UNPROVEN; /* each crossing is judged by itself: hysteresis would hide it */
        measure(&r, &c, &w);
        decide(&r);
        bool bad = w.delta <= -MARGIN, local = r.d.state == ROUTE_STATE_LOCAL;
        out->tests++;
        *(bad ? &out->wrong_tests : &out->right_tests) += 1;
        *(bad ? &out->wrong_promoted : &out->right_promoted) += local;
        wrong = wrong || (bad && local);
        better_since = w.delta >= 0 && better_since < 0 ? month : better_since;
        if (better_since >= 0 && local && !bad) {
            out->days_to_cross += (month - better_since) * MONTH;
            out->crossed++;
            better_since = -1;
        }
    }
    out->years_wrong += wrong;
}

/* ---- drops ---- */

typedef struct drops {
    int found, back, runs;
    double shadows, days, back_days;
} drops;

/* A healthy local route loses so many points on some day; how long until the alarm, and until it is back? */
static void drop(uint64_t seed, double points, double rho, int requests, drops *out)
{
    chance c = { seed, 0 };
    world w = { .psi = 0.15 };
    route r;
    begin(&r, PRIVACY_PUBLIC, 0.05);
    do
        measure(&r, &c, &w);
    while (decide(&r), r.d.state != ROUTE_STATE_LOCAL);
    int healthy = 30, day = 0, alarm = -1;
    for (; day < healthy; day++)
        serve_day(&r, &c, &w, requests, rho);
    out->runs++;
    if (r.in.drift.n_alarms) /* false: it is counted elsewhere */
        return;
    uint32_t before = r.in.drift.n_all;
    w.drift = -points;
    for (; day < DAYS + healthy && is_local(&r); day++) {
        serve_day(&r, &c, &w, requests, rho);
        if (alarm < 0 && r.in.drift.n_alarms) {
            alarm = day - healthy + 1;
            out->found++;
            out->days += alarm;
            out->shadows += r.in.drift.alarm_n - before;
        }
    }
    out->back += r.d.choice == ROUTE_CLOUD;
    out->back_days += r.d.choice == ROUTE_CLOUD ? day - healthy : 0;
}

/* ---- whole years ---- */

typedef struct years {
    int n, transitions, alarms, false_back, most;
    int private_cloud, private_answers;
} years;

/* Everything at once: models, prompts, prices, outages; no drift, so that each way back to the cloud of a route that is
 * not worse by the margin is false. */
static void whole_year(uint64_t seed, privacy_class privacy, years *out)
{
    chance c = { seed, 0 };
    world w = { .psi = 0.15, .delta = -0.04 + 0.06 * uniform(&c) };
    route r;
    begin(&r, privacy, 0.05);
    measure(&r, &c, &w);
    decide(&r);
    r.transitions = 0;
    for (int day = 0; day < DAYS; day++) {
        if (day % MONTH == MONTH - 1) { /* a model that is better or worse: taken when it is better on the suite */
            w.delta = -0.04 + 0.06 * uniform(&c);
            measure(&r, &c, &w);
            decide(&r);
        }
        if (day % 91 == 45) { /* another prompt: nothing that was measured counts, for a day */
            route_input kept = r.in;
            r.in.local.n = r.in.local.n_pass = r.in.paired_w = r.in.paired_t = r.in.paired_l = 0;
            r.in.local.n_stale = SUITE;
            decide(&r);
            kept.previous = r.in.previous;
            r.in = kept;
            measure(&r, &c, &w);
            decide(&r);
        }
        r.in.cloud.cost_usd = day % 120 < 60 ? 0.001 : 0.002;
        r.in.limit_cost_usd = 0.0015; /* for some months the cloud is too dear */
        w.outage = uniform(&c) < 0.02;
        serve_day(&r, &c, &w, 100, 0.05);
        if (privacy >= PRIVACY_PRIVATE) {
            out->private_answers++;
            out->private_cloud += r.d.choice == ROUTE_CLOUD || r.d.place != PRIVACY_LOCAL ||
                                  r.d.state == ROUTE_STATE_CLOUD;
        }
    }
    out->n++;
    out->transitions += r.transitions;
    out->most = r.transitions > out->most ? r.transitions : out->most;
    out->alarms += r.alarms;
    out->false_back += r.in.drift.phase == DRIFT_BACK;
}

/* ---- the figures ---- */

static int n_years = 25;

/* 99.9 % of the time a share of at most p gives no more than this of n. */
static double most_of(int n, double p)
{
    return n * p + 3.1 * sqrt(n * p * (1 - p)) + 1;
}

static void false_crossings(void **state)
{
    (void)state;
    static const double alphas[] = { 0.05, 0.05 / 12 };
    for (int worst = 0; worst < 2; worst++)
        for (size_t a = 0; a < ARRAY_LEN(alphas); a++) {
            crossings x = { 0 };
            for (int y = 0; y < 10 * n_years; y++)
                year_of_models((uint64_t)y + 1, alphas[a], worst, &x);
            printf("%s, alpha %.4f: of %d models that are worse by the margin or more %.2f %% cross; %.1f %% of %d"
                   " years see one; of %d that are not %.0f %% cross\n",
                   worst ? "each model worse by exactly the margin" : "models from -15 to +5 points", alphas[a],
                   x.wrong_tests, 100.0 * x.wrong_promoted / x.wrong_tests, 100.0 * x.years_wrong / (10 * n_years),
                   10 * n_years, x.right_tests, x.right_tests ? 100.0 * x.right_promoted / x.right_tests : 0);
            if (x.crossed)
                printf("  a model at least as good as the cloud crosses %.0f days after it came, on average\n",
                       x.days_to_cross / x.crossed);
            assert_true(x.wrong_promoted <= most_of(x.wrong_tests, alphas[a]));
            if (a == 1)
                assert_true(x.years_wrong <= most_of(10 * n_years, 0.05));
        }
}

static void time_to_detect(void **state)
{
    (void)state;
    static const double points[] = { 0.10, 0.15, 0.25 }, rhos[] = { 0.05, 0.20 };
    for (size_t p = 0; p < ARRAY_LEN(points); p++)
        for (size_t r = 0; r < ARRAY_LEN(rhos); r++) {
            drops d = { 0 };
            for (int y = 0; y < 2 * n_years; y++)
                drop((uint64_t)y + 1000, points[p], rhos[r], 100, &d);
            printf("a drop of %.0f points, %.0f %% of 100 requests a day shadowed: %d of %d found, after %.0f shadows, "
                   "%.1f days; %d back at the cloud after %.1f days\n", 100 * points[p], 100 * rhos[r], d.found, d.runs,
                   d.found ? d.shadows / d.found : NAN, d.found ? d.days / d.found : NAN, d.back,
                   d.back ? d.back_days / d.back : NAN);
            if (points[p] > 0.12) {
                assert_true(d.found >= d.runs * 9 / 10 && d.back >= d.found * 9 / 10);
                assert_true(d.shadows / d.found < 400);
            }
        }
}

static void flapping_and_privacy(void **state)
{
    (void)state;
    years open = { 0 }, closed = { 0 };
    for (int y = 0; y < 2 * n_years; y++) {
        whole_year((uint64_t)y + 5000, PRIVACY_PUBLIC, &open);
        whole_year((uint64_t)y + 5000, PRIVACY_PRIVATE, &closed);
    }
    printf("%d years of a public task: %.1f transitions a year (most %d), %d alarms in all, %d wrongly back at"
           " the cloud\n", open.n, (double)open.transitions / open.n, open.most, open.alarms, open.false_back);
    printf("%d years of a private task: %d days, %d of them at a cloud; %.1f transitions a year\n", closed.n,
           closed.private_answers, closed.private_cloud, (double)closed.transitions / closed.n);
    assert_int_equal(closed.private_cloud, 0);
    assert_true(closed.private_answers == closed.n * DAYS);
    assert_true(open.false_back <= most_of(open.n, 0.05));
    assert_true((double)open.transitions / open.n < 24);
}

int main(int argc, char **argv)
{
    if (argc > 1 && atoi(argv[1]) > 0)
        n_years = atoi(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(false_crossings), cmocka_unit_test(time_to_detect), cmocka_unit_test(flapping_and_privacy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
