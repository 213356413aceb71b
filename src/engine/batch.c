/* batch.c: which rows make the next step, and who gives way when memory is full.
 *
 * A step is composed in three parts: a row of everybody who answers (in turns, where there are too many), more rows of
 * those that have forced tokens waiting, a chunk of one prompt. The last two share what the clock allows.
 *
 * In an engine with slices a longer chunk is a pass of its own beside the steps, some layers after each: it has as many
 * rows as keep a layer within what the clock allows, which is many where rows are cheap, and costs each step as many
 * layers as fit. */
#include "engine/batch.h"

#include <string.h>

#include "base/mem.h"
#include "engine/generation.h"
#include "plat/clock.h"

enum { DEFAULT_GENERATIONS = 64, COUNTS = 33, SLICE_LEAST = 16 };

static const double LEARN = 0.125; /* weight of the latest measurement */

typedef struct entry {
    generation *g;
    uint64_t order;  /* of arrival */
    int priority;
    bool answering;  /* its text is in, up to the tokens of the last draw */
    uint32_t n_rows; /* of the step under way */
} entry;

struct batch {
    engine *e;
    entry *entries; /* [room]; n of them, in order of arrival */
    uint32_t n, room;
    uint32_t *rowed, n_rowed; /* [room]: entries with rows in this step, in the order of their rows */
    bool (*spare)(void *user);
    void *user;
    uint64_t arrivals, turn;
    bool full;           /* somebody was sent back, and nobody has left since */
    const generation *last; /* whose prompt was fed last */
    double decode_us[COUNTS]; /* an undisturbed step of so many rows that only decodes; the last: of more. 0: unknown */
    double row_us;       /* what a row of a chunk adds to it. 0: not measured */
    generation *sliced;  /* whose chunk is under way in layers */
    uint32_t n_sliced;   /* its rows */
    bool disturbed;      /* a slice ran since the last step: the next one finds other data in the caches */
    bool unsliced;       /* the next chunk is part of a step: there was no room for a slice, and a step makes some */
    double layer_us;     /* a layer of a chunk, for each of its rows. 0: not measured */
    gauge draws;         /* threads that draw */
    batch_stats stats;
};

/* ---- opening, joining, leaving ---- */

void batch_options_init(batch_options *o)
{
    *o = (batch_options){ .size = sizeof *o };
}

status batch_open(batch **out, engine *e, const batch_options *o, error *err)
{
    uint32_t room = o && o->n_generations ? o->n_generations : DEFAULT_GENERATIONS;
    if (o && o->size != sizeof *o)
        return fail(err, E_RANGE, "batch_options.size is %zu, not %zu", o->size, sizeof *o);
    if (room > BATCH_GENERATIONS)
        return fail(err, E_RANGE, "n_generations is %u, the limit is %d", room, BATCH_GENERATIONS);
    batch *b = mem_zero(sizeof *b);
    if (b) {
        b->e = e;
        b->room = room;
        b->spare = o ? o->spare : NULL;
        b->user = o ? o->user : NULL;
        pool_gauge(e->pool, &b->draws);
        b->entries = mem_array(room, sizeof *b->entries);
        b->rowed = mem_array(room, sizeof *b->rowed);
    }
    if (!b || !b->entries || !b->rowed) {
        batch_close(&b);
        return fail(err, E_NOMEM, "no memory for a batch of %u answers", room);
    }
    *out = b;
    return OK;
}

void batch_close(batch **b)
{
    if (!b || !*b)
        return;
    mem_free((*b)->entries);
    mem_free((*b)->rowed);
    mem_free(*b);
    *b = NULL;
}

status batch_add(batch *b, generation *g, int priority, error *err)
{
    if (g->s->e != b->e)
        return fail(err, E_RANGE, "the answer belongs to another engine than the batch");
    if (g->over)
        return fail(err, E_RANGE, "the answer is over already");
    if (b->n == b->room)
        return fail(err, E_RANGE, "the batch is full: %u answers", b->n);
    for (uint32_t i = 0; i < b->n; i++)
        if (b->entries[i].g->s == g->s)
            return fail(err, E_RANGE, "an answer of this session is in the batch already");
    b->entries[b->n++] = (entry){ .g = g, .order = b->arrivals++, .priority = priority };
    return OK;
}

static void drop_slice(batch *b)
{
    slice_drop(b->e);
    b->sliced = NULL;
}

static void leave(batch *b, uint32_t i)
{
    if (b->entries[i].g == b->sliced)
        drop_slice(b);
    memmove(b->entries + i, b->entries + i + 1, (b->n - i - 1) * sizeof *b->entries);
    b->n--;
    b->full = false;
}

