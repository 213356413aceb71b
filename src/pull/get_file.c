/* get_file.c: a file onto the disk. The first stream asks what the file is (its length, ETag, date). If the server
 * knows ranges, and an ETag, a date or our digest says what the file is, others join it. Each takes the first piece
 * that nobody has: so the file grows from its beginning, and is hashed while it is in the page cache.
 *
 *   answer to a range                    what follows
 *   206, the same file, the same range   the bytes are written
 *   206, another file                    everything begins anew, at most RESTARTS times
 *   206, another range                   a failure of the server's: tried again
 *   200                                  the whole file from its beginning: everything else is given up for it
 *   416                                  the file is shorter than it was: begins anew; at 0: asked without a range
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "pull/get_int.h"
#include "pull/pace.h"
#include "pull/part.h"

enum { STREAMS = 4, TICK_MS = 100, LOCK_US = 200000, RESTARTS = 3, SAVE_US = 500000, HASH_STEP = 16 << 20 };
static const uint64_t PIECE_BYTES = 16 << 20, PROGRESS_BYTES = 64 << 10, LENGTH_MAX = 1ull << 46;

typedef struct file file;

/* A range on its way. */
typedef struct stream {
    file *f;
    wire *w;       /* NULL: idle */
    run claim;     /* to may be UINT64_MAX: to the end, wherever that is */
    uint64_t at;   /* where the next byte goes */
    bool linked;   /* asked where redirects had led */
    bool whole;    /* asked without a range, or answered so */
    bool again;    /* what the sink refused may be better the next time */
} stream;

struct file {
    getter *g;
    const get_want *want;
    part p;
    char url[GET_URL_MAX];  /* where redirects led: what is asked, "": want->url */
    stream streams[GET_STREAMS_MAX];
    unsigned most;          /* streams at the same time */
    bool known;             /* what the file is, of this process's own asking */
    bool single;            /* no ranges: one stream, from the beginning */
    bool restart;           /* everything begins anew */
    bool ended;             /* a stream without a length came to its end */
    bool resumed;           /* some of it is of an earlier process */
    unsigned restarts;
    retry again;
    uint64_t since_failure; /* bytes */
    pace speed;
};

static bool tells(const part_id *id)
{
    return id->etag[0] || id->modified[0];
}

static bool is_same(const file *f, const part_id *now)
{
    const part_id *id = &f->p.id;
    if (id->bytes && now->bytes && id->bytes != now->bytes)
        return false;
    if (f->want->sha256 && (f->restarts >= RESTARTS || !tells(id))) /* the digest will tell */
        return true;
    return strcmp(id->etag, now->etag) == 0 && (id->etag[0] || strcmp(id->modified, now->modified) == 0);
}

/* ---- progress ---- */

static bool tell(file *f, const char *note)
{
    unsigned n = 0;
    uint64_t done = runs_sum(&f->p.have);
    for (size_t i = 0; i < ARRAY_LEN(f->streams); i++)
        n += f->streams[i].w != NULL;
    return get_report(f->g, &(get_progress){ .path = f->want->path, .done = done, .total = f->p.id.bytes, .note = note,
                                             .rate = pace_note(&f->speed, clock_mono_us(), done), .streams = n });
}

static status say(file *f, const char *note, error *err)
{
    return tell(f, note) ? fail(err, E_CANCELLED, "cancelled") : OK;
}

/* ---- the header of an answer ---- */

static status begin_anew(file *f, stream *s, const char *why, error *err)
{
    f->restart = true;
    s->again = true;
    return fail(err, E_PROVIDER, "%s", why);
}

