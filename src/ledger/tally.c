#include "ledger/tally.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- from case id to key ---- */

typedef struct place {
    const char *case_id;
    size_t key;
} place;

static int by_case(const void *a, const void *b)
{
    return strcmp(((const place *)a)->case_id, ((const place *)b)->case_id);
}

static void put_row(tally *t, const ledger_row *row, const place *index, const tally_key *keys)
{
    place want = { row->case_id, 0 };
    const place *at = t->n_keys ? bsearch(&want, index, t->n_keys, sizeof *index, by_case) : NULL;
    if (!at || row->repeat >= t->repeats)
        t->stale_case++;
    else if (strcmp(keys[at->key].prompt, row->prompt) != 0)
        t->stale_prompt++;
    else
        t->slots[at->key * t->repeats + row->repeat].row = row; /* rows come oldest first: the newest stays */
}

static status read_grades(ledger *l, tally *t, const tally_key *keys, error *err)
{
    for (size_t k = 0; k < t->n_keys; k++)
        for (uint32_t r = 0; r < t->repeats; r++) {
            tally_slot *slot = &t->slots[k * t->repeats + r];
            error none;
            if (!slot->row)
                continue;
            status s = ledger_find_grade(l, slot->row->id, keys[k].grader, &slot->grade, &none);
            if (s && s != E_NOTFOUND)
                return fail(err, s, "%s", none.text);
            slot->graded = s == OK;
        }
    return OK;
}

status tally_make(ledger *l, const ledger_rows *rows, const tally_key *keys, size_t n_keys, uint32_t repeats,
                  tally *out, error *err)
{
    tally t = { .n_keys = n_keys, .repeats = repeats ? repeats : 1 };
    size_t room = n_keys ? n_keys : 1;
    place *index = mem_array(room, sizeof *index);
    t.slots = t.repeats <= SIZE_MAX / room ? mem_array(room * t.repeats, sizeof *t.slots) : NULL;
    t.outcome = mem_array(room, sizeof *t.outcome);
    t.score = mem_array(room, sizeof *t.score);
    status s = index && t.slots && t.outcome && t.score ? OK : fail(err, E_NOMEM, "no memory for %zu cases", n_keys);
    if (!s) {
        for (size_t k = 0; k < n_keys; k++)
            index[k] = (place){ keys[k].case_id, k };
        qsort(index, n_keys, sizeof *index, by_case);
        for (size_t i = 0; i < rows->n; i++)
            put_row(&t, &rows->rows[i], index, keys);
        s = read_grades(l, &t, keys, err);
    }
    mem_free(index);
    if (s) {
        tally_clear(&t);
        return s;
    }
    tally_sum(&t);
    *out = t;
    return OK;
}

void tally_clear(tally *t)
{
    mem_free(t->slots);
    mem_free(t->outcome);
    mem_free(t->score);
    memset(t, 0, sizeof *t);
}

/* ---- sums ---- */

static void sum_case(tally *t, size_t k)
{
    uint32_t count[3] = { 0 }, n = 0;
    double score = 0;
    for (uint32_t r = 0; r < t->repeats; r++) {
        const tally_slot *slot = &t->slots[k * t->repeats + r];
        t->ungraded += slot->row && !slot->graded;
        if (!slot->graded)
            continue;
        n++;
        count[slot->grade.outcome]++;
        score += slot->grade.score;
    }
    t->outcome[k] = TALLY_OPEN;
    t->score[k] = NAN;
    if (n < t->repeats)
        return;
    ledger_outcome o = 2 * count[LEDGER_PASS] > n        ? LEDGER_PASS
                       : 2 * count[LEDGER_MALFORMED] > n ? LEDGER_MALFORMED
                                                         : LEDGER_WRONG;
    t->outcome[k] = (signed char)o;
    t->score[k] = score / n;
    t->n++;
    t->n_pass += o == LEDGER_PASS;
    t->n_wrong += o == LEDGER_WRONG;
    t->n_malformed += o == LEDGER_MALFORMED;
}

void tally_put(tally *t, size_t key, uint32_t repeat, const ledger_row *row, const ledger_grade *grade)
{
    uint32_t *const counts[] = { &t->n_pass, &t->n_wrong, &t->n_malformed };
    tally_slot *slot = &t->slots[key * t->repeats + repeat];
    for (uint32_t r = 0; r < t->repeats; r++) {
        const tally_slot *before = &t->slots[key * t->repeats + r];
        t->ungraded -= before->row && !before->graded;
    }
    if (t->outcome[key] != TALLY_OPEN) {
        t->n--;
        --*counts[t->outcome[key]];
    }
    *slot = (tally_slot){ .row = row, .graded = grade != NULL };
    if (grade)
        slot->grade = *grade;
    sum_case(t, key);
}

void tally_sum(tally *t)
{
    t->n = t->n_pass = t->n_wrong = t->n_malformed = t->ungraded = 0;
    for (size_t k = 0; k < t->n_keys; k++)
        sum_case(t, k);
}

