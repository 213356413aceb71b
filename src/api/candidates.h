/* candidates.h: the providers of the config as the router sees them. Any thread. */
#ifndef API_CANDIDATES_H
#define API_CANDIDATES_H

#include "provider/config.h"
#include "route/route.h"

enum { CANDIDATES_MAX = 64 };

/* The config's part of a router's settings, all else 0: its candidates go into list (CANDIDATES_MAX), and what local
 * answers are of now. Borrows the config and list. */
void candidates_settings(const config *c, route_candidate *list, route_settings *out);

#endif
