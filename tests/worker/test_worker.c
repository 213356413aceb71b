/* The inference process with a real model: it streams, stops when asked, dies without harm, and cannot reach out. */
#include "lib/check.h"
#include "lib/helpers.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "plat/clock.h"
#include "plat/witness.h"
#include "provider/provider.h"
#include "provider/provider_int.h"
#include "provider/self_test.h"

static char model[4096], base_model[4096];
static provider *smol;

typedef struct heard {
    status s;
    error err;
    buf text;
    event_done done;
    event_error fault;
    uint32_t n_prefill, n_text, n_token, n_prompt, n_top;
    double sum_logprob;
    uint32_t stop_after;   /* pieces of text */
    bool stop_in_prefill;
    int kill_after;        /* pieces, then the signal */
    int signal;
    double stopped_s, ended_s;
} heard;

static double now_s(void)
{
    return (double)clock_mono_us() * 1e-6;
}

static int listen_to(void *user, const event *e)
{
    heard *h = user;
    bool stop = false;
    if (e->kind == EVENT_TEXT) {
        assert_true(utf8_valid(e->text, e->text_bytes));
        buf_add(&h->text, e->text, e->text_bytes);
        h->n_text++;
        stop = h->stop_after && h->n_text >= h->stop_after;
        if (h->kill_after && h->n_text == (uint32_t)h->kill_after)
            kill(provider_process(smol), h->signal);
    } else if (e->kind == EVENT_PREFILL) {
        h->n_prefill++;
        stop = h->stop_in_prefill;
    } else if (e->kind == EVENT_TOKEN) {
        h->n_prompt += e->token->prompt;
        h->n_token += !e->token->prompt;
        h->n_top += (uint32_t)e->token->n_top;
        h->sum_logprob += e->token->token.logprob;
        assert_true(e->token->token.logprob <= 1e-6);
        for (size_t i = 1; i < e->token->n_top; i++)
            assert_true(e->token->top[i - 1].logprob >= e->token->top[i].logprob);
    } else if (e->kind == EVENT_DONE) {
        h->done = *e->end;
    } else if (e->kind == EVENT_ERROR) {
        h->fault = *e->error;
    }
    if (stop && h->stopped_s == 0)
        h->stopped_s = now_s();
    return stop;
}

static void ask(provider *p, heard *h, const request *r, const provider_limits *l)
{
    h->text = (buf)BUF_INIT(1 << 20);
    h->s = provider_complete(p, r, listen_to, h, l, &h->err);
    h->ended_s = now_s();
}

static const request_message hello[] = { { "user", "Count from one to ten in words." } };

static request chat_request(uint32_t max_tokens)
{
    request r;
    request_init(&r);
    r.messages = hello;
    r.n_messages = 1;
    r.sampling.max_tokens = max_tokens;
    return r;
}

static void says_what_it_is(void **state)
{
    (void)state;
    const provider_info *i = provider_get_info(smol);
    assert_int_equal(i->place, PLACE_LOCAL);
    assert_string_equal(i->arch, "llama");
    assert_string_equal(i->kv_type, "f16");
    assert_int_equal(strlen(i->model_digest), 64);
    assert_true(i->numerics[0] && i->isa[0] && i->has_template);
    if (!models_are_tiny()) {
        assert_true(i->n_params > 130000000 && i->n_params < 140000000);
        assert_true(i->budget_bytes > 50 << 20);
    }
    assert_true(provider_process(smol) > 0);
}

static void streams_the_same_answer(void **state)
{
    (void)state;
    char *first = NULL;
    for (int round = 0; round < 3; round++) {
        heard h = { 0 };
        request r = chat_request(24);
        r.scope = round == 2 ? "me" : NULL; /* private: without an equal scope nothing is reused */
        ask(smol, &h, &r, NULL);
        if (h.s)
            fail_msg("%s", h.err.text);
        assert_true(h.n_text > 3 && h.n_prefill > 0);
        assert_int_equal(h.done.completion_tokens, 24);
        assert_int_equal(h.done.finish, ANSWER_LENGTH);
        assert_false(h.done.context_full);
        assert_int_equal(h.done.cached_tokens, 0);
        assert_true(h.done.prompt_tokens > 10 && h.done.decode_seconds > 0 && h.done.prefill_seconds > 0);
        assert_true(h.done.ttft_seconds > 0 && h.done.ttft_seconds < h.done.total_seconds);
        assert_true(h.done.mean_logprob < 0);
        assert_true(h.done.peak_bytes > (models_are_tiny() ? 5 << 20 : 80 << 20));
        assert_int_equal(strlen(h.done.model_digest), 64);
        if (round == 0)
            first = mem_strdup(h.text.data);
        else
            assert_string_equal(h.text.data, first);
        buf_clear(&h.text);
    }
    /* the same scope again: the prompt is there already, and the answer is still the same */
    heard h = { 0 };
    request r = chat_request(24);
    r.scope = "me";
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, OK);
    assert_true(h.done.cached_tokens > 10);
    assert_string_equal(h.text.data, first);
    buf_clear(&h.text);
    /* another's: not */
    h = (heard){ 0 };
    r.scope = "you";
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.done.cached_tokens, 0);
    assert_string_equal(h.text.data, first);
    buf_clear(&h.text);
    mem_free(first);
}

