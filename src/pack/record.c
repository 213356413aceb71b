#include "pack/record.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "plat/file.h"

enum { RECORD_BYTES = 64 << 20, NAME_BYTES = GGUF_MAX_NAME + 1 };

static const char heading[] = "hearth measured ";

static pack_tensor *find(job *j, const char *name)
{
    for (size_t i = 0; i < j->n; i++)
        if (span_is(j->tensors[i].t->name, name))
            return &j->tensors[i];
    return NULL;
}

/* A number that a measurement can have. */
static bool take_number(char **at, double *out)
{
    char *end;
    *out = strtod(*at, &end);
    bool ok = end != *at && isfinite(*out) && *out >= 0 && (*end == ' ' || !*end);
    *at = *end == ' ' ? end + 1 : end;
    return ok;
}

static bool take_word(char **at, char *out, size_t bytes)
{
    size_t n = strcspn(*at, " ");
    if (!n || n >= bytes)
        return false;
    memcpy(out, *at, n);
    out[n] = 0;
    *at += n + ((*at)[n] == ' ');
    return true;
}

static bool take_candidate(char **at, pack_tensor *t)
{
    char name[16];
    double way;
    candidate c;
    bool ok = t->n_candidates < JOB_CANDIDATES && take_word(at, name, sizeof name) && take_number(at, &way) &&
              take_number(at, &c.loss) && take_number(at, &c.direct);
    c.type = ok ? quant_find_name(name) : NULL;
    if (!c.type || !c.type->encode || !(way < ENCODER_WAYS) || t->t->ne[0] % c.type->block)
        return false;
    c.way = (encoder_way)way;
    t->candidates[t->n_candidates++] = c;
    return true;
}

static bool take_losses(char *at, pack_tensor *t)
{
    t->n_candidates = 0;
    bool ok = take_number(&at, &t->noise);
    while (ok && *at)
        ok = take_candidate(&at, t);
    return ok && t->n_candidates;
}

static bool take_line(job *j, char *line)
{
    char kind[8], name[NAME_BYTES];
    pack_tensor *t;
    if (!take_word(&line, kind, sizeof kind) || !take_word(&line, name, sizeof name) || !(t = find(j, name)) ||
        t->role == QUANT_KEPT)
        return false;
    if (strcmp(kind, "loss") == 0)
        return take_losses(line, t);
    t->has_gain = true;
    return strcmp(kind, "gain") == 0 && take_number(&line, &t->gain) && take_number(&line, &t->direct_gain) && !*line;
}

/* *whole: the bytes of whole lines, 0 when it was made from something else. */
static status take_all(job *j, const char *path, buf *text, const char *made_from, size_t *whole, error *err)
{
    size_t n_heading = strlen(heading), n_from = strlen(made_from), line = 1;
    *whole = 0;
    buf_char(text, 0);
    status s = buf_ok(text, path, err);
    char *at = text->data, *end;
    if (s || strncmp(at, heading, n_heading) || strncmp(at + n_heading, made_from, n_from) ||
        at[n_heading + n_from] != '\n')
        return s;
    for (at += n_heading + n_from + 1; (end = strchr(at, '\n')); at = end + 1) {
        *end = 0;
        line++;
        if (!take_line(j, at))
            return fail(err, E_FORMAT, "%s: line %zu is no measurement of this model", path, line);
    }
    *whole = (size_t)(at - text->data);
    return OK;
}

static status begin(job *j, const char *path, size_t whole, const char *made_from, error *err)
{
    int fd = -1;
    status s = file_open_locked(&fd, path, 0666, err);
    if (s)
        return s;
    j->record = fdopen(fd, "r+");
    bool ok = j->record != NULL;
    if (!ok)
        (void)close(fd);
    ok = ok && ftruncate(fd, (off_t)whole) == 0 && fseek(j->record, 0, SEEK_END) == 0;
    if (ok && !whole)
        ok = fprintf(j->record, "%s%s\n", heading, made_from) > 0 && fflush(j->record) == 0;
    return ok ? OK : fail(err, E_IO, "%s: %s", path, strerror(errno));
}

status record_open(job *j, const char *path, bool named, const char *made_from, error *err)
{
    buf text = BUF_INIT(RECORD_BYTES);
    size_t whole = 0;
    error none = { 0 };
    status s = OK;
    if (access(path, F_OK) == 0)
        s = file_slurp(path, &text, err);
    if (!s && text.len)
        s = take_all(j, path, &text, made_from, &whole, named ? err : &none);
    if (!s && named && text.len && !whole)
        s = fail(err, E_EXISTS, "%s holds no measurements of this model, text and way", path);
    for (size_t i = 0; i < j->n; i++)
        if ((s && !named) || j->tensors[i].left) /* left: another run's, which encoded it */
            j->tensors[i].n_candidates = j->tensors[i].has_gain = 0;
    if (!named && s == E_FORMAT) {
        whole = 0;
        s = OK;
    }
    buf_clear(&text);
    return s ? s : begin(j, path, whole, made_from, err);
}

void record_close(job *j)
{
    if (j->record)
        (void)fclose(j->record);
    j->record = NULL;
}

static status written(const job *j, error *err)
{
    if (fflush(j->record) || ferror(j->record))
        return fail(err, E_IO, "measurements could not be written: %s", strerror(errno));
    return OK;
}

status record_losses(job *j, const pack_tensor *t, error *err)
{
    if (!j->record)
        return OK;
    fprintf(j->record, "loss %.*s %a", (int)t->t->name.n, t->t->name.p, t->noise);
    for (size_t i = 0; i < t->n_candidates; i++) {
        const candidate *c = &t->candidates[i];
        fprintf(j->record, " %s %d %a %a", c->type->name, (int)c->way, c->loss, c->direct);
    }
    fprintf(j->record, "\n");
    return written(j, err);
}

status record_gain(job *j, const pack_tensor *t, error *err)
{
    if (!j->record)
        return OK;
    fprintf(j->record, "gain %.*s %a %a\n", (int)t->t->name.n, t->t->name.p, t->gain, t->direct_gain);
    return written(j, err);
}
