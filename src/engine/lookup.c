/* lookup.c: an index of pairs of tokens over the text, and the arithmetic of when to trust it.
 *
 * Places are chained by a hash of the two tokens that end there, latest first. Of the first CHAIN places the one that
 * agrees longest with the text's end is taken, the latest of equals. A step of n rows costs cost[n] single steps; k
 * proposals that hold with probabilities p1, p2.. yield 1 + p1 + p1 p2 + .. tokens. The number of rows (2, 4, 8, 16)
 * with the best quotient is taken, if that is GAIN at least. */
#include "engine/lookup.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum {
    SLOTS_MAX = 1 << 16,
    CHAIN = 16,
    MATCH_MAX = 32,  /* longer agreement is not measured */
    TRIALS_MAX = 32, /* of a class, then both counts are halved: what was long ago counts less */
    PRIOR_TRIALS = 4,
    SIZES = 4, /* 2, 4, 8, 16 rows */
};

static const double GAIN = 1.08;
static const double RELAX = 0.002; /* of a cost towards its prior, when no proposal was worth it: to be tried again */

/* How often a proposal holds that follows an agreement of at least so many tokens, before anything was seen. */
static const struct {
    uint32_t from;
    double p;
} CLASSES[] = { { 2, 0.25 }, { 3, 0.45 }, { 4, 0.6 }, { 6, 0.75 }, { 9, 0.85 }, { 17, 0.92 } };

static const double COST_PRIOR[SIZES] = { 1.2, 1.6, 2.4, 4.0 };

struct lookup {
    int32_t *tokens;    /* [context]; n of them */
    uint32_t *previous; /* [context]: the place before in the chain, plus 1; 0: none */
    uint32_t *slots;    /* [n_slots]: the latest place of a hash, plus 1 */
    uint32_t context, n_slots, n;
    double held[ARRAY_LEN(CLASSES)], trials[ARRAY_LEN(CLASSES)];
    double single_us, cost[SIZES]; /* single_us 0: not measured yet */
    /* the proposal that the next drawn tokens judge */
    int32_t proposed[LOOKUP_ROWS];
    uint32_t n_proposed, n_judged, agreed;
};

/* ---- memory ---- */

static uint32_t slots_for(uint32_t context)
{
    uint32_t n = 64;
    while (n < context && n < SLOTS_MAX)
        n *= 2;
    return n;
}

uint64_t lookup_bytes(uint32_t context)
{
    return sizeof(lookup) + (uint64_t)context * (sizeof(int32_t) + sizeof(uint32_t)) +
           slots_for(context) * sizeof(uint32_t);
}

status lookup_open(lookup **out, uint32_t context, error *err)
{
    lookup *l = mem_zero(sizeof *l);
    if (l) {
        l->context = context;
        l->n_slots = slots_for(context);
        l->tokens = mem_array(context, sizeof *l->tokens);
        l->previous = mem_array(context, sizeof *l->previous);
        l->slots = mem_array(l->n_slots, sizeof *l->slots);
        memcpy(l->cost, COST_PRIOR, sizeof l->cost);
    }
    if (!l || !l->tokens || !l->previous || !l->slots) {
        lookup_close(&l);
        return fail(err, E_NOMEM, "no memory for an index of %u tokens", context);
    }
    *out = l;
    return OK;
}

void lookup_close(lookup **lp)
{
    if (!lp || !*lp)
        return;
    mem_free((*lp)->tokens);
    mem_free((*lp)->previous);
    mem_free((*lp)->slots);
    mem_free(*lp);
    *lp = NULL;
}

/* ---- the text ---- */

static void append(lookup *l, int32_t token)
{
    uint32_t at = l->n;
    if (at == l->context)
        return;
    l->tokens[at] = token;
    l->previous[at] = 0;
    l->n++;
    if (at == 0)
        return;
    uint64_t pair = (uint64_t)(uint32_t)l->tokens[at - 1] << 32 | (uint32_t)token;
    uint32_t slot = (uint32_t)(pair * 0x9E3779B97F4A7C15u >> 40) & (l->n_slots - 1);
    l->previous[at] = l->slots[slot];
    l->slots[slot] = at + 1;
}

