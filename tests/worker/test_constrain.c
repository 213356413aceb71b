/* What may be said under a constraint, for every family: random answers, drawn token by token from the masks, are read
 * back by output.h as calls of offered tools whose arguments their schemas accept, or as documents of the asked shape;
 * and texts that are free stay free. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "chat/output.h"
#include "gguf/gguf.h"
#include "grammar/schema.h"
#include "token/vocab.h"
#include "worker/constrain.h"

enum { ROOM = 1 << 20, STEPS_MAX = 20000, LEAVING = 6 };

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"description\":\"d\",\"parameters\":{\"type\":"
    "\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\",\"minimum\":1,"
    "\"maximum\":14},\"unit\":{\"type\":\"string\",\"enum\":[\"C\",\"F\"]},\"exact\":{\"type\":\"boolean\"}},"
    "\"required\":[\"city\",\"days\"],\"additionalProperties\":false}}},{\"type\":\"function\",\"function\":{\"name\":"
    "\"stop\"}},{\"type\":\"function\",\"function\":{\"name\":\"add\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"n\":{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"maxItems\":3}},\"required\":["
    "\"n\"]}}}]";
static js *tools;
static grammar_vocab *bytes; /* every byte is a token, and a few longer ones; 0 ends */
static char pieces[300][32];
static size_t n_pieces;

/* ---- a vocabulary ---- */

static void add_piece(const char *text, size_t n)
{
    memcpy(pieces[n_pieces], text, n);
    pieces[n_pieces++][n] = 0;
}

