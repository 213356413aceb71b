/* schema_serve.h: a test program that answers questions about schemas, one JSON object a line, for the Python tests.
 * {"schema": ..., "relaxed": false, "values": [...], "samples": 0, "seed": 1, "lines": [text, ...]} ->
 * {"error": null or text, "code": "ok", "notes": [...], "valid": [true, ...], "problems": [text, ...],
 *  "grammar": null or text, "grammar_code": "ok", "documents": [text, ...], "unfinished": 0, "accepts": [true, ...],
 *  "open_ms": 0.1, "compile_ms": 0.1}
 * With `--serve MODEL.gguf` also "walks": lists of the model's tokens -> "walks": [{"taken": how many were allowed,
 * "ends": may the text end there, "mask_us": [time of the mask before each token]}, ...].
 * grammar and what follows only with "samples" or "lines": random documents, and whether texts are in the language. */
#ifndef TESTS_GRAMMAR_SCHEMA_SERVE_H
#define TESTS_GRAMMAR_SCHEMA_SERVE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <time.h>

#include "base/mem.h"
#include "gguf/gguf.h"
#include "grammar/schema_rules.h"
#include "grammar/schema_sample.h"
#include "token/vocab.h"

static inline double serve_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static inline void serve_values(const schema *s, const js *values, js *answer)
{
    js *valid = js_array(), *problems = js_array();
    for (size_t i = 0; i < js_len(values); i++) {
        error e = { 0 };
        status st = schema_check(s, js_at(values, i), NULL, &e);
        js_push(valid, st && st != E_FORMAT ? js_null() : js_new_bool(!st));
        js_push(problems, js_new_string(e.text));
    }
    js_set(answer, "valid", valid);
    js_set(answer, "problems", problems);
}

static inline status serve_documents(grammar_state *state, const js *q, js *documents, js *answer, error *err)
{
    int64_t n = 0, seed = 1, unfinished = 0;
    js_int(js_get(q, "samples"), &n);
    js_int(js_get(q, "seed"), &seed);
    status st = OK;
    uint64_t random = (uint64_t)seed;
    for (int64_t i = 0; i < n && !st; i++) {
        buf text = BUF_INIT(1 << 20);
        bool ended = false;
        st = sample_document(state, &random, &text, &ended, err);
        if (!st && ended)
            js_push(documents, js_new_stringn(buf_text(&text), text.len));
        unfinished += !st && !ended;
        buf_clear(&text);
    }
    js_set(answer, "unfinished", js_new_int(unfinished));
    return st;
}

/* Every token through its mask, timed. */
static inline status serve_walk(grammar_state *state, const js *tokens, js *answer, error *err)
{
    js *times = js_array();
    size_t taken = 0;
    status st = OK;
    grammar_state_reset(state);
    for (; taken < js_len(tokens) && !st; taken++) {
        const uint64_t *mask;
        int64_t t = 0;
        double begin = serve_ms();
        st = grammar_state_mask(state, &mask, err);
        js_push(times, js_new_double((serve_ms() - begin) * 1e3));
        if (st || !js_int(js_at(tokens, taken), &t) || !(mask[t / 64] >> t % 64 & 1))
            break;
        st = grammar_state_accept(state, (int32_t)t, err);
    }
    js_set(answer, "taken", js_new_int((int64_t)taken));
    js_set(answer, "ends", js_new_bool(!st && grammar_state_may_end(state)));
    js_set(answer, "mask_us", times);
    return st;
}

static inline status serve_walks(grammar *g, const grammar_vocab *v, const js *walks, js *answer, error *err)
{
    grammar_state *state = NULL;
    js *list = js_array();
    status st = grammar_state_open(&state, g, v, err);
    for (size_t i = 0; i < js_len(walks) && !st; i++) {
        js *walk = js_object();
        st = serve_walk(state, js_at(walks, i), walk, err);
        js_push(list, walk);
    }
    js_set(answer, "walks", list);
    grammar_state_close(&state);
    return st;
}

