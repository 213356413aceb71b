/* schema_uri.c: references against a base, RFC 3986 section 5.2, as far as identifiers within one document need it. */
#include <string.h>

#include "grammar/schema_int.h"

typedef struct uri { /* p is NULL where a part is not there */
    span scheme, authority, path, query;
} uri;

static bool is_scheme(span s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], letter = (char)(c | 0x20);
        bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!((letter >= 'a' && letter <= 'z') || (i && other)))
            return false;
    }
    return s.n > 0;
}

/* Bytes before the first of `ends`, which are cut off text. */
static span cut(span *text, const char *ends)
{
    size_t n = 0;
    while (n < text->n && !strchr(ends, text->p[n]))
        n++;
    span head = { text->p, n };
    text->p += n;
    text->n -= n;
    return head;
}

static uri split(span text)
{
    uri u = { .path = { NULL, 0 } };
    span rest = text;
    rest.n = cut(&rest, "#").n;
    rest.p = text.p;
    span after = rest, scheme = cut(&after, ":/?");
    if (after.n && *after.p == ':' && is_scheme(scheme)) {
        u.scheme = scheme;
        rest = (span){ after.p + 1, after.n - 1 };
    }
    if (rest.n >= 2 && !memcmp(rest.p, "//", 2)) {
        rest = (span){ rest.p + 2, rest.n - 2 };
        u.authority = cut(&rest, "/?");
    }
    u.path = cut(&rest, "?");
    if (rest.n)
        u.query = rest;
    return u;
}

/* Writes path without its segments "." and ".."; from is where the path begins in out. */
static void add_path(span path, buf *out)
{
    size_t from = out->len;
    bool rooted = path.n && *path.p == '/';
    while (path.n) {
        bool slash = *path.p == '/';
        path.p += slash;
        path.n -= slash;
        span segment = cut(&path, "/");
        bool up = segment.n == 2 && !memcmp(segment.p, "..", 2), here = segment.n == 1 && *segment.p == '.';
        if (up) {
            while (out->len > from && out->data[out->len - 1] != '/')
                out->len--;
            out->len -= out->len > from;
        }
        if (!up && !here) {
            if (slash && (rooted || out->len > from))
                buf_char(out, '/');
            buf_add(out, segment.p, segment.n);
        } else if (!path.n) {
            buf_char(out, '/');
        }
    }
}

/* RFC 3986 5.2.3: the reference's path in the place of base's last segment. */
static void add_merged(const uri *base, span path, buf *out)
{
    buf merged = BUF_INIT(64 << 10);
    size_t keep = base->path.n;
    while (keep && base->path.p[keep - 1] != '/')
        keep--;
    if (base->authority.p && !base->path.n)
        buf_char(&merged, '/');
    buf_add(&merged, base->path.p, keep);
    buf_add(&merged, path.p, path.n);
    add_path((span){ buf_text(&merged), merged.len }, out);
    out->failed = out->failed || merged.failed;
    buf_clear(&merged);
}

static void add_head(span scheme, span authority, buf *out)
{
    if (scheme.p) {
        buf_add(out, scheme.p, scheme.n);
        buf_char(out, ':');
    }
    if (authority.p) {
        buf_str(out, "//");
        buf_add(out, authority.p, authority.n);
    }
}

void schema_uri_resolve(span base_text, span reference, buf *out)
{
    uri base = split(base_text), r = split(reference);
    bool own = r.scheme.p || r.authority.p;
    add_head(r.scheme.p ? r.scheme : base.scheme, own ? r.authority : base.authority, out);
    span query = r.query;
    if (own || (r.path.n && *r.path.p == '/')) {
        add_path(r.path, out);
    } else if (r.path.n) {
        add_merged(&base, r.path, out);
    } else {
        buf_add(out, base.path.p, base.path.n);
        query = r.query.p ? r.query : base.query;
    }
    buf_add(out, query.p, query.n);
}

bool schema_uri_fragment(span reference, span *fragment)
{
    const char *hash = memchr(reference.p, '#', reference.n);
    if (!hash)
        return false;
    *fragment = (span){ hash + 1, reference.n - (size_t)(hash + 1 - reference.p) };
    return true;
}
