/* candidates.h: whom a task may be given to, and how much memory there is: what route_gather needs of the config. */
#ifndef CLI_CANDIDATES_H
#define CLI_CANDIDATES_H

#include "api/candidates.h"

/* Fills list (CANDIDATES_MAX) from the configured providers; *out borrows it and the config. */
void candidates_read(const config *c, route_candidate *list, route_settings *out);

#endif
