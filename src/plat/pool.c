/* The compute pool. Three words carry it:
 *
 *   epoch    counts pool_run calls; workers wait for it to change
 *   pending  workers that have not finished the current job; the owner waits for 0
 *   turn     counts completed barriers; `arrived` counts those who stand at the current one
 *
 * Each wait spins for about 30 microseconds, then sleeps on the word. Who changes a word looks at its number of
 * sleepers afterwards and wakes them; sleepers announce themselves before they look at the word again. Both in
 * sequentially consistent order, so that no wake is lost. */
#include "plat/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <time.h>
#endif

/* A word that threads wait on, on its own cache line. */
typedef struct waitable {
    _Alignas(64) atomic_uint value;
    atomic_uint sleepers;
} waitable;

typedef struct worker {
    pool *owner;
    int index;
    pthread_t thread;
    bool started;
} worker;

struct pool {
    waitable epoch, pending, turn;
    _Alignas(64) atomic_uint arrived;
    int n_threads;
    int spins;
    pool_job *job; /* NULL: end */
    void *arg;
    worker workers[POOL_MAX_THREADS];
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void sleep_on(waitable *w, unsigned seen)
{
#if defined(__linux__)
    syscall(SYS_futex, &w->value, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
#else
    (void)w;
    (void)seen;
    nanosleep(&(struct timespec){ 0, 50000 }, NULL);
#endif
}

static void wake_all(waitable *w)
{
    if (!atomic_load(&w->sleepers))
        return;
#if defined(__linux__)
    syscall(SYS_futex, &w->value, FUTEX_WAKE_PRIVATE, POOL_MAX_THREADS, NULL, NULL, 0);
#endif
}

/* Returns when the value is no longer `seen`. */
static void wait_change(waitable *w, unsigned seen, int spins)
{
    for (int i = 0; i < spins; i++) {
        if (atomic_load_explicit(&w->value, memory_order_acquire) != seen)
            return;
        pause_briefly();
    }
    while (atomic_load(&w->value) == seen) {
        atomic_fetch_add(&w->sleepers, 1);
        if (atomic_load(&w->value) == seen)
            sleep_on(w, seen);
        atomic_fetch_sub(&w->sleepers, 1);
    }
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    pool *p = w->owner;
#if defined(__linux__)
    struct sched_param none = { 0 };
    sched_setscheduler(0, SCHED_BATCH, &none);
#endif
    for (unsigned seen = 0;; seen++) {
        wait_change(&p->epoch, seen, p->spins);
        if (!p->job)
            return NULL;
        p->job(p->arg, w->index, p->n_threads);
        if (atomic_fetch_sub(&p->pending.value, 1) == 1)
            wake_all(&p->pending);
    }
}

/* Spinning helps only when every thread has a core of its own. */
static int spins_for(int n_threads)
{
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) < n_threads)
        return 0;
#endif
    return n_threads > 1 ? 2000 : 0; /* a pause is 40..140 cycles: 25..60 microseconds */
}

status pool_open(pool **out, int n_threads, error *err)
{
    if (n_threads < 1 || n_threads > POOL_MAX_THREADS)
        return fail(err, E_RANGE, "%d threads: 1 to %d are possible", n_threads, POOL_MAX_THREADS);
    pool *p = mem_aligned(64, sizeof *p);
    if (!p)
        return fail(err, E_NOMEM, "no memory for the thread pool");
    p->n_threads = n_threads;
    p->spins = spins_for(n_threads);
    for (int i = 1; i < n_threads; i++) {
        worker *w = &p->workers[i];
        w->owner = p;
        w->index = i;
        int e = pthread_create(&w->thread, NULL, worker_main, w);
        if (e) {
            pool_close(&p);
            return fail(err, E_IO, "thread %d of %d could not be started: %s", i + 1, n_threads, strerror(e));
        }
        w->started = true;
    }
    *out = p;
    return OK;
}

void pool_close(pool **pp)
{
    pool *p = *pp;
    if (!p)
        return;
    p->job = NULL;
    atomic_fetch_add(&p->epoch.value, 1);
    wake_all(&p->epoch);
    for (int i = 1; i < p->n_threads; i++)
        if (p->workers[i].started)
            pthread_join(p->workers[i].thread, NULL);
    mem_free_aligned(p);
    *pp = NULL;
}

int pool_threads(const pool *p)
{
    return p->n_threads;
}

void pool_run(pool *p, pool_job *job, void *arg)
{
    assert(job);
    if (p->n_threads == 1) {
        job(arg, 0, 1);
        return;
    }
    p->job = job;
    p->arg = arg;
    atomic_store(&p->pending.value, (unsigned)p->n_threads - 1);
    atomic_fetch_add(&p->epoch.value, 1);
    wake_all(&p->epoch);
    job(arg, 0, p->n_threads);
    for (unsigned left; (left = atomic_load(&p->pending.value)) != 0;)
        wait_change(&p->pending, left, p->spins);
}

void pool_barrier(pool *p)
{
    if (p->n_threads == 1)
        return;
    unsigned turn = atomic_load(&p->turn.value);
    if (atomic_fetch_add(&p->arrived, 1) + 1 == (unsigned)p->n_threads) {
        atomic_store(&p->arrived, 0);
        atomic_fetch_add(&p->turn.value, 1);
        wake_all(&p->turn);
        return;
    }
    wait_change(&p->turn, turn, p->spins);
}

void pool_part(size_t items, int index, int count, size_t *begin, size_t *end)
{
    size_t n = (size_t)count, i = (size_t)index, each = items / n, more = items % n;
    *begin = i * each + (i < more ? i : more);
    *end = *begin + each + (i < more);
}
