/* hf.c: models of Hugging Face's hub, through its API: GET /api/models/OWNER/REPO[/revision/REVISION]?blobs=true lists
 * the files ("siblings") with length and SHA-256 (of those in LFS, as all weights are) and the commit; a file is at
 * /OWNER/REPO/resolve/COMMIT/FILE, which redirects to a content network. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "pull/choose.h"
#include "pull/link.h"
#include "pull/source_int.h"

enum { API_MAX = 32 << 20, SIBLINGS_MAX = 1 << 16, REPO_MAX = 200, REVISION_MAX = 200 };

typedef struct hf_text {
    char repo[REPO_MAX];         /* OWNER/REPO */
    char want[SOURCE_NAME_MAX];  /* "": not said */
    char revision[REVISION_MAX]; /* "": not said */
} hf_text;

static bool keep(char *out, size_t room, span s)
{
    if (s.n >= room)
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return true;
}

static bool good_word(span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && !strchr("._-", s.p[i]))
            return false;
    return s.n > 0 && *s.p != '.' && *s.p != '-';
}

static status read_text(hf_text *t, const char *text, error *err)
{
    span rest = span_of(text);
    span head = { text, strcspn(text, ":@") };
    const char *slash = memchr(head.p, '/', head.n);
    bool good = slash && good_word((span){ head.p, (size_t)(slash - head.p) }) &&
                good_word((span){ slash + 1, head.n - (size_t)(slash + 1 - head.p) }) &&
                keep(t->repo, sizeof t->repo, head);
    rest.p += head.n, rest.n -= head.n;
    const char *at = memrchr(rest.p, '@', rest.n);
    if (at) {
        span revision = { at + 1, rest.n - (size_t)(at + 1 - rest.p) };
        good = good && revision.n && keep(t->revision, sizeof t->revision, revision);
        rest.n = (size_t)(at - rest.p);
    }
    if (rest.n)
        good = good && *rest.p == ':' && rest.n > 1 && keep(t->want, sizeof t->want, (span){ rest.p + 1, rest.n - 1 });
    for (const char *p = text; good && *p; p++)
        good = (unsigned char)*p > ' ' && *p != 0x7f && *p != '\\';
    return good ? OK : fail(err, E_FORMAT, "hf:%.200s: hf:OWNER/REPO[:QUANTISATION][@REVISION] is expected", text);
}

static void add_escaped(buf *b, const char *text, bool slashes)
{
    for (; *text; text++)
        if (isalnum((unsigned char)*text) || strchr("-._~", *text) || (slashes && *text == '/'))
            buf_char(b, *text);
        else
            buf_printf(b, "%%%02X", (unsigned char)*text);
}

/* ---- the API ----------------------------------------------------------------------------------------------------- */

/* The token goes to the hub's host alone. */
static status open_hub(getter *g, const pull_settings *s, error *err)
{
    link_parts p;
    char host[256];
    if (!link_split(s->hub, &p))
        return fail(err, E_FORMAT, "HF_ENDPOINT is not an URL");
    size_t n = p.host.n;
    if (n > 4 && strncmp(p.host.p + n - 4, ":443", 4) == 0)
        n -= 4;
    if (!keep(host, sizeof host, (span){ p.host.p, n }))
        return fail(err, E_FORMAT, "HF_ENDPOINT: the host's name is too long");
    return getter_token(g, s->token, s->token ? host : NULL, err);
}

static status ask_hub(js **out, getter *g, const hf_text *t, const pull_settings *s, error *err)
{
    buf url = BUF_INIT(LINK_TEXT_MAX), text = BUF_INIT(API_MAX);
    error why = { 0 };
    buf_printf(&url, "%s/api/models/%s", s->hub, t->repo);
    if (t->revision[0]) {
        buf_str(&url, "/revision/");
        add_escaped(&url, t->revision, false);
    }
    buf_str(&url, "?blobs=true");
    status r = buf_ok(&url, "an URL", err);
    if (!r) {
        r = get_text(g, url.data, "application/json", API_MAX, &text, NULL, 0, &why);
        const char *at = t->revision[0] ? "@" : "";
        if (r == E_NOTFOUND)
            fail(err, r, "hf:%s%s%s: there is no such model or revision (%s)", t->repo, at, t->revision, why.text);
        else if (r == E_DENIED) /* what the hub says also of models that are not there */
            fail(err, r, "hf:%s%s%s: the hub does not show it: there is no such model, or it needs a token%s (%s)",
                t->repo, at, t->revision, s->token ? " with more rights" : " in HF_TOKEN", why.text);
        else if (r)
            fail(err, r, "hf:%s: %s", t->repo, why.text);
    }
    if (!r)
        r = js_parse(out, buf_text(&text), text.len, t->repo, 1, err);
    buf_clear(&url);
    buf_clear(&text);
    return r;
}

