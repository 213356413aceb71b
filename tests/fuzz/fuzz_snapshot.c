/* libFuzzer over snapshots of the prefix cache: a file that an engine wrote, changed as the input says: a list of
 * position (4 bytes, little endian) and value (1 byte); the first byte says whether the checksums are made right again,
 * and how much of the file is cut off. What is then read must be refused, or give back pages that are in order.
 * modules: base plat gguf quant token chat grammar model engine
 * built: kernels
 * files: tests/lib/tiny_model.c
 * libs: -lcmocka */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/engine_int.h"
#include "engine/snapshot.h"
#include "engine/snapshot_sum.h"
#include "gguf/gguf.h"
#include "lib/tiny_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N = 200, FILE_MAX = 1 << 20 };

static engine *e;
static uint8_t whole[FILE_MAX], changed[FILE_MAX];
static size_t n_whole;
static int32_t tokens[N];

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool any(const char *scope)
{
    return scope[0] == '@';
}

static const snapshot_options how = { "digest", 1 << 30, 60000, any };

static void feed(void)
{
    session *s = NULL;
    must(session_open(&s, e, NULL) == OK && session_share(s, "@a", NULL) == OK);
    uint32_t known = session_recall(s, tokens, N);
    must(session_feed(s, tokens + known, N - known, NULL, NULL, NULL, NULL) == OK);
    session_remember(s);
    session_close(&s);
}

static void prepare(void)
{
    char path[64];
    tiny_model m = tiny_model_default();
    engine_options o;
    gguf *g = NULL;
    snapshot_report r;
    m.n_layers = 1;
    m.context = 256;
    snprintf(path, sizeof path, "/tmp/hearth-fuzz-%d.gguf", (int)getpid());
    tiny_model_write(&m, path);
    engine_options_init(&o);
    o.n_threads = 1;
    must(gguf_open(&g, path, NULL) == OK && engine_open(&e, g, &o, NULL) == OK);
    unlink(path);
    for (int i = 0; i < N; i++)
        tokens[i] = i * 7 % 96;
    feed();
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    must(engine_snapshot_write(e, fd, &how, &r, NULL) == OK && r.bytes <= FILE_MAX);
    n_whole = (size_t)r.bytes;
    must(pread(fd, whole, n_whole, 0) == (ssize_t)n_whole);
    close(fd);
}

/* As many pages are free as nobody holds. */
static void check_accounts(void)
{
    for (int k = 0; k < MODEL_KINDS; k++) {
        uint32_t held = 0;
        for (uint32_t i = 0; i < e->kv[k].n_pages; i++)
            held += e->kv[k].holders[i] != 0;
        must(held + e->kv[k].n_free == e->kv[k].n_pages);
    }
}

static void resum(void)
{
    const size_t page = e->kv[MODEL_GLOBAL].page_bytes;
    snapshot_resum_header(changed);
    for (size_t at = SNAPSHOT_HEADER; at + SNAPSHOT_ENTRY + page <= n_whole; at += SNAPSHOT_ENTRY + page)
        snapshot_resum_entry(changed + at, page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    error err = { 0 };
    snapshot_report r;
    if (!e)
        prepare();
    if (!size)
        return 0;
    memcpy(changed, whole, n_whole);
    for (size_t at = 1; at + 5 <= size; at += 5) {
        uint32_t where = data[at] | (uint32_t)data[at + 1] << 8 | (uint32_t)data[at + 2] << 16;
        changed[where % n_whole] = data[at + 4];
    }
    size_t n = data[0] & 1 ? n_whole : n_whole * data[0] / 256;
    if (data[0] & 2)
        resum();
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, changed, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0);
    engine_forget(e, NULL);
    status s = engine_snapshot_read(e, fd, &how, &r, &err);
    must(s == OK || err.text[0]);
    close(fd);
    check_accounts();
    if (s == OK)
        feed();
    check_accounts();
    return 0;
}
