/* import.c: an exported file into the ledger. The file is a stranger's: every line has a ceiling, every column is
 * checked for what it may hold, ids that are digests are computed again, and the tables' own checks and references do
 * the rest. Invariant: until the last line has proved to be the end, nothing is there for anybody else. */
#include <math.h>
#include <string.h>

#include "base/js.h"
#include "base/str.h"
#include "ledger/exchange.h"
#include "ledger/tables.h"

enum { LINE_BYTES_MAX = 100 << 20, READ_BYTES = 1 << 16 }; /* a body of BODY_BYTES_MAX, every byte escaped */
static const char doing[] = "importing";

typedef struct importer {
    ledger *l;
    const char *name;
    ledger_read_fn *read;
    void *user;
    buf bytes;           /* what was read */
    size_t at, searched; /* of bytes: the next line begins at `at`; no line break before `searched` */
    bool at_end, began, ended;
    uint64_t line;
    ledger_imported count;
    sqlite3_stmt *insert[TABLES], *find[TABLES];
} importer;

static status bad(const importer *x, error *err, const char *says)
{
    return fail(err, E_FORMAT, "%s:%llu: %s", x->name, (unsigned long long)x->line, says);
}

/* ---- lines ---- */

static status fill(importer *x, error *err)
{
    buf_drop(&x->bytes, x->at); /* here and not line by line: most of the buffer moves */
    x->searched -= x->at;
    x->at = 0;
    bool room = x->bytes.len + READ_BYTES <= LINE_BYTES_MAX;
    char *to = room ? buf_reserve(&x->bytes, READ_BYTES) : NULL;
    size_t n = 0;
    if (!to)
        return room ? fail(err, E_NOMEM, "%s: no memory for a line", x->name)
                    : fail(err, E_FORMAT, "%s:%llu: is longer than %d MiB", x->name, (unsigned long long)x->line + 1,
                           LINE_BYTES_MAX >> 20);
    status s = x->read(x->user, to, READ_BYTES, &n, err);
    if (!s) {
        buf_advance(&x->bytes, n);
        x->at_end = n == 0;
    }
    return s;
}

/* The next line without its break, borrowed until the next call. *more false: there is none. */
static status next_line(importer *x, span *line, bool *more, error *err)
{
    const char *end;
    for (;;) {
        const char *text = buf_text(&x->bytes);
        size_t left = x->bytes.len - x->searched;
        end = left ? memchr(text + x->searched, '\n', left) : NULL;
        if (end || x->at_end)
            break;
        x->searched = x->bytes.len;
        status s = fill(x, err);
        if (s)
            return s;
    }
    const char *text = buf_text(&x->bytes);
    size_t to = end ? (size_t)(end - text) : x->bytes.len;
    *more = to > x->at || end;
    *line = (span){ text + x->at, to - x->at };
    x->at = x->searched = to + (end != NULL);
    x->line += *more;
    return OK;
}

/* ---- values ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_digest(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (hex_digit(s[i]) < 0)
            return false;
    return n == DIGEST_HEX - 1;
}

static bool is_uuid(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-' : hex_digit(s[i]) < 0)
            return false;
    return n == UUID_TEXT - 1;
}

/* A text, or {"hex":"…"} of one that is not UTF-8. NULL: neither. `room` keeps what was decoded. */
static const char *text_of(const js *v, size_t *n, buf *room)
{
    if (js_is(v, JS_STRING)) {
        *n = js_len(v);
        return memchr(js_text(v), 0, *n) ? NULL : js_text(v);
    }
    const js *hex = js_is(v, JS_OBJECT) && js_len(v) == 1 ? js_get(v, "hex") : NULL;
    const char *digits = js_is(hex, JS_STRING) ? js_text(hex) : NULL;
    if (!digits || js_len(hex) % 2)
        return NULL;
    buf_reset(room);
    for (size_t i = 0; i < js_len(hex); i += 2) {
        int high = hex_digit(digits[i]), low = hex_digit(digits[i + 1]);
        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return NULL;
        buf_char(room, (char)(high << 4 | low));
    }
    *n = room->len;
    return room->failed ? NULL : buf_text(room);
}

