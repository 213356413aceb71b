/* fixture.h: a folder with a place for a ledger, and the rows that the tests of the ledger write. */
#ifndef TESTS_LEDGER_FIXTURE_H
#define TESTS_LEDGER_FIXTURE_H

#include "lib/check.h"
#include "lib/own_ledger.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ledger/ledger.h"

static const ledger_run the_run = {
    .machine = { "A CPU", 2, 8ull << 30, "Linux 6.1 x86_64" }, .task = "demo", .provider = "local:m.gguf",
    .place = "local", .model = "m.gguf", .version = "0.1.0", .threads = 2, .isa = "avx2", .power = "mains",
};
static const ledger_evidence the_evidence = { "local", "aaaa", "1", "f16", "", false, "{\"temperature\":0}" };

static inline ledger_answer answer_of(const char *case_id, const char *text)
{
    return (ledger_answer){ .case_id = case_id, .prompt = "promptdigest", .text = text, .prompt_text = "ask: x",
                            .keep_text = true, .finish = "stop", .n_prompt = 10, .n_output = 3, .n_cached = -1,
                            .prefill_us = 100, .decode_us = 200, .ttft_us = 110, .total_us = 310,
                            .mean_logprob = NAN };
}

static const ledger_grade passed = { "g1", 1, LEDGER_PASS, NULL };

static inline status append(ledger *l, const char *run, const char *case_id, error *err)
{
    char id[UUID_TEXT];
    ledger_answer a = answer_of(case_id, "an answer");
    return ledger_append_answer(l, run, &a, &passed, id, err);
}

static inline int64_t count(const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, own_ledger_make, own_ledger_remove)

#endif
