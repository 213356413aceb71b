/* people.c: see the header. */
#include "report/people.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "stat/confusion.h"

typedef struct place { /* where an answer stands */
    const char *id;
    size_t side, k;
    const tally_slot *slot;
    const ledger_label *label; /* the newest of it alone */
} place;

typedef struct pair_place {
    size_t k;
    const ledger_label *label;
    size_t first, second; /* sides of answer and other */
} pair_place;

struct people {
    place *places;
    pair_place *pairs;
    people_rate *rates;
    size_t n_sides, n_places, n_pairs, n_stale, n_people;
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const place *)a)->id, ((const place *)b)->id);
}

static place *find_place(people *p, const char *id)
{
    place want = { .id = id };
    return p->n_places ? bsearch(&want, p->places, p->n_places, sizeof want, by_id) : NULL;
}

static status place_answers(people *p, const tally *const *sides, size_t n_labels, error *err)
{
    size_t room = 1;
    for (size_t i = 0; i < p->n_sides; i++)
        room += sides[i]->n_keys * sides[i]->repeats;
    p->places = mem_array(room, sizeof *p->places);
    p->pairs = mem_array(n_labels + 1, sizeof *p->pairs);
    p->rates = mem_array(p->n_sides + 1, sizeof *p->rates);
    if (!p->places || !p->pairs || !p->rates)
        return fail(err, E_NOMEM, "no memory for the labels of %zu answers", room);
    memset(p->rates, 0, (p->n_sides + 1) * sizeof *p->rates);
    for (size_t i = 0; i < p->n_sides; i++)
        for (size_t k = 0; k < sides[i]->n_keys * sides[i]->repeats; k++) {
            const tally_slot *slot = &sides[i]->slots[k];
            if (slot->row)
                p->places[p->n_places++] = (place){ slot->row->id, i, k / sides[i]->repeats, slot, NULL };
        }
    qsort(p->places, p->n_places, sizeof *p->places, by_id);
    return OK;
}

static void put_pair(people *p, const ledger_label *label, const place *a, const place *b)
{
    pair_place new = { a->k, label, a->side, b->side };
    for (size_t i = 0; i < p->n_pairs; i++) {
        pair_place *q = &p->pairs[i];
        bool same = (q->first == new.first && q->second == new.second) ||
                    (q->first == new.second && q->second == new.first);
        if (same && q->k == new.k) {
            *q = new; /* labels come oldest first */
            return;
        }
    }
    p->pairs[p->n_pairs++] = new;
}

static void place_labels(people *p, const ledger_labels *labels)
{
    for (size_t i = 0; i < labels->n; i++) {
        const ledger_label *label = &labels->rows[i];
        place *a = find_place(p, label->answer), *b = label->other[0] ? find_place(p, label->other) : NULL;
        bool known = false;
        for (size_t k = 0; k < i && !known; k++)
            known = strcmp(labels->rows[k].who, label->who) == 0;
        p->n_people += !known;
        if (!a || (label->other[0] && (!b || a->side == b->side || a->k != b->k)))
            p->n_stale++;
        else if (b)
            put_pair(p, label, a, b);
        else
            a->label = label;
    }
}

static void sum_rates(people *p)
{
    for (size_t i = 0; i < p->n_places; i++) {
        const place *at = &p->places[i];
        people_rate *r = &p->rates[at->side];
        if (!at->label)
            continue;
        bool yes = at->label->verdict == LABEL_ACCEPT;
        r->n++;
        r->accepted += yes;
        r->fixed += at->label->fixed[0] != 0;
        if (at->slot->graded)
            r->graders.counts[2 * !yes + (at->slot->grade.outcome != LEDGER_PASS)]++;
    }
}

status people_open(const tally *const *sides, size_t n_sides, const ledger_labels *labels, people **out, error *err)
{
    people *p = mem_zero(sizeof *p);
    if (!p)
        return fail(err, E_NOMEM, "no memory for the labels");
    p->n_sides = n_sides;
    status s = place_answers(p, sides, labels->n, err);
    if (s) {
        people_close(&p);
        return s;
    }
    place_labels(p, labels);
    sum_rates(p);
    *out = p;
    return OK;
}

void people_close(people **p)
{
    if (!*p)
        return;
    mem_free((*p)->places);
    mem_free((*p)->pairs);
    mem_free((*p)->rates);
    mem_free(*p);
    *p = NULL;
}

size_t people_count(const people *p)
{
    return p->n_people;
}

size_t people_stale(const people *p)
{
    return p->n_stale;
}

const people_rate *people_rate_of(const people *p, size_t side)
{
    return &p->rates[side];
}

stat_pairs people_pairs(const people *p, size_t a, size_t b)
{
    stat_pairs sum = { 0, 0, 0 };
    for (size_t i = 0; i < p->n_pairs; i++) {
        const pair_place *q = &p->pairs[i];
        bool straight = q->first == a && q->second == b, crossed = q->first == b && q->second == a;
        if (!straight && !crossed)
            continue;
        sum.t += q->label->verdict == LABEL_TIE;
        sum.w += q->label->verdict == (straight ? LABEL_FIRST : LABEL_SECOND);
        sum.l += q->label->verdict == (straight ? LABEL_SECOND : LABEL_FIRST);
    }
    return sum;
}

status people_each(const people *p, people_each_answer *each, void *user, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < p->n_places; i++)
        if (p->places[i].label)
            s = each(user, p->places[i].side, p->places[i].slot, p->places[i].label, err);
    return s;
}

/* ---- agreement ---- */

uint64_t people_table_n(const people_table *t)
{
    return t->counts[0] + t->counts[1] + t->counts[2] + t->counts[3];
}

uint64_t people_table_same(const people_table *t)
{
    return t->counts[0] + t->counts[3];
}

double people_kappa(const people_table *t, stat_interval *interval)
{
    uint64_t n = people_table_n(t);
    bool one_word = t->counts[0] == n || t->counts[3] == n;
    if (interval)
        *interval = one_word ? (stat_interval){ NAN, NAN } : stat_kappa_interval(t->counts, 2, 0.95);
    return one_word ? NAN : stat_kappa(t->counts, 2).value;
}
