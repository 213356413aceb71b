/* shadow_trip.c: tripwires (route/trip.h) over the live answers of each task. An alarm raises the rate of shadows for a
 * day and makes the task due to be measured again. The detectors live in memory: a server that starts again begins
 * anew. Private answers are looked at too, by this machine alone. */
#include <stdio.h>
#include <string.h>

#include "api/shadow_int.h"
#include "base/log.h"
#include "plat/clock.h"

static const uint64_t DAY_US = 86400ull * 1000000;

/* The task's detectors; begun anew when another model answers. *out NULL: there is no room for more tasks. */
static status find_trip(shadow *s, const shadow_job *j, const shadow_facts *f, shadow_trip **out, error *err)
{
    shadow_trip *t = NULL, new = { .raised_until_us = 0 };
    for (size_t i = 0; i < s->n_trips && !t; i++)
        if (strcmp(s->trips[i].task, j->task) == 0)
            t = &s->trips[i];
    *out = t;
    if ((t && strcmp(t->evidence, j->evidence) == 0) || (!t && s->n_trips == SHADOW_TRIPS_MAX))
        return OK;
    snprintf(new.task, sizeof new.task, "%s", j->task);
    memcpy(new.evidence, j->evidence, sizeof new.evidence);
    status st = trip_init(&new.state, s->l, f->t, j->evidence, err);
    if (st)
        return st;
    *out = t ? t : &s->trips[s->n_trips++];
    **out = new;
    return OK;
}

static status alarm(shadow *s, const shadow_facts *f, shadow_trip *t, const trip_alarm *a, error *err)
{
    ledger_alarm row = { .task = f->t->id, .basis = f->basis, .kind = trip_name(a->kind), .value = a->value,
                         .level = s->told->drift.level, .n = a->n, .detail = "" };
    t->raised_until_us = clock_mono_us() + DAY_US;
    log_line(LOG_LEVEL_WARN, "task %s: more answers are off than of its suite (%s): it is due to be measured again",
             f->t->id, row.kind);
    return ledger_append_alarm(s->l, &row, err);
}

status shadow_trip_look(shadow *s, const shadow_job *j, bool *raised, error *err)
{
    shadow_facts *f = NULL;
    shadow_trip *t = NULL;
    trip_alarm alarms[TRIPS];
    trip_answer a = { .mean_logprob = j->mean_logprob, .n_output = j->n_output };
    error none = { 0 };
    status st = shadow_facts_open(s, j, &f, err);
    if (!st)
        st = find_trip(s, j, f, &t, err);
    if (!st && t) {
        a.known = agree_malformed(f->t, j->input, j->text, &a.malformed, &none) == OK;
        size_t n = trip_add(&t->state, &a, s->told->drift.level, alarms);
        for (size_t i = 0; !st && i < n; i++)
            st = alarm(s, f, t, &alarms[i], err);
        *raised = clock_mono_us() < t->raised_until_us;
    }
    shadow_facts_close(&f);
    return st;
}