/* The first word of this process's server on the file. */
static status learn(file *f, const part_id *now, error *err)
{
    const get_want *w = f->want;
    if (now->bytes > LENGTH_MAX)
        return fail(err, E_FORMAT, "it says the file has %llu bytes", (unsigned long long)now->bytes);
    if (w->bytes && now->bytes && now->bytes != w->bytes)
        return fail(err, E_FORMAT, "the file has %llu bytes there, but %llu were announced",
                    (unsigned long long)now->bytes, (unsigned long long)w->bytes);
    f->p.id = *now;
    if (!f->p.id.bytes)
        f->p.id.bytes = w->bytes;
    f->known = true;
    f->p.synced_us = clock_mono_us();
    return f->p.id.bytes ? part_reserve(&f->p, err) : OK;
}

/* The whole file, from its beginning. */
static status head_whole(file *f, stream *s, const wire_head *h, const part_id *now, error *err)
{
    unsigned others = 0;
    for (size_t i = 0; i < ARRAY_LEN(f->streams); i++)
        others += f->streams[i].w != NULL && &f->streams[i] != s;
    if (others || f->p.have.n) /* asked again without a condition, it may send ranges of the new file */
        return begin_anew(f, s, is_same(f, now) ? "it sends no ranges" : "the file has changed on the server", err);
    s->again = true; /* a header that was cut looks so too */
    if (!h->framed && !f->want->sha256 && !f->want->bytes)
        return fail(err, E_FORMAT, "it does not say how long the file is, and no digest is known: whether it is whole "
                    "could not be told");
    s->claim = (run){ 0, now->bytes ? now->bytes : UINT64_MAX };
    s->at = 0;
    s->whole = f->single = true;
    s->again = false;
    return learn(f, now, err);
}

static status on_head(void *user, const wire_head *h, error *err)
{
    stream *s = user;
    file *f = s->f;
    part_id now = { .bytes = h->http == 200 ? h->has_length ? h->length : 0 : h->has_total ? h->total : f->p.id.bytes };
    memcpy(now.etag, h->etag, sizeof now.etag);
    memcpy(now.modified, h->modified, sizeof now.modified);
    if (h->http == 200)
        return head_whole(f, s, h, &now, err);
    if (!now.bytes) { /* "of a file of unknown length" */
        f->single = true;
        return begin_anew(f, s, "it does not say how long the file is", err);
    }
    if (f->p.have.n || f->known) {
        if (!is_same(f, &now))
            return begin_anew(f, s, "the file has changed on the server", err);
    }
    if (s->whole || h->first != s->claim.from || h->last >= s->claim.to || h->last >= now.bytes) {
        s->again = true;
        return fail(err, E_PROVIDER, "it sent another part of the file than was asked for");
    }
    s->claim.to = h->last + 1;
    status r = f->known ? OK : learn(f, &now, err);
    if (!r && !tells(&now) && !f->want->sha256 && s->claim.to < f->p.id.bytes) {
        f->single = true; /* nothing would say that two ranges are of the same file */
        return begin_anew(f, s, "it does not say which version of the file it sends", err);
    }
    return r;
}

static status on_body(void *user, const char *bytes, size_t n, error *err)
{
    stream *s = user;
    file *f = s->f;
    if (n > s->claim.to - s->at) {
        s->again = true;
        return fail(err, E_PROVIDER, "it sent more than it announced");
    }
    status r = part_write(&f->p, s->at, bytes, n, err);
    s->at += r ? 0 : n;
    f->since_failure += n;
    return r;
}

/* ---- streams ---- */

static const char *validator(const file *f)
{
    const part_id *id = &f->p.id;
    bool strong = id->etag[0] && strncmp(id->etag, "W/", 2) != 0;
    bool changing = f->want->sha256 && f->restarts >= RESTARTS; /* as in is_same */
    return !f->p.have.n || changing ? NULL : strong ? id->etag : id->etag[0] || !id->modified[0] ? NULL : id->modified;
}

