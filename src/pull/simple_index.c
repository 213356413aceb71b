/* simple_index.c: reading the page, choosing a wheel. */
#include "pull/simple_index.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "pull/link.h"
#include "pull/pep440.h"

/* ---- one file ---------------------------------------------------------------------------------------------------- */

typedef struct reading {
    simple_files files;
    size_t room;
    char *base;  /* what links are relative to */
    char *shown; /* for errors: without user and password */
} reading;

/* Takes the link if a file can be there; only memory and ceilings are errors. */
static status add_file(reading *r, const char *href, const simple_file *facts, error *err)
{
    char *url = NULL;
    simple_file f = *facts;
    link_parts p;
    f.url = f.name = NULL;
    if (r->files.n >= SIMPLE_FILES_MAX)
        return fail(err, E_RANGE, "%s: the page lists more than %d files", r->shown, (int)SIMPLE_FILES_MAX);
    status s = link_join(&url, r->base, href, err);
    if (!s && link_split(url, &p) && p.fragment.n) {
        if (!f.sha256[0])
            link_sha256(p.fragment, f.sha256);
        url[(size_t)(p.fragment.p - url) - 1] = 0;
    }
    if (!s)
        s = link_file_name(&f.name, url, err);
    if (s) {
        mem_free(url);
        return s == E_FORMAT ? OK : s;
    }
    f.url = url;
    if (r->files.n == r->room) {
        size_t room = r->room ? 2 * r->room : 16;
        simple_file *more = mem_resize(r->files.at, room * sizeof *more);
        if (!more) {
            mem_free(f.url);
            mem_free(f.name);
            return fail(err, E_NOMEM, "no memory for the list of files");
        }
        r->files.at = more;
        r->room = room;
    }
    r->files.at[r->files.n++] = f;
    return OK;
}

void simple_files_clear(simple_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        mem_free(f->at[i].url);
        mem_free(f->at[i].name);
    }
    mem_free(f->at);
    *f = (simple_files){ 0 };
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static status read_json(reading *r, const char *text, size_t n, error *err)
{
    js *doc = NULL;
    status s = js_parse(&doc, text, n, r->shown, 1, err);
    if (s)
        return s;
    const char *version = js_text(js_get(js_get(doc, "meta"), "api-version"));
    const js *files = js_get(doc, "files");
    if (!version || !str_starts(version, "1."))
        s = fail(err, E_FORMAT, "%s: an index of version 1 is expected, this says '%.20s'", r->shown,
            version ? version : "");
    else if (!js_is(files, JS_ARRAY))
        s = fail(err, E_FORMAT, "%s: the index has no list of files", r->shown);
    for (size_t i = 0; !s && i < js_len(files); i++) {
        const js *f = js_at(files, i);
        const char *href = js_text(js_get(f, "url")), *sum = js_text(js_get(js_get(f, "hashes"), "sha256"));
        const js *yanked = js_get(f, "yanked");
        int64_t size = 0;
        simple_file facts = { .yanked = js_bool(yanked, false) || js_is(yanked, JS_STRING) };
        if (sum)
            link_hex64(span_of(sum), facts.sha256);
        if (js_int(js_get(f, "size"), &size) && size > 0)
            facts.bytes = (uint64_t)size;
        if (href)
            s = add_file(r, href, &facts, err);
    }
    js_free(doc);
    return s;
}

/* ---- HTML -------------------------------------------------------------------------------------------------------- */

