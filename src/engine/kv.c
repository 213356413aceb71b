/* kv.c: pools of KV pages, and how many pages they have. A page is handed out zeroed (docs/NUMERICS.md §7); the
 * allocation is zero to begin with, so memory that no session ever reaches is never touched. */
#include <string.h>

#include "base/mem.h"
#include "engine/engine_int.h"
#include "plat/machine.h"

enum { ALIGN = 64 };

_Static_assert((int)ENGINE_GLOBAL == MODEL_GLOBAL && (int)ENGINE_WINDOW == MODEL_WINDOW, "one order of kinds");

/* ---- how many ---- */

/* Most pages that n (>= 1) positions in a row touch, wherever they begin. */
static uint64_t pages_across(uint64_t n)
{
    return (n + KERNELS_PAGE - 2) / KERNELS_PAGE + 1;
}

/* A session that goes back `rewind` positions and continues there sees window - 1 positions more. A step of up to
 * `batch` <= rewind rows needs no more than that: its last row is written where its first one still sees the window. */
static uint32_t window_pages(const engine_budget *b, const engine_options *o)
{
    uint64_t rewind = o->rewind > o->batch ? o->rewind : o->batch;
    uint64_t pages = pages_across(b->window - 1 + rewind), all = b->pages[MODEL_GLOBAL].session_pages;
    return (uint32_t)(pages < all ? pages : all);
}

/* Sessions share n_pages pages of positions: each holds as many window pages as others, up to its limit. */
static uint64_t window_share(const engine_budget *b, uint64_t n_pages, uint32_t n_sessions)
{
    uint64_t most = (uint64_t)n_sessions * b->pages[MODEL_WINDOW].session_pages;
    return n_pages < most ? n_pages : most;
}

uint64_t engine_kv_bytes(const engine_budget *b, uint64_t n_pages, uint32_t n_sessions)
{
    return n_pages * b->pages[MODEL_GLOBAL].page_bytes +
           window_share(b, n_pages, n_sessions) * b->pages[MODEL_WINDOW].page_bytes;
}

/* The most pages of positions whose engine_kv_bytes are no more. */
static uint64_t pages_within(const engine_budget *b, uint64_t bytes, uint32_t n_sessions)
{
    uint64_t global = b->pages[MODEL_GLOBAL].page_bytes, window = b->pages[MODEL_WINDOW].page_bytes;
    uint64_t full = (uint64_t)n_sessions * b->pages[MODEL_WINDOW].session_pages, pages = bytes / (global + window);
    if (pages < full)
        return pages;
    return global ? (bytes - full * window) / global : full; /* window layers only: more could not be held */
}

void kv_plan(engine_budget *b, const model_spec *spec, enum kernels_kv kv, const engine_options *o)
{
    uint32_t all = (b->context + KERNELS_PAGE - 1) / KERNELS_PAGE;
    engine_pages *global = &b->pages[MODEL_GLOBAL], *window = &b->pages[MODEL_WINDOW];
    b->window = spec->n_of_kind[MODEL_WINDOW] ? spec->window : 0;
    global->page_bytes = model_page_bytes(spec, kv, MODEL_GLOBAL);
    window->page_bytes = model_page_bytes(spec, kv, MODEL_WINDOW);
    global->session_pages = all;
    window->session_pages = b->window ? window_pages(b, o) : 0;
    uint64_t n = o->kv_bytes ? pages_within(b, o->kv_bytes, o->n_sessions) : (uint64_t)all * o->n_sessions;
    b->n_pages = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
    global->n_pages = global->page_bytes ? b->n_pages : 0;
    window->n_pages = (uint32_t)window_share(b, b->n_pages, o->n_sessions);
    b->kv_bytes = engine_kv_bytes(b, b->n_pages, o->n_sessions);
}

uint64_t engine_kv_read_bytes(const engine_budget *b, uint64_t n_before)
{
    uint64_t seen = b->window && n_before >= b->window ? b->window - 1 : n_before;
    return (n_before * b->pages[MODEL_GLOBAL].page_bytes + seen * b->pages[MODEL_WINDOW].page_bytes) / KERNELS_PAGE;
}

/* ---- pools ---- */

status kv_open(kv_pool *kv, uint32_t n_pages, size_t page_bytes, error *err)
{
    *kv = (kv_pool){ .page_bytes = page_bytes, .n_pages = n_pages, .n_free = n_pages };
    if (!n_pages)
        return OK;
    if (page_bytes <= (SIZE_MAX - ALIGN) / n_pages)
        kv->block = mem_zero(page_bytes * n_pages + ALIGN);
    kv->free_list = mem_array(n_pages, sizeof *kv->free_list);
    kv->used = mem_array(n_pages, sizeof *kv->used);
    kv->holders = mem_array(n_pages, sizeof *kv->holders);
    kv->cached = mem_array(n_pages, sizeof *kv->cached);
    if (!kv->block || !kv->free_list || !kv->used || !kv->holders || !kv->cached)
        return fail(err, E_NOMEM, "no memory for %u KV pages of %zu bytes", n_pages, page_bytes);
    machine_huge_pages(kv->block, page_bytes * n_pages + ALIGN);
    kv->base = (char *)(((uintptr_t)kv->block + ALIGN - 1) / ALIGN * ALIGN);
    for (uint32_t i = 0; i < n_pages; i++)
        kv->free_list[i] = kv->base + (size_t)(n_pages - 1 - i) * page_bytes;
    return OK;
}

void kv_close(kv_pool *kv)
{
    mem_free(kv->block);
    mem_free(kv->free_list);
    mem_free(kv->used);
    mem_free(kv->holders);
    mem_free(kv->cached);
    *kv = (kv_pool){ 0 };
}

static size_t index_of(const kv_pool *kv, const char *page)
{
    return (size_t)(page - kv->base) / kv->page_bytes;
}

char *kv_take(kv_pool *kv)
{
    if (!kv->n_free)
        return NULL;
    char *page = kv->free_list[--kv->n_free];
    size_t i = index_of(kv, page);
    if (kv->used[i])
        memset(page, 0, kv->page_bytes);
    kv->used[i] = true;
    kv->holders[i] = 1;
    return page;
}

void kv_share(kv_pool *kv, const char *page)
{
    kv->holders[index_of(kv, page)]++;
}

uint32_t kv_holders(const kv_pool *kv, const char *page)
{
    return kv->holders[index_of(kv, page)];
}

void kv_cache(kv_pool *kv, const char *page)
{
    kv_share(kv, page);
    kv->cached[index_of(kv, page)] = true;
}

void kv_uncache(kv_pool *kv, char *page)
{
    kv->cached[index_of(kv, page)] = false;
    kv_give(kv, page);
}

bool kv_is_own(const kv_pool *kv, const char *page)
{
    size_t i = index_of(kv, page);
    return kv->holders[i] == 1 + kv->cached[i];
}

void kv_give(kv_pool *kv, char *page)
{
    if (--kv->holders[index_of(kv, page)] == 0)
        kv->free_list[kv->n_free++] = page;
}
