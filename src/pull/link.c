/* link.c: splitting, joining and naming. */
#include "pull/link.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

static span before(span *s, const char *stops)
{
    span head = { s->p, 0 };
    while (head.n < s->n && !strchr(stops, s->p[head.n]))
        head.n++;
    s->p += head.n;
    s->n -= head.n;
    return head;
}

static bool same_word(span s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static bool clean(const char *url)
{
    size_t n = strlen(url);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)url[i] <= ' ' || url[i] == 0x7f || url[i] == '\\')
            return false;
    return n > 0 && n <= LINK_TEXT_MAX;
}

/* What follows the host: path ? query # fragment. */
static void split_tail(span rest, link_parts *p)
{
    p->path = before(&rest, "?#");
    p->query = p->fragment = (span){ rest.p, 0 };
    if (rest.n && *rest.p == '?') {
        rest.p++, rest.n--;
        p->query = before(&rest, "#");
    }
    if (rest.n)
        p->fragment = (span){ rest.p + 1, rest.n - 1 };
}

bool link_split(const char *url, link_parts *out)
{
    link_parts p = { 0 };
    if (!clean(url))
        return false;
    span rest = span_of(url);
    p.scheme = before(&rest, ":/?#");
    if (!same_word(p.scheme, "http") && !same_word(p.scheme, "https"))
        return false;
    if (rest.n < 3 || strncmp(rest.p, "://", 3) != 0)
        return false;
    rest.p += 3, rest.n -= 3;
    span authority = before(&rest, "/?#");
    p.user = (span){ authority.p, 0 };
    p.host = authority;
    for (size_t i = authority.n; i-- > 0;)
        if (authority.p[i] == '@') {
            p.user.n = i;
            p.host = (span){ authority.p + i + 1, authority.n - i - 1 };
            break;
        }
    if (!p.host.n)
        return false;
    split_tail(rest, &p);
    *out = p;
    return true;
}

/* Section 5.2.4: takes "." and ".." out of an absolute path. */
static void add_clean_path(buf *b, const char *path, size_t n)
{
    size_t floor = b->len, at = 0;
    while (at < n) {
        size_t end = at + 1;
        while (end < n && path[end] != '/')
            end++;
        span piece = { path + at, end - at };
        bool last = end == n, dots = span_is(piece, "/.."), dot = span_is(piece, "/.");
        if (dots) {
            while (b->len > floor && b->data[b->len - 1] != '/')
                b->len--;
            if (b->len > floor)
                b->len--;
        } else if (!dot) {
            buf_add(b, piece.p, piece.n);
        }
        if (last && (dot || dots))
            buf_char(b, '/');
        at = end;
    }
}

/* ref's path upon base's: section 5.2.3. */
static void add_merged(buf *b, const link_parts *base, span path)
{
    buf merged = BUF_INIT(2 * LINK_TEXT_MAX);
    size_t keep = base->path.n;
    if (path.n && *path.p == '/')
        keep = 0;
    while (keep > 0 && base->path.p[keep - 1] != '/')
        keep--;
    buf_add(&merged, base->path.p, keep);
    if (!keep && !(path.n && *path.p == '/'))
        buf_char(&merged, '/');
    buf_add(&merged, path.p, path.n);
    if (merged.failed)
        b->failed = true;
    else
        add_clean_path(b, merged.data, merged.len);
    buf_clear(&merged);
}

static bool has_scheme(const char *ref)
{
    size_t n = strcspn(ref, ":/?#");
    return n > 0 && ref[n] == ':';
}

