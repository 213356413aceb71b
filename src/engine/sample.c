/* sample.c: from logits to one token. The order of everything is docs/NUMERICS.md §8.
 *
 *     logits -> bias -> penalties -> divided by the temperature -> grammar's mask -> top-k -> top-p -> min-p -> draw
 *
 * Candidates are taken in descending order, ties by ascending id: only as many are ordered as the filters or the draw
 * ask for. Allocates nothing: a sampler is memory of the engine. */
#include <math.h>
#include <string.h>

#include "engine/engine_int.h"
#include "engine/generate.h"
#include "kernels/maths.h"

/* ---- random numbers ---- */

/* Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Counter: position low, high, choice, 0. */
uint32_t sample_random(uint64_t seed, uint64_t position, uint32_t choice)
{
    uint32_t c[4] = { (uint32_t)position, (uint32_t)(position >> 32), choice, 0 };
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = { (uint32_t)(b >> 32) ^ c[1] ^ k0, (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k1,
                             (uint32_t)a };
        memcpy(c, next, sizeof c);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c[0];
}

/* ---- options ---- */

void sampling_options_init(sampling_options *o)
{
    *o = (sampling_options){
        .size = sizeof *o,
        .temperature = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .repeat_penalty = 1.0f,
        .repeat_last_n = 64,
    };
}

status sampling_options_check(const sampling_options *o, error *err)
{
    const struct {
        const char *name;
        float value, low, high;
    } floats[] = {
        { "temperature", o->temperature, 0.0f, 100.0f },
        { "top_p", o->top_p, 0.0f, 1.0f },
        { "min_p", o->min_p, 0.0f, 1.0f },
        { "repeat_penalty", o->repeat_penalty, 0.01f, 100.0f },
        { "presence_penalty", o->presence_penalty, -100.0f, 100.0f },
        { "frequency_penalty", o->frequency_penalty, -100.0f, 100.0f },
    };
    if (o->size != sizeof *o)
        return fail(err, E_RANGE, "sampling_options.size is %zu, not %zu", o->size, sizeof *o);
    for (size_t i = 0; i < ARRAY_LEN(floats); i++)
        if (!(floats[i].value >= floats[i].low && floats[i].value <= floats[i].high))
            return fail(err, E_RANGE, "%s is %g, it must be %g to %g", floats[i].name, (double)floats[i].value,
                        (double)floats[i].low, (double)floats[i].high);
    if (o->repeat_last_n > SAMPLING_REPEAT_LAST)
        return fail(err, E_RANGE, "repeat_last_n is %u, the limit is %d", o->repeat_last_n, SAMPLING_REPEAT_LAST);
    if (o->n_logprobs > SAMPLING_LOGPROBS)
        return fail(err, E_RANGE, "n_logprobs is %u, the limit is %d", o->n_logprobs, SAMPLING_LOGPROBS);
    if ((unsigned)o->speculate > SPECULATE_ALWAYS)
        return fail(err, E_RANGE, "speculate is %d, it must be 0 to %d", (int)o->speculate, SPECULATE_ALWAYS);
    if (o->n_bias > SAMPLING_BIASES)
        return fail(err, E_RANGE, "logit_bias names %u tokens, the limit is %d", o->n_bias, SAMPLING_BIASES);
    for (uint32_t i = 0; i < o->n_bias; i++) {
        float b = o->bias[i].bias;
        if (!(b == -INFINITY || (b >= -SAMPLING_BIAS_MOST && b <= SAMPLING_BIAS_MOST)))
            return fail(err, E_RANGE, "logit_bias of token %d is %g, it must be -%d to %d, or minus infinity",
                        o->bias[i].token, (double)b, SAMPLING_BIAS_MOST, SAMPLING_BIAS_MOST);
    }
    if (o->n_stops > SAMPLING_STOPS)
        return fail(err, E_RANGE, "%u stop strings, the limit is %d", o->n_stops, SAMPLING_STOPS);
    for (uint32_t i = 0; i < o->n_stops; i++) {
        size_t n = o->stops[i] ? strlen(o->stops[i]) : 0;
        if (n == 0 || n > SAMPLING_STOP_BYTES)
            return fail(err, E_RANGE, "stop string %u has %zu bytes, it must have 1 to %d", i, n, SAMPLING_STOP_BYTES);
    }
    return OK;
}

/* ---- candidates ---- */

static bool before(candidate a, candidate b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

static void sift(candidate *c, size_t n, size_t i)
{
    candidate moving = c[i];
    for (size_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && before(c[child + 1], c[child]))
            child++;
        if (!before(c[child], moving))
            break;
        c[i] = c[child];
        i = child;
    }
    c[i] = moving;
}

static bool allows(const token_mask *mask, size_t token)
{
    return token / 64 < mask->n && (mask->words[token / 64] >> token % 64 & 1);
}

/* What the mask does not have weighs nothing. */
static void apply_mask(float *work, size_t n_vocab, const token_mask *mask)
{
    for (size_t w = 0; w * 64 < n_vocab; w++) {
        uint64_t allowed = w < mask->n ? mask->words[w] : 0;
        size_t left = n_vocab - w * 64, n = left < 64 ? left : 64;
        for (size_t i = 0; i < n && allowed != UINT64_MAX; i++)
            if (!(allowed >> i & 1))
                work[w * 64 + i] = -INFINITY;
    }
}

static float penalised(float x, uint16_t count, const sampling_options *o)
{
    if (!count)
        return x;
    x = x > 0.0f ? x / o->repeat_penalty : x * o->repeat_penalty;
    return x - (float)count * o->frequency_penalty - o->presence_penalty;
}

/* Bias, penalties, temperature and mask over the logits, into work; returns the place of the largest. */
static size_t gather(const engine *e, sampler *m, const session *s, const float *logits, const token_mask *mask,
                     const sampling_options *o)
{
    uint32_t n_window = o->repeat_last_n < s->length ? o->repeat_last_n : s->length;
    bool penalties = o->repeat_penalty != 1.0f || o->presence_penalty != 0.0f || o->frequency_penalty != 0.0f;
    const int32_t *window = s->tokens + s->length - n_window;
    size_t n_vocab = e->info.n_vocab;
    float by = o->temperature > 0.0f ? 1.0f / o->temperature : 1.0f;
    e->k.scale(logits, by, n_vocab, m->work);
    for (uint32_t i = 0; penalties && i < n_window; i++)
        m->counts[window[i]]++;
    for (uint32_t i = 0; penalties && i < n_window; i++)
        m->work[window[i]] = penalised(logits[window[i]], m->counts[window[i]], o) * by;
    for (uint32_t i = 0; i < o->n_bias; i++) {
        int32_t t = o->bias[i].token;
        m->work[t] = penalised(logits[t] + o->bias[i].bias, m->counts[t], o) * by;
    }
    for (uint32_t i = 0; penalties && i < n_window; i++)
        m->counts[window[i]] = 0;
    if (mask)
        apply_mask(m->work, n_vocab, mask);
    return e->k.argmax(m->work, n_vocab);
}

/* Candidates in their order, on demand. Few are ever asked for, so those within `near` of the largest become a heap
 * first, and when it is empty those between there and twice as far. What was taken lies at the array's end, the first
 * at the very end: heap and taken ones never meet, because together they are tokens of one vocabulary. */
typedef struct order {
    candidate *c;
    const float *work;
    size_t n_vocab;
    float top, floor, low; /* the largest; the least of all; the least of those that were in the heap */
    size_t n_heap, n_taken;
} order;

static void widen(order *r)
{
    const float high = r->low, near = r->top - high > 0.0f ? 2.0f * (r->top - high) : 4.0f;
    const bool first = r->n_taken == 0;
    r->low = r->top - near > r->floor ? r->top - near : r->floor;
    for (size_t i = 0; i < r->n_vocab; i++)
        if (r->work[i] >= r->low && (r->work[i] < high || (first && r->work[i] == high)))
            r->c[r->n_heap++] = (candidate){ r->work[i], (int32_t)i };
    for (size_t i = r->n_heap / 2; i-- > 0;)
        sift(r->c, r->n_heap, i);
}

/* The candidate that comes as number i (from 0); i is at most the number of those taken. */
static candidate taken(order *r, size_t i)
{
    candidate *c = r->c, *end = c + r->n_vocab;
    while (i == r->n_taken && !r->n_heap && r->low > r->floor)
        widen(r);
    if (i == r->n_taken) {
        candidate first = c[0];
        c[0] = c[--r->n_heap];
        if (r->n_heap)
            sift(c, r->n_heap, 0);
        end[-1 - (ptrdiff_t)r->n_taken++] = first;
    }
    return end[-1 - (ptrdiff_t)i];
}

static double weight(order *r, size_t i)
{
    return (double)kernels_expf(taken(r, i).logit - r->top);
}

static size_t count_all(const engine *e, const sampler *m, float floor)
{
    size_t all = 0;
    for (size_t i = 0; i < e->info.n_vocab; i++)
        all += m->work[i] >= floor; /* false of what is not a number */
    return all;
}

/* The sum of all candidates' weights in the order of ids. */
static double weigh_all(const engine *e, const sampler *m, float top, float floor)
{
    enum { CHUNK = 1024 };
    float weights[CHUNK];
    double total = 0.0;
    for (size_t from = 0; from < e->info.n_vocab; from += CHUNK) {
        size_t left = e->info.n_vocab - from, n = left < CHUNK ? left : CHUNK;
        const float *work = m->work + from;
        e->k.exp_from(work, top, n, weights);
        for (size_t i = 0; i < n; i++)
            total += work[i] >= floor ? (double)weights[i] : 0.0;
    }
    return total;
}

/* The draw. Nothing is filtered: the first candidate at which the running sum exceeds u times the sum of all (in order
 * of ids) is it. Else the kept ones are counted first: those among the k first, while the sum before is below top_p of
 * the sum over the k (or over all), and the weight is not below min_p; then the same among them. */
static int32_t draw(const engine *e, sampler *m, float top, const sampling_options *o, double u)
{
    double total = 0.0, kept = 0.0, sum = 0.0;
    /* below floor exp is exactly 0 */
    order r = { .c = m->candidates, .work = m->work, .n_vocab = e->info.n_vocab, .top = top, .floor = top - 80.0f,
                .low = top };
    size_t all = count_all(e, m, r.floor), k = o->top_k && o->top_k < all ? o->top_k : all, n_kept = 0;
    bool filtered = k < all || o->top_p < 1.0f || o->min_p > 0.0f;
    if (k == all && (!filtered || o->top_p < 1.0f)) /* else nobody asks for this sum */
        total = weigh_all(e, m, top, r.floor);
    for (size_t i = 0; k < all && i < k; i++)
        total += weight(&r, i);
    while (filtered && n_kept < k && !(o->top_p < 1.0f && n_kept && kept >= (double)o->top_p * total)) {
        double w = weight(&r, n_kept);
        if (n_kept && w < (double)o->min_p)
            break;
        kept += w;
        n_kept++;
    }
    double goal = u * (filtered ? kept : total);
    size_t last = (filtered ? n_kept : all) - 1;
    for (size_t i = 0;; i++) {
        sum += weight(&r, i);
        if (sum > goal || i == last)
            return taken(&r, i).token;
    }
}

/* ---- reports ---- */

/* The n likeliest, in order, by one pass: most tokens are below the last of the list. */
static uint32_t likeliest(const float *logits, size_t n_vocab, uint32_t n, double log_sum, token_logprob *out)
{
    uint32_t have = 0;
    for (size_t i = 0; i < n_vocab && n; i++) {
        if (have == n && logits[i] <= out[n - 1].logprob)
            continue;
        uint32_t at = have < n ? have++ : n - 1;
        for (; at > 0 && logits[i] > out[at - 1].logprob; at--)
            out[at] = out[at - 1];
        out[at] = (token_logprob){ (int32_t)i, logits[i] };
    }
    for (uint32_t i = 0; i < have; i++)
        out[i].logprob = (float)((double)out[i].logprob - log_sum);
    return have;
}

void engine_report(const engine *e, sampler *m, const float *logits, const sampling_options *o, int32_t token,
                   sampled *out)
{
    double log_sum = engine_log_sum(e, m, logits);
    out->n_top = o->n_logprobs ? likeliest(logits, e->info.n_vocab, o->n_logprobs, log_sum, out->top) : 0;
    out->token = token;
    out->logprob = (float)((double)logits[token] - log_sum);
}

void engine_sample(const engine *e, sampler *m, const session *s, const float *logits, const token_mask *mask,
                   const sampling_options *o, sampled *out)
{
    size_t best = gather(e, m, s, logits, mask, o);
    if (mask && !allows(mask, best)) /* no number among the logits of those allowed */
        for (best = 0; !allows(mask, best);)
            best++;
    int32_t token = (int32_t)best;
    if (o->temperature > 0.0f && m->work[best] > -INFINITY) /* else a bias forbids all: the lowest */
        token = draw(e, m, m->work[best], o, (double)(sample_random(o->seed, s->length, o->choice) >> 8) * 0x1p-24);
    engine_report(e, m, logits, o, token, out);
}