/* The next piece that nobody has. */
static bool next_claim(const file *f, run *out)
{
    run taken[GET_STREAMS_MAX];
    size_t n = 0;
    uint64_t end = f->p.id.bytes ? f->p.id.bytes : UINT64_MAX;
    for (size_t i = 0; i < ARRAY_LEN(f->streams); i++)
        if (f->streams[i].w)
            taken[n++] = f->streams[i].claim;
    return runs_gap(&f->p.have, taken, n, end, f->g->o.piece_bytes ? f->g->o.piece_bytes : PIECE_BYTES, out);
}

static status start(file *f, stream *s, error *err)
{
    const wire_sink sink = { on_head, on_body, s };
    run claim = { 0, UINT64_MAX };
    if (!f->single && !next_claim(f, &claim))
        return OK;
    s->w = wire_take(f->g);
    if (!s->w)
        return fail(err, E_NOMEM, "no memory for a request");
    const wire_ask a = { .url = f->url[0] ? f->url : f->want->url, .range = !f->single, .first = claim.from,
                         .last = claim.to - 1, .if_range = validator(f), .plain_http = f->want->sha256 != NULL };
    s->claim = claim;
    s->at = claim.from;
    s->linked = f->url[0] != 0;
    s->whole = f->single;
    s->again = false;
    status r = wire_start(f->g, s->w, &a, &sink, err);
    if (r)
        s->w = NULL;
    return r;
}

static void stop_all(file *f)
{
    for (size_t i = 0; i < ARRAY_LEN(f->streams); i++)
        if (f->streams[i].w) {
            wire_stop(f->g, f->streams[i].w);
            f->streams[i].w = NULL;
        }
}

static status restart(file *f, const char *why, error *err)
{
    char note[ERROR_TEXT_BYTES];
    stop_all(f);
    f->restart = f->known = f->resumed = false;
    f->url[0] = 0;
    if (++f->restarts > RESTARTS + (f->want->sha256 != NULL))
        return fail(err, E_PROVIDER, "%s, again and again", why);
    status r = part_reset(&f->p, err);
    snprintf(note, sizeof note, "%s: from the beginning", why);
    return r ? r : say(f, note, err);
}

/* A stream broke. */
static status broke(file *f, stream *s, wire_result why, error *err)
{
    char note[ERROR_TEXT_BYTES];
    if (s->linked)
        f->url[0] = 0; /* a link may have run out: ask where the file is */
    if (f->restart)
        return restart(f, why.err.text, err);
    if (why.http == 416 && !s->whole) {
        f->single = f->single || s->claim.from == 0;
        return restart(f, "the file has changed on the server", err);
    }
    why.again = why.again || (why.sink && s->again) || (s->linked && why.http >= 400 && why.http < 500);
    if (f->since_failure >= PROGRESS_BYTES && !f->single) /* without ranges nothing of it stays */
        f->again.failures = 0;
    f->since_failure = 0;
    if ((why.http == 429 || why.http == 503) && f->most > 1)
        f->most = f->most / 2; /* those beyond run to their ends and are not started again */
    if (why.again && clock_mono_us() < f->again.until_us)
        return OK; /* streams that break together are one failure */
    status r = retry_failed(&f->again, f->g, &why, note, sizeof note, err);
    if (!r && f->single && f->p.have.n)
        r = part_reset(&f->p, err); /* without ranges nothing is resumed */
    return r ? r : say(f, note, err);
}

/* Takes over what ended, of all streams. */
static status collect(file *f, error *err)
{
    status r = OK;
    for (size_t i = 0; i < ARRAY_LEN(f->streams) && !r; i++) {
        stream *s = &f->streams[i];
        if (!s->w || wire_running(s->w))
            continue;
        wire_result why = *wire_outcome(s->w);
        const char *final = wire_final_url(s->w);
        bool to_end = s->claim.to == UINT64_MAX;
        s->w = NULL;
        if (!why.err.code && !to_end && s->at < s->claim.to) {
            why.again = true;
            fail(&why.err, E_PROVIDER, "%s: it sent less than it announced", final);
        }
        if (why.err.code) {
            r = broke(f, s, why, err);
            continue;
        }
        f->again.failures = 0;
        if (strlen(final) < sizeof f->url)
            memcpy(f->url, final, strlen(final) + 1);
        if (to_end) {
            f->ended = true;
            f->p.id.bytes = f->p.id.bytes ? f->p.id.bytes : s->at;
        }
    }
    return r;
}