char *tally_stale_text(const tally *t, char *text, size_t bytes)
{
    int n = 0;
    text[0] = 0;
    if (t->stale_prompt)
        n = snprintf(text, bytes, "the prompt or the input changed (%u answers)", t->stale_prompt);
    if (t->stale_case && n >= 0 && (size_t)n < bytes)
        n += snprintf(text + n, bytes - (size_t)n, "%sits cases are not in the suite any more (%u answers)",
                      n ? "; " : "", t->stale_case);
    if (t->ungraded && n >= 0 && (size_t)n < bytes)
        snprintf(text + n, bytes - (size_t)n, "%sthe graders changed (%u answers: `hearth measure` grades them again)",
                 n ? "; " : "", t->ungraded);
    return text;
}

void tally_mean_tokens(const tally *t, double *prompt, double *output)
{
    double in = 0, out = 0;
    size_t n = 0;
    for (size_t i = 0; i < t->n_keys * t->repeats; i++) {
        const ledger_row *r = t->slots[i].row;
        if (!r || r->n_prompt < 0 || r->n_output < 0)
            continue;
        in += (double)r->n_prompt;
        out += (double)r->n_output;
        n++;
    }
    *prompt = n ? in / (double)n : NAN;
    *output = n ? out / (double)n : NAN;
}

/* ---- speed ---- */

/* Answers given alone come before those given in company, which wait for each other; of equals the newest. */
static bool says_more(const ledger_row *a, const ledger_row *b)
{
    return a->concurrency != b->concurrency ? a->concurrency < b->concurrency : a->at_us > b->at_us;
}

static const ledger_row *newest_on(const tally *t, const char *machine)
{
    const ledger_row *newest = NULL;
    for (size_t i = 0; i < t->n_keys * t->repeats; i++) {
        const ledger_row *r = t->slots[i].row;
        if (r && (!machine || strcmp(r->machine, machine) == 0) && (!newest || says_more(r, newest)))
            newest = r;
    }
    return newest;
}

static bool same_setting(const ledger_row *a, const ledger_row *b)
{
    return a->threads == b->threads && a->concurrency == b->concurrency && strcmp(a->machine, b->machine) == 0 &&
           strcmp(a->isa, b->isa) == 0 && strcmp(a->power, b->power) == 0;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Nearest rank: the smallest value with at least p of all values at or below it. */
static double rank_ms(int64_t *sorted, size_t n, double p)
{
    if (n == 0)
        return NAN;
    size_t at = (size_t)ceil(p * (double)n);
    return (double)sorted[at ? at - 1 : 0] / 1000.0;
}

typedef struct totals {
    double prefill_tokens, prefill_us, decode_tokens, decode_us;
    size_t n, n_ttft, n_total;
} totals;

static void add_row(totals *sum, const ledger_row *r, int64_t *ttft, int64_t *total)
{
    sum->n++;
    if (r->prefill_us > 0 && r->n_prompt > 0) {
        sum->prefill_tokens += (double)(r->n_prompt - (r->n_cached > 0 ? r->n_cached : 0));
        sum->prefill_us += (double)r->prefill_us;
    }
    if (r->decode_us > 0 && r->n_output > 0) {
        sum->decode_tokens += (double)r->n_output;
        sum->decode_us += (double)r->decode_us;
    }
    if (r->ttft_us >= 0)
        ttft[sum->n_ttft++] = r->ttft_us;
    if (r->total_us >= 0)
        total[sum->n_total++] = r->total_us;
}

status tally_measure_speed(const tally *t, const char *machine, tally_speed *out, error *err)
{
    size_t slots = t->n_keys * t->repeats;
    const ledger_row *newest = newest_on(t, machine);
    totals sum = { 0 };
    int64_t *ttft = mem_array(slots + 1, sizeof *ttft), *total = mem_array(slots + 1, sizeof *total);
    status s = ttft && total ? OK : fail(err, E_NOMEM, "no memory for the speed of %zu answers", slots);
    if (!s) {
        for (size_t i = 0; newest && i < slots; i++)
            if (t->slots[i].row && same_setting(t->slots[i].row, newest))
                add_row(&sum, t->slots[i].row, ttft, total);
        qsort(ttft, sum.n_ttft, sizeof *ttft, by_number);
        qsort(total, sum.n_total, sizeof *total, by_number);
        *out = (tally_speed){
            .n = (uint32_t)sum.n,
            .concurrency = newest ? newest->concurrency : 0,
            .prefill_per_s = sum.prefill_us > 0 ? sum.prefill_tokens / sum.prefill_us * 1e6 : NAN,
            .decode_per_s = sum.decode_us > 0 ? sum.decode_tokens / sum.decode_us * 1e6 : NAN,
            .ttft_p50_ms = rank_ms(ttft, sum.n_ttft, 0.5),
            .ttft_p95_ms = rank_ms(ttft, sum.n_ttft, 0.95),
            .answer_p50_ms = rank_ms(total, sum.n_total, 0.5),
            .answer_p95_ms = rank_ms(total, sum.n_total, 0.95),
        };
    }
    mem_free(ttft);
    mem_free(total);
    return s;
}
