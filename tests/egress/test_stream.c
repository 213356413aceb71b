/* The parsers of what comes from the network: every cut of a stream gives the same events; every spoiled byte ends in
 * a status. */
#include "lib/check.h"

#include <string.h>

#include "base/buf.h"
#include "egress/sse.h"
#include "egress/stream.h"

static const char whole[] =
    ": comment\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}],\"model\":\"m\"}\n\n"
    "event: x\r\ndata: {\"choices\":[{\"index\":0,\r\ndata: \"delta\":{\"content\":\"Gr\xc3\xbc\"}}]}\r\n\r\n"
    "data:{\"choices\":[{\"delta\":{\"content\":\"\\u00dfe\"},\"logprobs\":{\"content\":[{\"token\":\"e\",\"logprob\":"
    "-0.5}]}}]}\r\rid: 7\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\ndata: [DONE]\n\ndata: tail";

static bool on_text(void *user, const char *text, size_t n)
{
    buf_add(user, text, n);
    return true;
}

static bool on_token(void *user, js *token)
{
    (void)user;
    js_free(token);
    return true;
}

static bool on_reasoning(void *user, const char *text, size_t n)
{
    buf_char(user, '<');
    buf_add(user, text, n);
    buf_char(user, '>');
    return true;
}

/* name( pieces of arguments ) with the index in front of each */
static bool on_call(void *user, stream_call what, js *call)
{
    const js *name = js_get(call, "name"), *text = js_get(call, "text");
    static const char marks[] = { [STREAM_CALL] = '=', [STREAM_ARGUMENTS] = ':', [STREAM_CALL_END] = '.' };
    buf_printf(user, "%s%c", js_text(js_get(call, "index")), marks[what]);
    buf_str(user, what == STREAM_CALL ? js_text(name) : what == STREAM_ARGUMENTS ? js_text(text) : "");
    js_free(call);
    return true;
}

static status on_event(void *user, const char *data, size_t n, error *err)
{
    return stream_event(user, data, n, err);
}

/* Feeds bytes in pieces of at most `step`, the first one of `first`. */
static bool offer; /* tools were offered */
static stream_dialect dialect;

static status feed(const char *bytes, size_t n, size_t first, size_t step, buf *text, stream *s, error *err)
{
    sse e;
    status r = OK;
    stream_init(s, true, offer);
    s->dialect = dialect;
    s->text = on_text;
    s->reasoning = on_reasoning;
    s->call = on_call;
    s->token = on_token;
    s->user = text;
    sse_init(&e, on_event, s);
    for (size_t at = 0, k = first; at < n && !r; at += k, k = step) {
        k = k < n - at ? k : n - at;
        r = sse_feed(&e, bytes + at, k, err);
        if (k == 0)
            k = 1, at--;
    }
    sse_clear(&e);
    return r ? r : stream_end(s, err);
}

static void any_cut(void **state)
{
    (void)state;
    const size_t n = sizeof whole - 1;
    for (size_t first = 1; first < n; first++)
        for (size_t step = 1; step < 64; step += 9) {
            buf text = BUF_INIT(1000);
            stream s;
            assert_ok(feed(whole, n, first, step, &text, &s, err));
            assert_string_equal(buf_text(&text), "Gr\xc3\xbc\xc3\x9f" "e");
            assert_true(s.prompt_tokens == 4 && s.completion_tokens == 2 && s.cached_tokens == -1);
            assert_true(s.n_logprobs == 1 && s.sum_logprob == -0.5);
            assert_string_equal(s.finish, "stop");
            assert_string_equal(s.model, "m");
            buf_clear(&text);
        }
}

static const char called[] =
    "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\","
    "\"arguments\":\"\"}}]}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}]}}]}"
    "\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"name\":\"g\",\"arguments\":"
    "\"{}\"}},{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]}}]}\n\n"
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";