void lookup_start(lookup *l, const int32_t *prompt, uint32_t n)
{
    memset(l->slots, 0, l->n_slots * sizeof *l->slots);
    l->n = l->n_proposed = 0;
    for (size_t i = 0; i < ARRAY_LEN(CLASSES); i++) {
        l->trials[i] = PRIOR_TRIALS;
        l->held[i] = PRIOR_TRIALS * CLASSES[i].p;
    }
    for (uint32_t i = 0; i < n; i++)
        append(l, prompt[i]);
}

static size_t class_of(uint32_t agreed)
{
    size_t i = ARRAY_LEN(CLASSES) - 1;
    while (i > 0 && agreed < CLASSES[i].from)
        i--;
    return i;
}

/* Judges the proposal for this place, if there is one. */
static void judge(lookup *l, int32_t token)
{
    if (l->n_judged >= l->n_proposed)
        return;
    size_t c = class_of(l->agreed + l->n_judged);
    bool holds = l->proposed[l->n_judged++] == token;
    if (l->trials[c] >= TRIALS_MAX) {
        l->trials[c] /= 2;
        l->held[c] /= 2;
    }
    l->trials[c] += 1;
    l->held[c] += holds ? 1 : 0;
    if (!holds)
        l->n_proposed = 0;
}

void lookup_add(lookup *l, int32_t token)
{
    judge(l, token);
    append(l, token);
}

/* ---- proposing ---- */

/* How many tokens agree, up to MATCH_MAX, going back from the one at `at` and from the text's end. */
static uint32_t agreement(const lookup *l, uint32_t at)
{
    uint32_t n = 0;
    while (n < MATCH_MAX && n <= at && l->tokens[at - n] == l->tokens[l->n - 1 - n])
        n++;
    return n;
}

/* Fills the proposal: what followed at the best place, where it runs into the end the proposal itself. */
static void propose(lookup *l, uint32_t most)
{
    uint32_t best = 0, place = 0, next = l->n ? l->previous[l->n - 1] : 0;
    for (int i = 0; i < CHAIN && next && best < MATCH_MAX; i++) {
        uint32_t at = next - 1, n = agreement(l, at);
        if (n > best) {
            best = n;
            place = at;
        }
        next = l->previous[at];
    }
    l->n_judged = 0;
    l->agreed = best;
    l->n_proposed = best >= CLASSES[0].from ? most : 0;
    for (uint32_t i = 0; i < l->n_proposed; i++) {
        uint32_t from = place + 1 + i;
        l->proposed[i] = from < l->n ? l->tokens[from] : l->proposed[from - l->n];
    }
}

/* How many of the proposed tokens are worth a step. */
static uint32_t worth(lookup *l)
{
    double yield = 1, chain = 1, best = GAIN;
    uint32_t rows = 2, taken = 0;
    int size = 0;
    for (uint32_t k = 1; k <= l->n_proposed && size < SIZES; k++) {
        size_t c = class_of(l->agreed + k - 1);
        chain *= l->held[c] / l->trials[c];
        yield += chain;
        if (k + 1 != rows)
            continue;
        if (yield / l->cost[size] > best) {
            best = yield / l->cost[size];
            taken = k;
        }
        rows *= 2;
        size++;
    }
    for (int i = 0; !taken && l->n_proposed && i < SIZES; i++)
        l->cost[i] += (COST_PRIOR[i] - l->cost[i]) * RELAX;
    return taken;
}

uint32_t lookup_draft(lookup *l, uint32_t most, bool always, int32_t *draft)
{
    propose(l, most < LOOKUP_ROWS ? most : LOOKUP_ROWS - 1);
    uint32_t n = always ? l->n_proposed : l->single_us > 0 ? worth(l) : 0;
    if (n)
        memcpy(draft, l->proposed, n * sizeof *draft);
    return n;
}

/* A step that was interrupted tells little: no sample counts more than twice what is known. */
void lookup_took(lookup *l, uint32_t rows, uint64_t us)
{
    double sample = us ? (double)us : 1.0;
    if (rows == 1 && l->single_us == 0.0)
        l->single_us = sample;
    if (rows == 1) {
        double most = 2 * l->single_us;
        l->single_us += ((sample < most ? sample : most) - l->single_us) / 8;
    }
    for (int i = 0; i < SIZES && l->single_us > 0; i++)
        if (rows == 2u << i) {
            double ratio = sample / l->single_us, most = 2 * l->cost[i];
            l->cost[i] += ((ratio < most ? ratio : most) - l->cost[i]) / 4;
        }
}