static int setup(void **state)
{
    (void)state;
    static const char *const more[] = { "\": ", "{\"", "\",", "}}", "</", "tool", "_call", "><", "name", "[{", "\n\n",
                                        "</think>", "</parameter>", "</arg_value>", "<escape>", "<|\"|>", "<|end|>" };
    const int32_t end = 0;
    span list[300];
    add_piece("", 0);
    for (int b = 1; b < 128; b++)
        add_piece((char[]){ (char)b }, 1);
    add_piece("\xc3\xb6", 2);
    add_piece("\xe2\x82\xac", 3);
    add_piece("\xef\xbd\x9c", 3);
    add_piece("\xe2\x96\x81", 3);
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        add_piece(more[i], strlen(more[i]));
    for (size_t i = 0; i < n_pieces; i++)
        list[i] = (span){ pieces[i], strlen(pieces[i]) };
    assert_ok(grammar_vocab_from(&bytes, list, n_pieces, &end, 1, err));
    assert_ok(js_parse(&tools, tools_text, sizeof tools_text - 1, "tools", 1, err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    grammar_vocab_close(&bytes);
    js_free(tools);
    return 0;
}

static uint64_t random_state = 3;
static uint32_t rnd(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

/* ---- drawing ---- */

/* Ends as soon as it may, once in a while; otherwise any token of the mask, but blanks and openings rarely, so that
 * texts end. False: cut off. */
static bool draw(grammar *g, buf *out)
{
    grammar_state *s = NULL;
    bool ended = false;
    assert_ok(grammar_state_open(&s, g, bytes, err));
    for (int step = 0; step < STEPS_MAX && !ended; step++) {
        const uint64_t *mask;
        int32_t allowed[300], n = 0;
        assert_ok(grammar_state_mask(s, &mask, err));
        for (size_t t = 0; t < n_pieces; t++)
            if (mask[t / 64] >> (t % 64) & 1)
                allowed[n++] = (int32_t)t;
        if (n == 0)
            fail_msg("nothing may follow '%s'", buf_text(out));
        int32_t token = allowed[rnd((uint32_t)n)];
        /* close what is open: a quote, a bracket */
        static const char closing[] = "\"}]<[";
        if (step > 60 && rnd(3)) {
            const char c = closing[rnd(sizeof closing - 1)];
            if (mask[c / 64] >> (c % 64) & 1)
                token = c;
        }
        const int32_t leave = (int32_t)(n_pieces - 1 - rnd(LEAVING)); /* the last pieces end texts */
        if (step > 60 && mask[leave / 64] >> (leave % 64) & 1 && rnd(2) == 0)
            token = leave;
        if (mask[0] & 1 && (step > 1000 || rnd(step > 200 ? 2 : 6) == 0))
            token = 0;
        assert_true(grammar_state_allows(s, token));
        assert_ok(grammar_state_accept(s, token, err));
        ended = token == 0;
        buf_str(out, pieces[token]);
    }
    grammar_state_close(&s);
    return ended;
}

/* ---- reading back ---- */

typedef struct heard {
    buf content, reasoning, arguments;
    char name[TOOL_NAME_MAX + 1];
    uint32_t n;
    bool bad;
    const char *why;
    const output_format *format;
} heard;

/* The arguments obey the tool's schema, as far as the format can say it: nested values of Gemma's may be anything. */
static void judge(heard *h)
{
    js *value = NULL;
    const js *parameters = NULL;
    schema *s = NULL;
    if (js_parse(&value, buf_text(&h->arguments), h->arguments.len, "arguments", 1, NULL)) {
        h->bad = true;
        return;
    }
    for (size_t i = 0; i < js_len(tools); i++)
        if (strcmp(js_text(js_get(js_get(js_at(tools, i), "function"), "name")), h->name) == 0)
            parameters = js_get(js_get(js_at(tools, i), "function"), "parameters");
    bool loose = h->format->tools->quote && strcmp(h->name, "add") == 0;
    if (parameters && !loose) {
        assert_ok(schema_open(&s, parameters, NULL, NULL, err));
        h->bad |= schema_check(s, value, NULL, NULL) != OK;
    }
    h->bad |= !parameters && js_len(value) != 0;
    schema_close(&s);
    js_free(value);
}

static void on_output(void *user, const output_event *e)
{
    heard *h = user;
    if (e->kind == OUTPUT_TEXT || e->kind == OUTPUT_REASONING)
        buf_add(e->kind == OUTPUT_TEXT ? &h->content : &h->reasoning, e->text, e->n);
    else if (e->kind == OUTPUT_ARGUMENTS)
        buf_add(&h->arguments, e->text, e->n);
    else if (e->kind == OUTPUT_CALL) {
        h->n++;
        snprintf(h->name, sizeof h->name, "%s", e->name);
        buf_reset(&h->arguments);
    } else {
        h->bad |= !e->complete;
        if (e->complete)
            judge(h);
    }
}

static heard hear(const output_format *f, const char *prompt, const buf *text)
{
    heard h = { .content = BUF_INIT(ROOM), .reasoning = BUF_INIT(ROOM), .arguments = BUF_INIT(ROOM), .format = f };
    output *o = NULL;
    assert_ok(output_open(&o, &(output_options){ .format = *f, .tools = tools, .prompt = prompt, .fn = on_output,
                                                 .user = &h }, err));
    assert_ok(output_feed(o, buf_text(text), text->len, false, err));
    assert_ok(output_finish(o, err));
    output_close(&o);
    return h;
}

static void forget(heard *h)
{
    buf_clear(&h->content);
    buf_clear(&h->reasoning);
    buf_clear(&h->arguments);
}

/* ---- requests ---- */

static js *request_of(const char *text, bool with_tools)
{
    js *in = NULL;
    assert_ok(js_parse(&in, text, strlen(text), "request", 1, err));
    if (with_tools)
        assert_true(js_set(in, "tools", js_copy(tools)));
    return in;
}

static grammar *compile(const output_format *f, const js *in, bool thinking, bool addressed, schema_notes *notes)
{
    grammar *g = NULL;
    schema_notes own = { 0 };
    assert_ok(constrain(&g, f, in, thinking, addressed, notes ? notes : &own, err));
    schema_notes_clear(&own);
    return g;
}

static const char *prompt_of(const tool_format *f)
{
    return f->start ? f->start : NULL;
}

/* ---- tests ---- */

static void required(void **state)
{
    (void)state;
    for (size_t row = 0; row < tool_format_rows; row++) {
        output_format f = { .tools = &tool_format_table[row] };
        for (int think = 0; think < 2; think++) {
            f.reasoning = think && !f.tools->start ? &reasoning_format_table[1] : NULL;
            js *in = request_of("{\"tool_choice\":\"required\"}", true);
            grammar *g = compile(&f, in, false, f.tools->start != NULL, NULL);
            int whole = 0;
            char last[3000] = "";
            for (int round = 0; round < 12; round++) {
                buf text = BUF_INIT(ROOM);
                bool ended = draw(g, &text);
                whole += ended;
                heard h = hear(&f, prompt_of(f.tools), &text);
                if (ended && (h.bad || h.n == 0 || h.content.len))
                    fail_msg("%s: '%s' was read as %u calls, '%s' beside them", f.tools->name, buf_text(&text), h.n,
                             buf_text(&h.content));
                snprintf(last, sizeof last, "%s", buf_text(&text));
                forget(&h);
                buf_clear(&text);
            }
            if (whole < 6)
                fail_msg("%s: only %d of 12 answers ended; the last is '%.3000s'", f.tools->name, whole, last);
            grammar_close(&g);
            js_free(in);
        }
    }
}

static void free_text_and_calls(void **state)
{
    (void)state;
    for (size_t row = 0; row < tool_format_rows; row++) {
        output_format f = { .tools = &tool_format_table[row] };
        js *in = request_of("{\"tool_choice\":\"auto\"}", true), *calls = NULL;
        grammar *g = compile(&f, in, false, f.tools->start != NULL, NULL);
        for (int round = 0; round < 12; round++) { /* whatever is drawn, what is read as a call is one */
            buf text = BUF_INIT(ROOM);
            bool ended = draw(g, &text);
            heard h = hear(&f, prompt_of(f.tools), &text);
            if (ended && h.bad)
                fail_msg("%s: '%s' holds a bad call", f.tools->name, buf_text(&text));
            forget(&h);
            buf_clear(&text);
        }
        /* prose is free, and the family's own way to write calls is in the language */
        const char *prose = "Gut: {\"a\": [1, 2]}, if (x < 3 && y > 4) \"tool\"; {name}\n";
        buf text = BUF_INIT(ROOM);
        grammar_state *s = NULL;
        const char *before = strcmp(f.tools->name, "harmony") == 0           ? "<|channel|>final<|message|>"
                             : strcmp(f.tools->name, "functionary-v3.2") == 0 ? "all\n"
                                                                              : "";
        assert_ok(grammar_state_open(&s, g, bytes, err));
        assert_ok(grammar_state_accept_bytes(s, before, strlen(before), err));
        assert_ok(grammar_state_accept_bytes(s, prose, strlen(prose), err));
        assert_true(grammar_state_may_end(s));
        grammar_state_reset(s);
        const char example[] = "[{\"id\":\"abcDEF123\",\"function\":{\"name\":\"get_weather\",\"arguments\":{\"city\":"
                               "\"K\xc3\xb6ln\",\"days\":3}}},{\"id\":\"abcDEF124\",\"function\":{\"name\":\"stop\","
                               "\"arguments\":{}}}]";
        assert_ok(js_parse(&calls, example, sizeof example - 1, "calls", 1, err));
        tool_format_write(f.tools, calls, &text);
        if (!f.tools->start && grammar_state_accept_bytes(s, text.data, text.len, NULL))
            fail_msg("%s: '%s' is not in the language", f.tools->name, buf_text(&text));
        assert_true(f.tools->start || grammar_state_may_end(s));
        grammar_state_close(&s);
        buf_clear(&text);
        grammar_close(&g);
        js_free(calls);
        js_free(in);
    }
}

static void named_and_one(void **state)
{
    (void)state;
    for (size_t row = 0; row < tool_format_rows; row++) {
        output_format f = { .tools = &tool_format_table[row] };
        js *in = request_of("{\"tool_choice\":{\"name\":\"stop\"},\"one_call\":true}", true);
        grammar *g = compile(&f, in, false, f.tools->start != NULL, NULL);
        for (int round = 0; round < 3; round++) {
            buf text = BUF_INIT(ROOM);
            if (!draw(g, &text))
                fail_msg("%s: '%s' does not end", f.tools->name, buf_text(&text));
            heard h = hear(&f, prompt_of(f.tools), &text);
            if (h.bad || h.n != 1 || strcmp(h.name, "stop") != 0)
                fail_msg("%s: '%s' is not one call of stop", f.tools->name, buf_text(&text));
            forget(&h);
            buf_clear(&text);
        }
        grammar_close(&g);
        js_free(in);
    }
}

static void reasoning_first(void **state)
{
    (void)state;
    static const struct {
        bool thinking, ok;
        const char *text;
    } rows[] = {
        { false, true, "<think>\nhm {\n</think>\n\n{\"a\":1}" }, { false, true, "{\"a\":1}" },
        { true, true, "hm\n</think>\n{\"a\":1}" },               { true, false, "{\"a\":1}" },
        { false, false, "<think>{\"a\":1}" },                    { false, false, "Well: {\"a\":1}" },
    };
    output_format f = { .tools = &tool_format_table[tool_format_rows - 1], .reasoning = &reasoning_format_table[1] };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        js *in = request_of("{\"shape\":\"schema\",\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":"
                            "\"integer\"}}}}", false);
        grammar *g = compile(&f, in, rows[i].thinking, false, NULL);
        grammar_state *s = NULL;
        assert_ok(grammar_state_open(&s, g, bytes, err));
        bool ok = grammar_state_accept_bytes(s, rows[i].text, strlen(rows[i].text), NULL) == OK &&
                  grammar_state_may_end(s);
        if (ok != rows[i].ok)
            fail_msg("'%s' should %s", rows[i].text, rows[i].ok ? "pass" : "not pass");
        grammar_state_close(&s);
        grammar_close(&g);
        js_free(in);
    }
}

static void shapes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *yes, *no;
    } rows[] = {
        { "{\"shape\":\"json\"}", "{\"a\": [1]}", "[1]" },
        { "{\"shape\":\"choice\",\"choices\":[\"yes\",\"no\"]}", "no", "nope" },
        { "{\"shape\":\"regex\",\"shape_text\":\"[0-9]{3}\"}", "123", "1234" },
        { "{\"shape\":\"grammar\",\"shape_text\":\"root ::= \\\"a\\\"+\"}", "aaa", "ab" },
        { "{\"shape\":\"schema\",\"schema\":{\"enum\":[1,\"x\"]}}", "\"x\"", "2" },
        { "{\"shape\":\"schema\",\"relaxed\":true,\"schema\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},"
          "\"uniqueItems\":true}}", "[1,1]", "[\"a\"]" },
    };
    output_format f = { .tools = &tool_format_table[tool_format_rows - 1] };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        js *in = request_of(rows[i].in, false);
        schema_notes notes = { 0 };
        grammar *g = compile(&f, in, false, false, &notes);
        grammar_state *s = NULL;
        assert_ok(grammar_state_open(&s, g, bytes, err));
        if (grammar_state_accept_bytes(s, rows[i].yes, strlen(rows[i].yes), NULL) || !grammar_state_may_end(s))
            fail_msg("%s: '%s' should pass", rows[i].in, rows[i].yes);
        grammar_state_reset(s);
        if (!grammar_state_accept_bytes(s, rows[i].no, strlen(rows[i].no), NULL) && grammar_state_may_end(s))
            fail_msg("%s: '%s' should not pass", rows[i].in, rows[i].no);
        assert_int_equal(notes.n > 0, strstr(rows[i].in, "relaxed") != NULL);
        schema_notes_clear(&notes);
        grammar_state_close(&s);
        grammar_close(&g);
        js_free(in);
    }
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *in, *says;
        bool tools;
    } rows[] = {
        { "{\"shape\":\"schema\",\"schema\":{\"properties\":{\"x\":{\"uniqueItems\":true}}}}", "/properties/x", 0 },
        { "{\"shape\":\"schema\",\"schema\":{\"minimum\":\"1\"}}", "/minimum", 0 },
        { "{\"shape\":\"regex\",\"shape_text\":\"a(\"}", "regex", 0 },
        { "{\"shape\":\"grammar\",\"shape_text\":\"root = 1\"}", "grammar", 0 },
        { "{\"shape\":\"grammar\",\"shape_text\":\"root ::= \\\"a\\\"\"}", "do not go together", 1 },
        { "{\"tool_choice\":{\"name\":\"nobody\"}}", "nobody", 1 },
        { "{\"tools\":[{\"function\":{\"name\":\"f\",\"strict\":true,\"parameters\":{\"type\":\"object\","
          "\"properties\":"
          "{\"x\":{\"type\":\"array\",\"uniqueItems\":true}}}}}]}", "tools[0].function.parameters", 0 },
    };
    output_format f = { .tools = &tool_format_table[tool_format_rows - 1] };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        js *in = request_of(rows[i].in, rows[i].tools);
        schema_notes notes = { 0 };
        grammar *g = NULL;
        error e = { 0 };
        if (constrain(&g, &f, in, false, false, &notes, &e) == OK || !strstr(e.text, rows[i].says))
            fail_msg("%s: '%s'", rows[i].in, e.text);
        schema_notes_clear(&notes);
        js_free(in);
    }
}

