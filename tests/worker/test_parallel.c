/* Many requests of one worker at once, with a real model: each answer is the one that it would have been alone, whoever
 * leaves, fails, is scored or embedded meanwhile. */
#include "lib/check.h"
#include "lib/helpers.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "provider/embed.h"
#include "provider/provider.h"

enum { MANY = 8, TOKENS = 40 };

static provider *smol;

typedef struct asking {
    request r;
    request_message message;
    request_input input;
    request_embed embed;
    char said[64];
    uint32_t leave_after; /* pieces of text; 0: stays */
    bool kills;           /* the worker, after the first piece */
    status s;
    error err;
    event_done done;
    event_error fault;
    buf text;
    double sum_logprob;   /* of the prompt's tokens */
    float vector[4];
    uint32_t n_text;
    double began_s, first_s, ended_s;
} asking;

static int hear(void *user, const event *e)
{
    asking *a = user;
    double now = (double)clock_mono_us() * 1e-6;
    if (e->kind == EVENT_TEXT) {
        buf_add(&a->text, e->text, e->text_bytes);
        a->first_s = a->n_text++ ? a->first_s : now;
        if (a->kills && a->n_text == 1)
            kill(provider_process(smol), SIGKILL);
        return a->leave_after && a->n_text >= a->leave_after;
    }
    if (e->kind == EVENT_TOKEN && e->token->prompt)
        a->sum_logprob += e->token->token.logprob;
    else if (e->kind == EVENT_VECTOR)
        memcpy(a->vector, e->vector->values, sizeof a->vector);
    else if (e->kind == EVENT_DONE)
        a->done = *e->end;
    else if (e->kind == EVENT_ERROR)
        a->fault = *e->error;
    return 0;
}

static void *ask(void *user)
{
    asking *a = user;
    a->text = (buf)BUF_INIT(1 << 20);
    a->began_s = (double)clock_mono_us() * 1e-6;
    a->s = provider_complete(smol, &a->r, hear, a, NULL, &a->err);
    a->ended_s = (double)clock_mono_us() * 1e-6;
    return NULL;
}

static void make(asking *a, int i)
{
    *a = (asking){ .n_text = 0 };
    request_init(&a->r);
    snprintf(a->said, sizeof a->said, "Write a sentence about the number %d.", i * 7);
    a->message = (request_message){ "user", a->said };
    a->r.messages = &a->message;
    a->r.n_messages = 1;
    a->r.sampling.temperature = 0.7;
    a->r.sampling.seed = (uint64_t)i;
    a->r.sampling.max_tokens = TOKENS;
    a->r.sampling.ignore_eos = true;
    a->r.scope = i % 2 ? "odd" : NULL;
}

static void make_score(asking *a)
{
    make(a, 0);
    a->r.kind = REQUEST_TEXT;
    a->r.text = "The capital of France is Paris. The capital of Italy is Rome. The capital of Spain is Madrid.";
    a->r.logprobs = a->r.echo = a->r.score_only = true;
}

static void make_embed(asking *a)
{
    make(a, 0);
    a->input = (request_input){ .text = "a sentence to be embedded" };
    a->embed = (request_embed){ .inputs = &a->input, .n_inputs = 1 };
    a->r.kind = REQUEST_EMBED;
    a->r.embed = &a->embed;
}

static void run_all(asking *all, int n)
{
    pthread_t threads[MANY + 4];
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &all[i]), 0);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

