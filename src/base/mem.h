/* mem.h: the one allocator of hearth, and arenas. Any thread.
 *
 * Everything is allocated through here, so that a test can make the N-th allocation fail (mem_fail_at), read how many
 * were made (mem_count: decode must make none) and how many bytes are live. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* NULL when there is no memory. mem_zero clears; mem_resize keeps the old block on failure; mem_free accepts NULL.
 * mem_array checks n * size for overflow and clears. */
void *mem_alloc(size_t bytes);
void *mem_zero(size_t bytes);
void *mem_array(size_t n, size_t size);
void *mem_resize(void *old, size_t bytes);
void mem_free(void *p);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
/* a, then b: a path with another ending. */
char *mem_strjoin(const char *a, const char *b);

/* Aligned, cleared; alignment is a power of two. Free with mem_free_aligned. */
void *mem_aligned(size_t alignment, size_t bytes);
void mem_free_aligned(void *p);

/* Allocations since the process began. */
uint64_t mem_count(void);
/* From now on the n-th allocation (1 = the next) fails once; 0 switches this off. For tests. HEARTH_FAIL_ALLOC=n in the
 * environment does the same from the start of the process. */
void mem_fail_at(uint64_t n);

/* ---- arena: many small objects with one lifetime. Owner thread. ----
 * Zero-initialise with ARENA_INIT(max). Objects are 16-aligned and cleared; arena_clear frees all of them. */
typedef struct arena_block arena_block;
typedef struct arena {
    arena_block *blocks;
    size_t used_bytes; /* sum over all objects */
    size_t max_bytes;  /* ceiling: allocations beyond it return NULL */
} arena;
#define ARENA_INIT(max) { NULL, 0, (max) }

void *arena_alloc(arena *a, size_t bytes);
char *arena_strndup(arena *a, const char *s, size_t n);
void arena_clear(arena *a);

#endif
