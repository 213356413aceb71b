/* inspect.c: see the header. A body is laid out as texts (inspect_gather.c), which detectors and fingerprints then look
 * through: once each, in time linear in its bytes. */
#include "privacy/inspect_int.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "plat/file.h"
#include "privacy/secret.h"

enum { KINDS_MAX = 16, KINDS_SHOWN = 6, VERSION = 1 };
#define VERSION_SUM 8 /* hexadecimal digits of a file's digest */

/* ---- compiling ---- */

static void say_version(inspector *i, const char *what, const char *value)
{
    size_t n = strlen(i->version);
    snprintf(i->version + n, sizeof i->version - n, "%s%s/%s", n ? " " : "", what, value);
}

static status open_words(inspector *i, const char *path, error *err)
{
    char sum[DIGEST_HEX];
    buf words = BUF_INIT(DETECT_MAX_DICTIONARY + 1);
    bool any = path && *path;
    status s = any ? file_slurp(path, &words, err) : OK;
    if (!s)
        s = detector_open(&i->d, any ? buf_text(&words) : NULL, words.len, path, err);
    if (!s && any) {
        digest_of(buf_text(&words), words.len, sum);
        sum[VERSION_SUM] = 0;
        say_version(i, "dictionary", sum);
    }
    buf_clear(&words);
    return s;
}

static status open_sets(inspector *i, const inspect_settings *o, error *err)
{
    uint8_t key[DIGEST_BYTES];
    char sum[DIGEST_HEX];
    if (!o->n_fingerprints)
        return OK;
    if (o->n_fingerprints > INSPECT_SETS_MAX)
        return fail(err, E_RANGE, "%zu sets of fingerprints; at most %d", o->n_fingerprints, (int)INSPECT_SETS_MAX);
    status s = secret_key("fingerprints", key, err);
    for (size_t k = 0; k < o->n_fingerprints && !s; k++) {
        s = fingerprint_read(&i->sets[k], o->fingerprints[k], key, sizeof key, err);
        i->n_sets += !s;
        if (!s && (s = digest_file(o->fingerprints[k], sum, err)) == OK && k < 3) {
            sum[VERSION_SUM] = 0;
            say_version(i, "fingerprints", sum);
        }
    }
    explicit_bzero(key, sizeof key);
    return s;
}

status inspector_open(inspector **out, const inspect_settings *o, error *err)
{
    static const inspect_settings none;
    inspector *i = mem_zero(sizeof *i);
    if (!i)
        return fail(err, E_NOMEM, "no memory for the detectors");
    o = o ? o : &none;
    i->detect = (detect_options){ .tag = o->tag, .tagger = o->tagger, .tag_threshold = o->tag_threshold };
    snprintf(i->version, sizeof i->version, "rules/%d", (int)VERSION);
    status s = open_words(i, o->dictionary, err);
    if (!s)
        s = open_sets(i, o, err);
    if (!s)
        s = declassified_open(&i->exempt, err);
    if (!s && o->tag)
        say_version(i, "tagger", o->tagger_name ? o->tagger_name : "?");
    if (s)
        inspector_close(&i);
    else
        *out = i;
    return s;
}

void inspector_close(inspector **i)
{
    if (!*i)
        return;
    detector_close(&(*i)->d);
    for (size_t k = 0; k < (*i)->n_sets; k++)
        fingerprint_close(&(*i)->sets[k]);
    declassified_close(&(*i)->exempt);
    mem_free(*i);
    *i = NULL;
}

const char *inspector_version(const inspector *i)
{
    return i ? i->version : "";
}

/* ---- looking ---- */

typedef struct looking {
    const inspector *i;
    privacy_class raises;
    const char *kinds[KINDS_MAX]; /* what was found, each once */
    size_t n_kinds, n_more;
    bool copied;                  /* from one of the private documents */
    status failed;
} looking;

static void broke(looking *l, status s, const error *why)
{
    log_line(LOG_LEVEL_WARN, "a text could not be looked through, and so counts as private: %s", why->text);
    l->failed = s;
    l->raises = privacy_class_join(l->raises, PRIVACY_PRIVATE);
}

static void note_kind(looking *l, const char *kind)
{
    for (size_t k = 0; k < l->n_kinds; k++)
        if (strcmp(l->kinds[k], kind) == 0)
            return;
    if (l->n_kinds < KINDS_MAX)
        l->kinds[l->n_kinds++] = kind;
    else
        l->n_more++;
}

