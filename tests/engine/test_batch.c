/* Answers in company: whoever comes and goes beside it, each is what it would be alone, bit for bit; a beginning that
 * several have in common is computed once; nobody starves; and what is near it: scoring in pieces, biases. */
#include "lib/check.h"
#include "lib/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/batch.h"
#include "engine/engine_int.h"
#include "engine/walk.h"
#include "gguf/gguf.h"
#include "grammar/grammar.h"

enum { CONTEXT = 512, N = 12, MOST = 128 };

static bool slices; /* prompts are read in layers between steps */
static uint64_t n_slices;

static engine *open_model(const tiny_model *m, uint32_t batch_rows, uint64_t kv_pages)
{
    tiny_model_write(m, tiny_model_path());
    engine_options o;
    engine_options_init(&o);
    o.context = CONTEXT;
    o.n_sessions = N;
    o.batch = batch_rows;
    o.n_threads = slices ? 2 : 1;
    o.slices = slices;
    gguf *g = NULL;
    engine *e = NULL;
    engine_budget b;
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_ok(engine_plan(g, &o, &b, err));
    o.kv_bytes = kv_pages ? engine_kv_bytes(&b, kv_pages, N) : 0;
    assert_ok(engine_open(&e, g, &o, err));
    return e;
}

typedef struct heard {
    int32_t tokens[MOST];
    float logprobs[MOST];
    char text[8192];
    uint32_t n_tokens, cancel_at;
    size_t n;
    generate_result result;
} heard;

static bool hear(void *user, const generate_event *event)
{
    heard *h = user;
    if (event->kind == GENERATE_TEXT) {
        assert_true(h->n + event->text_bytes < sizeof h->text);
        memcpy(h->text + h->n, event->text, event->text_bytes);
        h->n += event->text_bytes;
    } else if (event->kind == GENERATE_TOKEN) {
        assert_true(h->n_tokens < MOST);
        h->logprobs[h->n_tokens] = event->token.logprob;
        h->tokens[h->n_tokens++] = event->token.token;
    }
    return h->cancel_at && h->n_tokens >= h->cancel_at;
}

typedef struct job {
    int32_t prompt[CONTEXT];
    uint32_t n;
    sampling_options o;
    grammar *grammar;
    heard alone, beside;
    session *s;
    generation *g;
    bool added;
} job;

static job jobs[N];

static void make_jobs(uint32_t *x, uint32_t n_vocab, bool texts)
{
    for (uint32_t i = 0; i < N; i++) {
        job *j = &jobs[i];
        uint32_t shared = random_below(x, 2) ? 100 : 0;
        *j = (job){ .n = 1 + random_below(x, 200) };
        for (uint32_t k = 0; k < j->n; k++)
            j->prompt[k] = (int32_t)(k < shared ? k * 7 % 90 : random_below(x, n_vocab));
        sampling_options_init(&j->o);
        j->o.seed = random_below(x, 1000);
        j->o.temperature = random_below(x, 3) ? 0.9f : 0.0f;
        j->o.max_tokens = 1 + random_below(x, MOST - 1);
        j->o.n_logprobs = random_below(x, 3) == 0 ? 2 : 0;
        j->o.repeat_penalty = random_below(x, 3) == 0 ? 1.2f : 1.0f;
        j->o.speculate = (sampling_speculate)random_below(x, 3);
        j->o.ignore_eos = random_below(x, 2);
        j->alone.cancel_at = j->beside.cancel_at = random_below(x, 4) == 0 ? 1 + random_below(x, 20) : 0;
        if (texts && random_below(x, 3) == 0) {
            static const char rule[] = "root ::= \"{\\\"name of it\\\": \\\"\" [a-z]{3,9} "
                                       "\"\\\", \\\"the number\\\": \" [0-9]{2,4} \"}\"";
            assert_ok(grammar_gbnf(&j->grammar, rule, strlen(rule), err));
            j->o.grammar = j->grammar;
        }
        if (texts && random_below(x, 3) == 0)
            j->o.stops[j->o.n_stops++] = "e";
    }
}

static void alone(engine *e, job *j)
{
    session *s = NULL;
    assert_ok(session_open(&s, e, err));
    assert_ok(engine_generate(s, j->prompt, j->n, &j->o, hear, &j->alone, &j->alone.result, err));
    session_close(&s);
}

static void check_same(const job *j, uint32_t i)
{
    const heard *a = &j->alone, *b = &j->beside;
    if (a->n_tokens != b->n_tokens || memcmp(a->tokens, b->tokens, a->n_tokens * sizeof *a->tokens) != 0)
        fail_msg("answer %u: %u tokens alone, %u in company, or others", i, a->n_tokens, b->n_tokens);
    assert_memory_equal(a->logprobs, b->logprobs, a->n_tokens * sizeof *a->logprobs);
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->text, b->text, a->n);
    assert_int_equal(a->result.finish, b->result.finish);
    assert_ptr_equal(a->result.stop, b->result.stop);
    assert_int_equal(a->result.n_forced, b->result.n_forced);
    assert_true(a->result.sum_logprob == b->result.sum_logprob);
}

