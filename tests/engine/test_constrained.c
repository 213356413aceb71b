/* Answers under a grammar, on a real model: they are always texts of it, whatever the sampling; the same with and
 * without speculation and log-probabilities; what is forced is what drawing alone would have had no choice about; how
 * fast it is next to free text. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/js.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/generate.h"
#include "gguf/gguf.h"
#include "grammar/grammar.h"
#include "hearth.h"
#include "plat/clock.h"
#include "token/vocab.h"

static engine *loaded;
static char model_path[512];

enum { MOST = 400 };
typedef struct heard {
    char text[8192];
    size_t n;
    int32_t tokens[MOST];
    float logprobs[MOST];
    uint32_t n_tokens;
} heard;

static bool hear(void *user, const generate_event *event)
{
    heard *h = user;
    if (event->kind == GENERATE_TEXT && h->n + event->text_bytes < sizeof h->text) {
        memcpy(h->text + h->n, event->text, event->text_bytes + 1);
        h->n += event->text_bytes;
    } else if (event->kind == GENERATE_TOKEN && h->n_tokens < MOST) {
        h->logprobs[h->n_tokens] = event->token.logprob;
        h->tokens[h->n_tokens++] = event->token.token;
    }
    return false;
}

static generate_result answer(const char *prompt, const sampling_options *o, heard *h)
{
    token_list list = TOKEN_LIST_INIT(2000);
    generate_result r;
    session *s = NULL;
    *h = (heard){ .n = 0 };
    assert_ok(session_open(&s, loaded, err));
    assert_ok(vocab_encode(engine_vocab(loaded), prompt, strlen(prompt), VOCAB_SPECIAL | VOCAB_BOS, &list, err));
    assert_ok(engine_generate(s, list.ids, (uint32_t)list.n, o, hear, h, &r, err));
    token_list_clear(&list);
    session_close(&s);
    return r;
}

static const char PROMPT[] = "<|im_start|>user\nDescribe a person as JSON with name, age, city and a note."
                             "<|im_end|>\n<|im_start|>assistant\n";

static const char person[] =
    "root ::= \"{\\n  \\\"name\\\": \" string \",\\n  \\\"age\\\": \" [1-9] [0-9]? \",\\n  \\\"city\\\": \" string"
    " \",\\n  \\\"married\\\": \" (\"true\" | \"false\") \",\\n  \\\"note\\\": \" string \"\\n}\"\n"
    "string ::= \"\\\"\" [^\"\\\\\\x00-\\x1F]{1,40} \"\\\"\"\n";

static grammar *gbnf(const char *text)
{
    grammar *g = NULL;
    assert_ok(grammar_gbnf(&g, text, strlen(text), err));
    return g;
}

static sampling_options options(grammar *g, float temperature, uint64_t seed)
{
    sampling_options o;
    sampling_options_init(&o);
    o.grammar = g;
    o.temperature = temperature;
    o.seed = seed;
    o.max_tokens = 250;
    return o;
}

/* 'y': a whole text of g, 'p': the beginning of one, 'n': neither. */
static char judge(grammar *g, const char *text, size_t n)
{
    const grammar_vocab *v = NULL;
    grammar_state *s = NULL;
    assert_ok(engine_grammar_vocab(loaded, &v, err));
    assert_ok(grammar_state_open(&s, g, v, err));
    status st = grammar_state_accept_bytes(s, text, n, NULL);
    char out = st ? 'n' : grammar_state_may_end(s) ? 'y' : 'p';
    grammar_state_close(&s);
    return out;
}

static void answers_are_texts_of_the_grammar(void **state)
{
    (void)state;
    static const char *const texts[] = {
        person,
        "root ::= (\"The \" (\"cat\" | \"dog\" | \"caterpillar\") \" says \" [a-z ]{2,20} \"!\\n\"){2,3}",
        "root ::= list\nlist ::= \"[\" (item (\", \" item)*)? \"]\"\nitem ::= [0-9]{1,3} | list | "
        "\"\\\"\" [^\"]{0,9} \"\\\"\"",
    };
    uint32_t n_whole = 0, n_cut = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        grammar *g = gbnf(texts[i]);
        for (uint64_t seed = 0; seed < 4; seed++) {
            heard h;
            sampling_options o = options(g, seed ? 0.5f * (float)seed : 0.0f, seed);
            o.max_tokens = i == 2 ? 60 : 250;
            o.top_k = seed % 2 ? 40 : 0;
            o.repeat_penalty = seed == 3 ? 1.3f : 1.0f;
            generate_result r = answer(PROMPT, &o, &h);
            char is = judge(g, h.text, h.n);
            if (r.finish == FINISH_STOP ? is != 'y' : is == 'n')
                fail_msg("grammar %zu, seed %d, %s: '%s'", i, (int)seed, finish_reason_name(r.finish), h.text);
            n_whole += r.finish == FINISH_STOP;
            n_cut += r.finish == FINISH_LENGTH;
            js *v = NULL;
            if (i == 0 && r.finish == FINISH_STOP) {
                assert_ok(js_parse(&v, h.text, h.n, "the answer", 1, err));
                js_free(v);
                assert_true(r.n_forced > r.n_tokens / 4);
            }
        }
        grammar_close(&g);
    }
    print_message("%u whole, %u cut by max_tokens\n", n_whole, n_cut);
}

