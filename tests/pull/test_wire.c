/* Which urls are asked, how they are shown, and what header lines say: the rules, and lines of strangers. */
#include "lib/check.h"

#include <stdio.h>
#include <string.h>

#include "pull/wire.h"

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *before;
        bool plain;
        status want;
    } rows[] = {
        { "https://example.org/m.gguf", NULL, false, OK },
        { "https://example.org/m.gguf", "http://127.0.0.1/", false, OK },
        { "http://127.0.0.1:8080/m", NULL, false, OK },
        { "http://127.9.9.9/m", NULL, false, OK },
        { "http://localhost/m", NULL, false, OK },
        { "http://[::1]:80/m", NULL, false, OK },
        { "http://example.org/m", NULL, true, OK },
        { "http://example.org/m", NULL, false, E_DENIED },
        { "http://128.0.0.1/m", NULL, false, E_DENIED },
        { "http://127.0.0.1.example.org/m", NULL, false, E_DENIED },
        { "http://localhost.example.org/m", NULL, false, E_DENIED },
        { "http://127.0.0.1@example.org/m", NULL, false, E_DENIED },
        { "http://example.org#127.0.0.1", NULL, false, E_DENIED },
        { "http://127.0.0.1/m", "https://example.org/", true, E_DENIED }, /* back to http */
        { "ftp://example.org/m", NULL, true, E_DENIED },
        { "file:///etc/passwd", NULL, true, E_DENIED },
        { "file:///etc/passwd", "https://example.org/", true, E_DENIED },
        { "gopher://127.0.0.1/", NULL, true, E_DENIED },
        { "", NULL, true, E_FORMAT },
        { "http://", NULL, true, E_FORMAT },
        { "https:// example.org/", NULL, true, E_FORMAT },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        error err = { 0 };
        status s = wire_allowed(rows[i].url, rows[i].before, rows[i].plain, &err);
        if (s != rows[i].want)
            fail_msg("%s: %d, expected %d: %s", rows[i].url, s, rows[i].want, err.text);
        assert_true(s == OK || err.text[0]);
    }
    static char over[GET_URL_MAX + 64];
    memset(over, 'a', sizeof over - 1);
    memcpy(over, "https://example.org/", 20);
    error err;
    assert_int_equal(wire_allowed(over, NULL, false, &err), E_FORMAT);
}

static void shown(void **state)
{
    (void)state;
    char text[GET_SHOWN];
    assert_string_equal(get_shown("https://me:secret@example.org:8443/a/b.gguf?X-Amz-Signature=1#x", text),
                        "https://example.org/a/b.gguf");
    assert_string_equal(get_shown("what is this", text), "that url");
    assert_null(strstr(get_shown("https://example.org/\x1b[31mred", text), "\x1b"));
    static char over[2000] = "https://example.org/";
    memset(over + 20, 'a', sizeof over - 21);
    assert_true(strlen(get_shown(over, text)) < GET_SHOWN);
}

static wire_head read_lines(const char *const *lines, size_t n)
{
    wire_head h = { 0 };
    for (size_t i = 0; i < n; i++)
        wire_read_line(&h, span_of(lines[i]));
    return h;
}
#define READ(...)                                                                                                      \
    read_lines((const char *const[]){ __VA_ARGS__ }, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *))

static void lines(void **state)
{
    (void)state;
    wire_head h = READ("HTTP/1.1 206 Partial Content\r\n", "CONTENT-LENGTH:  100 \r\n",
                       "content-range: bytes 5-104/1000\r\n", "etag: \"v1\"\r\n",
                       "Last-Modified: Tue, 01 Sep 2026 10:00:00 GMT\r\n", "\r\n");
    assert_true(h.has_length && h.length == 100 && h.has_range && h.first == 5 && h.last == 104 && h.has_total);
    assert_true(h.total == 1000 && !h.framed && !h.encoding[0]);
    assert_string_equal(h.etag, "\"v1\"");
    assert_string_equal(h.modified, "Tue, 01 Sep 2026 10:00:00 GMT");
    /* a proxy's or a redirect's header before it says nothing of the answer */
    h = READ("HTTP/1.1 302 Found\r\n", "ETag: \"old\"\r\n", "Content-Length: 7\r\n", "HTTP/1.1 200 OK\r\n");
    assert_true(!h.has_length && !h.etag[0]);
    assert_true(READ("HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n").framed);
    assert_true(READ("HTTP/2 200\r\n").framed);
    assert_false(READ("HTTP/1.0 200 OK\r\n").framed);
    assert_string_equal(READ("Content-Encoding: gzip\r\n").encoding, "gzip");
    assert_string_equal(READ("Content-Encoding: a-name-that-is-longer-than-any-known-encoding-has\r\n").encoding, "?");
    h = READ("Content-Range: bytes */1000\r\n");
    assert_true(!h.has_range && h.has_total && h.total == 1000);
    h = READ("Content-Range: bytes 0-9/*\r\n");
    assert_true(h.has_range && !h.has_total);
}

/* None of these is a range. */
static void lies(void **state)
{
    (void)state;
    static const char *const ranges[] = {
        "bytes 9-0/10", "bytes -1-9/10", "bytes 0-/10", "bytes -9/10", "bytes 0-99999999999999999999999999/10",
        "0-9/10", "bytes 0x0-9/10", "items 0-9/10", "", "bytes", "bytes a-b/c", "bytes 0 9/10",
    };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        char line[128];
        wire_head h = { 0 };
        snprintf(line, sizeof line, "Content-Range: %s\r\n", ranges[i]);
        wire_read_line(&h, span_of(line));
        if (h.has_range)
            fail_msg("'%s' was read as %llu-%llu", ranges[i], (unsigned long long)h.first, (unsigned long long)h.last);
    }
    static const char *const lengths[] = { "", "-1", "1e3", "18446744073709551616", "10, 10", "0x10" };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char line[128];
        wire_head h = { 0 };
        snprintf(line, sizeof line, "Content-Length: %s\r\n", lengths[i]);
        wire_read_line(&h, span_of(line));
        assert_false(h.has_length);
    }
    char over[4096]; /* an ETag that is too long to be compared is none */
    memset(over, 'e', sizeof over);
    memcpy(over, "ETag: ", 6);
    wire_head h = { 0 };
    wire_read_line(&h, (span){ over, sizeof over });
    assert_true(h.etag[0] == 0);
    wire_read_line(&h, (span){ "", 0 });
    wire_read_line(&h, (span){ ":", 1 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls), cmocka_unit_test(shown), cmocka_unit_test(lines), cmocka_unit_test(lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
