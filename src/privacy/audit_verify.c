/* audit_verify.c: see the header. */
#include "privacy/audit_verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/file_map.h"
#include "privacy/audit_int.h"

typedef struct walk {
    audit_verdict *v;
    audit_chain at;
    audit_chain told;         /* by audit.state */
    bool has_told, met_told;  /* met: at has passed it and was equal */
    bool needs_told;          /* the present log is nothing without it */
    bool keyed;               /* at.key is right */
    bool lost;                /* there was no memory to look on */
    audit_anchor *anchors;    /* of all chains; sorted */
    size_t n_anchors, next_anchor;
    file_map log;
} walk;

static bool fault(walk *w, uint64_t at, const char *why)
{
    if (w->v->holds) {
        w->v->holds = false;
        w->v->fault_at = at;
        snprintf(w->v->fault, sizeof w->v->fault, "%s", why);
    }
    return false;
}

/* ---- anchors ---- */

static int by_sequence(const void *a, const void *b)
{
    const audit_anchor *x = a, *y = b;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static status load_anchors(walk *w, const audit_files *f, const audit_question *q, error *err)
{
    audit_anchor *kept = NULL;
    size_t n = 0;
    status s = audit_anchors_read(f, &kept, &n, err);
    if (s)
        return s;
    w->anchors = mem_array(n + q->n_anchors + 1, sizeof *w->anchors);
    if (!w->anchors)
        s = fail(err, E_NOMEM, "no memory for anchors");
    else if (n)
        memcpy(w->anchors, kept, n * sizeof *kept);
    w->n_anchors = n;
    for (size_t i = 0; i < q->n_anchors && !s; i++)
        if (!audit_anchor_parse(q->anchors[i], &w->anchors[w->n_anchors++]))
            s = fail(err, E_FORMAT, "anchor '%.100s': must be NUMBER:DIGEST, as verify prints it", q->anchors[i]);
    if (!s)
        qsort(w->anchors, w->n_anchors, sizeof *w->anchors, by_sequence);
    mem_free(kept);
    return s;
}

/* An anchor that somebody brings names no chain: it is one of the chain that is looked at. */
static bool is_ours(const walk *w, const audit_anchor *a)
{
    return !a->chain[0] || strcmp(a->chain, w->v->chain) == 0;
}

static bool check_anchors(walk *w)
{
    char head[DIGEST_HEX];
    digest_hex(w->at.head, head);
    for (; w->next_anchor < w->n_anchors && w->anchors[w->next_anchor].sequence < w->at.next; w->next_anchor++) {
        const audit_anchor *a = &w->anchors[w->next_anchor];
        if (!is_ours(w, a))
            continue;
        w->v->anchors++;
        if (strcmp(a->head, head) != 0)
            return fault(w, a->sequence, "it is another record than the one that an anchor is of");
    }
    return true;
}

static bool check_last_anchors(walk *w)
{
    char why[160];
    for (size_t i = w->next_anchor; i < w->n_anchors; i++)
        if (is_ours(w, &w->anchors[i])) {
            snprintf(why, sizeof why, "the log ends before it, and an anchor says that there was a record %llu",
                     (unsigned long long)w->anchors[i].sequence);
            return fault(w, w->at.next, why);
        }
    return true;
}

/* A chain that anchors speak of and that is nowhere was removed as a whole. */
static bool check_other_chains(walk *w, const audit_files *f)
{
    char path[4096], why[160];
    for (size_t i = 0; i < w->n_anchors; i++) {
        const char *chain = w->anchors[i].chain;
        if (!chain[0] || strcmp(chain, w->v->chain) == 0)
            continue;
        int n = snprintf(path, sizeof path, "%.*s-%s.log", (int)(strlen(f->log) - 4), f->log, chain);
        if (n > 0 && (size_t)n < sizeof path && access(path, F_OK) != 0) {
            snprintf(why, sizeof why, "anchors speak of a chain whose log is not here: audit-%s.log", chain);
            return fault(w, 1, why);
        }
    }
    return true;
}

/* ---- the state ---- */

/* At the place that audit.state speaks of. From there on its key serves where the first is not known. */
static bool check_told(walk *w)
{
    if (!w->has_told || w->met_told || w->at.bytes < w->told.bytes)
        return true;
    if (w->at.bytes != w->told.bytes || w->at.next != w->told.next)
        return fault(w, w->at.next - 1, "audit.state knows another number of records");
    if (memcmp(w->at.head, w->told.head, DIGEST_BYTES) != 0)
        return fault(w, w->at.next - 1, "it is not what was written: audit.state knows another digest");
    if (w->keyed && memcmp(w->at.key, w->told.key, DIGEST_BYTES) != 0)
        return fault(w, w->at.next, "the key in audit.state does not belong to this chain");
    w->met_told = true;
    if (!w->keyed)
        memcpy(w->at.key, w->told.key, DIGEST_BYTES);
    w->keyed = true;
    return true;
}

static bool check_end(walk *w, const audit_next *last)
{
    uint64_t rest = w->log.bytes - w->at.bytes;
    char why[256];
    bool beyond = w->has_told ? w->met_told : w->at.bytes > 0;
    bool whole_lines = rest > 0 && memchr(w->log.data + w->at.bytes, '\n', (size_t)rest);
    if (w->has_told && w->log.bytes < w->told.bytes && !whole_lines) {
        snprintf(why, sizeof why, "the log is cut: %llu bytes are missing, it had %llu records",
                 (unsigned long long)(w->told.bytes - w->log.bytes), (unsigned long long)(w->told.next - 1));
        return fault(w, w->at.next, why);
    }
    if (rest > 0 && beyond && rest <= AUDIT_TAIL_MAX && (w->has_told || last->cut)) {
        w->v->tail_bytes = rest;
        return true;
    }
    if (rest > 0)
        return fault(w, w->at.next, last->why);
    if (w->has_told && !w->met_told)
        return fault(w, w->at.next, "the log is cut: audit.state knows more records");
    if (w->needs_told && !w->has_told && w->log.bytes)
        return fault(w, w->at.next, "audit.state is damaged or gone: whether records are missing here is not known");
    return true;
}

/* ---- walking ---- */

static void count(audit_verdict *v, const audit_next *x, const walk *w, bool ahead)
{
    const char *kind = js_text(js_get(x->record, "kind"));
    v->records++;
    v->releases += strcmp(kind, "release") == 0;
    v->torn_bytes += x->torn;
    v->ahead += ahead;
    if (!v->first_us)
        v->first_us = w->at.last_us;
    v->last_us = w->at.last_us;
}

static void run(walk *w, audit_record_fn *fn, void *user)
{
    audit_next x = { 0 };
    bool more = check_told(w); /* a chain that was begun and has no record */
    while (more && audit_find(&w->at, (const char *)w->log.data, w->log.bytes, w->keyed, &x)) {
        bool ahead = w->has_told && w->met_told;
        more = check_told(w) && check_anchors(w);
        if (more)
            count(w->v, &x, w, ahead);
        if (more && fn)
            more = fn(user, x.record, x.line, w->keyed ? x.key : NULL);
        js_free(x.record);
        if (!more && w->v->holds)
            return; /* fn has seen enough */
    }
    w->lost = x.lost;
    if (more && !x.lost && check_end(w, &x))
        (void)check_last_anchors(w);
}

/* The chain's name: by audit.state, else by its first line. */
static void name_chain(walk *w)
{
    js *j = NULL;
    const char *end = w->log.bytes ? memchr(w->log.data, '\n', w->log.bytes) : NULL, *name = NULL;
    if (end && js_parse(&j, (const char *)w->log.data, (size_t)(end - (const char *)w->log.data), "", 1, NULL) == OK)
        name = js_text(js_get(j, "chain"));
    if (w->has_told)
        memcpy(w->v->chain, w->told.id, UUID_TEXT);
    else if (name && strlen(name) == UUID_TEXT - 1)
        memcpy(w->v->chain, name, UUID_TEXT);
    js_free(j);
    memcpy(w->at.id, w->v->chain, UUID_TEXT);
}

static status find_key(walk *w, const audit_files *f, const audit_question *q, error *err)
{
    status s = audit_key_read(q->key_file ? q->key_file : f->key, w->v->chain, w->at.key, err);
    w->keyed = s == OK;
    w->v->keyed = w->keyed;
    w->v->key_here = w->keyed && !q->key_file;
    return s && !q->key_file ? OK : s; /* a key that nobody spoke of need not be there */
}

/* The state and the log at one moment. */
static status look(walk *w, const audit_files *f, const audit_question *q, error *err)
{
    audit_state st = { .fd = -1 };
    w->needs_told = !q->log;
    status s = q->log ? E_NOTFOUND : audit_state_open(&st, f, AUDIT_READ, err);
    w->has_told = s == OK && st.found;
    if (w->has_told)
        w->told = st.chain;
    if (!s || s == E_NOTFOUND)
        s = file_map_open(&w->log, q->log ? q->log : f->log, err);
    audit_state_close(&st);
    w->v->there = s == OK;
    if (s == E_NOTFOUND && !q->log)
        return OK;
    return s;
}

status audit_verify(const audit_question *q, audit_record_fn *fn, void *user, audit_verdict *v, error *err)
{
    audit_files f = { 0 };
    walk w = { .v = v, .at = { .next = 1 } };
    *v = (audit_verdict){ .holds = true };
    status s = audit_files_find(&f, err);
    if (!s)
        s = look(&w, &f, q, err);
    if (!s)
        s = load_anchors(&w, &f, q, err);
    if (!s)
        name_chain(&w);
    if (!s && v->chain[0])
        s = find_key(&w, &f, q, err);
    if (!s) {
        run(&w, fn, user);
        if (w.lost)
            s = fail(err, E_NOMEM, "no memory to check the audit log");
        if (v->holds && !q->log)
            (void)check_other_chains(&w, &f);
        digest_hex(w.at.head, v->head);
    }
    explicit_bzero(&w.at.key, sizeof w.at.key);
    explicit_bzero(&w.told.key, sizeof w.told.key);
    file_map_close(&w.log);
    mem_free(w.anchors);
    audit_files_clear(&f);
    return s;
}

bool audit_body_fits(const js *record, const uint8_t key[DIGEST_BYTES], const void *body, size_t n)
{
    uint8_t sum[DIGEST_BYTES];
    char mac[DIGEST_HEX];
    const char *said = js_text(js_get(record, "body"));
    digest_raw(body, n, sum);
    audit_body_mac(key, sum, mac);
    return said && strcmp(said, mac) == 0;
}
