/* libFuzzer over the reader of answers: the first bytes choose format, reasoning, prompt and how the rest is cut.
 * However it is cut the result is the same, arguments are the beginning of JSON (whole JSON when a call is complete),
 * and no byte that is not white space or a format's own is lost.
 * modules: base
 * files: src/chat/output.c src/chat/output_open.c src/chat/output_call.c src/chat/output_object.c
 * files: src/chat/output_value.c src/chat/tool_format.c src/chat/tool_format_table.c src/chat/json_scan.c
 * libs: -lyaml -lcrypto */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "chat/json_scan.h"
#include "chat/output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"s\":{\"type\":\"string\"},"
    "\"n\":{\"type\":[\"integer\",\"null\"]}}}}},{\"type\":\"function\",\"function\":{\"name\":\"get_x\"}}]";

typedef struct result {
    buf all;
    json_scan scan;
    bool in_call, ended;
    size_t text;
} result;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void on_event(void *user, const output_event *e)
{
    result *r = user;
    static char kind_now = 0;
    char kind = "TRCAE"[e->kind];
    if (r->all.len == 0)
        kind_now = 0;
    if (kind != kind_now || e->kind == OUTPUT_CALL)
        buf_char(&r->all, kind_now = kind);
    buf_add(&r->all, e->text, e->n);
    if (e->kind == OUTPUT_CALL) {
        must(!r->in_call);
        r->in_call = true;
        r->ended = false;
        r->scan = (json_scan){ 0 };
        buf_str(&r->all, e->name);
    } else if (e->kind == OUTPUT_ARGUMENTS) {
        must(r->in_call && !r->ended && e->n);
        for (size_t i = 0; i < e->n; i++) {
            scan_result s = json_scan_byte(&r->scan, e->text[i]);
            must(s == SCAN_MORE || (s == SCAN_END && i + 1 == e->n));
            r->ended = s == SCAN_END;
        }
    } else if (e->kind == OUTPUT_CALL_END) {
        must(r->in_call && e->complete == r->ended);
        r->in_call = false;
        buf_char(&r->all, e->complete ? '.' : '!');
    } else {
        must(!r->in_call && e->n);
        r->text += e->n;
    }
}

static void parse(const output_options *base, const char *text, size_t n, size_t piece, result *r)
{
    output_options options = *base;
    output *o = NULL;
    options.fn = on_event;
    options.user = r;
    must(output_open(&o, &options, NULL) == OK);
    for (size_t at = 0; at < n; at += piece)
        must(output_feed(o, text + at, n - at < piece ? n - at : piece, false, NULL) == OK);
    must(output_finish(o, NULL) == OK);
    must(!r->in_call);
    output_close(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    js *tools = NULL;
    must(js_parse(&tools, tools_text, strlen(tools_text), "tools", 1, NULL) == OK);
    output_options o = { .format = { .tools = &tool_format_table[data[0] % tool_format_rows] }, .tools = tools };
    if (data[1] & 1 && !o.format.tools->start)
        o.format.reasoning = &reasoning_format_table[(data[1] >> 2) % reasoning_format_rows];
    if (data[1] & 2)
        o.prompt = o.format.reasoning ? o.format.reasoning->open : o.format.tools->start;
    const char *text = (const char *)data + 3;
    result whole = { .all = BUF_INIT(64 << 20) }, cut = { .all = BUF_INIT(64 << 20) };
    parse(&o, text, size - 3, size, &whole);
    parse(&o, text, size - 3, 1 + data[2] % 16, &cut);
    must(whole.all.len == cut.all.len && memcmp(buf_text(&whole.all), buf_text(&cut.all), cut.all.len) == 0);
    buf_clear(&whole.all);
    buf_clear(&cut.all);
    js_free(tools);
    return 0;
}