static const char *licence_of(const js *doc)
{
    const js *card = js_get(js_get(doc, "cardData"), "license");
    const char *named = js_text(js_get(js_get(doc, "cardData"), "license_name"));
    const char *text = js_text(js_is(card, JS_ARRAY) ? js_at(card, 0) : card);
    const js *tags = js_get(doc, "tags");
    for (size_t i = 0; !text && i < js_len(tags); i++) {
        const char *tag = js_text(js_at(tags, i));
        if (tag && str_starts(tag, "license:"))
            text = tag + 8;
    }
    return text && strcmp(text, "other") == 0 && named ? named : text;
}

/* A gated model's files are refused without a token, after its page was shown to everybody. */
static status check_gate(const js *doc, const hf_text *t, const pull_settings *s, error *err)
{
    const js *gated = js_get(doc, "gated");
    if (s->token || !(js_bool(gated, false) || js_is(gated, JS_STRING)))
        return OK;
    return fail(err, E_DENIED, "hf:%s: its terms have to be accepted: on %s/%s, then with a token in HF_TOKEN", t->repo,
        s->hub, t->repo);
}

static status add_sibling(source_plan *p, const js *file, const char *hub, const hf_text *t, const char *commit,
    error *err)
{
    const char *path = js_text(js_get(file, "rfilename"));
    const js *lfs = js_get(file, "lfs");
    const char *sum = js_text(js_get(lfs, "sha256"));
    if (!sum)
        sum = js_text(js_get(lfs, "oid"));
    if (sum && str_starts(sum, "sha256:"))
        sum += 7;
    char hex[DIGEST_HEX] = "";
    int64_t bytes = 0;
    if (!js_int(js_get(lfs, "size"), &bytes))
        js_int(js_get(file, "size"), &bytes);
    if (!sum || !link_hex64(span_of(sum), hex) || bytes <= 0)
        return fail(err, E_FORMAT, "hf:%s: the hub names no length and SHA-256 for %.200s", t->repo, path);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!link_safe_name(name))
        return fail(err, E_FORMAT, "hf:%s: a file's name that cannot be used here", t->repo);
    buf url = BUF_INIT(LINK_TEXT_MAX);
    buf_printf(&url, "%s/%s/resolve/", hub, t->repo);
    add_escaped(&url, commit, false);
    buf_char(&url, '/');
    add_escaped(&url, path, true);
    status s = buf_ok(&url, "an URL", err);
    if (!s)
        s = source_plan_add(p, url.data, name, (uint64_t)bytes, hex, err);
    buf_clear(&url);
    return s;
}

/* The siblings that are meant, in order. */
static status choose(source_plan *p, const js *doc, const char *hub, const hf_text *t, const char *commit, error *err)
{
    const js *siblings = js_get(doc, "siblings");
    size_t n = js_len(siblings), *at = NULL, n_at = 0;
    char where[REPO_MAX + REVISION_MAX + 8];
    if (!js_is(siblings, JS_ARRAY) || n > SIBLINGS_MAX)
        return fail(err, E_FORMAT, "hf:%s: the hub's answer has no list of files", t->repo);
    choose_file *files = mem_array(n ? n : 1, sizeof *files);
    if (!files)
        return fail(err, E_NOMEM, "no memory for a list of files");
    for (size_t i = 0; i < n; i++) {
        const js *f = js_at(siblings, i);
        const char *path = js_text(js_get(f, "rfilename"));
        int64_t bytes = 0;
        if (!js_int(js_get(f, "size"), &bytes) || bytes < 0)
            bytes = 0;
        files[i] = (choose_file){ path && strlen(path) < 1024 ? path : "", (uint64_t)bytes };
    }
    snprintf(where, sizeof where, "hf:%s%s%s", t->repo, t->revision[0] ? "@" : "", t->revision);
    status s = choose_model(files, n, t->want[0] ? t->want : NULL, where, &at, &n_at, err);
    for (size_t i = 0; !s && i < n_at; i++)
        s = add_sibling(p, js_at(siblings, at[i]), hub, t, commit, err);
    char label[CHOOSE_LABEL];
    if (!s) { /* however it was asked for, the same model has the same text */
        bool by_path = str_ends(t->want, ".gguf") || !choose_label(files[at[0]].path, label);
        const char *want = by_path ? t->want : label;
        s = source_plan_text(&p->source, err, "hf:%s%s%s%s%s", t->repo, *want ? ":" : "", want,
            t->revision[0] ? "@" : "", t->revision);
    }
    mem_free(at);
    mem_free(files);
    return s;
}

