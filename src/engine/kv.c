/* kv.c: the pool of KV pages. A page is handed out zeroed (docs/NUMERICS.md §7); the allocation is zero to begin with,
 * so memory that no session ever reaches is never touched. */
#include <string.h>

#include "base/mem.h"
#include "engine/engine_int.h"
#include "plat/machine.h"

enum { ALIGN = 64 };

status kv_open(kv_pool *kv, uint32_t n_pages, size_t page_bytes, error *err)
{
    *kv = (kv_pool){ .page_bytes = page_bytes, .n_pages = n_pages, .n_free = n_pages };
    if (page_bytes <= (SIZE_MAX - ALIGN) / n_pages)
        kv->block = mem_zero(page_bytes * n_pages + ALIGN);
    kv->free_list = mem_array(n_pages, sizeof *kv->free_list);
    kv->used = mem_array(n_pages, sizeof *kv->used);
    if (!kv->block || !kv->free_list || !kv->used)
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
    *kv = (kv_pool){ 0 };
}

char *kv_take(kv_pool *kv)
{
    if (!kv->n_free)
        return NULL;
    char *page = kv->free_list[--kv->n_free];
    size_t i = (size_t)(page - kv->base) / kv->page_bytes;
    if (kv->used[i])
        memset(page, 0, kv->page_bytes);
    kv->used[i] = true;
    return page;
}

void kv_give(kv_pool *kv, char *page)
{
    kv->free_list[kv->n_free++] = page;
}