static uint32_t fetch(batch *b)
{
    uint32_t n = 0;
    for (generation *g; (g = batch_next_finished(b)); n++)
        for (uint32_t i = 0; i < N; i++)
            if (jobs[i].g == g) {
                assert_ok(generation_result(g, &jobs[i].beside.result, err));
                generation_close(&jobs[i].g);
                session_close(&jobs[i].s);
                check_same(&jobs[i], i);
            }
    return n;
}

static void join(engine *e, batch *b, job *j, const char *scope, int priority)
{
    assert_ok(session_open(&j->s, e, err));
    assert_ok(session_share(j->s, scope, err));
    assert_ok(generation_open(&j->g, j->s, j->prompt, j->n, &j->o, hear, &j->beside, err));
    assert_ok(batch_add(b, j->g, priority, err));
    j->added = true;
}

/* Some are cancelled from outside, between steps: what they said till then is what they would have said alone. */
static void walk(engine *e, uint32_t *x, bool texts, uint64_t *sent_back)
{
    batch *b = NULL;
    make_jobs(x, engine_get_info(e)->n_vocab, texts);
    for (uint32_t i = 0; i < N; i++)
        alone(e, &jobs[i]);
    assert_ok(batch_open(&b, e, NULL, err));
    for (uint32_t done = 0, next = 0, steps = 0; done < N; steps++) {
        assert_true(steps < 20000);
        while (next < N && (random_below(x, 6) == 0 || !batch_count(b))) {
            job *j = &jobs[next++];
            join(e, b, j, random_below(x, 3) ? "one" : NULL, (int)random_below(x, 2));
        }
        uint32_t at = random_below(x, N * 40);
        if (at < N && jobs[at].g) {
            batch_remove(b, jobs[at].g);
            assert_null(batch_next_finished(b));
            assert_memory_equal(jobs[at].alone.tokens, jobs[at].beside.tokens,
                                jobs[at].beside.n_tokens * sizeof(int32_t));
            generation_close(&jobs[at].g);
            session_close(&jobs[at].s);
            done++;
        }
        poison_free_pages(e);
        uint64_t before = mem_count();
        assert_ok(batch_step(b, err));
        assert_true(texts || mem_count() == before);
        done += fetch(b);
    }
    *sent_back += batch_get_stats(b).n_sent_back;
    n_slices += batch_get_stats(b).n_slices;
    batch_close(&b);
    for (uint32_t i = 0; i < N; i++)
        grammar_close(&jobs[i].grammar);
}

static void company_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        uint32_t batch, pages;
    } cases[] = { { "llama", 64, 0 }, { "llama", 32, 9 }, { "gemma3", 24, 9 }, { "llama", 1, 7 } };
    uint32_t x = 5;
    uint64_t all = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        tiny_model m = tiny_model_default();
        m.arch = cases[i].arch;
        if (!strcmp(m.arch, "gemma3")) {
            m.post_norm = m.qk_norm = true;
            m.n_layers = 7;
            m.window = 48;
        }
        uint64_t sent_back = 0;
        engine *e = open_model(&m, cases[i].batch, cases[i].pages);
        for (int round = 0; round < 3; round++)
            walk(e, &x, false, &sent_back);
        engine_close(&e);
        assert_int_equal(n_slices, 0);
        slices = true;
        e = open_model(&m, cases[i].batch, cases[i].pages);
        slices = false;
        for (int round = 0; round < 3; round++)
            walk(e, &x, false, &sent_back);
        print_message("%s, batch %u, %u pages: %d were sent back\n", m.arch, cases[i].batch, cases[i].pages,
                      (int)sent_back);
        assert_true(cases[i].batch < 16 || n_slices > 100);
        n_slices = 0;
        assert_true(cases[i].pages || !sent_back);
        all += sent_back;
        engine_close(&e);
    }
    assert_true(all > 0); /* how often depends on the clock, which decides about chunks */
}

static void grammars_and_stops_too(void **state)
{
    uint32_t x = 77;
    uint64_t sent_back = 0;
    FILE *f = fopen(*state, "rb");
    if (!f)
        skip();
    fclose(f);
    tiny_model m = tiny_model_like(*state);
    engine *e = open_model(&m, 32, 9);
    walk(e, &x, true, &sent_back);
    engine_close(&e);
}

static void plain(job *j, uint32_t n, uint32_t max_tokens, int32_t first)
{
    *j = (job){ .n = n };
    for (uint32_t k = 0; k < n; k++)
        j->prompt[k] = (int32_t)((k * 7 + (k >= 256 ? (uint32_t)first : 0)) % 96);
    sampling_options_init(&j->o);
    j->o.max_tokens = max_tokens;
    j->o.ignore_eos = true;
}

