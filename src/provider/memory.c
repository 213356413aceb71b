/* memory.c: the local models of this process share its budget, whoever opens them: arms of a measurement, a grader's
 * model, the tagger, a server's pool. */
#include "provider/provider_int.h"

static struct {
    pthread_mutex_t lock;
    pthread_mutex_t opening; /* held while a model is opened: nobody else plans with the same bytes meanwhile */
    uint64_t all, taken;     /* all 0: no budget */
} shared = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, 0, 0 };

void provider_share_memory(uint64_t bytes)
{
    pthread_mutex_lock(&shared.lock);
    shared.all = bytes;
    pthread_mutex_unlock(&shared.lock);
}

uint64_t local_memory_begin(uint64_t most)
{
    pthread_mutex_lock(&shared.opening);
    pthread_mutex_lock(&shared.lock);
    uint64_t left = shared.taken < shared.all ? shared.all - shared.taken : 1; /* 0 would be no budget */
    if (shared.all && (!most || left < most))
        most = left;
    pthread_mutex_unlock(&shared.lock);
    return most;
}

void local_memory_end(uint64_t bytes)
{
    pthread_mutex_lock(&shared.lock);
    shared.taken += bytes;
    pthread_mutex_unlock(&shared.lock);
    pthread_mutex_unlock(&shared.opening);
}

void local_memory_give(uint64_t bytes)
{
    pthread_mutex_lock(&shared.lock);
    shared.taken -= bytes < shared.taken ? bytes : shared.taken;
    pthread_mutex_unlock(&shared.lock);
}
