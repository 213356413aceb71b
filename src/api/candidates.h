/* candidates.h: the providers of the config as the router sees them. Any thread. */
#ifndef API_CANDIDATES_H
#define API_CANDIDATES_H

#include "provider/config.h"
#include "route/route.h"

enum { CANDIDATES_MAX = 64 };

/* Fills list (CANDIDATES_MAX), which borrows the config; returns how many. */
size_t candidates_list(const config *c, route_candidate *list);
/* A route_weights; config_at: a config. */
bool candidates_weights(const void *config_at, const char *spec, char out[DIGEST_HEX]);

#endif