static bool is_whole(const file *f)
{
    return f->p.id.bytes ? runs_prefix(&f->p.have) >= f->p.id.bytes : f->ended;
}

static status start_streams(file *f, error *err)
{
    status r = OK;
    unsigned running = 0, most = f->known && !f->single ? f->most : 1;
    for (size_t i = 0; i < ARRAY_LEN(f->streams); i++)
        running += f->streams[i].w != NULL;
    for (size_t i = 0; i < most && running < most && !r && clock_mono_us() >= f->again.until_us; i++) {
        if (f->streams[i].w)
            continue;
        r = start(f, &f->streams[i], err);
        running++;
    }
    return r;
}

static status transfer(file *f, error *err)
{
    status r = OK;
    while (!r && !(is_whole(f) && f->p.hashed >= f->p.id.bytes)) {
        r = is_whole(f) ? OK : start_streams(f, err);
        if (!r)
            r = wire_turn(f->g, f->p.hashed < runs_prefix(&f->p.have) ? 0 : TICK_MS, err);
        if (!r)
            r = collect(f, err);
        if (!r)
            r = part_hash(&f->p, HASH_STEP, err);
        if (!r && f->p.written && clock_mono_us() - f->p.synced_us > SAVE_US)
            r = part_save(&f->p, f->want->url, f->want->sha256, err);
        if (!r)
            r = say(f, NULL, err);
    }
    stop_all(f);
    return r;
}

/* ---- before and after ---- */

