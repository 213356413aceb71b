/* memory.h: what memory.c shares with neighbour.c. Private to src/fit. */
#ifndef FIT_MEMORY_H
#define FIT_MEMORY_H

#include "fit/fit.h"

/* The largest other file in the folder of path that is the same model in fewer bytes and fits: out->file, file_need. */
void fit_neighbour(const char *path, const engine_options *o, const fit_model *f, fit_ways *out);

#endif
