/* libFuzzer over imported ledgers: what is refused leaves nothing, what is taken in verifies, comes out again and is
 * known when it comes twice.
 * modules: base plat ledger
 * libs: -lyaml -lcrypto -lsqlite3 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "ledger/exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

typedef struct source {
    const uint8_t *bytes;
    size_t n, at;
} source;

static status give(void *user, char *bytes, size_t room, size_t *n, error *err)
{
    source *x = user;
    (void)err;
    *n = x->n - x->at < room ? x->n - x->at : room;
    memcpy(bytes, x->bytes + x->at, *n);
    x->at += *n;
    return OK;
}

static status take(void *user, const char *bytes, size_t n, error *err)
{
    buf_add(user, bytes, n);
    return buf_ok(user, "the file", err);
}

static char path[64];
static ledger *l;

static void fresh(void)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    char file[80];
    error err;
    if (!path[0])
        snprintf(path, sizeof path, "/dev/shm/hearth-fuzz-ledger-%d.db", (int)getpid());
    ledger_close(&l);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(file, sizeof file, "%s%s", path, ends[i]);
        unlink(file);
    }
    must(ledger_open(&l, path, LEDGER_WRITE, &err) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ledger_imported got = { 0 }, again = { 0 };
    const ledger_part all = { NULL, 0 };
    error err = { 0 };
    uint64_t n = 0;
    source x = { data, size, 0 };
    if (!l)
        fresh();
    if (ledger_import(l, "file", give, &x, &got, &err) != OK) {
        must(err.text[0] && ledger_count_rows(l, "run", &n, &err) == OK && n == 0);
        return 0;
    }
    buf out = BUF_INIT(64 << 20);
    must(ledger_verify(l, &err) == OK && ledger_export_jsonl(l, &all, take, &out, &n, &err) == OK);
    must(n <= got.n_rows); /* texts and machines that nothing refers to belong to no part */
    x.at = 0;
    must(ledger_import(l, "file", give, &x, &again, &err) == OK && again.n_new == 0);
    buf_clear(&out);
    fresh();
    return 0;
}
