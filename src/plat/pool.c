/* The compute pool. Three kinds of words carry it:
 *
 *   go       one a worker: counts the jobs that it takes part in; it waits for it to change
 *   pending  workers that have not finished the current job; the owner waits for 0
 *   turn     counts completed barriers; `arrived` counts those who stand at the current one
 *
 * Each wait spins as long as the gauge says, then sleeps on the word. Who changes a word looks at its number of
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
#include "plat/clock.h"

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
    waitable go;
    pool *owner;
    int index;
    pthread_t thread;
    bool started;
} worker;

struct pool {
    waitable pending, turn;
    _Alignas(64) atomic_uint arrived;
    atomic_uint_fast64_t stalled_us; /* slept by all threads at barriers and ends of jobs */
    int n_threads;
    int processors;      /* that this process may use; 0: not known */
    gauge_choice choice; /* of the current job */
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

/* Returns when the value is no longer `seen`. stalled (may be NULL) counts what was slept. */
static void wait_change(waitable *w, unsigned seen, int spins, atomic_uint_fast64_t *stalled)
{
    for (int i = 0; i < spins; i++) {
        if (atomic_load_explicit(&w->value, memory_order_acquire) != seen)
            return;
        pause_briefly();
    }
    uint64_t start = stalled ? clock_mono_us() : 0;
    while (atomic_load(&w->value) == seen) {
        atomic_fetch_add(&w->sleepers, 1);
        if (atomic_load(&w->value) == seen)
            sleep_on(w, seen);
        atomic_fetch_sub(&w->sleepers, 1);
    }
    if (stalled)
        atomic_fetch_add(stalled, clock_mono_us() - start);
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    pool *p = w->owner;
#if defined(__linux__)
    struct sched_param none = { 0 };
    sched_setscheduler(0, SCHED_BATCH, &none);
#endif
    int spins = 0;
    for (unsigned seen = 0;; seen++) {
        wait_change(&w->go, seen, spins, NULL);
        if (!p->job)
            return NULL;
        spins = p->choice.spins;
        p->job(p->arg, w->index, p->choice.threads);
        if (atomic_fetch_sub(&p->pending.value, 1) == 1)
            wake_all(&p->pending);
    }
}

static int processors(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    return 0;
}

/* All threads; spinning only if there is a processor for each. */
static gauge_choice everyone(const pool *p)
{
    gauge g;
    pool_gauge(p, &g);
    gauge_choice c = gauge_next(&g);
    return c.threads == p->n_threads ? c : (gauge_choice){ p->n_threads, 0 };
}

status pool_open(pool **out, int n_threads, error *err)
{
    if (n_threads < 1 || n_threads > POOL_MAX_THREADS)
        return fail(err, E_RANGE, "%d threads: 1 to %d are possible", n_threads, POOL_MAX_THREADS);
    pool *p = mem_aligned(64, sizeof *p);
    if (!p)
        return fail(err, E_NOMEM, "no memory for the thread pool");
    p->n_threads = n_threads;
    p->processors = processors();
    p->choice = everyone(p);
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

static void start_worker(worker *w)
{
    atomic_fetch_add(&w->go.value, 1);
    wake_all(&w->go);
}

void pool_close(pool **pp)
{
    pool *p = *pp;
    if (!p)
        return;
    p->job = NULL;
    for (int i = 1; i < p->n_threads; i++)
        if (p->workers[i].started)
            start_worker(&p->workers[i]);
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

/* Workers that take no part do not see the job: nothing that they read changes before their own word does. */
static void run_on(pool *p, gauge_choice c, pool_job *job, void *arg)
{
    assert(job && c.threads >= 1 && c.threads <= p->n_threads);
    p->choice = c;
    if (c.threads == 1) {
        job(arg, 0, 1);
        return;
    }
    p->job = job;
    p->arg = arg;
    atomic_store(&p->pending.value, (unsigned)c.threads - 1);
    for (int i = 1; i < c.threads; i++)
        start_worker(&p->workers[i]);
    job(arg, 0, c.threads);
    for (unsigned left; (left = atomic_load(&p->pending.value)) != 0;)
        wait_change(&p->pending, left, c.spins, &p->stalled_us);
}

void pool_run(pool *p, pool_job *job, void *arg)
{
    run_on(p, everyone(p), job, arg);
}

void pool_run_as(pool *p, const gauge *g, pool_job *job, void *arg)
{
    run_on(p, gauge_next(g), job, arg);
}

void pool_gauge(const pool *p, gauge *out)
{
    gauge_init(out, p->n_threads, p->processors);
}

void pool_run_gauged(pool *p, gauge *g, uint32_t units, pool_job *job, void *arg)
{
    atomic_store(&p->stalled_us, 0);
    uint64_t start = clock_mono_us();
    run_on(p, gauge_next(g), job, arg);
    gauge_note(g, units, (double)(clock_mono_us() - start) * 1e-6, (double)atomic_load(&p->stalled_us) * 1e-6);
}

void pool_barrier(pool *p)
{
    if (p->choice.threads == 1)
        return;
    unsigned turn = atomic_load(&p->turn.value);
    if (atomic_fetch_add(&p->arrived, 1) + 1 == (unsigned)p->choice.threads) {
        atomic_store(&p->arrived, 0);
        atomic_fetch_add(&p->turn.value, 1);
        wake_all(&p->turn);
        return;
    }
    wait_change(&p->turn, turn, p->choice.spins, &p->stalled_us);
}

void pool_part(size_t items, int index, int count, size_t *begin, size_t *end)
{
    size_t n = (size_t)count, i = (size_t)index, each = items / n, more = items % n;
    *begin = i * each + (i < more ? i : more);
    *end = *begin + each + (i < more);
}