static void stops(void **state)
{
    (void)state;
    heard h = { .stop_after = 3 };
    request r = chat_request(500);
    r.sampling.ignore_eos = true;
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, OK);
    assert_int_equal(h.done.finish, ANSWER_CANCELLED);
    assert_true(h.done.completion_tokens < 100);
    assert_true(h.ended_s - h.stopped_s < 2);
    int pid = provider_process(smol);
    buf_clear(&h.text);
    /* in the prompt */
    buf text = BUF_INIT(1 << 20);
    for (int i = 0; i < 1200; i++)
        buf_str(&text, "one two three ");
    h = (heard){ .stop_in_prefill = true };
    r = chat_request(5);
    r.kind = REQUEST_TEXT;
    r.text = text.data;
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, OK);
    assert_int_equal(h.done.finish, ANSWER_CANCELLED);
    assert_int_equal(h.n_text, 0);
    buf_clear(&h.text);
    /* a stop string is not part of the answer, and a deadline ends one */
    h = (heard){ 0 };
    r = chat_request(60);
    r.sampling.stops[0] = "hree";
    r.sampling.n_stops = 1;
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, OK);
    assert_null(strstr(buf_text(&h.text), "hree"));
    buf_clear(&h.text);
    h = (heard){ 0 };
    r = chat_request(4000);
    r.sampling.ignore_eos = true;
    ask(smol, &h, &r, &(provider_limits){ .timeout_ms = 400 });
    assert_int_equal(h.s, E_PROVIDER);
    assert_int_equal(h.fault.kind, FAULT_TIMEOUT);
    buf_clear(&h.text);
    buf_clear(&text);
    assert_int_equal(provider_process(smol), pid); /* none of this cost a worker */
}

static void too_long(void **state)
{
    (void)state;
    buf text = BUF_INIT(1 << 20);
    heard h = { 0 };
    request r = chat_request(5);
    for (int i = 0; i < 9000; i++)
        buf_str(&text, "one two three ");
    r.kind = REQUEST_TEXT;
    r.text = text.data;
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, E_NOFIT);
    assert_int_equal(h.fault.kind, FAULT_CONTEXT);
    assert_int_equal(h.fault.n_context, provider_get_info(smol)->context);
    assert_int_equal(h.fault.n_prompt, 27001); /* 27000 words, the last space */
    assert_int_equal(fault_http(h.fault.kind), 400);
    buf_clear(&text);
    buf_clear(&h.text);
}

static void log_probabilities(void **state)
{
    (void)state;
    request r = chat_request(6);
    heard h = { 0 };
    r.kind = REQUEST_TEXT;
    r.text = "The capital of France is Paris. The capital of Italy is";
    r.logprobs = true;
    r.n_logprobs = 3;
    ask(smol, &h, &r, NULL);
    assert_ok(h.s ? fail(err, h.s, "%s", h.err.text) : OK);
    assert_int_equal(h.n_token, 6);
    assert_int_equal(h.n_top, 18);
    assert_true(fabs(h.sum_logprob / 6 - h.done.mean_logprob) < 1e-5);
    double answer = h.sum_logprob;
    buf_clear(&h.text);
    h = (heard){ 0 };
    r.echo = true;
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, OK);
    assert_int_equal(h.n_prompt, h.done.prompt_tokens);
    assert_int_equal(h.n_token, 6);
    assert_true(h.sum_logprob < answer - 1);
    double all = h.sum_logprob;
    buf_clear(&h.text);
    h = (heard){ 0 };
    r.score_only = true;
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, OK);
    assert_int_equal(h.n_token, 0);
    assert_true(fabs(h.sum_logprob + answer - all) < 1e-9);
    assert_int_equal(h.done.completion_tokens, 0);
    buf_clear(&h.text);
}

static void dies_without_harm(void **state)
{
    (void)state;
    heard h = { .kill_after = 4, .signal = SIGKILL };
    request r = chat_request(300);
    r.sampling.ignore_eos = true;
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, E_PROVIDER);
    assert_int_equal(h.fault.kind, FAULT_CRASHED);
    assert_non_null(strstr(h.err.text, "was killed by signal 9"));
    assert_int_equal(provider_process(smol), 0);
    buf_clear(&h.text);
    h = (heard){ 0 };
    r = chat_request(5);
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, OK);
    assert_int_equal(h.done.completion_tokens, 5);
    buf_clear(&h.text);
    /* between two requests */
    siginfo_t how;
    kill(provider_process(smol), SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)provider_process(smol), &how, WEXITED | WNOWAIT), 0);
    h = (heard){ 0 };
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, OK);
    buf_clear(&h.text);
}

