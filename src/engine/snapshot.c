/* snapshot.c: see the header. Integers in the file are little endian; a machine of the other order finds `order` wrong
 * and reads nothing. */
#include "engine/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/engine_int.h"
#include "plat/clock.h"
#include "plat/file.h"

enum { ORDER = 0x01020304, NUMERICS_BYTES = 16 };

/* What must be equal for a page to mean the same. */
typedef struct identity {
    char magic[8];
    uint32_t version, order;
    char model[SNAPSHOT_MODEL_BYTES];
    char numerics[NUMERICS_BYTES];
    uint32_t kv_type, exact, context, window, n_vocab, page_tokens;
    uint64_t page_bytes[MODEL_KINDS];
} identity;

typedef struct header {
    identity id;
    uint32_t n_scopes, n_entries;
    char scopes[PREFIX_SCOPES][ENGINE_SCOPE_BYTES];
    uint64_t sum; /* of all before it */
} header;

typedef struct entry {
    uint32_t number; /* entries count from 0 */
    int32_t parent;  /* an entry before this one, or -1 */
    uint32_t scope;
    uint32_t kinds;  /* bit k: a page of this kind follows */
    int32_t tokens[KERNELS_PAGE];
    uint64_t sum;    /* of all before it, and of the pages */
} entry;

_Static_assert(MODEL_KINDS == 2 && sizeof(identity) == 136, "no holes in what is written");
_Static_assert(sizeof(header) == 136 + 8 + PREFIX_SCOPES * ENGINE_SCOPE_BYTES + 8, "likewise");
_Static_assert(sizeof(entry) == 16 + 4 * KERNELS_PAGE + 8, "likewise");

/* ---- checksums ---- */

/* One to one in x: a word that changed changes what it becomes. */
static uint64_t mix(uint64_t x)
{
    x *= 0x9E3779B97F4A7C15u;
    return x ^ x >> 29;
}

static uint64_t word_at(const char *p, size_t n)
{
    uint64_t w = 0;
    memcpy(&w, p, n);
    return w;
}

/* Four lanes, so that it is as fast as memory. */
static uint64_t sum_of(uint64_t before, const void *bytes, size_t n)
{
    const char *p = bytes;
    uint64_t lane[4] = { before, 1, 2, 3 };
    for (; n >= 32; n -= 32, p += 32)
        for (int i = 0; i < 4; i++)
            lane[i] = mix(lane[i] ^ word_at(p + 8 * i, 8));
    for (; n > 0; n -= n < 8 ? n : 8, p += 8)
        lane[0] = mix(lane[0] ^ word_at(p, n < 8 ? n : 8));
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum = mix(sum ^ lane[i]);
    return sum;
}

static uint64_t header_sum(const header *h)
{
    return sum_of(0, h, offsetof(header, sum));
}

/* ---- bytes ---- */

static const char the_file[] = "a snapshot of prefixes";

static identity identity_of(const engine *e, const char *digest)
{
    identity id;
    memset(&id, 0, sizeof id);
    memcpy(id.magic, SNAPSHOT_MAGIC, sizeof id.magic);
    id.version = SNAPSHOT_VERSION;
    id.order = ORDER;
    memcpy(id.model, digest, strnlen(digest, sizeof id.model));
    memcpy(id.numerics, e->info.numerics, strnlen(e->info.numerics, sizeof id.numerics));
    id.kv_type = (uint32_t)e->info.kv_type;
    id.exact = e->info.exact;
    id.context = e->info.context;
    id.window = e->budget.window;
    id.n_vocab = e->info.n_vocab;
    id.page_tokens = KERNELS_PAGE;
    for (int k = 0; k < MODEL_KINDS; k++)
        id.page_bytes[k] = e->kv[k].n_pages ? e->kv[k].page_bytes : 0;
    return id;
}

static uint64_t deadline_of(const snapshot_options *o)
{
    return clock_mono_us() + (uint64_t)o->max_ms * 1000;
}

/* ---- writing ---- */

typedef struct ranked {
    uint64_t used;
    uint32_t node;
} ranked;

