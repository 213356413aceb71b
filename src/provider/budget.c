/* budget.c: see the header. In memory: for each name what each day of the month has taken, as far as the file was read;
 * who takes the lock reads on from there. */
#include "provider/budget.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/paths.h"
#include "plat/random.h"

enum { BUDGET_NAMES_MAX = 1024, LINE_MAX_BYTES = 320, CHUNK = 1 << 16 };
static const double NANO = 1e9;
static const int64_t AMOUNT_MAX = INT64_C(1) << 60;

typedef struct account {
    bool key; /* a key's, else a provider's */
    char name[BUDGET_NAME_MAX + 1];
    int64_t day[32];
} account;

struct budget {
    pthread_mutex_t lock;
    char *dir;
    int fd, year, month; /* -1: no file is open */
    off_t at;            /* how far it was read */
    account *of;
    size_t n;
};

status budget_open(budget **out, const char *dir, error *err)
{
    budget *b = mem_zero(sizeof *b);
    if (!b)
        return fail(err, E_NOMEM, "no memory for a budget");
    status s = OK;
    if (!dir)
        s = path_of(&b->dir, PATH_DATA, NULL, err);
    else if (!(b->dir = mem_strdup(dir)))
        s = fail(err, E_NOMEM, "no memory for a budget");
    if (s) {
        mem_free(b);
        return s;
    }
    pthread_mutex_init(&b->lock, NULL);
    b->fd = -1;
    *out = b;
    return OK;
}

static void forget(budget *b)
{
    if (b->fd >= 0)
        close(b->fd);
    mem_free(b->of);
    b->of = NULL;
    b->n = 0;
    b->fd = -1;
    b->at = 0;
}

void budget_close(budget **b)
{
    if (!*b)
        return;
    forget(*b);
    pthread_mutex_destroy(&(*b)->lock);
    mem_free((*b)->dir);
    mem_free(*b);
    *b = NULL;
}

/* ---- accounts ---- */

static account *account_of(budget *b, bool key, const char *name, bool make)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->of[i].key == key && strcmp(b->of[i].name, name) == 0)
            return &b->of[i];
    if (!make || b->n == BUDGET_NAMES_MAX)
        return NULL;
    account *more = mem_resize(b->of, (b->n + 1) * sizeof *more);
    if (!more)
        return NULL;
    b->of = more;
    account *a = &more[b->n++];
    memset(a, 0, sizeof *a);
    a->key = key;
    snprintf(a->name, sizeof a->name, "%s", name);
    return a;
}

static bool add(budget *b, bool key, const char *name, int day, int64_t amount)
{
    if (strcmp(name, "*") == 0)
        return true;
    account *a = account_of(b, key, name, true);
    if (!a || a->day[day] + amount < 0 || a->day[day] + amount > AMOUNT_MAX)
        return false;
    a->day[day] += amount;
    return true;
}

static int64_t month_of(const account *a)
{
    int64_t sum = 0;
    for (size_t i = 0; a && i < ARRAY_LEN(a->day); i++)
        sum += a->day[i];
    return sum;
}

/* ---- the file ---- */

/* One line, zero-terminated, without its end. */
static bool take_line(budget *b, const char *line)
{
    char id[17], provider[BUDGET_NAME_MAX + 1], key[BUDGET_NAME_MAX + 1];
    int day = 0, n = 0;
    int64_t amount = 0, spent = 0;
    if (sscanf(line, "reserve %16s %d %64s %64s %" SCNd64 "%n", id, &day, provider, key, &amount, &n) == 5 && n &&
        !line[n])
        spent = amount;
    else if (sscanf(line, "settle %16s %d %64s %64s %" SCNd64 " %" SCNd64 "%n", id, &day, provider, key, &amount,
                    &spent, &n) == 6 && n && !line[n])
        amount = spent - amount; /* what it changes */
    else
        return false;
    return day >= 1 && day <= 31 && llabs(amount) <= AMOUNT_MAX && add(b, false, provider, day, amount) &&
           add(b, true, key, day, amount);
}

static status damaged(const budget *b, off_t at, error *err)
{
    return fail(err, E_FORMAT, "%s/spend-%04d-%02d.log is damaged at byte %lld: what was spent is not known, so "
                "nothing that has a budget is sent; repair it, or move it away to begin anew", b->dir, b->year,
                b->month, (long long)at);
}

