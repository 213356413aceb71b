/* pull_draw.h: how far a transfer is, on standard error. Main thread. */
#ifndef CLI_PULL_DRAW_H
#define CLI_PULL_DRAW_H

#include <stdbool.h>

#include "base/js.h"

typedef struct pull_draw {
    bool terminal, drawn; /* drawn: a line is there that must be cleared */
} pull_draw;

void pull_draw_init(pull_draw *d);
/* One PROGRESS of hearth-pull (src/pull/README.md). */
void pull_draw_progress(pull_draw *d, const js *progress);
/* Nothing of a bar is left. */
void pull_draw_end(pull_draw *d);

#endif
