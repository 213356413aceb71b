/* libFuzzer over the JSON reader and writer: what is accepted says the same after it was written in any style, reading
 * goes round, and a number means what it meant.
 * modules: base */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/js.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void walk(const js *v, int depth)
{
    must(depth <= JS_DEPTH_MAX);
    int64_t i;
    double d;
    js_member m = { 0 };
    if (js_int(v, &i))
        must(js_double(v, &d) && d == (double)i);
    if (js_is(v, JS_STRING))
        must(utf8_valid(js_text(v), js_len(v)) && js_text(v)[js_len(v)] == 0);
    for (size_t k = 0; js_is(v, JS_ARRAY) && k < js_len(v); k++)
        walk(js_at(v, k), depth + 1);
    while (js_next(v, &m)) {
        must(js_get(v, m.key) == m.value);
        walk(m.value, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    js *v = NULL, *copy = NULL;
    error err = { 0 };
    status s = js_parse(&v, (const char *)data, size, "fuzz", 1, &err);
    if (s) {
        must(!v && err.code == s && strncmp(err.text, "fuzz", 4) == 0 && utf8_valid(err.text, strlen(err.text)));
        return 0;
    }
    walk(v, 1);
    copy = js_copy(v);
    must(js_equal(v, copy));
    for (int style = JS_COMPACT; style <= JS_CANONICAL; style++) {
        buf text = BUF_INIT(64 << 20), again = BUF_INIT(64 << 20);
        js *back = NULL;
        js_write(v, (enum js_style)style, &text);
        must(!text.failed && js_parse(&back, buf_text(&text), text.len, "again", 1, &err) == OK && js_equal(v, back));
        js_write(back, (enum js_style)style, &again);
        must(again.len == text.len && memcmp(buf_text(&again), buf_text(&text), text.len) == 0);
        js_free(back);
        buf_clear(&text);
        buf_clear(&again);
    }
    js_free(copy);
    js_free(v);
    return 0;
}
