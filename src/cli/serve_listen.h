/* serve_listen.h: where a server listens, as words on the command line. */
#ifndef CLI_SERVE_LISTEN_H
#define CLI_SERVE_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

enum { LISTEN_HOST_MAX = 64 };

/* "127.0.0.1:5150", "[::1]:5150", "5150" (host is then as it was). False: none of these. */
bool listen_parse(const char *text, char host[LISTEN_HOST_MAX], uint16_t *port);

#endif