/* ids: a token may look random. */
static void detect(looking *l, const buf *text, bool ids)
{
    detect_report r;
    error why = { 0 };
    status s = detect_scan(l->i->d, buf_text(text), text->len, ids ? NULL : &l->i->detect, &r, &why);
    if (s) {
        broke(l, s, &why);
        return;
    }
    if (r.n < r.n_all) /* some are not in the list */
        l->raises = privacy_class_join(l->raises, r.raises);
    for (size_t k = 0; k < r.n; k++) {
        if (ids && strcmp(r.list[k].kind, "random_token") == 0)
            continue;
        l->raises = privacy_class_join(l->raises, r.list[k].raises);
        note_kind(l, r.list[k].kind);
    }
    detect_report_clear(&r);
}

static void compare(looking *l, const buf *text)
{
    fingerprint_match m;
    error why = { 0 };
    for (size_t k = 0; k < l->i->n_sets; k++) {
        status s = fingerprint_query(l->i->sets[k], buf_text(text), text->len, &m, &why);
        if (s)
            broke(l, s, &why);
        else if (m.n_matched)
            l->copied = true;
    }
    if (l->copied)
        l->raises = privacy_class_join(l->raises, PRIVACY_PRIVATE);
}

static void look(looking *l, const buf *text, bool ids)
{
    error why = { 0 };
    status s = buf_ok(text, "the texts of a request", &why);
    if (s)
        broke(l, s, &why);
    else if (text->len) {
        detect(l, text, ids);
        compare(l, text);
    }
}

static void add(char reason[INSPECT_REASON_BYTES], const char *before, const char *what)
{
    size_t n = strlen(reason);
    snprintf(reason + n, INSPECT_REASON_BYTES - n, "%s%s", before, what);
}

static void give_reason(const looking *l, const gather *g, char reason[INSPECT_REASON_BYTES])
{
    reason[0] = 0;
    for (size_t k = 0; k < l->n_kinds && k < KINDS_SHOWN; k++)
        add(reason, k ? ", " : "detector: ", l->kinds[k]);
    if (l->n_kinds + l->n_more > KINDS_SHOWN)
        add(reason, ", ", "others");
    if (l->copied)
        add(reason, *reason ? "; " : "", "fingerprint");
    if (g->unknown[0]) {
        add(reason, *reason ? "; " : "", "part ");
        add(reason, "", g->unknown);
    }
    if (l->failed) {
        add(reason, *reason ? "; " : "", "not looked through: ");
        add(reason, "", status_name(l->failed));
    }
    if (g->exempt > PRIVACY_PUBLIC && !*reason)
        add(reason, "", "declassified");
}

static void conclude(const inspector *i, gather *g, inspect_result *out)
{
    looking l = { .i = i, .raises = g->exempt };
    look(&l, &g->all, false);
    look(&l, &g->joined, false);
    look(&l, &g->ids, true);
    if (g->unknown[0])
        l.raises = privacy_class_join(l.raises, PRIVACY_PRIVATE);
    *out = (inspect_result){ .raises = l.raises, .failed = l.failed };
    give_reason(&l, g, out->reason);
    gather_clear(g);
}

static bool there(const inspector *i, inspect_result *out)
{
    if (!i)
        *out = (inspect_result){ PRIVACY_PRIVATE, E_NOTFOUND, "not looked through: no detectors" };
    return i != NULL;
}

void inspect_parts(const inspector *i, const span *parts, size_t n, inspect_result *out)
{
    gather g;
    if (!there(i, out))
        return;
    gather_init(&g, i);
    for (size_t k = 0; k < n; k++)
        gather_text(&g, parts[k].p, parts[k].n);
    for (size_t k = 0; k < n && n > 1; k++)
        buf_add(&g.joined, parts[k].p, parts[k].n);
    conclude(i, &g, out);
}

void inspect_text(const inspector *i, const char *text, size_t n, inspect_result *out)
{
    inspect_parts(i, &(span){ text, n }, 1, out);
}

void inspect_json(const inspector *i, const js *body, inspect_result *out)
{
    gather g;
    if (!there(i, out))
        return;
    gather_init(&g, i);
    gather_body(&g, body);
    conclude(i, &g, out);
}
