/* queue.h: whose turn it is: who waits for a model, in which order. Order alone: no clock, no threads, no memory of its
 * own; the caller holds a lock around every call and keeps its tickets alive while they are in the queue.
 *
 * Of the waiting, the highest priority goes first; within a priority the askers take turns, whoever has more
 * waiting; an asker's own tickets go first come, first served.
 */
#ifndef API_QUEUE_H
#define API_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUEUE_PRIORITIES = 3 }; /* 0 (first) to 2 (last) */

typedef struct queue_ticket {
    struct queue_ticket *next; /* the queue's */
    uint64_t round;            /* the queue's: which turn of its asker */
    const char *asker;         /* borrowed, never NULL */
    unsigned priority;         /* 0..QUEUE_PRIORITIES-1; more counts as the last */
} queue_ticket;

/* Zero but for the limits. */
typedef struct queue {
    queue_ticket *first; /* in order of arrival */
    size_t n;
    size_t max;   /* most that wait */
    size_t share; /* most of them of one asker */
    uint64_t round[QUEUE_PRIORITIES]; /* the latest turn that was given */
} queue;

typedef enum queue_answer { QUEUE_WAITS, QUEUE_FULL, QUEUE_OVER_SHARE } queue_answer;

/* Adds t, unless too many wait: then t is not in the queue. An asker over its share hears that first. */
queue_answer queue_push(queue *q, queue_ticket *t);
/* Who is next, NULL when nobody waits; it stays in the queue. */
const queue_ticket *queue_next(const queue *q);
/* Takes t out because it is its turn. */
void queue_serve(queue *q, queue_ticket *t);
/* Takes t out because its asker left: nobody's turn is spent. False: it was not there. */
bool queue_leave(queue *q, queue_ticket *t);

/* Running mean of service times: the newest counts an eighth; mean 0 is none yet. */
double queue_mean(double mean, double seconds);
/* When n that wait before you have been served, `parallel` at once; at least 1 second. */
double queue_retry_after(size_t n, unsigned parallel, double mean);

#endif
