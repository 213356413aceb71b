/* wait.h: waiting for a condition for a time by the monotonic clock, which nobody sets. Any thread. */
#ifndef PLAT_WAIT_H
#define PLAT_WAIT_H

#include <pthread.h>
#include <time.h>

/* A condition whose pthread_cond_timedwait counts by the monotonic clock. */
void wait_init(pthread_cond_t *c);
/* The moment in so many milliseconds, for pthread_cond_timedwait. */
struct timespec wait_until(int ms);

#endif