static bool text_fits(column_kind kind, const char *text, size_t n)
{
    switch (kind) {
    case COLUMN_ID: return is_uuid(text, n);
    case COLUMN_DIGEST: return is_digest(text, n);
    case COLUMN_STORED: return n == 0 || is_digest(text, n);
    case COLUMN_OTHER: return is_uuid(text, n) || is_digest(text, n);
    case COLUMN_WORD: return n <= WORD_BYTES_MAX;
    default: return n <= BODY_BYTES_MAX;
    }
}

static const int64_t year_10000_us = 253402300800000000;

/* Binds one value, or says what it should have been. */
static const char *bind_value(const table_column *c, const js *v, sqlite3_stmt *st, int at, buf *room, int *rc)
{
    int64_t i;
    double d;
    size_t n;
    switch (c->kind) {
    case COLUMN_TIME:
        if (!js_int(v, &i) || i < 0 || i >= year_10000_us)
            return "microseconds of a date";
        *rc = sqlite3_bind_int64(st, at, i);
        return NULL;
    case COLUMN_COUNT:
        if (!js_int(v, &i) || i < -1)
            return "a whole number";
        *rc = sqlite3_bind_int64(st, at, i);
        return NULL;
    case COLUMN_VALUE:
    case COLUMN_UNSURE:
        if (c->kind == COLUMN_UNSURE && js_is(v, JS_NULL))
            *rc = sqlite3_bind_null(st, at);
        else if (js_double(v, &d) && isfinite(d))
            *rc = sqlite3_bind_double(st, at, d);
        else
            return "a number";
        return NULL;
    default:
        break;
    }
    if (c->kind == COLUMN_OTHER && js_is(v, JS_NULL)) {
        *rc = sqlite3_bind_null(st, at);
        return NULL;
    }
    const char *text = text_of(v, &n, room);
    if (!text || !text_fits(c->kind, text, n))
        return c->kind == COLUMN_ID ? "an id (a UUID)" : c->kind == COLUMN_DIGEST ? "a digest (64 hex digits)"
               : c->kind == COLUMN_STORED ? "a digest or empty"
               : c->kind == COLUMN_OTHER  ? "an id or null" : "a text of a size that is allowed";
    *rc = sqlite3_bind_text(st, at, text, (int)n, SQLITE_TRANSIENT);
    return NULL;
}

/* ---- rows ---- */

/* ?1 … ?n are the columns. */
static status prepare(importer *x, size_t at, error *err)
{
    const table *t = &table_all[at];
    const char *key = t->columns[0].name;
    buf insert = BUF_INIT(1 << 12), find = BUF_INIT(1 << 12);
    buf_printf(&insert, "INSERT INTO %s (", t->name);
    table_columns(t, &insert);
    buf_str(&insert, ") SELECT ");
    buf_printf(&find, "SELECT 1 FROM %s WHERE ", t->name);
    for (size_t i = 0; i < t->n; i++) {
        buf_printf(&insert, "%s?%zu", i ? ", " : "", i + 1);
        if (!t->by_content || i == 0)
            buf_printf(&find, "%s%s IS NOT DISTINCT FROM ?%zu", i ? " AND " : "", t->columns[i].name, i + 1);
    }
    buf_printf(&insert, " WHERE NOT EXISTS (SELECT 1 FROM %s WHERE %s = ?1)%s", t->name, key,
               strcmp(t->name, "grade") == 0 ? " ON CONFLICT (answer, grader) DO NOTHING" : "");
    if (strcmp(t->name, "grade") == 0) /* the same answer, graded the same way elsewhere: the first one stays */
        buf_str(&find, " OR (id <> ?1 AND answer = ?3 AND grader = ?4)");
    status s = buf_ok(&insert, "a statement", err);
    if (!s)
        s = buf_ok(&find, "a statement", err);
    if (!s)
        s = sql_open(x->l, &x->insert[at], doing, err, buf_text(&insert), "");
    if (!s)
        s = sql_open(x->l, &x->find[at], doing, err, buf_text(&find), "");
    buf_clear(&insert);
    buf_clear(&find);
    return s;
}