static void calls(void **state)
{
    (void)state;
    const size_t n = sizeof called - 1;
    offer = true;
    for (size_t first = 1; first < n; first += 3) {
        buf text = BUF_INIT(1000);
        stream s;
        assert_ok(feed(called, n, first, 17, &text, &s, err));
        assert_string_equal(buf_text(&text), "<hm>0=f0:{\"a\":1=g1:{}0:1}0.1.");
        assert_string_equal(s.finish, "tool_calls");
        buf_clear(&text);
    }
    offer = false;
    buf text = BUF_INIT(1000);
    stream s;
    error e;
    assert_int_equal(feed(called, n, n, 1, &text, &s, &e), E_PROVIDER); /* nobody offered tools */
    assert_non_null(strstr(e.text, "not asked for"));
    static const char ended[] = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n";
    assert_int_equal(feed(ended, sizeof ended - 1, 1, 17, &text, &s, &e), E_PROVIDER); /* nor did one come */
    assert_non_null(strstr(e.text, "not asked for"));
    buf_clear(&text);
}

static void spoiled(void **state)
{
    (void)state;
    const size_t n = sizeof whole - 1;
    char bytes[sizeof whole];
    uint64_t x = 0x9e3779b97f4a7c15u;
    int fine = 0, wrong = 0;
    for (int round = 0; round < 20000; round++) {
        buf text = BUF_INIT(1000);
        stream s;
        error err;
        memcpy(bytes, whole, sizeof whole);
        for (int k = 0; k <= round % 3; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            bytes[x % n] = (char)(x >> 32);
        }
        status r = feed(bytes, n - (round % 7 ? 0 : x % n), 50, 50, &text, &s, &err);
        assert_true(r == OK || r == E_PROVIDER || r == E_RANGE);
        fine += r == OK;
        wrong += r != OK;
        buf_clear(&text);
    }
    assert_true(fine > 0 && wrong > 0);
}

#define TYPED(name, more) "event: " name "\ndata: {\"type\":\"" name "\"" more "}\n\n"
#define START TYPED("message_start", ",\"message\":{\"model\":\"c\",\"content\":[],\"usage\":{\"input_tokens\":4," \
                                     "\"cache_read_input_tokens\":3,\"output_tokens\":1}}")
#define OPEN(i, block) TYPED("content_block_start", ",\"index\":" i ",\"content_block\":" block)
#define DELTA(i, delta) TYPED("content_block_delta", ",\"index\":" i ",\"delta\":" delta)
#define STOP(i) TYPED("content_block_stop", ",\"index\":" i)
#define END(reason) TYPED("message_delta", ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":null}," \
                                           "\"usage\":{\"output_tokens\":9}") TYPED("message_stop", "")
#define TEXT_BLOCK "{\"type\":\"text\",\"text\":\"\"}"
#define TEXT_DELTA(t) "{\"type\":\"text_delta\",\"text\":\"" t "\"}"
#define CALL_BLOCK(n) "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"" n "\",\"input\":{}}"
#define CALL_DELTA(t) "{\"type\":\"input_json_delta\",\"partial_json\":\"" t "\"}"

static const char messages[] = START TYPED("ping", "")
    OPEN("0", "{\"type\":\"thinking\",\"thinking\":\"\"}")
    DELTA("0", "{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}")
    DELTA("0", "{\"type\":\"signature_delta\",\"signature\":\"x\"}") STOP("0")
    OPEN("1", TEXT_BLOCK) DELTA("1", TEXT_DELTA("Gr\xc3\xbc")) DELTA("1", TEXT_DELTA("\\u00dfe")) STOP("1")
    OPEN("2", CALL_BLOCK("f")) DELTA("2", CALL_DELTA("{\\\"a\\\":")) DELTA("2", CALL_DELTA("1}")) STOP("2")
    OPEN("3", CALL_BLOCK("g")) DELTA("3", CALL_DELTA("")) STOP("3") END("tool_use");

static void messages_cut(void **state)
{
    (void)state;
    const size_t n = sizeof messages - 1;
    offer = true;
    dialect = STREAM_ANTHROPIC;
    for (size_t first = 1; first < n; first += 2)
        for (size_t step = 1; step < 64; step += 21) {
            buf text = BUF_INIT(1000);
            stream s;
            assert_ok(feed(messages, n, first, step, &text, &s, err));
            assert_string_equal(buf_text(&text), "<hm>Gr\xc3\xbc\xc3\x9f" "e0=f0:{\"a\":0:1}1=g1:{}0.1.");
            assert_true(s.prompt_tokens == 7 && s.completion_tokens == 9 && s.cached_tokens == 3 && s.ended);
            assert_string_equal(s.finish, "tool_calls");
            assert_string_equal(s.model, "c");
            buf_clear(&text);
        }
    for (size_t end = 0; end < n; end++) { /* whatever is cut off before the reason is no short answer */
        buf text = BUF_INIT(1000);
        stream s;
        error e;
        status r = feed(messages, end, end ? end : 1, 1, &text, &s, &e);
        assert_int_equal(r, s.finished ? OK : E_PROVIDER);
        assert_true(!s.finished || end + 200 > n);
        buf_clear(&text);
    }
    offer = false;
    dialect = STREAM_OPENAI;
}

