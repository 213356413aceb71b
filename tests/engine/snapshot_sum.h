/* snapshot_sum.h: the checksum of snapshots, written a second time: what a test changes can be made right again. */
#ifndef TESTS_ENGINE_SNAPSHOT_SUM_H
#define TESTS_ENGINE_SNAPSHOT_SUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SNAPSHOT_HEADER = 8344, SNAPSHOT_ENTRY = 280 }; /* bytes, their sums included, which are the last word */

/* Four lanes over blocks of 32 bytes; what is left goes to the first. */
static inline uint64_t snapshot_sum(uint64_t before, const void *bytes, size_t n)
{
    uint64_t lane[4] = { before, 1, 2, 3 }, sum = 0;
    for (size_t at = 0; at < n; at += 8) {
        uint64_t w = 0;
        memcpy(&w, (const char *)bytes + at, n - at < 8 ? n - at : 8);
        size_t i = at / 32 * 32 + 32 <= n ? at / 8 % 4 : 0;
        w = (lane[i] ^ w) * 0x9E3779B97F4A7C15u;
        lane[i] = w ^ w >> 29;
    }
    for (int i = 0; i < 4; i++) {
        uint64_t w = (sum ^ lane[i]) * 0x9E3779B97F4A7C15u;
        sum = w ^ w >> 29;
    }
    return sum;
}

static inline void snapshot_resum_header(void *file)
{
    uint64_t sum = snapshot_sum(0, file, SNAPSHOT_HEADER - 8);
    memcpy((char *)file + SNAPSHOT_HEADER - 8, &sum, 8);
}

/* An entry with one page. */
static inline void snapshot_resum_entry(void *entry, size_t page_bytes)
{
    uint64_t sum = snapshot_sum(0, entry, SNAPSHOT_ENTRY - 8);
    sum = snapshot_sum(sum, (char *)entry + SNAPSHOT_ENTRY, page_bytes);
    memcpy((char *)entry + SNAPSHOT_ENTRY - 8, &sum, 8);
}

#endif