/* A call begins with the control token that the model was trained to begin with, if there is one; others stay out. */
static void control_tokens(void **state)
{
    (void)state;
    char path[4096];
    const char *cache = getenv("HEARTH_CACHE");
    gguf *file = NULL;
    vocab *v = NULL;
    error e = { 0 };
    snprintf(path, sizeof path, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    if (gguf_open(&file, path, &e) || vocab_open(&v, file, &e)) {
        print_message("without the model: not tested\n");
        gguf_close(&file);
        return;
    }
    const tool_format row = { .name = "test", .call = "<repo_name>{name}<file_sep>{arguments}" };
    output_format f = { .tools = &row };
    js *in = request_of("{\"tool_choice\":\"auto\"}", true);
    grammar *g = compile(&f, in, false, false, NULL);
    grammar_vocab *tokens = NULL;
    grammar_state *s = NULL;
    const int32_t begin = vocab_find(v, "<repo_name>", 11), other = vocab_find(v, "<filename>", 10);
    assert_true(begin >= 0 && vocab_is_control(v, begin) && other >= 0);
    assert_ok(constrain_vocab(&tokens, v, &f, err));
    assert_non_null(tokens);
    assert_ok(grammar_state_open(&s, g, tokens, err));
    assert_true(grammar_state_allows(s, begin));
    assert_int_equal(vocab_is_control(v, other), !grammar_state_allows(s, other));
    assert_ok(grammar_state_accept(s, begin, err));
    assert_false(grammar_state_allows(s, begin)); /* a name now */
    grammar_state_close(&s);
    grammar_vocab_close(&tokens);
    grammar_close(&g);
    f.tools = tool_format_named("hermes"); /* no control token of this model stands in this format */
    assert_ok(constrain_vocab(&tokens, v, &f, err));
    assert_null(tokens);
    js_free(in);
    vocab_close(&v);
    gguf_close(&file);
}

static void memory(void **state)
{
    (void)state;
    output_format f = { .tools = tool_format_named("gemma"), .reasoning = &reasoning_format_table[1] };
    js *in = request_of("{\"tool_choice\":\"auto\"}", true);
    bool failed = true;
    for (uint64_t at = 1; failed && at < 100000; at += 1 + at / 16) {
        schema_notes notes = { 0 };
        grammar *g = NULL;
        error e = { 0 };
        mem_fail_at(at);
        status s = constrain(&g, &f, in, false, false, &notes, &e);
        mem_fail_at(0);
        if (s != OK && s != E_NOMEM)
            fail_msg("allocation %d: status %d: %s", (int)at, (int)s, e.text);
        failed = s != OK;
        grammar_close(&g);
        schema_notes_clear(&notes);
    }
    assert_false(failed);
    js_free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),   cmocka_unit_test(refusals),      cmocka_unit_test(reasoning_first),
        cmocka_unit_test(required), cmocka_unit_test(named_and_one), cmocka_unit_test(free_text_and_calls),
        cmocka_unit_test(control_tokens), cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