/* The same requests, one by one and all together, and with others that come and go between them. */
static void company_changes_no_answer(void **state)
{
    (void)state;
    static asking alone[MANY + 2], together[MANY + 3];
    for (int i = 0; i < MANY + 2; i++) {
        i == MANY ? make_score(&alone[i]) : i > MANY ? make_embed(&alone[i]) : make(&alone[i], i);
        ask(&alone[i]);
        assert_ok(alone[i].s ? fail(err, alone[i].s, "%s", alone[i].err.text) : OK);
        i == MANY ? make_score(&together[i]) : i > MANY ? make_embed(&together[i]) : make(&together[i], i);
    }
    make(&together[MANY + 2], 77);
    together[MANY + 2].leave_after = 3;
    run_all(together, MANY + 3);
    double last_first = 0, first_end = 1e30;
    for (int i = 0; i < MANY + 2; i++) {
        assert_ok(together[i].s ? fail(err, together[i].s, "%s", together[i].err.text) : OK);
        assert_string_equal(buf_text(&together[i].text), buf_text(&alone[i].text));
        assert_true(together[i].sum_logprob == alone[i].sum_logprob);
        assert_memory_equal(together[i].vector, alone[i].vector, sizeof alone[i].vector);
        if (i < MANY) {
            assert_int_equal(together[i].done.completion_tokens, TOKENS);
            last_first = together[i].first_s > last_first ? together[i].first_s : last_first;
            first_end = together[i].ended_s < first_end ? together[i].ended_s : first_end;
        }
        buf_clear(&together[i].text);
        buf_clear(&alone[i].text);
    }
    assert_true(alone[MANY].sum_logprob < -1);
    assert_true(alone[MANY + 1].vector[0] != 0);
    assert_int_equal(together[MANY + 2].done.finish, ANSWER_CANCELLED);
    assert_true(last_first < first_end); /* all had begun before one had ended */
    buf_clear(&together[MANY + 2].text);
}

/* More than fit at once are refused in words; the others do not notice. */
static void one_too_many(void **state)
{
    (void)state;
    static asking all[MANY + 4];
    int refused = 0;
    assert_int_equal(provider_get_info(smol)->parallel, MANY + 3);
    for (int i = 0; i < MANY + 4; i++)
        make(&all[i], i);
    run_all(all, MANY + 4);
    for (int i = 0; i < MANY + 4; i++) {
        refused += all[i].s == E_EXISTS;
        assert_true(all[i].s == OK || (all[i].s == E_EXISTS && strstr(all[i].err.text, "busy")));
        buf_clear(&all[i].text);
    }
    assert_true(refused <= 1);
}

/* A worker that is killed takes all its answers with it; each is told so, and the next request has a new worker. */
static void all_hear_of_a_death(void **state)
{
    (void)state;
    static asking all[MANY];
    for (int i = 0; i < MANY; i++)
        make(&all[i], i);
    for (int i = 0; i < MANY; i++)
        all[i].r.sampling.max_tokens = 400;
    all[3].kills = true;
    run_all(all, MANY);
    for (int i = 0; i < MANY; i++) {
        if (all[i].s != E_PROVIDER || all[i].fault.kind != FAULT_CRASHED)
            fail_msg("%d: status %d: %s", i, (int)all[i].s, all[i].err.text);
        assert_non_null(strstr(all[i].err.text, "was killed by signal 9"));
        buf_clear(&all[i].text);
    }
    make(&all[0], 1);
    ask(&all[0]);
    assert_int_equal(all[0].s, OK);
    buf_clear(&all[0].text);
}

int main(int argc, char **argv)
{
    error err = { 0 };
    char path[4096], model[4096], home[100];
    const char *cache = getenv("HEARTH_CACHE");
    config cfg = { .parallel = MANY + 3, .context = 1024 };
    find_helpers();
    snprintf(model, sizeof model, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    if (access(model, R_OK) != 0) {
        printf("%s is not there (network)\n", model);
        return 77;
    }
    snprintf(home, sizeof home, "/tmp/hearth-parallel-%d", (int)getpid());
    setenv("HEARTH_HOME", home, 1);
    if (provider_open(&smol, model, &cfg, &err) != OK) {
        printf("open: %s\n", err.text);
        return 1;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_changes_no_answer),
        cmocka_unit_test(one_too_many),
        cmocka_unit_test(all_hear_of_a_death),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    provider_close(&smol);
    snprintf(path, sizeof path, "%s/digests", home);
    remove(path);
    remove(home);
    return failed;
}
