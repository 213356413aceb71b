/* write_yaml.c: values as YAML text. What base/yaml.h reads back is the same value: texts that look like a number, a
 * boolean or null, or that hold what YAML gives a meaning to, are quoted. */
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "task/write.h"

/* Letters, digits, '-', '_', '/', '.' after a letter, and none of the words with a meaning. */
static bool is_plain(const char *s)
{
    static const char *const words[] = { "true", "false", "null", "yes", "no", "on", "off", "y", "n" };
    if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z')))
        return false;
    for (const char *p = s; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-_/.", *p)))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strcasecmp(words[i], s))
            return false;
    return true;
}

/* libyaml refuses control characters and takes U+0085, U+2028 and U+2029 for line breaks. */
static bool must_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || c == 0xFEFF ||
           (c >= 0xFFFE && c <= 0xFFFF);
}

static void quoted(buf *out, const char *p, size_t n)
{
    buf_char(out, '"');
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        size_t len = utf8_decode(p + i, n - i, &c);
        if (!len) {
            c = 0xFFFD;
            buf_str(out, "\xEF\xBF\xBD");
            len = 1;
        } else if (c == '"' || c == '\\') {
            buf_char(out, '\\');
            buf_char(out, (char)c);
        } else if (c == '\n') {
            buf_str(out, "\\n");
        } else if (c == '\t') {
            buf_str(out, "\\t");
        } else if (must_escape(c)) {
            buf_printf(out, "\\u%04X", c);
        } else {
            buf_add(out, p + i, len);
        }
        i += len;
    }
    buf_char(out, '"');
}

static void scalar(buf *out, const char *s)
{
    if (is_plain(s))
        buf_str(out, s);
    else
        quoted(out, s, strlen(s));
}

void write_yaml_flow(buf *out, const js *v)
{
    if (js_is(v, JS_ARRAY)) {
        buf_char(out, '[');
        for (size_t i = 0; i < js_len(v); i++) {
            buf_str(out, i ? ", " : "");
            write_yaml_flow(out, js_at(v, i));
        }
        buf_char(out, ']');
    } else if (js_is(v, JS_OBJECT)) {
        bool first = true;
        buf_char(out, '{');
        for (js_member m = { 0 }; js_next(v, &m); first = false) {
            buf_str(out, first ? "" : ", ");
            scalar(out, m.key);
            buf_str(out, ": ");
            write_yaml_flow(out, m.value);
        }
        buf_char(out, '}');
    } else if (js_is(v, JS_STRING)) {
        scalar(out, js_text(v));
    } else {
        js_write(v, JS_COMPACT, out);
    }
}

/* A block keeps the text as it is: nothing to escape, no blank or blank line at its beginning, at most one line break
 * at its end (with more, blank lines of the file itself would belong to it). */
static bool can_be_block(const char *text)
{
    size_t n = strlen(text);
    if (!strchr(text, '\n') || strchr(" \n\t", *text) || str_ends(text, "\n\n") || !utf8_valid(text, n))
        return false;
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        i += utf8_decode(text + i, n - i, &c);
        if (c != '\n' && c != '\t' && must_escape(c))
            return false;
    }
    return true;
}

void write_yaml_text(buf *out, const char *text, int indent)
{
    if (!can_be_block(text)) {
        scalar(out, text);
        buf_char(out, '\n');
        return;
    }
    buf_str(out, str_ends(text, "\n") ? "|\n" : "|-\n");
    for (const char *p = text; *p;) {
        size_t line = strcspn(p, "\n");
        if (line)
            buf_printf(out, "%*s", indent, "");
        buf_add(out, p, line);
        buf_char(out, '\n');
        p += line + (p[line] == '\n');
    }
}