static status bind_row(importer *x, const table *t, const js *row, sqlite3_stmt *st, error *err)
{
    buf room = BUF_INIT(BODY_BYTES_MAX);
    const char *wanted = NULL;
    int rc = SQLITE_OK;
    size_t i = 0;
    sqlite3_reset(st);
    for (; !wanted && rc == SQLITE_OK && i < (size_t)sqlite3_bind_parameter_count(st); i++)
        wanted = bind_value(&t->columns[i], js_get(row, t->columns[i].name), st, (int)i + 1, &room, &rc);
    status s = buf_ok(&room, "a text", err);
    buf_clear(&room);
    if (s)
        return s;
    if (wanted)
        return fail(err, E_FORMAT, "%s:%llu: %s.%s must be %s", x->name, (unsigned long long)x->line, t->name,
                    t->columns[i - 1].name, wanted);
    return rc == SQLITE_OK ? OK : sql_fail(x->l, rc, doing, err);
}

static const char *word(const js *row, const char *key)
{
    return js_is(js_get(row, key), JS_STRING) ? js_text(js_get(row, key)) : "";
}

static int64_t number(const js *row, const char *key)
{
    int64_t n = 0;
    js_int(js_get(row, key), &n);
    return n;
}

/* The id that the row's fields give. Values that are not UTF-8 stand as "" here, and so give another one. */
static status compute_id(const table *t, const js *row, char id[DIGEST_HEX], error *err)
{
    status s = OK;
    if (strcmp(t->name, "machine") == 0) {
        ledger_machine m = { word(row, "cpu"), (int)number(row, "cores"), (uint64_t)number(row, "memory_bytes"), NULL };
        ledger_machine_id(&m, id);
    } else if (strcmp(t->name, "evidence") == 0) {
        ledger_evidence e = { word(row, "source"), word(row, "model"), word(row, "numerics"), word(row, "kv_type"),
                              word(row, "context_rule"), number(row, "constrained") == 1, word(row, "sampling") };
        ledger_evidence_id(&e, id);
    } else {
        buf room = BUF_INIT(BODY_BYTES_MAX);
        size_t n = 0;
        const char *body = text_of(js_get(row, "body"), &n, &room);
        digest_of(body ? body : "", body ? n : 0, id);
        s = buf_ok(&room, "a text", err);
        buf_clear(&room);
    }
    return s || id[0] ? s : fail(err, E_NOMEM, "no memory for a digest");
}