/* A worker that hangs is ended by the idle limit; SIGSEGV is told as what it is. */
static void hangs_and_crashes(void **state)
{
    (void)state;
    heard h = { .kill_after = 4, .signal = SIGSTOP };
    request r = chat_request(300);
    r.sampling.ignore_eos = true;
    ask(smol, &h, &r, &(provider_limits){ .idle_ms = 500 });
    assert_int_equal(h.s, E_PROVIDER);
    assert_int_equal(h.fault.kind, FAULT_TIMEOUT);
    assert_int_equal(provider_process(smol), 0);
    buf_clear(&h.text);
    h = (heard){ .kill_after = 2, .signal = SIGSEGV };
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.fault.kind, FAULT_CRASHED);
    buf_clear(&h.text);
    h = (heard){ 0 };
    r = chat_request(5);
    ask(smol, &h, &r, NULL);
    assert_int_equal(h.s, OK);
    buf_clear(&h.text);
}

/* The sandbox's own report, from the process that really runs the model. */
static void cannot_reach_out(void **state)
{
    (void)state;
    helper h;
    helper_init(&h, "hearth-worker", NULL);
    assert_ok(helper_start(&h, err));
    const js *sandbox = js_get(h.hello, "sandbox"), *checks = js_get(sandbox, "checks");
    char why[SELF_TEST_WHY];
    witness seen;
    witness_read(h.process.pid, &seen);
    assert_int_equal(self_test_judge(sandbox, witness_seccomp(h.process.pid), why), SELF_TEST_HOLDS);
    assert_true(seen.seccomp == 2 && seen.no_new_privs == 1);
    assert_true(js_bool(js_get(sandbox, "seccomp"), false));
    static const char *const must[] = { "socket(AF_INET)", "socket(AF_UNIX)", "connect", "open for reading", "exec",
                                        "fork", "ptrace", "io_uring_setup", "kill" };
    for (size_t i = 0; i < ARRAY_LEN(must); i++) {
        bool denied = false;
        for (size_t k = 0; k < js_len(checks); k++) {
            int64_t e = 0;
            if (strcmp(js_text(js_get(js_at(checks, k), "name")), must[i]) == 0)
                denied = js_int(js_get(js_at(checks, k), "errno"), &e) && e == EPERM;
        }
        if (!denied)
            fail_msg("%s was not denied", must[i]);
    }
    /* an unknown message ends it */
    assert_ok(msg_send_text(&h.link, (msg_type)77, 1, "", 100, err));
    assert_true(proc_wait(&h.process, 5000));
    helper_clear(&h);
}

static void refuses_in_words(void **state)
{
    (void)state;
    provider *p = NULL;
    error e = { 0 };
    config cfg = { .mem_bytes = models_are_tiny() ? 2 << 20 : 20 << 20 };
    char spec[4200];
    snprintf(spec, sizeof spec, "local:%s", model);
    assert_int_equal(provider_open(&p, spec, &cfg, &e), E_NOFIT);
    assert_non_null(strstr(e.text, "MiB"));
    snprintf(spec, sizeof spec, "/tmp/hearth-not-a-model-%d.gguf", (int)getpid());
    FILE *f = fopen(spec, "w");
    fputs("GGUF but not really, and long enough to be looked at by a reader", f);
    fclose(f);
    assert_int_equal(provider_open(&p, spec, NULL, &e), E_UNSUPPORTED);
    remove(spec);
    assert_null(p);
    if (access(base_model, R_OK) == 0) {
        heard h = { 0 };
        request r = chat_request(3);
        assert_ok(provider_open(&p, base_model, NULL, err));
        assert_false(provider_get_info(p)->has_template);
        ask(p, &h, &r, NULL);
        assert_int_equal(h.s, E_UNSUPPORTED);
        assert_int_equal(h.fault.kind, FAULT_INVALID);
        assert_non_null(strstr(h.err.text, "template"));
        r.kind = REQUEST_TEXT;
        r.text = "The sky is";
        buf_clear(&h.text);
        ask(p, &h, &r, NULL);
        assert_int_equal(h.s, OK);
        assert_true(h.done.completion_tokens == 3);
        buf_clear(&h.text);
        provider_close(&p);
    }
}

int main(int argc, char **argv)
{
    error err = { 0 };
    const char *cache = getenv("HEARTH_CACHE");
    find_helpers();
    snprintf(model, sizeof model, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    snprintf(base_model, sizeof base_model, "%s/gemma-3-270m-q4_k_m.gguf", cache ? cache : "build/cache");
    if (access(model, R_OK) != 0) {
        printf("%s is not there (network)\n", model);
        return 77;
    }
    char home[100];
    snprintf(home, sizeof home, "/tmp/hearth-worker-%d", (int)getpid());
    setenv("HEARTH_HOME", home, 1);
    if (provider_open(&smol, model, NULL, &err) != OK) {
        printf("open: %s\n", err.text);
        return 1;
    }
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_it_is),  cmocka_unit_test(streams_the_same_answer),
        cmocka_unit_test(stops),            cmocka_unit_test(too_long),
        cmocka_unit_test(log_probabilities), cmocka_unit_test(dies_without_harm),
        cmocka_unit_test(hangs_and_crashes), cmocka_unit_test(cannot_reach_out),
        cmocka_unit_test(refuses_in_words),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    provider_close(&smol);
    char path[200];
    snprintf(path, sizeof path, "%s/digests", home);
    remove(path);
    remove(home);
    return failed;
}