static inline status serve_grammar(const schema *s, const js *q, const grammar_vocab *model, schema_notes *notes,
                                   js *answer, error *err)
{
    grammar *g = NULL;
    grammar_vocab *v = NULL;
    grammar_state *state = NULL;
    js *documents = js_array(), *accepts = js_array();
    const js *lines = js_get(q, "lines");
    schema_options options = { js_bool(js_get(q, "relaxed"), false) };
    double begin = serve_ms();
    status st = schema_grammar(s, &options, notes, &g, err);
    js_set(answer, "compile_ms", js_new_double(serve_ms() - begin));
    if (!st)
        st = sample_vocab(&v, err);
    if (!st)
        st = grammar_state_open(&state, g, v, err);
    for (size_t i = 0; i < js_len(lines) && !st; i++) {
        const js *line = js_at(lines, i);
        grammar_state_reset(state);
        status fits = grammar_state_accept_bytes(state, js_text(line), js_len(line), NULL);
        js_push(accepts, js_new_bool(!fits && grammar_state_may_end(state)));
    }
    if (!st)
        st = serve_documents(state, q, documents, answer, err);
    js_set(answer, "documents", documents);
    js_set(answer, "accepts", accepts);
    grammar_state_close(&state);
    grammar_vocab_close(&v);
    grammar_close(&g);
    if (!st && model && js_get(q, "walks")) /* a fresh one: nothing is learnt yet */
        st = schema_grammar(s, &options, NULL, &g, err);
    if (!st && g)
        st = serve_walks(g, model, js_get(q, "walks"), answer, err);
    grammar_close(&g);
    return st;
}

static inline js *serve_question(const js *q, const grammar_vocab *model)
{
    js *answer = js_object(), *notes = js_array();
    schema *s = NULL;
    schema_notes n = { 0 };
    error e = { 0 };
    schema_options options = { js_bool(js_get(q, "relaxed"), false) };
    double begin = serve_ms();
    status st = schema_open(&s, js_get(q, "schema"), &options, &n, &e);
    js_set(answer, "open_ms", js_new_double(serve_ms() - begin));
    if (!st)
        serve_values(s, js_get(q, "values"), answer);
    if (!st && (js_get(q, "samples") || js_get(q, "lines") || js_get(q, "walks"))) {
        error ge = { 0 };
        status made = serve_grammar(s, q, model, &n, answer, &ge);
        js_set(answer, "grammar", made ? js_new_string(ge.text) : js_null());
        js_set(answer, "grammar_code", js_new_string(made ? status_name(made) : "ok"));
    }
    js_set(answer, "error", st ? js_new_string(e.text) : js_null());
    js_set(answer, "code", js_new_string(st ? status_name(st) : "ok"));
    for (size_t i = 0; i < n.n; i++)
        js_push(notes, js_new_string(n.line[i]));
    js_set(answer, "notes", notes);
    schema_notes_clear(&n);
    schema_close(&s);
    return answer;
}

static inline int serve_schemas(const char *path)
{
    gguf *file = NULL;
    vocab *v = NULL;
    grammar_vocab *model = NULL;
    error e = { 0 };
    if (path && (gguf_open(&file, path, &e) || vocab_open(&v, file, &e) || grammar_vocab_open(&model, v, &e))) {
        fprintf(stderr, "%s: %s\n", path, e.text);
        return 1;
    }
    gguf_close(&file);
    char *line = NULL;
    size_t size = 0;
    for (ssize_t n; (n = getline(&line, &size, stdin)) > 0;) {
        js *q = NULL, *answer;
        if (js_parse(&q, line, (size_t)n, "question", 1, &e)) {
            answer = js_object();
            js_set(answer, "error", js_new_string(e.text));
            js_set(answer, "code", js_new_string("question"));
        } else {
            answer = serve_question(q, model);
        }
        buf out = BUF_INIT(256 << 20);
        js_write(answer, JS_COMPACT, &out);
        puts(buf_text(&out));
        fflush(stdout);
        buf_clear(&out);
        js_free(answer);
        js_free(q);
    }
    free(line);
    grammar_vocab_close(&model);
    vocab_close(&v);
    return 0;
}

#endif
