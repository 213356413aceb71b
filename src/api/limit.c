/* limit.c: see the header. */
#include "api/limit.h"

static void refill(limit *l, const limit_rule *rule, uint64_t now_us)
{
    if (!l->begun || now_us < l->at_us) {
        l->tokens = l->begun ? l->tokens : rule->burst;
        l->begun = true;
    } else {
        l->tokens += (double)(now_us - l->at_us) / 1e6 * rule->per_second;
    }
    l->at_us = now_us;
    if (l->tokens > rule->burst)
        l->tokens = rule->burst;
}

/* Who asks too many at once has spent no token: the concurrency comes first. */
limit_answer limit_enter(limit *l, const limit_rule *rule, uint64_t now_us, double *wait_s)
{
    *wait_s = 1;
    if (rule->concurrency && l->running >= rule->concurrency)
        return LIMIT_TOO_MANY;
    if (rule->per_second > 0) {
        refill(l, rule, now_us);
        if (l->tokens < 1) {
            *wait_s = (1 - l->tokens) / rule->per_second;
            return LIMIT_TOO_OFTEN;
        }
        l->tokens -= 1;
    }
    l->running++;
    return LIMIT_GO;
}

void limit_leave(limit *l)
{
    if (l->running)
        l->running--;
}