status link_join(char **out, const char *base, const char *ref, error *err)
{
    link_parts b, r = { 0 };
    buf text = BUF_INIT(LINK_TEXT_MAX);
    if (!link_split(base, &b))
        return fail(err, E_FORMAT, "'%.200s' is not an http URL", base);
    if (*ref && !clean(ref))
        return fail(err, E_FORMAT, "a link on %.*s is not an URL: '%.200s'", (int)b.host.n, b.host.p, ref);
    if (has_scheme(ref)) {
        if (!link_split(ref, &r))
            return fail(err, E_FORMAT, "a link on %.*s is not an http URL: '%.200s'", (int)b.host.n, b.host.p, ref);
        buf_str(&text, ref);
    } else if (str_starts(ref, "//")) {
        buf_printf(&text, "%.*s:%s", (int)b.scheme.n, b.scheme.p, ref);
    } else {
        split_tail(span_of(ref), &r);
        buf_printf(&text, "%.*s://", (int)b.scheme.n, b.scheme.p);
        if (b.user.n)
            buf_printf(&text, "%.*s@", (int)b.user.n, b.user.p);
        buf_printf(&text, "%.*s", (int)b.host.n, b.host.p);
        if (r.path.n)
            add_merged(&text, &b, r.path);
        else
            buf_add(&text, b.path.p, b.path.n);
        span query = r.path.n || r.query.n ? r.query : b.query;
        if (query.n)
            buf_printf(&text, "?%.*s", (int)query.n, query.p);
        if (r.fragment.n)
            buf_printf(&text, "#%.*s", (int)r.fragment.n, r.fragment.p);
    }
    status s = buf_ok(&text, "an URL", err);
    if (!s && !link_split(buf_text(&text), &r))
        s = fail(err, E_FORMAT, "a link on %.*s leads nowhere: '%.200s'", (int)b.host.n, b.host.p, ref);
    /* A link in full to the page's own scheme and host: what opened the page opens the file. */
    if (!s && b.user.n && !r.user.n && same_word(r.scheme, "https") ==
        same_word(b.scheme, "https") && r.host.n == b.host.n && strncasecmp(r.host.p, b.host.p, b.host.n) == 0) {
        buf full = BUF_INIT(LINK_TEXT_MAX);
        buf_printf(&full, "%.*s://%.*s@%s", (int)r.scheme.n, r.scheme.p, (int)b.user.n, b.user.p, r.host.p);
        s = buf_ok(&full, "an URL", err);
        buf_clear(&text);
        text = full;
    }
    if (!s)
        *out = buf_take(&text);
    buf_clear(&text);
    return s;
}

status link_public(char **out, const char *url, bool with_query, error *err)
{
    link_parts p;
    buf text = BUF_INIT(LINK_TEXT_MAX);
    if (!link_split(url, &p))
        return fail(err, E_FORMAT, "not an http URL");
    buf_printf(&text, "%.*s://%.*s%.*s", (int)p.scheme.n, p.scheme.p, (int)p.host.n, p.host.p, (int)p.path.n, p.path.p);
    if (with_query && p.query.n)
        buf_printf(&text, "?%.*s", (int)p.query.n, p.query.p);
    status s = buf_ok(&text, "an URL", err);
    if (!s)
        *out = buf_take(&text);
    buf_clear(&text);
    return s;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

bool link_safe_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n > 200 || *name == '.' || !utf8_valid(name, n))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f || name[i] == '/' || name[i] == '\\')
            return false;
    return true;
}

status link_file_name(char **out, const char *url, error *err)
{
    link_parts p;
    if (!link_split(url, &p))
        return fail(err, E_FORMAT, "'%.200s' is not an http URL", url);
    size_t at = p.path.n;
    while (at > 0 && p.path.p[at - 1] != '/')
        at--;
    buf name = BUF_INIT(LINK_TEXT_MAX);
    for (; at < p.path.n; at++) {
        int high = -1, low = -1;
        if (p.path.p[at] == '%' && at + 2 < p.path.n)
            high = hex_digit(p.path.p[at + 1]), low = hex_digit(p.path.p[at + 2]);
        if (high >= 0 && low >= 0)
            at += 2;
        buf_char(&name, high >= 0 && low >= 0 ? (char)(high * 16 + low) : p.path.p[at]);
    }
    status s = buf_ok(&name, "a file name", err);
    if (!s && (memchr(buf_text(&name), 0, name.len) || !link_safe_name(buf_text(&name))))
        s = fail(err, E_FORMAT, "'%.*s' does not end in a name that a file can have here", (int)p.path.n, p.path.p);
    if (!s)
        *out = buf_take(&name);
    buf_clear(&name);
    return s;
}

bool link_hex64(span text, char hex[65])
{
    if (text.n != 64)
        return false;
    for (size_t i = 0; i < 64; i++)
        if (hex_digit(text.p[i]) < 0)
            return false;
    for (size_t i = 0; i < 64; i++)
        hex[i] = (char)tolower((unsigned char)text.p[i]);
    hex[64] = 0;
    return true;
}

bool link_sha256(span fragment, char hex[65])
{
    hex[0] = 0;
    while (fragment.n) {
        span item = before(&fragment, "&");
        if (item.n > 7 && strncmp(item.p, "sha256=", 7) == 0 && link_hex64((span){ item.p + 7, item.n - 7 }, hex))
            return true;
        if (fragment.n)
            fragment.p++, fragment.n--;
    }
    return false;
}