/* Before anything has asked the engine for its own: the mask and its length are those of the caller's. */
static void the_vocabulary_may_be_the_callers(void **state)
{
    (void)state;
    static heard a, b;
    grammar *g = gbnf(person);
    grammar_vocab *own = NULL;
    sampling_options o = options(g, 0.9f, 5);
    assert_ok(grammar_vocab_open(&own, engine_vocab(loaded), err));
    o.grammar_vocab = own;
    answer(PROMPT, &o, &a);
    o.grammar_vocab = NULL;
    answer(PROMPT, &o, &b);
    assert_true(a.n > 40);
    assert_string_equal(a.text, b.text);
    grammar_vocab_close(&own);
    grammar_close(&g);
}

static void it_is_one_answer(void **state)
{
    (void)state;
    grammar *g = gbnf(person);
    for (uint64_t seed = 0; seed < 3; seed++) {
        static heard a, b;
        sampling_options o = options(g, seed ? 0.9f : 0.0f, seed);
        o.speculate = SPECULATE_OFF;
        generate_result r = answer(PROMPT, &o, &a);
        for (int variant = 0; variant < 3; variant++) {
            sampling_options p = o;
            p.speculate = variant == 0 ? SPECULATE_ALWAYS : SPECULATE_AUTO;
            p.n_logprobs = variant == 2 ? 3 : 0;
            generate_result q = answer(PROMPT, &p, &b);
            assert_string_equal(a.text, b.text);
            assert_int_equal(a.n_tokens, b.n_tokens);
            assert_memory_equal(a.tokens, b.tokens, a.n_tokens * sizeof *a.tokens);
            assert_int_equal(r.n_forced, q.n_forced);
            assert_true(r.sum_logprob == q.sum_logprob);
        }
        for (uint32_t i = 0; i < b.n_tokens; i++) /* asked for, every token has one */
            assert_true(b.logprobs[i] < 0.0f && (a.logprobs[i] == 0.0f || a.logprobs[i] == b.logprobs[i]));
    }
    grammar_close(&g);
}

static void ends(void **state)
{
    (void)state;
    heard h;
    grammar *g = gbnf("root ::= \"yes, of course\" | \"no, never\"");
    sampling_options o = options(g, 0.8f, 1);
    generate_result r = answer(PROMPT, &o, &h);
    assert_int_equal(r.finish, FINISH_STOP);
    assert_true(!strcmp(h.text, "yes, of course") || !strcmp(h.text, "no, never"));
    o.max_tokens = 2;
    r = answer(PROMPT, &o, &h);
    assert_true(r.finish == FINISH_LENGTH && r.n_tokens == 2 && judge(g, h.text, h.n) == 'p');
    o.max_tokens = 0;
    o.stops[o.n_stops++] = ", ";
    r = answer(PROMPT, &o, &h);
    assert_true(r.finish == FINISH_STOP && r.stop && (!strcmp(h.text, "yes") || !strcmp(h.text, "no")));
    grammar_close(&g);
    g = gbnf("root ::= \"all of this is forced\"");
    o = options(g, 0.8f, 1);
    r = answer(PROMPT, &o, &h);
    assert_string_equal(h.text, "all of this is forced");
    assert_true(r.finish == FINISH_STOP && r.n_forced == r.n_tokens && r.sum_logprob == 0.0);
    grammar_close(&g);
    g = gbnf("root ::= \"\"");
    o.grammar = g;
    r = answer(PROMPT, &o, &h);
    assert_true(r.finish == FINISH_STOP && r.n_tokens == 0 && h.n == 0);
    grammar_close(&g);
    g = gbnf("root ::= [a-z]*"); /* the model decides */
    o = options(g, 0.8f, 1);
    r = answer(PROMPT, &o, &h);
    assert_true(r.finish == FINISH_STOP ? vocab_is_eog(engine_vocab(loaded), r.last_token) : r.finish == FINISH_LENGTH);
    grammar_close(&g);
}

