/* url.h: what an openai provider's URL may be. Any thread. */
#ifndef PROVIDER_URL_H
#define PROVIDER_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { URL_HOST_MAX = 256 };

typedef struct url {
    bool tls;
    char host[URL_HOST_MAX]; /* without the brackets of an IPv6 address */
    uint16_t port;
    bool loopback;           /* localhost, 127/8, ::1 */
} url;

/* http(s)://host[:port][/path], nothing else: no user, no query, no fragment, printable ASCII. E_FORMAT. */
status url_parse(const char *text, url *out, error *err) MUST_CHECK;

#endif
