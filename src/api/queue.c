/* queue.c: turns as numbers. A ticket's round is one after its asker's last waiting one, or one after the latest round
 * that was given: an asker of many waits in many rounds, and a newcomer joins the round that comes next. */
#include "api/queue.h"

#include <string.h>

static unsigned level(const queue_ticket *t)
{
    return t->priority < QUEUE_PRIORITIES ? t->priority : QUEUE_PRIORITIES - 1;
}

queue_answer queue_push(queue *q, queue_ticket *t)
{
    queue_ticket **at = &q->first;
    size_t own = 0;
    uint64_t round = q->round[level(t)];
    for (; *at; at = &(*at)->next) {
        bool same = strcmp((*at)->asker, t->asker) == 0;
        own += same;
        if (same && level(*at) == level(t) && (*at)->round > round)
            round = (*at)->round;
    }
    if (own >= q->share)
        return QUEUE_OVER_SHARE;
    if (q->n >= q->max)
        return QUEUE_FULL;
    t->round = round + 1;
    t->next = NULL;
    *at = t;
    q->n++;
    return QUEUE_WAITS;
}

const queue_ticket *queue_next(const queue *q)
{
    const queue_ticket *best = q->first;
    for (const queue_ticket *t = best; t; t = t->next)
        if (level(t) < level(best) || (level(t) == level(best) && t->round < best->round))
            best = t;
    return best;
}

bool queue_leave(queue *q, queue_ticket *t)
{
    for (queue_ticket **at = &q->first; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            t->next = NULL;
            q->n--;
            return true;
        }
    return false;
}

void queue_serve(queue *q, queue_ticket *t)
{
    uint64_t *round = &q->round[level(t)];
    if (queue_leave(q, t) && t->round > *round)
        *round = t->round;
}

double queue_mean(double mean, double seconds)
{
    return mean > 0 ? mean + (seconds - mean) / 8 : seconds;
}

double queue_retry_after(size_t n, unsigned parallel, double mean)
{
    double wait = (double)n * mean / (parallel ? parallel : 1);
    return wait > 1 ? wait : 1;
}