static void a_common_beginning_is_computed_once(void **state)
{
    (void)state;
    tiny_model m = tiny_model_default();
    engine *e = open_model(&m, 48, 0);
    batch *b = NULL;
    assert_ok(batch_open(&b, e, NULL, err));
    for (int32_t i = 0; i < 8; i++) {
        plain(&jobs[i], 270, 5, i);
        alone(e, &jobs[i]);
        join(e, b, &jobs[i], "same", 0);
    }
    for (uint32_t done = 0; done < 8; done += fetch(b))
        assert_ok(batch_step(b, err));
    /* 256 once and 14 of each; where prompts take turns, part of a page is computed twice */
    assert_in_range(batch_get_stats(b).n_prompt_rows, 256 + 8 * 14, 256 + 8 * 14 + 2 * 64);
    batch_close(&b);
    engine_close(&e);
}

/* Short prompts come again and again, and the long one that was there first is answered among them; one of higher
 * priority goes before those that wait. */
static void nobody_starves(void **state)
{
    (void)state;
    tiny_model m = tiny_model_default();
    engine *e = open_model(&m, 16, 0);
    batch *b = NULL;
    assert_ok(batch_open(&b, e, NULL, err));
    plain(&jobs[0], 400, 1, 3);
    alone(e, &jobs[0]);
    join(e, b, &jobs[0], NULL, 0);
    uint32_t others = 0;
    for (; jobs[0].g; others++) {
        assert_true(others < 2000);
        for (uint32_t i = 1; i < 4; i++)
            if (!jobs[i].g) {
                plain(&jobs[i], 16, 1, 0);
                alone(e, &jobs[i]);
                join(e, b, &jobs[i], NULL, 0);
            }
        assert_ok(batch_step(b, err));
        fetch(b);
    }
    assert_true(others >= 8 * 20);
    plain(&jobs[4], 300, 1, 3);
    alone(e, &jobs[4]);
    join(e, b, &jobs[4], NULL, 1);
    uint32_t before = batch_count(b);
    while (jobs[4].g) {
        assert_int_equal(batch_count(b), before); /* nobody else came to an end */
        assert_ok(batch_step(b, err));
        fetch(b);
    }
    while (batch_count(b)) {
        assert_ok(batch_step(b, err));
        fetch(b);
    }
    batch_close(&b);
    engine_close(&e);
}

static void scoring_in_pieces_is_scoring(void **state)
{
    (void)state;
    tiny_model m = tiny_model_default();
    engine *e = open_model(&m, 64, 0);
    session *s = NULL;
    job *j = &jobs[0];
    double whole[CONTEXT], pieces[CONTEXT];
    plain(j, 300, 1, 5);
    assert_ok(session_open(&s, e, err));
    assert_ok(session_score(s, j->prompt, j->n, whole, NULL, NULL, err));
    for (uint32_t most = 1; most < 100; most += 13) {
        scoring *g = NULL;
        bool over = false;
        uint32_t calls = 0;
        memset(pieces, 0, sizeof pieces);
        assert_ok(scoring_open(&g, s, j->prompt, j->n, pieces, NULL, NULL, err));
        for (; !over; calls++)
            assert_ok(scoring_step(g, most, &over, err));
        scoring_close(&g);
        assert_int_equal(calls, (300 + (most < 64 ? most : 64) - 1) / (most < 64 ? most : 64));
        assert_memory_equal(whole, pieces, j->n * sizeof *whole);
    }
    session_close(&s);
    engine_close(&e);
}

static void biases_force_and_forbid(void **state)
{
    (void)state;
    tiny_model m = tiny_model_default();
    engine *e = open_model(&m, 64, 0);
    job *j = &jobs[0];
    plain(j, 20, 40, 0);
    token_bias force = { 33, 500.0f }, all[96];
    j->o.bias = &force;
    j->o.n_bias = 1;
    alone(e, j);
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(j->alone.tokens[i], 33);
    for (int32_t i = 0; i < 96; i++)
        all[i] = (token_bias){ i, i == 50 || i == 51 ? 0.0f : -INFINITY };
    plain(j, 20, 40, 0);
    j->o.bias = all;
    j->o.n_bias = 96;
    alone(e, j);
    for (uint32_t i = 0; i < 40; i++)
        assert_in_range(j->alone.tokens[i], 50, 51);
    session *s = NULL;
    error why;
    assert_ok(session_open(&s, e, err));
    all[7].token = 96;
    assert_int_equal(generation_open(&j->g, s, j->prompt, j->n, &j->o, NULL, NULL, &why), E_RANGE);
    assert_non_null(strstr(why.text, "96"));
    all[7] = (token_bias){ 7, NAN };
    assert_int_equal(sampling_options_check(&j->o, &why), E_RANGE);
    j->o.n_bias = SAMPLING_BIASES + 1;
    assert_int_equal(sampling_options_check(&j->o, &why), E_RANGE);
    session_close(&s);
    engine_close(&e);
}

int main(void)
{
    static char path[512];
    const char *cache = getenv("HEARTH_CACHE");
    snprintf(path, sizeof path, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    const struct CMUnitTest tests[] = { cmocka_unit_test(company_changes_nothing),
                                        cmocka_unit_test_prestate(grammars_and_stops_too, path),
                                        cmocka_unit_test(a_common_beginning_is_computed_once),
                                        cmocka_unit_test(nobody_starves),
                                        cmocka_unit_test(scoring_in_pieces_is_scoring),
                                        cmocka_unit_test(biases_force_and_forbid) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
