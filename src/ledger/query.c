/* query.c: everything that reads. */
#include <math.h>
#include <string.h>

#include "ledger/ledger_int.h"

struct ledger_memory *rows_memory(void)
{
    struct ledger_memory *m = mem_zero(sizeof *m);
    if (m)
        m->texts = (arena)ARENA_INIT(LEDGER_TEXTS_MAX);
    return m;
}

void rows_forget(struct ledger_memory **m)
{
    if (*m)
        arena_clear(&(*m)->texts);
    mem_free(*m);
    *m = NULL;
}

void *rows_grow(void **rows, size_t n, size_t *room, size_t size)
{
    if (n == *room) {
        size_t more = *room ? *room * 2 : 64;
        void *p = more <= LEDGER_ROWS_MAX ? mem_resize(*rows, more * size) : NULL;
        if (!p)
            return NULL;
        *rows = p;
        *room = more;
    }
    void *row = (char *)*rows + n * size;
    memset(row, 0, size);
    return row;
}

status rows_no_memory(error *err)
{
    return fail(err, E_NOMEM, "no memory for the ledger's rows");
}

bool rows_texts(struct ledger_memory *m, sqlite3_stmt *st, int first, const char **const *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(*to[i] = sql_text(m, st, first + (int)i)))
            return false;
    return true;
}

status rows_read(ledger *l, sqlite3_stmt *st, const char *doing, size_t size, rows_fill *fill, rows_many *out,
                 error *err)
{
    rows_many got = { NULL, 0, rows_memory() };
    size_t room = 0;
    bool more = false;
    status s = got.memory ? OK : rows_no_memory(err);
    while (!s && !(s = sql_next(l, st, &more, doing, err)) && more) {
        void *row = rows_grow(&got.rows, got.n, &room, size);
        if (!row || !fill(got.memory, st, row))
            s = rows_no_memory(err);
        else
            got.n++;
    }
    if (s) {
        mem_free(got.rows);
        rows_forget(&got.memory);
        return s;
    }
    *out = got;
    return OK;
}

void rows_close(void *rows, struct ledger_memory **memory)
{
    mem_free(rows);
    rows_forget(memory);
}

/* ---- sources ---- */

static bool read_source(struct ledger_memory *m, sqlite3_stmt *st, void *row)
{
    ledger_source *r = row;
    const char **const texts[] = { &r->evidence_id, &r->evidence.source, &r->evidence.model, &r->evidence.numerics,
                                   &r->evidence.kv_type, &r->evidence.context_rule, &r->evidence.sampling, &r->run,
                                   &r->provider, &r->place, &r->model_name, &r->version };
    r->evidence.constrained = sqlite3_column_int64(st, 12) != 0;
    r->last_us = sqlite3_column_int64(st, 13);
    r->n_answers = (uint32_t)sqlite3_column_int64(st, 14);
    return rows_texts(m, st, 0, texts, ARRAY_LEN(texts));
}

status ledger_find_sources(ledger *l, const char *task, ledger_sources *out, error *err)
{
    static const char doing[] = "reading what was measured";
    static const char sql[] =
        "SELECT e.id, e.source, e.model, e.numerics, e.kv_type, e.context_rule, e.sampling, r.id, r.provider, r.place,"
        " r.model_name, r.version, e.constrained, n.last_us, n.n_answers"
        " FROM (SELECT r1.evidence AS evidence, MAX(a.at_us) AS last_us, COUNT(*) AS n_answers, MAX(r1.task) AS task"
        "       FROM answer a JOIN run r1 ON r1.id = a.run WHERE (? = '' OR r1.task = ?) GROUP BY r1.evidence) n"
        " JOIN evidence e ON e.id = n.evidence"
        " JOIN run r ON r.id = (SELECT MAX(r2.id) FROM run r2 WHERE r2.evidence = n.evidence AND r2.task = n.task)"
        " ORDER BY r.id DESC";
    sqlite3_stmt *st = NULL;
    rows_many got;
    status s = sql_open(l, &st, doing, err, sql, "tt", task, task);
    if (!s)
        s = rows_read(l, st, doing, sizeof *out->rows, read_source, &got, err);
    sqlite3_finalize(st);
    if (!s)
        *out = (ledger_sources){ got.rows, got.n, got.memory };
    return s;
}

void ledger_sources_close(ledger_sources *r)
{
    rows_close(r->rows, &r->memory);
    r->rows = NULL;
    r->n = 0;
}

/* ---- answers ---- */

static bool read_answer(struct ledger_memory *m, sqlite3_stmt *st, void *row)
{
    ledger_row *r = row;
    const char **const texts[] = { &r->id, &r->run, &r->case_id, &r->prompt, &r->text, &r->finish, &r->machine, &r->isa,
                                   &r->power, &r->prompt_text };
    int64_t *const numbers[] = { &r->at_us, &r->n_prompt, &r->n_output, &r->n_cached, &r->prefill_us, &r->decode_us,
                                 &r->ttft_us, &r->total_us };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *numbers[i] = sqlite3_column_int64(st, 10 + (int)i);
    r->repeat = (uint32_t)sqlite3_column_int64(st, 18);
    r->threads = (int)sqlite3_column_int64(st, 19);
    r->concurrency = (uint32_t)sqlite3_column_int64(st, 21);
    r->mean_logprob = sqlite3_column_type(st, 20) == SQLITE_NULL ? NAN : sqlite3_column_double(st, 20);
    return rows_texts(m, st, 0, texts, ARRAY_LEN(texts));
}