void batch_remove(batch *b, generation *g)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->entries[i].g == g) {
            leave(b, i);
            break;
        }
    if (b->last == g)
        b->last = NULL;
}

generation *batch_next_finished(batch *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        generation *g = b->entries[i].g;
        if (!g->over)
            continue;
        batch_remove(b, g);
        return g;
    }
    return NULL;
}

uint32_t batch_count(const batch *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++)
        n += !b->entries[i].g->over;
    return n;
}

static uint32_t count_answering(const batch *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++)
        n += !b->entries[i].g->over && b->entries[i].answering;
    return n;
}

batch_stats batch_get_stats(const batch *b)
{
    batch_stats s = b->stats;
    s.n_answering = count_answering(b);
    s.n_waiting = batch_count(b) - s.n_answering;
    return s;
}

/* ---- whose prompt is next ---- */

static bool waits(const entry *x)
{
    return !x->g->over && !x->answering;
}

/* When memory is full nobody begins who holds nothing, unless nobody else holds anything either. */
static bool only_holders(const batch *b)
{
    if (!b->full)
        return false;
    for (uint32_t i = 0; i < b->n; i++)
        if (!b->entries[i].g->over && (b->entries[i].answering || b->entries[i].g->s->length))
            return true;
    return false;
}

static entry *next_prompt(batch *b)
{
    if (b->sliced)
        return NULL;
    bool oldest = b->turn % BATCH_OLDEST == BATCH_OLDEST - 1, holders = only_holders(b);
    entry *best = NULL;
    for (uint32_t i = 0; i < b->n; i++) {
        entry *x = &b->entries[i];
        if (!waits(x) || (holders && !x->g->s->length))
            continue;
        bool shorter = best && generation_waiting(x->g) < generation_waiting(best->g);
        if (!best || x->priority > best->priority || (x->priority == best->priority && !oldest && shorter))
            best = x;
    }
    return best;
}

/* ---- how many rows ---- */

static uint32_t at_most(uint32_t x, uint32_t most)
{
    return x < most ? x : most;
}

static double *decode_time(batch *b, uint32_t n_rows)
{
    return &b->decode_us[at_most(n_rows, COUNTS - 1)];
}

/* How much longer a step may take for the sake of prompts. */
static double stretch(const batch *b)
{
    uint32_t answering = count_answering(b);
    return batch_count(b) - answering > answering ? 2 * BATCH_STRETCH : BATCH_STRETCH;
}

/* Rows beside n_decode rows that decode. A step of that many that only decodes is measured first, once. */
static uint32_t chunk_rows(batch *b, uint32_t n_decode)
{
    double decode = *decode_time(b, n_decode), rows = BATCH_LEAST;
    uint32_t room = b->e->batch - n_decode;
    if (n_decode == 0)
        return room;
    if (decode == 0)
        return 0;
    if (b->row_us > 0)
        rows = decode * (stretch(b) - 1) / b->row_us;
    rows = rows > BATCH_LEAST ? rows : BATCH_LEAST;
    return rows < room ? (uint32_t)rows : room;
}

/* Most that may decode in a step: a prompt has its least rows, and its last one wants logits. Where there is only room
 * for one row, both take turns. */
static uint32_t decode_rows(const batch *b, bool prompt)
{
    uint32_t most = at_most(b->e->batch, b->e->logit_rows);
    if (!prompt)
        return most;
    if (most == 1)
        return b->stats.n_steps % 2;
    uint32_t least = at_most(BATCH_LEAST, b->e->batch / 2);
    return at_most(most - 1, b->e->batch - least);
}

static void learn(double *mean, double sample)
{
    *mean = *mean > 0 ? *mean + (sample - *mean) * LEARN : sample;
}

static void measure(batch *b, uint32_t n_decode, uint32_t n_more, uint64_t us)
{
    double took = us ? (double)us : 1.0;
    if (n_decode && !n_more)
        learn(decode_time(b, n_decode), took);
    else if (n_decode && *decode_time(b, n_decode) > 0) {
        double each = (took - *decode_time(b, n_decode)) / n_more;
        learn(&b->row_us, each > 1e-3 ? each : 1e-3);
    }
}

/* ---- one step ---- */

typedef struct step {
    uint32_t n, n_decode; /* rows; of them the first of everybody who answers */
    bool foresees;
    entry *prompt; /* the last rows are a chunk of its text, */
    entry *next;   /* or nothing of it is in the step: a chunk of it is to go in slices */
} step;

static void add_rows(batch *b, step *p, entry *x, uint32_t most)
{
    x->n_rows = generation_rows(x->g, most, p->foresees, b->e->step + p->n);
    p->n += x->n_rows;
    b->rowed[b->n_rowed++] = (uint32_t)(x - b->entries);
}