status source_hf(source_plan *p, getter *g, const char *text, const source_options *o, error *err)
{
    hf_text t = { 0 };
    js *doc = NULL;
    status s = read_text(&t, text, err);
    if (!s)
        s = open_hub(g, o->settings, err);
    if (!s)
        s = ask_hub(&doc, g, &t, o->settings, err);
    const char *commit = js_text(js_get(doc, "sha")), *licence = licence_of(doc);
    if (!commit || strlen(commit) >= REVISION_MAX || !*commit)
        commit = t.revision[0] ? t.revision : "main";
    if (!s)
        s = check_gate(doc, &t, o->settings, err);
    if (!s)
        s = choose(p, doc, o->settings->hub, &t, commit, err);
    if (!s)
        s = source_plan_text(&p->revision, err, "%s", commit);
    if (!s && licence)
        s = source_plan_text(&p->licence, err, "%.200s", licence);
    if (!s)
        s = link_public(&p->url, p->files[0].url, false, err);
    js_free(doc);
    return s;
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static bool is_hub(span host, const pull_settings *s)
{
    link_parts hub;
    return span_is(host, "huggingface.co") || span_is(host, "www.huggingface.co") || span_is(host, "hf.co") ||
           (link_split(s->hub, &hub) && host.n == hub.host.n && strncasecmp(host.p, hub.host.p, host.n) == 0);
}

/* One piece of a path. */
static span next_piece(span *path)
{
    while (path->n && *path->p == '/')
        path->p++, path->n--;
    span piece = { path->p, 0 };
    while (piece.n < path->n && piece.p[piece.n] != '/')
        piece.n++;
    path->p += piece.n, path->n -= piece.n;
    return piece;
}

static void add_decoded(buf *b, span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned code;
        if (s.p[i] == '%' && s.n - i > 2 && isxdigit((unsigned char)s.p[i + 1]) &&
            isxdigit((unsigned char)s.p[i + 2]) && sscanf(s.p + i + 1, "%2x", &code) == 1) {
            buf_char(b, (char)code);
            i += 2;
        } else {
            buf_char(b, s.p[i]);
        }
    }
}

status source_hf_url(char **text, const char *url, const pull_settings *s, error *err)
{
    static const char *const views[] = { "tree", "blob", "resolve", "raw" };
    static const char *const others[] = { "api", "datasets", "spaces", "docs", "blog", "papers", "collections" };
    link_parts p;
    *text = NULL;
    if (!link_split(url, &p) || !is_hub(p.host, s))
        return OK;
    span rest = p.path, owner = next_piece(&rest), repo = next_piece(&rest), view = next_piece(&rest);
    span revision = next_piece(&rest);
    bool known = view.n == 0;
    for (size_t i = 0; i < ARRAY_LEN(views); i++)
        known = known || (span_is(view, views[i]) && revision.n);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        known = known && !span_is(owner, others[i]);
    while (rest.n && *rest.p == '/')
        rest.p++, rest.n--;
    bool file = rest.n > 5 && strncasecmp(rest.p + rest.n - 5, ".gguf", 5) == 0;
    if (!known || !repo.n || (rest.n && !file))
        return OK;
    buf out = BUF_INIT(LINK_TEXT_MAX);
    buf_printf(&out, "%.*s/%.*s", (int)owner.n, owner.p, (int)repo.n, repo.p);
    if (file) {
        buf_char(&out, ':');
        add_decoded(&out, rest);
    }
    if (revision.n && !span_is(revision, "main")) {
        buf_char(&out, '@');
        add_decoded(&out, revision);
    }
    status r = buf_ok(&out, "an URL", err);
    if (!r && memchr(out.data, 0, out.len))
        r = fail(err, E_FORMAT, "an URL with a zero byte");
    if (!r)
        *text = buf_take(&out);
    buf_clear(&out);
    return r;
}