/* &amp; and its like in an attribute; what is not known stays as it is. */
static void add_unescaped(buf *b, span s)
{
    static const struct {
        const char *name;
        char c;
    } known[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' } };
    for (size_t i = 0; i < s.n; i++) {
        size_t used = 0;
        for (size_t k = 0; k < ARRAY_LEN(known) && !used; k++) {
            size_t n = strlen(known[k].name);
            if (s.n - i >= n && strncmp(s.p + i, known[k].name, n) == 0) {
                buf_char(b, known[k].c);
                used = n;
            }
        }
        if (!used && s.n - i > 3 && strncmp(s.p + i, "&#", 2) == 0) {
            bool hex = s.p[i + 2] == 'x' || s.p[i + 2] == 'X';
            uint32_t code = 0;
            size_t at = i + (hex ? 3 : 2);
            for (; at < s.n && isxdigit((unsigned char)s.p[at]) && code < 0x110000; at++) {
                int digit = isdigit((unsigned char)s.p[at]) ? s.p[at] - '0' : (s.p[at] | 32) - 'a' + 10;
                code = code * (hex ? 16 : 10) + (uint32_t)digit;
            }
            char utf8[4];
            if (at < s.n && s.p[at] == ';' && code && code < 0x110000 && (code < 0xD800 || code > 0xDFFF)) {
                buf_add(b, utf8, utf8_encode(code, utf8));
                used = at + 1 - i;
            }
        }
        if (used)
            i += used - 1;
        else
            buf_char(b, s.p[i]);
    }
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next attribute of a tag's inside; value.p is NULL when it has none. False at the end. */
static bool next_attribute(span *in, span *name, span *value)
{
    while (in->n && (blank(*in->p) || *in->p == '/'))
        in->p++, in->n--;
    if (!in->n)
        return false;
    *name = (span){ in->p, 0 };
    while (name->n < in->n && !blank(in->p[name->n]) && (in->p[name->n] != '=' || name->n == 0))
        name->n++;
    in->p += name->n, in->n -= name->n;
    *value = (span){ NULL, 0 };
    span at = *in;
    while (at.n && blank(*at.p))
        at.p++, at.n--;
    if (!at.n || *at.p != '=')
        return true;
    at.p++, at.n--;
    while (at.n && blank(*at.p))
        at.p++, at.n--;
    char quote = at.n && (*at.p == '"' || *at.p == '\'') ? *at.p : 0;
    if (quote)
        at.p++, at.n--;
    *value = (span){ at.p, 0 };
    while (value->n < at.n && (quote ? at.p[value->n] != quote : !blank(at.p[value->n])))
        value->n++;
    at.p += value->n, at.n -= value->n;
    if (quote && at.n)
        at.p++, at.n--;
    *in = at;
    return true;
}

static bool attribute_is(span name, const char *want)
{
    return name.n == strlen(want) && strncasecmp(name.p, want, name.n) == 0;
}

/* <a href=…> and <base href=…>: the tag's name and what is inside it. */
static status read_tag(reading *r, span tag, span inside, error *err)
{
    bool anchor = attribute_is(tag, "a"), base = attribute_is(tag, "base");
    simple_file facts = { 0 };
    span name, value;
    buf href = BUF_INIT(LINK_TEXT_MAX);
    bool found = false;
    while ((anchor || base) && next_attribute(&inside, &name, &value)) {
        if (attribute_is(name, "href") && value.p && !found) {
            found = true;
            add_unescaped(&href, span_trim(value));
        }
        if (attribute_is(name, "data-yanked"))
            facts.yanked = true;
    }
    status s = OK;
    if (found && !href.failed && !memchr(buf_text(&href), 0, href.len)) {
        char *joined = NULL;
        if (anchor) {
            s = add_file(r, buf_text(&href), &facts, err);
        } else if (link_join(&joined, r->base, buf_text(&href), NULL) == OK) {
            mem_free(r->base);
            r->base = joined;
        }
    }
    buf_clear(&href);
    return s;
}

/* The end of a tag that begins at p: the '>' outside quotes. */
static size_t tag_end(const char *p, size_t n)
{
    char quote = 0;
    for (size_t i = 0; i < n; i++) {
        if (quote)
            quote = p[i] == quote ? 0 : quote;
        else if ((p[i] == '"' || p[i] == '\'') && i > 0 && p[i - 1] == '=')
            quote = p[i];
        else if (p[i] == '>')
            return i;
    }
    return n;
}

static status read_html(reading *r, const char *text, size_t n, error *err)
{
    status s = OK;
    for (size_t at = 0; !s && at < n;) {
        const char *lt = memchr(text + at, '<', n - at);
        if (!lt)
            break;
        at = (size_t)(lt - text) + 1;
        if (n - at >= 3 && strncmp(text + at, "!--", 3) == 0) {
            const char *end = memmem(text + at, n - at, "-->", 3);
            at = end ? (size_t)(end - text) + 3 : n;
            continue;
        }
        span inside = { text + at, tag_end(text + at, n - at) };
        at += inside.n;
        span tag = { inside.p, 0 };
        while (tag.n < inside.n && isalnum((unsigned char)inside.p[tag.n]))
            tag.n++;
        if (tag.n)
            s = read_tag(r, tag, (span){ inside.p + tag.n, inside.n - tag.n }, err);
    }
    return s;
}

status simple_files_read(simple_files *out, const char *url, const char *text, size_t n, error *err)
{
    reading r = { .base = mem_strdup(url) };
    status s = r.base ? link_public(&r.shown, url, false, err) : fail(err, E_NOMEM, "no memory for the page");
    span start = span_trim((span){ text, n });
    if (!s)
        s = start.n && *start.p == '{' ? read_json(&r, text, n, err) : read_html(&r, text, n, err);
    mem_free(r.base);
    mem_free(r.shown);
    if (s)
        simple_files_clear(&r.files);
    else
        *out = r.files;
    return s;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

bool wheel_name_split(const char *file, wheel_name *out)
{
    if (!str_ends(file, ".whl"))
        return false;
    size_t dashes = 0;
    for (const char *p = file; (p = strchr(p, '-')); p++)
        dashes++;
    const char *first = strchr(file, '-'), *second = first ? strchr(first + 1, '-') : NULL;
    if ((dashes != 4 && dashes != 5) || first == file || second == first + 1)
        return false;
    *out = (wheel_name){ file, (size_t)(first - file), first + 1, (size_t)(second - first - 1) };
    return true;
}

/* A model is data: of a release's wheels the one for any platform is preferred, and the first otherwise. */
static bool universal(const char *file)
{
    return str_ends(file, "-none-any.whl");
}

static status nothing(const simple_files *f, const char *package, const char *version, error *err)
{
    buf list = BUF_INIT(400);
    bool archive = false;
    for (size_t i = 0; i < f->n; i++) {
        wheel_name w;
        if (!wheel_name_split(f->at[i].name, &w)) {
            archive = archive || str_ends(f->at[i].name, ".tar.gz") || str_ends(f->at[i].name, ".zip");
            continue;
        }
        if (list.len + w.version_n + 12 < list.max && !memmem(buf_text(&list), list.len, w.version, w.version_n))
            buf_printf(&list, "%s%.*s%s", list.len ? ", " : "", (int)w.version_n, w.version,
                f->at[i].yanked ? " (yanked)" : "");
    }
    status s;
    if (!list.len)
        s = fail(err, E_NOTFOUND, "pypi:%s: the index has no wheel of it%s", package,
            archive ? ", only source archives, whose code would have to be run" : "");
    else if (*version)
        s = fail(err, E_NOTFOUND, "pypi:%s: there is no wheel of version %s; there are: %s", package, version,
            buf_text(&list));
    else
        s = fail(err, E_NOTFOUND, "pypi:%s: there is no final release; name one with ==: %s", package, buf_text(&list));
    buf_clear(&list);
    return s;
}

status simple_files_choose(const simple_files *f, const char *package, const char *version, size_t *out, error *err)
{
    pep440 want, best = { 0 };
    bool found = false;
    size_t at = 0;
    if (*version && !pep440_parse(span_of(version), &want))
        return fail(err, E_FORMAT, "pypi:%s==%s: '%s' is not a version", package, version, version);
    for (size_t i = 0; i < f->n; i++) {
        wheel_name w;
        pep440 v;
        char name[256];
        if (!wheel_name_split(f->at[i].name, &w) || !pep440_name((span){ w.package, w.package_n }, name, sizeof name) ||
            strcmp(name, package) != 0 || !pep440_parse((span){ w.version, w.version_n }, &v))
            continue;
        if (*version ? pep440_compare(&v, &want) != 0 : (!pep440_is_final(&v) || f->at[i].yanked))
            continue;
        int d = found ? pep440_compare(&v, &best) : 1;
        if (d > 0 || (d == 0 && universal(f->at[i].name) && !universal(f->at[at].name))) {
            found = true;
            best = v;
            at = i;
        }
    }
    if (!found)
        return nothing(f, package, version, err);
    *out = at;
    return OK;
}