/* Those who answer, from another one each step if there are more than may. */
static void add_answering(batch *b, step *p, uint32_t most, uint32_t *more)
{
    uint32_t begin = b->n && count_answering(b) > most ? (uint32_t)(b->turn * most % b->n) : 0, left = most;
    for (uint32_t i = 0; i < b->n && left; i++) {
        entry *x = &b->entries[(begin + i) % b->n];
        if (x->g->over || !x->answering)
            continue;
        uint32_t before = p->n;
        add_rows(b, p, x, p->foresees ? b->e->batch : 1 + *more);
        *more -= p->foresees ? 0 : p->n - before - 1;
        p->n_decode++;
        left--;
    }
}

static void begin_prompt(batch *b, entry *x)
{
    generation *g = x->g;
    if (b->last != g || !g->begun || !g->s->length)
        generation_begin(g);
    b->last = g;
    if (g->cancelled)
        generation_end(g, FINISH_CANCELLED);
}

static step compose(batch *b, bool may_foresee)
{
    step p = { 0 };
    entry *prompt = next_prompt(b);
    while (prompt && (begin_prompt(b, prompt), prompt->g->over))
        prompt = next_prompt(b);
    uint32_t n = count_answering(b);
    if (prompt && n && b->e->slices && !b->unsliced && generation_waiting(prompt->g) >= SLICE_LEAST) {
        p.next = prompt;
        prompt = NULL;
    }
    uint32_t most = at_most(n, decode_rows(b, prompt != NULL));
    bool alone = n == 1 && !prompt && !p.next && !b->sliced;
    p.foresees = may_foresee && alone;
    b->n_rowed = 0;
    uint32_t more = chunk_rows(b, most);
    if (alone)
        more = b->e->batch - 1;
    add_answering(b, &p, most, &more);
    if (prompt && more) {
        p.prompt = prompt;
        add_rows(b, &p, prompt, more);
    }
    return p;
}

/* Those that are over need no pages. False: they have none. */
static bool take_from_finished(batch *b)
{
    bool any = false;
    for (uint32_t i = 0; i < b->n; i++) {
        generation *g = b->entries[i].g;
        if (!g->over || !g->s->length)
            continue;
        generation_evict(g);
        any = true;
    }
    return any;
}

/* The KV pool has no room for this step: somebody of those in it, or who hold pages beside it, gives way. */
static void give_way(batch *b, status st, const error *why)
{
    entry *least = NULL;
    uint32_t n = 0;
    if (take_from_finished(b) || (b->spare && b->spare(b->user)))
        return;
    for (uint32_t i = 0; i < b->n; i++) {
        entry *x = &b->entries[i];
        bool rows = false;
        for (uint32_t k = 0; k < b->n_rowed; k++)
            rows = rows || b->rowed[k] == i;
        if (x->g->over || (!rows && !x->g->s->length))
            continue;
        n++;
        if (!least || x->priority <= least->priority)
            least = x;
    }
    if (least->g == b->sliced)
        drop_slice(b);
    if (n == 1 && least->g->answering) {
        generation_end(least->g, FINISH_CONTEXT);
    } else if (n == 1) {
        generation_fail(least->g, st, why);
    } else {
        generation_evict(least->g);
        least->answering = false;
        b->full = true;
        b->stats.n_sent_back++;
    }
}

/* Draws for several answers at once: each thread some of them. */
typedef struct drawing {
    batch *b;
    const step *p;
} drawing;

static void draw_some(void *arg, int index, int count)
{
    const drawing *d = arg;
    batch *b = d->b;
    const engine_row *row = b->e->step;
    const float **logits = b->e->logits;
    for (uint32_t i = 0; i < b->n_rowed; i++) {
        entry *x = &b->entries[b->rowed[i]];
        row += x->n_rows;
        if (!row[-1].want_logits)
            continue;
        if ((int)(i % (uint32_t)count) == index)
            generation_draw_ahead(x->g, &b->e->samplers[index], *logits);
        logits++; /* nobody foresees here: one row of each at most wants them */
    }
}

static void draw_ahead(batch *b, const step *p)
{
    if (p->n_decode > 1 && !p->foresees && b->e->n_samplers > 1)
        pool_run_gauged(b->e->pool, &b->draws, p->n_decode, draw_some, &(drawing){ b, p });
}

/* Everybody takes what is theirs, and answers. */
static void hand_out(batch *b, const step *p, uint64_t us)
{
    const float **logits = b->e->logits;
    const engine_row *row = b->e->step;
    for (uint32_t i = 0; i < b->n_rowed; i++) {
        entry *x = &b->entries[b->rowed[i]];
        uint32_t wanted = 0;
        for (uint32_t k = 0; k < x->n_rows; k++)
            wanted += row[k].want_logits;
        generation_took(x->g, x->n_rows, logits, p->foresees ? us : 0);
        x->answering = x->answering || wanted;
        row += x->n_rows;
        logits += wanted;
    }
}