typedef struct writer {
    const engine *e;
    int fd;
    const snapshot_options *o;
    uint64_t deadline_us;
    header h;
    int scope_at[PREFIX_SCOPES]; /* the file's number of a scope, or -1 */
    int32_t *entry_at;           /* [nodes]: likewise of a node */
    ranked *order;               /* [nodes]: those to be written, the latest first */
    uint32_t n;
    snapshot_report *r;
} writer;

static int latest_first(const void *a, const void *b)
{
    uint64_t x = ((const ranked *)a)->used, y = ((const ranked *)b)->used;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Which nodes may be written, and the scopes they are of. */
static void choose(writer *w)
{
    prefix_view v;
    for (int i = 0; i < PREFIX_SCOPES; i++)
        w->scope_at[i] = -1;
    for (uint32_t i = 0; i < prefix_nodes(w->e); i++) {
        w->entry_at[i] = -1;
        if (!prefix_look(w->e, i, &v) || !w->o->keeps(prefix_scope_name(w->e, v.scope)))
            continue;
        if (w->scope_at[v.scope] < 0) {
            const char *name = prefix_scope_name(w->e, v.scope);
            w->scope_at[v.scope] = (int)w->h.n_scopes;
            memcpy(w->h.scopes[w->h.n_scopes++], name, strlen(name)); /* shorter than its place */
        }
        w->order[w->n++] = (ranked){ v.used, i };
    }
    if (w->n)
        qsort(w->order, w->n, sizeof *w->order, latest_first);
}

static uint64_t bytes_of(const engine *e, const prefix_view *v)
{
    uint64_t bytes = sizeof(entry);
    for (int k = 0; k < MODEL_KINDS; k++)
        bytes += v->pages[k] ? e->kv[k].page_bytes : 0;
    return bytes;
}

static status write_node(writer *w, uint32_t node, const prefix_view *v, error *err)
{
    entry x = { .number = w->h.n_entries, .parent = v->parent < 0 ? -1 : w->entry_at[v->parent],
                .scope = (uint32_t)w->scope_at[v->scope] };
    memcpy(x.tokens, v->tokens, sizeof x.tokens);
    for (int k = 0; k < MODEL_KINDS; k++)
        x.kinds |= v->pages[k] ? 1u << k : 0;
    x.sum = sum_of(0, &x, offsetof(entry, sum));
    for (int k = 0; k < MODEL_KINDS; k++)
        if (v->pages[k])
            x.sum = sum_of(x.sum, v->pages[k], w->e->kv[k].page_bytes);
    status s = file_write_all(w->fd, the_file, &x, sizeof x, err);
    for (int k = 0; !s && k < MODEL_KINDS; k++)
        if (v->pages[k])
            s = file_write_all(w->fd, the_file, v->pages[k], w->e->kv[k].page_bytes, err);
    w->entry_at[node] = (int32_t)w->h.n_entries++;
    w->r->bytes += bytes_of(w->e, v);
    return s;
}

/* A node, after those before it that are not written yet. */
static status write_chain(writer *w, uint32_t node, error *err)
{
    status s = OK;
    prefix_view v;
    while (!s && !w->r->cut && w->entry_at[node] < 0) {
        uint32_t first = node;
        while (prefix_look(w->e, first, &v) && v.parent >= 0 && w->entry_at[v.parent] < 0)
            first = (uint32_t)v.parent;
        if (w->r->bytes + bytes_of(w->e, &v) > w->o->max_bytes || clock_mono_us() > w->deadline_us)
            w->r->cut = true;
        else
            s = write_node(w, first, &v, err);
    }
    return s;
}

static status write_file(writer *w, error *err)
{
    status s = OK;
    choose(w);
    if (!w->n)
        return OK;
    w->r->bytes = sizeof w->h;
    if (lseek(w->fd, sizeof w->h, SEEK_SET) < 0)
        return fail(err, E_IO, "a snapshot of prefixes cannot be written: %s", strerror(errno));
    for (uint32_t i = 0; !s && !w->r->cut && i < w->n; i++)
        s = write_chain(w, w->order[i].node, err);
    w->r->n_pages = w->h.n_entries;
    if (s || !w->h.n_entries)
        return s;
    w->h.id = identity_of(w->e, w->o->model);
    w->h.sum = header_sum(&w->h);
    if (lseek(w->fd, 0, SEEK_SET) < 0)
        return fail(err, E_IO, "a snapshot of prefixes cannot be written: %s", strerror(errno));
    return file_write_all(w->fd, the_file, &w->h, sizeof w->h, err);
}

status engine_snapshot_write(engine *e, int fd, const snapshot_options *o, snapshot_report *r, error *err)
{
    writer *w = mem_zero(sizeof *w);
    status s = OK;
    *r = (snapshot_report){ 0 };
    if (w) {
        w->e = e;
        w->fd = fd;
        w->o = o;
        w->r = r;
        w->deadline_us = deadline_of(o);
        w->entry_at = mem_array(prefix_nodes(e), sizeof *w->entry_at);
        w->order = mem_array(prefix_nodes(e), sizeof *w->order);
    }
    if (!w || ((!w->entry_at || !w->order) && prefix_nodes(e)))
        s = fail(err, E_NOMEM, "no memory for a snapshot of prefixes");
    else
        s = write_file(w, err);
    if (w) {
        mem_free(w->entry_at);
        mem_free(w->order);
    }
    mem_free(w);
    return s;
}

/* ---- reading ---- */

typedef struct reader {
    engine *e;
    int fd;
    const snapshot_options *o;
    uint64_t deadline_us;
    header h;
    int scopes[PREFIX_SCOPES];
    uint32_t n_scopes;  /* of them in use */
    int32_t *node_of;   /* [nodes]: of an entry */
    snapshot_report *r;
} reader;

static status odd(error *err, const char *what)
{
    return fail(err, E_FORMAT, "a snapshot of prefixes is damaged: %s", what);
}

static status read_header(reader *r, error *err)
{
    header *h = &r->h;
    status s = file_read_all(r->fd, the_file, h, sizeof *h, err);
    if (s)
        return s;
    if (memcmp(h->id.magic, SNAPSHOT_MAGIC, sizeof h->id.magic) != 0)
        return fail(err, E_FORMAT, "a snapshot of prefixes is none: it was not written to its end");
    identity own = identity_of(r->e, r->o->model);
    if (h->id.version != own.version || h->id.order != own.order)
        return fail(err, E_UNSUPPORTED, "a snapshot of prefixes is of another version or kind of machine");
    if (h->sum != header_sum(h))
        return odd(err, "its header");
    if (memcmp(&h->id, &own, sizeof own) != 0)
        return fail(err, E_UNSUPPORTED, "a snapshot of prefixes is of another model, numerics version or setting");
    return h->n_scopes > PREFIX_SCOPES ? odd(err, "too many scopes") : OK;
}

static status use_scopes(reader *r, error *err)
{
    for (uint32_t i = 0; i < r->h.n_scopes; i++) {
        const char *name = r->h.scopes[i];
        if (!memchr(name, 0, ENGINE_SCOPE_BYTES) || !*name || !r->o->keeps(name))
            return odd(err, "a scope that does not belong there");
        int s = prefix_scope_use(r->e, name);
        if (s == PREFIX_NONE)
            return odd(err, "more scopes than there is room for");
        r->scopes[r->n_scopes++] = s;
        for (uint32_t k = 0; k < i; k++)
            if (r->scopes[k] == s)
                return odd(err, "a scope that is there twice");
    }
    return OK;
}

static bool tokens_ok(const reader *r, const entry *x)
{
    for (int i = 0; i < KERNELS_PAGE; i++)
        if (x->tokens[i] < 0 || (uint32_t)x->tokens[i] >= r->e->info.n_vocab)
            return false;
    return true;
}

/* The pages it must have, and may. */
static bool kinds_ok(const reader *r, const entry *x)
{
    uint32_t may = 0;
    for (int k = 0; k < MODEL_KINDS; k++)
        may |= r->e->kv[k].n_pages ? 1u << k : 0;
    uint32_t must = may & (1u << MODEL_GLOBAL);
    return (x->kinds & ~may) == 0 && (x->kinds & must) == must;
}

/* What the entry says is possible; *v is filled but for its pages. */
static status check_entry(const reader *r, const entry *x, uint32_t number, prefix_view *v, error *err)
{
    prefix_view before;
    if (x->number != number || x->scope >= r->h.n_scopes || !kinds_ok(r, x))
        return odd(err, "an entry that cannot be");
    if (!tokens_ok(r, x))
        return odd(err, "a token that is not in the vocabulary");
    if (x->parent < -1 || (x->parent >= 0 && (uint32_t)x->parent >= number))
        return odd(err, "an entry that follows a later one");
    *v = (prefix_view){ .tokens = x->tokens, .parent = x->parent < 0 ? -1 : r->node_of[x->parent],
                        .scope = r->scopes[x->scope], .used = r->h.n_entries - number };
    if (v->parent >= 0 && (!prefix_look(r->e, (uint32_t)v->parent, &before) || before.scope != v->scope))
        return odd(err, "an entry that follows one of another scope");
    return OK;
}

static void give_pages(engine *e, const prefix_view *v)
{
    for (int k = 0; k < MODEL_KINDS; k++)
        if (v->pages[k])
            kv_give(&e->kv[k], v->pages[k]);
}

/* Its pages, taken from the pools. *room: there were enough. */
static status read_pages(reader *r, const entry *x, prefix_view *v, bool *room, error *err)
{
    status s = OK;
    uint64_t sum = sum_of(0, x, offsetof(entry, sum));
    *room = true;
    for (int k = 0; !s && *room && k < MODEL_KINDS; k++) {
        if (!(x->kinds >> k & 1))
            continue;
        v->pages[k] = kv_take(&r->e->kv[k]);
        *room = v->pages[k] != NULL;
        if (*room)
            s = file_read_all(r->fd, the_file, v->pages[k], r->e->kv[k].page_bytes, err);
        if (!s && *room)
            sum = sum_of(sum, v->pages[k], r->e->kv[k].page_bytes);
    }
    return !s && *room && sum != x->sum ? odd(err, "the checksum of an entry") : s;
}

static status read_entry(reader *r, uint32_t number, error *err)
{
    entry x;
    prefix_view v;
    bool room;
    status s = file_read_all(r->fd, the_file, &x, sizeof x, err);
    if (!s)
        s = check_entry(r, &x, number, &v, err);
    if (s)
        return s;
    s = read_pages(r, &x, &v, &room, err);
    if (!s && room) {
        r->node_of[number] = prefix_add(r->e, &v);
        if (r->node_of[number] < 0)
            s = odd(err, "an entry that is there twice");
        r->r->n_pages++;
        r->r->bytes += bytes_of(r->e, &v);
    }
    r->r->cut = !room;
    give_pages(r->e, &v); /* the tree holds them */
    return s;
}

static bool anything_there(const engine *e)
{
    prefix_view v;
    for (uint32_t i = 0; i < prefix_nodes(e); i++)
        if (prefix_look(e, i, &v))
            return true;
    return false;
}

static status read_file(reader *r, error *err)
{
    const uint32_t most = prefix_nodes(r->e);
    if (anything_there(r->e))
        return fail(err, E_EXISTS, "a snapshot of prefixes comes too late: the cache is in use");
    status s = read_header(r, err);
    if (!s)
        s = use_scopes(r, err);
    r->r->bytes = sizeof r->h;
    for (uint32_t i = 0; !s && !r->r->cut && i < r->h.n_entries; i++) {
        if (i == most || clock_mono_us() > r->deadline_us)
            r->r->cut = true;
        else
            s = read_entry(r, i, err);
    }
    for (uint32_t i = 0; i < r->n_scopes; i++)
        prefix_scope_leave(r->e, r->scopes[i]);
    if (s)
        prefix_forget(r->e, NULL);
    return s;
}

status engine_snapshot_read(engine *e, int fd, const snapshot_options *o, snapshot_report *report, error *err)
{
    reader *r = mem_zero(sizeof *r);
    status s = OK;
    *report = (snapshot_report){ 0 };
    if (r) {
        r->e = e;
        r->fd = fd;
        r->o = o;
        r->r = report;
        r->deadline_us = deadline_of(o);
        r->node_of = mem_array(prefix_nodes(e), sizeof *r->node_of);
    }
    if (!r || (!r->node_of && prefix_nodes(e)))
        s = fail(err, E_NOMEM, "no memory for a snapshot of prefixes");
    else
        s = read_file(r, err);
    if (s)
        *report = (snapshot_report){ 0 };
    if (r)
        mem_free(r->node_of);
    mem_free(r);
    return s;
}
