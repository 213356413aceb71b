/* progress.h: how far something is that takes long, on standard error: on a terminal one line that is drawn over
 * ("measuring layers 12/30, 41 %, 1:20 left"), elsewhere a line of its own every ten seconds at most. Main thread. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROGRESS_PHASE = 64, PROGRESS_TEXT = 128 };

typedef struct progress_line {
    bool terminal;
    int drawn;                   /* columns of a line that must be cleared */
    char phase[PROGRESS_PHASE];
    uint64_t done, total;
    uint64_t began_us, noted_us; /* of the phase; noted_us 0: none yet */
    double sum, seconds;         /* of what was done, and the time that it took; older ones count less */
    uint64_t told_us;            /* when a line was last written */
    char told[PROGRESS_TEXT];
} progress_line;

void progress_init(progress_line *p);
/* `done` of `total` units of a phase's work. Numbers at the end of its name may change within the phase ("layers
 * 12/30"); another name, another total or less that is done than before begin a new one, whose rate is its own. A total
 * of 0 is of a length that nobody knows. May be called as often as one likes. */
void progress_show(progress_line *p, const char *phase, uint64_t done, uint64_t total);
/* Nothing of it is left on a terminal. Before anything else is written there, and at the end. */
void progress_end(progress_line *p);

/* The two halves of progress_show that neither look at a clock nor write. now_us: above 0, and
 * never less than before. */
void progress_note(progress_line *p, const char *phase, uint64_t done, uint64_t total, uint64_t now_us);
/* The line. How much is left is said after the phase's first two seconds, once anything is done. */
char *progress_text(const progress_line *p, char text[PROGRESS_TEXT]);

/* "0:07", "1:02:03", rounded up; "-" from a hundred hours on, for what is negative, and for NAN. Returns text. */
char *progress_left(char text[24], double seconds);

#endif