/* Is there a file of that name? *there: yes, and it is what is wanted. */
static status look(getter *g, const get_want *w, bool fresh, get_got *out, bool *there, error *err)
{
    struct stat st;
    uint64_t bytes = w->bytes;
    *there = false;
    if (stat(w->path, &st) != 0)
        return errno == ENOENT ? OK : fail(err, E_IO, "%s: %s", w->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(err, E_EXISTS, "%s: is in the way: not a file", w->path);
    if (!w->sha256 && !bytes && !fresh) {
        buf one = BUF_INIT(16);
        status s = get_range(g, w->url, 0, 1, &one, &bytes, err);
        buf_clear(&one);
        if (s == E_PROVIDER && get_note(g, w->path, "it is here; the server could not be asked whether it still is the "
                                                     "same"))
            s = E_CANCELLED;
        if (s && s != E_PROVIDER)
            return s;
    }
    if (bytes && bytes != (uint64_t)st.st_size)
        return fail(err, E_EXISTS, "%s: is there already, with %llu bytes, and is another file than the one of %llu "
                    "bytes: remove it, or give the new one another name", w->path, (unsigned long long)st.st_size,
                    (unsigned long long)bytes);
    status s = digest_file(w->path, out->sha256, err);
    if (!s && w->sha256 && strcasecmp(w->sha256, out->sha256) != 0)
        s = fail(err, E_EXISTS, "%s: is there already and has another SHA-256 (%s): remove it, or give the new one "
                 "another name", w->path, out->sha256);
    out->bytes = (uint64_t)st.st_size;
    out->found = *there = true;
    return s;
}

/* Opens and locks the part; waits while another process has it. *waited: it had. */
static status take_part(file *f, const char *path, bool *waited, error *err)
{
    uint64_t tried = 0;
    status r = E_EXISTS;
    *waited = false;
    while (r == E_EXISTS) {
        if (clock_mono_us() - tried >= LOCK_US) {
            tried = clock_mono_us();
            r = part_open(&f->p, path, err);
        }
        if (r == E_EXISTS) {
            status s = say(f, *waited ? NULL : "another process fetches this file: waiting for it", err);
            *waited = true;
            if (!s)
                s = wire_turn(f->g, TICK_MS, err);
            if (s)
                return s;
        }
    }
    return r;
}

/* Everything is there: is it right? */
static status verify(file *f, get_got *out, error *err)
{
    const get_want *w = f->want;
    char shown[GET_SHOWN];
    struct stat st;
    if (fstat(f->p.fd, &st) != 0 || (uint64_t)st.st_size < f->p.id.bytes)
        return fail(err, E_IO, "%s: has become shorter", f->p.path);
    if ((uint64_t)st.st_size > f->p.id.bytes && ftruncate(f->p.fd, (off_t)f->p.id.bytes) != 0)
        return fail(err, E_IO, "%s: %s", f->p.path, strerror(errno));
    *out = (get_got){ .bytes = f->p.id.bytes };
    memcpy(out->etag, f->p.id.etag, sizeof out->etag);
    status r = part_digest(&f->p, out->sha256, err);
    if (!r && w->bytes && w->bytes != out->bytes)
        r = fail(err, E_FORMAT, "%s: the file has %llu bytes, but %llu were announced", get_shown(w->url, shown),
                 (unsigned long long)out->bytes, (unsigned long long)w->bytes);
    if (!r && w->sha256 && strcasecmp(w->sha256, out->sha256) != 0)
        r = fail(err, E_FORMAT, "%s: the SHA-256 of what came is %s, not %s: it was removed", get_shown(w->url, shown),
                 out->sha256, w->sha256);
    if (!r)
        r = get_check(f->g, f->p.path, w->path, err);
    return r;
}

static status fetch(file *f, get_got *out, error *err)
{
    const get_want *w = f->want;
    status r = part_load(&f->p, w->url, w->sha256, err);
    f->resumed = f->p.have.n > 0;
    for (bool more = !r; more;) {
        error ignored;
        r = transfer(f, err);
        if (r) { /* what came is kept, except of a file that is none */
            if (part_save(&f->p, w->url, w->sha256, &ignored) != OK && r == E_CANCELLED)
                r = fail(err, ignored.code, "%s", ignored.text);
            if (!f->p.have.n)
                part_remove(&f->p);
            return r;
        }
        r = verify(f, out, err);
        more = r == E_FORMAT && f->resumed;
        if (more)
            r = restart(f, "what was there of the file does not go with the rest", err);
        more = more && !r;
    }
    if (r == E_FORMAT)
        part_remove(&f->p);
    if (!r && w->before)
        r = w->before(w->user, out, err);
    return r ? r : part_place(&f->p, w->path, err);
}

status get_file(getter *g, const get_want *w, get_got *out, error *err)
{
    char beside[PATH_MAX];
    bool there = false, waited = false;
    get_got got = { 0 };
    file *f = mem_zero(sizeof *f);
    if (!f)
        return fail(err, E_NOMEM, "no memory for a transfer");
    *f = (file){ .g = g, .want = w, .p = { .fd = -1 }, .most = g->o.streams ? g->o.streams : STREAMS };
    for (size_t i = 0; i < ARRAY_LEN(f->streams); i++)
        f->streams[i].f = f;
    status r = (size_t)snprintf(beside, sizeof beside, "%s.part", w->path) < sizeof beside
                   ? wire_allowed(w->url, NULL, g->o.plain_http || w->sha256, err)
                   : fail(err, E_RANGE, "%s: the path is too long", w->path);
    if (!r)
        r = look(g, w, false, &got, &there, err);
    if (!r && !there)
        r = take_part(f, w->part ? w->part : beside, &waited, err);
    if (!r && !there) /* the other one may have brought it */
        r = look(g, w, waited, &got, &there, err);
    if (!r && there && f->p.fd >= 0)
        part_remove(&f->p);
    if (!r && !there)
        r = fetch(f, &got, err);
    part_close(&f->p);
    mem_free(f);
    if (!r)
        *out = got;
    return r;
}
