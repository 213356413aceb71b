/* csv.c: one row at a time; the fields of a row lie one after the other in one buffer. */
#include "task/csv.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

struct csv {
    const char *p, *end, *name;
    int line;
    buf row;
};

status csv_open(csv **out, const char *text, size_t n, const char *name, error *err)
{
    csv *r = mem_zero(sizeof *r);
    if (!r)
        return fail(err, E_NOMEM, "%s: no memory", name);
    bool mark = n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3);
    *r = (csv){ .p = text + (mark ? 3 : 0), .end = text + n, .name = name, .line = 1,
                .row = BUF_INIT(CSV_ROW_BYTES_MAX) };
    *out = r;
    return OK;
}

void csv_close(csv **r)
{
    if (*r)
        buf_clear(&(*r)->row);
    mem_free(*r);
    *r = NULL;
}

static status quoted(csv *r, error *err)
{
    int began = r->line;
    r->p++;
    for (;;) {
        if (r->p == r->end)
            return fail(err, E_FORMAT, "%s:%d: a quote is opened and never closed", r->name, began);
        char c = *r->p++;
        if (c == '"' && (r->p == r->end || *r->p != '"'))
            break;
        r->p += c == '"';
        r->line += c == '\n';
        buf_char(&r->row, c);
        if (r->row.failed)
            return OK; /* said by the caller */
    }
    if (r->p < r->end && !strchr(",\r\n", *r->p))
        return fail(err, E_FORMAT, "%s:%d: text after a closing quote", r->name, r->line);
    return OK;
}

static status field(csv *r, error *err)
{
    if (r->p < r->end && *r->p == '"')
        return quoted(r, err);
    while (r->p < r->end && !memchr(",\n", *r->p, 2)) {
        if (*r->p == '"')
            return fail(err, E_FORMAT, "%s:%d: a quote inside a field that does not begin with one", r->name, r->line);
        if (*r->p == '\r' && (r->p + 1 == r->end || r->p[1] == '\n'))
            break;
        buf_char(&r->row, *r->p++);
    }
    return OK;
}

/* Past the comma or the line's end; true: the row goes on. */
static bool separator(csv *r)
{
    if (r->p < r->end && *r->p == '\r')
        r->p++;
    if (r->p == r->end)
        return false;
    r->line += *r->p == '\n';
    return *r->p++ == ',';
}

static status one_row(csv *r, csv_row *row, error *err)
{
    size_t at[CSV_FIELDS_MAX];
    status s = OK;
    row->line = r->line;
    row->n = 0;
    buf_reset(&r->row);
    for (bool more = true; more && !s; more = !s && separator(r)) {
        if (row->n == CSV_FIELDS_MAX)
            return fail(err, E_RANGE, "%s:%d: more than %d fields", r->name, r->line, CSV_FIELDS_MAX);
        at[row->n++] = r->row.len;
        s = field(r, err);
        buf_char(&r->row, 0);
        if (!s && (s = buf_ok(&r->row, "the row", err)) != OK)
            s = fail_prefix(err, s, "%s:%d: ", r->name, row->line);
    }
    for (size_t i = 0; i < row->n && !s; i++) {
        row->fields[i] = r->row.data + at[i];
        size_t n = (i + 1 < row->n ? at[i + 1] : r->row.len) - at[i] - 1;
        if (strlen(row->fields[i]) != n || !utf8_valid(row->fields[i], n))
            s = fail(err, E_FORMAT, "%s:%d: field %zu is not UTF-8, or holds a zero byte", r->name, row->line, i + 1);
    }
    return s;
}

status csv_next(csv *r, csv_row *row, bool *more, error *err)
{
    *more = false;
    while (r->p < r->end) {
        status s = one_row(r, row, err);
        if (s)
            return s;
        if (row->n > 1 || *row->fields[0]) {
            *more = true;
            return OK;
        }
    }
    return OK;
}