/* Whole lines from b->at on; what a crash left of one at the end is cut off. The file is locked. */
static status read_on(budget *b, error *err)
{
    char chunk[CHUNK];
    for (;;) {
        ssize_t n = pread(b->fd, chunk, sizeof chunk, b->at);
        if (n < 0)
            return fail(err, E_IO, "%s: the file of what was spent: %s", b->dir, strerror(errno));
        size_t used = 0;
        for (char *end; (end = memchr(chunk + used, '\n', (size_t)n - used));) {
            char *line = chunk + used;
            *end = 0;
            if (strlen(line) != (size_t)(end - line) || !take_line(b, line))
                return damaged(b, b->at + (off_t)used, err);
            used = (size_t)(end - chunk) + 1;
        }
        b->at += (off_t)used;
        if (!used && n >= LINE_MAX_BYTES)
            return damaged(b, b->at, err);
        if (!used && n > 0 && ftruncate(b->fd, b->at) != 0)
            return fail(err, E_IO, "%s: the file of what was spent: %s", b->dir, strerror(errno));
        if (!used)
            return OK;
    }
}

static status open_month(budget *b, int year, int month, error *err)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/spend-%04d-%02d.log", b->dir, year, month);
    forget(b);
    if (n < 0 || (size_t)n >= sizeof path)
        return fail(err, E_RANGE, "%s: the path is too long", b->dir);
    status s = path_make_dirs(b->dir, err);
    if (s)
        return s;
    b->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (b->fd < 0)
        return fail(err, E_IO, "%s: %s", path, strerror(errno));
    b->year = year;
    b->month = month;
    return OK;
}

/* Opens the month's file, locks it, reads what is new. A file that was moved away or became shorter is read anew. */
static status enter(budget *b, int year, int month, error *err)
{
    for (int tries = 0; tries < 3; tries++) {
        struct stat st;
        status s = b->fd < 0 || b->year != year || b->month != month ? open_month(b, year, month, err) : OK;
        if (s)
            return s;
        while (flock(b->fd, LOCK_EX) != 0)
            if (errno != EINTR)
                return fail(err, E_IO, "%s: the file of what was spent: %s", b->dir, strerror(errno));
        if (fstat(b->fd, &st) == 0 && st.st_nlink > 0 && st.st_size >= b->at) {
            s = read_on(b, err);
            if (s)
                forget(b); /* closing unlocks */
            return s;
        }
        forget(b);
    }
    return fail(err, E_IO, "%s: the file of what was spent changes under our hands", b->dir);
}

static void leave(budget *b)
{
    if (b->fd >= 0)
        (void)flock(b->fd, LOCK_UN);
}

/* One line, on the disk when this returns, and in the accounts. */
static status append(budget *b, char *line, error *err)
{
    size_t n = strlen(line);
    ssize_t written = write(b->fd, line, n);
    if (written != (ssize_t)n || fdatasync(b->fd) != 0) {
        status s = fail(err, E_IO, "%s: what is spent cannot be written down: %s", b->dir,
                        written < 0 || written == (ssize_t)n ? strerror(errno) : "no space");
        if (ftruncate(b->fd, b->at) != 0)
            forget(b); /* what stands there then is read as it is */
        return s;
    }
    line[n - 1] = 0;
    if (!take_line(b, line)) {
        forget(b);
        return fail(err, E_RANGE, "more than %d names have spent, or more than a number holds", BUDGET_NAMES_MAX);
    }
    b->at += (off_t)n;
    return OK;
}

/* ---- reserving ---- */

static void date_of(int64_t us, struct tm *out)
{
    time_t t = (time_t)(us / 1000000);
    gmtime_r(&t, out);
}

static double until_tomorrow(const struct tm *now)
{
    return 86400 - (now->tm_hour * 3600 + now->tm_min * 60 + now->tm_sec);
}

static double until_next_month(const struct tm *now)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int year = now->tm_year + 1900, leap = now->tm_mon == 1 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return until_tomorrow(now) + 86400.0 * (days[now->tm_mon] + leap - now->tm_mday);
}

