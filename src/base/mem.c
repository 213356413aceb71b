#include "base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint_fast64_t n_allocations;
static atomic_uint_fast64_t fail_at; /* the allocation number that fails; 0: none */

__attribute__((constructor)) static void read_environment(void)
{
    const char *n = getenv("HEARTH_FAIL_ALLOC");
    if (n)
        mem_fail_at(strtoull(n, NULL, 10));
}

void mem_fail_at(uint64_t n)
{
    atomic_store(&fail_at, n ? atomic_load(&n_allocations) + n : 0);
}

uint64_t mem_count(void)
{
    return atomic_load(&n_allocations);
}

static bool must_fail(void)
{
    uint64_t number = atomic_fetch_add(&n_allocations, 1) + 1;
    return number == atomic_load(&fail_at);
}

void *mem_alloc(size_t bytes)
{
    return must_fail() ? NULL : malloc(bytes ? bytes : 1);
}

void *mem_zero(size_t bytes)
{
    return must_fail() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *mem_array(size_t n, size_t size)
{
    return must_fail() ? NULL : calloc(n ? n : 1, size ? size : 1);
}

void *mem_resize(void *old, size_t bytes)
{
    return must_fail() ? NULL : realloc(old, bytes ? bytes : 1);
}

void mem_free(void *p)
{
    free(p);
}

char *mem_strndup(const char *s, size_t n)
{
    char *copy = mem_alloc(n + 1);
    if (!copy)
        return NULL;
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *mem_strjoin(const char *a, const char *b)
{
    size_t n = strlen(a), k = strlen(b) + 1;
    char *out = mem_alloc(n + k);
    if (out) {
        memcpy(out, a, n);
        memcpy(out + n, b, k);
    }
    return out;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

void *mem_aligned(size_t alignment, size_t bytes)
{
    if (must_fail() || bytes > SIZE_MAX - alignment)
        return NULL;
    size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void *p = aligned_alloc(alignment, rounded ? rounded : alignment);
    if (p)
        memset(p, 0, rounded);
    return p;
}

void mem_free_aligned(void *p)
{
    free(p);
}

/* ---- arena ----------------------------------------------------------------------------------------------------- */

enum { ARENA_BLOCK_BYTES = 16 * 1024 };

struct arena_block {
    arena_block *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};

static arena_block *arena_grow(arena *a, size_t bytes)
{
    size_t size = bytes > ARENA_BLOCK_BYTES ? bytes : ARENA_BLOCK_BYTES;
    arena_block *b = mem_zero(sizeof *b + size);
    if (!b)
        return NULL;
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

void *arena_alloc(arena *a, size_t bytes)
{
    if (bytes > a->max_bytes)
        return NULL;
    size_t rounded = (bytes + 15) & ~(size_t)15;
    if (rounded > a->max_bytes - a->used_bytes)
        return NULL;
    arena_block *b = a->blocks;
    if (!b || b->size - b->used < rounded)
        b = arena_grow(a, rounded);
    if (!b)
        return NULL;
    void *p = b->data + b->used;
    b->used += rounded;
    a->used_bytes += rounded;
    return p;
}

char *arena_strndup(arena *a, const char *s, size_t n)
{
    char *copy = arena_alloc(a, n + 1);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

void arena_clear(arena *a)
{
    for (arena_block *b = a->blocks; b;) {
        arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
    a->blocks = NULL;
    a->used_bytes = 0;
}