/* Time of all that the grammar did for an answer: the same masks and tokens again, on a grammar that knows nothing. */
static double grammar_seconds(const char *text, const heard *h)
{
    grammar *g = gbnf(text);
    const grammar_vocab *v = NULL;
    grammar_state *s = NULL;
    assert_ok(engine_grammar_vocab(loaded, &v, err));
    assert_ok(grammar_state_open(&s, g, v, err));
    uint64_t start = clock_mono_us();
    for (uint32_t i = 0; i < h->n_tokens; i++) {
        const uint64_t *mask;
        assert_ok(grammar_state_mask(s, &mask, err));
        assert_ok(grammar_state_accept(s, h->tokens[i], err));
    }
    double took = (double)(clock_mono_us() - start) * 1e-6;
    grammar_state_close(&s);
    grammar_close(&g);
    return took;
}

static void speed(void **state)
{
    (void)state;
    static heard h;
    grammar *g = gbnf(person);
    sampling_options free_text = options(NULL, 0.0f, 0), o = options(g, 0.0f, 0);
    free_text.max_tokens = 80;
    free_text.speculate = o.speculate = SPECULATE_OFF;
    free_text.ignore_eos = true;
    double best_free = 0, best = 0, share = 1;
    generate_result r = { .n_tokens = 0 };
    for (int i = 0; i < 3; i++) {
        r = answer(PROMPT, &free_text, &h);
        double x = r.n_tokens / r.decode_s;
        best_free = x > best_free ? x : best_free;
        r = answer(PROMPT, &o, &h);
        x = r.n_tokens / r.decode_s;
        best = x > best ? x : best;
        double part = grammar_seconds(person, &h) / r.decode_s;
        share = part < share ? part : share;
    }
    print_message("free %.1f tokens/s, under the grammar %.1f (%.2f times): %u tokens, %u forced; masks take %.3f %%\n",
                  best_free, best, best / best_free, r.n_tokens, r.n_forced, share * 100);
    assert_true(share < 0.02);
    grammar_close(&g);
}

static bool join(void *user, const char *piece, size_t bytes)
{
    (void)bytes;
    strcat(user, piece);
    return false;
}

static void the_public_library_says_the_same(void **state)
{
    (void)state;
    static heard h;
    static char text[8192];
    char why[HEARTH_ERROR_BYTES];
    grammar *g = gbnf(person);
    sampling_options mine = options(g, 0.0f, 0);
    (void)answer("A person:\n", &mine, &h);
    hearth_model *m = NULL;
    hearth_session *s = NULL;
    hearth_answer a;
    hearth_sampling o;
    hearth_sampling_init(&o);
    o.temperature = 0;
    o.max_tokens = 250;
    o.grammar = person;
    text[0] = '\0';
    if (hearth_model_open(&m, model_path, NULL, why) || hearth_session_open(&s, m, why) ||
        hearth_generate_text(s, "A person:\n", &o, join, text, &a, why))
        fail_msg("%s", why);
    assert_string_equal(text, h.text);
    o.grammar = "root ::= (";
    assert_int_equal(hearth_generate_text(s, "A person:\n", &o, join, text, &a, why), HEARTH_FORMAT);
    assert_non_null(strstr(why, "line 1, column"));
    hearth_session_close(&s);
    hearth_model_close(&m);
    grammar_close(&g);
}

int main(void)
{
    const char *cache = getenv("HEARTH_CACHE");
    gguf *g = NULL;
    engine_options o;
    engine_options_init(&o);
    o.context = 512;
    snprintf(model_path, sizeof model_path, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    if (models_are_tiny() || gguf_open(&g, model_path, NULL)) {
        printf("%s is not there: it needs the network once (tools/fetch smollm2)\n", model_path);
        return 77;
    }
    error e;
    if (engine_open(&loaded, g, &o, &e)) {
        printf("%s\n", e.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vocabulary_may_be_the_callers), /* first: it wants an engine without its own */
        cmocka_unit_test(answers_are_texts_of_the_grammar),
        cmocka_unit_test(it_is_one_answer),
        cmocka_unit_test(ends),
        cmocka_unit_test(speed),
        cmocka_unit_test(the_public_library_says_the_same),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    engine_close(&loaded);
    return failed;
}