static status check_limit(budget *b, bool key, const budget_of *who, int64_t amount, const struct tm *now,
                          double *wait_s, error *err)
{
    const account *a = account_of(b, key, who->name, false);
    const struct {
        const char *name;
        double limit, wait;
        int64_t spent;
    } rows[] = { { "today", who->limit.usd_per_day, until_tomorrow(now), a ? a->day[now->tm_mday] : 0 },
                 { "this month", who->limit.usd_per_month, until_next_month(now), month_of(a) } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (isnan(rows[i].limit) || (double)(rows[i].spent + amount) <= rows[i].limit * NANO)
            continue;
        *wait_s = rows[i].wait;
        return fail(err, E_DENIED, "the budget of %s %s is $%.4f %s: $%.4f of it are spent or reserved, and this "
                    "request may cost up to $%.4f", key ? "key" : "provider", who->name, rows[i].limit, rows[i].name,
                    (double)rows[i].spent / NANO, (double)amount / NANO);
    }
    return OK;
}

static status make_hold(budget_hold *h, const budget_of *provider, const budget_of *key, int64_t amount,
                        const struct tm *now, error *err)
{
    unsigned char random[8];
    status s = random_bytes(random, sizeof random, err);
    if (s)
        return s;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(h->id + 2 * i, 3, "%02x", random[i]);
    snprintf(h->provider, sizeof h->provider, "%s", provider->name[0] ? provider->name : "*");
    snprintf(h->key, sizeof h->key, "%s", key->name[0] ? key->name : "*");
    h->year = now->tm_year + 1900;
    h->month = now->tm_mon + 1;
    h->day = now->tm_mday;
    h->amount = amount;
    return OK;
}

status budget_reserve(budget *b, const budget_of *provider, const budget_of *key, int64_t amount, int64_t now_us,
                      budget_hold *hold, double *wait_s, error *err)
{
    budget_hold h = { .amount = 0 };
    struct tm now;
    char line[LINE_MAX_BYTES];
    *hold = h;
    *wait_s = 0;
    if (amount < 0 || amount > AMOUNT_MAX || strlen(provider->name) > BUDGET_NAME_MAX ||
        strlen(key->name) > BUDGET_NAME_MAX)
        return fail(err, E_RANGE, "a reservation that is none");
    date_of(now_us, &now);
    status s = make_hold(&h, provider, key, amount, &now, err);
    if (s)
        return s;
    pthread_mutex_lock(&b->lock);
    s = enter(b, h.year, h.month, err);
    if (!s && provider->name[0])
        s = check_limit(b, false, provider, amount, &now, wait_s, err);
    if (!s && key->name[0])
        s = check_limit(b, true, key, amount, &now, wait_s, err);
    if (!s) {
        snprintf(line, sizeof line, "reserve %s %d %s %s %" PRId64 "\n", h.id, h.day, h.provider, h.key, h.amount);
        s = append(b, line, err);
    }
    leave(b);
    pthread_mutex_unlock(&b->lock);
    if (!s)
        *hold = h;
    return s;
}

status budget_settle(budget *b, budget_hold *hold, int64_t spent, error *err)
{
    char line[LINE_MAX_BYTES];
    if (!hold->amount)
        return OK;
    spent = spent < 0 ? 0 : spent > AMOUNT_MAX ? AMOUNT_MAX : spent;
    snprintf(line, sizeof line, "settle %s %d %s %s %" PRId64 " %" PRId64 "\n", hold->id, hold->day, hold->provider,
             hold->key, hold->amount, spent);
    pthread_mutex_lock(&b->lock);
    status s = enter(b, hold->year, hold->month, err); /* the month in which it was reserved */
    if (!s)
        s = append(b, line, err);
    leave(b);
    pthread_mutex_unlock(&b->lock);
    if (!s)
        hold->amount = 0;
    return s;
}

status budget_spent(budget *b, const char *provider, int64_t now_us, double *today, double *month, error *err)
{
    struct tm now;
    date_of(now_us, &now);
    pthread_mutex_lock(&b->lock);
    status s = enter(b, now.tm_year + 1900, now.tm_mon + 1, err);
    if (!s) {
        const account *a = account_of(b, false, provider, false);
        *today = a ? (double)a->day[now.tm_mday] / NANO : 0;
        *month = (double)month_of(a) / NANO;
    }
    leave(b);
    pthread_mutex_unlock(&b->lock);
    return s;
}
