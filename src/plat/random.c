/* random.c: getrandom(2) (getentropy where that is what there is), and UUIDv7.
 *
 * The counter of uuid_v7: 12 bits beside the millisecond. It begins low at each new millisecond, steps by one within
 * it and carries into the millisecond when it is full: so ids ascend even when the clock stands still or steps back. */
#include "plat/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "plat/clock.h"

status random_bytes(void *out, size_t n, error *err)
{
    unsigned char *to = out;
    while (n > 0) {
        size_t step = n < 256 ? n : 256; /* getentropy's limit */
        if (getentropy(to, step) != 0)
            return fail(err, E_IO, "no random bytes from the system: %s", strerror(errno));
        to += step;
        n -= step;
    }
    return OK;
}

/* Milliseconds << 12 | counter: one number that only rises. */
static uint64_t next_stamp(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t last;
    uint64_t now = (uint64_t)(clock_utc_us() / 1000) << 12;
    pthread_mutex_lock(&lock);
    last = now > last ? now : last + 1;
    uint64_t stamp = last;
    pthread_mutex_unlock(&lock);
    return stamp;
}

status uuid_v7(char out[UUID_TEXT], error *err)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char b[16];
    status s = random_bytes(b + 8, 8, err);
    if (s)
        return s;
    uint64_t stamp = next_stamp(), ms = stamp >> 12;
    for (int i = 0; i < 6; i++)
        b[i] = (unsigned char)(ms >> (40 - 8 * i));
    b[6] = (unsigned char)(0x70 | ((stamp >> 8) & 0x0f));
    b[7] = (unsigned char)(stamp & 0xff);
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3f));
    char *p = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = hex[b[i] >> 4];
        *p++ = hex[b[i] & 15];
    }
    *p = 0;
    return OK;
}