static void messages_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *says;
    } rows[] = {
        { START OPEN("0", TEXT_BLOCK) OPEN("1", TEXT_BLOCK), "inside of another" },
        { START OPEN("0", TEXT_BLOCK) DELTA("1", TEXT_DELTA("x")), "not open" },
        { START STOP("0"), "not open" },
        { START OPEN("0", TEXT_BLOCK) DELTA("0", CALL_DELTA("x")), "does not go with" },
        { START OPEN("0", "{\"type\":\"image\"}"), "not asked for" },
        { START OPEN("0", CALL_BLOCK("f")), "not asked for" },
        { START OPEN("-1", TEXT_BLOCK), "without an index" },
        { START END("tool_use"), "not asked for" },
        { START END("boredom"), "unknown stop_reason" },
        { START END("pause_turn"), "paused" },
        { START TYPED("message_stop", ""), "broke off" },
        { TYPED("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\"}") START OPEN("0", TEXT_BLOCK), "went on" },
        { "data: {\"index\":1}\n\n", "without a type" },
        { "data: []\n\n", "without a type" },
        { "data: {\n\n", "no JSON" },
        { TYPED("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"full\"}"), "says: full" },
    };
    dialect = STREAM_ANTHROPIC;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf text = BUF_INIT(1000);
        stream s;
        error e = { 0 };
        size_t n = strlen(rows[i].bytes);
        if (feed(rows[i].bytes, n, n, 1, &text, &s, &e) != E_PROVIDER || !strstr(e.text, rows[i].says))
            fail_msg("row %zu: %s", i, e.text);
        assert_true(i + 1 < ARRAY_LEN(rows) || strcmp(s.fault, "busy") == 0);
        buf_clear(&text);
    }
    dialect = STREAM_OPENAI;
}

static void messages_spoiled(void **state)
{
    (void)state;
    const size_t n = sizeof messages - 1;
    char bytes[sizeof messages];
    uint64_t x = 0x2545f4914f6cdd1du;
    int fine = 0, wrong = 0;
    offer = true;
    dialect = STREAM_ANTHROPIC;
    for (int round = 0; round < 20000; round++) {
        buf text = BUF_INIT(4000);
        stream s;
        error err;
        memcpy(bytes, messages, sizeof messages);
        for (int k = 0; k <= round % 3; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            bytes[x % n] = (char)(x >> 32);
        }
        status r = feed(bytes, n - (round % 7 ? 0 : x % n), 50, 50, &text, &s, &err);
        assert_true(r == OK || r == E_PROVIDER || r == E_RANGE);
        assert_true(r != OK || s.finished);
        fine += r == OK;
        wrong += r != OK;
        buf_clear(&text);
    }
    assert_true(fine > 0 && wrong > 0);
    offer = false;
    dialect = STREAM_OPENAI;
}

static void error_texts(void **state)
{
    (void)state;
    static const struct {
        const char *doc, *text;
    } rows[] = { { "{\"error\":{\"message\":\"a\\nb\"}}", "a b" }, { "{\"error\":\"e\"}", "e" },
                 { "{\"message\":\"m\"}", "m" },                   { "{\"detail\":\"d\"}", "d" },
                 { "{\"error\":{\"message\":7}}", "" },            { "<html>", "" },
                 { "{\"error\":\"123456789\xc3\xa9\"}", "123456789" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[11];
        stream_error_text(rows[i].doc, strlen(rows[i].doc), out, sizeof out);
        assert_string_equal(out, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(any_cut), cmocka_unit_test(calls), cmocka_unit_test(spoiled),
                                        cmocka_unit_test(messages_cut), cmocka_unit_test(messages_wrong),
                                        cmocka_unit_test(messages_spoiled),
                                        cmocka_unit_test(error_texts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
