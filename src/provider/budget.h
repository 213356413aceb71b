/* budget.h: what may be spent, as reservations made before anything is sent. Any thread, and many processes: they share
 * the files of one folder, a file a month (UTC), spend-2026-11.log, append-only, 0600, locked with flock.
 *
 *   reserve ID DAY PROVIDER KEY AMOUNT          before a request is sent, on the disk before it goes
 *   settle  ID DAY PROVIDER KEY AMOUNT SPENT    after its answer: the reservation is exchanged for what it cost
 *
 * Amounts are nano-dollars (1 US dollar per million tokens is 1,000 a token), KEY is * where nobody has a name. What a
 * process that died has reserved and not settled counts as spent. A line that a crash cut off at the end is taken away;
 * any other damage refuses every reservation, and says so. Only what was asked under a budget is in the files. */
#ifndef PROVIDER_BUDGET_H
#define PROVIDER_BUDGET_H

#include <stdint.h>

#include "provider/config.h"

typedef struct budget budget;

enum { BUDGET_NAME_MAX = 64 };

/* A provider's or a key's limit; an empty name is nobody's, and has none. */
typedef struct budget_of {
    const char *name;
    config_budget limit;
} budget_of;

typedef struct budget_hold {
    char id[17], provider[BUDGET_NAME_MAX + 1], key[BUDGET_NAME_MAX + 1];
    int year, month, day;
    int64_t amount; /* 0: nothing is reserved */
} budget_hold;

/* dir NULL: the data directory. Opens no file yet. */
status budget_open(budget **out, const char *dir, error *err) MUST_CHECK;
void budget_close(budget **b);

/* E_DENIED with the numbers when a limit would be passed; *wait_s are then the seconds until its day or month is over.
 * E_IO, E_FORMAT, E_NOMEM: it could not be reserved, so nothing may be sent. now_us: UTC. */
status budget_reserve(budget *b, const budget_of *provider, const budget_of *key, int64_t amount, int64_t now_us,
                      budget_hold *hold, double *wait_s, error *err) MUST_CHECK;
/* spent: what it really cost; the hold is empty afterwards. An error leaves the reservation
 * in force. */
status budget_settle(budget *b, budget_hold *hold, int64_t spent, error *err) MUST_CHECK;
/* What a provider has spent and reserved, in US dollars. */
status budget_spent(budget *b, const char *provider, int64_t now_us, double *today, double *month,
                    error *err) MUST_CHECK;

#endif
