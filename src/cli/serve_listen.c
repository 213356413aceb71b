/* serve_listen.c: see the header. */
#include "cli/serve_listen.h"

#include <string.h>

#include "base/str.h"

bool listen_parse(const char *text, char host[LISTEN_HOST_MAX], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    uint64_t number;
    if (!str_u64(colon ? colon + 1 : text, &number) || number > 65535)
        return false;
    *port = (uint16_t)number;
    if (!colon)
        return true;
    size_t n = (size_t)(colon - text);
    bool bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (bracketed)
        text++, n -= 2;
    if (n == 0 || n >= LISTEN_HOST_MAX)
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    return true;
}