status ledger_find_answers(ledger *l, const char *task, const char *evidence_id, ledger_rows *out, error *err)
{
    static const char doing[] = "reading answers";
    static const char sql[] =
        "SELECT a.id, a.run, a.case_id, a.prompt, a.text, a.finish, r.machine, r.isa, r.power, a.prompt_text, a.at_us,"
        " a.n_prompt, a.n_output, a.n_cached, a.prefill_us, a.decode_us, a.ttft_us, a.total_us, a.repeat_no, r.threads,"
        " a.mean_logprob, a.concurrency"
        " FROM answer a JOIN run r ON r.id = a.run WHERE r.task = ? AND r.evidence = ? ORDER BY a.id";
    sqlite3_stmt *st = NULL;
    rows_many got;
    status s = sql_open(l, &st, doing, err, sql, "tt", task, evidence_id);
    if (!s)
        s = rows_read(l, st, doing, sizeof *out->rows, read_answer, &got, err);
    sqlite3_finalize(st);
    if (!s)
        *out = (ledger_rows){ got.rows, got.n, got.memory };
    return s;
}

void ledger_rows_close(ledger_rows *r)
{
    rows_close(r->rows, &r->memory);
    r->rows = NULL;
    r->n = 0;
}

/* ---- one thing ---- */

status ledger_find_grade(ledger *l, const char *answer, const char *grader, ledger_grade *out, error *err)
{
    static const char doing[] = "reading a grade";
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(l, &st, doing, err, "SELECT score, outcome FROM grade WHERE answer = ? AND grader = ?", "tt",
                        answer, grader);
    if (!s)
        s = sql_next(l, st, &more, doing, err);
    if (!s && !more)
        s = fail(err, E_NOTFOUND, "answer %s has no such grade", answer);
    if (!s) {
        const char *word = (const char *)sqlite3_column_text(st, 1);
        out->grader = grader;
        out->score = sqlite3_column_double(st, 0);
        out->detail = NULL;
        out->outcome = LEDGER_WRONG;
        for (ledger_outcome o = LEDGER_PASS; o <= LEDGER_MALFORMED; o++)
            if (word && strcmp(word, ledger_outcome_name(o)) == 0)
                out->outcome = o;
    }
    sqlite3_finalize(st);
    return s;
}

status ledger_find_text(ledger *l, const char *hex, char **out, error *err)
{
    static const char doing[] = "reading a text";
    sqlite3_stmt *st = NULL;
    bool more = false;
    char *copy = NULL;
    status s = sql_open(l, &st, doing, err, "SELECT body FROM text WHERE digest = ?", "t", hex);
    if (!s)
        s = sql_next(l, st, &more, doing, err);
    if (!s && !more)
        s = fail(err, E_NOTFOUND, "text %.16s is not in the ledger: never stored, or purged", hex);
    if (!s) {
        const char *body = (const char *)sqlite3_column_text(st, 0);
        copy = mem_strdup(body ? body : "");
        if (!copy)
            s = rows_no_memory(err);
    }
    sqlite3_finalize(st);
    if (!s)
        *out = copy;
    return s;
}

status ledger_find_fact(ledger *l, const char *task, const char *evidence_id, const char *machine, const char *name,
                        double *out, int64_t *at_us, error *err)
{
    static const char doing[] = "reading a fact";
    static const char sql[] = "SELECT f.value, f.at_us FROM fact f JOIN run r ON r.id = f.run WHERE r.task = ? AND"
                              " r.evidence = ? AND (? = '' OR r.machine = ?) AND f.name = ? ORDER BY f.id DESC LIMIT 1";
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(l, &st, doing, err, sql, "ttttt", task, evidence_id, machine, machine, name);
    if (!s)
        s = sql_next(l, st, &more, doing, err);
    if (!s && !more)
        s = fail(err, E_NOTFOUND, "no fact '%s' of task %s", name, task);
    if (!s) {
        *out = sqlite3_column_double(st, 0);
        if (at_us)
            *at_us = sqlite3_column_int64(st, 1);
    }
    sqlite3_finalize(st);
    return s;
}

status ledger_count_failures(ledger *l, const char *task, const char *evidence_id, uint32_t *out, error *err)
{
    static const char doing[] = "counting failures";
    static const char sql[] = "SELECT COUNT(DISTINCT f.case_id) FROM failure f WHERE f.run = (SELECT MAX(r.id) FROM"
                              " run r WHERE r.task = ? AND r.evidence = ?)";
    sqlite3_stmt *st = NULL;
    bool more = false;
    status s = sql_open(l, &st, doing, err, sql, "tt", task, evidence_id);
    if (!s)
        s = sql_next(l, st, &more, doing, err);
    if (!s)
        *out = more ? (uint32_t)sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return s;
}