static void end_cancelled(batch *b)
{
    for (uint32_t i = 0; i < b->n; i++) {
        generation *g = b->entries[i].g;
        if (g->cancelled && g == b->sliced)
            drop_slice(b);
        if (g->cancelled)
            generation_end(g, FINISH_CANCELLED);
    }
}

/* ---- slices ---- */

static entry *entry_of(batch *b, const generation *g)
{
    uint32_t i = 0;
    while (b->entries[i].g != g)
        i++;
    return &b->entries[i];
}

/* A chunk of x begins, of as many rows as keep a layer within the budget. False: there is no room for it now. */
static bool begin_slice(batch *b, entry *x, double budget_us)
{
    double rows = b->layer_us > 0 ? budget_us / b->layer_us : b->e->batch;
    uint32_t most = rows < b->e->batch ? (uint32_t)rows : b->e->batch;
    uint32_t least = at_most(SLICE_LEAST, b->e->batch);
    uint32_t n = generation_rows(x->g, most > least ? most : least, false, b->e->step);
    b->unsliced = slice_begin(b->e, b->e->step, n, NULL) != OK;
    if (b->unsliced)
        return false;
    b->sliced = x->g;
    b->n_sliced = n;
    b->turn++;
    return true;
}

static void end_slice(batch *b, const float *logits)
{
    entry *x = entry_of(b, b->sliced);
    b->sliced = NULL;
    b->stats.n_rows += b->n_sliced;
    b->stats.n_prompt_rows += b->n_sliced;
    generation_took(x->g, b->n_sliced, &logits, 0);
    x->answering = x->answering || logits;
}

/* As many layers as fit what the step has left, but one at least; all of them, while nobody answers. */
static void run_slices(batch *b, entry *next, uint32_t n_decode, uint64_t step_us)
{
    double usual = n_decode ? *decode_time(b, n_decode) : 0, budget = usual * stretch(b) - (double)step_us;
    uint64_t start = clock_mono_us();
    const float *logits = NULL;
    if (n_decode && usual <= 0)
        return; /* a step without one is measured first */
    budget = budget > usual / 2 ? budget : usual / 2;
    b->disturbed = true;
    if (!b->sliced && (!next || !begin_slice(b, next, budget)))
        return;
    for (bool first = true, done = false; !done; first = false) {
        double one = b->layer_us * b->n_sliced, left = budget - (double)(clock_mono_us() - start);
        if (n_decode && !first && left < one)
            return;
        uint64_t began = clock_mono_us();
        uint32_t most = model_forward_left(b->e->slices), fit = one > 0 && left > one ? (uint32_t)(left / one) : 1;
        uint32_t layers = n_decode ? at_most(fit, most) : most;
        done = slice_run(b->e, layers, &logits);
        b->stats.n_slices++;
        if (!done)
            learn(&b->layer_us, (double)(clock_mono_us() - began + 1) / layers / b->n_sliced);
        else
            end_slice(b, logits);
    }
}

status batch_step(batch *b, error *err)
{
    status st = E_NOFIT;
    error why = { 0 };
    step p = { 0 };
    uint64_t start = 0;
    end_cancelled(b);
    for (bool may_foresee = true; st == E_NOFIT;) {
        p = compose(b, may_foresee);
        if (!p.n) {
            run_slices(b, NULL, 0, 0);
            return OK;
        }
        start = clock_mono_us();
        st = engine_step(b->e, b->e->step, p.n, b->e->logits, &why);
        if (st == E_NOFIT && p.foresees && may_foresee)
            may_foresee = false;
        else if (st == E_NOFIT)
            give_way(b, st, &why);
    }
    if (st) {
        if (err)
            *err = why;
        return st;
    }
    uint64_t us = clock_mono_us() - start + 1;
    b->turn += p.prompt || p.n_decode < count_answering(b);
    b->stats.n_steps++;
    b->stats.n_rows += p.n;
    b->stats.n_prompt_rows += p.prompt ? p.prompt->n_rows : 0;
    bool plain = !p.foresees || p.n == 1;
    if (plain && (!b->disturbed || *decode_time(b, p.n_decode) <= 0))
        measure(b, p.n_decode, p.n - p.n_decode, us);
    b->unsliced = b->unsliced && !p.prompt;
    b->disturbed = false;
    draw_ahead(b, &p);
    hand_out(b, &p, us);
    if (b->sliced || p.next)
        run_slices(b, p.next, count_answering(b) ? p.n_decode : 0, clock_mono_us() - start);
    return OK;
}