/* What SQLite refused of a stranger's row is the stranger's fault, at this line. */
static status step(importer *x, sqlite3_stmt *st, bool *row, error *err)
{
    int rc = sqlite3_step(st);
    if ((rc & 0xff) == SQLITE_CONSTRAINT) {
        bool reference = rc == SQLITE_CONSTRAINT_FOREIGNKEY;
        return bad(x, err, reference ? "it refers to a row that is neither in the ledger nor before it in the file"
                                     : sqlite3_errmsg(x->l->db));
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return sql_fail(x->l, rc, doing, err);
    *row = rc == SQLITE_ROW;
    return OK;
}

static status put_row(importer *x, const table *t, const js *row, error *err)
{
    size_t at = (size_t)(t - table_all);
    char id[DIGEST_HEX];
    bool found = false;
    if (js_len(row) != t->n + 1)
        return fail(err, E_FORMAT, "%s:%llu: a row of %s has %zu keys besides \"table\", this one %zu", x->name,
                    (unsigned long long)x->line, t->name, t->n, js_len(row) - 1);
    status s = x->insert[at] ? OK : prepare(x, at, err);
    if (!s)
        s = bind_row(x, t, row, x->insert[at], err);
    if (!s && t->by_content) {
        s = compute_id(t, row, id, err);
        if (!s && strcmp(id, word(row, t->columns[0].name)) != 0)
            s = bad(x, err, "its id is not the digest of what it says");
    }
    if (s)
        return s;
    s = step(x, x->insert[at], &found, err);
    int64_t added = s ? 0 : sqlite3_changes64(x->l->db);
    sqlite3_reset(x->insert[at]);
    x->count.n_rows++;
    x->count.n_new += (uint64_t)added;
    if (s || added)
        return s;
    s = bind_row(x, t, row, x->find[at], err);
    if (!s)
        s = step(x, x->find[at], &found, err);
    sqlite3_reset(x->find[at]);
    return s || found ? s : bad(x, err, "the ledger has another row with this id");
}

/* ---- the file ---- */

static status begin_file(importer *x, const js *row, error *err)
{
    int64_t schema = 0;
    if (strcmp(word(row, "table"), LEDGER_FILE_NAME) != 0 || !js_int(js_get(row, "schema"), &schema))
        return bad(x, err, "is not a file of `hearth ledger export --format jsonl`");
    if (schema != LEDGER_VERSION)
        return fail(err, E_UNSUPPORTED, "%s: is of schema %lld, this hearth reads %d: export it again with a hearth of "
                    "this version", x->name, (long long)schema, LEDGER_VERSION);
    x->began = true;
    return OK;
}

static status end_file(importer *x, const js *row, error *err)
{
    int64_t rows = -1;
    if (!js_int(js_get(row, "rows"), &rows) || rows < 0 || (uint64_t)rows != x->count.n_rows)
        return fail(err, E_FORMAT, "%s:%llu: the file had %lld rows, %llu are there: some are missing", x->name,
                    (unsigned long long)x->line, (long long)rows, (unsigned long long)x->count.n_rows);
    x->ended = true;
    return OK;
}

static status take_line(importer *x, span line, error *err)
{
    js *row = NULL;
    status s = x->ended ? bad(x, err, "there is more after the end") : OK;
    if (!s)
        s = js_parse(&row, line.p, line.n, x->name, (int)(x->line < INT32_MAX ? x->line : INT32_MAX), err);
    if (!s && !x->began)
        s = begin_file(x, row, err);
    else if (!s && strcmp(word(row, "table"), "end") == 0)
        s = end_file(x, row, err);
    else if (!s) {
        const char *name = word(row, "table");
        const table *t = table_find(name);
        bool plain = strlen(name) <= 40 && strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name);
        s = t ? put_row(x, t, row, err)
              : fail(err, E_FORMAT, "%s:%llu: '%s' is no table of the ledger", x->name, (unsigned long long)x->line,
                     plain ? name : "?"); /* what a stranger wrote is not for a terminal */
    }
    js_free(row);
    return s;
}

static status take_file(importer *x, error *err)
{
    span line;
    bool more = true;
    status s = OK;
    while (!s && !(s = next_line(x, &line, &more, err)) && more)
        s = take_line(x, line, err);
    if (!s && !x->ended)
        s = fail(err, E_FORMAT, "%s: %s", x->name, x->began ? "ends too early: its last line is missing"
                                                            : "is empty");
    return s;
}

status ledger_import(ledger *l, const char *name, ledger_read_fn *read, void *user, ledger_imported *out, error *err)
{
    importer x = { .l = l, .name = name, .read = read, .user = user, .bytes = BUF_INIT(LINE_BYTES_MAX) };
    status s = sql_begin(l, doing, err);
    if (s)
        return s;
    s = take_file(&x, err);
    for (size_t i = 0; i < TABLES; i++) {
        sqlite3_finalize(x.insert[i]);
        sqlite3_finalize(x.find[i]);
    }
    buf_clear(&x.bytes);
    s = sql_end(l, s, doing, err);
    if (!s)
        *out = x.count;
    return s;
}
